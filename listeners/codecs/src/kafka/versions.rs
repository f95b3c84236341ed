//! Reduces the versions that a broker offers (KIP-35, KIP-511) to those that the relay can judge. A request in an
//! unknown version could be neither read nor refused in a form that the client understands.

use super::{
    Violation,
    api::{self, API_VERSIONS, SASL_HANDSHAKE},
    event::{WalkEvent, WalkValue},
    layout::{FieldMeaning, Versions, request, response},
    walk::{RESPONSE_HEAD, Walk},
    wire::{begin_frame, set_length, write_count},
};

/// The error code of a version that is not known. The response has the layout of version 0 then (KIP-511).
pub(super) const UNSUPPORTED_VERSION: i16 = 35;
/// The first version of the handshake that is not followed by tokens without frames (KIP-152).
const FRAMED_HANDSHAKE: i16 = 1;

/// A request that the broker takes, and where that stands.
#[derive(Clone, Copy, Debug, Default)]
struct OfferedRequest {
    start: usize,
    end: usize,
    key: i16,
    /// The first version and the last, and their places.
    first: (i16, usize),
    last: (i16, usize),
}

/// The error code of a whole response to ApiVersions.
pub(super) fn error(frame: &[u8]) -> Option<i16> {
    frame.get(RESPONSE_HEAD..).and_then(|body| body.first_chunk()).map(|code| i16::from_be_bytes(*code))
}

/// Writes a whole response to ApiVersions of a version, without what the relay does not know. `learns`: topics may be told by their
/// ids.
pub(super) fn rewrite(frame: &[u8], version: i16, learns: bool, out: &mut Vec<u8>) -> Result<(), Violation> {
    let version = if error(frame) == Some(UNSUPPORTED_VERSION) { 0 } else { version };
    let layout = response(API_VERSIONS).filter(|layout| layout.versions.contains(version));
    let layout = layout.ok_or(Violation::UnknownResponse)?;
    let (mut count, mut all, mut offer) = (0..0, 0, OfferedRequest::default());
    let (mut kept, mut entries) = (0_usize, Vec::with_capacity(frame.len()));
    Walk::response(layout, version, frame.len()).walk(frame, 0, &mut |event| match event {
        WalkEvent::List { meaning: FieldMeaning::ApiKeys, span, .. } => (count, all) = (span.clone(), span.end),
        WalkEvent::Entry(_, start) => offer = OfferedRequest { start, ..OfferedRequest::default() },
        WalkEvent::Value { meaning, value: WalkValue::Number(number), span } => {
            // All three are numbers of 16 bits.
            let number = i16::try_from(number).unwrap_or_default();
            match meaning {
                FieldMeaning::ApiKey => offer.key = number,
                FieldMeaning::MinVersion => offer.first = (number, span.start),
                FieldMeaning::MaxVersion => offer.last = (number, span.start),
                _ => {}
            }
        }
        WalkEvent::EntryEnd(_, end) => {
            offer.end = end;
            all = end;
            kept += usize::from(keep(frame, &offer, learns, &mut entries));
        }
        _ => {}
    })?;
    let begin = out.len();
    out.extend_from_slice(frame.get(..count.start).unwrap_or_default());
    write_count(Some(kept), layout.flexible.contains(version), out);
    out.append(&mut entries);
    out.extend_from_slice(frame.get(all..).unwrap_or_default());
    set_length(begin, out);
    Ok(())
}

/// Writes what is left of an offer; whether anything is.
fn keep(frame: &[u8], offer: &OfferedRequest, learns: bool, entries: &mut Vec<u8>) -> bool {
    let known = request(offer.key).map_or(Versions::NONE, |layout| api::offered(layout, learns));
    let lowest = if offer.key == SASL_HANDSHAKE { FRAMED_HANDSHAKE } else { known.first };
    let last = offer.last.0.min(known.last);
    // The first one stays where it can: clients take a broker with a higher one for one that they cannot speak to.
    let first = if offer.key == SASL_HANDSHAKE { offer.first.0.max(lowest) } else { offer.first.0 };
    let Some(bytes) = frame.get(offer.start..offer.end).filter(|_| last >= lowest && last >= first) else {
        return false;
    };
    let begin = entries.len();
    entries.extend_from_slice(bytes);
    for (version, place) in [(first, offer.first.1), (last, offer.last.1)] {
        let place = begin + place - offer.start;
        if let Some(field) = entries.get_mut(place..place + size_of::<i16>()) {
            field.copy_from_slice(&version.to_be_bytes());
        }
    }
    true
}

/// Says that a version of ApiVersions is not known, and which are, as a broker does
/// (`ApiVersionsRequest.getErrorResponse`).
pub(super) fn unknown(number: i32, out: &mut Vec<u8>) {
    let known = request(API_VERSIONS).map_or(Versions::NONE, |layout| layout.versions);
    let begin = begin_frame(number.to_be_bytes(), out);
    out.extend_from_slice(&UNSUPPORTED_VERSION.to_be_bytes());
    write_count(Some(1), false, out);
    for number in [API_VERSIONS, known.first, known.last] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    set_length(begin, out);
}
