//! What is refused, with its name and position.

use portcullis_rules::{policy::PortRef, settings::PolicySettings};

use super::{accepted, read_with, refused, with_ingress, with_spec};

#[test]
fn what_this_version_does_not_implement_is_refused_by_name() {
    let table = [
        ("toPorts: [{serverNames: [a]}]", "7:18 spec.ingress[0].toPorts[0].serverNames"),
        ("toPorts: [{terminatingTLS: {}}]", "7:18 spec.ingress[0].toPorts[0].terminatingTLS"),
        ("toPorts: [{originatingTLS: {}}]", "7:18 spec.ingress[0].toPorts[0].originatingTLS"),
        ("toPorts: [{rules: {dns: []}}]", "7:26 spec.ingress[0].toPorts[0].rules.dns"),
        ("toPorts: [{rules: {kafka: []}}]", "7:26 spec.ingress[0].toPorts[0].rules.kafka"),
    ];
    for (written, place) in table {
        assert_eq!(refused(&with_ingress(written)), [format!("{place}: not supported by this version")], "{written}");
    }
    let document = with_spec("endpointSelector: {}\negress: [{toPorts: [{listener: {name: l}}]}]");
    assert_eq!(refused(&document), ["6:24 spec.egress[0].toPorts[0].listener: not supported by this version"]);
}

#[test]
fn what_only_a_cloud_or_a_mesh_can_tell_is_refused() {
    let groups = refused(&with_ingress("fromGroups: [{}]"));
    assert!(groups[0].starts_with("7:19 spec.ingress[0].fromGroups: not supported: security groups"), "{groups:?}");
    let authentication = refused(&with_ingress("fromEndpoints: [{}]\nauthentication: {mode: required}"));
    assert!(authentication[0].contains("authentication.mode: not supported: flows are not"), "{authentication:?}");
    accepted(&with_ingress("fromEndpoints: [{}]\nauthentication: {mode: disabled}"));
}

/// A relay would forward another message than the one that was judged.
#[test]
fn a_header_that_cannot_be_changed_safely_is_refused() {
    let document = |item: &str| {
        with_ingress(&format!(
            "toPorts: [{{ports: [{{port: \"80\", protocol: TCP}}], rules: {{http: [{{headerMatches: [{item}]}}]}}}}]"
        ))
    };
    let frames = "it frames or routes the message";
    for (item, message) in [
        ("{name: Host, value: a, mismatch: REPLACE}", format!("REPLACE cannot change host: {frames}")),
        (
            "{name: Content-Length, value: a, mismatch: DELETE}",
            format!("DELETE cannot change content-length: {frames}"),
        ),
        (
            "{name: Transfer-Encoding, value: b, mismatch: ADD}",
            format!("ADD cannot change transfer-encoding: {frames}"),
        ),
        ("{name: TE, mismatch: ADD}", format!("ADD cannot change te: {frames}")),
        (
            "{name: X, value: \"a\\r\\nY: b\", mismatch: ADD}",
            "\"a\\r\\nY: b\" cannot be sent as the value of a header".into(),
        ),
        ("{name: X, value: \"a \", mismatch: REPLACE}", "\"a \" cannot be sent as the value of a header".into()),
    ] {
        let place = "7:88 spec.ingress[0].toPorts[0].rules.http[0].headerMatches[0]";
        assert_eq!(refused(&document(item)), [format!("{place}: {message}")], "{item}");
    }
    for item in [
        "{name: Host, value: a, mismatch: LOG}",
        "{name: Host, value: a}",
        "{name: X, value: \"a \", mismatch: DELETE}",
        "{name: X, value: a, mismatch: ADD}",
    ] {
        accepted(&document(item));
    }
}

#[test]
fn protocols_without_ports_are_taken_where_they_are_switched_on() {
    let on = PolicySettings { extended_ip_protocols: true, ..PolicySettings::default() };
    let read = |port: &str, settings: &PolicySettings| {
        let document = with_ingress(&format!("toPorts: [{{ports: [{{{port}}}]}}]"));
        let (policy, problems) = crate::documents::read_policy(&document, "test", &[&super::HTTP], settings);
        let spec =
            policy.map(|policy| policy.rules[0].ingress.clone().unwrap()[0].ports.clone().unwrap()[0].ports[0].clone());
        (spec, problems.first().map(|problem| problem.message.clone()).unwrap_or_default())
    };
    for name in ["VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH", "vrrp"] {
        for port in [
            format!("protocol: {name}"),
            format!("port: \"\", protocol: {name}"),
            format!("port: \"0\", protocol: {name}"),
        ] {
            let (spec, problem) = read(&port, &on);
            let spec = spec.unwrap_or_else(|| panic!("{port}: {problem}"));
            assert_eq!(spec.port, PortRef::Range(0, 0), "{port}");
            assert_eq!(spec.transport.unwrap().as_str(), name.to_ascii_uppercase());
            assert!(read(&port, &PolicySettings::default()).0.is_none(), "{port} without the setting");
        }
    }
    assert_eq!(read("protocol: VRRP", &PolicySettings::default()).1, "port must be specified", "as Cilium says it");
    for (port, message) in [
        ("port: \"1\", protocol: VRRP", "port must be empty or 0"),
        ("port: http, protocol: VRRP", "port must be empty or 0"),
        ("port: \"0\", endPort: 9, protocol: VRRP", "Invalid port range including the wildcard zero port 0-9"),
        ("protocol: TCP", "port must be specified"),
        ("port: \"\", protocol: ANY", "port must be specified"),
    ] {
        let (spec, problem) = read(port, &on);
        assert!(spec.is_none() && problem == message, "{port}: {problem}");
    }
}

#[test]
fn groups_of_ranges_and_secrets_are_for_live_traffic_too() {
    let rule = accepted(&with_ingress("fromCIDRSet: [{cidrGroupRef: a}, {cidrGroupSelector: {}}]")).rules.remove(0);
    assert_eq!(rule.ingress.unwrap()[0].cidr_groups.len(), 2);
    let rule = accepted(&with_ingress(
        "toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{headerMatches: [{name: a, secret: {name: s}}]}]}}]",
    ));
    let ports = rule.rules[0].ingress.as_ref().unwrap()[0].ports.clone().unwrap();
    assert_eq!(ports[0].l7.as_ref().unwrap().rules[0].actions.len(), 1);
}

#[test]
fn icmp_that_no_hook_meets_is_accepted_with_a_warning_on_a_running_node() {
    let egress =
        |fields: &str| with_spec(&format!("endpointSelector: {{}}\negress: [{{icmps: [{{fields: [{fields}]}}]}}]"));
    let ingress = "7:14: spec.ingress[0].icmps: ICMP that comes in is not judged by this node";
    let other = "6:31: spec.egress[0].icmps[0].fields[0]: of ICMP that goes out only requests are judged by this node";
    let table = [
        (with_ingress("icmps: [{fields: [{type: 8}]}]"), Some(ingress)),
        (egress("{type: EchoRequest}, {family: IPv6, type: 128}"), None),
        (egress("{type: 42}, {family: IPv6, type: 160}"), None),
        (egress("{type: 128}"), Some(other)),
        (egress("{family: IPv6, type: 8}, {type: 8}"), Some(other)),
    ];
    for (document, wanted) in table {
        let read = read_with(&document, &[&super::HTTP]);
        assert!(read.policy.is_some(), "{document}");
        let told: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), usize::from(wanted.is_some()), "{told:?}");
        assert!(wanted.is_none_or(|wanted| told[0].starts_with(wanted)), "{told:?}");
        assert!(crate::documents::check_policy(&document, &[&super::HTTP], &PolicySettings::default()).is_empty());
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    let table = [
        (with_spec("endpointSelector: {}\ningres: []"), "6:3 spec.ingres"),
        (with_spec("endpointSelector: {matchLabel: {a: b}}\ningress: [{}]"), "5:22 spec.endpointSelector.matchLabel"),
        (with_ingress("fromEndpoint: []"), "7:7 spec.ingress[0].fromEndpoint"),
        (with_ingress("toPorts: [{port: 80}]"), "7:18 spec.ingress[0].toPorts[0].port"),
        (
            with_ingress("toPorts: [{ports: [{port: \"80\", proto: TCP}]}]"),
            "7:39 spec.ingress[0].toPorts[0].ports[0].proto",
        ),
        (
            with_ingress("toPorts: [{rules: {http: [{paths: /}]}}]"),
            "7:34 spec.ingress[0].toPorts[0].rules.http[0].paths",
        ),
        (with_ingress("toPorts: [{rules: {grpc: []}}]"), "7:26 spec.ingress[0].toPorts[0].rules.grpc"),
        (
            with_spec("endpointSelector: {}\nenableDefaultDeny: {in: true}\ningress: [{}]"),
            "6:23 spec.enableDefaultDeny.in",
        ),
        (format!("{}extra: 1\n", with_spec("endpointSelector: {}\ningress: [{}]")), "7:1 extra"),
        (with_spec("endpointSelector: {}\ningress: [{}]").replace("namespace:", "namspace:"), "3:21 metadata.namspace"),
    ];
    for (document, place) in table {
        assert_eq!(refused(&document), [format!("{place}: unknown field")], "{document}");
    }
}

#[test]
fn a_slip_gets_a_hint() {
    let remedy = |document: &str| {
        let read = read_with(document, &[&super::HTTP]);
        read.problems.iter().find(|problem| !problem.warning).map(|problem| problem.remedy.clone()).unwrap()
    };
    assert_eq!(remedy(&with_spec("endpointSelector: {}\ningres: [{}]")), "did you mean ingress?");
    assert_eq!(remedy(&with_ingress("toEndpoints: [{}]")), "did you mean fromEndpoints?");
    assert_eq!(remedy(&with_ingress("fromendpoints: [{}]")), "did you mean fromEndpoints?");
    assert_eq!(remedy(&with_ingress("toPorts: [{ports: [{port: 80}]}]")), "put it in quotes: \"80\"");
    assert_eq!(remedy(&with_ingress("fromCIDR: ['::ffff:10.0.0.0/104']")), "write it as IPv4: 192.0.2.0/24");
}

#[test]
fn wrong_values_are_refused_at_their_place() {
    let port = |port: &str| format!("toPorts: [{{ports: [{{{port}}}]}}]");
    let table = [
        (port("port: 80"), "7:33 spec.ingress[0].toPorts[0].ports[0].port: has to be a string, but is a number"),
        (port("port: \"080\""), "7:33 spec.ingress[0].toPorts[0].ports[0].port: unable to parse port \"080\""),
        (port("port: \"65536\""), "7:33 spec.ingress[0].toPorts[0].ports[0].port: unable to parse port \"65536\""),
        (port("port: \"+80\""), "7:33 spec.ingress[0].toPorts[0].ports[0].port: unable to parse port \"+80\""),
        (port("port: \"8_0\""), "7:33 spec.ingress[0].toPorts[0].ports[0].port: unable to parse port \"8_0\""),
        (port("port: \"\""), "7:33 spec.ingress[0].toPorts[0].ports[0].port: port must be specified"),
        (port("protocol: TCP"), "7:26 spec.ingress[0].toPorts[0].ports[0].port: port must be specified"),
        (
            port("port: \"80\", endPort: 70000"),
            "7:48 spec.ingress[0].toPorts[0].ports[0].endPort: 70000 is out of range",
        ),
        (
            port("port: \"80\", endPort: \"90\""),
            "7:48 spec.ingress[0].toPorts[0].ports[0].endPort: has to be a whole number, but is a string",
        ),
        (
            port("port: \"0\", protocol: GRE"),
            "7:48 spec.ingress[0].toPorts[0].ports[0].protocol: GRE is a protocol without ports, and such protocols are switched off",
        ),
        (
            port("port: \"80\", protocol: X"),
            "7:49 spec.ingress[0].toPorts[0].ports[0].protocol: invalid protocol \"X\", must be one of TCP, UDP, SCTP, ANY",
        ),
        ("fromEndpoints: {}".into(), "7:22 spec.ingress[0].fromEndpoints: has to be a list, but is a mapping"),
        ("fromEndpoints: [a]".into(), "7:23 spec.ingress[0].fromEndpoints[0]: has to be a mapping, but is a string"),
        (
            "fromEndpoints: [{matchLabels: {a: 1}}]".into(),
            "7:41 spec.ingress[0].fromEndpoints[0].matchLabels.a: has to be a string, but is a number",
        ),
        (
            "fromEndpoints: [{matchLabels: {a: yes}}]".into(),
            "7:41 spec.ingress[0].fromEndpoints[0].matchLabels.a: has to be a string, but is a boolean",
        ),
        (
            "fromEndpoints: [{matchExpressions: [{key: a, operator: in}]}]".into(),
            "7:62 spec.ingress[0].fromEndpoints[0].matchExpressions[0].operator: unknown value \"in\"",
        ),
        (
            "fromEndpoints: [{matchExpressions: [{key: a, operator: In}]}]".into(),
            "7:43 spec.ingress[0].fromEndpoints[0].matchExpressions[0]: has no values",
        ),
        (
            "fromEndpoints: [{matchExpressions: [{key: a, operator: Exists, values: [b]}]}]".into(),
            "7:78 spec.ingress[0].fromEndpoints[0].matchExpressions[0].values: has values",
        ),
        ("fromCIDR: [10.0.0.0/33]".into(), "7:18 spec.ingress[0].fromCIDR[0]: unable to parse CIDR \"10.0.0.0/33\""),
        ("fromCIDR: [10.0.0.0/08]".into(), "7:18 spec.ingress[0].fromCIDR[0]: unable to parse CIDR \"10.0.0.0/08\""),
        ("fromCIDR: [010.0.0.0/8]".into(), "7:18 spec.ingress[0].fromCIDR[0]: unable to parse CIDR \"010.0.0.0/8\""),
        (
            "fromCIDRSet: [{cidr: 10.0.0.1}]".into(),
            "7:28 spec.ingress[0].fromCIDRSet[0].cidr: unable to parse CIDR \"10.0.0.1\"",
        ),
        (
            "fromCIDRSet: [{except: []}]".into(),
            "7:21 spec.ingress[0].fromCIDRSet[0]: one of cidr, cidrGroupRef, or cidrGroupSelector is required",
        ),
        ("fromEntities: [everybody]".into(), "7:22 spec.ingress[0].fromEntities[0]: unsupported entity: everybody"),
        ("fromRequires: [{}]".into(), "7:21 spec.ingress[0].fromRequires: Cilium does not have it any more"),
        ("toEndpoints: [{}]".into(), "7:20 spec.ingress[0].toEndpoints: belongs to egress"),
        ("toFQDNs: [{matchName: a}]".into(), "7:16 spec.ingress[0].toFQDNs: names are for egress only"),
        ("toPorts: [{rules: {}}]".into(), "7:25 spec.ingress[0].toPorts[0].rules: names no protocol"),
        (
            "toPorts: [{rules: {http: [{method: 5}]}}]".into(),
            "7:42 spec.ingress[0].toPorts[0].rules.http[0].method: has to be a string, but is a number",
        ),
        (
            "toPorts: [{rules: {http: [{headers: ['A B:c: d', ': x']}]}}]".into(),
            "7:56 spec.ingress[0].toPorts[0].rules.http[0].headers[1]: \"\" is no name of a header",
        ),
    ];
    let errors = refused(&with_ingress(&port("port: \"112\", protocol: VRRP")));
    assert_eq!(errors[0], "7:33 spec.ingress[0].toPorts[0].ports[0].port: port must be empty or 0");
    for (written, error) in table {
        let element = written.replace("    ", "");
        assert_eq!(refused(&with_ingress(&element)), [error], "{written}");
    }
}

#[test]
fn what_the_rules_refuse_gets_its_place_too() {
    let errors = refused(&with_ingress(
        "fromEndpoints: [{}]\nfromCIDR: [10.0.0.0/8]\ntoPorts:\n- ports: [{port: \"80\", endPort: 70}]\n  rules: {http: [{path: '('}]}",
    ));
    let places: Vec<_> = errors.iter().map(|error| error.split_once(": ").unwrap().0).collect();
    assert!(places.contains(&"10:39 spec.ingress[0].toPorts[0].ports[0].endPort"), "{errors:#?}");
    assert!(places.contains(&"11:31 spec.ingress[0].toPorts[0].rules.http[0].path"), "{errors:#?}");
    assert_eq!(accepted(&with_ingress("fromEntities: [all]")).rules.len(), 1);
    let errors = refused(&with_ingress("fromEntities: [kube-dns]"));
    assert_eq!(errors, ["7:22 spec.ingress[0].fromEntities[0]: unsupported entity: kube-dns"]);
}

#[test]
fn deny_rules_take_no_l7_rules_and_no_names() {
    let deny = |element: &str| with_spec(&format!("endpointSelector: {{}}\negressDeny: [{{{element}}}]"));
    let errors = refused(&deny("toPorts: [{ports: [{port: \"80\"}], rules: {http: [{}]}}]"));
    assert_eq!(errors, ["6:58 spec.egressDeny[0].toPorts[0].rules: deny rules have no L7 rules"]);
    let errors = refused(&deny("toFQDNs: [{matchName: a}]"));
    assert_eq!(errors, ["6:26 spec.egressDeny[0].toFQDNs: names cannot be denied"]);
}

#[test]
fn heads_of_documents_are_checked() {
    let good = with_spec("endpointSelector: {}\ningress: [{}]");
    let table = [
        (good.replace("cilium.io/v2", "cilium.io/v1"), "1:13 apiVersion: unknown value \"cilium.io/v1\""),
        (good.replace("kind: Cilium", "kind: Calico"), "2:7 kind: unknown value \"CalicoNetworkPolicy\""),
        (good.replace("name: p, ", ""), "3:11 metadata.name: is missing"),
        (good.replace("name: p", "name: -p"), "3:18 metadata.name: \"-p\" is no name"),
        (good.replace("shop", "a/b"), "3:32 metadata.namespace: \"a/b\" is no name"),
        (
            good.replace("CiliumN", "CiliumClusterwideN"),
            "3:32 metadata.namespace: a cluster-wide policy has no namespace",
        ),
        (
            good.replace("shop}", "shop, annotations: {portcullis.io/deny-with: ignore}}"),
            "3:77 metadata.annotations.portcullis.io/deny-with: unknown value \"ignore\"",
        ),
        (
            good.replace("shop}", "shop, annotations: {portcullis.io/deny: reset}}"),
            "3:72 metadata.annotations.portcullis.io/deny: unknown annotation",
        ),
        (
            good.replace("shop}", "shop, annotations: {portcullis.io/open-connections: hold}}"),
            "3:84 metadata.annotations.portcullis.io/open-connections: unknown value \"hold\"",
        ),
        ("a: 1\na: 2\n".to_owned(), ""),
        ("[]".to_owned(), ""),
    ];
    for (document, error) in table {
        let errors = refused(&document);
        assert!(errors.iter().any(|found| found == error) || error.is_empty(), "{document}: {errors:?}");
    }
}
