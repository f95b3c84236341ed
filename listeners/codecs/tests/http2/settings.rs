//! SETTINGS: relayed, lowered, and in force from their acknowledgement on.

use portcullis_codecs::{
    http2::{ErrorCode, hpack::Encoder},
    relay::Close,
};

use crate::{frames::*, playbook::script::play};

#[test]
fn settings_go_on_but_for_what_we_could_not_keep_up() {
    play("both sides say much")
        .client(
            [PREFACE.to_vec(), settings(&[(0x1, 1 << 20), (0x2, 1), (0x4, 1 << 20), (0x5, 1 << 20), (0x9, 1)])]
                .concat(),
        )
        .server_sees([PREFACE.to_vec(), settings(&[(0x1, 65_536), (0x2, 0), (0x4, 1 << 20), (0x5, 1 << 20)])].concat())
        .server(settings(&[(0x3, 100), (0x6, 1 << 30), (0x8, 1), (0xf00d, 5)]))
        .client_sees(settings(&[(0x3, 100), (0x6, 128 << 10)]))
        .reaches_server(settings(&[(0x4, 77)]))
        .reaches_client(settings(&[(0x3, 50)]))
        .reaches_client(cat(&[settings_ack(), settings_ack()]))
        .reaches_server(cat(&[settings_ack(), settings_ack()]))
        .run();
}

/// "The sender of altered parameters can rely on the values being applied" once they are acknowledged (RFC 9113 §6.5.3).
#[test]
fn a_larger_frame_may_be_sent_once_its_size_is_acknowledged() {
    let long = vec![b'x'; 16_385];
    begun("too early")
        .reaches_server(headers(1, &POST))
        .reaches_client(settings(&[(0x5, 20_000)]))
        .client(&data(1, 0, &long)[..9])
        .client_violates("frame_size")
        .client_sees(go_away(1, ErrorCode::FrameSizeError))
        .closes(Close::Graceful)
        .run();
    begun("in time")
        .reaches_server(headers(1, &POST))
        .reaches_client(settings(&[(0x5, 20_000)]))
        .reaches_server(settings_ack())
        .reaches_server(&data(1, 0, &long)[..20])
        .run();
}

/// The server lowers its table; ours follows with the acknowledgement, and says so in front of the next block.
#[test]
fn the_table_towards_the_server_follows_its_settings() {
    begun("smaller, then larger")
        .reaches_client(settings(&[(0x1, 0)]))
        .reaches_server(last_headers(1, &GET))
        .reaches_server(settings_ack())
        .client(crate::frames::frame(0x1, END_HEADERS | END_STREAM, 3, &[&[0x20][..], &block(&GET)].concat()))
        .server_sees(crate::frames::frame(0x1, END_HEADERS | END_STREAM, 3, &[&[0x20][..], &block(&GET)].concat()))
        .reaches_server(last_headers(5, &GET))
        .run();
}

/// A client that has to say the smaller size of its table, and does not, cannot be understood any more.
#[test]
fn the_clients_table_is_held_to_what_was_acknowledged() {
    begun("no update of the size")
        .reaches_client(settings(&[(0x1, 0)]))
        .reaches_server(settings_ack())
        .client(last_headers(1, &GET))
        .client_violates("header_block")
        .client_sees(go_away(0, ErrorCode::CompressionError))
        .closes(Close::Graceful)
        .run();
}

/// A refusal of ours stands between blocks of the server, whose table it must not disturb.
#[test]
fn a_refusal_says_the_size_that_the_client_waits_for() {
    let mut server = Encoder::new(4096);
    server.allow_table_size(100);
    let mut answer = Vec::new();
    let field = |name: &'static str, value: &'static str| portcullis_codecs::http2::hpack::HeaderField {
        name: name.as_bytes(),
        value: value.as_bytes(),
        representation: portcullis_codecs::http2::hpack::Representation::WithoutIndexing,
    };
    server.encode([field(":status", "200")], &mut answer);
    let update = [0x3f, 100 - 31];
    assert!(answer.starts_with(&update));
    let refusal = [&update[..], &block(&[(":status", "403"), ("content-length", "0")])].concat();
    begun("a smaller table, then a refusal, then an answer")
        .responding()
        .reaches_server(cat(&[settings(&[(0x1, 100)]), last_headers(1, &GET)]))
        .reaches_client(settings_ack())
        .client(last_headers(3, &DENIED))
        .client_sees(crate::frames::frame(0x1, END_HEADERS | END_STREAM, 3, &refusal))
        .reaches_client(crate::frames::frame(0x1, END_HEADERS | END_STREAM, 1, &answer))
        .run();
}
