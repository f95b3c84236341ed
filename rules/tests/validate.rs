//! What is refused, and what is accepted with a warning: field, message, remedy.

mod kit;

use kit::{HTTP, Ports, allow, anybody, cidr_set, cidrs, egress, entities, ingress, peers, policy, rule, select};
use portcullis_rules::{
    bounds::Effort,
    policy::{
        Entity, FqdnSelector, L7Rule, Matcher, Policy, PolicyEntry, PolicyProblem, PortRule, Predicate, Rule, validate,
    },
    settings::{Deviations, PolicySettings},
};

fn problems(rule: Rule) -> Vec<PolicyProblem> {
    validate(&policy("default/p", vec![rule]), &PolicySettings::default(), &Effort::endless())
}

fn server(entry: PolicyEntry) -> Rule {
    ingress("app=server", vec![entry])
}

fn names(name: FqdnSelector) -> PolicyEntry {
    PolicyEntry { fqdns: Some(vec![name]), ..anybody() }
}

fn host(pattern: &str) -> L7Rule {
    let matcher = Matcher::Regex(pattern.to_owned());
    L7Rule { predicates: vec![Predicate { field: kit::HOST, key: String::new(), matcher }], ..L7Rule::default() }
}

/// Cases of: rule, field, message (a part of it), whether it is a warning.
fn assert_problems(cases: Vec<(Rule, &str, &str, bool)>) {
    for (rule, field, message, warning) in cases {
        let found = problems(rule);
        let [problem] = found.as_slice() else { panic!("{field} {message}: {found:#?}") };
        assert_eq!(problem.field, field);
        assert!(problem.message.contains(message), "{problem:?}");
        assert_eq!(problem.warning, warning, "{problem:?}");
        assert!(!problem.remedy.is_empty());
    }
}

#[test]
fn what_cilium_refuses_is_refused() {
    let two = PolicyEntry { entities: Some(vec![Entity::Host]), ..peers(&["app=a"]) };
    let many = PortRule { ports: vec![kit::spec("80"); 41], l7: None, ..PortRule::default() };
    let udp = anybody().http("80/udp", vec![allow("GET", "")]);
    let denies = Rule { ingress_deny: Some(vec![anybody().http("80", vec![allow("GET", "")])]), ..rule("") };
    assert_problems(vec![
        (rule("app=server"), "spec", "rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny", false),
        (server(two), "spec.ingress[0]", "combining FromEndpoints and FromEntities is not supported yet", false),
        (server(anybody().push(many)), "spec.ingress[0].toPorts[0].ports", "too many ports, the max is 40", false),
        (
            server(udp),
            "spec.ingress[0].toPorts[0].ports[0].protocol",
            "L7 rules can only apply to TCP (not UDP) except for DNS rules",
            false,
        ),
        (
            server(anybody().http("80/any", vec![allow("GET", "")])),
            "spec.ingress[0].toPorts[0].ports[0].protocol",
            "L7 rules can only apply to TCP (not ANY) except for DNS rules",
            false,
        ),
        (
            server(anybody().http("0", vec![allow("GET", "")])),
            "spec.ingress[0].toPorts[0].ports[0].port",
            "L7 rules can not be used when a port is 0",
            false,
        ),
        (
            server(anybody().port("90-80")),
            "spec.ingress[0].toPorts[0].ports[0].endPort",
            "less than start port 90-80",
            false,
        ),
        (server(anybody().port("0-80")), "spec.ingress[0].toPorts[0].ports[0].endPort", "wildcard zero port", false),
        (
            server(cidr_set("10.0.0.0/8", &["192.168.0.0/16"])),
            "spec.ingress[0].fromCIDRSet[0].except[0]",
            "allow CIDR prefix 10.0.0.0/8 does not contain exclude CIDR prefix 192.168.0.0/16",
            false,
        ),
        (
            server(cidr_set("10.0.0.0/8", &["fd00::/8"])),
            "spec.ingress[0].fromCIDRSet[0].except[0]",
            "does not contain exclude CIDR prefix fd00::/8",
            false,
        ),
        (
            server(names(FqdnSelector::Name("a.example".to_owned()))),
            "spec.ingress[0].toFQDNs",
            "not allowed in ingress",
            false,
        ),
        (denies, "spec.ingressDeny[0].toPorts[0].rules.http", "L7 rules are not allowed in ingressDeny", false),
        (
            server(anybody().http("80", vec![allow("", "*")])),
            "spec.ingress[0].toPorts[0].rules.http[0].path",
            "error parsing regexp: missing argument to repetition operator: `*`",
            false,
        ),
        (
            server(entities(&[Entity::KubeDns])),
            "spec.ingress[0].fromEntities[0]",
            "unsupported entity: kube-dns",
            false,
        ),
    ]);
    assert!(
        validate(&policy("default/p", vec![]), &PolicySettings::default(), &Effort::endless())
            .iter()
            .any(|problem| !problem.warning)
    );
}

#[test]
fn a_broken_name_is_refused_beside_the_warning_that_names_select_nothing() {
    for name in ["a{1,2}.cilium.io.", ""] {
        let found = problems(egress("", vec![names(FqdnSelector::Name(name.to_owned()))]));
        assert!(found.iter().any(|p| !p.warning && p.field == "spec.egress[0].toFQDNs[0]"), "{found:?}");
    }
    let found = problems(egress("", vec![names(FqdnSelector::Pattern("*.a.example".to_owned()))]));
    assert!(found.iter().all(|problem| problem.warning), "{found:?}");
}

#[test]
fn a_selector_without_values_is_refused() {
    let mut selector = select("app=a");
    selector.requirements[0].values.clear();
    let found = problems(server(PolicyEntry { endpoints: Some(vec![selector]), ..anybody() }));
    assert_eq!(found[0].field, "spec.ingress[0].fromEndpoints[0]");
    assert!(found[0].message.contains("must be specified when `operator` is 'In' or 'NotIn'"));
}

#[test]
fn requests_of_nodes_are_judged_only_where_the_settings_say_so() {
    let http = vec![anybody().http("80", vec![allow("GET", "")])];
    for (rule, message) in [
        (ingress("app=server", http.clone()), "L7 policy is not supported on host ingress yet"),
        (egress("app=server", http), "L7 protocol HTTP is not supported on host egress yet"),
    ] {
        let node = policy("p", vec![Rule { node: true, ..rule }]);
        let refused = validate(&node, &PolicySettings::default(), &Effort::endless());
        assert!(matches!(&refused[..], [one] if one.message == message && !one.warning), "{refused:?}");
        let deviations = Deviations { l7_on_nodes: true, ..Deviations::default() };
        let told = validate(&node, &PolicySettings { deviations, ..PolicySettings::default() }, &Effort::endless());
        assert!(matches!(&told[..], [one] if one.warning), "{told:?}");
    }
}

#[test]
fn what_surprises_is_accepted_with_a_warning() {
    let http = |rules| server(anybody().http("80", rules));
    let none = PortRule { ports: vec![], l7: None, ..PortRule::default() };
    assert_problems(vec![
        (server(anybody()), "spec.ingress[0]", "selects nobody", true),
        (server(anybody().push(none)), "spec.ingress[0].toPorts[0].ports", "selects nothing", true),
        (http(vec![host("*")]), "spec.ingress[0].toPorts[0].rules.http[0].host", "this rule matches nothing", true),
        (
            http(vec![allow("", "(((a{100}){100}){100})")]),
            "spec.ingress[0].toPorts[0].rules.http[0].path",
            "bytes compiled; this rule matches nothing",
            true,
        ),
        (
            ingress("", vec![peers(&["app=a"]).http("80", vec![allow("GET", "")]), peers(&["app=a"])]),
            "spec.ingress[0].toPorts[0].rules",
            "spec.ingress[1] allows the same peers and ports without L7 rules",
            true,
        ),
        (
            ingress("", vec![peers(&["app=a"]).http("80", vec![allow("GET", "")]), anybody().port("1-100")]),
            "spec.ingress[0].toPorts[0].rules",
            "restrict nothing",
            true,
        ),
    ]);
}

#[test]
fn what_is_sound_has_no_problems() {
    let sound: Vec<Policy> = vec![
        policy("p", vec![server(peers(&["app=a"]).http("80", vec![allow("GET", r"/a/\d+(\?.*)?")]))]),
        policy("default/p", vec![egress("", vec![cidrs(&["10.0.0.0/8"]), cidr_set("0.0.0.0/0", &["10.0.0.0/8"])])]),
        policy("default/p", vec![ingress("", vec![peers(&["app=a"]).http("80", vec![]), peers(&["app=b"])])]),
        policy(
            "default/p",
            vec![ingress("", vec![peers(&["app=a"]).http("80", vec![]), peers(&["app=a"]).port("81")])],
        ),
        policy("default/p", vec![ingress("", vec![peers(&[]).port("80")])]),
    ];
    for policy in sound {
        assert_eq!(validate(&policy, &PolicySettings::default(), &Effort::endless()), [], "{policy:?}");
    }
    assert_eq!(HTTP.field("path"), Some(kit::PATH));
}

#[test]
fn deviations_make_sound_what_they_allow() {
    let settings = PolicySettings {
        deviations: Deviations { empty_rule_allows: true, kube_dns_entity: true, ..Deviations::default() },
        ..PolicySettings::default()
    };
    let rule = egress("", vec![anybody(), entities(&[Entity::KubeDns])]);
    assert_eq!(validate(&policy("default/p", vec![rule]), &settings, &Effort::endless()), []);
}

#[test]
fn a_field_is_named_with_its_place_among_several_specs() {
    let found = validate(
        &policy("default/p", vec![server(peers(&["a"])), server(anybody())]),
        &PolicySettings::default(),
        &Effort::endless(),
    );
    assert_eq!(found[0].field, "specs[1].ingress[0]");
}
