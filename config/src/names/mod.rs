//! What DNS answers taught: names, their addresses, how long each holds, who asked and which server answered.
//!
//! Pure: no clock, no files. Times are seconds on a scale of the caller's that never jumps; to survive a restart it begins
//! at the time of day.

mod book;
mod file;
mod limits;
mod owner;
mod room;
#[cfg(test)]
mod tests;

pub use book::{Answer, Book, Change, Known, KnownAddress, Listed};
pub use file::Damaged;
pub use limits::{Evicted, Limits};
