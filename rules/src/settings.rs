//! Settings of the engine. Every default is Cilium's meaning.

use crate::bounds::CompileBounds;

/// Which endpoints have policy enforced (`--enable-policy` of the Cilium agent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// A direction of an endpoint is enforced as soon as one rule selects it there.
    #[default]
    Default,
    /// Both directions of every endpoint are enforced.
    Always,
    /// Nothing is enforced.
    Never,
}

/// How a denied request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenyWith {
    /// The connection is reset.
    #[default]
    Reset,
    /// The protocol's own refusal (HTTP: 403, DNS: REFUSED); the connection stays in order.
    Respond,
    /// As if there were no such thing (DNS: NXDOMAIN); where a protocol has no words for that, its own refusal.
    Hide,
}

/// What a reset takes along where a connection carries several requests at a time (HTTP/2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenyScope {
    /// The request's stream; all others go on.
    #[default]
    Stream,
    /// The whole connection.
    Connection,
}

/// Which protocols a request that a rule allows may switch to although the rule does not mean that ([`crate::tunnel`]).
/// HTTP/2 is always among them, because it is judged. Cilium: none, HTTP/2 included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrades {
    /// None.
    None,
    /// WebSocket.
    #[default]
    WebSocket,
    /// Any.
    Any,
}

/// What becomes of connections that are open when a policy comes and that it denies, or wants judged while nobody does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenConnections {
    /// They are ended.
    #[default]
    Cut,
    /// They go on as they were, but for those that are judged.
    Keep,
}

/// Deviations from Cilium's meaning. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deviations {
    /// An empty rule (`- {}`) allows its whole direction. Cilium: it selects nobody and only switches on default deny.
    pub empty_rule_allows: bool,
    /// L7 rules bind also where another rule allows the same peer and port at L4 only. Cilium: the L4 allow wins.
    pub l7_binds_beside_l4: bool,
    /// The entity `kube-dns` selects endpoints of namespace kube-system with the label `k8s-app=kube-dns`.
    /// Cilium: unknown entity.
    pub kube_dns_entity: bool,
    /// Names of `toFQDNs` are followed without a DNS rule. Cilium: names are learnt only from judged DNS.
    pub names_without_dns_rule: bool,
    /// L7 rules of policies for nodes are judged. Cilium: such a policy is refused, but for DNS on egress.
    pub l7_on_nodes: bool,
}

impl Deviations {
    /// All of them.
    pub const ALL: Self = Self {
        empty_rule_allows: true,
        l7_binds_beside_l4: true,
        kube_dns_entity: true,
        names_without_dns_rule: true,
        l7_on_nodes: true,
    };
}

/// Everything that changes how policies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// Enforcement mode.
    pub enforcement: Enforcement,
    /// How denied requests are answered unless a policy says otherwise.
    pub deny_with: DenyWith,
    /// How queries for names that are denied are answered unless a policy says otherwise. `Reset`: not at all. Cilium:
    /// `--tofqdns-dns-reject-response-code`.
    pub deny_names_with: DenyWith,
    /// What a reset takes along unless a policy says otherwise.
    pub deny_scope: DenyScope,
    /// Which protocols requests may switch to without a rule that means it.
    pub upgrades: Upgrades,
    /// What becomes of open connections unless a policy says otherwise.
    pub open_connections: OpenConnections,
    /// Deviations that are switched on.
    pub deviations: Deviations,
    /// Where only a name allows an address, the host of a request has to be a name that it is allowed by. Cilium: any host.
    pub host_must_agree: bool,
    /// An address that DNS learned counts for an endpoint where its own DNS rules name the server that said so. Cilium: one
    /// cache for the whole node, whoever asked whom.
    pub server_must_agree: bool,
    /// The node's own address may open connections to its endpoints unless a rule denies it (`--allow-localhost` of the
    /// Cilium agent).
    pub allow_localhost: bool,
    /// Policies may name protocols without ports, such as VRRP and GRE (`--enable-extended-ip-protocols` of the Cilium
    /// agent).
    pub extended_ip_protocols: bool,
    /// What policies may take.
    pub bounds: CompileBounds,
}

impl PolicySettings {
    /// The same, but that every policy is accepted which some settings accept: for what was accepted once.
    #[must_use]
    pub fn lenient(self) -> Self {
        Self { deviations: Deviations::ALL, extended_ip_protocols: true, ..self }
    }
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            enforcement: Enforcement::default(),
            deny_with: DenyWith::default(),
            deny_names_with: DenyWith::Respond,
            deny_scope: DenyScope::default(),
            upgrades: Upgrades::default(),
            open_connections: OpenConnections::default(),
            deviations: Deviations::default(),
            host_must_agree: true,
            server_must_agree: true,
            allow_localhost: true,
            extended_ip_protocols: false,
            bounds: CompileBounds::default(),
        }
    }
}
