//! `portcullis run`: the wiring of the rooms.

pub mod logging;
pub mod notify;
pub mod place;
pub mod system;

use crate::cli::{arguments::RunArguments, exit::Failure};

/// Runs the node until it is told to stop.
///
/// # Errors
/// The settings are wrong, or something that the node needs is not to be had.
pub fn command(arguments: RunArguments) -> Result<(), Failure> {
    let _levels = logging::start(&arguments.log_level, arguments.log_format)?;
    Ok(())
}
