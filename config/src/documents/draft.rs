//! Documents that may be invalid, for `lint`.

use portcullis_rules::{bounds::Effort, policy::Policy, schema::Schema, settings::Settings, world::Endpoint};

use super::Document;
use crate::{endpoint, policy, problem::Problem, proto};

/// A policy that may be wrong.
#[derive(Debug)]
pub struct Draft {
    /// The policy. It is there too when it is refused for what it means; not when it could not be read as a whole.
    pub policy: Option<Policy>,
    /// What is wrong or doubtful, in the order of the document. The policy is refused unless all are warnings.
    pub problems: Vec<Problem>,
}

impl Draft {
    /// Whether a node would take it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.policy.is_some() && self.problems.iter().all(|problem| problem.warning)
    }
}

/// Reads the policy of a document. `origin` is kept as [`Policy::origin`].
#[must_use]
pub fn draft(document: &Document, origin: &str, schemas: &[&'static Schema], settings: &Settings) -> Draft {
    let effort = Effort::endless();
    let language = policy::Language { schemas, settings, effort: &effort, live: false };
    let policy::Read { policy, problems } = policy::draft(&document.parsed, &origin.into(), language);
    Draft { policy, problems }
}

/// What the rules know of an endpoint; it is not local yet.
///
/// # Errors
/// What is wrong with it.
pub fn endpoint(endpoint: &proto::Endpoint) -> Result<Endpoint, Vec<Problem>> {
    endpoint::read(endpoint).map(|known| known.endpoint)
}
