//! `portcullis apply`.
use crate::{
    cli::{arguments::ApplyArguments, exit::Failure},
    output::Output,
    render::Format,
};
/// x
/// # Errors
/// x
pub async fn run(
    _server: &str,
    _arguments: &ApplyArguments,
    _format: Format,
    _output: &mut Output,
) -> Result<(), Failure> {
    Ok(())
}
