//! Lists of decoded header fields.

use super::{field_size, short};

/// How a field stands in a block, and so what the next encoder may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Representation {
    /// An index of a table (RFC 7541 §6.1).
    Indexed,
    /// A literal that enters the dynamic table (RFC 7541 §6.2.1).
    Incremental,
    /// A literal that does not enter the table (RFC 7541 §6.2.2).
    WithoutIndexing,
    /// A literal that no hop may put into a table (RFC 7541 §6.2.3), because somebody could guess it by the length of
    /// what is sent (§7.1.3).
    NeverIndexed,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// The name, as it came: nothing is checked.
    pub name: &'a [u8],
    /// The value, as it came.
    pub value: &'a [u8],
    /// How it stood, or shall stand, in its block.
    pub representation: Representation,
}

impl HeaderField<'_> {
    /// Whether no hop may put the field into a table.
    #[must_use]
    pub fn never_indexed(&self) -> bool {
        self.representation == Representation::NeverIndexed
    }
}

/// The fields of one block, in one buffer that is used again for the next.
#[derive(Debug, Default)]
pub struct FieldList {
    pub(super) bytes: Vec<u8>,
    spans: Vec<Span>,
    size: usize,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    name: u32,
    value: u32,
    representation: Representation,
}

impl FieldList {
    /// Bytes of the buffer that are kept from one block to the next; what a larger block needed is given back.
    pub const KEPT: usize = 16 * 1024;

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.size = 0;
        self.bytes.clear();
        self.spans.clear();
        if self.bytes.capacity() > Self::KEPT {
            self.bytes.shrink_to(Self::KEPT);
        }
        if self.spans.capacity() > Self::KEPT / size_of::<Span>() {
            self.spans.shrink_to(Self::KEPT / size_of::<Span>());
        }
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The size of the list in bytes, as RFC 9113 §6.5.2 counts it for `SETTINGS_MAX_HEADER_LIST_SIZE`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// A field, from 0 on in the order of the block.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<HeaderField<'_>> {
        self.spans.get(index).map(|span| self.field(span))
    }

    /// All fields in the order of the block.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HeaderField<'_>> + DoubleEndedIterator + Clone {
        self.spans.iter().map(|span| self.field(span))
    }

    /// Appends a field.
    pub fn push(&mut self, field: HeaderField<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(field.name);
        self.bytes.extend_from_slice(field.value);
        self.note(start, field.name.len(), field.representation);
    }

    /// Makes what stands in the buffer from `start` on, its name first, the next field.
    pub(super) fn note(&mut self, start: usize, name: usize, representation: Representation) {
        let value = self.bytes.len() - start - name;
        self.spans.push(Span { start: short(start), name: short(name), value: short(value), representation });
        self.size += field_size(name, value);
    }

    fn field(&self, span: &Span) -> HeaderField<'_> {
        let (start, name) = (span.start as usize, span.name as usize);
        let (name, value) = self.bytes[start..start + name + span.value as usize].split_at(name);
        HeaderField { name, value, representation: span.representation }
    }
}
