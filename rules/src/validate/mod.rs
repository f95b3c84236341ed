//! What Cilium's `Rule.Sanitize` refuses beyond syntax (cilium pkg/policy/api/rule_validation.go), and what it accepts
//! with a surprising meaning.

mod regex;
mod shadow;

use std::collections::HashMap;

use crate::{
    bounds::{Effort, footprint},
    compile::peers::names_nobody,
    names,
    pattern::RegexError,
    policy::{
        CidrSet, Entity, FqdnSelector, L7Rules, Policy, PolicyEntry, PolicyKind, PolicyProblem, PortRef, PortRule,
        PortSpec, Rule,
    },
    schema::Schema,
    settings::PolicySettings,
    world::{Direction, Transport},
};

/// Most ports of one `toPorts` element (cilium `maxPorts`).
const MAX_PORTS: usize = 40;

/// Checks what Cilium's `Rule.Sanitize` checks and the parser cannot see. Without an error among the problems (there
/// may be warnings) the policy may be compiled. What that takes is taken from `effort`; a policy for which there is not
/// enough has an error.
#[must_use]
pub fn validate(policy: &Policy, settings: &PolicySettings, effort: &Effort) -> Vec<PolicyProblem> {
    let mut validator = Validator { settings, effort, problems: Vec::new(), memory: 0, regexes: HashMap::new() };
    validator.take(footprint(policy), "spec");
    if validator.is_over() {
        return validator.problems;
    }
    // What Kubernetes' own may say was looked at where it was read; it has no requests to judge.
    if policy.kind == PolicyKind::Kubernetes {
        validator.tell_effort();
        return validator.problems;
    }
    if policy.rules.is_empty() {
        validator.error(
            "spec",
            "Invalid CiliumNetworkPolicy: neither spec nor specs is set",
            "write one rule in spec, or several in specs",
        );
    }
    for rule in &policy.rules {
        validator.rule(rule);
    }
    validator.tell_effort();
    validator.problems
}

/// One list of elements: where it stands and what may stand in it.
#[derive(Clone, Copy)]
struct List {
    direction: Direction,
    deny: bool,
}

impl List {
    fn name(self) -> &'static str {
        match (self.direction, self.deny) {
            (Direction::Ingress, false) => "ingress",
            (Direction::Ingress, true) => "ingressDeny",
            (Direction::Egress, false) => "egress",
            (Direction::Egress, true) => "egressDeny",
        }
    }

    /// `fromEndpoints` or `toEndpoints`, and so on.
    fn peer_field(self, kind: &str) -> String {
        let prefix = if self.direction == Direction::Ingress { "from" } else { "to" };
        format!("{prefix}{kind}")
    }
}

struct Validator<'a> {
    settings: &'a PolicySettings,
    effort: &'a Effort,
    problems: Vec<PolicyProblem>,
    /// What the policy takes, in bytes, as far as it was looked at.
    memory: usize,
    /// Regular expressions that were compiled, and what was wrong with them.
    regexes: HashMap<&'a str, Option<RegexError>>,
}

impl<'a> Validator<'a> {
    fn error(&mut self, field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        self.problem(field, message, remedy, false);
    }

    fn warn(&mut self, field: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) {
        self.problem(field, message, remedy, true);
    }

    fn problem(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
        warning: bool,
    ) {
        let (field, message, remedy) = (field.into(), message.into(), remedy.into());
        self.problems.push(PolicyProblem { field, message, remedy, warning, exhausts: None });
    }

    fn rule(&mut self, rule: &'a Rule) {
        let lists = [
            (&rule.ingress, List { direction: Direction::Ingress, deny: false }),
            (&rule.ingress_deny, List { direction: Direction::Ingress, deny: true }),
            (&rule.egress, List { direction: Direction::Egress, deny: false }),
            (&rule.egress_deny, List { direction: Direction::Egress, deny: true }),
        ];
        if lists.iter().all(|(entries, _)| entries.as_ref().is_none_or(Vec::is_empty)) {
            self.error(
                &*rule.path,
                "rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny",
                "add a list with an element; `ingress: [{}]` lets nobody in",
            );
        }
        let selector = if rule.node { "nodeSelector" } else { "endpointSelector" };
        self.selector_values(&rule.subject, &format!("{}.{selector}", rule.path));
        for (entries, list) in lists {
            for (number, entry) in entries.iter().flatten().enumerate() {
                let path = format!("{}.{}[{number}]", rule.path, list.name());
                self.entry(entry, list, &path);
                if rule.node {
                    self.l7_on_nodes(entry, list, &path);
                }
            }
            if !list.deny && !self.settings.deviations.l7_binds_beside_l4 {
                let path = format!("{}.{}", rule.path, list.name());
                for (field, message) in shadow::shadowed(entries.as_deref().unwrap_or_default(), &path, self.effort) {
                    self.warn(field, message, shadow::REMEDY);
                }
            }
        }
    }

    /// Kubernetes: `In` and `NotIn` need values, the other operators have none.
    fn selector_values(&mut self, selector: &crate::labels::Selector, path: &str) {
        use crate::labels::Operator::{DoesNotExist, Exists, In, NotIn};
        for requirement in &selector.requirements {
            let (wrong, message) = match requirement.operator {
                In | NotIn => (requirement.values.is_empty(), "must be specified when `operator` is 'In' or 'NotIn'"),
                Exists | DoesNotExist => (
                    !requirement.values.is_empty(),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ),
            };
            if wrong {
                let message = format!("invalid label selector: values of `{}`: {message}", requirement.key);
                self.error(path, message, "write values for In and NotIn, and none for Exists and DoesNotExist");
            }
        }
    }

    /// Cilium's host firewall judges no requests.
    fn l7_on_nodes(&mut self, entry: &PolicyEntry, list: List, path: &str) {
        let rules = entry.ports.iter().flatten().enumerate();
        for (number, l7) in rules.filter_map(|(number, rule)| Some((number, rule.l7.as_ref()?))) {
            let protocol = l7.schema.protocol;
            let message = match list.direction {
                Direction::Egress if l7.schema.nature.datagrams => continue,
                _ if self.settings.deviations.l7_on_nodes => {
                    let message =
                        format!("rules.{protocol} of nodes are judged here, but Cilium refuses a policy that has them");
                    let remedy = "where Cilium has to take it too, judge the requests at the pods' side";
                    self.warn(format!("{path}.toPorts[{number}].rules"), message, remedy);
                    continue;
                }
                Direction::Ingress => "L7 policy is not supported on host ingress yet".to_owned(),
                Direction::Egress => {
                    format!("L7 protocol {} is not supported on host egress yet", protocol.to_ascii_uppercase())
                }
            };
            let remedy = "judge the requests at the pods' side, or switch on deviations.l7OnNodes";
            self.error(format!("{path}.toPorts[{number}].rules"), message, remedy);
        }
    }

    fn entry(&mut self, entry: &'a PolicyEntry, list: List, path: &str) {
        self.kinds(entry, list, path);
        if entry.icmps.is_some() && entry.ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
            let message = "the ICMPs block may only be present without ToPorts. Define a separate rule to use ToPorts";
            self.error(format!("{path}.icmps"), message, "write two elements, one with icmps and one with toPorts");
        }
        let nothing = names_nobody(entry) && entry.icmps.is_none() && entry.ports.as_ref().is_none_or(Vec::is_empty);
        if nothing && (list.deny || !self.settings.deviations.empty_rule_allows) {
            let remedy = if list.deny {
                "name whom to deny, for example an entity `all`"
            } else {
                "name whom to allow, for example an entity `all`; keep it if only default deny is meant"
            };
            self.warn(path, "an empty element selects nobody; it only switches on default deny", remedy);
        }
        for (number, selector) in entry.endpoints.iter().flatten().enumerate() {
            self.selector_values(selector, &format!("{path}.{}[{number}]", list.peer_field("Endpoints")));
        }
        for (number, selector) in entry.nodes.iter().flatten().enumerate() {
            self.selector_values(selector, &format!("{path}.{}[{number}]", list.peer_field("Nodes")));
        }
        for (number, set) in entry.cidr_sets.iter().flatten().enumerate() {
            self.cidr_set(set, &format!("{path}.{}[{number}]", list.peer_field("CIDRSet")));
        }
        for (number, entity) in entry.entities.iter().flatten().enumerate() {
            if *entity == Entity::KubeDns && !self.settings.deviations.kube_dns_entity {
                self.error(
                    format!("{path}.{}[{number}]", list.peer_field("Entities")),
                    "unsupported entity: kube-dns",
                    "select the DNS pods by labels (namespace kube-system, k8s-app: kube-dns), or switch on deviations.kubeDnsEntity",
                );
            }
        }
        self.names(entry, list, path);
        for (number, rule) in entry.ports.iter().flatten().enumerate() {
            self.ports(rule, list, &format!("{path}.toPorts[{number}]"));
        }
    }

    /// One element names one kind of peer.
    fn kinds(&mut self, entry: &PolicyEntry, list: List, path: &str) {
        let filled = |kind: &str, length: Option<usize>| (length.unwrap_or(0) > 0).then(|| list.peer_field(kind));
        let kinds: Vec<String> = [
            filled("Endpoints", entry.endpoints.as_ref().map(Vec::len)),
            filled("CIDR", entry.cidrs.as_ref().map(Vec::len)),
            filled("CIDRSet", entry.cidr_sets.as_ref().map(|sets| sets.len() + entry.cidr_groups.len())),
            filled("Entities", entry.entities.as_ref().map(Vec::len)),
            filled("Nodes", entry.nodes.as_ref().map(Vec::len)),
            filled("Services", entry.services.as_ref().map(Vec::len)),
            filled("FQDNs", entry.fqdns.as_ref().map(Vec::len)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let [first, second, ..] = kinds.as_slice() {
            self.error(
                path,
                format!("combining {} and {} is not supported yet", capital(first), capital(second)),
                format!("write two elements, one with {first} and one with {second}; elements are ORed"),
            );
        }
    }

    fn cidr_set(&mut self, set: &CidrSet, path: &str) {
        for (number, except) in set.except.iter().enumerate() {
            if !set.cidr.contains(except) {
                self.error(
                    format!("{path}.except[{number}]"),
                    format!("allow CIDR prefix {} does not contain exclude CIDR prefix {except}", set.cidr),
                    format!("write a part of {}, or remove the exception", set.cidr),
                );
            }
        }
    }

    fn names(&mut self, entry: &PolicyEntry, list: List, path: &str) {
        let Some(names) = entry.fqdns.as_ref().filter(|names| !names.is_empty()) else { return };
        let field = format!("{path}.toFQDNs");
        if list.direction == Direction::Ingress || list.deny {
            let message = format!("toFQDNs is not allowed in {}", list.name());
            self.error(field, message, "names select the destinations of egress only");
            return;
        }
        for (number, name) in names.iter().enumerate() {
            let fault = match name {
                FqdnSelector::Name(text) => names::fault(text, false),
                FqdnSelector::Pattern(text) => names::fault(text, true),
            };
            if let Some(fault) = fault {
                self.error(format!("{field}[{number}]"), fault.message, fault.remedy);
            }
        }
    }

    fn ports(&mut self, rule: &'a PortRule, list: List, path: &str) {
        if rule.ports.len() > MAX_PORTS {
            self.error(
                format!("{path}.ports"),
                format!("too many ports, the max is {MAX_PORTS}"),
                "split them over several toPorts elements, or use endPort",
            );
        }
        if rule.ports.is_empty() {
            self.warn(
                format!("{path}.ports"),
                "an empty list of ports selects nothing",
                "name ports, or remove toPorts for all",
            );
        }
        for (number, spec) in rule.ports.iter().enumerate() {
            self.port(spec, rule.l7.as_ref().map(|l7| l7.schema), &format!("{path}.ports[{number}]"));
        }
        let Some(l7) = &rule.l7 else { return };
        let field = format!("{path}.rules.{}", l7.schema.protocol);
        if list.direction == Direction::Ingress && !l7.schema.nature.ingress {
            let protocol = l7.schema.protocol.to_ascii_uppercase();
            self.error(
                &*field,
                format!("L7 protocol {protocol} is not supported on ingress yet"),
                "write it into egress of the clients",
            );
        }
        if list.deny {
            self.error(
                &*field,
                format!("L7 rules are not allowed in {}", list.name()),
                "deny by peer and port, or allow only the requests that are wanted",
            );
        }
        self.l7(l7, &field);
    }

    fn port(&mut self, spec: &PortSpec, l7: Option<&Schema>, path: &str) {
        if let PortRef::Range(first, last) = spec.port {
            if last < first {
                self.error(
                    format!("{path}.endPort"),
                    format!("Invalid port range, end port is less than start port {first}-{last}"),
                    "write the lower number as port and the higher as endPort",
                );
            } else if first == 0 && last > 0 {
                self.error(
                    format!("{path}.endPort"),
                    format!("Invalid port range including the wildcard zero port 0-{last}"),
                    "start at 1, or write port \"0\" alone for every port",
                );
            } else if l7.is_some() && first == 0 {
                self.error(
                    format!("{path}.port"),
                    "L7 rules can not be used when a port is 0",
                    "name the ports that speak the protocol",
                );
            } else if l7.is_some_and(|schema| schema.nature.exact_port) && last > first {
                self.error(
                    format!("{path}.endPort"),
                    "DNS rules do not support port ranges",
                    "name each port by itself",
                );
            }
        }
        if l7.is_some_and(|schema| !schema.nature.datagrams) && spec.transport != Some(Transport::Tcp) {
            let transport = spec.transport.map_or("ANY", Transport::as_str);
            self.error(
                format!("{path}.protocol"),
                format!("L7 rules can only apply to TCP (not {transport}) except for DNS rules"),
                "write `protocol: TCP`",
            );
        }
    }

    fn l7(&mut self, l7: &'a L7Rules, path: &str) {
        for (number, rule) in l7.rules.iter().enumerate() {
            self.predicates(l7.schema, rule, &format!("{path}[{number}]"));
        }
    }
}

/// As Cilium's messages write a field: `FromEndpoints`.
fn capital(field: &str) -> String {
    let mut letters = field.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
