//! The node under test.
use crate::error::{Error, Result};
use std::path::PathBuf;
/// x
/// # Errors
/// x
pub fn binary() -> Result<PathBuf> {
    Err(Error::Unexpected("later".into()))
}
