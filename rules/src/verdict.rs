//! Verdicts and where they come from.

use std::sync::Arc;

use crate::{
    settings::{DenyScope, DenyWith},
    values::ValueSet,
};

/// The layer that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Who the peer is.
    L3,
    /// Which port.
    L4,
    /// What the request says.
    L7,
}

impl Layer {
    /// As shown to people: `L3`, `L4`, `L7`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::L7 => "L7",
        }
    }
}

/// Why. A bounded set of words: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule allows it.
    RuleAllows,
    /// Policy is not enforced for this endpoint and direction.
    NotEnforced,
    /// The node's own address is let in.
    LocalHost,
    /// The direction is enforced and no rule names this peer on this port.
    NoRule,
    /// A deny rule names it.
    RuleDenies,
    /// Rules apply and none matches the request.
    NoMatch,
    /// The address is allowed by its name, and the request is for another one.
    HostMismatch,
    /// The request asks for a tunnel, and the rules that match it do not mean one.
    Tunnel,
    /// A rule looks at a field that two readers could read differently.
    Ambiguous,
    /// The endpoint is not known any more.
    UnknownEndpoint,
    /// The service has no backend.
    NoBackend,
    /// A learnt address would be judged by rules for which the bounds of compilations leave no memory.
    NoMemory,
    /// Requests are to be judged, and nobody is there to judge them.
    NoListener,
}

impl Reason {
    /// The word of the metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RuleAllows => "rule_allows",
            Self::NotEnforced => "not_enforced",
            Self::LocalHost => "local_host",
            Self::NoRule => "no_rule",
            Self::RuleDenies => "rule_denies",
            Self::NoMatch => "no_match",
            Self::HostMismatch => "host_mismatch",
            Self::Tunnel => "tunnel",
            Self::Ambiguous => "ambiguous",
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::NoBackend => "no_backend",
            Self::NoMemory => "no_memory",
            Self::NoListener => "no_listener",
        }
    }
}

/// A rule's name in records and metrics.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RuleInfo {
    /// `namespace/name` of the policy, or `name` for a cluster-wide one.
    pub policy: Arc<str>,
    /// Path of the rule in the policy, for example `ingress[0].toPorts[0].rules.http[1]` (with `specs[N].` in front
    /// where the policy has several).
    pub rule: Arc<str>,
}

/// The predicate that a denied request, or one value of it, failed in the rule that came nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// That rule; `None` where it is no rule's.
    pub rule: Option<Arc<RuleInfo>>,
    /// Name of the field, for headers with the header's name: `path`, `headers[x-token]`; or of the shorthand that stands
    /// for it in the rule: `grpc`.
    pub predicate: String,
    /// What the rule wants.
    pub pattern: String,
    /// What the request has, lossily decoded and cut to 256 bytes; empty when it is absent. Values of headers are
    /// never shown: they read `[redacted]`.
    pub value: String,
}

/// The answer about one request.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// Whether it may pass.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// The rule that allows, or the rule that came nearest, to the first of `misses`.
    pub rule: Option<&'a RuleInfo>,
    /// What failed, for denials where a rule came near: one miss, or where single values are refused one for each of the
    /// first 8.
    pub misses: Vec<Miss>,
    /// The values that no rule allows, where a request is denied for single values of a field
    /// ([`crate::schema::Form::Each`]). Empty: it is allowed or denied as a whole.
    pub refused: ValueSet,
    /// How to say no.
    pub deny_with: DenyWith,
    /// What a reset takes along.
    pub deny_scope: DenyScope,
}
