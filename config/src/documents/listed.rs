//! Builds a world from what a node's API lists as in force.

use std::collections::BTreeSet;

use portcullis_rules::schema::Schema;

use super::{
    offline::{Loaded, Offline},
    split,
};
use crate::{
    proto::{ListResponse, ListedResource, resource::Body},
    settings::rules_from_proto,
};

/// What a node told of itself.
#[derive(Debug)]
pub struct ListedNode {
    /// Every endpoint has a number, so that its policy can be asked. There is no secret: the node tells no values.
    pub loaded: Loaded,
    /// `namespace/name` of the secrets that headers can be compared with there.
    pub secrets: BTreeSet<String>,
    /// Number of the configuration.
    pub revision: u64,
}

/// Takes a listing of every type of resources.
///
/// # Errors
/// It has settings that this version does not know.
pub fn listed(response: &ListResponse, schemas: &[&'static Schema]) -> Result<ListedNode, String> {
    let told = response.settings.as_ref().ok_or("it does not tell its settings")?;
    let settings = rules_from_proto(told)?;
    // What is in force was accepted once, under whatever settings.
    let mut offline = Offline::new(schemas, settings.lenient());
    let mut secrets = BTreeSet::new();
    for resource in &response.resources {
        match body(resource) {
            Some(Body::Policy(policy)) => {
                for mut document in split(&policy.document) {
                    document.line = resource.line.max(1);
                    offline.take(&resource.origin, document);
                }
            }
            Some(Body::Secret(secret)) if secret.data.len() == 1 => {
                secrets.insert(format!("{}/{}", secret.namespace, secret.name));
            }
            // Without values there is nothing to read.
            Some(Body::Secret(_)) | None => {}
            Some(body) => offline.take_body(&resource.origin, body),
        }
    }
    let mut loaded = offline.finish();
    loaded.world.settings = settings;
    loaded.world.never_open = told.never_open.iter().filter_map(|range| range.parse().ok()).collect();
    loaded.world.node_addresses = told.node_addresses.iter().filter_map(|address| address.parse().ok()).collect();
    // Their sender has received the warnings.
    loaded.problems.retain(|(_, problem)| !problem.warning);
    Ok(ListedNode { loaded, secrets, revision: response.revision })
}

fn body(listed: &ListedResource) -> Option<&Body> {
    listed.resource.as_ref()?.body.as_ref()
}
