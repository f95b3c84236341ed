//! `portcullis lint`: its findings, their positions, and its exit codes.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

fn lint(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("lint").args(arguments).current_dir(directory).output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(directory: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = lint(directory, &[&["-o", "json"], arguments].concat());
    serde_json::from_str(&out(&output)).unwrap()
}

/// A policy for `app: app` of namespace shop from its `spec` but for the subject.
fn policy(name: &str, spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         endpointSelector: {{matchLabels: {{app: app}}}}\n  {spec}\n"
    )
}

fn file(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("p.yaml"), text).unwrap();
    directory
}

/// The codes of what is found in policies, but for hints and what only a node says.
fn codes(specs: &[&str], settings: &str) -> Vec<String> {
    let documents = specs.iter().enumerate().map(|(number, spec)| policy(&format!("p{number}"), spec));
    let directory = file(&documents.collect::<Vec<_>>().join("---\n"));
    fs::write(directory.path().join("settings"), settings).unwrap();
    let live = ["--ignore", "PL004,PL005"];
    let found =
        json(directory.path(), &[&live[..], &["--level", "warning", "--settings", "settings", "p.yaml"]].concat());
    found.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn http(rules: &str) -> String {
    format!(
        "ingress:\n- fromEndpoints: [{{}}]\n  toPorts:\n  - ports: [{{port: \"80\", protocol: TCP}}]\n    rules: {{http: [{rules}]}}"
    )
}

const L7: &str = "ingress:\n- fromEndpoints: [{matchLabels: {app: client}}]\n  toPorts:\n  - ports: [{port: \"80\", protocol: TCP}]\n    rules: {http: [{path: /a.*}]}";
/// What the traps are about, as (policies, what is found).
type Case = (&'static [&'static str], &'static [&'static str]);

#[test]
fn an_l4_rule_that_makes_l7_rules_void_is_found_wherever_it_stands() {
    let cases: [Case; 13] = [
        (&[L7], &[]),
        (
            &[
                L7,
                "ingress: [{fromEndpoints: [{matchLabels: {app: client}}], toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}]",
            ],
            &["PL201"],
        ),
        (&["ingress: [{fromEndpoints: [{matchLabels: {app: client}}]}]", L7], &["PL201"]),
        (&[L7, "ingress: [{toPorts: [{ports: [{port: \"0\"}]}]}]"], &["PL201"]),
        (&[L7, "ingress: [{fromEntities: [all]}]"], &["PL201"]),
        (&[L7, "ingress: [{fromEntities: [cluster]}]"], &["PL201"]),
        (
            &[L7, "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"70\", endPort: 90, protocol: TCP}]}]}]"],
            &["PL201"],
        ),
        (
            &[
                L7,
                "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: []}}]}]",
            ],
            &["PL201"],
        ),
        // Other peers, other ports, other directions, other subjects.
        (&[L7, "ingress: [{fromEndpoints: [{matchLabels: {app: admin}}]}]"], &[]),
        (&[L7, "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"80\", protocol: UDP}]}]}]"], &[]),
        (&[L7, "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"81\"}]}]}]"], &[]),
        (&[L7, "egress: [{toEntities: [all]}]"], &[]),
        // Who only wants to see requests is not shadowed.
        (
            &[
                "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"80\", protocol: TCP}], rules: {http: [{}]}}]}, {fromEndpoints: [{}], toPorts: [{ports: [{port: \"81\"}]}]}]",
            ],
            &[],
        ),
    ];
    for (specs, found) in cases {
        assert_eq!(codes(specs, ""), found, "{specs:#?}");
    }
}

#[test]
fn rules_that_open_tunnels_are_found() {
    for (rule, found) in [
        ("{method: CONNECT, host: \"db:5432\"}", &["PL310"][..]),
        ("{method: GET|HEAD|CONNECT}", &["PL310"]),
        ("{path: /attach, headers: [\"Upgrade: tcp\"]}", &["PL310"]),
        ("{path: /attach, headerMatches: [{name: upgrade, value: tcp}]}", &["PL310"]),
        ("{path: /chat, headers: [\"Upgrade: websocket\"]}", &[]),
        ("{path: /chat, headers: [Upgrade]}", &[]),
        ("{method: GET|HEAD}", &[]),
        ("{method: CONNECTED}", &[]),
        ("{}", &[]),
    ] {
        assert_eq!(codes(&[&http(rule)], ""), found, "{rule}");
    }
    // Only a hint: it is narrower than it looks.
    let directory = file(&policy("p", &http("{method: \".*\"}")));
    let found = json(directory.path(), &["p.yaml"]);
    assert!(found.iter().any(|finding| finding["code"] == "PL311"), "{found:?}");
}

#[test]
fn settings_that_change_a_meaning_silence_its_finding() {
    let l4 = "ingress: [{fromEntities: [all]}]";
    let name = "egress: [{toFQDNs: [{matchName: example.com}]}]";
    for (specs, found, deviation) in [
        (vec![L7, l4], "PL201", "l7BindsBesideL4"),
        (vec!["egress: [{}, {toEntities: [host]}]"], "PL101", "emptyRuleAllows"),
        (vec!["egress: [{toEntities: [kube-dns]}]"], "PL002", "kubeDnsEntity"),
        (vec![name], "PL108", "namesWithoutDnsRule"),
    ] {
        assert_eq!(codes(&specs, ""), [found], "{deviation} off");
        assert!(codes(&specs, &format!("deviations: {{{deviation}: true}}")).is_empty(), "{deviation} on");
    }
}

#[test]
fn elements_that_can_never_match_are_found() {
    let cases: [Case; 18] = [
        // Alone it is default deny, and messages of ICMP are something.
        (&["ingress: [{}]"], &[]),
        (&["egress: [{icmps: [{fields: [{type: 8}]}]}]"], &[]),
        (&["egressDeny: [{icmps: [{fields: [{type: 8}]}]}]"], &[]),
        (&["ingress: [{}, {fromEntities: [cluster]}]"], &["PL101"]),
        (&["ingressDeny: [{}]"], &["PL101"]),
        (&["ingress: [{fromEndpoints: []}]"], &["PL102"]),
        (&["egress: [{toCIDR: [], toPorts: [{ports: [{port: \"80\"}]}]}]"], &["PL102"]),
        (&["ingress: [{fromEntities: [all], toPorts: [{ports: []}]}]"], &["PL102"]),
        (&["egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.128.0.0/9]}]}]"], &["PL103"]),
        (&["egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/9]}]}]"], &[]),
        (
            &[
                "ingress: [{fromEndpoints: [{matchLabels: {a: b}, matchExpressions: [{key: a, operator: NotIn, values: [b]}]}]}]",
            ],
            &["PL104"],
        ),
        (&["egress: [{toEntities: [world]}]", "egress: [{toEntities: [world]}]"], &["PL105"]),
        (&["egress: [{toEntities: [world]}]", "egressDeny: [{toEntities: [all]}]"], &["PL106"]),
        (&["egress: [{toEntities: [world]}]", "egressDeny: [{toCIDR: [192.0.2.0/24]}]"], &[]),
        (&["egress: [{toFQDNs: [{matchName: 192.0.2.1}]}]"], &["PL107"]),
        (&["egress: [{toFQDNs: [{matchPattern: \"*.example.com\"}]}]"], &["PL108"]),
        // DNS rules tell names, whatever default deny is.
        (
            &[
                "enableDefaultDeny: {egress: false}\negress: [{toEntities: [cluster], toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchPattern: \"*\"}]}}]}]",
            ],
            &[],
        ),
        (
            &[
                "enableDefaultDeny: {ingress: false}\ningress:\n- toPorts:\n  - ports: [{port: \"80\", protocol: TCP}]\n    rules: {http: [{path: /a.*}]}",
            ],
            &["PL109"],
        ),
    ];
    for (specs, found) in cases {
        assert_eq!(codes(specs, ""), found, "{specs:#?}");
    }
}

#[test]
fn names_are_learnt_where_a_dns_rule_lets_them_through() {
    let name = "egress: [{toFQDNs: [{matchName: api.example.com}]}]";
    let dns = |rules: &str| {
        format!(
            "egress: [{{toEntities: [cluster], toPorts: [{{ports: [{{port: \"53\", protocol: ANY}}], rules: {{dns: [{rules}]}}}}]}}]"
        )
    };
    for (rules, found) in [
        ("{matchPattern: \"*\"}", vec![]),
        ("{matchName: api.example.com}", vec![]),
        ("{matchPattern: \"*.example.com\"}", vec![]),
        ("{matchPattern: \"*.com\"}", vec!["PL108"]),
        ("{matchName: example.com}, {matchName: example.org}", vec!["PL108"]),
    ] {
        assert_eq!(codes(&[name, &dns(rules)], ""), found, "{rules}");
    }
    // Where nobody is named who may be asked, whoever answers decides.
    let all = dns("{matchPattern: \"*\"}");
    for (peers, found) in [
        ("toEntities: [cluster], ", vec![]),
        ("toCIDR: [192.0.2.53/32], ", vec![]),
        ("", vec!["PL112"]),
        ("toEntities: [world], ", vec!["PL112"]),
        ("toEntities: [cluster, all], ", vec!["PL112"]),
        ("toCIDR: [\"0.0.0.0/0\"], ", vec!["PL112"]),
    ] {
        let dns = all.replace("toEntities: [cluster], ", peers);
        assert_eq!(codes(&[name, &dns], ""), found, "{peers}");
        assert!(codes(&[&dns], "").is_empty(), "no names are followed");
    }
    let pattern = "egress: [{toFQDNs: [{matchPattern: \"*.example.com\"}]}]";
    assert!(codes(&[pattern, &dns("{matchPattern: \"**.example.com\"}")], "").is_empty());
}

#[test]
fn protocols_that_do_not_go_together_are_found() {
    let rules = |peer: &str, port: &str, rules: &str| {
        format!(
            "egress: [{{toEndpoints: [{{matchLabels: {{app: {peer}}}}}], toPorts: [{{ports: [{{port: \"{port}\", protocol: TCP}}], rules: {{{rules}}}}}]}}]"
        )
    };
    let (dns, http, kafka) =
        ("dns: [{matchPattern: '*'}]", "http: [{path: /a.*}]", "kafka: [{role: consume, topic: a}]");
    for (specs, found) in [
        ([rules("a", "53", dns), rules("a", "53", http)], vec!["PL203"]),
        ([rules("a", "53", dns), rules("b", "53", http)], vec!["PL203"]),
        ([rules("a", "53", dns), rules("a", "80", http)], vec![]),
        ([rules("a", "80", http), rules("a", "9092", kafka)], vec!["PL003"]),
    ] {
        assert_eq!(codes(&[&specs[0], &specs[1]], ""), found, "{specs:?}");
    }
}

#[test]
fn a_rule_for_some_server_names_shadows_nothing() {
    let names =
        "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"80\", protocol: TCP}], serverNames: [a]}]}]";
    let pings = "ingress: [{fromEndpoints: [{}], icmps: [{fields: [{type: 8, family: IPv4}]}]}]";
    assert!(codes(&[L7, names], "").is_empty());
    assert!(codes(&[L7, pings], "").is_empty());
}

#[test]
fn http_on_the_port_of_tls_needs_somebody_who_takes_tls_off() {
    let rule = |tls: &str| {
        format!(
            "ingress: [{{fromEndpoints: [{{}}], toPorts: [{{ports: [{{port: \"443\", protocol: TCP}}]{tls}, rules: {{http: [{{path: /a.*}}]}}}}]}}]"
        )
    };
    assert_eq!(codes(&[&rule("")], ""), ["PL205"]);
    assert!(codes(&[&rule(", terminatingTLS: {secret: {namespace: shop, name: web}}")], "").is_empty());
}

#[test]
fn names_that_restrict_nothing_or_take_too_much_are_found() {
    let name =
        "egress: [{toFQDNs: [{matchName: api.example.com}], toPorts: [{ports: [{port: \"443\", protocol: TCP}]}]}]";
    let dns = "egress: [{toEntities: [cluster], toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}]";
    for (beside, found) in [
        ("egress: [{toEntities: [world], toPorts: [{ports: [{port: \"443\", protocol: TCP}]}]}]", &["PL207"][..]),
        ("egress: [{toCIDR: [0.0.0.0/0]}]", &["PL207"]),
        ("egress: [{toPorts: [{ports: [{port: \"0\"}]}]}]", &["PL207"]),
        ("egress: [{toEntities: [world], toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}]", &[]),
        ("egress: [{toCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}]}]", &[]),
        ("egress: [{toEntities: [cluster]}]", &[]),
    ] {
        assert_eq!(codes(&[name, dns, beside], ""), found, "{beside}");
    }
    for (pattern, found) in [
        ("*example.com", &["PL114"][..]),
        ("*.example.com", &[]),
        ("**.example.com", &[]),
        ("api*.example.com", &[]),
        ("*-api.example.com", &[]),
        ("*", &[]),
    ] {
        let name = name.replace("matchName: api.example.com", &format!("matchPattern: \"{pattern}\""));
        assert_eq!(codes(&[&name, dns], ""), found, "{pattern}");
    }
}

#[test]
fn dns_over_udp_alone_is_told() {
    let dns = |ports: &str| format!("egress: [{{toEntities: [cluster], toPorts: [{{ports: [{ports}]}}]}}]");
    let udp = "{port: \"53\", protocol: UDP}";
    let both = format!("{udp}, {{port: \"53\", protocol: TCP}}");
    for (specs, found) in [
        (vec![dns(udp)], true),
        (vec![dns(&both)], false),
        (vec![dns("{port: \"53\", protocol: ANY}")], false),
        (vec![dns("{port: \"53\"}")], false),
        (vec![dns(udp), dns("{port: \"53\", protocol: TCP}")], false),
        (vec![dns(udp), "egress: [{toEntities: [all]}]".to_owned()], false),
        (vec![dns(udp), "egress: [{toEntities: [world]}]".to_owned()], true),
    ] {
        let documents: Vec<_> = specs.iter().enumerate().map(|(at, spec)| policy(&format!("p{at}"), spec)).collect();
        let told = json(file(&documents.join("---\n")).path(), &["p.yaml"]);
        assert_eq!(told.iter().any(|told| told["code"] == "PL113" && told["severity"] == "info"), found, "{specs:?}");
    }
}

#[test]
fn values_of_headers_that_look_like_patterns_are_found() {
    for (rule, found) in [
        ("{headers: [\"X-Client 10.*\"]}", &["PL312"][..]),
        ("{headers: [\"X-Client: 10.0.0.1\"]}", &[]),
        ("{headers: [X-Client]}", &[]),
        ("{headerMatches: [{name: X-Team, value: (a|b)}]}", &["PL312"]),
        ("{headerMatches: [{name: X-Team, value: 'a.+', mismatch: LOG}]}", &["PL312"]),
        ("{headerMatches: [{name: Accept, value: '*/*'}]}", &[]),
    ] {
        assert_eq!(codes(&[&http(rule)], ""), found, "{rule}");
    }
}

/// What one policy lacks another may give to the same endpoints by another label.
#[test]
fn a_name_is_told_as_never_learnt_only_where_that_is_certain() {
    let dns = policy(
        "dns",
        "egress: [{toEntities: [cluster], toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}]",
    )
    .replace("{app: app}", "{dns: l7}");
    let text = dns + "---\n" + &policy("p", "egress: [{toFQDNs: [{matchName: example.com}]}]");
    let endpoint = |labels: &str| {
        format!(
            "---\napiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {{name: e, namespace: shop, labels: {{{labels}}}}}\nspec: {{addresses: [10.0.0.1]}}\n"
        )
    };
    for (endpoints, found) in
        [("", false), (&*endpoint("app: app, dns: l7"), false), (&*endpoint("app: app, dns: none"), true)]
    {
        let told = json(file(&(text.clone() + endpoints)).path(), &["--level", "warning", "p.yaml"]);
        assert_eq!(told.iter().any(|told| told["code"] == "PL108"), found, "{endpoints}: {told:#?}");
    }
}

#[test]
fn ports_of_services_and_names_of_groups_are_compared_with_what_is_given() {
    let beside = "---\napiVersion: portcullis.io/v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n\
                  spec: {vips: [10.96.0.1], ports: [{port: 80, targetPort: 8080}], backends: [10.0.0.2]}\n\
                  ---\napiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {name: db, namespace: shop, labels: {app: db}}\n\
                  spec: {addresses: [10.0.0.2]}\n\
                  ---\napiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {name: app, namespace: shop, labels: {app: app}}\n\
                  spec: {addresses: [10.0.0.1]}\n\
                  ---\napiVersion: cilium.io/v2\nkind: CiliumCIDRGroup\nmetadata: {name: office}\nspec: {externalCIDRs: [192.0.2.0/24]}\n";
    for (spec, found) in [
        (
            "egress: [{toServices: [{k8sService: {serviceName: db}}], toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}]",
            &["PL208"][..],
        ),
        ("egress: [{toEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: \"80\"}]}]}]", &["PL208"]),
        ("egress: [{toEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: \"8080\"}]}]}]", &[]),
        (
            "egress: [{toEndpoints: [{matchLabels: {app: db}}], toPorts: [{ports: [{port: \"80\"}, {port: \"8080\"}]}]}]",
            &[],
        ),
        ("egress: [{toEndpoints: [{}], toPorts: [{ports: [{port: \"81\"}]}]}]", &[]),
        ("ingress: [{fromCIDRSet: [{cidrGroupRef: ofice}]}]", &["PL115"]),
        ("ingress: [{fromCIDRSet: [{cidrGroupRef: office}]}]", &[]),
    ] {
        let told = json(file(&(policy("p", spec) + beside)).path(), &["--level", "warning", "p.yaml"]);
        let told: Vec<_> = told.iter().map(|told| told["code"].as_str().unwrap()).collect();
        assert_eq!(told, found, "{spec}");
    }
}

/// The exit code and the last line.
fn end(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = lint(directory, arguments);
    (output.status.code().unwrap(), out(&output).lines().last().unwrap_or_default().to_owned())
}

/// A repository as tools for clusters keep it.
#[test]
fn what_stands_beside_policies_is_passed_over_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("values.yaml", "image: {tag: v1}\n");
    write("package.json", "{\"name\": \"x\"}\n");
    write("list.yml", "- a\n- b\n");
    write(
        "pool.yaml",
        "apiVersion: cilium.io/v2alpha1\nkind: CiliumLoadBalancerIPPool\nmetadata: {name: p}\nspec: {}\n",
    );
    write("calico.yaml", "apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {}\n");
    write("tagged.yaml", "a: [\n");
    let template = "{{- if .Values.on }}\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n{{ end }}\n";
    write("chart/templates/p.yaml", template);
    write("chart/templates/q.yaml", &policy("\"{{ .Release.Name }}\"", "ingress: [{fromEntities: [world]}]"));
    write(
        "base/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [p.yaml]\npatches: [{path: patch.yaml}]\n",
    );
    write(
        "base/patch.yaml",
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {egress: []}\n",
    );
    write("base/p.yaml", &policy("p", "egress: [{toEntities: [world]}]"));
    let (code, last) = end(directory.path(), &["."]);
    let wanted =
        "1 policy: nothing found; 10 other documents passed over (6 of other kinds, 2 templates, 1 patch, 1 no YAML)";
    assert_eq!((code, last.as_str()), (0, wanted));
    // What is named itself has to be readable, and what is ours has to be right.
    let (code, last) = end(directory.path(), &["chart/templates/p.yaml"]);
    assert_eq!((code, last.as_str()), (3, "0 policies: 1 error, 0 warnings, 0 hints"));
    assert!(
        out(&lint(directory.path(), &["chart/templates/p.yaml"])).contains("help: this is a template: render it first")
    );
    for (name, text) in [
        ("slip.yaml", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolcy\nmetadata: {name: p}\nspec: {}\n"),
        ("versionless.yaml", "kind: CiliumNetworkPolicy\nmetadata: {name: p}\nspec: {}\n"),
        ("broken.yaml", "apiVersion: cilium.io/v2\nkind: [\n"),
        (
            "admin.yaml",
            "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: p}\nspec: {}\n",
        ),
    ] {
        write(name, text);
        assert_eq!(end(directory.path(), &["."]).0, 3, "{name}");
        fs::remove_file(directory.path().join(name)).unwrap();
    }
}

#[test]
fn policies_of_kubernetes_are_looked_at_with_the_others() {
    let knp = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: app}}\n";
    let text = policy("p", L7)
        + "---\n"
        + knp
        + "  ingress:\n  - from: [{podSelector: {matchLabels: {app: client}}}]\n    ports: [{port: 80}]\n";
    let told = json(file(&text).path(), &["--level", "warning", "p.yaml"]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["code"], "PL201");
    assert!(
        told[0]["message"].as_str().unwrap().contains("spec.ingress[0] of networkpolicy:shop/p allows the same peers")
    );
    // Its default deny is no empty element.
    let closed = file(&(knp.to_owned() + "  policyTypes: [Ingress, Egress]\n"));
    assert_eq!(end(closed.path(), &["p.yaml"]), (0, "1 policy: nothing found".to_owned()));
}

#[test]
fn what_only_a_node_refuses_is_told() {
    let names = "egress: [{toEntities: [world], toPorts: [{ports: [{port: \"443\", protocol: TCP}], serverNames: [a.example]}]}]";
    let told = json(file(&policy("p", names)).path(), &["p.yaml"]);
    let told: Vec<_> =
        told.iter().map(|told| (told["code"].as_str().unwrap(), told["field"].as_str().unwrap())).collect();
    assert_eq!(told, [("PL004", "spec.egress[0].toPorts[0].serverNames")]);
    let pings = file(&policy("p", "ingress: [{fromEndpoints: [{}], icmps: [{fields: [{type: 8}]}]}]"));
    assert_eq!(json(pings.path(), &["p.yaml"])[0]["code"], "PL005");
    assert_eq!((end(file(&policy("p", names)).path(), &["p.yaml"]).0, end(pings.path(), &["p.yaml"]).0), (3, 1));
}

#[test]
fn one_name_twice_is_an_error_where_both_would_be_in_force() {
    let (one, other) =
        (policy("p", "ingress: [{fromEntities: [world]}]"), policy("p", "ingress: [{fromEntities: [host]}]"));
    let twice = file(&format!("{one}---\n{other}"));
    let told = json(twice.path(), &["p.yaml"]);
    assert_eq!((told.len(), &told[0]["code"], &told[0]["line"]), (1, &"PL006".into(), &10.into()), "{told:#?}");
    assert_eq!(told[0]["related"]["line"], 3);
    assert_eq!(end(twice.path(), &["p.yaml"]).0, 3);
    // Two clusters, or two versions, are not compared with each other.
    let directory = tempfile::tempdir().unwrap();
    for cluster in ["a", "b"] {
        fs::create_dir(directory.path().join(cluster)).unwrap();
        fs::write(directory.path().join(cluster).join("p.yaml"), &one).unwrap();
    }
    assert_eq!(end(directory.path(), &["."]), (0, "2 policies: nothing found".to_owned()));
}

/// Who knows which namespace they are put into?
#[test]
fn policies_without_a_namespace_are_apart_in_different_directories() {
    let directory = tempfile::tempdir().unwrap();
    let bare = |name: &str| policy(name, "egress: [{toEndpoints: [{}]}]").replace(", namespace: shop", "");
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    for name in ["x", "y"] {
        fs::create_dir(directory.path().join(name)).unwrap();
        write(&format!("{name}/p.yaml"), &bare(&format!("p{name}")));
    }
    assert_eq!(end(directory.path(), &["."]), (0, "2 policies: nothing found".to_owned()));
    let built = |namespace: &str| {
        format!(
            "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nnamespace: {namespace}\nresources: [p.yaml]\n"
        )
    };
    write("x/kustomization.yaml", &built("shop"));
    write("y/kustomization.yaml", &built("shop"));
    let told = json(directory.path(), &["."]);
    assert_eq!(
        (told.len(), &told[0]["code"], &told[0]["policy"]),
        (1, &"PL105".into(), &"shop/py".into()),
        "{told:#?}"
    );
}

#[test]
fn standard_input_is_a_stream_of_documents() {
    use std::{io::Write, process::Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let mut child = command
        .args(["lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n---\n{}",
        policy("p", "ingress: [{fromEntities: [world]}]")
    );
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(out(&output), "1 policy: nothing found; 1 other document passed over (1 of other kinds)\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn fields_that_cilium_has_no_more_are_named() {
    let found = codes(&["ingress: [{fromRequires: [{matchLabels: {a: b}}]}]"], "");
    assert_eq!(found, ["PL003"]);
}

#[test]
fn kinds_of_our_own_keep_what_cilium_has_no_more() {
    let kafka = "egress: [{toEndpoints: [{}], toPorts: [{ports: [{port: \"9092\", protocol: TCP}], rules: {kafka: [{role: produce, topic: a}]}}]}]";
    assert_eq!(codes(&[kafka], ""), ["PL003"]);
    let own = policy("p", kafka).replace("cilium.io/v2", "portcullis.io/v1").replace("CiliumNetwork", "Network");
    let directory = file(&own);
    assert_eq!(json(directory.path(), &["--level", "warning", "p.yaml"]), Vec::<Value>::new());
}

#[test]
fn protocols_without_ports_are_taken_with_the_flag() {
    let vrrp = policy("p", "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{protocol: VRRP}]}]}]");
    let directory = file(&vrrp);
    let found = |more: &[&str]| json(directory.path(), &[more, &["--level", "warning", "p.yaml"]].concat()).len();
    assert_eq!((found(&["--enable-extended-ip-protocols"]), found(&[])), (0, 2));
}

#[test]
fn values_that_mean_something_else_than_they_seem_are_found() {
    for (rules, found) in [
        ("{path: /api/*}", vec!["PL301"]),
        ("{path: \"/api/.*\"}", vec![]),
        ("{path: \"/{v1,v2}/x\"}", vec!["PL301"]),
        ("{host: \"*.example.com\"}", vec!["PL301", "PL305"]),
        ("{host: example.com}", vec!["PL302"]),
        ("{host: 'example\\.com'}", vec![]),
        ("{host: 'a['}", vec!["PL305"]),
        ("{path: '/(((a{100}){100}){100})'}", vec!["PL306"]),
        ("{method: get}", vec!["PL307"]),
        ("{method: (?i)get}", vec![]),
        ("{path: \"api/.*\"}", vec!["PL307"]),
        ("{host: 'https://a'}", vec!["PL307"]),
        ("{headers: [X-A 1, X-A 2]}", vec!["PL307"]),
        ("{path: \"/a?x=1\"}", vec!["PL308"]),
        ("{path: '/a\\?x=1'}", vec![]),
        ("{path: \"/a/.*\"}, {path: /a/b, method: PUT}", vec!["PL202"]),
        ("{}, {path: /a.*}", vec!["PL202"]),
        ("{path: /a.*}, {path: /a.*}", vec!["PL202"]),
        ("{path: /a, method: PUT}, {path: /b, method: PUT}", vec![]),
        ("{grpc: {service: shop.Cart, method: Add}}", vec![]),
        ("{grpc: {service: shop.Cart}}, {grpc: {service: shop.Stock}}", vec![]),
        ("{grpc: {service: shop.Cart}}, {grpc: {service: shop.Cart, method: Add}}", vec!["PL202"]),
        ("{grpc: {service: shop.Cart, method: Add}}, {method: POST, path: '/shop\\.Cart/Add'}", vec!["PL202"]),
    ] {
        assert_eq!(codes(&[&http(rules)], ""), found, "{rules}");
    }
}

#[test]
fn hints_are_shown_and_leave_the_exit_code_alone() {
    let rule = "{method: GET, path: /a, host: 'a\\.b'}";
    let directory = file(&policy("p", &http(rule).replace("\"80\"", "\"8080\"")));
    let output = lint(directory.path(), &["p.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    for code in ["PL303", "PL304", "PL309"] {
        assert!(out(&output).contains(&format!("hint {code}: ")), "{code}: {}", out(&output));
    }
    for (rules, hints) in [
        ("{method: GET|HEAD, path: \"/a(\\\\?.*)?\"}", vec![]),
        ("{method: GET, path: \"/a.*\"}, {method: HEAD, path: \"/a.*\"}", vec![]),
        ("{method: GET, path: /a}, {method: HEAD, path: /a}", vec!["PL303"]),
        ("{method: GET, path: /a}, {method: GET, path: '/a\\?.*'}, {method: HEAD}", vec![]),
        ("{method: POST, path: /a}", vec![]),
        ("{method: GET, path: \"/a.*\"}", vec!["PL304"]),
        ("{path: \"/a.*\", host: 'a(:[0-9]+)?'}", vec![]),
    ] {
        let directory = file(&policy("p", &http(rules)));
        let found: Vec<_> = json(directory.path(), &["p.yaml"]).iter().map(|found| found["code"].clone()).collect();
        assert_eq!(found, hints, "{rules}");
    }
}

#[test]
fn endpoints_beside_policies_show_which_selectors_select_nobody() {
    let endpoint = |name: &str, address: &str| {
        format!(
            "apiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}\n\
             spec: {{addresses: [{address}]}}\n---\n"
        )
    };
    let text = endpoint("app", "10.0.0.1")
        + &endpoint("client", "10.0.0.2")
        + &policy("p", "egress: [{toEndpoints: [{matchLabels: {app: clint}}]}, {toCIDR: [10.0.0.2/32, 10.0.0.3/32]}]");
    let directory = file(&text);
    let found = json(directory.path(), &["p.yaml"]);
    let of: Vec<_> =
        found.iter().map(|found| (found["code"].as_str().unwrap(), found["field"].as_str().unwrap())).collect();
    assert_eq!(of, [("PL104", "spec.egress[0].toEndpoints[0]"), ("PL111", "spec.egress[1].toCIDR[0]")]);
}

#[test]
fn policies_that_disagree_on_how_to_say_no_are_found() {
    let annotated = |name: &str, answer: &str| {
        policy(name, L7).replace(
            "namespace: shop}",
            &format!("namespace: shop, annotations: {{portcullis.io/deny-with: {answer}}}}}"),
        )
    };
    let directory = file(&(annotated("a", "reset") + "---\n" + &annotated("b", "respond").replace("/a.*", "/b.*")));
    let found = json(directory.path(), &["p.yaml"]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["code"], "PL204");
    assert_eq!((&found[0]["line"], &found[0]["related"]["line"]), (&14.into(), &3.into()));
}

#[test]
fn policies_that_disagree_on_open_connections_are_found() {
    let annotated = |name: &str, rest: &str, word: &str| {
        policy(name, rest).replace(
            "namespace: shop}",
            &format!("namespace: shop, annotations: {{portcullis.io/open-connections: {word}}}}}"),
        )
    };
    let (here, there) = ("ingress: [{fromEntities: [world]}]", "egress: [{toEntities: [world]}]");
    let cluster = "ingress: [{fromEntities: [cluster]}]";
    let keeps = annotated("a", here, "keep");
    for (other, wanted) in [
        (annotated("b", cluster, "cut"), Some("says cut")),
        (policy("b", cluster), Some("says nothing")),
        (annotated("b", cluster, "keep"), None),
        (annotated("b", there, "cut"), None),
        (annotated("b", cluster, "cut").replace("app: app", "app: other"), None),
    ] {
        let found = json(file(&format!("{keeps}---\n{other}")).path(), &["p.yaml"]);
        let told = found.iter().find(|found| found["code"] == "PL206");
        assert_eq!(told.is_some(), wanted.is_some(), "{other}: {found:#?}");
        if let (Some(told), Some(wanted)) = (told, wanted) {
            let message = told["message"].as_str().unwrap();
            assert!(
                message.contains(wanted) && message.contains("shop/b") && message.contains("`cut` wins"),
                "{message}"
            );
            assert_eq!(told["field"], "metadata.annotations.portcullis.io/open-connections");
        }
    }
}

#[test]
fn a_namespace_that_does_not_count_is_found() {
    let text = policy("p", "ingress: [{fromEntities: [world]}]")
        .replace("{app: app}", "{app: app, 'k8s:io.kubernetes.pod.namespace': other}");
    assert_eq!(json(file(&text).path(), &["p.yaml"])[0]["code"], "PL110");
}

/// The manifests of the walkthrough.
fn walkthrough() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration/walkthrough")
}

#[test]
fn each_trap_of_the_walkthrough_is_named_and_nothing_else() {
    let found = json(&walkthrough(), &["--level", "warning", "."]);
    let found: BTreeSet<_> = found
        .iter()
        .map(|found| {
            let [code, file, policy, field] =
                ["code", "file", "policy", "field"].map(|key| found[key].as_str().unwrap());
            (
                code,
                Path::new(file).file_name().unwrap().to_str().unwrap(),
                found["line"].as_u64().unwrap(),
                policy,
                field,
            )
        })
        .collect();
    let (l4, l7, outside) =
        ("cilium-l3-l4-policy.yaml", "cilium-l7-http-policy.yaml", "cilium-external-access-policy.yaml");
    let (kafka, changed) = ("kafka-policy.yaml", "kafka-changed-policy.yaml");
    let expected = BTreeSet::from([
        // `egress: [{}]` allows nothing.
        ("PL101", l4, 48, "test-app/allow-all-egress-from-client", "spec.egress[0]"),
        // There is no entity kube-dns.
        ("PL002", l4, 65, "test-app/allow-dns-from-all-pods", "spec.egress[0].toEntities[0]"),
        // Addresses are no names.
        ("PL107", l4, 67, "test-app/allow-dns-from-all-pods", "spec.egress[1].toFQDNs[0]"),
        ("PL107", l4, 68, "test-app/allow-dns-from-all-pods", "spec.egress[1].toFQDNs[1]"),
        // The L4 rule of the step before stays in force beside the L7 rules.
        ("PL201", l7, 21, "test-app/restrict-app-http-access", "spec.ingress[0].toPorts[0].rules.http"),
        // Nobody learns the name.
        ("PL108", outside, 13, "test-app/allow-app-to-example-com", "spec.egress[0].toFQDNs[0]"),
        // What comes to port 443 is TLS.
        ("PL205", outside, 18, "test-app/allow-app-to-example-com", "spec.egress[0].toPorts[0].ports[1].port"),
        // There is one broker, and one file is the other one, changed.
        ("PL404", changed, 22, "test-app/kafka-topics", "spec.ingress[0].toPorts[0].rules.kafka"),
        ("PL006", kafka, 5, "", "metadata.name"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn exit_codes_tell_a_pipeline_what_to_do() {
    let clean = "egress: [{toEntities: [world]}]";
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("clean.yaml", &policy("clean", clean));
    write("warning.yaml", &policy("warning", "egress: [{toCIDR: []}]"));
    write("refused.yaml", &policy("refused", "egress: [{toEntities: [nobody]}]"));
    write("unknown.yaml", &policy("unknown", "egres: [{toEntities: [all]}]"));
    write("broken.yaml", "kind: [\n");
    write("foreign.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    write("nothing.yaml", "# nothing\n");
    write("settings.bad", "enforcement: sometimes\n");
    for (arguments, code) in [
        (vec!["clean.yaml"], 0),
        (vec!["clean.yaml", "foreign.yaml"], 0),
        (vec!["warning.yaml"], 1),
        (vec!["--allow-warnings", "warning.yaml"], 0),
        (vec!["--ignore", "PL102", "warning.yaml"], 0),
        (vec!["--ignore", "pl102,PL201", "warning.yaml"], 0),
        (vec!["refused.yaml"], 3),
        (vec!["unknown.yaml", "warning.yaml"], 3),
        (vec!["broken.yaml"], 3),
        (vec!["foreign.yaml"], 0),
        (vec!["nothing.yaml"], 3),
        (vec!["nowhere.yaml"], 3),
        (vec!["--settings", "settings.bad", "clean.yaml"], 3),
        (vec![], 2),
        (vec!["--ignore", "PL999", "clean.yaml"], 2),
        (vec!["-o", "junit", "clean.yaml"], 2),
        (vec!["--checks"], 0),
    ] {
        let output = lint(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(out(&lint(directory.path(), &["refused.yaml"])).contains("refused.yaml:6:26: error PL002: "));
    assert!(out(&lint(directory.path(), &["unknown.yaml"])).contains("did you mean egress?"));
}

#[test]
fn a_finding_reads_like_a_message_of_a_compiler() {
    let directory = file(
        &(policy("a", "egress: [{toEntities: [world]}]") + "---\n" + &policy("b", "egress: [{toEntities: [world]}]")),
    );
    let text = out(&lint(directory.path(), &["p.yaml"]));
    let expected = "\
p.yaml:13:12: warning PL105: spec.egress[0]: says the same as spec.egress[0] of shop/a
    see: p.yaml:6:12
    help: remove this one
2 policies: 0 errors, 1 warning, 0 hints
";
    assert_eq!(text, expected);
}

#[test]
fn a_comment_silences_what_is_meant() {
    let text = policy("p", "egress: [{toCIDR: []}]");
    for (line, silent) in [
        ("  egress: [{toCIDR: []}]  # lint: ignore PL102", true),
        ("  # Only default deny is meant. lint: ignore PL304, PL102\n  egress: [{toCIDR: []}]", true),
        ("  egress: [{toCIDR: []}]  # lint: ignore PL101", false),
        ("  # lint: ignore PL102\n\n  egress: [{toCIDR: []}]", false),
    ] {
        let directory = file(&text.replace("  egress: [{toCIDR: []}]", line));
        assert_eq!(lint(directory.path(), &["p.yaml"]).status.success(), silent, "{line}");
    }
}

#[test]
fn sarif_has_the_shape_that_code_hosts_read() {
    let directory = file(&(policy("a", L7) + "---\n" + &policy("b", "ingress: [{fromEntities: [all]}]")));
    let log: Value = serde_json::from_str(&out(&lint(directory.path(), &["-o", "sarif", "p.yaml"]))).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "portcullis");
    for rule in driver["rules"].as_array().unwrap() {
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
        assert!(
            ["error", "warning", "note"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()),
            "{rule}"
        );
    }
    let results = run["results"].as_array().unwrap();
    let result = results.iter().find(|result| result["ruleId"] == "PL201").unwrap();
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(driver["rules"][index]["id"], "PL201");
    assert_eq!(result["level"], "warning");
    assert!(result["message"]["text"].is_string());
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "p.yaml");
    assert_eq!(place["region"]["startLine"], 10);
    assert!(place["region"]["startColumn"].as_u64().unwrap() > 0);
    assert_eq!(result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"], 17);
}

#[test]
fn every_check_is_explained_on_its_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy-testing.md")).unwrap();
    for check in portcullis_rules::lint::CHECKS {
        let row = format!("| `{}` | {} | {} |", check.code, check.name, check.severity.as_str());
        assert!(page.contains(&row), "docs/policy-testing.md has no row {row}");
    }
}

/// What a policy is told with rules of Kafka for a peer, as `code place`; of what was retired nothing.
fn kafka(peer: &str, rules: &str) -> Vec<String> {
    kafka_beside(peer, rules, "")
}

/// The same with another policy beside it.
fn kafka_beside(peer: &str, rules: &str, beside: &str) -> Vec<String> {
    let spec = format!(
        "ingress: [{{fromEndpoints: [{{matchLabels: {{{peer}}}}}], toPorts: [{{ports: [{{port: \"9092\", protocol: TCP}}], rules: {{kafka: [{rules}]}}}}]}}]"
    );
    let own = |text: String| text.replace("cilium.io/v2", "portcullis.io/v1").replace("CiliumNetwork", "Network");
    let more = if beside.is_empty() { String::new() } else { format!("---\n{}", policy("other", beside)) };
    let directory = file(&own(policy("p", &spec) + &more));
    let found = json(directory.path(), &["--ignore", "PL004", "p.yaml"]);
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let place = |field: String| field.split_once(".rules.kafka").map_or(field.clone(), |(_, place)| place.to_owned());
    found.iter().map(|finding| format!("{} {}", text(finding, "code"), place(text(finding, "field")))).collect()
}

#[test]
fn rules_of_kafka_that_allow_more_or_less_than_they_seem_to_are_found() {
    for (rules, found) in [
        // Topics without groups, told once.
        (
            "{role: consume, topic: a}, {role: streams, topics: {prefix: b}}",
            &["PL401 [0].topic", "PL403 [0].topic"][..],
        ),
        ("{role: consume, topics: {prefix: a}, group: g}", &["PL403 [0].topics"]),
        ("{role: consume, topic: a, group: g}, {apiKey: consumergroupheartbeat, group: g}", &[]),
        ("{role: produce, topic: a}", &[]),
        ("{operation: read, topic: a}", &["PL401 [0].topic", "PL403 [0].topic"]),
        ("{apiKey: fetch, topic: a}, {operation: write, topic: a}", &[]),
        // Without a kind, all pass that name nothing of it.
        ("{topic: a}, {topic: b}", &["PL402 [0].topic", "PL403 [0].topic"]),
        ("{topic: a}, {group: g}", &["PL402 [0].topic"]),
        ("{groups: {pattern: a.*}, clientID: me}", &["PL402 [0].groups"]),
        ("{transactionalID: t}", &["PL402 [0].transactionalID"]),
        ("{clientID: me}", &[]),
        // What no request can be.
        ("{apiKey: produce, apiVersion: \"2\"}", &["PL405 [0].apiVersion"]),
        ("{apiKey: produce, apiVersion: \"3\"}", &[]),
        ("{role: produce, apiVersion: \"13\"}", &[]),
        ("{role: produce, apiVersion: \"14\"}, {role: consume, apiVersion: \"18\"}", &["PL405 [0].apiVersion"]),
        ("{role: broker, apiKey: \"\", apiVersion: \"18\"}", &[]),
        ("{operation: createTokens, apiVersion: \"7\"}", &["PL405 [0].apiVersion"]),
        ("{apiKey: leaderandisr}", &["PL405 [0].apiKey"]),
        ("{apiVersion: \"99\"}", &["PL405 [0].apiVersion"]),
        // What restricts nothing.
        ("{apiKey: joingroup, topic: a}", &["PL401 [0].topic", "PL406 [0].topic"]),
        ("{apiKey: findcoordinator, group: g, transactionalID: t}", &[]),
        ("{apiKey: listgroups, group: g}", &[]),
        ("{apiKey: fetch, topic: a, groups: {prefix: g}}", &["PL406 [0].groups"]),
        ("{operation: idempotentWrite, topics: {prefix: a}}", &["PL406 [0].topics"]),
        ("{role: consume, group: g, transactionalIDs: {prefix: a}}", &[]),
        ("{}", &[]),
    ] {
        // The brokers themselves are let in by another policy.
        let brokers = "ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: \"9093\", protocol: TCP}]}]}]";
        assert_eq!(kafka_beside("app: client", rules, brokers), found, "{rules}");
    }
}

#[test]
fn brokers_that_a_policy_locks_out_of_each_other_are_found() {
    let (out, rule) = (&["PL404 "][..], "{role: produce}");
    assert_eq!(kafka("app: client", rule), out);
    assert_eq!(kafka("app: app", rule), out, "they may produce");
    for rules in ["{role: broker}", "{}", "{operation: clusterAction}", "{role: produce}, {apiKey: fetch}"] {
        assert_eq!(kafka("app: app", rules), Vec::<String>::new(), "{rules}");
    }
    let ports =
        |ports: &str| format!("ingress: [{{fromEndpoints: [{{matchLabels: {{app: app}}}}], toPorts: [{ports}]}}]");
    for (beside, found) in [
        ("ingress: [{fromEndpoints: [{matchLabels: {app: app}}]}]", &[][..]),
        ("ingress: [{fromEntities: [cluster], toPorts: [{ports: [{port: \"9093\"}]}]}]", &[]),
        ("ingress: [{fromEntities: [host]}]", out),
        ("ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]", out),
        ("egress: [{toEndpoints: [{}]}]", out),
        // Another listener for themselves, and what is none.
        (&ports("{ports: [{port: \"9093\", protocol: TCP}]}"), &[]),
        (&ports("{ports: [{port: \"9093\", protocol: TCP}], serverNames: [broker]}"), &[]),
        (&ports("{ports: [{port: \"9093\", protocol: UDP}]}"), out),
        (&ports("{ports: [{port: \"9093\", protocol: TCP}], rules: {kafka: [{role: broker}]}}"), &[]),
        (&ports("{ports: [{port: \"8080\", protocol: TCP}], rules: {http: [{}]}}"), out),
    ] {
        assert_eq!(kafka_beside("app: client", rule, beside), found, "{beside}");
    }
}
