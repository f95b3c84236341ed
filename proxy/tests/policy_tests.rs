//! `portcullis test`: policy tests as engineers write them, and their results.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const POLICIES: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: client}}]
    toPorts:
    - ports: [{port: \"80\", protocol: TCP}]
      rules: {http: [{method: GET, path: /status}]}
  - fromEntities: [host]
  egress:
  - toFQDNs: [{matchName: example.com}]
    toPorts: [{ports: [{port: \"443\", protocol: TCP}], serverNames: [example.com]}]
  - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
    toPorts: [{ports: [{port: \"53\", protocol: ANY}], rules: {dns: [{matchPattern: \"*.com\"}]}}]
  - toEndpoints: [{matchLabels: {app: broker}}]
    toPorts: [{ports: [{port: \"9092\", protocol: TCP}], rules: {kafka: [{role: produce, topic: orders}]}}]
  - toEndpoints: [{matchLabels: {k8s:io.cilium.k8s.namespace.labels.team: data}}]
  - toCIDR: [203.0.113.0/24]
";

const HEAD: &str = "\
apiVersion: portcullis.io/v1
kind: PolicyTest
metadata: {name: shop, namespace: shop}
spec:
  policies: [policies.yaml]
  endpoints:
    client: {labels: {app: client}}
    web: {labels: {app: web}, ports: {http: 80}}
    broker: {labels: {app: broker}}
    warehouse: {namespace: data, labels: {app: warehouse}}
    dns: {namespace: kube-system, labels: {k8s-app: kube-dns}}
  namespaces: {data: {team: data}}
  names: {example.com: [198.51.100.7]}
  tests:
";

/// A directory with the policies and a test file of these cases.
fn directory(cases: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("policies.yaml"), POLICIES).unwrap();
    fs::write(directory.path().join("shop_test.yaml"), format!("{HEAD}{cases}")).unwrap();
    directory
}

fn portcullis(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("test").args(arguments).current_dir(directory).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(directory: &Path) -> Value {
    serde_json::from_str(&out(&portcullis(directory, &["-o", "json", "shop_test.yaml"]))).unwrap()
}

#[test]
fn questions_of_every_kind_are_answered() {
    for (question, expect) in [
        // HTTP, in one line and in parts.
        (
            "from: client, to: web, port: 80, http: GET /status",
            "{verdict: allow, layer: l7, policy: shop/web, how: relay}",
        ),
        ("from: client, to: web, port: http, http: GET /status", "allow"),
        (
            "from: client, to: web, http: GET /status?x=1",
            "{verdict: deny, layer: l7, reason: no_match, how: reset, policy: web}",
        ),
        ("from: client, to: web, http: {method: POST, path: /status, host: web, headers: {X-A: b}}", "deny"),
        ("from: client, to: web, http: GET /a/../status", "{verdict: deny, reason: ambiguous}"),
        // A connection alone.
        ("from: client, to: web, port: 80", "allow"),
        ("from: client, to: web, port: 81", "{verdict: deny, layer: l4, reason: no_rule, how: drop}"),
        ("from: broker, to: web, port: 80", "{verdict: deny, layer: l3}"),
        ("from: {labels: {app: client}}, to: web, http: GET /status", "allow"),
        ("from: {labels: {app: client}, namespace: other}, to: web, http: GET /status", "deny"),
        // Others than endpoints.
        ("from: entity:host, to: web, port: 22", "allow"),
        ("from: entity:remote-node, to: web, port: 22", "deny"),
        ("from: entity:world, to: web, port: 80", "deny"),
        ("from: web, to: 203.0.113.9, port: 5432", "{verdict: allow, rule: \"egress[4]\"}"),
        ("from: web, to: 192.0.2.9, port: 5432", "deny"),
        ("from: web, to: warehouse, port: 5432", "allow"),
        ("from: shop/web, to: data/warehouse, port: 5432", "allow"),
        // Names.
        ("from: web, to: fqdn:example.com, port: 443, sni: example.com", "allow"),
        ("from: web, to: 198.51.100.7, sni: example.com", "allow"),
        ("from: web, to: fqdn:example.com, sni: example.org", "{verdict: deny, layer: l7}"),
        ("from: web, to: fqdn:example.org, sni: example.com", "deny"),
        ("from: web, to: dns, dns: example.com", "allow"),
        ("from: web, to: dns, port: 53/TCP, dns: example.com", "allow"),
        ("from: web, to: dns, dns: example.org", "deny"),
        ("from: web, to: broker, kafka: {api: produce, topics: [orders]}", "allow"),
        ("from: web, to: broker, kafka: {api: fetch, topics: [orders]}", "deny"),
        (
            "from: web, to: broker, kafka: {api: produce, version: 2, topics: [orders]}",
            "{verdict: deny, reason: ambiguous}",
        ),
        ("from: web, to: broker, kafka: {api: findcoordinator, transactionalIds: [t]}", "allow"),
        ("from: web, to: broker, kafka: {api: findcoordinator, groups: [g]}", "deny"),
        (
            "from: web, to: broker, kafka: {api: txnoffsetcommit, groups: [g], transactionalIds: [t], topics: [orders], replicaId: -1}",
            "allow",
        ),
        // Only one end is asked.
        ("from: web, to: client, port: 80", "deny"),
        ("from: web, to: client, port: 80, direction: ingress", "{verdict: allow, reason: not_enforced}"),
    ] {
        let directory = directory(&format!("  - {{name: it, {question}, expect: {expect}}}\n"));
        let output = portcullis(directory.path(), &["shop_test.yaml"]);
        assert_eq!(output.status.code(), Some(0), "{question}\n{}{}", out(&output), err(&output));
        let opposite = if expect.contains("allow") { "deny" } else { "allow" };
        let wrong = format!("{HEAD}  - {{name: it, {question}, expect: {opposite}}}\n");
        fs::write(directory.path().join("shop_test.yaml"), wrong).unwrap();
        let output = portcullis(directory.path(), &["shop_test.yaml"]);
        assert_eq!(output.status.code(), Some(1), "{question} cannot fail: {}", out(&output));
    }
}

#[test]
fn each_part_of_what_is_expected_can_fail_by_itself() {
    for part in ["layer: l3", "policy: other", "rule: egress", "reason: no_rule", "how: drop"] {
        let cases =
            format!("  - {{name: it, from: client, to: web, http: GET /x, expect: {{verdict: deny, {part}}}}}\n");
        assert_eq!(portcullis(directory(&cases).path(), &["."]).status.code(), Some(1), "{part}");
    }
}

#[test]
fn settings_and_settings_files_change_the_answer() {
    let case = "  - {name: it, from: web, to: client, direction: ingress, port: 80, expect: deny}\n";
    let directory = directory(case);
    let run = |spec: &str| {
        let head = HEAD.replace("  tests:\n", &format!("{spec}  tests:\n"));
        fs::write(directory.path().join("shop_test.yaml"), format!("{head}{case}")).unwrap();
        portcullis(directory.path(), &["shop_test.yaml"]).status.code()
    };
    fs::write(directory.path().join("node.settings"), "enforcement: always\n").unwrap();
    assert_eq!(run(""), Some(1));
    assert_eq!(run("  settings: {enforcement: always}\n"), Some(0));
    assert_eq!(run("  settingsFile: node.settings\n"), Some(0));
    assert_eq!(run("  settingsFile: node.settings\n  settings: {enforcement: default}\n"), Some(1));
    assert_eq!(run("  settings: {enforcement: sometimes}\n"), Some(3));
}

const TWO: &str = "  - name: a client reads the status
    from: client
    to: web
    http: GET /status
    expect: allow
  - name: a client may <write>
    from: client
    to: web
    http: POST /status
    expect: allow
";

#[test]
fn a_failure_says_what_was_asked_what_came_and_why() {
    let directory = directory(TWO);
    let output = portcullis(directory.path(), &["shop_test.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "\
ok   shop_test.yaml:15: a client reads the status
FAIL shop_test.yaml:20: a client may <write>
       client -> web 80/TCP POST /status
       expected allow
       got      deny (ingress), layer l7, reason no_match, how reset, policy shop/web, rule ingress[0].toPorts[0].rules.http[0]
         nearest shop/web ingress[0].toPorts[0].rules.http[0] (policies.yaml:10:22)
         method is \"POST\", wanted GET
2 tests: 1 passed, 1 failed
";
    assert_eq!(out(&output), expected);
    let quiet = out(&portcullis(directory.path(), &["-q", "shop_test.yaml"]));
    assert!(!quiet.contains("reads the status") && quiet.contains("FAIL"), "{quiet}");
    let filtered = portcullis(directory.path(), &["--filter", "reads", "shop_test.yaml"]);
    assert_eq!((filtered.status.code(), out(&filtered).lines().count()), (Some(0), 2));
}

#[test]
fn tap_is_what_harnesses_read() {
    let text = out(&portcullis(directory(TWO).path(), &["-o", "tap", "shop_test.yaml"]));
    let expected = "\
TAP version 14
1..2
ok 1 - shop: a client reads the status
not ok 2 - shop: a client may <write>
  ---
  message: \"client -> web 80/TCP POST /status\"
  severity: fail
  at:
    file: \"shop_test.yaml\"
    line: 20
  found: \"deny (ingress), layer l7, reason no_match, how reset, policy shop/web, rule ingress[0].toPorts[0].rules.http[0]\"
  wanted: \"allow\"
  why:
    - \"nearest shop/web ingress[0].toPorts[0].rules.http[0] (policies.yaml:10:22)\"
    - \"method is \\\"POST\\\", wanted GET\"
  ...
";
    assert_eq!(text, expected);
}

#[test]
fn junit_is_what_build_servers_read() {
    let text = out(&portcullis(directory(TWO).path(), &["-o", "junit", "shop_test.yaml"]));
    let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"portcullis\" tests=\"2\" failures=\"1\" errors=\"0\">
  <testsuite name=\"shop\" file=\"shop_test.yaml\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">
    <testcase name=\"a client reads the status\" classname=\"shop\" file=\"shop_test.yaml\" line=\"15\"/>
    <testcase name=\"a client may &lt;write&gt;\" classname=\"shop\" file=\"shop_test.yaml\" line=\"20\">
      <failure type=\"verdict\" message=\"expected allow, got deny (ingress), layer l7, reason no_match, how reset, policy shop/web, rule ingress[0].toPorts[0].rules.http[0]\">client -&gt; web 80/TCP POST /status
expected allow
got      deny (ingress), layer l7, reason no_match, how reset, policy shop/web, rule ingress[0].toPorts[0].rules.http[0]
  nearest shop/web ingress[0].toPorts[0].rules.http[0] (policies.yaml:10:22)
  method is &quot;POST&quot;, wanted GET</failure>
    </testcase>
  </testsuite>
</testsuites>
";
    assert_eq!(text, expected);
}

#[test]
fn json_has_everything_for_scripts() {
    let suites = json(directory(TWO).path());
    assert_eq!(suites[0]["name"], "shop");
    assert_eq!(suites[0]["tests"][0]["passed"], true);
    assert_eq!(suites[0]["tests"][1]["line"], 20);
    assert_eq!(suites[0]["tests"][1]["expected"], "allow");
}

#[test]
fn what_is_wrong_with_a_test_is_said_with_its_place() {
    for (cases, said) in [
        ("  - {name: it, from: client\n", "cannot be read"),
        ("  - {name: it, from: client, too: web, expect: allow}\n", "shop_test.yaml:15:"),
        ("  - {name: it, from: client, too: web, expect: allow}\n", "unknown field `too`"),
        ("  - {name: it, from: client, to: web, port: 80}\n", "expect"),
        ("  - {name: it, from: client, to: web, port: 80, expect: perhaps}\n", "write allow or deny"),
        ("  - {name: it, from: client, to: web, expect: allow}\n", "port is missing"),
        ("  - {name: it, from: client, to: nobody, port: 80, expect: allow}\n", "no endpoint of this test"),
        ("  - {name: it, from: client, to: web, port: https, expect: allow}\n", "no port of web"),
        ("  - {name: it, from: client, to: web, http: /status, expect: allow}\n", "write METHOD /path"),
        (
            "  - {name: it, from: client, to: web, http: GET /, dns: a, expect: allow}\n",
            "one of http, dns, sni and kafka",
        ),
        ("  - {name: it, from: 192.0.2.1, to: 192.0.2.2, port: 80, expect: allow}\n", "one end must be an endpoint"),
        (
            "  - {name: it, from: entity:cluster, to: web, port: 80, expect: allow}\n",
            "no entity that a single peer can be",
        ),
        ("  - {name: it, from: client, to: broker, kafka: {api: sing}, expect: allow}\n", "no API of Kafka"),
    ] {
        let output = portcullis(directory(cases).path(), &["shop_test.yaml"]);
        assert_eq!(output.status.code(), Some(3), "{cases}{}", out(&output));
        assert!(err(&output).contains(said), "{cases} does not say {said:?}: {}", err(&output));
        assert!(err(&output).contains("shop_test.yaml:1"), "{}", err(&output));
    }
}

#[test]
fn a_policy_that_is_refused_is_said_with_its_place() {
    let directory = directory(TWO);
    let broken = POLICIES.replace("fromEntities: [host]", "fromEntities: [ghost]");
    fs::write(directory.path().join("policies.yaml"), broken).unwrap();
    let output = portcullis(directory.path(), &["shop_test.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("policies.yaml:11:20: "), "{}", err(&output));
    fs::remove_file(directory.path().join("policies.yaml")).unwrap();
    let output = portcullis(directory.path(), &["shop_test.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("policies.yaml"), "{}", err(&output));
}

#[test]
fn policies_may_stand_in_the_file_of_their_test() {
    let directory = directory("");
    let text = format!("{}---\n{POLICIES}", format!("{HEAD}{TWO}").replace("  policies: [policies.yaml]\n", ""));
    fs::remove_file(directory.path().join("policies.yaml")).unwrap();
    fs::write(directory.path().join("shop_test.yaml"), text).unwrap();
    let output = portcullis(directory.path(), &["."]);
    assert!(out(&output).ends_with("2 tests: 1 passed, 1 failed\n"), "{}{}", out(&output), err(&output));
}

#[test]
fn a_service_is_asked_for_all_its_backends() {
    let resources = |label: &str| {
        format!(
            "---\napiVersion: portcullis.io/v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\n\
             spec: {{vips: [10.96.0.1], ports: [{{port: 8080, targetPort: 80}}], backends: [10.0.0.1, 10.0.0.2]}}\n\
             ---\napiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {{name: web-1, namespace: shop, labels: {{app: web}}}}\n\
             spec: {{addresses: [10.0.0.1]}}\n\
             ---\napiVersion: portcullis.io/v1\nkind: Endpoint\nmetadata: {{name: web-2, namespace: shop, labels: {{app: {label}}}}}\n\
             spec: {{addresses: [10.0.0.2]}}\n"
        )
    };
    let cases = "  settings: {enforcement: always}\n  tests:\n  - {name: it, from: {labels: {app: client}}, direction: ingress, to: service:shop/web, port: 8080, http: GET /status, expect: allow}\n";
    for (label, code) in [("web", 0), ("other", 1)] {
        let directory = directory("");
        let text = HEAD.replace("  tests:\n", cases) + &resources(label);
        fs::write(directory.path().join("shop_test.yaml"), text).unwrap();
        let output = portcullis(directory.path(), &["shop_test.yaml"]);
        assert_eq!(output.status.code(), Some(code), "{label}: {}{}", out(&output), err(&output));
    }
}

#[test]
fn no_test_is_no_success() {
    let directory = directory(TWO);
    assert_eq!(portcullis(directory.path(), &["policies.yaml"]).status.code(), Some(3));
    assert_eq!(portcullis(directory.path(), &["nowhere"]).status.code(), Some(3));
    assert_eq!(portcullis(directory.path(), &[]).status.code(), Some(2));
    assert_eq!(portcullis(directory.path(), &["-o", "sarif", "."]).status.code(), Some(2));
    let none = portcullis(directory.path(), &["--filter", "nothing like it", "."]);
    assert_eq!(none.status.code(), Some(3), "{}", out(&none));
}
