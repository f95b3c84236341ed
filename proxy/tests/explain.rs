//! `portcullis explain` as scripts use it: questions, answers, exit codes.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
    - fromEndpoints: [{matchLabels: {app: client}}]
      toPorts:
        - ports: [{port: \"80\", protocol: TCP}]
          rules: {http: [{method: GET, path: \"/api/.*\", headers: [X-Token]}]}
    - fromCIDRSet: [{cidrGroupRef: office}]
  egress:
    - toEndpoints: [{matchLabels: {k8s-app: kube-dns, io.kubernetes.pod.namespace: kube-system}}]
      toPorts:
        - ports: [{port: \"53\", protocol: ANY}]
          rules:
            dns:
              - {matchName: example.net, matchPattern: \"*.example.com\"}
              - {matchName: mail.example.org, qtype: [MX, A]}
    - toFQDNs: [{matchPattern: \"*.example.com\"}]
      toPorts: [{ports: [{port: \"443\", protocol: TCP}], serverNames: [\"*.example.com\"]}]
    - toEndpoints: [{matchLabels: {app: kafka}}]
      toPorts:
        - ports: [{port: \"9092\", protocol: TCP}]
          rules: {kafka: [{role: produce, topic: orders}]}
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: office}
spec: {externalCIDRs: [192.0.2.0/24]}
";

struct Case {
    directory: tempfile::TempDir,
}

impl Case {
    fn new(policy: &str) -> Self {
        let case = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(case.file(), policy).unwrap();
        case
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("policy.yaml")
    }

    /// Exit code, standard output, standard error.
    fn ask(&self, question: &str, more: &[&str]) -> (i32, String, String) {
        let file = self.file();
        let mut arguments = vec!["--policy", file.to_str().unwrap(), "--endpoint", "app=web"];
        arguments.extend(question.split_whitespace());
        arguments.extend(more);
        run(&arguments, "")
    }

    fn json(&self, question: &str, more: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.ask(&format!("{question} -o json"), more);
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
    }
}

fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn each_protocol_is_asked_in_its_own_words() {
    let case = Case::new(POLICY);
    let client = "--direction ingress --peer app=client --port 80/TCP";
    let dns = "--direction egress --peer k8s-app=kube-dns,io.kubernetes.pod.namespace=kube-system --port 53/UDP";
    let tls = "--direction egress --peer fqdn:api.example.com --port 443/TCP";
    let kafka = "--direction egress --peer app=kafka --port 9092/TCP --topic orders";
    let table: &[(&str, &[&str], &str, &str)] = &[
        (client, &["--http", "GET /api/v1", "--header", "X-Token: t"], "allow", "l7"),
        (client, &["--http", "GET /api/v1"], "deny", "l7"),
        (client, &["--http", "POST /api/v1", "--header", "X-Token: t"], "deny", "l7"),
        (client, &["--http", "GET /api/v1", "--header", "X-Token: t", "--namespace", "other"], "allow", "l3"),
        (dns, &["--dns", "api.example.com", "--qtype", "A"], "allow", "l7"),
        (dns, &["--dns", "api.example.com", "--qtype", "TYPE65"], "allow", "l7"),
        (dns, &["--dns", "mail.example.org"], "allow", "l7"),
        (dns, &["--dns", "mail.example.org", "--qtype", "mx"], "allow", "l7"),
        (dns, &["--dns", "mail.example.org", "--qtype", "AAAA"], "deny", "l7"),
        (dns, &["--dns", "example.org"], "deny", "l7"),
        (tls, &["--sni", "api.example.com"], "allow", "l7"),
        (tls, &["--sni", "example.org"], "deny", "l7"),
        (tls, &["--sni", ""], "deny", "l7"),
        ("--direction egress --peer fqdn:example.org --port 443/TCP", &["--sni", "api.example.com"], "deny", "l3"),
        (kafka, &["--kafka", "produce"], "allow", "l7"),
        (kafka, &["--kafka", "fetch"], "deny", "l7"),
        ("--direction ingress --peer 192.0.2.9 --port 22/TCP", &[], "allow", "l3"),
        ("--direction ingress --peer 198.51.100.1 --port 22/TCP", &[], "deny", "l3"),
        ("--direction ingress --peer entity:host --port 22/TCP", &[], "allow", "l3"),
        ("--direction ingress --peer app=client --port 81/TCP", &[], "deny", "l4"),
    ];
    for (question, more, verdict, layer) in table {
        let (code, answer) = case.json(question, more);
        assert_eq!((&answer["verdict"], &answer["layer"]), (&json!(verdict), &json!(layer)), "{question} {more:?}");
        assert_eq!(code, i32::from(*verdict == "deny"), "{question} {more:?}");
    }
}

/// Of several topics the one is named that no rule allows, whatever stands beside it.
#[test]
fn of_several_topics_those_are_named_that_no_rule_allows() {
    let case = Case::new(&POLICY.replace("{role: produce, topic: orders}", "{topic: a}, {topic: c}"));
    let question = "--direction egress --peer app=kafka --port 9092/TCP --kafka produce";
    for (topics, code, told) in [
        ("--topic a --topic c", 0, None),
        ("--topic a --topic b", 1, Some(("topic", "a", "b"))),
        ("--topic b --topic a", 1, Some(("topic", "a", "b"))),
        ("--topic c --topic a --topic b", 1, Some(("topic", "a", "b"))),
    ] {
        let (exit, answer) = case.json(&format!("{question} {topics}"), &[]);
        assert_eq!(exit, code, "{topics}: {answer}");
        let shown = ["predicate", "pattern", "value"].map(|name| answer[name].clone());
        let wanted = told.map_or([Value::Null, Value::Null, Value::Null], |(a, b, c)| [json!(a), json!(b), json!(c)]);
        assert_eq!(shown, wanted, "{topics}: {answer}");
    }
    let question = format!("{question} --topic d --topic a --topic b");
    let (_, answer) = case.json(&question, &[]);
    let refused = &answer["refused"];
    let values: Vec<_> = refused["misses"].as_array().unwrap().iter().map(|miss| miss["value"].clone()).collect();
    assert_eq!((values, &refused["count"]), (vec![json!("d"), json!("b")], &json!(2)), "{answer}");
    assert!(refused["misses"][1]["rule"].as_str().unwrap().ends_with("rules.kafka[0]"), "{answer}");
    let (_, out, _) = case.ask(&question, &[]);
    assert!(out.contains("topic is \"d\", wanted a\n        topic is \"b\", wanted a\n"), "{out}");
}

#[test]
fn a_request_of_kafka_is_explained_in_the_words_of_its_rule() {
    let question = "--direction egress --peer app=kafka --port 9092/TCP";
    for (rules, asked, told) in [
        ("{role: produce}", "--kafka fetch --topic a", Some(("role", "produce", "fetch"))),
        ("{operation: READ}", "--kafka produce --topic a", Some(("operation", "READ", "produce"))),
        ("{apiKey: \"44\"}", "--kafka fetch", Some(("apiKey", "44", "fetch"))),
        ("{apiKey: Fetch, apiVersion: \"7\"}", "--kafka fetch", Some(("apiVersion", "7", "18"))),
        ("{role: consume, topics: {prefix: a.}}", "--kafka fetch --topic a.b", None),
        ("{role: consume, topics: {prefix: a.}}", "--kafka fetch --topic ab", Some(("topics", "prefix a.", "ab"))),
        ("{topics: {pattern: \"a|b\"}}", "--kafka fetch --topic a --topic c", Some(("topics", "a|b", "c"))),
        ("{role: consume, topic: a, group: g}", "--kafka joingroup --group g", None),
        ("{role: consume, topic: a, group: g}", "--kafka joingroup --group h", Some(("group", "g", "h"))),
        ("{role: monitor, groups: {pattern: g.}}", "--kafka 15 --group g1 --group h", Some(("groups", "g.", "h"))),
        ("{role: monitor, group: g}", "--kafka listgroups", None),
        ("{transactionalID: t}", "--kafka endtxn --transactional-id u", Some(("transactionalID", "t", "u"))),
        ("{role: broker}", "--kafka fetch --topic a --replica-id 2", None),
        ("{role: broker}", "--kafka fetch --topic a", Some(("role", "broker", "fetch"))),
        ("{}", "--kafka produce --api-version 2", Some(("(form)", "what every server reads alike", "unknown_version"))),
    ] {
        let case = Case::new(&POLICY.replace("{role: produce, topic: orders}", rules));
        let (exit, answer) = case.json(&format!("{question} {asked}"), &[]);
        assert_eq!(exit, i32::from(told.is_some()), "{rules} on {asked}: {answer}");
        let shown = ["predicate", "pattern", "value"].map(|name| answer[name].clone());
        let wanted = told.map_or([Value::Null, Value::Null, Value::Null], |(a, b, c)| [json!(a), json!(b), json!(c)]);
        assert_eq!(shown, wanted, "{rules} on {asked}: {answer}");
    }
}

#[test]
fn what_becomes_of_the_rest_of_a_request_is_said() {
    let case = Case::new(&POLICY.replace("{role: produce, topic: orders}", "{role: consume, topic: a}"));
    let question = "--direction egress --peer app=kafka --port 9092/TCP";
    for (asked, code, rest) in [
        ("--kafka metadata", 0, Some(("filtered", "its answer is cut down to what the rules allow"))),
        ("--kafka metadata --topic a", 0, None),
        (
            "--kafka fetch --topic b --topic a",
            1,
            Some(("in_part", "the request goes on without what is refused of it")),
        ),
        ("--kafka fetch --topic b", 1, None),
        ("--kafka consumergroupheartbeat --group g --topic a --topic b", 1, None),
    ] {
        let (exit, answer) = case.json(&format!("{question} {asked}"), &[]);
        let told = ["filtered", "in_part"].into_iter().filter(|name| answer[*name] == json!(true));
        assert_eq!((exit, told.collect::<Vec<_>>()), (code, rest.iter().map(|(name, _)| *name).collect()), "{asked}");
        let (_, out, _) = case.ask(&format!("{question} {asked}"), &[]);
        assert_eq!(out.lines().find_map(|line| line.strip_prefix("  rest: ")), rest.map(|(_, words)| words), "{asked}");
    }
}

#[test]
fn rules_of_kafka_that_say_one_thing_twice_or_wrongly_are_refused_at_their_place() {
    for (rules, place, message) in [
        ("{role: produce, apiKey: fetch}", "25:34", "role: cannot stand beside apiKey: both say the same thing"),
        ("{operation: read, role: consume}", "25:39", "operation: cannot stand beside role: both say the same thing"),
        ("{topic: a, topics: {prefix: a}}", "25:35", "topic: cannot stand beside topics, which says it too"),
        ("{group: a, groups: {prefix: a}}", "25:35", "group: cannot stand beside groups"),
        ("{topics: {}}", "25:36", "topics: names neither prefix nor pattern"),
        ("{topics: {prefix: a, pattern: b}}", "25:57", "topics.pattern: cannot stand beside prefix"),
        ("{topics: {prefix: \"a*\"}}", "25:45", "topics.prefix: invalid Kafka Topic name"),
        ("{topics: {pattern: \"a(\"}}", "25:36", "topics: error parsing regexp"),
        ("{topics: a}", "25:36", "topics: has to be a mapping"),
        ("{operation: eat}", "25:39", "operation: invalid Kafka operation \"eat\""),
        ("{role: any}", "25:34", "role: invalid Kafka Role \"any\""),
        ("{apiKey: \"95\"}", "25:36", "apiKey: invalid Kafka APIKey \"95\""),
        ("{apiKey: 44}", "25:36", "put it in quotes: \"44\""),
    ] {
        let case = Case::new(&POLICY.replace("{role: produce, topic: orders}", rules));
        let (code, out, err) = case.ask("--direction egress --peer app=kafka --port 9092/TCP", &["--kafka", "fetch"]);
        assert_eq!((code, out.as_str()), (3, ""), "{rules}: {err}");
        assert!(err.contains(&format!("policy.yaml:{place}")) && err.contains(message), "{rules}: {err}");
    }
}

/// The policy with another HTTP rule.
fn with_rule(rule: &str) -> Case {
    Case::new(&POLICY.replace("{method: GET, path: \"/api/.*\", headers: [X-Token]}", rule))
}

#[test]
fn a_call_of_grpc_is_explained_in_the_words_of_its_rule() {
    let client = "--direction ingress --peer app=client --port 80/TCP";
    let (add, stock) =
        ("{grpc: {service: shop.v1.Cart, method: Add}, headers: [X-Token]}", "{grpc: {service: shop.v1.Stock}}");
    for (rule, call, header, miss) in [
        (add, "POST /shop.v1.Cart/Add", "X-Token: t", None),
        (stock, "POST /shop.v1.Stock/Count", "X-Other: t", None),
        (add, "POST /shop.v1.Cart/Add", "X-Other: t", Some(("headers[x-token]", "(present)", ""))),
        (add, "POST /shop.v1.Cart/Drop", "X-Token: t", Some(("grpc", "/shop.v1.Cart/Add", "/shop.v1.Cart/Drop"))),
        (add, "POST /shopxv1xCart/Add", "X-Token: t", Some(("grpc", "/shop.v1.Cart/Add", "/shopxv1xCart/Add"))),
        (stock, "POST /shop.v1.Stock/a/b", "X-Token: t", Some(("grpc", "/shop.v1.Stock/*", "/shop.v1.Stock/a/b"))),
        (stock, "POST /shop.v1.Stock/", "X-Token: t", Some(("grpc", "/shop.v1.Stock/*", "/shop.v1.Stock/"))),
        (add, "GET /shop.v1.Cart/Add", "X-Token: t", Some(("grpc", "POST", "GET"))),
    ] {
        let (code, answer) = with_rule(rule).json(client, &["--http", call, "--header", header]);
        assert_eq!(code, i32::from(miss.is_some()), "{call}");
        let told = ["predicate", "pattern", "value"].map(|name| answer[name].clone());
        let wanted = miss.map_or([Value::Null, Value::Null, Value::Null], |(a, b, c)| [json!(a), json!(b), json!(c)]);
        assert_eq!(told, wanted, "{call}");
    }
    let (_, out, _) = with_rule(add).ask(client, &["--http", "POST /shop.v1.Cart/Drop", "--header", "X-Token: t"]);
    assert!(out.contains("grpc is \"/shop.v1.Cart/Drop\", wanted /shop.v1.Cart/Add"), "{out}");
}

#[test]
fn tunnels_are_explained_as_the_node_judges_them() {
    let client = "--direction ingress --peer app=client --port 80/TCP";
    let connect: &[&str] = &["--http", "CONNECT web:80", "--host", "web:80"];
    let upgrade = |protocol| ["--http", "GET /chat", "--header", protocol];
    let [websocket, tcp] = [upgrade("Upgrade: websocket"), upgrade("Upgrade: tcp")];
    for (rule, asked, code, predicate) in [
        ("{method: CONNECT}", connect, 0, Value::Null),
        ("{method: \".*\"}", connect, 1, json!("method")),
        ("{host: \"web(:80)?\"}", connect, 1, json!("method")),
        ("{}", connect, 1, json!("method")),
        ("{path: /chat}", &websocket, 0, Value::Null),
        ("{path: /chat}", &tcp, 1, json!("headers[upgrade]")),
        ("{path: /chat, headers: [\"Upgrade: tcp\"]}", &tcp, 0, Value::Null),
    ] {
        let (exit, answer) = with_rule(rule).json(client, asked);
        assert_eq!((exit, &answer["predicate"]), (code, &predicate), "{rule} {asked:?}: {answer}");
        assert_eq!(answer["reason"], if code == 0 { "rule_allows" } else { "tunnel" }, "{answer}");
    }
    let (_, out, _) = with_rule("{}").ask(client, connect);
    assert!(out.contains("method is \"CONNECT\", wanted a rule whose method lists CONNECT"), "{out}");
}

#[test]
fn what_a_call_of_grpc_cannot_be_is_refused_with_its_place_and_what_to_write() {
    for (rule, problem) in [
        (
            "{grpc: {service: shop.Cart}, path: /x}",
            "path: cannot stand beside grpc, which says it too (remove path, or write method and path without grpc)",
        ),
        ("{grpc: {service: shop.Cart}, method: GET}", "method: cannot stand beside grpc, which says it too"),
        (
            "{grpc: {service: shop/Cart}}",
            "grpc.service: \"shop/Cart\" is no name of a service (write service: package.Service",
        ),
        ("{grpc: {service: shop.Cart, method: \"*\"}}", "grpc.method: \"*\" is no name of a method"),
        ("{grpc: {method: Add}}", "grpc.service: is missing"),
    ] {
        let (code, _, err) = with_rule(rule)
            .ask("--direction ingress --peer app=client --port 80/TCP", &["--http", "POST /shop.Cart/Add"]);
        assert_eq!(code, 3, "{rule}");
        assert!(err.contains("policy.yaml:10:") && err.contains(problem), "{rule}: {err}");
    }
}

#[test]
fn an_item_of_two_names_is_one_rule_and_a_type_that_is_not_allowed_is_named() {
    let case = Case::new(POLICY);
    let dns = "--direction egress --peer k8s-app=kube-dns,io.kubernetes.pod.namespace=kube-system --port 53/UDP";
    let list = "egress[0].toPorts[0].rules.dns";
    for (name, number) in [("example.net", 0), ("api.example.com", 0), ("mail.example.org", 1)] {
        let (_, answer) = case.json(dns, &["--dns", name]);
        assert_eq!(answer["rule"], json!(format!("{list}[{number}]")), "{name}");
    }
    let (_, answer) = case.json(dns, &["--dns", "mail.example.org", "--qtype", "TXT"]);
    assert_eq!((&answer["predicate"], &answer["value"]), (&json!("qtype"), &json!("TXT")));
    let (code, _, error) = case.ask(dns, &["--dns", "example.net", "--qtype", "WHAT"]);
    assert_ne!(code, 0);
    assert!(error.contains("\"WHAT\" is no type of query"), "{error}");
}

#[test]
fn a_denial_names_rule_line_and_what_missed() {
    let case = Case::new(POLICY);
    let (code, answer) =
        case.json("--direction ingress --peer app=client --port 80/TCP", &["--http", "GET /other", "--host", "shop"]);
    let told = |name: &str| answer[name].clone();
    assert_eq!(code, 1);
    assert_eq!(told("policy"), "default/api");
    assert_eq!(told("rule"), "ingress[0].toPorts[0].rules.http[0]");
    assert_eq!((told("line"), told("reason"), told("how")), (json!(10), json!("no_match"), json!("reset")));
    assert_eq!((told("predicate"), told("value")), (json!("path"), json!("/other")));
    let (_, text, _) = case.ask("--direction ingress --peer app=client --port 81/TCP", &[]);
    for part in ["DENIED at L4", "its ports do not include 81", "policy.yaml:9:11", "the peer is inside"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn exit_codes_tell_a_wrong_question_from_a_wrong_document() {
    let case = Case::new(POLICY);
    let flow = "--direction ingress --peer app=client --port 80/TCP";
    for (question, more) in [
        (flow, &[][..]),
        (flow, &["--http", "GET"]),
        (flow, &["--sni", "a"]),
        ("--direction ingress --peer nobody --port 80/TCP", &[]),
        ("--direction ingress --peer app=client --port x", &[]),
        ("--direction up --peer app=client --port 80/TCP", &[]),
    ] {
        let (code, out, err) = case.ask(question, more);
        assert_eq!((code, out.as_str()), (2, ""), "{question} {more:?}: {err}");
        assert!(err.contains("error:"), "{err}");
    }
    let broken = Case::new(&POLICY.replace("role: produce", "role: eat"));
    let (code, answer) = broken.json(flow, &["--http", "GET /"]);
    assert_eq!((code, &answer["verdict"]), (3, &json!("error")));
    let (_, _, err) = broken.ask(flow, &["--http", "GET /"]);
    assert!(err.contains("policy.yaml:25:34") && err.contains("invalid Kafka Role \"eat\""), "{err}");
}

#[test]
fn a_question_without_an_answer_is_neither_yes_nor_no() {
    let case = Case::new(
        &(POLICY.to_owned()
            + "---\n{apiVersion: portcullis.io/v1, kind: Service, metadata: {name: empty},\n \
               spec: {vips: [10.96.0.9], ports: [{port: 443}], backends: []}}\n"),
    );
    let (code, out, err) = case.ask("--direction egress --peer 10.96.0.9 --port 443/TCP", &["--sni", "a.example.com"]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("the service at 10.96.0.9 has no backend") && err.contains("help:"), "{err}");

    let flow = "--endpoint app=web --direction ingress --peer app=client --port 22/TCP -o json";
    let directory = case.directory.path();
    let (missing, binary) = (directory.join("missing.yaml"), directory.join("binary.yaml"));
    std::fs::write(&binary, b"\xff\xfe").unwrap();
    for (path, wanted) in [(&missing, 2), (&binary, 3)] {
        let mut words = vec!["--policy", path.to_str().unwrap()];
        words.extend(flow.split_whitespace());
        let (code, out, err) = run(&words, "");
        assert_eq!(code, wanted, "{out}{err}");
        assert!(err.contains(&format!("cannot read {}", path.display())), "{err}");
        // A file that cannot be found is a wrong question; one that holds no text is a wrong document.
        let verdict = serde_json::from_str::<Value>(&out).map(|answer| answer["verdict"].clone()).ok();
        assert_eq!(verdict, (wanted == 3).then(|| json!("error")), "{out}");
    }
}

#[test]
fn protocols_without_ports_are_asked_by_name() {
    let case = Case::new(
        &POLICY
            .replacen("port: \"80\", protocol: TCP}]", "port: \"80\", protocol: TCP}, {protocol: VRRP}]", 1)
            .replacen("          rules: {http: [{method: GET, path: \"/api/.*\", headers: [X-Token]}]}\n", "", 1),
    );
    let client = |port: &str| format!("--direction ingress --peer app=client --port {port}");
    for (port, code) in [("VRRP", 0), ("0/vrrp", 0), ("GRE", 1), ("80/TCP", 0), ("80/VRRP", 2)] {
        let (found, _, err) = case.ask(&client(port), &["--enable-extended-ip-protocols"]);
        assert_eq!(found, code, "{port}: {err}");
    }
    assert_eq!(case.ask(&client("80/TCP"), &[]).0, 3, "the policy is refused without the flag");
    let (code, _, err) = Case::new(POLICY).ask(&client("VRRP"), &[]);
    assert!(code == 2 && err.contains("--enable-extended-ip-protocols"), "{err}");
}

#[test]
fn what_stands_beside_the_policies_counts_too() {
    let case = Case::new(
        "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
    - fromEndpoints: [{matchLabels: {k8s:io.cilium.k8s.namespace.labels.team: a}}]
      toPorts:
        - ports: [{port: http, protocol: TCP}]
          rules: {http: [{headerMatches: [{name: X-Token, secret: {name: token}}]}]}
  egress:
    - toServices: [{k8sService: {serviceName: db}}]
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: a}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: token}, stringData: {token: hush}}
---
{apiVersion: portcullis.io/v1, kind: Endpoint, metadata: {name: web, labels: {app: web}},
 spec: {addresses: [10.0.0.1], ports: [{name: http, port: 8080}]}}
---
{apiVersion: portcullis.io/v1, kind: Endpoint, metadata: {name: ops, namespace: ops, labels: {app: ops}},
 spec: {addresses: [10.0.0.2]}}
---
{apiVersion: portcullis.io/v1, kind: Endpoint, metadata: {name: db, labels: {app: db}}, spec: {addresses: [10.0.0.3]}}
---
{apiVersion: portcullis.io/v1, kind: Service, metadata: {name: db},
 spec: {vips: [10.96.0.1], ports: [{port: 5432}], backends: [10.0.0.3]}}
",
    );
    let header = |value: &'static str| ["--http", "GET /", "--header", value];
    for (question, more, verdict) in [
        ("--direction ingress --peer app=ops --port 8080/TCP", &header("X-Token: hush")[..], "allow"),
        ("--direction ingress --peer 10.0.0.2 --port 8080/TCP", &header("X-Token: hush"), "allow"),
        ("--direction ingress --peer app=ops --port 8080/TCP", &header("X-Token: guess"), "deny"),
        ("--direction ingress --peer app=ops --port 80/TCP", &[], "deny"),
        ("--direction ingress --peer app=db --port 8080/TCP", &[], "deny"),
        ("--direction egress --peer 10.96.0.1 --port 5432/TCP", &[], "allow"),
        ("--direction egress --peer app=db --port 5432/TCP", &[], "allow"),
        ("--direction egress --peer app=ops --port 5432/TCP", &[], "deny"),
    ] {
        let (_, answer) = case.json(question, more);
        assert_eq!(answer["verdict"], verdict, "{question} {more:?}: {answer}");
    }
}

/// The examples of the reference, each put where it belongs.
#[test]
fn every_example_of_the_reference_is_a_policy() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy.md")).unwrap();
    let examples: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 10, "{}", examples.len());
    for example in examples {
        let indented = |width: usize| {
            let pad = " ".repeat(width);
            example.lines().map(|line| format!("{pad}{line}\n")).collect::<String>()
        };
        let clusterwide = example.starts_with("nodeSelector");
        let port = if example.contains("dns:") { "53" } else { "80" };
        let spec = match example.split(':').next().unwrap() {
            "apiVersion" => String::new(),
            "endpointSelector" | "nodeSelector" => format!("{}  ingress: [{{}}]\n", indented(2)),
            "enableDefaultDeny" => format!("  endpointSelector: {{}}\n  ingress: [{{}}]\n{}", indented(2)),
            "ingress" => format!("  endpointSelector: {{}}\n{}", indented(2)),
            "toPorts" | "icmps" => format!("  endpointSelector: {{}}\n  egress:\n    -\n{}", indented(6)),
            "rules" => format!(
                "  endpointSelector: {{}}\n  egress:\n    - toPorts:\n        - ports: [{{port: \"{port}\", protocol: TCP}}]\n{}",
                indented(10)
            ),
            other => panic!("where does {other} belong?"),
        };
        let kind = if clusterwide { "CiliumClusterwideNetworkPolicy" } else { "CiliumNetworkPolicy" };
        let head = format!("apiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: example}}\nspec:\n");
        let document = if spec.is_empty() { example.to_owned() } else { head + &spec };
        let case = Case::new(&document);
        let question = "--direction ingress --peer entity:host --port 22/TCP --enable-extended-ip-protocols";
        let (code, _, err) = case.ask(question, &[]);
        assert_eq!(code, 0, "{document}\n{err}");
    }
}

/// As on a node: two versions of one policy are not united.
#[test]
fn a_policy_that_is_given_twice_is_refused() {
    let (code, _, err) =
        Case::new(&format!("{POLICY}---\n{POLICY}")).ask("--direction ingress --peer app=client --port 80/TCP", &[]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("metadata.name: \"api\" is given by") && err.contains("already"), "{err}");
}

#[test]
fn policies_of_kubernetes_are_united_with_ciliums() {
    let both = format!(
        "{POLICY}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: api}}\nspec:\n  podSelector: \
         {{matchLabels: {{app: web}}}}\n  ingress:\n    - from:\n        - podSelector: {{matchLabels: {{app: probe}}}}\n      \
         ports: [{{port: 9100}}]\n"
    );
    let case = Case::new(&both);
    let (_, told) = case.json("--direction ingress --peer app=probe --port 9100/TCP", &[]);
    assert_eq!((&told["verdict"], &told["policy"]), (&json!("allow"), &json!("networkpolicy:default/api")), "{told}");
    let (code, text, _) = case.ask("--direction ingress --peer app=probe --port 80/TCP", &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("networkpolicy:default/api") && text.contains("ingress[0].ports[0]"), "{text}");
}
