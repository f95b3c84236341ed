//! The command line's names for the kinds of resources.

use clap::{ValueEnum, builder::PossibleValue};
use portcullis_config::proto::ResourceType;

/// Types of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
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

impl From<KindArg> for ResourceType {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Policy => Self::Policy,
            KindArg::NetworkPolicy => Self::NetworkPolicy,
            KindArg::Endpoint => Self::Endpoint,
            KindArg::Service => Self::Service,
            KindArg::CidrGroup => Self::CidrGroup,
            KindArg::Secret => Self::Secret,
        }
    }
}

/// What `get` shows: resources, and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownKind {
    /// Resources of a type.
    Resources(KindArg),
    /// Names that were learnt.
    Fqdns,
}

impl ValueEnum for ShownKind {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Resources(KindArg::Policy),
            Self::Resources(KindArg::NetworkPolicy),
            Self::Resources(KindArg::Endpoint),
            Self::Resources(KindArg::Service),
            Self::Resources(KindArg::CidrGroup),
            Self::Resources(KindArg::Secret),
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

    use super::{KindArg, ShownKind};

    #[test]
    fn get_shows_every_type_of_resource() {
        for kind in KindArg::value_variants() {
            assert!(ShownKind::value_variants().contains(&ShownKind::Resources(*kind)), "{kind:?}");
        }
    }
}
