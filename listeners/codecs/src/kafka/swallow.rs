//! Drops denied records. Only their topic and partitions are kept, because the answer repeats them.

use portcullis_rules::values::ValueSet;

use super::{
    event::{WalkEvent, WalkValue},
    layout::{FieldMeaning, Layout},
    walk::Walk,
    wire::{set_length, write_count},
};

/// A denied request with records that is dropped as it comes: all of it but the records is kept, to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DroppedRequest {
    /// The topics, if these are why.
    pub(super) refused: ValueSet,
    /// The request without records.
    pub(super) request: Vec<u8>,
    /// Up to where the frame was copied, or passed over.
    copied: usize,
    /// The place behind the partition that was read last: there the records' length begins.
    partition: usize,
    flexible: bool,
}

impl DroppedRequest {
    pub(super) fn new(layout: &Layout, version: i16, refused: ValueSet) -> Self {
        let flexible = layout.flexible.contains(version);
        Self { refused, request: Vec::new(), copied: 0, partition: 0, flexible }
    }

    /// What comes next of the frame: these bytes, of which the first stands at `from`. Returns how many of them are done with.
    ///
    /// # Errors
    /// As [`Walk::walk`].
    pub(super) fn read(&mut self, walk: &mut Walk, bytes: &[u8], from: usize) -> Result<usize, super::Violation> {
        walk.walk(bytes, from, &mut |event| match event {
            WalkEvent::Value { meaning: FieldMeaning::Partition, span, .. } => self.partition = span.end,
            WalkEvent::Value { meaning: FieldMeaning::Records, value: WalkValue::Unread, span } => {
                self.copy(bytes, from, self.partition);
                write_count(None, self.flexible, &mut self.request);
                self.copied = span.end;
            }
            _ => {}
        })?;
        let done = walk.place().min(from + bytes.len());
        self.copy(bytes, from, done);
        Ok(done - from)
    }

    fn copy(&mut self, bytes: &[u8], from: usize, to: usize) {
        if to > self.copied {
            let places = self.copied.saturating_sub(from)..to.saturating_sub(from);
            self.request.extend_from_slice(bytes.get(places).unwrap_or_default());
            self.copied = to;
        }
    }

    /// All of it has come: the request, a whole frame.
    pub(super) fn finish(&mut self) {
        set_length(0, &mut self.request);
    }
}
