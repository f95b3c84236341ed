//! Header blocks: a HEADERS frame and its CONTINUATION frames, decoded as one block (RFC 9113 §4.3).

use std::borrow::Cow;

use super::{
    Http2, budget,
    frame::{END_STREAM, FrameHeader},
    hpack::{self, FieldList},
    turn::RelayCall,
    violation::Violation,
    way::HeaderBlockBounds,
};
use crate::http::Limits;
use crate::relay::Side;

/// How much more than the limit a list may be before the connection ends and not only the stream: so far it is read to
/// keep the table right.
const BEYOND: usize = 4;

/// A header block that has been decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderBlock<'a> {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    /// Its frames as they came.
    pub(super) frames: &'a [u8],
    pub(super) fields: &'a FieldList,
    /// Why the fields are not all there.
    pub(super) large: Option<Violation>,
}

impl Http2 {
    /// Takes a header block, once it is there as a whole.
    pub(super) fn block(
        &mut self,
        header: &FrameHeader,
        input: &[u8],
        turn: &mut RelayCall<'_>,
    ) -> Result<bool, Violation> {
        let from = turn.from;
        let payload = self.ways[from.peer() as usize].settings.in_force.frame_size;
        let bounds = bounds(from, payload, &self.limits);
        let way = &mut self.ways[from as usize];
        let Some(end) = way.block_end(input, &bounds)? else { return Ok(false) };
        let frames = &input[..end];
        let mut fields = std::mem::take(&mut self.fields);
        let decoded = way.decoder.decode(&fragments(frames)?, &list_limits(from, &self.limits), &mut fields);
        let large = match decoded {
            Ok(()) => None,
            Err(hpack::HpackError::ListTooLarge) => Some(bounds.long),
            Err(hpack::HpackError::TooManyFields) => Some(Violation::ManyHeaders),
            Err(hpack::HpackError::Bomb) => return Err(Violation::HpackBomb),
            Err(hpack::HpackError::Compression(_)) => return Err(Violation::HeaderBlock),
        };
        budget::header_block(&mut self.budgets, from);
        let end_stream = header.has(END_STREAM);
        let block = HeaderBlock { stream: header.stream, end_stream, frames, fields: &fields, large };
        match from {
            Side::Downstream => self.request_block(&block, turn)?,
            Side::Upstream => self.response_block(&block, turn)?,
        }
        fields.clear();
        self.fields = fields;
        Ok(true)
    }
}

fn bounds(from: Side, payload: u32, limits: &Limits) -> HeaderBlockBounds {
    let continuations = limits.http2.continuations;
    match from {
        Side::Downstream => {
            HeaderBlockBounds { payload, bytes: limits.request_head, continuations, long: Violation::LongHead }
        }
        // As many as a long head takes in small frames, and some more.
        Side::Upstream => HeaderBlockBounds {
            payload,
            bytes: limits.response_head,
            continuations: continuations.saturating_add(u32::try_from(limits.response_head >> 14).unwrap_or(u32::MAX)),
            long: Violation::LongResponseHead,
        },
    }
}

fn list_limits(from: Side, limits: &Limits) -> hpack::HpackLimits {
    let (list_size, fields) = match from {
        Side::Downstream => (limits.request_head, limits.request_headers),
        Side::Upstream => (limits.response_head, usize::MAX),
    };
    hpack::HpackLimits { list_size, fields, work: list_size.saturating_mul(BEYOND) }
}

/// The block that frames carry, without padding and priority.
fn fragments(frames: &[u8]) -> Result<Cow<'_, [u8]>, Violation> {
    let mut block = Cow::Borrowed(&frames[..0]);
    let mut rest = frames;
    while let Some(header) = FrameHeader::read(rest) {
        let Some(payload) = header.payload(rest) else { break };
        let fragment = header.fragment(payload)?;
        if block.is_empty() {
            block = Cow::Borrowed(fragment);
        } else {
            block.to_mut().extend_from_slice(fragment);
        }
        rest = &rest[header.whole()..];
    }
    Ok(block)
}
