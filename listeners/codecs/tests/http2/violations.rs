//! Every violation occurs in some test, and the offending peer gets its error code.

use std::collections::BTreeSet;

use portcullis_codecs::{
    http,
    http::Limits,
    http2::{Violated, Violation, Violation as V},
    relay::{Decision, ProtocolViolation, Side},
};

use crate::{
    frames::*,
    playbook::pair::{Pair, deny_with},
};

/// Limits at which every flood is a short one.
pub(crate) fn low() -> Limits {
    let mut limits = Limits { request_head: 2000, request_headers: 10, response_head: 2000, ..Limits::default() };
    let http2 = &mut limits.http2;
    (http2.streams, http2.continuations, http2.rapid_resets, http2.provoked_resets) = (2, 3, 3, 3);
    (http2.pings, http2.settings, http2.empty_data, http2.window_updates, http2.ignored) = (3, 10, 3, 10, 3);
    http2.trailers = 99;
    limits
}

/// What brings a violation about, behind the SETTINGS of both sides and a request on stream 1 that goes on.
fn example(violation: Violation) -> (Side, Vec<u8>) {
    let [method, scheme, path, authority] = GET;
    let request = |fields: &[(&str, &str)]| last_headers(3, fields);
    let with = |name, value| request(&[method, scheme, path, authority, (name, value)]);
    let many = |count: usize, one: Vec<u8>| one.repeat(count);
    let server = |bytes: Vec<u8>| (Side::Upstream, bytes);
    let bytes = match violation {
        V::Preface | V::NoSettings | V::HeadTimeout => Vec::new(),
        V::FrameSize => frame(0x6, 0, 0, b"short"),
        V::StreamId => headers(2, &GET),
        V::Padding => data(1, PADDED, b"\x05abc"),
        V::IdleStream => data(3, 0, b""),
        V::StreamClosed => cat(&[data(1, END_STREAM, b""), data(1, 0, b"x")]),
        V::Continuation => continuation(1, END_HEADERS, b""),
        V::PushPromise => return server(frame(0x5, END_HEADERS, 1, b"\0\0\0\x02")),
        V::SettingValue => settings(&[(0x5, 1)]),
        V::InitialWindow => settings(&[(0x4, u32::MAX)]),
        V::SettingsAck => settings_ack(),
        V::WindowIncrement => window_update(1, 0),
        V::SelfDependency => priority(3, 3),
        V::HeaderBlock => frame(0x1, END_HEADERS, 3, b"\x80"),
        V::FieldName => with("A", "b"),
        V::FieldVariant => with("content_length", "1"),
        V::Expectation => with("expect", "x"),
        V::FieldValue => with("a", "b\r\nc: d"),
        V::ConnectionField => with("connection", "close"),
        V::PseudoField => request(&[method, scheme, authority]),
        V::Method => request(&[(":method", "G T"), scheme, path, authority]),
        V::Scheme => request(&[method, (":scheme", "gopher"), path, authority]),
        V::TargetByte => request(&[method, scheme, (":path", "/a#b"), authority]),
        V::TargetForm => request(&[method, scheme, (":path", "a"), authority]),
        V::UserInfo => request(&[method, scheme, path, (":authority", "u@h")]),
        V::NoHost => request(&[method, scheme, path]),
        V::TwoHosts => request(&[method, scheme, path, ("host", "h"), ("host", "h")]),
        V::HostValue => request(&[method, scheme, path, (":authority", "/")]),
        V::HostMismatch => with("host", "g"),
        V::ContentLength => with("content-length", "x"),
        V::ConnectBody => request(&[(":method", "CONNECT"), (":authority", "h:1"), ("content-length", "1")]),
        V::ExtendedConnect => request(&[(":method", "CONNECT"), (":protocol", "x"), scheme, path, authority]),
        V::LengthMismatch => with("content-length", "1"),
        V::NoHead => return server(data(1, 0, b"x")),
        V::TrailersEnd => headers(1, &[("a", "b")]),
        V::TrailerField => last_headers(1, &[("content-length", "1")]),
        V::Status => return server(headers(1, &[(":status", "101")])),
        V::LongHead => with("a", &"x".repeat(3000))[..20].to_vec(),
        V::ManyHeaders => request(&[[method, scheme, path, authority].to_vec(), vec![("a", "b"); 10]].concat()),
        V::LongResponseHead => return server(headers(1, &[(":status", "200"), ("a", &"x".repeat(3000))])),
        V::Trailers => last_headers(1, &[("a", &"x".repeat(100))]),
        V::HpackBomb => bomb(3, 1700, 20),
        V::ManyStreams => cat(&[headers(3, &GET), headers(5, &GET)]),
        V::RapidReset => (1..=4)
            .flat_map(|n| {
                [headers(n * 2 + 1, &GET), reset(n * 2 + 1, portcullis_codecs::http2::ErrorCode::Cancel)].concat()
            })
            .collect(),
        V::ProvokedResets => (1..=4).flat_map(|n| headers(n * 2 + 1, &[("A", "")])).collect(),
        V::ContinuationFlood => cat(&[frame(0x1, 0, 3, b""), many(4, continuation(3, 0, b""))]),
        V::PingFlood => many(4, ping(0, b"12345678")),
        V::SettingsFlood => many(11, settings(&[])),
        V::ManySettings => settings(&[(0x4, 5); 11]),
        V::EmptyDataFlood => many(4, data(1, 0, b"")),
        V::WindowUpdateFlood => many(15, window_update(0, 1)),
        V::IgnoredFlood => many(20, frame(0xbe, 0, 0, b"")),
    };
    (Side::Downstream, bytes)
}

/// A block of few bytes that becomes a list of many: one long value in the table, named over and over.
pub(crate) fn bomb(stream: u32, value: usize, times: usize) -> Vec<u8> {
    let mut block = vec![0x40, 0x01, b'a', 0x7f];
    let mut rest = value - 0x7f;
    while rest >= 0x80 {
        block.push(u8::try_from(rest & 0x7f).expect("sound") | 0x80);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).expect("sound"));
    block.extend(vec![b'x'; value]);
    block.extend(vec![0x80 | 62; times]);
    frame(0x1, END_HEADERS | END_STREAM, stream, &block)
}

fn happened(violation: Violation) -> Pair {
    let mut pair = Pair::new(http::relay(&low()), deny_with(Decision::Reset));
    match violation {
        V::Preface => {
            pair.send(Side::Downstream, crate::upgrade::OFFER.as_bytes());
            pair.send(Side::Upstream, crate::upgrade::SWITCHING.as_bytes());
            pair.to_client.clear();
            pair.send(Side::Downstream, b"GET / HTTP/1.1\r\n");
            return pair;
        }
        V::NoSettings => pair.send(Side::Downstream, &[PREFACE.to_vec(), ping(0, b"12345678")].concat()),
        V::HeadTimeout => {
            pair.send(Side::Downstream, PREFACE);
            pair.time_out();
        }
        _ => {
            pair.send(Side::Downstream, &[client_begins(), headers(1, &POST)].concat());
            pair.send(Side::Upstream, &[settings(&[]), settings_ack()].concat());
            pair.send(Side::Downstream, &settings_ack());
            pair.to_client.clear();
            pair.to_server.clear();
            let (side, bytes) = example(violation);
            pair.send(side, &bytes);
        }
    }
    pair
}

#[test]
fn every_violation_can_happen_and_its_offender_is_told_its_code() {
    for violation in Violation::ALL {
        let pair = happened(*violation);
        let side = match violation {
            V::PushPromise | V::NoHead | V::Status | V::LongResponseHead => Side::Upstream,
            _ => Side::Downstream,
        };
        let mut violations = pair.recorder.violations.clone();
        if *violation == V::ProvokedResets {
            violations.drain(..3);
            violations.retain(|(_, word)| *word != "field_name");
        }
        assert_eq!(violations, [(side, violation.word())], "{violation:?}");
        let told = if side == Side::Downstream { &pair.to_client } else { &pair.to_server };
        let code = violation.code() as u32;
        // The last that is said: GOAWAY, RST_STREAM, or 431.
        let large = *violation == V::ManyHeaders;
        let last = if large {
            told.ends_with(&block(&[(":status", "431"), ("content-length", "0")]))
        } else {
            told.ends_with(&code.to_be_bytes())
        };
        assert!(last, "{violation:?}: {}", told.escape_ascii());
        let ends_connection = pair.close.is_some();
        assert_eq!(ends_connection, told.len() >= 17 && told[told.len() - 14] == 0x7, "{violation:?}");
    }
}

#[test]
fn the_words_differ_and_each_limit_is_named() {
    let words: BTreeSet<_> = Violation::ALL.iter().map(|violation| violation.word()).collect();
    assert_eq!(words.len(), Violation::ALL.len());
    let side = Side::Downstream;
    for violation in Violation::ALL {
        let limit = Violated { violation: *violation, side }.limit();
        let is_limit = matches!(violation.code() as u32, 0x7 | 0xb);
        assert_eq!(limit.is_some(), is_limit, "{violation:?}");
    }
    let rapid = Violated { violation: Violation::RapidReset, side: Side::Downstream };
    assert_eq!(rapid.limit(), Some("rapid_resets"));
}
