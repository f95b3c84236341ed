//! All resources, each with its last good and its last refused version.

use std::{collections::BTreeMap, sync::Arc};

use portcullis_rules::{
    policy::Policy,
    settings::PolicySettings,
    world::{CidrGroup, Endpoint, EndpointId, Secret, Service, World},
};

use super::{
    key::{ResourceKind, StoreKey},
    numbers::EndpointNumbers,
};
use crate::{
    node::{EndpointLocation, LocalEndpoint, NodeStatus},
    proto::{self, resource},
    secret,
};

/// Who gave a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceOrigin {
    /// Whoever talks to the API; all of them count as one.
    Api,
    /// A file, by its path.
    File(Arc<str>),
}

impl ResourceOrigin {
    /// Word of resources that were pushed.
    pub(crate) const API: &str = "api";

    /// `api`, or the path.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Api => Self::API,
            Self::File(path) => path,
        }
    }

    /// The other way round.
    pub(crate) fn parse(text: &str) -> Self {
        if text == Self::API { Self::Api } else { Self::File(text.into()) }
    }
}

/// A resource in force.
#[derive(Clone, Debug)]
pub(crate) struct AcceptedResource {
    pub(crate) resource: Arc<proto::Resource>,
    pub(crate) origin: ResourceOrigin,
    /// The line of the file at which its document begins; 1 for what was pushed.
    pub(crate) line: u32,
    pub(crate) body: ResourceBody,
    /// Warnings that came with it.
    pub(crate) warnings: Arc<[proto::Problem]>,
    /// It does not fit into the bounds of a compilation: `body` closes what it speaks of, and no more.
    pub(crate) left_out: bool,
}

/// What the rules know of a resource.
#[derive(Clone, Debug)]
pub(crate) enum ResourceBody {
    Policy(Arc<Policy>),
    /// With its number, if it is local.
    Endpoint(Arc<Endpoint>, Option<EndpointLocation>),
    Service(Arc<Service>),
    CidrGroup(Arc<CidrGroup>),
    /// `None`: no header can be compared with it.
    Secret(Option<Arc<Secret>>),
}

/// A version that was refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RejectedVersion {
    pub(crate) result: proto::ResourceResult,
    pub(crate) origin: ResourceOrigin,
}

/// One name. At least one of the two is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredResource {
    /// What is in force.
    pub(crate) good: Option<AcceptedResource>,
    /// What was refused since.
    pub(crate) rejected: Option<Arc<RejectedVersion>>,
}

/// All resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceTable {
    pub(crate) entries: BTreeMap<StoreKey, StoredResource>,
    pub(crate) numbers: EndpointNumbers,
}

/// How many of each there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceCounts {
    pub(crate) policies: u32,
    pub(crate) endpoints: u32,
    pub(crate) local_endpoints: u32,
    pub(crate) services: u32,
    pub(crate) cidr_groups: u32,
    pub(crate) secrets: u32,
    /// Names whose newest version was refused.
    pub(crate) rejected: u64,
}

impl ResourceTable {
    /// What is in force under a name.
    pub(crate) fn good(&self, key: &StoreKey) -> Option<&AcceptedResource> {
        self.entries.get(key)?.good.as_ref()
    }

    /// Everything in force.
    pub(crate) fn goods(&self) -> impl Iterator<Item = (&StoreKey, &AcceptedResource)> {
        self.entries.iter().filter_map(|(key, entry)| Some((key, entry.good.as_ref()?)))
    }

    /// Counts what is there.
    pub(crate) fn counts(&self) -> ResourceCounts {
        let mut counts = ResourceCounts::default();
        for entry in self.entries.values() {
            counts.rejected += u64::from(entry.rejected.is_some());
            match entry.good.as_ref().map(|good| &good.body) {
                Some(ResourceBody::Policy(_)) => counts.policies += 1,
                Some(ResourceBody::Endpoint(endpoint, _)) => {
                    counts.endpoints += 1;
                    counts.local_endpoints += u32::from(endpoint.local.is_some());
                }
                Some(ResourceBody::Service(_)) => counts.services += 1,
                Some(ResourceBody::CidrGroup(_)) => counts.cidr_groups += 1,
                Some(ResourceBody::Secret(_)) => counts.secrets += 1,
                None => {}
            }
        }
        counts
    }

    /// What a snapshot is compiled from.
    pub(crate) fn world(&self, settings: PolicySettings) -> World {
        let mut world = World { settings, ..World::default() };
        for (_, good) in self.goods() {
            match &good.body {
                ResourceBody::Policy(policy) => world.policies.push(Arc::clone(policy)),
                ResourceBody::Endpoint(endpoint, _) => world.endpoints.push(Arc::clone(endpoint)),
                ResourceBody::Service(service) => world.services.push(Arc::clone(service)),
                ResourceBody::CidrGroup(group) => world.cidr_groups.push(Arc::clone(group)),
                ResourceBody::Secret(secret) => world.secrets.extend(secret.as_deref().cloned()),
            }
        }
        world
    }

    /// The endpoints that live here.
    pub(crate) fn locals(&self) -> Vec<LocalEndpoint> {
        let local = |good: &AcceptedResource| match &good.body {
            ResourceBody::Endpoint(endpoint, Some(place)) => {
                Some(LocalEndpoint { id: endpoint.local?, endpoint: Arc::clone(endpoint), place: place.clone() })
            }
            _ => None,
        };
        self.goods().filter_map(|(_, good)| local(good)).collect()
    }

    /// The name of a local endpoint.
    pub(crate) fn key_of(&self, id: EndpointId) -> Option<&StoreKey> {
        let has = |good: &AcceptedResource| matches!(&good.body, ResourceBody::Endpoint(endpoint, _) if endpoint.local == Some(id));
        self.goods().find(|(_, good)| has(good)).map(|(key, _)| key)
    }

    /// What `List` tells: everything but the values of secrets.
    pub(crate) fn list(&self, kind: Option<ResourceKind>, node: &dyn NodeStatus) -> Vec<proto::ListedResource> {
        let entries = self.entries.iter().filter(|(key, _)| kind.is_none_or(|kind| kind == key.kind));
        let listed = |(key, entry): (&StoreKey, &StoredResource)| proto::ListedResource {
            key: Some(key.to_proto()),
            resource: entry.good.as_ref().map(AcceptedResource::told),
            origin: entry.origin().as_str().to_owned(),
            rejected: entry.rejected.as_ref().map(|rejected| rejected.result.clone()),
            state: entry.local().map(|id| node.state(id)).unwrap_or_default(),
            packets: entry.local().map(|id| node.packets(id)).unwrap_or_default(),
            line: entry.good.as_ref().map_or(0, |good| good.line),
        };
        entries.map(listed).collect()
    }
}

impl AcceptedResource {
    /// The resource without what nobody is told.
    fn told(&self) -> proto::Resource {
        match &self.resource.body {
            Some(resource::Body::Secret(secret)) => proto::Resource {
                version: self.resource.version.clone(),
                body: Some(resource::Body::Secret(secret::without_values(secret))),
            },
            _ => proto::Resource::clone(&self.resource),
        }
    }
}

impl StoredResource {
    /// Who gave what is in force, or else what was refused.
    fn origin(&self) -> &ResourceOrigin {
        let refused = || self.rejected.as_ref().map(|rejected| &rejected.origin);
        self.good.as_ref().map(|good| &good.origin).or_else(refused).unwrap_or(&ResourceOrigin::Api)
    }

    fn local(&self) -> Option<EndpointId> {
        match &self.good.as_ref()?.body {
            ResourceBody::Endpoint(endpoint, _) => endpoint.local,
            _ => None,
        }
    }
}
