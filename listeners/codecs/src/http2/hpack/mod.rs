//! Header compression (RFC 7541).
//!
//! The relay reads the client's request header blocks with a [`Decoder`], judges them, and writes the allowed ones for
//! the server with an [`Encoder`]. A denied block therefore never changes the server's table. A second [`Decoder`]
//! reads the server's blocks, which are forwarded unchanged. Responses that the relay generates are inserted between
//! them, so [`Stateless`] writes them without changing the client's table.

mod decoder;
mod encoder;
mod fields;
mod huffman;
mod integer;
mod stateless;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, HpackError, HpackLimits, Malformed};
pub use encoder::Encoder;
pub use fields::{FieldList, HeaderField, Representation};
pub use stateless::Stateless;

/// The size of a dynamic table in bytes before any SETTINGS say otherwise (RFC 9113 §6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4096;

/// The largest dynamic table we keep, in bytes as RFC 7541 §4.1 counts them. What one side offers in
/// `SETTINGS_HEADER_TABLE_SIZE` must be lowered to this before it is relayed to the other.
pub const MAX_TABLE_SIZE: usize = 64 * 1024;

/// What each field costs beside its bytes, in a table (RFC 7541 §4.1) and in a list (RFC 9113 §6.5.2).
pub const FIELD_OVERHEAD: usize = 32;

/// The size of a field in a table or list, in bytes.
fn field_size(name: usize, value: usize) -> usize {
    name.saturating_add(value).saturating_add(FIELD_OVERHEAD)
}

/// A length or an offset in a buffer of ours. All of them are bounded far below the largest number.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
