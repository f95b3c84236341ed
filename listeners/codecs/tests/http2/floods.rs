//! Floods: each kind has an allowance, which useful traffic refills. The connection ends when an allowance is used up.

use portcullis_codecs::{
    http,
    http::Limits,
    http2::{ErrorCode, Violation},
    relay::{Decision, Side},
};

use crate::{
    frames::*,
    playbook::pair::{Pair, deny_with},
    violations::{bomb, low},
};

fn begun_with(limits: &Limits) -> Pair {
    let mut pair = Pair::new(http::relay(limits), deny_with(Decision::Reset));
    pair.send(Side::Downstream, &client_begins());
    pair.send(Side::Upstream, &[settings(&[]), settings_ack()].concat());
    pair.send(Side::Downstream, &settings_ack());
    pair.to_client.clear();
    pair
}

/// Sends until the connection ends: how often, and by which violation.
fn flood(pair: &mut Pair, mut send: impl FnMut(&mut Pair, u32)) -> (u32, Option<&'static str>) {
    for number in 0..20_000 {
        if pair.close.is_some() {
            assert!(pair.to_client.ends_with(&(ErrorCode::EnhanceYourCalm as u32).to_be_bytes()));
            return (number, pair.recorder.violations.last().map(|(_, word)| *word));
        }
        send(pair, number);
        pair.to_server.clear();
    }
    (20_000, None)
}

fn request(pair: &mut Pair, number: u32) -> u32 {
    let stream = number * 2 + 1;
    pair.send(Side::Downstream, &headers(stream, &POST));
    stream
}

/// CVE-2023-44487.
#[test]
fn rapid_resets_end_the_connection_unless_requests_are_answered_in_between() {
    let give_up = |pair: &mut Pair, number| {
        let stream = request(pair, number);
        pair.send(Side::Downstream, &reset(stream, ErrorCode::Cancel));
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), give_up), (1025, Some("rapid_reset")));
    let every_other = |pair: &mut Pair, number: u32| {
        let stream = request(pair, number);
        if number.is_multiple_of(2) {
            pair.send(Side::Downstream, &reset(stream, ErrorCode::Cancel));
        } else {
            pair.send(Side::Downstream, &data(stream, END_STREAM, ""));
            pair.send(Side::Upstream, &last_headers(stream, &OK));
        }
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), every_other), (20_000, None));
    // Whoever has seen the beginning of the answer may give up the rest.
    let watch = |pair: &mut Pair, number| {
        let stream = request(pair, number);
        pair.send(Side::Upstream, &headers(stream, &OK));
        pair.send(Side::Downstream, &reset(stream, ErrorCode::Cancel));
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), watch), (20_000, None));
}

/// CVE-2025-8671.
#[test]
fn resets_that_a_client_brings_about_end_the_connection_whoever_says_them() {
    let malformed = |pair: &mut Pair, number: u32| {
        pair.send(Side::Downstream, &headers(number * 2 + 1, &[("A", "")]));
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), malformed), (201, Some("provoked_resets")));
    let by_the_server = |pair: &mut Pair, number| {
        let stream = request(pair, number);
        pair.send(Side::Downstream, &window_update(stream, 0x7fff_ffff));
        pair.send(Side::Upstream, &reset(stream, ErrorCode::FlowControlError));
    };
    let mut pair = begun_with(&Limits::default());
    assert_eq!(flood(&mut pair, by_the_server), (201, Some("provoked_resets")));
    assert_eq!(pair.recorder.violations, [(Side::Downstream, "provoked_resets")]);
    let busy = |pair: &mut Pair, number| {
        let stream = request(pair, number);
        pair.send(Side::Upstream, &reset(stream, ErrorCode::RefusedStream));
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), busy), (20_000, None));
}

/// A client that asks for what it may not have is no flood: its requests cost the server nothing.
#[test]
fn denied_requests_are_no_flood() {
    let denied = |pair: &mut Pair, number: u32| pair.send(Side::Downstream, &last_headers(number * 2 + 1, &DENIED));
    assert_eq!(flood(&mut begun_with(&Limits::default()), denied), (20_000, None));
}

/// CVE-2024-27316.
#[test]
fn a_header_block_without_end_is_cut() {
    let pieces = |piece: &[u8], most: u32| {
        let mut pair = begun_with(&Limits::default());
        pair.send(Side::Downstream, &crate::frames::frame(0x1, 0, 1, b""));
        let outcome = flood(&mut pair, |pair, _| pair.send(Side::Downstream, &continuation(1, 0, piece)));
        assert_eq!(outcome.0, most);
        outcome.1
    };
    assert_eq!(pieces(b"", 65), Some("continuation_flood"));
    assert_eq!(pieces(&[0; 16_000], 9), Some("long_head"));
    let mut pair = begun_with(&Limits::default());
    pair.send(Side::Downstream, &last_headers(1, &GET));
    pair.send(Side::Upstream, &crate::frames::frame(0x1, 0, 1, b""));
    let outcome = flood_server(&mut pair, &continuation(1, 0, b""));
    assert_eq!(outcome, (577, Some("continuation_flood")));
}

fn flood_server(pair: &mut Pair, piece: &[u8]) -> (u32, Option<&'static str>) {
    for number in 0..20_000 {
        if pair.close.is_some() {
            assert!(pair.to_server.ends_with(&(ErrorCode::EnhanceYourCalm as u32).to_be_bytes()));
            assert!(pair.to_client.ends_with(&(ErrorCode::InternalError as u32).to_be_bytes()));
            return (number, pair.recorder.violations.last().map(|(_, word)| *word));
        }
        pair.send(Side::Upstream, piece);
    }
    (20_000, None)
}

/// CVE-2019-9512, CVE-2019-9515: what the other side answers is its own business.
#[test]
fn pings_and_settings_end_the_connection_when_they_are_not_answered() {
    let ping = ping(0, b"12345678");
    let pings = |pair: &mut Pair, _| pair.send(Side::Downstream, &ping);
    assert_eq!(flood(&mut begun_with(&Limits::default()), pings), (101, Some("ping_flood")));
    let answered = |pair: &mut Pair, _| {
        pair.send(Side::Downstream, &ping);
        pair.send(Side::Upstream, &crate::frames::ping(ACK, b"12345678"));
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), answered), (20_000, None));
    let said = |pair: &mut Pair, _| pair.send(Side::Downstream, &settings(&[]));
    assert_eq!(flood(&mut begun_with(&Limits::default()), said), (33, Some("settings_flood")));
    let acknowledged = |pair: &mut Pair, _| {
        pair.send(Side::Downstream, &settings(&[(0x4, 1)]));
        pair.send(Side::Upstream, &settings_ack());
    };
    assert_eq!(flood(&mut begun_with(&Limits::default()), acknowledged), (20_000, None));
    assert_eq!(flood_server(&mut begun_with(&Limits::default()), &ping), (101, Some("ping_flood")));
    assert_eq!(flood_server(&mut begun_with(&Limits::default()), &settings(&[])), (33, Some("settings_flood")));
    // An answer that nobody asked for goes nowhere.
    let mut pair = begun_with(&Limits::default());
    pair.send(Side::Upstream, &crate::frames::ping(ACK, b"12345678"));
    assert!(pair.to_client.is_empty() && pair.close.is_none());
}

/// CVE-2019-9518, also as padding only.
#[test]
fn empty_data_ends_the_connection_unless_there_is_data_in_between() {
    for empty in [data(1, 0, b""), data(1, PADDED, b"\x03\0\0\0")] {
        let mut pair = begun_with(&Limits::default());
        request(&mut pair, 0);
        let outcome = flood(&mut pair, |pair, _| pair.send(Side::Downstream, &empty));
        assert_eq!(outcome, (101, Some("empty_data_flood")));
        let mut pair = begun_with(&Limits::default());
        request(&mut pair, 0);
        let now_and_then = |pair: &mut Pair, number: u32| {
            pair.send(Side::Downstream, if number.is_multiple_of(5) { b"\0\0\x01\0\0\0\0\0\x01x" } else { &empty });
        };
        assert_eq!(flood(&mut pair, now_and_then), (20_000, None));
    }
    // Into denied streams as well.
    let mut pair = begun_with(&Limits::default());
    pair.send(Side::Downstream, &headers(1, &DENIED));
    let outcome = flood(&mut pair, |pair, _| pair.send(Side::Downstream, &data(1, 0, b"")));
    assert_eq!(outcome, (101, Some("empty_data_flood")));
}

/// CVE-2019-9511.
#[test]
fn window_updates_end_the_connection_unless_data_uses_them() {
    for stream in [0, 1] {
        let mut pair = begun_with(&Limits::default());
        request(&mut pair, 0);
        let outcome = flood(&mut pair, |pair, _| pair.send(Side::Downstream, &window_update(stream, 1)));
        assert_eq!(outcome, (10_001, Some("window_update_flood")));
        let mut pair = begun_with(&Limits::default());
        request(&mut pair, 0);
        pair.send(Side::Upstream, &headers(1, &OK));
        let with_data = |pair: &mut Pair, _| {
            pair.send(Side::Upstream, &data(1, 0, b"x"));
            pair.send(Side::Downstream, &[window_update(1, 1), window_update(0, 1)].concat());
            pair.to_client.clear();
        };
        assert_eq!(flood(&mut pair, with_data), (20_000, None));
    }
}

/// CVE-2019-9513, and frames on streams that are over.
#[test]
fn frames_without_effect_end_the_connection_unless_there_are_requests() {
    let unknown = crate::frames::frame(0xbe, 0, 0, b"x");
    for (name, frame) in [("priority", priority(3, 1)), ("unknown", unknown), ("over", reset(1, ErrorCode::Cancel))] {
        let mut pair = begun_with(&Limits::default());
        pair.send(Side::Downstream, &headers(1, &DENIED));
        let outcome = flood(&mut pair, |pair, _| pair.send(Side::Downstream, &frame));
        assert_eq!(outcome, (1001, Some("ignored_flood")), "{name}");
        let mut pair = begun_with(&Limits::default());
        pair.send(Side::Downstream, &headers(1, &DENIED));
        let with_requests = |pair: &mut Pair, number: u32| {
            pair.send(Side::Downstream, &frame.repeat(5));
            pair.send(Side::Downstream, &last_headers(number * 2 + 3, &DENIED));
        };
        assert_eq!(flood(&mut pair, with_requests), (20_000, None), "{name}");
    }
}

/// A few bytes that become many: the list is never built, and the table stays right as long as that is cheap.
#[test]
fn a_bomb_in_the_header_compression_does_not_go_off() {
    let mut pair = begun_with(&Limits::default());
    pair.send(Side::Downstream, &bomb(1, 4000, 40));
    assert_eq!(pair.recorder.violations, [(Side::Downstream, "long_head")]);
    assert!(pair.close.is_none());
    let refused = last_headers(1, &[(":status", "431"), ("content-length", "0")]);
    assert_eq!(pair.to_client, refused);
    // The entry of the table that it left can still be named.
    let named = [block(&GET), vec![0x80 | 62]].concat();
    pair.send(Side::Downstream, &crate::frames::frame(0x1, END_HEADERS | END_STREAM, 3, &named));
    assert_eq!(pair.recorder.judged, ["GET /a h"]);
    pair.send(Side::Downstream, &bomb(5, 4000, 10_000));
    assert_eq!(pair.recorder.violations.last(), Some(&(Side::Downstream, Violation::HpackBomb.word())));
    assert!(pair.to_client.ends_with(&(ErrorCode::EnhanceYourCalm as u32).to_be_bytes()));
}

#[test]
fn streams_above_the_limit_may_be_tried_again_and_those_below_go_on() {
    let mut pair = begun_with(&low());
    for number in 0..3 {
        request(&mut pair, number);
    }
    assert_eq!(pair.recorder.judged.len(), 2);
    assert_eq!(pair.to_client, reset(5, ErrorCode::RefusedStream));
    pair.send(Side::Downstream, &data(1, END_STREAM, "x"));
    pair.send(Side::Upstream, &last_headers(1, &OK));
    request(&mut pair, 3);
    assert_eq!(pair.recorder.judged.len(), 3);
    assert!(pair.close.is_none());
}
