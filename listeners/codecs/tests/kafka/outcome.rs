//! The invariants for arbitrary Kafka bytes, split in any way. Random tests and fuzz targets share them.

use portcullis_codecs::{
    kafka::{self, Limits, Walk, WalkEvent, WalkValue, layout},
    relay::{Decision, Side},
};
use portcullis_rules::{request::Request, schema::FieldIndex, values::ValueSet};

use crate::playbook::{
    outcome::{Outcome, send_in_pieces},
    pair::{Judge, Pair},
};

const TOPIC: FieldIndex = FieldIndex(4);
const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

/// What comes of it where topics with some names are denied.
fn played(limits: &Limits, parts: &[(Side, &[u8])], lengths: &[usize], unseen: bool) -> Outcome {
    let judge = Box::new(|request: &dyn portcullis_rules::request::Request| {
        let mut topics = (0..request.count(TOPIC).unwrap_or(0)).map(|number| request.nth(TOPIC, number));
        if topics.any(|topic| topic.ends_with(b"3-")) { Decision::Disconnect } else { Decision::Allow }
    });
    play(pair(limits, judge), parts, lengths, unseen)
}

fn pair(limits: &Limits, judge: Judge) -> Pair {
    Pair::new(kafka::relay(limits, &Default::default(), ([192, 0, 2, 7], 9092).into()), judge)
}

/// Plays what the sides send, and then ends both.
fn play(mut pair: Pair, parts: &[(Side, &[u8])], lengths: &[usize], unseen: bool) -> Outcome {
    pair.unseen = unseen;
    for (from, bytes) in parts {
        send_in_pieces(&mut pair, *from, bytes, lengths);
    }
    pair.end(Side::Downstream);
    pair.end(Side::Upstream);
    Outcome::of(pair)
}

/// Checks what holds for every outcome, and that the outcome is the same however the parts are cut. Of a request that is
/// broken behind what is judged more or less may have gone on, but never all of it.
pub(crate) fn check(parts: &[(Side, &[u8])], lengths: &[usize], unseen: bool) {
    let lengths = if lengths.is_empty() { &[7] } else { lengths };
    let client: Vec<u8> =
        parts.iter().filter(|(from, _)| *from == Side::Downstream).flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let large = Limits::default();
    let whole = played(&large, parts, &[usize::MAX], false);
    for other in [played(&large, parts, &[1], unseen), played(&large, parts, lengths, unseen)] {
        if whole.violations.is_empty() {
            assert_eq!(whole, other);
        }
        assert_eq!(whole.violations, other.violations);
        assert!(other.to_server.starts_with(&whole.to_server) || whole.to_server.starts_with(&other.to_server));
    }
    let small = Limits { held: 60, outstanding: 2, ..large };
    for outcome in [whole, played(&small, parts, &[1], unseen), played(&small, parts, lengths, unseen)] {
        let mut rest = client.iter();
        // A question of the relay's own, about names.
        let asks = outcome.to_server.windows(4).any(|bytes| bytes == b"port");
        assert!(asks || outcome.to_server.iter().all(|byte| rest.any(|other| other == byte)), "something was added");
        assert!(outcome.violations.len() <= 1, "{:?}", outcome.violations);
        let allowed = outcome.judged.iter().filter(|line| !line.contains(" -> ")).count();
        assert!(allowed > 0 || asks || outcome.to_server.is_empty(), "bytes without a verdict");
        assert!(outcome.answered.len() <= allowed, "more answers than requests");
    }
}

/// A third of the names that random requests have.
fn is_refused(topic: &[u8]) -> bool {
    topic.get(1).is_none_or(|digit| digit.is_multiple_of(3))
}

fn refused(request: &dyn Request) -> ValueSet {
    let field = request.each().unwrap_or(TOPIC);
    let refuses = |number: usize| {
        let mut topics = request.beside(number, TOPIC).unwrap_or_default();
        is_refused(request.nth(field, number)) || topics.any(|topic| is_refused(request.nth(TOPIC, topic)))
    };
    (0..request.count(field).unwrap_or(0)).filter(|number| refuses(*number)).collect()
}

/// The same where denials are answered.
fn answered(limits: &Limits, parts: &[(Side, &[u8])], lengths: &[usize], unseen: bool) -> Outcome {
    let judge = Box::new(|request: &dyn Request| {
        match (request.count(request.each().unwrap_or(TOPIC)), refused(request).len()) {
            (Some(0), _) if request.lists().is_some() => Decision::Filter,
            (Some(0), _) => Decision::Respond,
            (_, 0) => Decision::Allow,
            (count, some) if Some(some) < count && request.has_parts() => Decision::Partial { hide: false },
            _ => Decision::Respond,
        }
    });
    let mut pair = pair(limits, judge);
    pair.recorder.refusals = Some(Box::new(|request| Some(refused(request))));
    play(pair, parts, lengths, unseen)
}

/// Whether a request names a topic that is refused. `None`: it is none, or there is no whole one.
fn names_refused(frame: &[u8]) -> Option<bool> {
    let number = |at: usize| Some(i16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let (layout, version) = (layout::request(number(4)?)?, number(6)?);
    if layout.key == DESCRIBE_TOPIC_PARTITIONS {
        // Where all topics are asked for page by page, one says where a page begins.
        return None;
    }
    let mut found = false;
    Walk::request(layout, version, frame.len())
        .walk(frame, 0, &mut |event| {
            if let WalkEvent::Value { meaning, value: WalkValue::Text(name), .. } = event
                && meaning.is_topic()
            {
                found |= is_refused(name);
            }
        })
        .ok()
        .map(|_| found)
}

/// Checks that what is refused never reaches the server, and that nothing depends on how the parts are cut.
pub(crate) fn check_answers(parts: &[(Side, &[u8])], lengths: &[usize], unseen: bool) {
    let lengths = if lengths.is_empty() { &[7] } else { lengths };
    let limits = Limits::default();
    let whole = answered(&limits, parts, &[usize::MAX], false);
    for other in [answered(&limits, parts, &[1], unseen), answered(&limits, parts, lengths, unseen)] {
        if whole.violations.is_empty() {
            assert_eq!(whole, other);
        }
        assert_eq!(whole.violations, other.violations);
    }
    let small = Limits { held: 60, outstanding: 2, ..limits };
    for outcome in [whole, answered(&small, parts, &[1], unseen), answered(&small, parts, lengths, unseen)] {
        let mut rest = &outcome.to_server[..];
        while let Some(length) = rest.first_chunk().map(|length| u32::from_be_bytes(*length) as usize + 4) {
            // A frame that is cut short is none.
            let Some(frame) = rest.get(..length) else { break };
            assert_ne!(names_refused(frame), Some(true), "a refused topic reached the server");
            rest = &rest[length..];
        }
        assert!(outcome.violations.len() <= 1, "{:?}", outcome.violations);
    }
}
