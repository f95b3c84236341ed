//! HTTP/1 connections that upgrade to HTTP/2 (RFC 7540 §3.2). Every request is judged.

use portcullis_codecs::{
    fact::Facts,
    http2::ErrorCode,
    relay::{Close, ResponseSummary},
};

use crate::{
    frames::*,
    playbook::script::{Play, play},
};

/// What Java's client says first.
pub(crate) const OFFER: &str = "GET /first HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 0\r\nHost: h\r\n\
    HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17\r\n\r\n";
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

fn offered(name: &'static str) -> Play {
    play(name).reaches_server(OFFER)
}

#[test]
fn a_server_that_takes_an_offer_up_answers_in_stream_1_and_all_others_are_judged() {
    let first = ResponseSummary { exchange: 0, status: Some(200), facts: Facts::NONE };
    offered("Java and a server that follows")
        .judged(&["GET /first h"])
        .server(cat(&[SWITCHING.into(), settings(&[(0x3, 50)]), headers(1, &OK)]))
        .client_sees(cat(&[SWITCHING.into(), settings(&[(0x3, 50), (0x6, 128 << 10)]), headers(1, &OK)]))
        .answers(&[first])
        .client(cat(&[client_begins(), settings_ack()]))
        .server_sees(cat(&[server_sees_the_begin(), settings_ack()]))
        .reaches_client(cat(&[settings_ack(), data(1, END_STREAM, "first")]))
        .client(cat(&[headers(3, &DENIED), last_headers(5, &GET)]))
        .client_sees(reset(3, ErrorCode::Cancel))
        .server_sees(last_headers(5, &GET))
        .judged(&["GET /first h", "POST /deny h -> Reset", "GET /a h"])
        .reaches_client(last_headers(5, &OK))
        .answers(&[first, answer(5, 200)])
        .run();
}

#[test]
fn a_client_that_does_not_wait_is_held_until_the_server_has_switched() {
    offered("too early for the server")
        .client(client_begins())
        .server(SWITCHING)
        .client_sees(SWITCHING)
        .server_sees(server_sees_the_begin())
        .run();
}

#[test]
fn an_offer_with_a_body_is_taken_up_behind_it_and_not_within() {
    let post = OFFER.replace("GET", "POST").replace("Content-Length: 0", "Content-Length: 4");
    play("behind")
        .reaches_server(format!("{post}body"))
        .reaches_client(SWITCHING)
        .client(client_begins())
        .server_sees(server_sees_the_begin())
        .run();
    play("within")
        .reaches_server(format!("{post}bo"))
        .server(SWITCHING)
        .server_violates("bad_switch")
        .client_reads("HTTP/1.1 502 ")
        .closes(Close::Graceful)
        .run();
}

#[test]
fn an_offer_that_cannot_be_followed_may_not_be_taken_up() {
    for (name, offer) in [
        ("without settings", OFFER.replace("HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n", "")),
        ("with broken settings", OFFER.replace("AAEAAEAA", "AAEAAEA")),
        ("with a table of 1 GiB", OFFER.replace("AAEAAEAA", "AAFAAAAA")),
        ("with settings that Connection does not name", OFFER.replace(", HTTP2-Settings", "")),
        ("of something else", OFFER.replace("h2c", "h2")),
    ] {
        play(name)
            .reaches_server(offer)
            .server(SWITCHING)
            .server_violates("bad_switch")
            .client_reads("HTTP/1.1 502 ")
            .closes(Close::Graceful)
            .run();
    }
    offered("nor for more than it says")
        .server(SWITCHING.replace("h2c", "h2c, x"))
        .server_violates("bad_switch")
        .client_reads("HTTP/1.1 502 ")
        .closes(Close::Graceful)
        .run();
}

/// Go's server does so when the client's SETTINGS come while it writes the answer to the offer.
#[test]
fn an_answer_may_change_the_size_of_its_table_in_the_middle() {
    // :status 200, the size of the table is 4096, date: x
    let late = frame(0x1, END_HEADERS | END_STREAM, 1, b"\x88\x3f\xe1\x1f\x61\x01x");
    offered("a change behind a field")
        .reaches_client(SWITCHING)
        .client(client_begins())
        .server_sees(server_sees_the_begin())
        .server(cat(&[settings(&[]), settings_ack()]))
        .client_sees(cat(&[client_sees_the_begin(), settings_ack()]))
        .reaches_client(late)
        .reaches_server(headers(3, &POST))
        .run();
}

#[test]
fn only_http2_may_come_behind_the_switch() {
    offered("a second request of HTTP/1")
        .reaches_client(SWITCHING)
        .client("GET /second HTTP/1.1\r\n")
        .client_violates("preface")
        .client_sees(cat(&[settings(&[]), go_away(1, ErrorCode::ProtocolError)]))
        .closes(Close::Graceful)
        .run();
    offered("the client may not go on with the first request")
        .reaches_client(SWITCHING)
        .client(cat(&[client_begins(), data(1, 0, "more")]))
        .server_sees(server_sees_the_begin())
        .server(settings(&[]))
        .client_sees(cat(&[client_sees_the_begin(), reset(1, ErrorCode::StreamClosed)]))
        .server_sees(reset(1, ErrorCode::Cancel))
        .client_violates("stream_closed")
        .run();
}

#[test]
fn the_preface_alone_makes_it_http2() {
    play("not quite")
        .client("PRI * HTTP/2.0\r\n\r\nSM\r\n\n")
        .client_violates("http2_preface")
        .client_reads("HTTP/1.1 505 ")
        .closes(Close::Graceful)
        .run();
    play("cut")
        .client("PRI * HTTP/2")
        .client_ends()
        .client_violates("truncated_head")
        .client_reads("400")
        .closes(Close::Graceful)
        .run();
    play("late")
        .client("PRI * HTTP/2")
        .time_passes()
        .client_violates("head_timeout")
        .client_reads("408")
        .closes(Close::Graceful)
        .run();
    play("another method that begins alike")
        .reaches_server("PRI /a HTTP/1.1\r\nHost: h\r\n\r\n")
        .judged(&["PRI /a h"])
        .run();
}
