//! `portcullis delete`.
use crate::{
    cli::{arguments::DeleteArguments, exit::Failure},
    output::Output,
    render::Format,
};
/// x
/// # Errors
/// x
pub async fn run(
    _server: &str,
    _arguments: &DeleteArguments,
    _format: Format,
    _output: &mut Output,
) -> Result<(), Failure> {
    Ok(())
}
