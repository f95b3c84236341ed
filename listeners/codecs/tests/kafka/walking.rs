//! Every request at every version, and every response that is read, walked by the table.

use portcullis_codecs::kafka::{
    Violation, WalkProgress,
    layout::{self, FieldKind, FieldMeaning, LayoutField},
};
use proptest::{collection::vec, prelude::*};

use crate::{
    oracle::{self, Met, Way, framed, names, read_request, read_response, request_frame, walk, walked},
    random::{Maker, Random, varint},
};

/// Random messages of each version.
const MANY: u64 = 30;

/// Every request and version.
pub(crate) fn requests() -> impl Iterator<Item = (i16, i16)> {
    let all = (0..=i16::MAX).filter_map(layout::request);
    all.flat_map(|message| (message.versions.first..=message.versions.last).map(|version| (message.key, version)))
}

pub(crate) fn random_request(key: i16, version: i16, seed: u64) -> (Vec<u8>, Vec<(FieldMeaning, String)>) {
    let message = layout::request(key).expect("there is such a request");
    let body = Maker::body(message, version, &mut Random::new(seed));
    (request_frame(key, version, (!seed.is_multiple_of(3)).then_some("client"), &body.bytes), body.texts)
}

fn texts(met: &[Met]) -> Vec<(FieldMeaning, String)> {
    let texts = met.iter().filter_map(|met| match met {
        Met::Text(meaning, text, _) => Some((*meaning, text.clone())),
        Met::Other(_) => None,
    });
    texts.filter(|(meaning, _)| *meaning != FieldMeaning::ClientId).collect()
}

#[test]
fn all_requests_of_a_broker_listener_are_there() {
    let keys: Vec<_> = (0..=i16::MAX).filter(|key| layout::request(*key).is_some()).collect();
    assert_eq!((keys.len(), keys.last()), (79, Some(&94)));
    // Those that Kafka calls stable; it has one more.
    assert_eq!(requests().count(), 284);
    // Between brokers and controllers only, or without any version left.
    assert!([4, 5, 6, 7, 52, 53, 56, 58, 59, 62, 63, 67, 70, 73, 82].iter().all(|key| !keys.contains(key)));
    assert!([-1, 95, 10_000, i16::MIN].iter().all(|key| layout::request(*key).is_none()));
}

#[test]
fn every_request_is_walked_to_its_end_with_the_names_that_it_has() {
    for (key, version) in requests() {
        for seed in 0..MANY {
            let (frame, said) = random_request(key, version, seed);
            let (progress, met) = walked(Way::Request, key, version, &frame).expect("a valid request");
            assert_eq!(progress, WalkProgress::Complete, "{key} v{version}, seed {seed}");
            assert_eq!(texts(&met), said);
        }
    }
}

#[test]
fn kafka_protocol_reads_the_same_requests_with_the_same_names() {
    let mut compared = 0;
    for (key, version) in requests().filter(|(key, version)| oracle::knows(*key, *version).is_some()) {
        compared += 1;
        for seed in 0..MANY {
            let (frame, _) = random_request(key, version, seed);
            let (theirs, again) = read_request(&frame).unwrap_or_else(|| panic!("{key} v{version}, seed {seed}"));
            let (_, met) = walked(Way::Request, key, version, &frame).expect("a valid request");
            assert_eq!(names(&met), theirs, "{key} v{version}, seed {seed}");
            // As it writes it, which is without tagged fields that say what goes without saying.
            let (progress, met) = walked(Way::Request, key, version, &again).expect("a valid request");
            assert_eq!((progress, names(&met)), (WalkProgress::Complete, theirs), "{key} v{version}, seed {seed}");
        }
    }
    // Its messages are those of Kafka 4.1.
    assert_eq!(compared, 264);
}

#[test]
fn every_response_that_is_read_is_walked_to_its_end() {
    let mut compared = 0;
    for message in (0..=94).filter_map(layout::response) {
        for version in message.versions.first..=message.versions.last {
            for seed in 0..MANY {
                let body = Maker::body(message, version, &mut Random::new(seed));
                // Flexible ones have tags behind their number.
                let tags = message.flexible.contains(version) && message.key != 18;
                let head = [&[0, 0, 0, 7][..], if tags { &[0] } else { &[] }].concat();
                let frame = framed(&[&head[..], &body.bytes].concat());
                let (progress, met) = walked(Way::Response, message.key, version, &frame).expect("a valid response");
                assert_eq!((progress, texts(&met)), (WalkProgress::Complete, body.texts), "{} v{version}", message.key);
                if oracle::knows(message.key, version).is_none() {
                    continue;
                }
                compared += 1;
                let again = read_response(message.key, version, &body.bytes);
                let again = again.unwrap_or_else(|| panic!("{} v{version}, seed {seed}", message.key));
                let frame = framed(&[&head[..], &again].concat());
                let read = walked(Way::Response, message.key, version, &frame);
                assert_eq!(
                    read.map(|(progress, _)| progress),
                    Ok(WalkProgress::Complete),
                    "{} v{version}",
                    message.key
                );
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn a_frame_that_is_cut_wants_more_and_nothing_else() {
    for (key, version) in requests() {
        let (frame, _) = random_request(key, version, 5);
        let (_, whole) = walked(Way::Request, key, version, &frame).expect("a valid request");
        for cut in 0..frame.len() {
            let mut walk = walk(Way::Request, key, version, frame.len()).expect("there is such a request");
            let mut count = 0;
            let progress = walk.walk(&frame[..cut], 0, &mut |_| count += 1);
            assert_eq!(progress, Ok(WalkProgress::More), "{key} v{version} cut at {cut}");
            // What comes later is read from there on, without what was read before.
            let place = walk.place().min(cut);
            let progress = walk.walk(&frame[place..], place, &mut |_| count += 1);
            assert_eq!((progress, count), (Ok(WalkProgress::Complete), whole.len()), "{key} v{version} cut at {cut}");
            // A frame that says it ends there is broken.
            let short = walked(Way::Request, key, version, &frame[..cut]);
            assert!(cut < 12 || short.is_err(), "{key} v{version} ends at {cut}: {short:?}");
        }
        let (mut walk, mut count) =
            (walk(Way::Request, key, version, frame.len()).expect("there is such a request"), 0);
        for come in 0..=frame.len() {
            let place = walk.place().min(come);
            let progress = walk.walk(&frame[place..come], place, &mut |_| count += 1);
            let wanted = if come < frame.len() { WalkProgress::More } else { WalkProgress::Complete };
            assert_eq!(progress, Ok(wanted), "{key} v{version} byte by byte");
        }
        assert_eq!(count, whole.len(), "{key} v{version} byte by byte");
        let long = walked(Way::Request, key, version, &[&frame[..], &[0]].concat());
        assert_eq!(long, Err(Violation::Trailing), "{key} v{version}");
    }
}

#[test]
fn every_entry_has_at_least_one_byte() {
    // So a count is bounded by the bytes that are left, and the work by the bytes of the frame.
    fn check(fields: &[LayoutField], version: i16, flexible: bool) {
        for field in fields.iter().filter(|field| field.versions.contains(version)) {
            if let FieldKind::Struct(inner) = field.kind {
                let present = inner.iter().any(|field| field.tag.is_none() && field.versions.contains(version));
                assert!(present || flexible || !field.list);
                check(inner, version, flexible);
            }
        }
    }
    for (key, version) in requests() {
        let message = layout::request(key).expect("there is such a request");
        check(message.fields, version, message.flexible.contains(version));
    }
}

/// What becomes of a request with this body.
fn refused(key: i16, version: i16, body: &[u8]) -> Result<WalkProgress, Violation> {
    let frame = request_frame(key, version, Some("c"), body);
    walked(Way::Request, key, version, &frame).map(|(progress, _)| progress)
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    // ListGroups v4: a list of states, tags. DescribeGroups v0: a list of groups. FindCoordinator v3: key, kind, tags.
    assert_eq!(refused(16, 4, &[1, 0]), Ok(WalkProgress::Complete));
    assert_eq!(refused(16, 4, &[0x81, 0, 0]), Err(Violation::LongVarint));
    assert_eq!(refused(16, 4, &[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Violation::WideVarint));
    assert_eq!(refused(16, 4, &[0xff, 0xff, 0xff, 0xff, 0x8f]), Err(Violation::WideVarint));
    assert_eq!(refused(16, 4, &[0, 0]), Err(Violation::Null));
    assert_eq!(refused(16, 4, &[9, 0]), Err(Violation::Count));
    assert_eq!(refused(16, 4, &[2, 9, 0]), Err(Violation::Length));
    assert_eq!(refused(16, 4, &[2, 0, 0]), Err(Violation::Null), "no entry of a list is null");
    assert_eq!(refused(16, 4, &[1]), Err(Violation::CutBody));
    assert_eq!(refused(16, 4, &[1, 0, 0]), Err(Violation::Trailing));
    assert_eq!(refused(15, 0, &[0xff; 4]), Err(Violation::Null));
    assert_eq!(refused(15, 0, &[0xff, 0xff, 0xff, 0xfe]), Err(Violation::Count));
    assert_eq!(refused(15, 0, &[0x7f, 0xff, 0xff, 0xff]), Err(Violation::Count));
    assert_eq!(refused(15, 0, &[0, 0, 0, 1, 0xff, 0xfe]), Err(Violation::Length));
    assert_eq!(refused(15, 0, &[0, 0, 0, 1, 0, 1, 0xff]), Err(Violation::Text));
    // Metadata v9: topics by name, three truths, tags.
    assert_eq!(refused(3, 9, &[0, 1, 0, 1, 0]), Ok(WalkProgress::Complete));
    assert_eq!(refused(3, 9, &[0, 2, 0, 1, 0]), Err(Violation::Truth));
    assert_eq!(refused(3, 9, &[2, 0, 0, 1, 0, 1, 0]), Err(Violation::Null), "a name may be null from version 10 on");
    let long = [&[2][..], &varint(0x8001), &[b'a'; 0x8000], &[0, 1, 0, 1, 0]].concat();
    assert_eq!(refused(3, 9, &long), Err(Violation::LongText));
    // SaslAuthenticate: bytes.
    assert_eq!(refused(36, 0, &[0xff, 0xff, 0xff, 0xff]), Err(Violation::Null));
    assert_eq!(refused(36, 0, &[0xff, 0xff, 0xff, 0x00]), Err(Violation::Length));
    assert_eq!(refused(36, 0, &[0x7f, 0xff, 0xff, 0xff]), Err(Violation::Length));
    // DescribeTopicPartitions: topics, a limit, perhaps a cursor, tags.
    assert_eq!(refused(75, 0, &[1, 0, 0, 0, 9, 0xff, 0]), Ok(WalkProgress::Complete));
    assert_eq!(refused(75, 0, &[1, 0, 0, 0, 9, 1, 2, b'a', 0, 0, 0, 0, 0, 0]), Ok(WalkProgress::Complete));
    assert_eq!(refused(75, 0, &[1, 0, 0, 0, 9, 0, 0]), Err(Violation::Presence));
}

#[test]
fn tags_rise_and_fill_their_size() {
    // DescribeCluster v0: a truth, tags.
    let tags = |tags: &[u8]| refused(60, 0, &[&[0][..], tags].concat());
    assert_eq!(tags(&[2, 5, 1, 0xff, 6, 0]), Ok(WalkProgress::Complete), "nobody knows them");
    assert_eq!(tags(&[2, 6, 0, 5, 0]), Err(Violation::TagOrder));
    assert_eq!(tags(&[2, 5, 0, 5, 0]), Err(Violation::TagOrder));
    assert_eq!(tags(&[1, 5, 9, 0]), Err(Violation::Length));
    assert_eq!(tags(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Violation::Count));
    // Fetch v15 has the cluster's id with tag 0 and the replica with tag 1.
    let fetch = |tags: &[u8]| refused(1, 15, &[&[0; 21][..], &[1, 1, 1], tags].concat());
    assert_eq!(fetch(&[0]), Ok(WalkProgress::Complete));
    assert_eq!(fetch(&[2, 0, 2, 2, b'c', 1, 13, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0]), Ok(WalkProgress::Complete));
    assert_eq!(fetch(&[1, 0, 3, 2, b'c', 0]), Err(Violation::TagSize));
    assert_eq!(fetch(&[1, 0, 2, 3, b'c', b'd']), Err(Violation::Length));
    assert_eq!(fetch(&[1, 1, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0]), Err(Violation::TagSize));
    assert_eq!(fetch(&[1, 1, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0]), Err(Violation::TagSize));
}

#[test]
fn records_are_passed_over_by_their_length() {
    let records = vec![0xee; 50_000];
    let body = [
        &[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0][..],
        &50_000_u32.to_be_bytes(),
        &records,
    ];
    let frame = request_frame(0, 7, None, &body.concat());
    let mut walk = walk(Way::Request, 0, 7, frame.len()).expect("Produce");
    let head = frame.len() - records.len();
    assert_eq!(walk.walk(&frame[..head], 0, &mut |_| {}), Ok(WalkProgress::More));
    assert_eq!(walk.place(), frame.len(), "none of them has come");
    assert_eq!(walk.walk(&[], frame.len(), &mut |_| {}), Ok(WalkProgress::Complete));
}

/// A random request with some bytes changed, inserted or cut off.
pub(crate) fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<_> = requests().collect();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4);
    (prop::sample::select(all), any::<u64>(), changes).prop_map(|((key, version), seed, changes)| {
        let mut message = random_request(key, version, seed).0.split_off(4);
        for (place, byte, how) in changes {
            let place = 8 + place.index(message.len() - 8);
            match how {
                0 => message[place] = byte,
                1 => message.insert(place, byte),
                _ => message.truncate(place.max(9)),
            }
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_requests_that_we_take_have_the_names_that_kafka_protocol_reads(message in mutated()) {
        oracle::agrees(&message);
    }

    #[test]
    fn any_bytes_are_walked_without_a_panic(key in 0..95_i16, version in 0..14_i16, rest in vec(any::<u8>(), 4..120)) {
        oracle::agrees(&[&key.to_be_bytes()[..], &version.to_be_bytes(), &rest].concat());
    }
}
