//! Checks what happens to elements when all policies are united.

use std::{collections::HashSet, sync::Arc};

use crate::{
    lint::{
        LintReport, cover,
        element::{Element, LintPeers},
        kin::RelatedElements,
    },
    policy::{L7Rules, Policy, PortRef, PortSpec},
    settings::OpenConnections,
};

/// Field of the annotation by which a policy says how to say no.
const DENY_WITH: &str = "metadata.annotations.portcullis.io/deny-with";

/// Field of the annotation by which a policy says what becomes of open connections.
const OPEN_CONNECTIONS: &str = "metadata.annotations.portcullis.io/open-connections";

/// Compares every element with the others that concern the same endpoints.
pub(super) fn elements(elements: &[Element<'_>], policies: &[Arc<Policy>], report: &mut LintReport<'_>) {
    let all = AllElements { elements, policies, kin: RelatedElements::new(elements) };
    let again = all.duplicates(report);
    for (number, element) in elements.iter().enumerate() {
        if element.deny || element.peers == LintPeers::Nobody || again.contains(&number) {
            continue;
        }
        all.denied(number, element, report);
        all.default_deny(number, element, report);
        all.void_names(number, element, report);
        for (path, ports, l7) in element.l7() {
            let specs = ports.ports.as_slice();
            let restricts = l7.rules.iter().all(|rule| !rule.predicates.is_empty() || !rule.actions.is_empty());
            let here = ElementRules { number, element, path: &path, specs };
            if restricts && !report.settings.deviations.l7_binds_beside_l4 {
                all.shadowed(&here, report);
            }
            all.subsumed(&here, l7, &again, report);
            all.parsers(&here, l7, report);
        }
    }
    all.answers(report);
    all.open_connections(report);
}

struct AllElements<'a> {
    elements: &'a [Element<'a>],
    policies: &'a [Arc<Policy>],
    kin: RelatedElements,
}

/// The L7 rules of one `toPorts` element.
struct ElementRules<'a> {
    number: usize,
    element: &'a Element<'a>,
    path: &'a str,
    specs: &'a [PortSpec],
}

impl<'a> AllElements<'a> {
    /// The elements that concern all endpoints of this one, itself among them, with their numbers.
    fn wider(&self, number: usize) -> impl DoubleEndedIterator<Item = (usize, &Element<'a>)> {
        let others = self.kin.wider(number).iter().map(|number| (*number, &self.elements[*number]));
        others.filter(move |(_, other)| !self.versions(&self.elements[number], other))
    }

    /// The elements that concern all or some endpoints of this one, with their numbers.
    fn akin(&self, number: usize) -> impl Iterator<Item = (usize, &Element<'a>)> {
        let others = self.kin.all(number).map(|number| (number, &self.elements[number]));
        others.filter(move |(_, other)| !self.versions(&self.elements[number], other))
    }

    /// Whether two elements are of two policies of one name: only one of these is in force.
    fn versions(&self, one: &Element<'_>, other: &Element<'_>) -> bool {
        let (a, b) = (&self.policies[one.policy], &self.policies[other.policy]);
        one.policy != other.policy && a.kind == b.kind && a.namespace == b.namespace && a.name == b.name
    }

    /// `other`, as it is called by who reads `element`.
    fn called(&self, element: &Element<'_>, other: &Element<'_>) -> String {
        if element.policy == other.policy {
            other.path.clone()
        } else {
            format!("{} of {}", other.path, self.policies[other.policy].full_name())
        }
    }

    /// Finds elements that an earlier one repeats; tells their numbers.
    fn duplicates(&self, report: &mut LintReport<'_>) -> HashSet<usize> {
        let mut again = HashSet::new();
        for (number, element) in
            self.elements.iter().enumerate().filter(|(_, element)| element.peers != LintPeers::Nobody)
        {
            let earlier = self.wider(number).take_while(|(other, _)| *other < number).map(|(_, other)| other);
            let earlier = earlier.into_iter().find(|other| same(other, element));
            if let Some(other) = earlier {
                let message = format!("says the same as {}", self.called(element, other));
                report.add("PL105", element.policy, &element.path, message).related =
                    Some((other.policy, other.path.clone()));
                again.insert(number);
            }
        }
        again
    }

    fn denied(&self, number: usize, element: &Element<'_>, report: &mut LintReport<'_>) {
        let covers = |deny: &&Element<'_>| {
            deny.deny && cover::all_ports(deny, element) && cover::peers(&deny.peers, &element.peers)
        };
        if let Some(deny) = self.wider(number).map(|(_, other)| other).find(covers) {
            let message = format!("{} denies all that this allows", self.called(element, deny));
            report.add("PL106", element.policy, &element.path, message).related =
                Some((deny.policy, deny.path.clone()));
        }
    }

    /// L7 rules where nobody switches default deny on.
    fn default_deny(&self, number: usize, element: &Element<'_>, report: &mut LintReport<'_>) {
        let mut wider = self.wider(number);
        // DNS rules tell names, which is what they are mostly for where default deny is off.
        let Some((path, ..)) = element.l7().find(|(_, _, l7)| !l7.schema.nature.resolves) else { return };
        if element.default_deny() == Some(false) && wider.all(|(_, other)| other.default_deny() == Some(false)) {
            let message = format!(
                "enableDefaultDeny.{} is false and no other rule switches it on, so these rules refuse nothing",
                element.direction.as_str()
            );
            report.add("PL109", element.policy, path, message);
        }
    }

    /// Names beside an element that lets the whole world be reached on the same ports.
    fn void_names(&self, number: usize, element: &Element<'_>, report: &mut LintReport<'_>) {
        let named = element.entry.fqdns.as_ref().is_some_and(|names| !names.is_empty());
        // What the relay holds to the names is more than an open door.
        if !named || element.l7().next().is_some() || element.ports().any(|(_, rule)| rule.server_names.is_some()) {
            return;
        }
        let opens =
            |other: &&Element<'_>| !other.deny && cover::all_ports(other, element) && cover::is_the_world(&other.peers);
        if let Some(other) = self.wider(number).map(|(_, other)| other).find(opens) {
            let message = format!(
                "{} lets every address be reached on these ports, so the names restrict nothing",
                self.called(element, other)
            );
            report.add("PL207", element.policy, format!("{}.toFQDNs", element.path), message).related =
                Some((other.policy, other.path.clone()));
        }
    }

    /// The element that allows most of the same without L7 rules.
    fn shadowed(&self, here: &ElementRules<'_>, report: &mut LintReport<'_>) {
        let ElementRules { number, element, path, specs } = *here;
        let taken = |other: &Element<'_>| -> Vec<&PortSpec> {
            let covered = |spec: &&PortSpec| other.every_port() || other.plain().any(|by| cover::port(by, spec));
            let taken: Vec<_> = specs.iter().filter(covered).collect();
            if !taken.is_empty() && encloses(other, element) { taken } else { Vec::new() }
        };
        let best =
            self.wider(number).map(|(_, other)| (taken(other), other)).rev().max_by_key(|(taken, _)| taken.len());
        let Some((taken, other)) = best.filter(|(taken, _)| !taken.is_empty()) else { return };
        let ports = taken.iter().map(|spec| shown(spec)).collect::<Vec<_>>().join(", ");
        let message = format!(
            "{} allows the same peers on {ports} without L7 rules, so these restrict nothing there",
            self.called(element, other)
        );
        report.add("PL201", element.policy, path, message).related = Some((other.policy, other.path.clone()));
    }

    /// L7 rules that a wider one makes needless.
    fn subsumed(&self, here: &ElementRules<'_>, l7: &L7Rules, again: &HashSet<usize>, report: &mut LintReport<'_>) {
        for (at, narrow) in l7.rules.iter().enumerate() {
            let place = format!("{}[{at}]", here.path);
            let wider = self.wider(here.number).find_map(|(number, other)| {
                let encloses = || number == here.number || (!again.contains(&number) && encloses(other, here.element));
                let mut lists = other.l7().filter(|(_, ports, list)| {
                    let covered = |spec: &PortSpec| ports.ports.iter().any(|by| cover::port(by, spec));
                    list.schema.protocol == l7.schema.protocol && here.specs.iter().all(covered) && encloses()
                });
                lists.find_map(|(path, _, list)| {
                    let wider = list.rules.iter().enumerate().find(|(index, wide)| {
                        let itself = number == here.number && path == here.path && *index == at;
                        let equal = cover::rule(narrow, wide);
                        let earlier = (number, path.as_str(), *index) < (here.number, here.path, at);
                        !itself && cover::rule(wide, narrow) && (!equal || earlier)
                    })?;
                    Some((other, format!("{path}[{}]", wider.0)))
                })
            });
            if let Some((other, by)) = wider {
                let owner = if other.policy == here.element.policy {
                    String::new()
                } else {
                    format!(" of {}", self.policies[other.policy].full_name())
                };
                let message = format!("{by}{owner} allows all that this rule allows");
                report.add("PL202", here.element.policy, place, message).related = Some((other.policy, by));
            }
        }
    }

    /// Another L7 protocol on the same port.
    fn parsers(&self, here: &ElementRules<'_>, l7: &L7Rules, report: &mut LintReport<'_>) {
        let earlier = self.akin(here.number).filter(|(other, _)| *other <= here.number);
        for other in earlier.map(|(_, other)| other).filter(|other| !other.deny) {
            let clash = other.l7().find(|(path, ports, list)| {
                let meets = |spec: &PortSpec| ports.ports.iter().any(|by| cover::ports_meet(by, spec));
                let earlier = other.policy != here.element.policy || path.as_str() < here.path;
                earlier && list.schema.protocol != l7.schema.protocol && here.specs.iter().any(meets)
            });
            let Some((path, _, list)) = clash else { continue };
            let merged =
                cover::peers(&other.peers, &here.element.peers) && cover::peers(&here.element.peers, &other.peers);
            let outcome =
                if merged { "refuses to merge them" } else { "gives all of the port to one of them by chance" };
            let message = format!(
                "{} reads the same port as {}; Cilium {outcome}",
                self.called(here.element, other),
                list.schema.protocol
            );
            report.add("PL203", here.element.policy, here.path, message).related = Some((other.policy, path));
            return;
        }
    }

    /// Policies that disagree on how to say no to the same requests.
    fn answers(&self, report: &mut LintReport<'_>) {
        let mut told = HashSet::new();
        for (number, element) in self.elements.iter().enumerate() {
            let Some(answer) = element.written.deny_with else { continue };
            let mut earlier = self.akin(number).filter(|(other, _)| *other < number).map(|(_, other)| other);
            let other = earlier.find(|other| {
                other.written.deny_with.is_some_and(|other| other != answer) && judged_together(other, element)
            });
            if let Some(other) = other.filter(|_| told.insert(element.policy)) {
                let message = format!(
                    "{} answers the same requests in another way; `reset` wins",
                    self.policies[other.policy].full_name()
                );
                report.add("PL204", element.policy, DENY_WITH, message).related =
                    Some((other.policy, DENY_WITH.to_owned()));
            }
        }
    }

    /// Policies that keep what is open beside others for the same endpoints and direction that do not.
    fn open_connections(&self, report: &mut LintReport<'_>) {
        let mut told = HashSet::new();
        let node = report.settings.open_connections;
        let keeps = |element: &&Element<'_>| element.written.open_connections.unwrap_or(node) == OpenConnections::Keep;
        for (number, element) in self.elements.iter().enumerate() {
            if element.written.open_connections != Some(OpenConnections::Keep) || told.contains(&element.policy) {
                continue;
            }
            let Some(other) = self.akin(number).map(|(_, other)| other).find(|other| !keeps(other)) else {
                continue;
            };
            told.insert(element.policy);
            let whose = match other.written.open_connections {
                Some(_) => "says cut",
                None => "says nothing, so it has the node's word, which is cut",
            };
            let by = self.policies[other.policy].full_name();
            let message = format!("{by} speaks of the same endpoints and direction and {whose}; `cut` wins");
            report.add("PL206", element.policy, OPEN_CONNECTIONS, message).related =
                Some((other.policy, other.path.clone()));
        }
    }
}

/// Whether an allow of as many endpoints concerns all peers of another.
fn encloses(wide: &Element<'_>, narrow: &Element<'_>) -> bool {
    !wide.deny && cover::peers(&wide.peers, &narrow.peers)
}

/// Whether L7 rules of both, which concern endpoints in common, bind some flow.
fn judged_together(a: &Element<'_>, b: &Element<'_>) -> bool {
    let peers = cover::peers(&a.peers, &b.peers) || cover::peers(&b.peers, &a.peers);
    let mut ports = a.l7().flat_map(|(_, rule, _)| &rule.ports);
    peers && ports.any(|one| b.l7().flat_map(|(_, rule, _)| &rule.ports).any(|other| cover::ports_meet(one, other)))
}

/// Whether an element means the same as another, whose endpoints it concerns.
fn same(a: &Element<'_>, b: &Element<'_>) -> bool {
    a.deny == b.deny
        && a.default_deny() == b.default_deny()
        && same_ports(a, b)
        && cover::subjects(b, a)
        && cover::peers(&a.peers, &b.peers)
        && cover::peers(&b.peers, &a.peers)
}

fn same_ports(a: &Element<'_>, b: &Element<'_>) -> bool {
    let icmps = a.entry.icmps == b.entry.icmps;
    let (a, b) = (a.entry.ports.as_deref().unwrap_or_default(), b.entry.ports.as_deref().unwrap_or_default());
    a.len() == b.len()
        && icmps
        && a.iter().zip(b).all(|(a, b)| {
            let within = |one: &[PortSpec], other: &[PortSpec]| one.iter().all(|spec| other.contains(spec));
            within(&a.ports, &b.ports)
                && within(&b.ports, &a.ports)
                && a.terminates_tls == b.terminates_tls
                && same_rules(a.l7.as_ref(), b.l7.as_ref())
                && same_rules(a.server_names.as_ref(), b.server_names.as_ref())
        })
}

fn same_rules(a: Option<&L7Rules>, b: Option<&L7Rules>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let within = |one: &L7Rules, other: &L7Rules| {
                one.rules.iter().all(|rule| {
                    other.rules.iter().any(|by| by.predicates == rule.predicates && by.actions == rule.actions)
                })
            };
            a.schema.protocol == b.schema.protocol && within(a, b) && within(b, a)
        }
        _ => false,
    }
}

/// A port as people write it.
fn shown(spec: &PortSpec) -> String {
    let port = match &spec.port {
        PortRef::Range(first, last) if first == last => first.to_string(),
        PortRef::Range(first, last) => format!("{first}-{last}"),
        PortRef::Named(name) => name.clone(),
    };
    match spec.transport {
        Some(transport) if transport.is_extended() => transport.as_str().to_owned(),
        Some(transport) => format!("{port}/{}", transport.as_str()),
        None => port,
    }
}
