//! Documents that may be invalid, for `lint`.

use portcullis_rules::{
    bounds::Effort,
    policy::Policy,
    schema::Schema,
    settings::PolicySettings,
    world::{CidrGroup, Endpoint, Service},
};

use super::Document;
use crate::{cidr_group, endpoint, policy, problem::DocumentProblem, proto, service};

/// A policy that may be wrong.
#[derive(Debug)]
pub struct PolicyDraft {
    /// The policy. It is there too when it is refused for what it means; not when it could not be read as a whole.
    pub policy: Option<Policy>,
    /// What is wrong or doubtful, in the order of the document. The policy is refused unless all are warnings.
    pub problems: Vec<DocumentProblem>,
}

impl PolicyDraft {
    /// Whether a node would take it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.policy.is_some() && self.problems.iter().all(|problem| problem.warning)
    }
}

/// Reads the policy of a document. `origin` is kept as [`Policy::origin`].
#[must_use]
pub fn draft(document: &Document, origin: &str, schemas: &[&'static Schema], settings: &PolicySettings) -> PolicyDraft {
    let effort = Effort::endless();
    let language = policy::Language { schemas, settings, effort: &effort, live: false };
    let policy::ReadPolicy { policy, problems } = policy::draft(&document.parsed, &origin.into(), language);
    PolicyDraft { policy, problems }
}

/// What a node finds wrong or doubtful with a policy's document; `schemas` are those of the protocols that it relays.
#[must_use]
pub fn live_problems(
    document: &Document,
    schemas: &[&'static Schema],
    settings: &PolicySettings,
) -> Vec<DocumentProblem> {
    let effort = Effort::endless();
    let language = policy::Language { schemas, settings, effort: &effort, live: true };
    policy::draft(&document.parsed, &"node".into(), language).problems
}

/// What the rules know of a service.
///
/// # Errors
/// What is wrong with it.
pub fn service(service: &proto::Service) -> Result<Service, Vec<DocumentProblem>> {
    service::read(service)
}

/// What the rules know of a CIDR group.
///
/// # Errors
/// What is wrong with it.
pub fn cidr_group(group: &proto::CidrGroup) -> Result<CidrGroup, Vec<DocumentProblem>> {
    cidr_group::read(group)
}

/// What the rules know of an endpoint; it is not local yet.
///
/// # Errors
/// What is wrong with it.
pub fn endpoint(endpoint: &proto::Endpoint) -> Result<Endpoint, Vec<DocumentProblem>> {
    endpoint::read(endpoint).map(|known| known.endpoint)
}
