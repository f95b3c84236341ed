//! The input of a compilation: endpoints, services and policies.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{
    labels::LabelSet, names::never_opens, params::FlowParams, pattern::Patterns, policy::Policy, schema::Schema,
    settings::PolicySettings,
};

/// Number of a local endpoint: its key in the kernel's maps. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// Direction of a connection, seen from the endpoint whose policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The peer opened it.
    Ingress,
    /// The endpoint opened it.
    Egress,
}

impl Direction {
    /// `ingress` or `egress`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP, and MPTCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP. Known to policies; never steered.
    Sctp,
    /// ICMP; its message type stands for the port. Never steered; the kernel judges echo requests on their way out.
    Icmp,
    /// ICMPv6, likewise.
    IcmpV6,
    /// VRRP, IP protocol 112. This and the following have no ports, so that a flow of theirs has port 0. They are known to
    /// policies where [`PolicySettings::extended_ip_protocols`] is on; never steered.
    Vrrp,
    /// IGMP, 2.
    Igmp,
    /// GRE, 47.
    Gre,
    /// IPv4 in IP, 4.
    Ipip,
    /// IPv6 in IP, 41.
    Ipv6,
    /// ESP of IPsec, 50.
    Esp,
    /// AH of IPsec, 51.
    Ah,
}

impl Transport {
    /// All of them, in the order of their numbers as an index.
    pub const ALL: [Self; 12] = [
        Self::Tcp,
        Self::Udp,
        Self::Sctp,
        Self::Icmp,
        Self::IcmpV6,
        Self::Vrrp,
        Self::Igmp,
        Self::Gre,
        Self::Ipip,
        Self::Ipv6,
        Self::Esp,
        Self::Ah,
    ];

    /// As policies write it: `TCP`, `VRRP`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::IcmpV6 => "ICMPv6",
            Self::Vrrp => "VRRP",
            Self::Igmp => "IGMP",
            Self::Gre => "GRE",
            Self::Ipip => "IPIP",
            Self::Ipv6 => "IPV6",
            Self::Esp => "ESP",
            Self::Ah => "AH",
        }
    }

    /// Whether it is told apart by ports, and so is part of `ANY` (cilium pkg/policy/rule.go).
    #[must_use]
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp)
    }

    /// Whether it has neither ports nor types (cilium pkg/policy/api/rule_validation.go, `isExtendedIPProtocol`).
    #[must_use]
    pub fn is_extended(self) -> bool {
        !self.has_ports() && !matches!(self, Self::Icmp | Self::IcmpV6)
    }
}

/// A named or owned port of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedPort {
    /// Name for policies that name ports; may be empty.
    pub name: String,
    /// Number.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
}

/// Who an address belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Set for endpoints whose flows are judged here.
    pub local: Option<EndpointId>,
    /// Its id within its namespace, as pushed.
    pub name: Arc<str>,
    /// Kubernetes namespace.
    pub namespace: Arc<str>,
    /// Labels, with those that Cilium derives (namespace, service account, cluster).
    pub labels: LabelSet,
    /// Addresses; never IPv4-mapped.
    pub addresses: Vec<IpAddr>,
    /// Named ports.
    pub ports: Vec<NamedPort>,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; may be empty.
    pub name: String,
    /// Port of the VIPs.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
    /// Port of the backends.
    pub target_port: u16,
}

/// A service: addresses that somebody else translates to backends after our hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Kubernetes namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Labels.
    pub labels: LabelSet,
    /// Virtual addresses; never IPv4-mapped.
    pub vips: Vec<IpAddr>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Addresses of the backends that are ready; never IPv4-mapped.
    pub backends: Vec<IpAddr>,
}

/// Addresses under a name: `CiliumCIDRGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrGroup {
    /// Name.
    pub name: Arc<str>,
    /// Labels, of the source `cidrgroup`.
    pub labels: LabelSet,
    /// The ranges.
    pub cidrs: Vec<IpNet>,
}

/// What a name was resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedName {
    /// The name, in lower case and with its final dot.
    pub name: String,
    /// Addresses that are known for all; never IPv4-mapped.
    pub addresses: Vec<IpAddr>,
    /// Addresses that DNS answers gave, and where each came from.
    pub learnt: Vec<(IpAddr, Vec<LearnedFrom>)>,
}

/// Where an answer about a name came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LearnedFrom {
    /// The local endpoint that asked.
    pub endpoint: EndpointId,
    /// The server that answered; never IPv4-mapped. For a service, the backend.
    pub server: IpAddr,
    /// Its port.
    pub port: u16,
    /// How it was asked.
    pub transport: Transport,
    /// The server was an endpoint that is known.
    pub known: bool,
}

/// A secret that policies compare headers with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// `namespace/name`.
    pub name: String,
    /// Its only value.
    pub value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Everything a snapshot is compiled from.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Endpoints, local and remote.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Services.
    pub services: Vec<Arc<Service>>,
    /// Policies, validated.
    pub policies: Vec<Arc<Policy>>,
    /// CIDR groups.
    pub cidr_groups: Vec<Arc<CidrGroup>>,
    /// Names that were resolved, for `toFQDNs`.
    pub names: Vec<ResolvedName>,
    /// Secrets, for `headerMatches`.
    pub secrets: Vec<Secret>,
    /// Settings.
    pub settings: PolicySettings,
    /// What flows are relayed with.
    pub params: Arc<FlowParams>,
    /// The protocol whose answers tell the addresses of names, if there is one.
    pub naming: Option<&'static Schema>,
    /// Regular expressions that are compiled already.
    pub patterns: Patterns,
    /// Addresses of the node itself, whether or not an endpoint with the label `reserved:host` has them. They are let in as
    /// that is ([`PolicySettings::allow_localhost`]); those of known endpoints are theirs.
    pub node_addresses: Vec<IpAddr>,
    /// Ranges that are not learnt from answers, for whoever explains ([`never_opens`](crate::names::never_opens)).
    pub never_open: Vec<IpNet>,
}

impl World {
    /// Takes the addresses that no name opens away from the names that were resolved: a node does not learn them.
    pub fn forget_never_open(&mut self) {
        let ranges = &self.never_open;
        let opens =
            |address: &IpAddr| !never_opens(*address, |address| ranges.iter().any(|range| range.contains(&address)));
        for name in &mut self.names {
            name.addresses.retain(opens);
            name.learnt.retain(|(address, _)| opens(address));
        }
    }
}
