//! `portcullis status`.

use portcullis_config::proto::StatusRequest;

use crate::{
    cli::{client::NodeClient, exit::Failure},
    output::CommandOutput,
    render::{Format, status, structured},
};

/// Asks the node for its state and prints it.
///
/// # Errors
/// The node cannot be reached.
pub async fn run(node: NodeClient<'_>, format: Format, output: &mut CommandOutput) -> Result<(), Failure> {
    let answer = node.config().await?.status(StatusRequest {}).await?.into_inner();
    let status = status::Status::from(answer);
    let text = match structured(format, &status)? {
        Some(text) => text,
        None => status::text(&status, output.paint),
    };
    Ok(output.text(&text)?)
}
