//! Asks a running node over its API for what it has in force.

use std::sync::Arc;

use portcullis_config::{
    documents::{self, ListedNode},
    proto::{AnswerOrigin, LearntAddress, LearntName, ListNamesRequest, ListRequest, ListResponse, ResourceType},
};
use portcullis_rules::{
    schema::Schema,
    world::{Endpoint, EndpointId, LearnedFrom, ResolvedName},
};

use crate::{
    cli::{
        client::{NodeClient, block_on},
        exit::{ExitStatus, Failure},
        explain::peers::transport_of,
    },
    output::{CommandOutput, plain},
};

/// Fetches everything of one moment and the names that were learnt, and says on standard error whom it has asked.
///
/// # Errors
/// The node cannot be reached, or is of a version whose answer cannot be read. A question without an answer is not answered by
/// no, so the exit code is that of a question that is none.
pub(super) fn fetch(
    node: NodeClient<'_>,
    schemas: &[&'static Schema],
    output: &mut CommandOutput,
) -> Result<ListedNode, Failure> {
    let unanswered = |failure: Failure| Failure { exit: ExitStatus::Usage, ..failure };
    let (listed, names) = block_on(ask(node)).map_err(unanswered)?;
    let mut told = documents::listed(&listed, schemas).map_err(|reason| {
        let remedy = "the node is of another version: compare `portcullis --version` on both sides";
        Failure::new(ExitStatus::Usage, format!("the node's answer cannot be read: {reason}"), remedy)
    })?;
    let resolved = |learnt| resolved(learnt, &told.loaded.world.endpoints);
    told.loaded.world.names = names.into_iter().map(resolved).collect();
    output.say(format_args!("asked the node at {}, revision {}", plain(node.server()), told.revision));
    Ok(told)
}

async fn ask(node: NodeClient<'_>) -> Result<(ListResponse, Vec<LearntName>), Failure> {
    let request = ListRequest { r#type: ResourceType::Unspecified.into() };
    let listed = node.config().await?.list(request).await?.into_inner();
    // Those that no policy selects select nobody.
    let request = ListNamesRequest { pattern: String::new(), selected_only: true };
    let names = node.names().await?.list(request).await?.into_inner().names;
    Ok((listed, names))
}

/// An address that is none is not known.
fn resolved(learnt: LearntName, endpoints: &[Arc<Endpoint>]) -> ResolvedName {
    let origin = |told: &AnswerOrigin| {
        let named = |known: &&Arc<Endpoint>| format!("{}/{}", known.namespace, known.name) == told.endpoint;
        // One that is not there any more asks about nothing.
        let endpoint = endpoints.iter().find(named).and_then(|known| known.local).unwrap_or(EndpointId(u32::MAX));
        let transport = transport_of(&told.transport).ok()?;
        let (server, port) = (told.server.parse().ok()?, u16::try_from(told.port).ok()?);
        Some(LearnedFrom { endpoint, server, port, transport, known: told.known })
    };
    // A node that does not tell from where has one cache for all.
    let (learnt_from, given): (Vec<&LearntAddress>, Vec<_>) =
        learnt.addresses.iter().partition(|told| !told.origins.is_empty());
    let addresses = given.into_iter().filter_map(|told| told.address.parse().ok()).collect();
    let address = |told: &LearntAddress| {
        let origins: Vec<LearnedFrom> = told.origins.iter().filter_map(origin).collect();
        Some((told.address.parse().ok()?, origins)).filter(|(_, origins)| !origins.is_empty())
    };
    let learnt_from = learnt_from.into_iter().filter_map(address).collect();
    ResolvedName { name: learnt.name, addresses, learnt: learnt_from }
}
