//! Requests that are allowed in part: what is forwarded of them, and the combined answer.

use portcullis_codecs::kafka::{
    WalkProgress,
    denial::{PartialTopic, deny, deny_whole, divide, merge},
    layout::{self, FieldMeaning},
};

use crate::{
    oracle::{Met, Way, walked},
    sample::Sample,
};

const TOPICS: [(&str, [u8; 16]); 3] = [("orders", [1; 16]), ("secret", [2; 16]), ("payments", [3; 16])];

fn secret(topic: PartialTopic<'_>) -> bool {
    topic == PartialTopic::Name(b"secret") || topic == PartialTopic::Id([2; 16])
}

/// The topics of a message, by name or id, in their order.
fn topics(way: Way, key: i16, version: i16, frame: &[u8]) -> Vec<String> {
    let (progress, met) = walked(way, key, version, frame).expect("a valid message");
    assert_eq!(progress, WalkProgress::Complete);
    let told = met.iter().filter_map(|met| match met {
        Met::Text(FieldMeaning::TopicName, name, _) => Some(name.clone()),
        Met::Other(other) if other.contains("meaning: TopicId") => {
            let known = TOPICS.iter().find(|(_, id)| other.contains(&format!("{id:?}")));
            known.map(|(name, _)| (*name).to_owned())
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn the_refused_topic_is_taken_out_and_answered_in_front_of_the_others() {
    let mut divided = 0;
    for key in [0, 1, 2, 3, 8, 9, 19, 20, 21, 23, 28, 37] {
        let layout = layout::request(key).expect("there is such a request");
        for version in layout.versions.first..=layout.versions.last {
            for by_id in [false, true] {
                if by_id && !matches!((key, version), (3, 12..) | (20, 6..)) {
                    continue;
                }
                let sample = Sample { topics: &TOPICS, kind: 2, entries: 1, nulls: false, by_id };
                let frame = sample.frame(key, version);
                let partial = divide(layout, version, &frame, &secret).expect("a valid request").expect("divisible");
                assert_eq!((partial.left, partial.refused), (2, 1), "{key} v{version}");
                assert_eq!(topics(Way::Request, key, version, &partial.request), ["orders", "payments"]);
                // As if the topic had never been named.
                let without = Sample { topics: &[TOPICS[0], TOPICS[2]], ..sample }.frame(key, version);
                if key != 1 {
                    assert_eq!(partial.request, without, "{key} v{version}");
                }
                let all = divide(layout, version, &frame, &|_| false).expect("a valid request").expect("divisible");
                assert_eq!((all.request, all.entries), (frame, Vec::new()), "{key} v{version}");
                // The answer to what is left is any that names it: here one that denies it.
                let mut answer = Vec::new();
                deny(layout, version, &partial.request, &mut answer).expect("a valid request");
                let Some(merged) = merge(key, version, &answer, &partial).expect("a valid response") else {
                    panic!("{key} v{version} has no list of topics");
                };
                let named = topics(Way::Response, key, version, &merged);
                // OffsetFetch names no topics where the group is denied.
                let others: &[&str] = if key == 9 && version > 1 { &[] } else { &["orders", "payments"] };
                assert_eq!(named, [&["secret"], others].concat(), "{key} v{version} {by_id}");
                divided += 1;
            }
        }
    }
    assert!(divided > 80, "{divided}");
}

#[test]
fn a_transaction_takes_all_partitions_or_none() {
    let layout = layout::request(24).expect("there is such a request");
    for version in 0..=3 {
        let frame = Sample { topics: &TOPICS, kind: 2, entries: 1, nulls: false, by_id: false }.frame(24, version);
        let mut answer = Vec::new();
        assert_eq!(deny_whole(layout, version, &frame, &secret, &mut answer), Ok(true));
        assert_eq!(topics(Way::Response, 24, version, &answer), ["orders", "secret", "payments"]);
        let codes = |code: u8| answer.windows(2).filter(|bytes| *bytes == [0, code]).count();
        assert_eq!((codes(29), codes(55)), (1, 2), "{}", answer.escape_ascii());
        assert_eq!(divide(layout, version, &frame, &secret), Ok(None));
    }
}
