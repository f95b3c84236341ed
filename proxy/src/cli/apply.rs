//! `portcullis apply`.

use portcullis_config::proto::{ApplyRequest, Resource, StatusRequest};

use crate::{
    cli::{
        arguments::ApplyArguments,
        client::NodeClient,
        exit::Failure,
        input,
        results::{self, AppliedResource},
    },
    output::CommandOutput,
    render::Format,
};

/// Applies what files hold. A resource that is refused holds up no other.
///
/// # Errors
/// A file or the node cannot be reached, or a resource was refused.
pub async fn run(
    node: NodeClient<'_>,
    arguments: &ApplyArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    let input = input::read(&arguments.files)?;
    results::say_skipped(&input.skipped, output);
    let done = if arguments.dry_run { "would be applied" } else { "applied" };
    let mut entries: Vec<AppliedResource> = input.refused.into_iter().map(AppliedResource::unreadable).collect();
    if !input.resources.is_empty() {
        let (resources, sources): (Vec<Resource>, Vec<_>) = input.resources.into_iter().unzip();
        let request = ApplyRequest { resources, dry_run: arguments.dry_run };
        let mut config = node.config().await?;
        let answer = config.apply(request).await?.into_inner();
        let status = config.status(StatusRequest {}).await?.into_inner();
        if status.policies > 0 && status.local_endpoints == 0 {
            output.say("warning: no endpoint of this node is local, so no policy is enforced (portcullis status)");
        }
        entries.extend(
            answer.results.into_iter().zip(&sources).map(|(result, source)| AppliedResource::new(result, source, done)),
        );
    }
    results::show(&entries, format, output)
}
