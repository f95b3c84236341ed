//! Compares our walk with `kafka-protocol`: it must read every message that we accept as complete, to the same end and
//! with the same names.

#![allow(dead_code, reason = "the target of fuzzing uses its part of it")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiKey, RequestHeader, RequestKind, ResponseKind},
    protocol::{Decodable, Encodable, StrBytes},
};
use portcullis_codecs::kafka::{
    Violation, Walk, WalkEvent, WalkProgress, WalkValue,
    layout::{FieldMeaning, request, response},
};

use crate::names::Names;

/// Which kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    Response,
}

/// What a walk met, without what it borrows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Met {
    Text(FieldMeaning, String, usize),
    Other(String),
}

fn met(event: &WalkEvent<'_>) -> Met {
    match event {
        WalkEvent::Value { meaning, value: WalkValue::Text(text), span } => {
            Met::Text(*meaning, String::from_utf8_lossy(text).into_owned(), span.start)
        }
        other => Met::Other(format!("{other:?}")),
    }
}

/// A walk through a frame; `None` if there is no such message.
pub(crate) fn walk(way: Way, key: i16, version: i16, end: usize) -> Option<Walk> {
    let message = if way == Way::Request { request(key) } else { response(key) };
    let message = message.filter(|message| message.versions.contains(version))?;
    Some(if way == Way::Request { Walk::request(message, version, end) } else { Walk::response(message, version, end) })
}

/// All that a walk through a whole frame meets.
pub(crate) fn walked(way: Way, key: i16, version: i16, frame: &[u8]) -> Result<(WalkProgress, Vec<Met>), Violation> {
    let mut found = Vec::new();
    let mut walk = walk(way, key, version, frame.len()).expect("there is such a message");
    let progress = walk.walk(frame, 0, &mut |event| found.push(met(&event)))?;
    Ok((progress, found))
}

/// The frame of a request with such a body, by the header of `kafka-protocol`.
pub(crate) fn request_frame(key: i16, version: i16, client: Option<&str>, body: &[u8]) -> Vec<u8> {
    let client = client.map(|name| StrBytes::from_string(name.to_owned()));
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(client);
    let flexible = request(key).expect("there is such a request").flexible.contains(version);
    let mut message = BytesMut::new();
    // Of requests that it does not know it cannot tell.
    let header_version =
        ApiKey::try_from(key).map_or(1 + i16::from(flexible), |key| key.request_header_version(version));
    header.encode(&mut message, header_version).expect("a header");
    message.extend_from_slice(body);
    framed(&message)
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).expect("a length").to_be_bytes()[..], message].concat()
}

/// Versions that were not stable in its Kafka, of requests that have them all the same.
const UNSTABLE: [(i16, i16); 2] = [(8, 10), (9, 10)];

/// Whether it knows this version of this request.
pub(crate) fn knows(key: i16, version: i16) -> Option<ApiKey> {
    let known = ApiKey::try_from(key).ok().filter(|_| !UNSTABLE.contains(&(key, version)))?;
    let versions = known.valid_versions();
    (versions.min..=versions.max).contains(&version).then_some(known)
}

/// Its reading of a request: the names, and the same request as it writes it. `None` if it does not take it.
pub(crate) fn read_request(frame: &[u8]) -> Option<(Names, Vec<u8>)> {
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let (key, version) = (i16::from_be_bytes([frame[4], frame[5]]), i16::from_be_bytes([frame[6], frame[7]]));
    let known = knows(key, version)?;
    let header = RequestHeader::decode(&mut bytes, known.request_header_version(version)).ok()?;
    let request = RequestKind::decode(known, &mut bytes, version).ok().filter(|_| bytes.is_empty())?;
    let mut again = BytesMut::new();
    header.encode(&mut again, known.request_header_version(version)).expect("it writes what it has read");
    request.encode(&mut again, version).expect("it writes what it has read");
    Some((Names::of(&request), framed(&again)))
}

/// Whether it takes a response's body, and that as it writes it.
pub(crate) fn read_response(key: i16, version: i16, body: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes::copy_from_slice(body);
    let known = knows(key, version)?;
    let response = ResponseKind::decode(known, &mut bytes, version).ok().filter(|_| bytes.is_empty())?;
    let mut again = BytesMut::new();
    response.encode(&mut again, version).expect("it writes what it has read");
    Some(again.to_vec())
}

/// The names that a walk has met.
pub(crate) fn names(met: &[Met]) -> Names {
    let of = |wanted: fn(FieldMeaning) -> bool| {
        let texts = met.iter().filter_map(|met| match met {
            Met::Text(meaning, text, _) if wanted(*meaning) => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    };
    let names = Names {
        topics: of(|meaning| {
            matches!(
                meaning,
                FieldMeaning::TopicName | FieldMeaning::InternalTopicName | FieldMeaning::ForgottenTopicName
            )
        }),
        groups: of(|meaning| meaning == FieldMeaning::GroupId),
        transactions: of(|meaning| meaning == FieldMeaning::TransactionalId),
    };
    names.in_order()
}

/// Checks any bytes as a frame, its length excepted: what we take as complete, it takes with the same names.
pub(crate) fn agrees(message: &[u8]) {
    let Some([k0, k1, v0, v1, ..]) = message.first_chunk::<8>() else { return };
    let (key, version) = (i16::from_be_bytes([*k0, *k1]), i16::from_be_bytes([*v0, *v1]));
    let frame = framed(message);
    let Some(mut walk) = walk(Way::Request, key, version, frame.len()) else { return };
    let mut found = Vec::new();
    let progress = walk.walk(&frame, 0, &mut |event| found.push(met(&event)));
    assert_ne!(progress, Ok(WalkProgress::More), "the whole frame is there");
    // It wants the client's name in UTF-8 too.
    let readable =
        !found.iter().any(|met| matches!(met, Met::Text(FieldMeaning::ClientId, name, _) if name.contains('\u{fffd}')));
    // Texts that mean nothing are passed over, and may be no UTF-8.
    if progress.is_ok()
        && readable
        && knows(key, version).is_some()
        && let Some((theirs, _)) = read_request(&frame)
    {
        assert_eq!(names(&found), theirs, "{key} v{version}");
    }
}
