//! The keys of resources: type, namespace and name.

use std::fmt;

use crate::proto::{ResourceKey, ResourceType};

/// Type of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceKind {
    /// Cilium's and our own.
    Policy,
    /// NetworkPolicy of Kubernetes.
    NetworkPolicy,
    Endpoint,
    Service,
    CidrGroup,
    Secret,
}

impl ResourceKind {
    /// Every type.
    pub(crate) const ALL: [Self; 6] =
        [Self::Policy, Self::NetworkPolicy, Self::Endpoint, Self::Service, Self::CidrGroup, Self::Secret];

    /// The word of metrics and messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::NetworkPolicy => "networkpolicy",
            Self::Endpoint => "endpoint",
            Self::Service => "service",
            Self::CidrGroup => "cidrgroup",
            Self::Secret => "secret",
        }
    }

    /// `None` for the unspecified one.
    pub(crate) fn from_proto(kind: ResourceType) -> Option<Self> {
        match kind {
            ResourceType::Unspecified => None,
            ResourceType::Policy => Some(Self::Policy),
            ResourceType::NetworkPolicy => Some(Self::NetworkPolicy),
            ResourceType::Endpoint => Some(Self::Endpoint),
            ResourceType::Service => Some(Self::Service),
            ResourceType::CidrGroup => Some(Self::CidrGroup),
            ResourceType::Secret => Some(Self::Secret),
        }
    }

    /// Whether it is judged by.
    pub(crate) fn is_policy(self) -> bool {
        matches!(self, Self::Policy | Self::NetworkPolicy)
    }

    /// As the API has it.
    pub(crate) fn to_proto(self) -> ResourceType {
        match self {
            Self::Policy => ResourceType::Policy,
            Self::NetworkPolicy => ResourceType::NetworkPolicy,
            Self::Endpoint => ResourceType::Endpoint,
            Self::Service => ResourceType::Service,
            Self::CidrGroup => ResourceType::CidrGroup,
            Self::Secret => ResourceType::Secret,
        }
    }
}

/// Names one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoreKey {
    pub(crate) kind: ResourceKind,
    /// Empty for a cluster-wide policy and for a CIDR group.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl StoreKey {
    /// `None` when the type or the name is missing.
    pub(crate) fn from_proto(key: &ResourceKey) -> Option<Self> {
        let kind = ResourceKind::from_proto(key.r#type())?;
        let namespace = match (kind, key.namespace.as_str()) {
            (ResourceKind::Policy, namespace) => namespace,
            (ResourceKind::CidrGroup, _) => "",
            (_, namespace) => crate::endpoint::or_default(namespace),
        };
        (!key.name.is_empty()).then(|| Self { kind, namespace: namespace.to_owned(), name: key.name.clone() })
    }

    /// As the API has it.
    pub(crate) fn to_proto(&self) -> ResourceKey {
        ResourceKey { r#type: self.kind.to_proto().into(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}", self.kind.as_str(), self.namespace, self.name)
    }
}
