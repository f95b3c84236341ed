//! Denials of random requests: they have the layout of the response and a bounded size.

use portcullis_codecs::kafka::{
    Violation,
    denial::{BASE, GROWTH, KafkaDenial, deny},
    layout::{self, FieldKind, FieldMeaning, LayoutField},
};

use crate::{
    message,
    oracle::{self, read_response, request_frame},
    random::varint,
    walking::{random_request, requests},
};

/// Random requests of each version.
const MANY: u64 = 30;

fn denied(key: i16, version: i16, frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = b"before".to_vec();
    let layout = layout::request(key).expect("there is such a request");
    let denial = deny(layout, version, frame, &mut out).expect("a valid request");
    assert!(out.starts_with(b"before"));
    let answer = out.split_off(6);
    assert_eq!(denial == KafkaDenial::Answered, !answer.is_empty());
    (denial == KafkaDenial::Answered).then_some(answer)
}

#[test]
fn every_denial_is_an_answer_in_the_layout_of_its_response() {
    let mut compared = 0;
    for (key, version) in requests() {
        for seed in 0..MANY {
            let (frame, _) = random_request(key, version, seed);
            let Some(answer) = denied(key, version, &frame) else {
                assert!(matches!(key, 0 | 17 | 18 | 36), "{key} v{version}");
                continue;
            };
            assert_eq!(answer[..4], u32::try_from(answer.len() - 4).expect("a length").to_be_bytes());
            assert_eq!(answer[4..8], frame[8..12], "the number of the request");
            if oracle::knows(key, version).is_none() {
                continue;
            }
            compared += 1;
            let flexible = layout::request(key).expect("there is one").flexible.contains(version);
            let body = &answer[8 + usize::from(flexible)..];
            let again = read_response(key, version, body).unwrap_or_else(|| panic!("{key} v{version}, seed {seed}"));
            assert_eq!(again, body, "{key} v{version}, seed {seed}");
        }
    }
    assert!(compared > 7000, "{compared}");
}

/// A request with as many entries as there are bytes for, each of the fewest bytes.
struct Dense {
    version: i16,
    flexible: bool,
    entries: usize,
}

impl Dense {
    fn fields(&self, fields: &[LayoutField], depth: usize, body: &mut Vec<u8>) {
        for field in fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(self.version)) {
            if !field.list {
                self.value(field, depth, body);
                continue;
            }
            // Entries in entries would be more bytes than entries.
            let count = if depth == 0 { self.entries } else { 0 };
            self.length(count, 4, body);
            (0..count).for_each(|_| self.value(field, depth + 1, body));
        }
        if self.flexible {
            body.push(0);
        }
    }

    fn length(&self, length: usize, bytes: usize, body: &mut Vec<u8>) {
        if self.flexible {
            return body.extend_from_slice(&varint(length + 1));
        }
        body.extend_from_slice(&u32::try_from(length).expect("a length").to_be_bytes()[4 - bytes..]);
    }

    fn value(&self, field: &LayoutField, depth: usize, body: &mut Vec<u8>) {
        let size = match field.kind {
            FieldKind::Bool | FieldKind::Int8 => 1,
            FieldKind::Int16 | FieldKind::Uint16 => 2,
            FieldKind::Int32 => 4,
            FieldKind::Int64 | FieldKind::Float64 => 8,
            FieldKind::Uuid => 16,
            FieldKind::String | FieldKind::ShortString => return self.length(0, 2, body),
            FieldKind::Bytes => return self.length(0, 4, body),
            FieldKind::Struct(fields) => {
                if !field.list && field.nullable.contains(self.version) {
                    return body.push(0xff);
                }
                return self.fields(fields, depth, body);
            }
        };
        let acks = u8::from(field.meaning == FieldMeaning::Acks);
        body.extend_from_slice(&[&vec![0; size - 1][..], &[acks]].concat());
    }
}

#[test]
fn an_answer_is_bounded_by_its_request() {
    let mut most = 0;
    for (key, version) in requests() {
        let layout = layout::request(key).expect("there is such a request");
        let mut check = |frame: Vec<u8>| {
            let length = denied(key, version, &frame).map_or(0, |answer| answer.len());
            assert!(length <= frame.len() * GROWTH + BASE, "{key} v{version}: {length} for {}", frame.len());
            most = most.max(length.saturating_sub(BASE) / frame.len());
        };
        for entries in [0, 1, 100, 10_000] {
            let dense = Dense { version, flexible: layout.flexible.contains(version), entries };
            let mut body = Vec::new();
            dense.fields(layout.fields, 0, &mut body);
            check(request_frame(key, version, None, &body));
        }
        (0..MANY).for_each(|seed| check(random_request(key, version, seed).0));
    }
    assert!(most > GROWTH / 2, "the bound could be {most}");
}

#[test]
fn what_has_no_answer_says_so() {
    let deny = |key, version, frame: &[u8]| {
        let mut out = Vec::new();
        let result = deny(layout::request(key).expect("there is one"), version, frame, &mut out);
        assert!(out.is_empty());
        result
    };
    assert_eq!(deny(0, 9, &message::produce(1, 9, 0, &["orders"], 10)), Ok(KafkaDenial::Silent));
    assert_eq!(deny(17, 1, &message::handshake(1, 1)), Ok(KafkaDenial::Wordless));
    assert_eq!(deny(36, 2, &message::authenticate(1)), Ok(KafkaDenial::Wordless));
    let whole = message::produce(1, 9, 1, &["orders"], 10);
    assert_eq!(deny(0, 9, &whole[..whole.len() - 1]), Err(Violation::CutBody));
}
