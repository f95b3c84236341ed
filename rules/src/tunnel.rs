//! Requests for a tunnel. Once the server accepts, bytes flow both ways and are not judged. So a rule that merely
//! matches the request is not enough: a rule must mean the tunnel, or the setting [`Upgrades`] must allow it.

use regex_syntax::hir::literal::Extractor;

use crate::{
    pattern::{self, Pattern},
    policy::{L7Rule, Matcher, Predicate},
    ruleset::CompiledRule,
    schema::{FieldIndex, Schema},
    settings::Upgrades,
};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Which kind.
    pub kind: TunnelKind,
    /// The field that asks for it.
    pub field: FieldIndex,
    /// The name of the header, in lower case, where that field has the form [`crate::schema::Form::Headers`]; else empty.
    pub key: &'static str,
}

/// The kinds of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// To another server, or (RFC 8441, RFC 9298) by another protocol: CONNECT. Only a rule can mean it.
    Connect,
    /// A handshake of WebSocket (RFC 6455 §4.1).
    WebSocket,
    /// A switch to any other protocol (RFC 9110 §7.8).
    Upgrade,
}

impl TunnelKind {
    /// What a rule has to have to mean it, for people.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Connect => "a rule whose method lists CONNECT",
            Self::WebSocket | Self::Upgrade => "a rule that wants this very header, or the setting http.upgrades",
        }
    }
}

impl Upgrades {
    /// Whether a rule need not mean a tunnel of this kind.
    pub(crate) fn take(self, kind: TunnelKind) -> bool {
        match kind {
            TunnelKind::Connect => false,
            TunnelKind::WebSocket => self != Self::None,
            TunnelKind::Upgrade => self == Self::Any,
        }
    }
}

/// Whether a rule means requests for tunnels by their method ([`crate::schema::Nature::tunnel`]): each of its expressions
/// about that field is a list of values, and the tunnel's is among them. `.*` and `C.*` match it, and list nothing.
#[must_use]
pub fn lists_tunnel(schema: &Schema, rule: &L7Rule) -> bool {
    let Some((field, value)) = schema.nature.tunnel else { return false };
    let about = |predicate: &&Predicate| predicate.field == field && predicate.key.is_empty();
    let mut about = rule.predicates.iter().filter(about).peekable();
    about.peek().is_some() && about.all(|predicate| lists(&predicate.matcher, value))
}

/// The value of the header that a rule wants and by which it means an upgrade, if it has one.
#[must_use]
pub fn named_upgrade(rule: &L7Rule) -> Option<&str> {
    rule.predicates.iter().find_map(|predicate| match &predicate.matcher {
        Matcher::Exact(value) if predicate.key == "upgrade" => Some(value.as_str()),
        _ => None,
    })
}

fn lists(matcher: &Matcher, value: &str) -> bool {
    match matcher {
        Matcher::Exact(wanted) => wanted == value,
        Matcher::AnyOf(values) => values.iter().any(|wanted| wanted == value),
        Matcher::Present | Matcher::Name(_) => false,
        Matcher::Regex(expression) => {
            let Ok(said) = pattern::read(expression) else { return false };
            let values = Extractor::new().extract(&said);
            let is_value = |literal: &regex_syntax::hir::literal::Literal| literal.as_bytes() == value.as_bytes();
            values.is_exact() && values.literals().is_some_and(|literals| literals.iter().any(is_value))
        }
    }
}

impl CompiledRule {
    /// Whether the rule means a tunnel, if it matches.
    pub(crate) fn means(&self, tunnel: Tunnel) -> bool {
        let wants = |(predicate, pattern): &(Predicate, Pattern)| {
            predicate.field == tunnel.field && predicate.key == tunnel.key && matches!(pattern, Pattern::Exact(_))
        };
        self.wider
            || match tunnel.kind {
                TunnelKind::Connect => self.lists_tunnel,
                TunnelKind::WebSocket | TunnelKind::Upgrade => self.predicates.iter().any(wants),
            }
    }
}
