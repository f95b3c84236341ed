//! Encodes header blocks.

mod finder;

use self::finder::EntryFinder;
use super::{HeaderField, Representation, field_size, huffman, integer, static_table, table::DynamicTable};

/// Writes the blocks of one direction of a connection, all of them and in order.
///
/// Each field keeps the representation it came with: what its sender put into a table, or took from one, enters ours;
/// what it kept out of tables stays out. So compression is about as good as the sender's, and no secret enters a table
/// that the sender did not put into one (RFC 7541 §7.1).
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    finder: EntryFinder,
    /// The most that our table may have, in bytes.
    cap: usize,
    /// The size that the table shall have from the next block on.
    wanted: usize,
    /// The smallest size that was wanted since the last block.
    smallest: usize,
}

impl Encoder {
    /// Begins a connection, with the table's size that holds before SETTINGS, but never a larger one than `cap` bytes.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        let table = DynamicTable::new();
        let wanted = table.max_size().min(cap);
        Self { table, finder: EntryFinder::default(), cap, wanted, smallest: wanted }
    }

    /// From the next block on, the reader allows a table of this size. To be called when the acknowledgement of its
    /// SETTINGS with `SETTINGS_HEADER_TABLE_SIZE` goes out to it, between the blocks before and behind: earlier, it
    /// would refuse a larger table; later, a block that does not lower it (RFC 9113 §4.3.1).
    pub fn allow_table_size(&mut self, size: usize) {
        self.wanted = size.min(self.cap).min(super::MAX_TABLE_SIZE);
        self.smallest = self.smallest.min(self.wanted);
    }

    /// Appends one whole block.
    pub fn encode<'a>(&mut self, fields: impl IntoIterator<Item = HeaderField<'a>>, out: &mut Vec<u8>) {
        self.update_size(out);
        for field in fields {
            self.field(&field, out);
        }
    }

    /// Says how the size of the table has changed: the smallest it had in between, which evicts, then the last (RFC 7541
    /// §4.2).
    fn update_size(&mut self, out: &mut Vec<u8>) {
        if self.smallest < self.table.max_size() {
            self.table.set_max_size(self.smallest);
            write_size_update(self.smallest, out);
        }
        if self.wanted != self.table.max_size() {
            self.table.set_max_size(self.wanted);
            write_size_update(self.wanted, out);
        }
        self.smallest = self.wanted;
    }

    fn field(&mut self, field: &HeaderField<'_>, out: &mut Vec<u8>) {
        let HeaderField { name, value, representation } = *field;
        let (prefix, pattern) = match representation {
            Representation::NeverIndexed => (4, 0x10),
            Representation::WithoutIndexing => (4, 0x00),
            Representation::Indexed | Representation::Incremental => {
                if let Some(index) = self.index(name, value) {
                    return integer::write(index, 7, 0x80, out);
                }
                // What is larger than the table would only empty it.
                if field_size(name.len(), value.len()) > self.table.max_size() { (4, 0x00) } else { (6, 0x40) }
            }
        };
        let index =
            static_table::name(name).or_else(|| Some(static_table::LEN + 1 + self.finder.name(&self.table, name)?));
        integer::write(index.unwrap_or(0), prefix, pattern, out);
        if index.is_none() {
            huffman::write_string(name, out);
        }
        huffman::write_string(value, out);
        if pattern == 0x40 {
            self.table.insert(name, value);
            self.finder.note(&self.table, name, value);
        }
    }

    /// The index of a whole field: of the static table if it is there, as it then never is in the other.
    fn index(&self, name: &[u8], value: &[u8]) -> Option<usize> {
        if static_table::may_have(name, value)
            && let Some(index) = static_table::name(name).and_then(|first| static_table::field(first, value))
        {
            return Some(index);
        }
        Some(static_table::LEN + 1 + self.finder.field(&self.table, name, value)?)
    }

    /// The dynamic table.
    #[cfg(test)]
    pub(super) fn table(&self) -> &DynamicTable {
        &self.table
    }
}

/// Writes a size update (RFC 7541 §6.3).
pub(super) fn write_size_update(size: usize, out: &mut Vec<u8>) {
    integer::write(size, 5, 0x20, out);
}
