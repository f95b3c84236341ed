//! DNS over TCP.

use portcullis_codecs::{
    dns,
    dns::Limits,
    fact::Facts,
    relay::{Close, Decision, ResponseSummary, Side},
};
use portcullis_rules::{request::FieldValue, schema::FieldIndex};

use crate::{
    message::{A, AAAA, Message, frame},
    playbook::{
        pair::{Judge, Pair},
        script::Play,
    },
};

/// Denies names that begin with `deny`.
pub(crate) fn deny_with(decision: Decision) -> Judge {
    Box::new(move |request| match request.field(FieldIndex(0), "") {
        FieldValue::Value(name) if name.starts_with(b"deny") => decision,
        _ => Decision::Allow,
    })
}

fn play(name: &'static str) -> Play {
    let limits = Limits { queries: 3 };
    Play::new(name, move || dns::relay(&limits)).judged_by(|| deny_with(Decision::Respond))
}

fn query(id: u16, name: &str) -> Vec<u8> {
    Message::query(id, name, A).frame()
}

fn answer(id: u16, name: &str) -> Vec<u8> {
    Message::answer(id, name, A).address(name, 9, "192.0.2.1").frame()
}

/// An answer of ours.
fn said(id: u16, name: &str, rcode: u16) -> Vec<u8> {
    Message::answer(id, name, A).flags(0x8180 | rcode).frame()
}

fn status(exchange: u32) -> ResponseSummary {
    ResponseSummary { exchange, status: Some(0), facts: Facts::NONE }
}

#[test]
fn queries_and_answers_pass_as_they_came() {
    play("one after the other")
        .reaches_server(query(1, "a.Test"))
        .judged(&["a.test. A"])
        .reaches_client(answer(1, "A.test"))
        .reaches_server(query(2, "b.test"))
        .reaches_client(answer(2, "b.test"))
        .answers(&[status(0), status(1)])
        .run();
    play("pipelined, and answered in another order")
        .reaches_server([query(1, "a.test"), query(1, "b.test"), query(2, "a.test")].concat())
        .reaches_client([answer(2, "a.test"), answer(1, "b.test")].concat())
        .reaches_client(answer(1, "a.test"))
        .answers(&[status(2), status(1), status(0)])
        .run();
}

#[test]
fn a_denied_query_is_answered_between_the_others() {
    play("refused")
        .client([query(1, "a.test"), query(2, "deny.test"), query(3, "b.test")].concat())
        .server_sees([query(1, "a.test"), query(3, "b.test")].concat())
        .client_sees(said(2, "deny.test", 5))
        .reaches_client([answer(3, "b.test"), answer(1, "a.test")].concat())
        .run();
    play("hidden")
        .judged_by(|| deny_with(Decision::Hide))
        .client(query(2, "deny.test"))
        .client_sees(said(2, "deny.test", 3))
        .run();
    play("left without an answer")
        .judged_by(|| deny_with(Decision::Reset))
        .client([query(2, "deny.test"), query(3, "b.test")].concat())
        .server_sees(query(3, "b.test"))
        .judged(&["deny.test. A -> Reset", "b.test. A"])
        .run();
}

#[test]
fn an_answer_waits_for_what_it_resolves_and_those_behind_it_wait_with_it() {
    let asked = || play("learnt").learning().reaches_server([query(1, "a.test"), query(2, "b.test")].concat());
    asked()
        .server([answer(2, "b.test"), answer(1, "a.test")].concat())
        .resolves("b.test. 192.0.2.1 for 9")
        .commits(true)
        .client_sees(answer(2, "b.test"))
        .resolves("a.test. 192.0.2.1 for 9")
        .commits(false)
        .client_sees(said(1, "a.test", 2))
        .reaches_server(query(3, "c.test"))
        .run();
    let nothing = Message::answer(1, "a.test", A).flags(0x8183).frame();
    asked().reaches_client(nothing).run();
    // While one waits, queries still go out, and the end of the server's stream waits too.
    asked()
        .server(answer(1, "a.test"))
        .server_ends()
        .resolves("a.test. 192.0.2.1 for 9")
        .reaches_server(query(3, "c.test"))
        .commits(true)
        .client_sees(answer(1, "a.test"))
        .closes(Close::Graceful)
        .run();
}

#[test]
fn no_more_is_read_than_the_limit_lets_wait() {
    let four: Vec<u8> = (1..=4).flat_map(|id| query(id, "a.test")).collect();
    let one = query(1, "a.test").len();
    play("at the limit")
        .client(&four)
        .server_sees(&four[..3 * one])
        .server(answer(2, "a.test"))
        .client_sees(answer(2, "a.test"))
        .server_sees(&four[3 * one..])
        .run();
}

#[test]
fn what_is_malformed_is_told_or_ends_the_connection() {
    let with_trailing = frame(&[Message::query(1, "a.test", A).bytes(), vec![0]].concat());
    play("told")
        .client([with_trailing, query(2, "a.test")].concat())
        .client_sees(said(1, "a.test", 1))
        .server_sees(query(2, "a.test"))
        .client_violates("trailing")
        .run();
    play("an answer from the client").client(answer(1, "a")).client_violates("not_a_query").closes(Close::Reset).run();
    for short in [&b"\x00\x00"[..], b"\x00\x0b"] {
        play("a short frame").client(short).client_violates("short_frame").closes(Close::Reset).run();
        play("one of the server").server(short).server_violates("short_frame").closes(Close::Reset).run();
    }
    play("nobody asked")
        .reaches_server(query(1, "a.test"))
        .server(answer(2, "a.test"))
        .server_violates("unasked")
        .closes(Close::Reset)
        .run();
    let broken = Message::answer(1, "a.test", AAAA).with(1, b"\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x09\x00\x03abc");
    play("an answer that cannot be read")
        .learning()
        .reaches_server(Message::query(1, "a.test", AAAA).frame())
        .server(broken.frame())
        .server_violates("address")
        .closes(Close::Reset)
        .run();
}

#[test]
fn streams_end_between_frames() {
    play("the client ends first")
        .reaches_server(query(1, "a.test"))
        .client_ends()
        .reaches_client(answer(1, "a.test"))
        .server_ends()
        .closes(Close::Graceful)
        .run();
    play("the server ends first").reaches_server(query(1, "a.test")).server_ends().closes(Close::Graceful).run();
    let cut = &query(1, "a.test")[..9];
    play("the client is cut").client(cut).client_ends().client_violates("cut_frame").closes(Close::Reset).run();
    play("the server is cut").server(cut).server_ends().server_violates("cut_frame").closes(Close::Reset).run();
}

#[test]
fn a_frame_that_has_begun_has_to_come_in_time() {
    let whole = query(1, "a.test");
    play("too late")
        .client([&whole[..], &whole[..1]].concat())
        .server_sees(&whole)
        .time_passes()
        .client_violates("frame_timeout")
        .closes(Close::Reset)
        .run();
    play("nothing has begun").reaches_server(&whole).time_passes().run();
}

#[test]
fn the_longest_message_passes_whole() {
    let mut pair = Pair::new(dns::relay(&Limits::default()), deny_with(Decision::Respond));
    pair.send(Side::Downstream, &query(1, "a.test"));
    let mut largest = Message::answer(1, "a.test", A);
    let room = usize::from(u16::MAX) - largest.bytes().len() - 11;
    largest = largest.with(1, &crate::message::record(&[0], 16, 0, &vec![0; room]));
    assert_eq!(largest.bytes().len(), usize::from(u16::MAX));
    pair.send(Side::Upstream, &largest.frame());
    assert_eq!(pair.to_client, largest.frame());
}
