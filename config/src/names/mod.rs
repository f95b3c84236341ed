//! What DNS answers taught: names, their addresses, and how long each holds.
//!
//! Pure: no clock, no files. Times are seconds on a scale of the caller's that never jumps; to survive a restart it begins
//! at the time of day.

mod book;
mod file;
#[cfg(test)]
mod tests;

pub use book::{Book, Change, Evicted, Known, Limits, Listed};
pub use file::Damaged;
