//! What comes of any bytes of Kafka's, however they are cut: the invariants that random tests and fuzzing share.

use portcullis_codecs::{
    kafka::{self, Limits},
    relay::{Decision, Side},
};
use portcullis_rules::schema::FieldIndex;

use crate::playbook::{
    outcome::{Outcome, send_in_pieces},
    pair::Pair,
};

const TOPIC: FieldIndex = FieldIndex(4);

/// Plays what the sides send, and then ends both. Topics with some names are denied.
fn played(limits: &Limits, parts: &[(Side, &[u8])], lengths: &[usize], unseen: bool) -> Outcome {
    let judge = Box::new(|request: &dyn portcullis_rules::request::Request| {
        let mut topics = (0..request.count(TOPIC).unwrap_or(0)).map(|number| request.nth(TOPIC, number));
        if topics.any(|topic| topic.ends_with(b"3-")) { Decision::Disconnect } else { Decision::Allow }
    });
    let mut pair = Pair::new(kafka::relay(limits, &Default::default(), ([192, 0, 2, 7], 9092).into()), judge);
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
        if whole.offences.is_empty() {
            assert_eq!(whole, other);
        }
        assert_eq!(whole.offences, other.offences);
        assert!(other.to_server.starts_with(&whole.to_server) || whole.to_server.starts_with(&other.to_server));
    }
    let small = Limits { held: 60, outstanding: 2, ..large };
    for outcome in [whole, played(&small, parts, &[1], unseen), played(&small, parts, lengths, unseen)] {
        let mut rest = client.iter();
        // A question of the relay's own, about names.
        let asks = outcome.to_server.windows(4).any(|bytes| bytes == b"port");
        assert!(asks || outcome.to_server.iter().all(|byte| rest.any(|other| other == byte)), "something was added");
        assert!(outcome.offences.len() <= 1, "{:?}", outcome.offences);
        let allowed = outcome.judged.iter().filter(|line| !line.contains(" -> ")).count();
        assert!(allowed > 0 || asks || outcome.to_server.is_empty(), "bytes without a verdict");
        assert!(outcome.answered.len() <= allowed, "more answers than requests");
    }
}
