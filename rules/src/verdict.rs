//! Verdicts and their reasons.

use std::sync::Arc;

use crate::{
    settings::{DenyScope, DenyWith},
    values::ValueSet,
};

/// What becomes of what policy denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyMode {
    /// It does not pass.
    #[default]
    Enforce,
    /// It passes, and is told of (Cilium's policy audit mode).
    Audit,
}

/// What becomes of a flow or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The rules allow it, and it passes.
    Allow,
    /// The rules deny it, and it does not pass.
    Deny,
    /// The rules deny it, and it passes as it came: policy is only tried out ([`PolicyMode::Audit`]).
    Audit,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Audit];

    /// What becomes of what the rules say under a mode: the only place where a denial becomes an audit.
    #[must_use]
    pub fn under(self, mode: PolicyMode) -> Self {
        match (self, mode) {
            (Self::Deny, PolicyMode::Audit) => Self::Audit,
            _ => self,
        }
    }

    /// Whether it passes.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Allow | Self::Audit => true,
            Self::Deny => false,
        }
    }

    /// Whether the rules deny it, so that there is somebody to be told, whether it passes or not.
    #[must_use]
    pub fn violates(self) -> bool {
        match self {
            Self::Allow => false,
            Self::Deny | Self::Audit => true,
        }
    }

    /// The word of the metric label, of records and of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Audit => "audit",
        }
    }

    /// The outcome of such a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// Some of the outcomes: those that somebody wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeSet(u8);

impl OutcomeSet {
    /// Each of them.
    pub const ALL: Self = Self::of(&Outcome::ALL);
    /// Those of what the rules deny, whether it passes or not.
    pub const VIOLATIONS: Self = Self::of(&[Outcome::Deny, Outcome::Audit]);

    /// A set of these.
    #[must_use]
    pub const fn of(outcomes: &[Outcome]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < outcomes.len() {
            bits |= 1 << outcomes[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether an outcome is in it.
    #[must_use]
    pub fn contains(self, outcome: Outcome) -> bool {
        self.0 & 1 << outcome as u8 != 0
    }
}

impl Default for OutcomeSet {
    fn default() -> Self {
        Self::ALL
    }
}

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
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::RuleAllows,
        Self::NotEnforced,
        Self::LocalHost,
        Self::NoRule,
        Self::RuleDenies,
        Self::NoMatch,
        Self::HostMismatch,
        Self::Tunnel,
        Self::Ambiguous,
        Self::UnknownEndpoint,
        Self::NoBackend,
        Self::NoMemory,
        Self::NoListener,
    ];

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
    /// What becomes of it.
    pub outcome: Outcome,
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
    /// Whether a rule would allow it if it had others in their place.
    pub for_values: bool,
    /// Whether it is denied for these values alone: there are others, and the request can go on without the refused ones
    /// ([`crate::request::Request::has_parts`]).
    pub in_part: bool,
    /// Whether a request that asks for all values ([`crate::request::Request::lists`]) is allowed for some of them only: each in
    /// its answer has to be judged. Never of one that is denied.
    pub filtered: bool,
    /// How to say no.
    pub deny_with: DenyWith,
    /// What a reset takes along.
    pub deny_scope: DenyScope,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_denial_does_not_pass_and_only_what_is_allowed_violates_nothing() {
        for (outcome, word, passes, violates) in [
            (Outcome::Allow, "allow", true, false),
            (Outcome::Deny, "deny", false, true),
            (Outcome::Audit, "audit", true, true),
        ] {
            assert_eq!((outcome.as_str(), outcome.passes(), outcome.violates()), (word, passes, violates));
            assert_eq!(Outcome::from_word(word), Some(outcome));
        }
        for outcome in Outcome::ALL {
            assert_eq!(OutcomeSet::VIOLATIONS.contains(outcome), outcome.violates());
            assert!(OutcomeSet::ALL.contains(outcome) && !OutcomeSet::of(&[]).contains(outcome));
        }
        assert_eq!((Outcome::ALL.len(), Outcome::from_word("ALLOW"), Outcome::from_word("")), (3, None, None));
    }

    #[test]
    fn only_a_denial_becomes_an_audit_and_only_where_policy_is_tried_out() {
        use Outcome::{Allow, Audit, Deny};
        for (outcome, enforced, audited) in [(Allow, Allow, Allow), (Deny, Deny, Audit), (Audit, Audit, Audit)] {
            assert_eq!((outcome.under(PolicyMode::Enforce), outcome.under(PolicyMode::Audit)), (enforced, audited));
        }
    }
}
