//! What a running node has in force, asked over its API.

use portcullis_config::{
    documents::{self, Told},
    proto::{ListRequest, ResourceType},
};

use crate::{
    cli::{
        client,
        exit::{Exit, Failure},
    },
    output::{Output, plain},
};

/// Fetches everything of one moment, and says on standard error whom it has asked.
///
/// # Errors
/// The node cannot be reached, or is of a version whose answer cannot be read. A question without an answer is not answered by
/// no, so the exit code is that of a question that is none.
pub(super) fn fetch(server: &str, output: &mut Output) -> Result<Told, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::internal)?;
    let unanswered = |failure: Failure| Failure { exit: Exit::Usage, ..failure };
    let request = ListRequest { r#type: ResourceType::Unspecified.into() };
    let listed = runtime.block_on(async {
        let answer = client::config(server).await?.list(request).await?;
        Ok::<_, Failure>(answer.into_inner())
    });
    let told = documents::listed(&listed.map_err(unanswered)?, portcullis_codecs::SCHEMAS).map_err(|reason| {
        let remedy = "the node is of another version: compare `portcullis --version` on both sides";
        Failure::new(Exit::Usage, format!("the node's answer cannot be read: {reason}"), remedy)
    })?;
    output.say(format_args!("asked the node at {}, revision {}", plain(server), told.revision));
    Ok(told)
}
