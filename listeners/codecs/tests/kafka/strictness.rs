//! What is refused, and the SASL handshake.

use portcullis_codecs::{
    kafka::{Limits, Violated, Violation},
    relay::{Close, Decision, ProtocolViolation, Side},
};

use crate::{
    exchanges::{narrow, play, relay},
    message::{authenticate, fetch, handshake, metadata, produce, request, response},
    playbook::script::Play,
};

#[test]
fn frames_have_room_for_a_request_and_not_too_much() {
    for short in [&b"\0\0\0\0"[..], b"\0\0\0\x07", b"\xff\xff\xff\xff", b"\x80\0\0\0"] {
        play("short").client(short).client_violates("short_frame").closes(Close::Reset).run();
    }
    narrow("long").client(b"\0\0\x0f\xa1").client_violates("long_frame").closes(Close::Reset).run();
    play("long").client(b"\x06\x40\0\x01").client_violates("long_frame").closes(Close::Reset).run();
    play("HTTP").client(b"GET / HTTP/1.1\r\n\r\n").client_violates("long_frame").closes(Close::Reset).run();
    play("TLS").client(b"\x16\x03\x01\x02\0\x01\0\x01").client_violates("tls").closes(Close::Reset).run();
}

#[test]
fn what_two_readers_could_read_differently_never_reaches_the_server() {
    let mut trailing = metadata(1, 5, None);
    trailing.push(0);
    trailing[3] += 1;
    play("a byte too many").client(&trailing).client_violates("trailing").closes(Close::Reset).run();
    let mut cut = metadata(1, 5, None);
    cut.pop();
    cut[3] -= 1;
    play("a byte too few").client(&cut).client_violates("cut_body").closes(Close::Reset).run();
    let padded = request(1, 16, 4, &[0x81, 0, 0]);
    play("a long number").client(padded).client_violates("long_varint").closes(Close::Reset).run();
    let broken = request(1, 3, 1, b"\0\0\0\x01\0\x02\xff\xfe");
    play("no text").client(broken).client_violates("text").closes(Close::Reset).run();
    let limits = Limits { topics: 10, ..Limits::default() };
    let few = |name| Play::new(name, move || relay(&limits)).judged_by(|| Box::new(|_| Decision::Allow));
    let topics = ["t"; 11];
    few("many topics").client(fetch(1, &topics, &[])).client_violates("many_topics").closes(Close::Reset).run();
    few("as many as may be").reaches_server(fetch(1, &topics[1..], &topics)).run();
}

#[test]
fn tokens_come_in_frames_behind_their_handshake() {
    play("in order")
        .reaches_server(handshake(1, 1))
        .reaches_client(response(1, b"\0\0\0\0\0\x01\0\x05PLAIN"))
        .reaches_server(authenticate(2))
        .reaches_client(response(2, b"welcome"))
        .reaches_server(produce(3, 7, -1, &["orders"], 4))
        .reaches_client(response(3, b"stored"))
        // It authenticates again (KIP-368).
        .reaches_server([handshake(4, 1), authenticate(5), authenticate(6)].concat())
        .run();
    play("without frames").client(handshake(1, 0)).client_violates("unframed_tokens").closes(Close::Graceful).run();
    play("without a handshake").client(authenticate(1)).client_violates("no_handshake").closes(Close::Graceful).run();
}

#[test]
fn every_violation_has_a_word_of_its_own() {
    let mut words: Vec<_> = Violation::ALL.iter().map(|violation| violation.word()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Violation::ALL.len());
    let limits: Vec<_> = Violation::ALL
        .iter()
        .filter_map(|violation| Violated { violation: *violation, side: Side::Downstream }.limit())
        .collect();
    assert_eq!(limits, ["kafka_frame", "kafka_held", "buffered_bytes", "head_timeout", "kafka_topics", "kafka_held"]);
}
