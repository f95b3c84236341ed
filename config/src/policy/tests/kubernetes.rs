//! NetworkPolicy of Kubernetes. What it decides is held against Cilium's own answers (`integration/differential`).

use portcullis_rules::{
    labels::Selector,
    policy::{Entity, PolicyEntry, PolicyKind, PortRef, PortSpec, Rule},
    world::Transport,
};

use super::{accepted, read_with, refused, with_spec};

/// A policy with this body below `spec`, which begins at line 5.
fn of_kubernetes(spec: &str) -> String {
    with_spec(spec).replacen("cilium.io/v2", "networking.k8s.io/v1", 1).replacen(
        "CiliumNetworkPolicy",
        "NetworkPolicy",
        1,
    )
}

fn rule(spec: &str) -> Rule {
    let policy = accepted(&of_kubernetes(spec));
    assert_eq!((policy.kind, policy.full_name().as_str()), (PolicyKind::Kubernetes, "networkpolicy:shop/p"));
    policy.rules[0].clone()
}

fn entry(written: &str) -> PolicyEntry {
    rule(&format!("ingress: [{written}]")).ingress.unwrap().remove(0)
}

fn shown(selector: &Selector) -> String {
    selector.to_string().replace("io.cilium.k8s.namespace.labels.", "NS.").replace("io.cilium.k8s.policy.", "POLICY.")
}

#[test]
fn policy_types_close_a_direction_that_has_no_rule() {
    let cases: [(&str, Option<usize>, Option<usize>); 9] = [
        ("podSelector: {}", Some(1), None),
        ("policyTypes: []", Some(1), None),
        ("policyTypes: [Ingress]", Some(1), None),
        ("policyTypes: [Egress]", None, Some(1)),
        ("policyTypes: [Ingress, Egress]", Some(1), Some(1)),
        ("egress: []", Some(1), None),
        ("egress: [{}]", Some(1), Some(1)),
        ("ingress: [{}, {}]", Some(2), None),
        ("policyTypes: [Egress]\ningress: [{}]", Some(1), Some(1)),
    ];
    for (spec, ingress, egress) in cases {
        let rule = rule(spec);
        let count = |list: &Option<Vec<PolicyEntry>>| list.as_ref().map(Vec::len);
        assert_eq!((count(&rule.ingress), count(&rule.egress)), (ingress, egress), "{spec}");
    }
    // Nobody, where no rule is written; everybody, where one without peers is.
    assert!(rule("podSelector: {}").ingress.unwrap()[0].entities.is_none());
    for everybody in ["{}", "{from: []}", "{from: [], ports: []}"] {
        let entry = entry(everybody);
        assert_eq!((entry.entities, entry.ports.is_none()), (Some(vec![Entity::All]), true), "{everybody}");
    }
}

#[test]
fn rules_of_a_direction_that_policy_types_leaves_out_are_in_force_with_a_warning() {
    for (spec, field) in [
        ("policyTypes: [Egress]\ningress: [{}]", "spec.ingress"),
        ("policyTypes: [Ingress]\negress: [{}]", "spec.egress"),
    ] {
        let read = read_with(&of_kubernetes(spec), &[]);
        assert!(read.policy.is_some());
        let [warning] = read.problems.as_slice() else { panic!("{:?}", read.problems) };
        assert!(warning.warning && warning.field == field && warning.position.line == 6, "{warning:?}");
    }
}

#[test]
fn peers_are_pods_of_a_namespace_or_of_some_or_addresses() {
    let here = "k8s:POLICY.cluster=default";
    for (peer, selects) in [
        ("podSelector: {}", format!("k8s:io.kubernetes.pod.namespace=shop,{here}")),
        ("podSelector: {matchLabels: {app: a}}", format!("k8s:app=a,k8s:io.kubernetes.pod.namespace=shop,{here}")),
        ("namespaceSelector: {}", format!("k8s:io.kubernetes.pod.namespace,{here}")),
        ("namespaceSelector: {matchLabels: {team: x}}", format!("k8s:NS.team=x,{here}")),
        (
            "podSelector: {matchLabels: {app: a}}, namespaceSelector: {matchExpressions: [{key: x.example/team, operator: NotIn, values: [x]}]}",
            format!("k8s:NS.x.example/team!=x,k8s:app=a,{here}"),
        ),
        (
            "podSelector: {matchLabels: {io.cilium.k8s.policy.cluster: green}}, namespaceSelector: {}",
            "k8s:POLICY.cluster=green,k8s:io.kubernetes.pod.namespace".to_owned(),
        ),
    ] {
        let entry = entry(&format!("{{from: [{{{peer}}}]}}"));
        let bound = entry.endpoints.unwrap().remove(0);
        let mut wanted: Vec<_> = selects.split(',').collect();
        let (shown, as_peer) = (shown(&bound), self::shown(&bound.for_peer(Some("shop"))));
        let mut found: Vec<_> = shown.split(',').collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted, "{peer}");
        assert_eq!(shown, as_peer, "nothing is left to bind: {peer}");
    }
    let block = entry("{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.0/25]}}, {podSelector: {}}]}");
    let set = &block.cidr_sets.unwrap()[0];
    assert_eq!(format!("{} {:?}", set.cidr, set.except), "192.0.2.0/24 [192.0.2.0/25]");
    assert_eq!(block.endpoints.unwrap().len(), 1);
}

#[test]
fn ports_have_numbers_ranges_names_or_none() {
    let range = |first, last, transport| PortSpec { port: PortRef::Range(first, last), transport: Some(transport) };
    for (port, spec) in [
        ("{port: 80}", range(80, 80, Transport::Tcp)),
        ("{port: 80, protocol: UDP, endPort: 90}", range(80, 90, Transport::Udp)),
        ("{port: 80, endPort: 80}", range(80, 80, Transport::Tcp)),
        ("{protocol: SCTP}", range(0, 0, Transport::Sctp)),
        ("{}", range(0, 0, Transport::Tcp)),
        ("{port: http}", PortSpec { port: PortRef::Named("http".into()), transport: Some(Transport::Tcp) }),
    ] {
        let entry = entry(&format!("{{ports: [{port}]}}"));
        assert_eq!(entry.ports.unwrap()[0].ports, [spec], "{port}");
        assert_eq!(entry.entities, Some(vec![Entity::All]));
    }
}

#[test]
fn what_kubernetes_refuses_is_refused() {
    let ns = "io.kubernetes.pod.namespace";
    for (spec, wanted) in [
        ("policyTypes: [Both]", "5:17 spec.policyTypes[0]: unknown value \"Both\"".to_owned()),
        ("ingress: [{from: [{}]}]", "5:21 spec.ingress[0].from[0]: names no peer".into()),
        (
            "ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 192.0.2.0/24}}]}]",
            "5:48 spec.ingress[0].from[0].ipBlock: cannot stand beside selectors".into(),
        ),
        ("ingress: [{from: [{ipBlock: {}}]}]", "5:31 spec.ingress[0].from[0].ipBlock.cidr: is missing".into()),
        (
            "egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [198.51.100.0/25]}}]}]",
            "5:58 spec.egress[0].to[0].ipBlock.except[0]: 198.51.100.0/25 is no part of 192.0.2.0/24".into(),
        ),
        (
            "egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.0/24]}}]}]",
            "5:58 spec.egress[0].to[0].ipBlock.except[0]: 192.0.2.0/24 is no part of 192.0.2.0/24".into(),
        ),
        (
            "ingress: [{ports: [{port: \"80\"}]}]",
            "5:29 spec.ingress[0].ports[0].port: \"80\" is no name of a port".into(),
        ),
        (
            "ingress: [{ports: [{port: Http}]}]",
            "5:29 spec.ingress[0].ports[0].port: \"Http\" is no name of a port".into(),
        ),
        ("ingress: [{ports: [{port: 0}]}]", "5:29 spec.ingress[0].ports[0].port: 0 is out of range".into()),
        (
            "ingress: [{ports: [{protocol: ICMP}]}]",
            "5:33 spec.ingress[0].ports[0].protocol: unknown value \"ICMP\"".into(),
        ),
        (
            "ingress: [{ports: [{port: 80, endPort: 70}]}]",
            "5:42 spec.ingress[0].ports[0].endPort: is below port, or port is missing".into(),
        ),
        (
            "ingress: [{ports: [{endPort: 70}]}]",
            "5:32 spec.ingress[0].ports[0].endPort: is below port, or port is missing".into(),
        ),
        (
            "ingress: [{ports: [{port: http, endPort: 70}]}]",
            "5:44 spec.ingress[0].ports[0].endPort: no range begins at a name (http)".into(),
        ),
        ("ingress: [{fromEndpoints: [{}]}]", "5:14 spec.ingress[0].fromEndpoints: unknown field".into()),
        (
            "podSelector: {matchLabels: {'k8s:app': a}}",
            "5:16 spec.podSelector: \"k8s:app\" is no key of a label in Kubernetes".into(),
        ),
        (
            "ingress: [{from: [{podSelector: {matchLabels: {io.kubernetes.pod.namespace: a}}}]}]",
            format!(
                "5:35 spec.ingress[0].from[0].podSelector: {ns} is no label of a pod, and these are pods of the policy's own namespace"
            ),
        ),
    ] {
        assert_eq!(refused(&of_kubernetes(spec)), [wanted], "{spec}");
    }
}

/// Our own kind has the same name, and is Cilium's language.
#[test]
fn a_policy_of_kubernetes_under_another_api_version_is_told_which_it_needs() {
    let ours = with_spec("podSelector: {}\npolicyTypes: [Ingress]\ningress: [{from: [], ports: []}]")
        .replacen("cilium.io/v2", "portcullis.io/v1", 1)
        .replacen("CiliumNetworkPolicy", "NetworkPolicy", 1);
    let read = read_with(&ours, &[]);
    let remedies: Vec<_> =
        read.problems.iter().filter(|problem| problem.remedy.contains("networking.k8s.io/v1")).collect();
    assert_eq!(remedies.len(), 4, "{:#?}", read.problems);
}
