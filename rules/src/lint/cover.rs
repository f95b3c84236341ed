//! Decides whether one thing certainly covers all of another. "No" may mean "perhaps".

use crate::{
    labels::{CLUSTER, NAMESPACE, Operator, Requirement, Selector},
    lint::element::{Element, LintPeer, LintPeers},
    names::{self, NamePattern},
    pattern::compile,
    policy::{Entity, FqdnSelector, L7Rule, Matcher, PortRef, PortSpec, Predicate},
};

/// Whether everything that `narrow` selects is selected by `wide`.
pub(super) fn selector(wide: &Selector, narrow: &Selector) -> bool {
    let implied = |wanted: &Requirement| narrow.requirements.iter().any(|given| implies(given, wanted));
    wide.requirements.iter().all(implied)
}

/// Labels of pods come from Kubernetes, so a key without source is the same as one of `k8s`.
fn same_key(a: &Requirement, b: &Requirement) -> bool {
    fn plain(key: &str) -> &str {
        key.strip_prefix("k8s:").or_else(|| key.strip_prefix("any:")).unwrap_or(key)
    }
    plain(&a.key) == plain(&b.key)
}

fn implies(given: &Requirement, wanted: &Requirement) -> bool {
    use Operator::{DoesNotExist, Exists, In, NotIn};
    let within = |a: &Requirement, b: &Requirement| a.values.iter().all(|value| b.values.contains(value));
    same_key(given, wanted)
        && match (given.operator, wanted.operator) {
            (In, In) => within(given, wanted),
            (In, NotIn) => !given.values.iter().any(|value| wanted.values.contains(value)),
            (NotIn, NotIn) => within(wanted, given),
            (DoesNotExist, NotIn | DoesNotExist) | (In | Exists, Exists) => true,
            _ => false,
        }
}

/// Whether two requirements cannot both hold.
pub(super) fn contradict(a: &Requirement, b: &Requirement) -> bool {
    use Operator::{DoesNotExist, Exists, In, NotIn};
    let shared = |a: &Requirement, b: &Requirement| a.values.iter().any(|value| b.values.contains(value));
    same_key(a, b)
        && match (a.operator, b.operator) {
            (In, In) => !shared(a, b),
            (In, NotIn) => a.values.iter().all(|value| b.values.contains(value)),
            (NotIn, In) => b.values.iter().all(|value| a.values.contains(value)),
            (In | Exists, DoesNotExist) | (DoesNotExist, In | Exists) => true,
            _ => false,
        }
}

/// Whether everybody whom `narrow` names is named by `wide`.
pub(super) fn peers(wide: &LintPeers, narrow: &LintPeers) -> bool {
    match (wide, narrow) {
        (LintPeers::Nobody, _) | (_, LintPeers::Nobody) => false,
        (LintPeers::Anybody, _) => true,
        (LintPeers::Listed(wide), _) if wide.contains(&LintPeer::Entity(Entity::All)) => true,
        (LintPeers::Listed(_), LintPeers::Anybody) => false,
        (LintPeers::Listed(wide), LintPeers::Listed(narrow)) => {
            narrow.iter().all(|one| wide.iter().any(|by| peer(by, one)))
        }
    }
}

fn peer(wide: &LintPeer, narrow: &LintPeer) -> bool {
    match (wide, narrow) {
        (LintPeer::Endpoints(wide), LintPeer::Endpoints(narrow)) => selector(wide, narrow),
        (LintPeer::Cidr(wide, but), LintPeer::Cidr(narrow, except)) => {
            let kept_out = |part| except.iter().any(|except| except.contains(part));
            wide.contains(narrow) && but.iter().all(|part| kept_out(part) || !overlap(part, narrow))
        }
        (LintPeer::Entity(Entity::World), LintPeer::Cidr(..) | LintPeer::Name(_)) => true,
        (LintPeer::Entity(Entity::WorldIpv4), LintPeer::Cidr(cidr, _)) => cidr.addr().is_ipv4(),
        (LintPeer::Entity(Entity::WorldIpv6), LintPeer::Cidr(cidr, _)) => cidr.addr().is_ipv6(),
        (LintPeer::Entity(Entity::Cluster), LintPeer::Endpoints(selector)) => of_this_cluster(selector),
        (LintPeer::Entity(wide), LintPeer::Entity(narrow)) => entity(*wide, *narrow),
        (LintPeer::Name(wide), LintPeer::Name(narrow)) => fqdn(wide, narrow),
        (wide, narrow) => wide == narrow,
    }
}

/// Whether every address outside the cluster is named, or every IPv4 one: whoever writes 0.0.0.0/0 alone means everything.
pub(super) fn is_the_world(named: &LintPeers) -> bool {
    let whole = |peer: &LintPeer| match peer {
        LintPeer::Entity(entity) => matches!(entity, Entity::All | Entity::World | Entity::WorldIpv4),
        LintPeer::Cidr(cidr, except) => cidr.prefix_len() == 0 && cidr.addr().is_ipv4() && except.is_empty(),
        _ => false,
    };
    match named {
        LintPeers::Nobody => false,
        LintPeers::Anybody => true,
        LintPeers::Listed(peers) => peers.iter().any(whole),
    }
}

/// Whether an endpoint may be selected by both.
pub(super) fn may_meet(a: &Selector, b: &Selector) -> bool {
    !a.requirements.iter().any(|one| b.requirements.iter().any(|other| contradict(one, other)))
}

fn overlap(a: &ipnet::IpNet, b: &ipnet::IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Whether a selector of peers selects pods of this cluster only.
fn of_this_cluster(selector: &Selector) -> bool {
    let names = |key: &str| selector.requirements.iter().any(|requirement| requirement.key() == key);
    names(NAMESPACE) && names(CLUSTER)
}

fn entity(wide: Entity, narrow: Entity) -> bool {
    use Entity::{
        All, Cluster, Health, Host, Ingress, Init, KubeApiServer, RemoteNode, Unmanaged, World, WorldIpv4, WorldIpv6,
    };
    let parts: &[Entity] = match wide {
        All => return true,
        World => &[WorldIpv4, WorldIpv6],
        Cluster => &[Host, RemoteNode, Init, Ingress, Health, Unmanaged, KubeApiServer],
        _ => &[],
    };
    wide == narrow || parts.contains(&narrow)
}

/// Whether every name that `narrow` means is meant by `wide`.
fn fqdn(wide: &FqdnSelector, narrow: &FqdnSelector) -> bool {
    match wide {
        FqdnSelector::Name(name) => *narrow == FqdnSelector::Name(name.clone()),
        FqdnSelector::Pattern(pattern) => matches(&names::selector_regex(pattern), &sample(narrow)),
    }
}

/// A name that a selector means; each star of a pattern stands for one letter.
pub(super) fn sample(selector: &FqdnSelector) -> String {
    let (FqdnSelector::Name(text) | FqdnSelector::Pattern(text)) = selector;
    names::normal(&text.replace('*', "x"))
}

/// Whether one port's meaning includes another's.
pub(super) fn port(wide: &PortSpec, narrow: &PortSpec) -> bool {
    let transports = wide.transport.is_none() || wide.transport == narrow.transport;
    let ports = match (&wide.port, &narrow.port) {
        (PortRef::Range(0, 0), _) => true,
        (_, PortRef::Range(0, 0)) => false,
        (PortRef::Range(first, last), PortRef::Range(from, to)) => first <= from && to <= last,
        (wide, narrow) => wide == narrow,
    };
    transports && ports
}

/// Whether two ports can be the same.
pub(super) fn ports_meet(a: &PortSpec, b: &PortSpec) -> bool {
    let transports = a.transport.is_none() || b.transport.is_none() || a.transport == b.transport;
    let ports = match (&a.port, &b.port) {
        (PortRef::Range(0, 0), _) | (_, PortRef::Range(0, 0)) => true,
        (PortRef::Range(first, last), PortRef::Range(from, to)) => first <= to && from <= last,
        (a, b) => a == b,
    };
    transports && ports
}

/// Whether `wide` means every port that `narrow` does, looking at no request.
pub(super) fn all_ports(wide: &Element<'_>, narrow: &Element<'_>) -> bool {
    if wide.every_port() {
        return true;
    }
    let mut specs = narrow.specs().peekable();
    specs.peek().is_some() && specs.all(|spec| wide.plain().any(|by| port(by, spec)))
}

/// Whether all whom the rule of `narrow` concerns are concerned by that of `wide`.
pub(super) fn subjects(wide: &Element<'_>, narrow: &Element<'_>) -> bool {
    wide.rule.node == narrow.rule.node && selector(&wide.subject, &narrow.subject)
}

/// Whether two elements concern endpoints and a direction in common, as far as that is certain.
pub(super) fn meet(a: &Element<'_>, b: &Element<'_>) -> bool {
    a.direction == b.direction && (subjects(a, b) || subjects(b, a))
}

/// Whether `wide` allows every request that `narrow` allows.
pub(super) fn rule(wide: &L7Rule, narrow: &L7Rule) -> bool {
    let held = |wanted: &Predicate| narrow.predicates.iter().any(|given| predicate(wanted, given));
    wide.predicates.iter().all(held) && wide.actions.iter().all(|action| narrow.actions.contains(action))
}

fn predicate(wide: &Predicate, narrow: &Predicate) -> bool {
    wide.field == narrow.field
        && wide.key == narrow.key
        && match (&wide.matcher, &narrow.matcher) {
            (wide, narrow) if wide == narrow => true,
            (Matcher::Present, _) => true,
            (Matcher::Regex(pattern), Matcher::Exact(value)) => matches(pattern, value),
            (Matcher::Name(wide), Matcher::Name(narrow)) => {
                !narrow.contains('*') && NamePattern::new(wide).takes(narrow.as_bytes())
            }
            (Matcher::AnyOf(wide), Matcher::AnyOf(narrow)) => narrow.iter().all(|value| wide.contains(value)),
            (Matcher::AnyOf(wide), Matcher::Exact(value)) => wide.contains(value),
            (Matcher::Regex(pattern), Matcher::Regex(value)) => {
                pattern == ".*" || super::text::literal(value).is_some_and(|value| matches(pattern, &value))
            }
            _ => false,
        }
}

pub(super) fn matches(pattern: &str, value: &str) -> bool {
    // Most values mean themselves, and compiling is most of the work.
    match super::text::literal(pattern) {
        Some(literal) => literal == value,
        None => compile(pattern).is_ok_and(|regex| regex.is_match(value.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::{contradict, fqdn, peer, port, selector};
    use crate::{
        labels::{Operator, Requirement, Selector},
        lint::element::LintPeer,
        policy::{Entity, FqdnSelector, PortRef, PortSpec},
        world::Transport,
    };

    /// `key=a|b`, `key!=a|b`, `key`, `!key`, separated by commas.
    fn select(text: &str) -> Selector {
        let requirement = |part: &str| {
            let (operator, key, values) = match (part.split_once("!="), part.split_once('='), part.strip_prefix('!')) {
                (Some((key, values)), ..) => (Operator::NotIn, key, values),
                (None, Some((key, values)), _) => (Operator::In, key, values),
                (None, None, Some(key)) => (Operator::DoesNotExist, key, ""),
                (None, None, None) => (Operator::Exists, part, ""),
            };
            let values = values.split('|').filter(|value| !value.is_empty()).map(str::to_owned).collect();
            Requirement { key: key.to_owned(), operator, values }
        };
        Selector { requirements: text.split(',').filter(|part| !part.is_empty()).map(requirement).collect() }
    }

    #[test]
    fn a_selector_covers_what_asks_for_no_less() {
        for (wide, narrow, covers) in [
            ("", "app=a", true),
            ("app=a", "", false),
            ("app=a", "app=a,tier=x", true),
            ("app=a|b", "app=a", true),
            ("app=a", "app=a|b", false),
            ("app", "app=a", true),
            ("app!=c", "app=a", true),
            ("app!=a", "app=a", false),
            ("app!=a", "app!=a|b", true),
            ("app!=a|b", "app!=a", false),
            ("app!=a", "!app", true),
            ("!app", "!app", true),
            ("!app", "app=a", false),
            ("k8s:app=a", "app=a", true),
            ("reserved:host", "app=a", false),
        ] {
            assert_eq!(selector(&select(wide), &select(narrow)), covers, "{wide} over {narrow}");
        }
    }

    #[test]
    fn what_cannot_be_at_once_is_found() {
        for (one, other, wrong) in [
            ("app=a", "app=b", true),
            ("app=a|b", "app=b|c", false),
            ("app=a", "app!=a", true),
            ("app=a|b", "app!=a", false),
            ("app", "!app", true),
            ("app=a", "!k8s:app", true),
            ("app=a", "tier=b", false),
            ("app!=a", "!app", false),
        ] {
            let (one, other) = (select(one).requirements.remove(0), select(other).requirements.remove(0));
            assert_eq!(contradict(&one, &other), wrong, "{one:?} and {other:?}");
            assert_eq!(contradict(&other, &one), wrong, "{other:?} and {one:?}");
        }
    }

    #[test]
    fn peers_cover_what_lies_in_them() {
        let cidr = |text: &str, except: &[&str]| {
            LintPeer::Cidr(text.parse().unwrap(), except.iter().map(|part| part.parse().unwrap()).collect())
        };
        for (wide, narrow, covers) in [
            (cidr("10.0.0.0/8", &[]), cidr("10.1.0.0/16", &[]), true),
            (cidr("10.1.0.0/16", &[]), cidr("10.0.0.0/8", &[]), false),
            (cidr("10.0.0.0/8", &["10.1.0.0/16"]), cidr("10.1.2.0/24", &[]), false),
            (cidr("10.0.0.0/8", &["10.1.0.0/16"]), cidr("10.2.0.0/16", &[]), true),
            (cidr("10.0.0.0/8", &["10.1.0.0/16"]), cidr("10.0.0.0/8", &["10.1.0.0/16"]), true),
            (cidr("10.0.0.0/8", &["10.1.0.0/16"]), cidr("10.0.0.0/8", &[]), false),
            (LintPeer::Entity(Entity::World), cidr("2001:db8::/32", &[]), true),
            (LintPeer::Entity(Entity::WorldIpv4), cidr("2001:db8::/32", &[]), false),
            (LintPeer::Entity(Entity::Cluster), LintPeer::Entity(Entity::Host), true),
            (LintPeer::Entity(Entity::Cluster), LintPeer::Entity(Entity::World), false),
            (LintPeer::Entity(Entity::Cluster), LintPeer::Endpoints(select("app=a").for_peer(Some("n"))), true),
            (
                LintPeer::Entity(Entity::Cluster),
                LintPeer::Endpoints(select("reserved:ingress").for_peer(Some("n"))),
                false,
            ),
        ] {
            assert_eq!(peer(&wide, &narrow), covers, "{wide:?} over {narrow:?}");
        }
    }

    #[test]
    fn ports_cover_ranges_and_transports() {
        let spec = |first, last, transport| PortSpec { port: PortRef::Range(first, last), transport };
        let (tcp, udp) = (Some(Transport::Tcp), Some(Transport::Udp));
        for (wide, narrow, covers) in [
            (spec(0, 0, None), spec(80, 80, tcp), true),
            (spec(80, 90, tcp), spec(80, 80, tcp), true),
            (spec(80, 80, tcp), spec(80, 90, tcp), false),
            (spec(80, 80, udp), spec(80, 80, tcp), false),
            (spec(80, 80, tcp), spec(0, 0, tcp), false),
            (spec(80, 80, tcp), spec(80, 80, None), false),
            (spec(0, 0, tcp), PortSpec { port: PortRef::Named("http".into()), transport: tcp }, true),
            (spec(80, 80, tcp), PortSpec { port: PortRef::Named("http".into()), transport: tcp }, false),
        ] {
            assert_eq!(port(&wide, &narrow), covers, "{wide:?} over {narrow:?}");
        }
    }

    #[test]
    fn names_cover_by_their_patterns() {
        let (name, pattern) = (FqdnSelector::Name("a.com".into()), FqdnSelector::Pattern("*.com".into()));
        assert!(fqdn(&pattern, &name) && !fqdn(&name, &pattern) && fqdn(&pattern, &pattern));
        assert!(!fqdn(&pattern, &FqdnSelector::Name("a.b.com".into())), "a star does not cross a dot");
    }
}
