//! Encodes header blocks that use no dynamic table.

use super::{encoder, huffman, integer, static_table};

/// Writes a block of our own between those of another encoder. It refers to the static table only and adds nothing to
/// the reader's dynamic table, so the other encoder, which knows nothing of it, stays right about that table.
#[derive(Debug)]
pub struct Stateless<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Stateless<'a> {
    /// Begins a block at the end of `out`.
    ///
    /// `due` is [`super::Decoder::due_size_update`] of a decoder that reads the other encoder's blocks. The reader
    /// waits for that update and would refuse a block without it. The other encoder will begin its next block with one
    /// as well, so what ours evicts from the reader's table is no loss: that encoder evicts it, too.
    #[must_use]
    pub fn new(due: Option<usize>, out: &'a mut Vec<u8>) -> Self {
        if let Some(size) = due {
            encoder::write_size_update(size, out);
        }
        Self { out }
    }

    /// Appends a field.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        let known = static_table::name(name);
        match known.and_then(|first| static_table::field(first, value)) {
            Some(index) => integer::write(index, 7, 0x80, self.out),
            None => {
                integer::write(known.unwrap_or(0), 4, 0x00, self.out);
                if known.is_none() {
                    huffman::write_string(name, self.out);
                }
                huffman::write_string(value, self.out);
            }
        }
        self
    }
}
