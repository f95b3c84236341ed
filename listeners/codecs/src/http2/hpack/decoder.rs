//! Decodes header blocks.

use super::{
    FIELD_OVERHEAD, FieldList, MAX_TABLE_SIZE, Representation, field_size, huffman, integer, static_table,
    table::DynamicTable,
};

/// Bounds of one block. They are checked while it is read, so what exceeds them is never built.
#[derive(Clone, Copy, Debug)]
pub struct HpackLimits {
    /// The largest list, in bytes as RFC 9113 §6.5.2 counts them: 32 for each field beside its name and value.
    pub list_size: usize,
    /// The largest number of fields.
    pub fields: usize,
    /// How far a list that is too large is read on to keep the table right, counted like `list_size`. It bounds the
    /// memory and the work of one block; at most [`HpackLimits::MOST_WORK`] of it counts.
    pub work: usize,
}

impl HpackLimits {
    /// The most that [`HpackLimits::work`] can be, in bytes.
    pub const MOST_WORK: usize = 256 * 1024 * 1024;
}

/// Why a block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    /// The block cannot be read, and no later one can: `COMPRESSION_ERROR` for the connection (RFC 9113 §4.3).
    #[error("a header block is malformed: {0}")]
    Compression(#[from] Malformed),
    /// The list is larger than [`HpackLimits::list_size`]. Only its stream is concerned: the table is right for the next
    /// block.
    #[error("a header list is too large")]
    ListTooLarge,
    /// The list has more than [`HpackLimits::fields`]. Only its stream is concerned, as for [`HpackError::ListTooLarge`].
    #[error("a header list has too many fields")]
    TooManyFields,
    /// The list goes on beyond [`HpackLimits::work`]. The rest was not read, so no later block can be:
    /// `ENHANCE_YOUR_CALM` for the connection (RFC 9113 §10.5.1).
    #[error("a header block expands to more than can be read")]
    Bomb,
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// It ends within a field.
    #[error("it ends within a field")]
    Truncated,
    /// An integer is longer or larger than any that is needed (RFC 7541 §5.1).
    #[error("an integer is too large")]
    Integer,
    /// An index is zero, or no table has it (RFC 7541 §2.3.3 and §6.1).
    #[error("an index is in no table")]
    Index,
    /// A Huffman string ends with more than seven bits that are no symbol, or with other bits than EOS has (RFC 7541
    /// §5.2).
    #[error("a string is padded wrongly")]
    Padding,
    /// A Huffman string holds EOS (RFC 7541 §5.2).
    #[error("a string holds the symbol that ends strings")]
    Eos,
    /// The size of the table changes behind a field (RFC 7541 §4.2).
    #[error("the table's size changes behind a field")]
    LateSizeUpdate,
    /// The table becomes larger than we allow (RFC 7541 §6.3).
    #[error("the table's size is more than is allowed")]
    LargeSizeUpdate,
    /// We allow less than the table's size, and the block does not begin by lowering it (RFC 7541 §4.2).
    #[error("the table's size is not lowered to what is allowed")]
    MissingSizeUpdate,
}

/// Reads the blocks of one direction of a connection, all of them and in order.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// The table's largest size that we allow.
    allowed: usize,
    /// The next block has to begin by making the table at most this large.
    due: Option<usize>,
    /// Whether the table's size may also change behind a field.
    late_updates: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Begins a connection, with the table's size that holds before SETTINGS.
    #[must_use]
    pub fn new() -> Self {
        let table = DynamicTable::new();
        Self { allowed: table.max_size(), table, due: None, late_updates: false }
    }

    /// The same, for blocks that go on as they are to a reader who judges them. Go's server changes the size of its table
    /// while it writes a block, when SETTINGS come at that moment. Some readers take that, among them Java's and, while the
    /// table is empty, Go's; so it must not be us who refuse it. What it means is clear.
    #[must_use]
    pub fn with_late_updates() -> Self {
        Self { late_updates: true, ..Self::new() }
    }

    /// From the next block on, the table may have this size, at most [`MAX_TABLE_SIZE`]. To be called when the
    /// acknowledgement of SETTINGS with `SETTINGS_HEADER_TABLE_SIZE` comes, not when they are sent (RFC 9113 §6.5.3).
    pub fn allow_table_size(&mut self, size: usize) {
        self.allowed = size.min(MAX_TABLE_SIZE);
        if self.allowed < self.due.unwrap_or(self.table.max_size()) {
            self.due = Some(self.allowed);
        }
    }

    /// The size to which the next block has to lower the table, if it has to. Until then a reader of the same blocks
    /// expects no other block, so what is put between them begins the same way ([`super::Stateless::new`]).
    #[must_use]
    pub fn due_size_update(&self) -> Option<usize> {
        self.due
    }

    /// Reads one whole block into `fields`. What was in there is removed.
    ///
    /// # Errors
    /// After [`HpackError::ListTooLarge`] and [`HpackError::TooManyFields`], `fields` holds the leading fields that fit, and the
    /// next block can be read. After the others the connection has to end.
    pub fn decode(&mut self, block: &[u8], limits: &HpackLimits, fields: &mut FieldList) -> Result<(), HpackError> {
        fields.clear();
        let mut input = block;
        self.update_size(&mut input)?;
        let left = limits.work.min(HpackLimits::MOST_WORK);
        let mut reading = Reading { fields, limits, left, exceeded: None };
        while let Some(first) = input.first() {
            match first {
                0x80.. => self.indexed(&mut input, &mut reading)?,
                0x40.. => self.literal(&mut input, 6, Representation::Incremental, &mut reading)?,
                0x20.. if self.late_updates => self.update_size(&mut input)?,
                0x20.. => return Err(Malformed::LateSizeUpdate.into()),
                0x10.. => self.literal(&mut input, 4, Representation::NeverIndexed, &mut reading)?,
                _ => self.literal(&mut input, 4, Representation::WithoutIndexing, &mut reading)?,
            }
        }
        reading.exceeded.map_or(Ok(()), Err)
    }

    /// Reads size updates, which a block begins with (RFC 7541 §4.2). Two are enough, but some encoders write one for
    /// each change that they were told of.
    fn update_size(&mut self, input: &mut &[u8]) -> Result<(), Malformed> {
        while let Some(0x20..=0x3f) = input.first() {
            let size = integer::read(input, 5)?;
            if size > self.allowed {
                return Err(Malformed::LargeSizeUpdate);
            }
            self.table.set_max_size(size);
            self.due = self.due.filter(|due| size > *due);
        }
        if self.due.is_some() { Err(Malformed::MissingSizeUpdate) } else { Ok(()) }
    }

    /// Reads an indexed field (RFC 7541 §6.1).
    fn indexed(&self, input: &mut &[u8], reading: &mut Reading<'_>) -> Result<(), HpackError> {
        let (name, value) = self.entry(integer::read(input, 7)?)?;
        reading.spend(field_size(name.len(), value.len()))?;
        if reading.fits(name.len(), value.len()) {
            let start = reading.fields.bytes.len();
            reading.fields.bytes.extend_from_slice(name);
            reading.fields.bytes.extend_from_slice(value);
            reading.fields.note(start, name.len(), Representation::Indexed);
        }
        Ok(())
    }

    /// Reads a literal field (RFC 7541 §6.2), whose index has `prefix` bits.
    fn literal(
        &mut self,
        input: &mut &[u8],
        prefix: u32,
        representation: Representation,
        reading: &mut Reading<'_>,
    ) -> Result<(), HpackError> {
        let start = reading.fields.bytes.len();
        reading.spend(FIELD_OVERHEAD)?;
        match integer::read(input, prefix)? {
            0 => reading.string(input)?,
            index => {
                let (name, _) = self.entry(index)?;
                reading.spend(name.len())?;
                reading.fields.bytes.extend_from_slice(name);
            }
        }
        let middle = reading.fields.bytes.len();
        reading.string(input)?;
        let (name, value) = reading.fields.bytes[start..].split_at(middle - start);
        let (name_length, value_length) = (name.len(), value.len());
        if representation == Representation::Incremental {
            self.table.insert(name, value);
        }
        if reading.fits(name_length, value_length) {
            reading.fields.note(start, name_length, representation);
        } else {
            reading.fields.bytes.truncate(start);
        }
        Ok(())
    }

    /// The field of an index of both tables (RFC 7541 §2.3.3).
    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), Malformed> {
        let found = match index.checked_sub(static_table::LEN + 1) {
            None => static_table::get(index),
            Some(age) => self.table.get(age),
        };
        found.ok_or(Malformed::Index)
    }

    /// The dynamic table.
    #[cfg(test)]
    pub(super) fn table(&self) -> &DynamicTable {
        &self.table
    }
}

/// A block being read.
struct Reading<'a> {
    fields: &'a mut FieldList,
    limits: &'a HpackLimits,
    /// What is left of [`HpackLimits::work`].
    left: usize,
    /// The first limit of the list that was exceeded. From then on fields are read for the table's sake only.
    exceeded: Option<HpackError>,
}

impl Reading<'_> {
    fn spend(&mut self, bytes: usize) -> Result<(), HpackError> {
        self.left = self.left.checked_sub(bytes).ok_or(HpackError::Bomb)?;
        Ok(())
    }

    /// Whether the list still holds a field of these lengths.
    fn fits(&mut self, name: usize, value: usize) -> bool {
        if self.exceeded.is_none() {
            if self.fields.len() >= self.limits.fields {
                self.exceeded = Some(HpackError::TooManyFields);
            } else if self.fields.size().saturating_add(field_size(name, value)) > self.limits.list_size {
                self.exceeded = Some(HpackError::ListTooLarge);
            }
        }
        self.exceeded.is_none()
    }

    /// Appends a string (RFC 7541 §5.2) to the buffer.
    fn string(&mut self, input: &mut &[u8]) -> Result<(), HpackError> {
        let huffman = input.first().is_some_and(|first| *first >= 0x80);
        let length = integer::read(input, 7)?;
        let (string, rest) = input.split_at_checked(length).ok_or(Malformed::Truncated)?;
        *input = rest;
        let before = self.fields.bytes.len();
        if huffman {
            huffman::decode(string, self.left, &mut self.fields.bytes)?;
            self.spend(self.fields.bytes.len() - before)
        } else {
            self.spend(string.len())?;
            self.fields.bytes.extend_from_slice(string);
            Ok(())
        }
    }
}
