//! How each field is converted.

use portcullis_rules::{
    labels::Operator,
    policy::{Entity, FqdnSelector, HeaderValueSource, Matcher, Mismatch, PortRef, Position, ServiceName},
    settings::{DenyScope, DenyWith, OpenConnections, PolicySettings},
    world::Transport,
};

use super::{HTTP, NAMES, TOY, accepted, ingress, read_with, with_ingress, with_spec};

#[test]
fn a_policy_has_its_name_namespace_rules_and_positions() {
    let policy = accepted(
        "apiVersion: cilium.io/v2\n\
         kind: CiliumNetworkPolicy\n\
         metadata:\n\
         \x20 name: app-http\n\
         \x20 namespace: shop\n\
         \x20 uid: 0\n\
         \x20 creationTimestamp: null\n\
         \x20 labels: {a: b}\n\
         \x20 annotations: {portcullis.io/deny-with: respond, portcullis.io/deny-scope: connection, portcullis.io/open-connections: keep, other.example/x: y}\n\
         spec:\n\
         \x20 description: about it\n\
         \x20 labels: [{key: a, value: b}]\n\
         \x20 log: {value: audit}\n\
         \x20 endpointSelector: {matchLabels: {app: app}}\n\
         \x20 enableDefaultDeny: {ingress: false, egress: true}\n\
         \x20 ingress:\n\
         \x20   - fromEntities: [all]\n\
         \x20 egress: [{toEntities: [world]}]\n\
         \x20 ingressDeny: [{fromEntities: [host]}]\n\
         \x20 egressDeny: [{toEntities: [none]}]\n\
         status: {conditions: []}\n",
    );
    assert_eq!(policy.namespace.as_deref(), Some("shop"));
    assert_eq!(&*policy.name, "app-http");
    assert_eq!(&*policy.origin, "test");
    assert_eq!(policy.deny_with, Some(DenyWith::Respond));
    assert_eq!(policy.deny_scope, Some(DenyScope::Connection));
    assert_eq!(policy.open_connections, Some(OpenConnections::Keep));
    let [rule] = policy.rules.as_slice() else { panic!("{policy:?}") };
    assert_eq!(&*rule.path, "spec");
    assert_eq!(rule.position, Position { line: 11, column: 3 });
    assert_eq!((rule.default_deny_ingress, rule.default_deny_egress), (Some(false), Some(true)));
    assert_eq!(rule.subject.requirements[0].values, ["app"]);
    assert_eq!(rule.ingress.as_ref().unwrap()[0].position, Position { line: 17, column: 7 });
    for list in [&rule.ingress, &rule.egress, &rule.ingress_deny, &rule.egress_deny] {
        assert_eq!(list.as_ref().unwrap().len(), 1);
    }
}

#[test]
fn a_namespace_is_default_and_a_clusterwide_policy_has_none() {
    let body = "spec: {endpointSelector: {}, ingress: [{fromEntities: [all]}]}\n";
    let policy =
        accepted(&format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p}}\n{body}"));
    assert_eq!(policy.namespace.as_deref(), Some("default"));
    assert_eq!((policy.deny_with, policy.deny_scope, policy.open_connections), (None, None, None));
    assert_eq!((policy.deny_with, policy.deny_names_with), (None, None));
    for (word, wanted) in [("refused", DenyWith::Respond), ("nxdomain", DenyWith::Hide), ("drop", DenyWith::Reset)] {
        let metadata = format!("metadata: {{name: p, annotations: {{portcullis.io/dns-deny-with: {word}}}}}");
        let policy = accepted(&format!("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n{metadata}\n{body}"));
        assert_eq!((policy.deny_with, policy.deny_names_with), (None, Some(wanted)), "{word}");
    }
    let clusterwide = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\n";
    assert_eq!(accepted(&format!("{clusterwide}{body}")).namespace, None);
}

#[test]
fn spec_comes_before_specs() {
    let rule = "{endpointSelector: {}, ingress: [{fromEntities: [all]}]}";
    let head = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\n";
    let policy = accepted(&format!("{head}specs: [{rule}, {rule}]\nspec: {rule}\n"));
    let paths: Vec<_> = policy.rules.iter().map(|rule| &*rule.path).collect();
    assert_eq!(paths, ["spec", "specs[0]", "specs[1]"]);
}

#[test]
fn json_is_read_like_yaml() {
    let policy = accepted(
        "{\"apiVersion\": \"cilium.io/v2\", \"kind\": \"CiliumNetworkPolicy\", \"metadata\": {\"name\": \"p\"},\n\
         \t\"spec\": {\"endpointSelector\": {}, \"ingress\": [{\"fromEntities\": [\"all\"]}]}}",
    );
    assert_eq!(policy.rules[0].position, Position { line: 2, column: 10 });
}

#[test]
fn selectors_keep_keys_as_they_are_written() {
    let entry = ingress(
        "fromEndpoints:\n\
         - matchLabels: {k8s:app: a, 'reserved:host': '', io.cilium.k8s.namespace.labels.kubernetes.io/name: x}\n\
         \x20 matchExpressions:\n\
         \x20 - {key: tier, operator: In, values: [a, b]}\n\
         \x20 - {key: tier, operator: NotIn, values: [c]}\n\
         \x20 - {key: example.org/x, operator: Exists}\n\
         \x20 - {key: 'any:y', operator: DoesNotExist, values: []}",
    );
    let selector = &entry.endpoints.unwrap()[0];
    let read: Vec<_> =
        selector.requirements.iter().map(|one| (one.key.as_str(), one.operator, one.values.join(","))).collect();
    let expected = [
        ("io.cilium.k8s.namespace.labels.kubernetes.io/name", Operator::In, "x"),
        ("k8s:app", Operator::In, "a"),
        ("reserved:host", Operator::In, ""),
        ("tier", Operator::In, "a,b"),
        ("tier", Operator::NotIn, "c"),
        ("example.org/x", Operator::Exists, ""),
        ("any:y", Operator::DoesNotExist, ""),
    ];
    assert_eq!(read, expected.map(|(key, operator, values)| (key, operator, values.to_owned())));
}

#[test]
fn cidrs_entities_and_names_are_read() {
    let entry = ingress("fromCIDR: [192.0.2.7/24, 2001:db8::1, 198.51.100.1]");
    let cidrs: Vec<_> = entry.cidrs.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(cidrs, ["192.0.2.0/24", "2001:db8::1/128", "198.51.100.1/32"]);
    let entry = ingress("fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}, {cidr: '::/0'}]");
    let sets = entry.cidr_sets.unwrap();
    assert_eq!((sets[0].cidr.to_string(), sets[0].except.len(), sets[1].except.len()), ("10.0.0.0/8".into(), 2, 0));
    let words = "all, world, world-ipv4, world-ipv6, cluster, host, remote-node, kube-apiserver, ingress, init, health, \
                 unmanaged, none";
    let entities = ingress(&format!("fromEntities: [{words}]")).entities.unwrap();
    assert_eq!(entities.len(), 13);
    assert_eq!((entities[0], entities[5], entities[12]), (Entity::All, Entity::Host, Entity::None));
    let policy = accepted(&with_spec(
        "endpointSelector: {}\negress: [{toFQDNs: [{matchName: a.example.org}, {matchPattern: '*.example.org'}]}]",
    ));
    let names = policy.rules[0].egress.as_ref().unwrap()[0].fqdns.clone().unwrap();
    let expected = [FqdnSelector::Name("a.example.org".into()), FqdnSelector::Pattern("*.example.org".into())];
    assert_eq!(names, expected);
}

#[test]
fn ports_are_numbers_ranges_or_names() {
    let table: &[(&str, PortRef, Option<Transport>)] = &[
        ("port: \"80\"", PortRef::Range(80, 80), None),
        ("port: \"0\"", PortRef::Range(0, 0), None),
        ("port: \"65535\", protocol: TCP", PortRef::Range(65535, 65535), Some(Transport::Tcp)),
        ("port: \"80\", protocol: ANY", PortRef::Range(80, 80), None),
        ("port: \"80\", protocol: udp", PortRef::Range(80, 80), Some(Transport::Udp)),
        ("port: \"80\", endPort: 90, protocol: SCTP", PortRef::Range(80, 90), Some(Transport::Sctp)),
        ("port: \"80\", endPort: 0", PortRef::Range(80, 80), None),
        ("port: http-alt", PortRef::Named("http-alt".into()), None),
        ("port: http-alt, endPort: 7", PortRef::Named("http-alt".into()), None),
        ("port: \"0x50\"", PortRef::Named("0x50".into()), None),
    ];
    for (written, port, transport) in table {
        let entry = ingress(&format!("toPorts: [{{ports: [{{{written}}}]}}]"));
        let spec = &entry.ports.unwrap()[0].ports[0];
        assert_eq!((&spec.port, &spec.transport), (port, transport), "{written}");
    }
}

#[test]
fn http_rules_become_predicates_in_the_order_of_the_schema() {
    let entry = ingress(
        "toPorts:\n\
         - ports: [{port: \"80\", protocol: TCP}]\n\
         \x20 rules:\n\
         \x20   http:\n\
         \x20   - {path: /a, method: GET, host: \"\"}\n\
         \x20   - headers: [X-One, 'X-Two: two words ', 'x-three 3', 'X-Four:: 4']",
    );
    let l7 = entry.ports.unwrap()[0].l7.clone().unwrap();
    assert_eq!(l7.schema.protocol, "http");
    assert_eq!(l7.rules[0].position, Position { line: 11, column: 13 });
    let shown = |index: usize| -> Vec<_> {
        let predicates = l7.rules[index].predicates.iter();
        predicates.map(|one| (one.field.0, one.key.clone(), one.matcher.clone())).collect()
    };
    let regex = |text: &str| Matcher::Regex(text.into());
    assert_eq!(shown(0), [(0, String::new(), regex("GET")), (1, String::new(), regex("/a"))], "an empty host is any");
    let exact = |text: &str| Matcher::Exact(text.into());
    let expected =
        [("x-one", Matcher::Present), ("x-two", exact("two words ")), ("x-three", exact("3")), ("x-four", exact("4"))];
    assert_eq!(shown(1), expected.map(|(key, matcher)| (3, key.to_owned(), matcher)));
}

#[test]
fn a_new_protocol_needs_nothing_but_its_schema() {
    let document = with_ingress(
        "toPorts: [{ports: [{port: \"9\", protocol: TCP}], rules: {toy: [{shape: round.*, colour: red}]}}]",
    );
    assert!(read_with(&document, &[&HTTP]).policy.is_none());
    let policy = read_with(&document, &[&HTTP, &TOY]).policy.unwrap();
    let l7 = policy.rules[0].ingress.as_ref().unwrap()[0].ports.as_ref().unwrap()[0].l7.clone().unwrap();
    assert_eq!(l7.schema.protocol, "toy");
    let read: Vec<_> = l7.rules[0].predicates.iter().map(|one| (one.field.0, one.matcher.clone())).collect();
    assert_eq!(read, [(0, Matcher::Exact("red".into())), (1, Matcher::Regex("round.*".into()))]);
    let wrong = with_ingress("toPorts: [{ports: [{port: \"9\", protocol: TCP}], rules: {toy: [{size: 3}]}}]");
    let problems = read_with(&wrong, &[&TOY]).problems;
    assert_eq!(problems[0].field, "spec.ingress[0].toPorts[0].rules.toy[0].size");
    assert_eq!(problems[0].remedy, "remove it; known here: colour, shape");
}

#[test]
fn alternatives_are_rules_of_one_item_and_a_list_narrows_each() {
    let document = |items: &str| {
        with_ingress(&format!("toPorts: [{{ports: [{{port: \"9\", protocol: TCP}}], rules: {{names: [{items}]}}}}]"))
    };
    let policy = read_with(&document("{first: a, last: b, size: [s, m]}, {last: c}"), &[&NAMES]).policy.unwrap();
    let l7 = policy.rules[0].ingress.as_ref().unwrap()[0].ports.as_ref().unwrap()[0].l7.clone().unwrap();
    let sizes = || (2, Matcher::AnyOf(vec!["s".into(), "m".into()]));
    let exact = |field, text: &str| (field, Matcher::Exact(text.into()));
    let read = l7.rules.iter().map(|rule| {
        let predicates = rule.predicates.iter().map(|one| (one.field.0, one.matcher.clone()));
        (rule.item, predicates.collect::<Vec<_>>())
    });
    assert_eq!(
        read.collect::<Vec<_>>(),
        [
            (Some(0), vec![exact(0, "a"), sizes()]),
            (Some(0), vec![exact(1, "b"), sizes()]),
            (Some(1), vec![exact(1, "c")])
        ]
    );
    for (items, wrong) in [
        ("{size: [s]}", "narrows what it does not name, and so allows nothing"),
        ("{first: a, size: []}", "is an empty list"),
        ("{first: a, size: s}", "has to be a list, but is a string"),
        ("{first: a, size: [\"?\"]}", "\"?\" is nothing"),
    ] {
        let read = read_with(&document(items), &[&NAMES]);
        let told: Vec<_> = read.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(read.policy.is_none(), "{items}");
        assert_eq!(told, [wrong], "{items}");
    }
}

#[test]
fn what_only_compares_headers_is_a_predicate_and_live() {
    let element = ingress(
        "toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{headers: [A], headerMatches: \
         [{name: X-B, value: b}, {name: C}]}]}}]",
    );
    let l7 = element.ports.unwrap()[0].l7.clone().unwrap();
    let told: Vec<_> = l7.rules[0].predicates.iter().map(|found| (found.key.as_str(), &found.matcher)).collect();
    let equals = Matcher::Exact("b".to_owned());
    assert_eq!(told, [("a", &Matcher::Present), ("x-b", &equals), ("c", &Matcher::Present)]);
    assert!(l7.rules[0].actions.is_empty());
}

#[test]
fn what_is_done_with_headers_is_an_action_and_live() {
    let element = ingress(
        "toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{headerMatches: \
         [{name: X-B, value: b, mismatch: LOG}, {name: X-C, mismatch: ADD}, {name: d, value: d, mismatch: DELETE}, \
         {name: e, value: e, mismatch: REPLACE}, {name: f, value: f, secret: {name: s}, mismatch: ADD}]}]}}]",
    );
    let l7 = element.ports.unwrap()[0].l7.clone().unwrap();
    let actions = l7.rules[0].actions.iter();
    let told: Vec<_> = actions.map(|action| (&*action.name, action.wanted.clone(), action.mismatch)).collect();
    let wanted = |text: &str| HeaderValueSource::Value(text.to_owned());
    assert_eq!(
        told,
        [
            ("x-b", wanted("b"), Mismatch::Log),
            ("x-c", wanted(""), Mismatch::Add),
            ("d", wanted("d"), Mismatch::Delete),
            ("e", wanted("e"), Mismatch::Replace),
            ("f", wanted("f"), Mismatch::Add),
        ]
    );
    assert!(l7.rules[0].predicates.is_empty());
}

#[test]
fn services_nodes_and_message_types_are_read() {
    let policy = accepted(&with_spec(
        "endpointSelector: {}\ningress: [{fromNodes: [{matchLabels: {zone: a}}]}]\negress: [{toServices: \
         [{k8sService: {serviceName: db, namespace: x}}, {k8sServiceSelector: {selector: {matchLabels: {a: b}}}}]}]",
    ));
    let rule = &policy.rules[0];
    assert_eq!(rule.ingress.as_ref().unwrap()[0].nodes.as_ref().unwrap().len(), 1);
    let services = rule.egress.as_ref().unwrap()[0].services.clone().unwrap();
    assert_eq!(services[0].namespace.as_deref(), Some("x"));
    assert_eq!(services[0].services, ServiceName::Name("db".to_owned()));
    assert!(matches!(services[1].services, ServiceName::Labels(_)) && services[1].namespace.is_none());
    let document = with_ingress("icmps: [{fields: [{type: 8}, {type: EchoReply}, {family: IPv6, type: EchoRequest}]}]");
    let (policy, problems) =
        crate::documents::read_policy(&document, "test", &[&super::HTTP], &PolicySettings::default());
    let icmps = policy.unwrap_or_else(|| panic!("{problems:#?}")).rules[0].ingress.as_ref().unwrap()[0].icmps.clone();
    let told: Vec<_> = icmps.unwrap().iter().map(|field| (field.family, field.kind)).collect();
    assert_eq!(told, [(Transport::Icmp, 8), (Transport::Icmp, 0), (Transport::IcmpV6, 128)]);
    let document = document.replace("EchoReply", "PacketTooBig");
    let (policy, problems) =
        crate::documents::read_policy(&document, "test", &[&super::HTTP], &PolicySettings::default());
    assert!(policy.is_none() && problems[0].message.contains("PacketTooBig"), "{problems:?}");
}
