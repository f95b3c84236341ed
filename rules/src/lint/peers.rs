//! Checks the endpoints that policies select, and the peers that they name.

use ipnet::IpNet;

use crate::{
    labels::{NAMESPACE, Operator, Requirement, Selector},
    lint::{
        LintReport, Severity, cover,
        element::{Element, LintPeer, LintPeers},
    },
    names::NamePattern,
    policy::{CidrGroupSelector, CidrSet, Entity, FqdnSelector, L7Rules, Matcher, PolicyKind, Predicate},
    settings::Deviations,
    world::{Direction, World},
};

/// Looks at the subjects of all rules.
pub(super) fn subjects(world: &World, report: &mut LintReport<'_>) {
    for (number, policy) in world.policies.iter().enumerate() {
        for rule in &policy.rules {
            let path = match policy.kind {
                PolicyKind::Cilium => format!("{}.endpointSelector", rule.path),
                PolicyKind::Kubernetes => format!("{}.podSelector", rule.path),
            };
            let namespace = policy.namespace.as_deref();
            let elsewhere = |requirement: &&Requirement| {
                let within = namespace.is_some_and(|space| requirement.values.iter().any(|value| value == space));
                requirement.key() == NAMESPACE && requirement.operator == Operator::In && !within
            };
            if let Some(namespace) = namespace
                && let Some(named) = rule.subject.requirements.iter().find(elsewhere)
            {
                let message = format!("names namespace {}, but applies to {namespace}", named.values.join(", "));
                report.add("PL110", number, &path, message);
            }
            if !rule.node {
                selects_nobody(&rule.subject.for_subject(namespace), number, &path, world, report);
            }
        }
    }
}

fn selects_nobody(selector: &Selector, policy: usize, path: &str, world: &World, report: &mut LintReport<'_>) {
    let requirements = &selector.requirements;
    let clash = requirements.iter().find(|a| requirements.iter().any(|b| cover::contradict(a, b)));
    if let Some(requirement) = clash {
        let message = format!("what it wants of `{}` cannot all be so", requirement.key);
        report.add("PL104", policy, path, message).remedy = "keep one of the requirements".to_owned();
        return;
    }
    // Who has a reserved label is no endpoint that somebody would list.
    let reserved = requirements.iter().any(|requirement| requirement.key.starts_with("reserved:"));
    let nobody = !world.endpoints.iter().any(|endpoint| selector.matches(&endpoint.labels));
    if nobody && !reserved && !world.endpoints.is_empty() {
        let message = format!("selects none of the {} endpoints that are given", world.endpoints.len());
        report.add("PL104", policy, path, message);
    }
}

/// Looks at the peers of one element.
pub(super) fn element(element: &Element<'_>, world: &World, report: &mut LintReport<'_>) {
    let Deviations { kube_dns_entity, empty_rule_allows, .. } = report.settings.deviations;
    let (entry, policy, path) = (element.entry, element.policy, element.path.as_str());
    let field = |name: &str| format!("{path}.{}{name}", element.preposition());
    let lists = [
        ("Endpoints", entry.endpoints.as_ref().map(Vec::is_empty)),
        ("CIDR", entry.cidrs.as_ref().map(Vec::is_empty)),
        ("CIDRSet", entry.cidr_sets.as_ref().map(Vec::is_empty)),
        ("Entities", entry.entities.as_ref().map(Vec::is_empty)),
    ];
    let empty = lists.into_iter().find(|(_, empty)| *empty == Some(true)).map(|(name, _)| name);
    match empty.filter(|_| element.peers == LintPeers::Nobody) {
        Some(name) => {
            report.add("PL102", policy, field(name), "an empty list names nobody, so the element never matches");
        }
        // One of Kubernetes stands there for no rule at all: its way to write default deny.
        None if element.written.kind == PolicyKind::Kubernetes => {}
        None if element.peers == LintPeers::Nobody && (element.deny || !empty_rule_allows) => {
            let effect = if element.deny { "denies nobody" } else { "allows nobody" };
            let message = format!("`{{}}` {effect}; it only switches on default deny");
            let found = report.add("PL101", policy, path, message);
            // Alone in its list it is how Cilium's documentation writes default deny, unless its author calls it otherwise.
            if element.siblings == 1 && !element.deny && !element.written.name.contains("allow") {
                found.severity = Severity::Info;
            }
        }
        None => {}
    }
    for (number, entity) in entry.entities.iter().flatten().enumerate() {
        if *entity == Entity::KubeDns && !kube_dns_entity {
            let message = "unsupported entity: kube-dns; Cilium refuses the whole policy";
            report.add("PL002", policy, format!("{}[{number}]", field("Entities")), message);
        }
    }
    cidrs(element, world, report);
    for (number, selector) in entry.endpoints.iter().flatten().enumerate() {
        let path = element.peer_path("Endpoints", number);
        selects_nobody(&selector.for_peer(element.written.namespace.as_deref()), policy, &path, world, report);
    }
    groups(element, world, report);
    for (number, name) in entry.fqdns.iter().flatten().enumerate() {
        if let FqdnSelector::Pattern(text) = name
            && let Some(glued) = glued(text)
        {
            let message = format!("`{text}` takes every name that ends in `{glued}`, such as x{glued}");
            report.add("PL114", policy, format!("{path}.toFQDNs[{number}].matchPattern"), message).remedy =
                format!("write *.{glued} for one label more, **.{glued} for any number, and {glued} as matchName");
        }
        if let Some(address) = address(name) {
            let message = format!("{address} is an address; clients do not look it up by DNS, so this selects nothing");
            report.add("PL107", policy, format!("{path}.toFQDNs[{number}]"), message).remedy =
                format!("write toCIDR: [{}]", IpNet::from(address));
        }
    }
}

fn cidrs(element: &Element<'_>, world: &World, report: &mut LintReport<'_>) {
    let field = |name: &str, number: usize| element.peer_path(name, number);
    let plain = element.entry.cidrs.iter().flatten().enumerate().map(|(at, cidr)| (field("CIDR", at), cidr));
    let sets = element.entry.cidr_sets.iter().flatten().enumerate();
    for (path, CidrSet { cidr, except }) in sets.clone().map(|(at, set)| (field("CIDRSet", at), set)) {
        if IpNet::aggregate(except).iter().any(|part| part.contains(cidr)) {
            report.add("PL103", element.policy, path, format!("the exceptions cover all of {cidr}"));
        }
    }
    for (path, cidr) in plain.chain(sets.map(|(at, set)| (field("CIDRSet", at), &set.cidr))) {
        let whole = cidr.prefix_len() == cidr.max_prefix_len();
        let owner = world.endpoints.iter().find(|endpoint| whole && endpoint.addresses.contains(&cidr.addr()));
        if let Some(owner) = owner {
            let message = format!(
                "{} belongs to endpoint {}/{}, which no CIDR selects",
                cidr.addr(),
                owner.namespace,
                owner.name
            );
            report.add("PL111", element.policy, path, message);
        }
    }
}

/// What a star at the beginning of a pattern is glued to: `example.com` of `*example.com`.
pub(super) fn glued(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('*')?.trim_start_matches('*');
    let first = rest.chars().next()?;
    (first.is_ascii_alphanumeric() && rest.trim_end_matches('.').contains('.')).then_some(rest)
}

/// Groups by name, where some are given.
fn groups(element: &Element<'_>, world: &World, report: &mut LintReport<'_>) {
    if world.cidr_groups.is_empty() {
        return;
    }
    for group in &element.entry.cidr_groups {
        let CidrGroupSelector::Name(name) = &group.groups else { continue };
        if !world.cidr_groups.iter().any(|known| *known.name == **name) {
            let path = format!("{}.{}CIDRSet", element.path, element.preposition());
            report.add("PL115", element.policy, path, format!("none of the groups that are given is called {name}"));
        }
    }
}

fn address(name: &FqdnSelector) -> Option<std::net::IpAddr> {
    let (FqdnSelector::Name(text) | FqdnSelector::Pattern(text)) = name;
    text.trim_end_matches('.').parse().ok()
}

/// Looks for DNS rules that name no server, where names are followed.
pub(super) fn servers(elements: &[Element<'_>], report: &mut LintReport<'_>) {
    for element in elements.iter().filter(|element| element.direction == Direction::Egress && !element.deny) {
        let asks = || element.l7().any(|(_, _, l7)| l7.schema.nature.resolves);
        let follows = |other: &&Element<'_>| {
            !other.deny
                && other.entry.fqdns.as_ref().is_some_and(|names| !names.is_empty())
                && cover::meet(element, other)
        };
        if names_nobody(&element.peers) && asks() && elements.iter().any(|other| follows(&other)) {
            let message = "anybody may be asked for names, and names open addresses here";
            report.add("PL112", element.policy, element.path.clone(), message);
        }
    }
}

/// Whether peers are everybody, or all addresses there are.
fn names_nobody(peers: &LintPeers) -> bool {
    let wide = |peer: &LintPeer| match peer {
        LintPeer::Cidr(cidr, _) => cidr.prefix_len() == 0,
        LintPeer::Entity(entity) => {
            matches!(entity, Entity::All | Entity::World | Entity::WorldIpv4 | Entity::WorldIpv6)
        }
        _ => false,
    };
    match peers {
        LintPeers::Nobody => false,
        LintPeers::Anybody => true,
        LintPeers::Listed(peers) => peers.iter().any(wide),
    }
}

/// Looks for names that no DNS rule lets through.
pub(super) fn names(elements: &[Element<'_>], world: &World, report: &mut LintReport<'_>) {
    if report.settings.deviations.names_without_dns_rule {
        return;
    }
    for element in elements.iter().filter(|element| element.direction == Direction::Egress && !element.deny) {
        for (number, name) in element.entry.fqdns.iter().flatten().enumerate() {
            let (FqdnSelector::Name(text) | FqdnSelector::Pattern(text)) = name;
            let teachers = || {
                let sample = cover::sample(name);
                elements.iter().filter(move |other| !other.deny && lets_through(other, &sample))
            };
            if address(name).is_none() && never_learns(element, &teachers, world) {
                let message =
                    format!("no DNS rule of these endpoints allows {text}, so its addresses are never learned");
                report.add("PL108", element.policy, format!("{}.toFQDNs[{number}]", element.path), message);
            }
        }
    }
}

/// Whether certainly some endpoint of an element is none of those of the elements that tell it: one that is given, or,
/// where none is, whichever it may be.
fn never_learns<'a, I>(element: &Element<'_>, teachers: &dyn Fn() -> I, world: &World) -> bool
where
    I: Iterator<Item = &'a Element<'a>>,
{
    if teachers().any(|other| cover::subjects(other, element)) {
        return false;
    }
    let mut given = world.endpoints.iter().filter(|endpoint| element.subject.matches(&endpoint.labels)).peekable();
    if given.peek().is_none() {
        return !teachers().any(|other| cover::may_meet(&other.subject, &element.subject));
    }
    given.any(|endpoint| !teachers().any(|other| other.subject.matches(&endpoint.labels)))
}

fn lets_through(element: &Element<'_>, name: &str) -> bool {
    element.l7().any(|(_, _, l7)| l7.schema.nature.resolves && covers(l7, name))
}

/// Whether a DNS rule matches a name. Without predicates it matches every name.
fn covers(l7: &L7Rules, name: &str) -> bool {
    l7.rules.iter().any(|rule| {
        let fits = |predicate: &Predicate| match &predicate.matcher {
            Matcher::Regex(pattern) => cover::matches(pattern, name),
            Matcher::Exact(value) => value == name,
            Matcher::Name(pattern) => NamePattern::new(pattern).takes(name.as_bytes()),
            Matcher::AnyOf(values) => values.iter().any(|value| value == "A" || value == "AAAA"),
            Matcher::Present => true,
        };
        // A rule has at most one field about the name, and maybe one about the type.
        rule.predicates.iter().all(fits)
    })
}
