//! What is said of refused entries, in front of what a broker says of the others.

use std::ops::Range;

use super::partial::Partial;
use crate::kafka::{
    Violation,
    event::WalkEvent,
    layout::{FieldMeaning, Layout, response},
    walk::Walk,
    wire::{add_length, write_count},
};

/// Puts the entries about refused topics in front of those of a broker's whole response. `None` if nothing is known of it.
///
/// # Errors
/// When the response cannot be read.
pub fn merge(key: i16, version: i16, frame: &[u8], partial: &Partial) -> Result<Option<Vec<u8>>, Violation> {
    let Some(layout) = response(key).filter(|layout| layout.versions.contains(version)) else { return Ok(None) };
    let mut out = Vec::with_capacity(frame.len() + partial.entries.len() + size_of::<u32>());
    let entries = (&*partial.entries, partial.refused, partial.list);
    let merged = merge_whole(layout, version, frame, entries, &mut out)?;
    Ok(merged.then_some(out))
}

/// The same, appended, with entries of a list of that meaning. Whether there is such a list.
///
/// # Errors
/// When the response cannot be read. Then nothing is appended.
pub(in crate::kafka) fn merge_whole(
    layout: &'static Layout,
    version: i16,
    frame: &[u8],
    (entries, refused, list): (&[u8], usize, FieldMeaning),
    out: &mut Vec<u8>,
) -> Result<bool, Violation> {
    let mut head = None;
    Walk::response(layout, version, frame.len()).walk(frame, 0, &mut |event| {
        KafkaResponseHead::see(&event, list, frame.len(), &mut head);
    })?;
    let Some(head) = head else { return Ok(false) };
    let rest = head.merge(frame, layout.flexible.contains(version), (entries, refused), out);
    out.extend_from_slice(frame.get(rest..).unwrap_or_default());
    Ok(true)
}

/// The head of a response: all in front of its topics, or of what else is told one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct KafkaResponseHead {
    /// How many topics there are.
    pub(in crate::kafka) count: usize,
    /// Where that stands.
    pub(in crate::kafka) span: Range<usize>,
    /// Bytes of the whole frame.
    pub(in crate::kafka) length: usize,
}

impl KafkaResponseHead {
    /// Takes in where the first list of a meaning is.
    pub(in crate::kafka) fn see(event: &WalkEvent<'_>, list: FieldMeaning, length: usize, head: &mut Option<Self>) {
        if let WalkEvent::List { meaning, count, span } = event
            && *meaning == list
        {
            head.get_or_insert(Self { count: count.unwrap_or(0), span: span.clone(), length });
        }
    }

    /// Writes the head for so many topics more, and the entries about them. What comes behind the place that this returns
    /// goes on as it is.
    pub(in crate::kafka) fn merge(
        &self,
        frame: &[u8],
        flexible: bool,
        (entries, refused): (&[u8], usize),
        out: &mut Vec<u8>,
    ) -> usize {
        let begin = out.len();
        out.extend_from_slice(frame.get(..self.span.start).unwrap_or_default());
        write_count(Some(self.count + refused), flexible, out);
        out.extend_from_slice(entries);
        let behind = self.length.saturating_sub(self.span.end);
        add_length(begin, behind, out);
        self.span.end
    }
}
