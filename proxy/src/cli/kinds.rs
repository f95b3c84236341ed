//! The command line's names for the kinds of resources.

use clap::{ValueEnum, builder::PossibleValue};
use portcullis_config::proto::ResourceType;

/// Types of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, and our own NetworkPolicy and ClusterwideNetworkPolicy
    #[value(aliases = ["policies", "cnp", "ccnp"])]
    Policy,
    /// NetworkPolicy of Kubernetes (networking.k8s.io/v1)
    #[value(name = "networkpolicy", aliases = ["networkpolicies", "netpol", "knp"])]
    NetworkPolicy,
    /// Who an address belongs to
    #[value(aliases = ["endpoints", "ep"])]
    Endpoint,
    /// Virtual addresses and their backends
    #[value(aliases = ["services", "svc"])]
    Service,
    /// Ranges of addresses under a name
    #[value(name = "cidrgroup", aliases = ["cidrgroups", "cidr-group", "cidr-groups", "ccg"])]
    CidrGroup,
    /// What headers are compared with; its values are never shown
    #[value(aliases = ["secrets"])]
    Secret,
}

impl From<Kind> for ResourceType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Policy => Self::Policy,
            Kind::NetworkPolicy => Self::NetworkPolicy,
            Kind::Endpoint => Self::Endpoint,
            Kind::Service => Self::Service,
            Kind::CidrGroup => Self::CidrGroup,
            Kind::Secret => Self::Secret,
        }
    }
}

/// What `get` shows: resources, and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Resources of a type.
    Resources(Kind),
    /// Names that were learnt.
    Fqdns,
}

impl ValueEnum for Shown {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Resources(Kind::Policy),
            Self::Resources(Kind::NetworkPolicy),
            Self::Resources(Kind::Endpoint),
            Self::Resources(Kind::Service),
            Self::Resources(Kind::CidrGroup),
            Self::Resources(Kind::Secret),
            Self::Fqdns,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Resources(kind) => kind.to_possible_value(),
            Self::Fqdns => {
                let help = "Names learned from DNS answers, and their addresses";
                Some(PossibleValue::new("fqdn").aliases(["fqdns", "names"]).help(help))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Kind, Shown};

    #[test]
    fn get_shows_every_type_of_resource() {
        for kind in Kind::value_variants() {
            assert!(Shown::value_variants().contains(&Shown::Resources(*kind)), "{kind:?}");
        }
    }
}
