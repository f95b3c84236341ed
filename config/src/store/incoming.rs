//! Reads one resource of an update.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    key::{ResourceKind, StoreKey},
    table::{AcceptedResource, ResourceBody, ResourceOrigin, ResourceTable},
};
use crate::{
    cidr_group,
    documents::{key_parsed, parse_policy},
    endpoint,
    policy::{self, Language},
    problem::DocumentProblem,
    proto::{self, Outcome, ResourceKey, ResourceResult, resource},
    secret, service,
    yaml::Parsed,
};

/// One resource as it came.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) resource: proto::Resource,
    pub(crate) origin: ResourceOrigin,
    /// The line of the file at which its document begins; 1 for what was pushed.
    pub(crate) line: u32,
    /// The document of a policy, where it has been parsed.
    pub(crate) parsed: Option<Parsed>,
    /// What was found wrong before it came here, and the name that it seems to have.
    pub(crate) refused: Option<(Option<ResourceKey>, Vec<DocumentProblem>)>,
}

impl Incoming {
    /// A pushed one.
    pub(crate) fn pushed(resource: proto::Resource) -> Self {
        Self { resource, origin: ResourceOrigin::Api, line: 1, parsed: None, refused: None }
    }
}

/// One resource of an update on its way into the table.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its name; `None` when even that cannot be told.
    pub(crate) key: Option<StoreKey>,
    pub(crate) kind: Option<ResourceKind>,
    pub(crate) version: String,
    pub(crate) origin: ResourceOrigin,
    /// What it becomes, unless it is refused.
    pub(crate) good: Option<AcceptedResource>,
    /// It is in force already, word for word.
    pub(crate) unchanged: bool,
    pub(crate) problems: Vec<proto::Problem>,
}

impl Candidate {
    /// Reads a resource. What is in force word for word is not read again.
    pub(crate) fn read(incoming: Incoming, table: &ResourceTable, language: Language<'_>) -> Self {
        let Incoming { resource, origin, line, parsed, refused } = incoming;
        let parsed = parsed.or_else(|| parse_policy(&resource));
        let (kind, proto_key) = name(&resource, parsed.as_ref());
        let mut candidate = Self {
            key: proto_key.as_ref().and_then(StoreKey::from_proto),
            kind,
            version: resource.version.clone(),
            origin: origin.clone(),
            good: None,
            unchanged: false,
            problems: Vec::new(),
        };
        if let Some((key, problems)) = refused {
            candidate.key = key.as_ref().and_then(StoreKey::from_proto).or(candidate.key);
            candidate.kind = candidate.key.as_ref().map(|key| key.kind).or(candidate.kind);
            candidate.add(problems, line);
            return candidate;
        }
        if let Some(good) = candidate.key.as_ref().and_then(|key| table.good(key))
            && good.resource.body == resource.body
            && good.origin == origin
            && !good.left_out
        {
            candidate.unchanged = good.resource.version == resource.version;
            candidate.problems = good.warnings.to_vec();
            candidate.good = Some(AcceptedResource { resource: Arc::new(resource), line, ..good.clone() });
            return candidate;
        }
        let (body, problems) = body(&resource, parsed.as_ref(), &origin, language);
        candidate.add(problems, line);
        if candidate.key.is_none() && candidate.problems.is_empty() {
            candidate.add(vec![DocumentProblem::new("metadata.name", "is missing", "give it a name")], line);
        }
        let sound = candidate.key.is_some() && candidate.problems.iter().all(|problem| problem.warning);
        let warnings = candidate.problems.as_slice().into();
        candidate.good = body.filter(|_| sound).map(|body| AcceptedResource {
            resource: Arc::new(resource),
            origin,
            line,
            body,
            warnings,
            left_out: false,
        });
        candidate
    }

    fn add(&mut self, problems: Vec<DocumentProblem>, line: u32) {
        self.problems.extend(problems.into_iter().map(|problem| problem.in_document_at(line).into()));
    }

    /// Refuses it.
    pub(crate) fn refuse(&mut self, problem: DocumentProblem) {
        self.good = None;
        self.unchanged = false;
        self.problems.push(problem.into());
    }

    /// Warnings for its sender.
    pub(crate) fn result(&self) -> ResourceResult {
        let outcome = if self.good.is_some() { Outcome::Accepted } else { Outcome::Rejected };
        let unnamed =
            || ResourceKey { r#type: self.kind.map_or(0, |kind| kind.to_proto().into()), ..ResourceKey::default() };
        ResourceResult {
            key: Some(self.key.as_ref().map_or_else(unnamed, StoreKey::to_proto)),
            version: self.version.clone(),
            outcome: outcome.into(),
            problems: self.problems.clone(),
        }
    }
}

/// The type of a resource, as far as it can be told.
pub(super) fn kind(resource: &proto::Resource) -> Option<ResourceKind> {
    name(resource, parse_policy(resource).as_ref()).0
}

/// The type and the name of a resource, as far as they can be told.
fn name(resource: &proto::Resource, parsed: Option<&Parsed>) -> (Option<ResourceKind>, Option<ResourceKey>) {
    let key = key_parsed(resource, parsed);
    let kind = resource.body.as_ref().map(|body| match body {
        // Its document says whose it is, if it can be read.
        resource::Body::Policy(_) => {
            key.as_ref().and_then(|key| ResourceKind::from_proto(key.r#type())).unwrap_or(ResourceKind::Policy)
        }
        resource::Body::Endpoint(_) => ResourceKind::Endpoint,
        resource::Body::Service(_) => ResourceKind::Service,
        resource::Body::CidrGroup(_) => ResourceKind::CidrGroup,
        resource::Body::Secret(_) => ResourceKind::Secret,
    });
    (kind, key)
}

fn body(
    resource: &proto::Resource,
    parsed: Option<&Parsed>,
    origin: &ResourceOrigin,
    language: Language<'_>,
) -> (Option<ResourceBody>, Vec<DocumentProblem>) {
    match &resource.body {
        None => {
            let problem =
                DocumentProblem::new("", "has no body", "set one of policy, endpoint, service, cidr_group and secret");
            (None, vec![problem])
        }
        Some(resource::Body::Policy(policy)) => {
            let origin = origin.as_str().into();
            let read = match parsed {
                Some(parsed) => policy::read_parsed(&policy.document, parsed, &origin, language),
                None => policy::read(&policy.document, &origin, language),
            };
            (read.policy.map(|policy| ResourceBody::Policy(Arc::new(policy))), read.problems)
        }
        Some(resource::Body::Endpoint(endpoint)) => match endpoint::read(endpoint) {
            Ok(known) => (Some(ResourceBody::Endpoint(Arc::new(known.endpoint), known.place)), Vec::new()),
            Err(problems) => (None, problems),
        },
        Some(resource::Body::Service(service)) => match service::read(service) {
            Ok(service) => (Some(ResourceBody::Service(Arc::new(service))), Vec::new()),
            Err(problems) => (None, problems),
        },
        Some(resource::Body::CidrGroup(group)) => match cidr_group::read(group) {
            Ok(group) => (Some(ResourceBody::CidrGroup(Arc::new(group))), Vec::new()),
            Err(problems) => (None, problems),
        },
        Some(resource::Body::Secret(secret)) => match secret::read(secret) {
            Ok(known) => (Some(ResourceBody::Secret(known.secret.map(Arc::new))), known.doubt.into_iter().collect()),
            Err(problems) => (None, problems),
        },
    }
}

/// Refuses what an update says twice.
pub(crate) fn refuse_twins(candidates: &mut [Candidate]) {
    let mut names: BTreeMap<StoreKey, ResourceOrigin> = BTreeMap::new();
    for candidate in candidates {
        let Some(key) = candidate.key.clone() else { continue };
        match names.get(&key) {
            Some(origin) => {
                let message = match origin {
                    ResourceOrigin::Api => format!("{key} is in this update already"),
                    ResourceOrigin::File(path) => format!("{key} is given by {path} already"),
                };
                candidate.refuse(DocumentProblem::new(
                    "metadata.name",
                    message,
                    "remove one of them, or give it another name",
                ));
            }
            None => {
                names.insert(key, candidate.origin.clone());
            }
        }
    }
}
