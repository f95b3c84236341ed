//! Denied requests: their streams end, all others continue.

use portcullis_codecs::{
    http::Limits,
    http2::ErrorCode,
    relay::{Close, Decision, Side},
};

use crate::{
    frames::*,
    playbook::{
        pair::{Pair, Recorder, deny_with, without_changes},
        script::play,
    },
};

#[test]
fn a_denied_stream_is_reset_and_the_others_go_on() {
    begun("one of three")
        .reaches_server(headers(1, &POST))
        .client(cat(&[headers(3, &DENIED), last_headers(5, &GET)]))
        .server_sees(last_headers(5, &GET))
        .client_sees(reset(3, ErrorCode::Cancel))
        .judged(&["POST /a h", "POST /deny h -> Reset", "GET /a h"])
        .reaches_server(data(1, END_STREAM, "on"))
        .reaches_client(cat(&[last_headers(1, &OK), last_headers(5, &OK)]))
        .answers(&[answer(1, 200), answer(5, 200)])
        .run();
    begun("with an ambiguous path")
        .client(last_headers(1, &[GET[0], GET[1], (":path", "/a/../deny"), GET[3]]))
        .client_sees(reset(1, ErrorCode::Cancel))
        .run();
}

#[test]
fn what_a_client_still_sends_on_a_denied_stream_is_dropped_and_its_credit_given_back() {
    let padded = [&[200][..], &[b'x'; 3000], &[0; 200]].concat();
    begun("DATA, trailers, credit, reset")
        .client(headers(1, &DENIED))
        .client_sees(reset(1, ErrorCode::Cancel))
        .client(cat(&[data(1, PADDED, &padded), window_update(1, 5), data(1, 0, vec![b'y'; 1000])]))
        .client_sees(window_update(0, 3201 + 1000))
        .client(cat(&[last_headers(1, &[("x-sum", "1")]), reset(1, ErrorCode::Cancel)]))
        .reaches_server(last_headers(3, &GET))
        .run();
}

#[test]
fn a_refusal_is_an_answer_and_stops_a_request_that_goes_on() {
    let forbidden = last_headers(1, &[(":status", "403"), ("content-length", "0")]);
    begun("the whole request has come")
        .responding()
        .client(last_headers(1, &DENIED))
        .client_sees(&forbidden)
        .judged(&["POST /deny h -> Respond"])
        .run();
    begun("a body is to come")
        .responding()
        .client(headers(1, &DENIED))
        .client_sees(cat(&[forbidden, reset(1, ErrorCode::NoError)]))
        .client(data(1, END_STREAM, "dropped"))
        .reaches_server(last_headers(3, &GET))
        .run();
}

#[test]
fn a_call_of_grpc_is_refused_by_its_status() {
    for (asked, answered) in [
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web", "application/grpc-web"),
        ("application/grpc-web-text+proto", "application/grpc-web-text"),
    ] {
        begun("PERMISSION_DENIED")
            .responding()
            .client(headers(1, &[DENIED[0], DENIED[1], DENIED[2], DENIED[3], ("content-type", asked)]))
            .client_sees(cat(&[
                last_headers(
                    1,
                    &[
                        (":status", "200"),
                        ("content-type", answered),
                        ("grpc-status", "7"),
                        ("grpc-message", "denied by network policy"),
                    ],
                ),
                reset(1, ErrorCode::NoError),
            ]))
            .run();
    }
}

#[test]
fn a_policy_may_take_the_whole_connection() {
    begun("the connection")
        .judged_by(|| deny_with(Decision::Disconnect))
        .reaches_server(headers(1, &POST))
        .client(cat(&[headers(3, &DENIED), last_headers(5, &GET)]))
        .client_sees(go_away(3, ErrorCode::Cancel))
        .judged(&["POST /a h", "POST /deny h -> Disconnect"])
        .closes(Close::Reset)
        .run();
}

/// A client takes nothing but SETTINGS for the first frame of a server (RFC 9113 §3.4).
#[test]
fn a_refusal_waits_for_the_settings_of_the_server() {
    let forbidden = last_headers(3, &[(":status", "403"), ("content-length", "0")]);
    play("a client that does not wait")
        .responding()
        .client(cat(&[client_begins(), last_headers(1, &GET), last_headers(3, &DENIED), data(3, 0, [b'x'; 5000])]))
        .server_sees(server_sees_the_begin())
        .judged(&[])
        .server(settings(&[]))
        .client_sees(cat(&[client_sees_the_begin(), forbidden, window_update(0, 5000)]))
        .server_sees(last_headers(1, &GET))
        .judged(&["GET /a h", "POST /deny h -> Respond"])
        .reaches_client(settings_ack())
        .run();
    play("or for the end of the connection, whose first words are ours then")
        .client(cat(&[client_begins(), last_headers(1, &DENIED), ping_with_stream()]))
        .server_sees(server_sees_the_begin())
        .server("HTTP/1.1 400 Bad Request\r\n\r\n")
        .server_violates("frame_size")
        .client_sees(cat(&[settings(&[]), go_away(0, ErrorCode::InternalError)]))
        .closes(Close::Graceful)
        .run();
}

/// What we say must not stand within a frame of the server.
#[test]
fn a_refusal_waits_for_the_end_of_the_frame_that_is_on_its_way() {
    let frame = data(1, 0, "0123456789");
    begun("within DATA")
        .reaches_server(headers(1, &POST))
        .reaches_client(cat(&[headers(1, &OK), frame[..12].to_vec()]))
        .client(headers(3, &DENIED))
        .reaches_client(&frame[12..18])
        .client(headers(5, &DENIED))
        .server(cat(&[frame[18..].to_vec(), data(1, END_STREAM, "")]))
        .client_sees(cat(&[
            frame[18..].to_vec(),
            reset(3, ErrorCode::Cancel),
            reset(5, ErrorCode::Cancel),
            data(1, END_STREAM, ""),
        ]))
        .run();
    begun("and the end of the connection cannot wait")
        .reaches_server(headers(1, &POST))
        .reaches_client(cat(&[headers(1, &OK), frame[..12].to_vec()]))
        .client(ping_with_stream())
        .client_violates("stream_id")
        .closes(Close::Reset)
        .run();
}

fn ping_with_stream() -> Vec<u8> {
    crate::frames::frame(0x6, 0, 1, b"12345678")
}

/// A server that stops within a frame holds up what is to be said, and so what it would be said about.
#[test]
fn refusals_that_cannot_be_said_hold_the_client_up() {
    let mut pair = Pair::new(portcullis_codecs::http::relay(&Limits::default()), deny_with(Decision::Reset));
    pair.send(Side::Downstream, &[client_begins(), headers(1, &POST)].concat());
    pair.send(Side::Upstream, &[settings(&[]), settings_ack()].concat());
    pair.send(Side::Upstream, &[headers(1, &OK), data(1, 0, "four")[..12].to_vec()].concat());
    for number in 1..10_000 {
        pair.send(Side::Downstream, &headers(1 + 2 * number, &DENIED));
    }
    let judged = pair.recorder.judged.len();
    assert!((1000..2000).contains(&judged), "{judged}");
    pair.send(Side::Upstream, &data(1, 0, "four")[12..]);
    assert_eq!(pair.recorder.judged.len(), 10_000);
    assert_eq!(pair.recorder.violations, []);
}

/// 10 GiB, shown in pieces: nothing of it is kept, and the credit for all of it comes back.
#[test]
fn an_endless_upload_into_denied_streams_costs_no_memory_and_never_stalls() {
    use portcullis_codecs::relay::{Relay, RelayOutput};
    let mut relay: Box<dyn Relay> = portcullis_codecs::http::relay(&Limits::default());
    let mut pair = Recorder::new(without_changes(deny_with(Decision::Reset)));
    let mut out = RelayOutput::default();
    let mut show = |relay: &mut dyn Relay, from, bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let step = relay.receive(from, rest, &mut pair, &mut out);
            assert!(step.taken() > 0 && out.close.is_none());
            rest = &rest[step.taken()..];
        }
        std::mem::take(&mut out.downstream)
    };
    show(&mut *relay, Side::Downstream, &client_begins());
    show(&mut *relay, Side::Upstream, &settings(&[]));
    show(&mut *relay, Side::Downstream, &headers(1, &DENIED));
    let chunk = data(1, 0, vec![0; 16_384]);
    let burst = chunk.repeat(16);
    let (mut sent, mut credit) = (0_u64, 0_u64);
    while sent < 10 << 30 {
        for update in show(&mut *relay, Side::Downstream, &burst).chunks(13) {
            assert_eq!(update[..9], window_update(0, 1)[..9]);
            credit += u64::from(u32::from_be_bytes(update[9..].try_into().unwrap()));
        }
        sent += 16 * 16_384;
    }
    assert_eq!(credit, sent);
}
