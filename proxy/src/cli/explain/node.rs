//! What a running node has in force, asked over its API.

use portcullis_config::{
    documents::{self, Told},
    proto::{LearntName, ListNamesRequest, ListRequest, ListResponse, ResourceType},
};
use portcullis_rules::world::ResolvedName;

use crate::{
    cli::{
        client,
        exit::{Exit, Failure},
    },
    output::{Output, plain},
};

/// Fetches everything of one moment and the names that were learnt, and says on standard error whom it has asked.
///
/// # Errors
/// The node cannot be reached, or is of a version whose answer cannot be read. A question without an answer is not answered by
/// no, so the exit code is that of a question that is none.
pub(super) fn fetch(server: &str, output: &mut Output) -> Result<Told, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::internal)?;
    let unanswered = |failure: Failure| Failure { exit: Exit::Usage, ..failure };
    let (listed, names) = runtime.block_on(ask(server)).map_err(unanswered)?;
    let mut told = documents::listed(&listed, portcullis_codecs::SCHEMAS).map_err(|reason| {
        let remedy = "the node is of another version: compare `portcullis --version` on both sides";
        Failure::new(Exit::Usage, format!("the node's answer cannot be read: {reason}"), remedy)
    })?;
    told.loaded.world.names = names.into_iter().map(resolved).collect();
    output.say(format_args!("asked the node at {}, revision {}", plain(server), told.revision));
    Ok(told)
}

async fn ask(server: &str) -> Result<(ListResponse, Vec<LearntName>), Failure> {
    let request = ListRequest { r#type: ResourceType::Unspecified.into() };
    let listed = client::config(server).await?.list(request).await?.into_inner();
    // Those that no policy selects select nobody.
    let request = ListNamesRequest { pattern: String::new(), selected_only: true };
    let names = client::names(server).await?.list(request).await?.into_inner().names;
    Ok((listed, names))
}

/// An address that is none is not known.
fn resolved(learnt: LearntName) -> ResolvedName {
    let addresses = learnt.addresses.iter().filter_map(|learnt| learnt.address.parse().ok()).collect();
    ResolvedName { name: learnt.name, addresses }
}
