//! The written form of policies: CiliumNetworkPolicy v2, CiliumClusterwideNetworkPolicy and NetworkPolicy
//! of networking.k8s.io/v1.
//!
//! `None`, an empty list and a list with an empty item have three different meanings in Cilium, so every list that may
//! be absent is an `Option`.

use std::sync::Arc;

use ipnet::IpNet;

pub use crate::validate::validate;
use crate::{
    labels::Selector,
    schema::{FieldIndex, Schema},
    settings::{DenyScope, DenyWith, OpenConnections},
    world::Transport,
};

/// Position in a document, from 1; 0 when unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// Whose language a policy is written in. Policies of both are united; names of one are not names of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyKind {
    /// Cilium's, and our own, which means the same.
    #[default]
    Cilium,
    /// NetworkPolicy of networking.k8s.io/v1. Its selectors are bound to its namespace and to this cluster as they are read.
    Kubernetes,
}

/// One policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose language it is written in.
    pub kind: PolicyKind,
    /// Kubernetes namespace; `None` for a cluster-wide policy.
    pub namespace: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// `spec` (as the only one, without index) or `spec` then `specs`.
    pub rules: Vec<Rule>,
    /// How requests that this policy denies are answered (annotation `portcullis.io/deny-with`).
    pub deny_with: Option<DenyWith>,
    /// How queries for names that this policy denies are answered (annotation `portcullis.io/dns-deny-with`).
    pub deny_names_with: Option<DenyWith>,
    /// What a reset takes along (annotation `portcullis.io/deny-scope`).
    pub deny_scope: Option<DenyScope>,
    /// What becomes of open connections (annotation `portcullis.io/open-connections`).
    pub open_connections: Option<OpenConnections>,
    /// Where it was read: a file's path, or `api`.
    pub origin: Arc<str>,
}

impl Policy {
    /// What verdicts and messages call it: `namespace/name`, the name alone of a cluster-wide one, and
    /// `networkpolicy:namespace/name` of one of Kubernetes.
    #[must_use]
    pub fn full_name(&self) -> String {
        let prefix = if self.kind == PolicyKind::Kubernetes { "networkpolicy:" } else { "" };
        match &self.namespace {
            Some(namespace) => format!("{prefix}{namespace}/{}", self.name),
            None => format!("{prefix}{}", self.name),
        }
    }

    /// The path of an element of ports below that of an element of peers.
    pub(crate) fn ports_path(&self, element: &str, number: usize) -> String {
        match self.kind {
            PolicyKind::Cilium => format!("{element}.toPorts[{number}]"),
            PolicyKind::Kubernetes => format!("{element}.ports[{number}]"),
        }
    }
}

/// One `spec`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands in the policy: `spec`, `specs[0]`; the prefix of field paths.
    pub path: Arc<str>,
    /// `endpointSelector` or `nodeSelector`, as written (no namespace injected).
    pub subject: Selector,
    /// Whether the subjects are nodes.
    pub node: bool,
    /// `ingress`.
    pub ingress: Option<Vec<PolicyEntry>>,
    /// `egress`.
    pub egress: Option<Vec<PolicyEntry>>,
    /// `ingressDeny`.
    pub ingress_deny: Option<Vec<PolicyEntry>>,
    /// `egressDeny`.
    pub egress_deny: Option<Vec<PolicyEntry>>,
    /// `enableDefaultDeny.ingress`.
    pub default_deny_ingress: Option<bool>,
    /// `enableDefaultDeny.egress`.
    pub default_deny_egress: Option<bool>,
    /// Where it stands in the document.
    pub position: Position,
}

/// One element of `ingress`, `egress`, `ingressDeny` or `egressDeny`.
#[derive(Clone, Debug, Default)]
pub struct PolicyEntry {
    /// `fromEndpoints` / `toEndpoints`, as written.
    pub endpoints: Option<Vec<Selector>>,
    /// `fromCIDR` / `toCIDR` and `fromCIDRSet` / `toCIDRSet`, kept apart because each may be empty.
    pub cidrs: Option<Vec<IpNet>>,
    /// `fromCIDRSet` / `toCIDRSet`.
    pub cidr_sets: Option<Vec<CidrSet>>,
    /// The items of `fromCIDRSet` / `toCIDRSet` that name groups. A list of these alone leaves `cidr_sets` empty.
    pub cidr_groups: Vec<CidrGroupUse>,
    /// `fromEntities` / `toEntities`.
    pub entities: Option<Vec<Entity>>,
    /// `fromNodes` / `toNodes`.
    pub nodes: Option<Vec<Selector>>,
    /// `toServices`; an empty list counts as absent.
    pub services: Option<Vec<ServiceSelector>>,
    /// `toFQDNs`; an empty list counts as absent.
    pub fqdns: Option<Vec<FqdnSelector>>,
    /// `toPorts`; an empty list counts as absent.
    pub ports: Option<Vec<PortRule>>,
    /// The fields of all `icmps`; an empty list counts as absent.
    pub icmps: Option<Vec<IcmpField>>,
    /// Where it stands in the document.
    pub position: Position,
}

/// Use of CIDR groups with exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CidrGroupUse {
    /// Which groups.
    pub groups: CidrGroupSelector,
    /// Parts of them that are not meant.
    pub except: Vec<IpNet>,
}

/// Which CIDR groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CidrGroupSelector {
    /// `cidrGroupRef`: by name.
    Name(String),
    /// `cidrGroupSelector`: by labels.
    Labels(Selector),
}

/// One item of `toServices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSelector {
    /// Namespace; `None` is any (cilium pkg/policy/k8s/service.go, `serviceRefMatches` and `serviceSelectorMatches`).
    pub namespace: Option<String>,
    /// Which services there.
    pub services: ServiceName,
}

/// Which services of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceName {
    /// `k8sService.serviceName`.
    Name(String),
    /// `k8sServiceSelector.selector`.
    Labels(Selector),
}

/// One ICMP message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpField {
    /// [`Transport::Icmp`] or [`Transport::IcmpV6`].
    pub family: Transport,
    /// The type.
    pub kind: u8,
}

/// A CIDR with exceptions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CidrSet {
    /// The range.
    pub cidr: IpNet,
    /// Parts of it that are not meant.
    pub except: Vec<IpNet>,
}

/// `matchName` or `matchPattern` of `toFQDNs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FqdnSelector {
    /// `matchName`.
    Name(String),
    /// `matchPattern`.
    Pattern(String),
}

/// Entities (pkg/policy/api/entity.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Cilium's own")]
pub enum Entity {
    All,
    World,
    WorldIpv4,
    WorldIpv6,
    Cluster,
    ClusterMesh,
    Host,
    RemoteNode,
    KubeApiServer,
    Ingress,
    Init,
    Health,
    Unmanaged,
    None,
    /// Not Cilium's: see [`crate::settings::Deviations::kube_dns_entity`].
    KubeDns,
}

/// One element of `toPorts`.
#[derive(Clone, Debug, Default)]
pub struct PortRule {
    /// `ports`. An empty list selects nothing.
    pub ports: Vec<PortSpec>,
    /// `rules`, if there is at least one L7 rule.
    pub l7: Option<L7Rules>,
    /// `serverNames`, as rules of TLS, one for each name; if there is at least one.
    pub server_names: Option<L7Rules>,
    /// `terminatingTLS`: requests are judged inside of TLS that is taken off.
    pub terminates_tls: bool,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// Number, range or name.
    pub port: PortRef,
    /// `None` is `ANY`: TCP, UDP and SCTP, but not ICMP.
    pub transport: Option<Transport>,
}

/// Number, range or name of a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortRef {
    /// `first..=last`; 0..=0 stands for every port.
    Range(u16, u16),
    /// An IANA service name, resolved by the endpoints' own ports.
    Named(String),
}

/// The L7 rules of one `toPorts` element, all of one protocol.
#[derive(Clone, Debug)]
pub struct L7Rules {
    /// The protocol.
    pub schema: &'static Schema,
    /// Rules, ORed. Never empty.
    pub rules: Vec<L7Rule>,
}

/// One L7 rule: predicates, ANDed. Without predicates it allows every request.
#[derive(Clone, Debug, Default)]
pub struct L7Rule {
    /// Predicates in the order of the schema.
    pub predicates: Vec<Predicate>,
    /// `headerMatches` that are more than a predicate: what is done with a header that does not match, and what is
    /// compared with a secret. They run once all predicates match.
    pub actions: Vec<HeaderAction>,
    /// Its number in the list that was written, where that is not its place among the rules: one item may be several
    /// rules.
    pub item: Option<usize>,
    /// What its author wrote, where that is not what the predicates say.
    pub written: Vec<SourceRef>,
    /// Where it stands in the document.
    pub position: Position,
}

impl L7Rule {
    /// What the author wrote for a field, where the predicate does not say it.
    #[must_use]
    pub fn written(&self, field: FieldIndex) -> Option<&SourceRef> {
        written(&self.written, field)
    }
}

/// The words in which the author of a rule has said something of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRef {
    /// The field that it is about.
    pub field: FieldIndex,
    /// The key of the rule: a shorthand's, or the field's own where its text stands for something else.
    pub key: &'static str,
    /// What the field has to be, for people.
    pub shown: Arc<str>,
}

/// What is said of a field, if anything is.
pub(crate) fn written(all: &[SourceRef], field: FieldIndex) -> Option<&SourceRef> {
    all.iter().find(|written| written.field == field)
}

/// One predicate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// The field.
    pub field: FieldIndex,
    /// Name of the header, in lower case, for fields of that form; else empty.
    pub key: String,
    /// What the value has to be.
    pub matcher: Matcher,
}

/// A comparison of a header, and what is done when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderAction {
    /// The field of the form [`crate::schema::Form::Headers`].
    pub field: FieldIndex,
    /// Name of the header, in lower case.
    pub name: String,
    /// What the whole value has to equal; an empty one is any value.
    pub wanted: HeaderValueSource,
    /// What is done when it does not.
    pub mismatch: Mismatch,
}

/// Where the wanted value of a header comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValueSource {
    /// The policy.
    Value(String),
    /// A secret, `namespace/name`. While it is not known, nothing matches and nothing is done.
    Secret(String),
}

/// What is done with a header that does not match (cilium pkg/policy/api/http.go, `MismatchAction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The rule does not match.
    Fail,
    /// It is told.
    Log,
    /// The wanted value is added.
    Add,
    /// The header is removed.
    Delete,
    /// The header becomes the wanted value.
    Replace,
}

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// The whole value matches the regular expression (RE2 syntax, case-sensitive).
    Regex(String),
    /// The whole value equals.
    Exact(String),
    /// There is a value.
    Present,
    /// The whole value is a name in [normal form](crate::names::normal) that a pattern takes
    /// ([`crate::names::NamePattern`]).
    Name(String),
    /// The whole value equals one of these.
    AnyOf(Vec<String>),
}

/// Something wrong or doubtful in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    /// Path of the field, for example `spec.ingress[0].toPorts[0].ports[0].port`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
    /// Whether the policy is accepted nevertheless.
    pub warning: bool,
    /// Set where nothing is wrong with it but that it takes more than there is.
    pub exhausts: Option<crate::bounds::BoundedResource>,
}
