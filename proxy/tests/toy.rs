//! A protocol that no product file names, from the settings and policies to the API and all commands: `toy`, one file
//! next to the tests of the codecs.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

#[path = "../../listeners/codecs/tests/toy/mod.rs"]
mod toy;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use portcullis_codecs::PROTOCOLS;
use portcullis_config::{documents, settings};
use portcullis_listeners::telemetry::{EventField, EventParty, VerdictEvent};
use portcullis_proxy::{
    cli::{self, exit::ExitStatus},
    output::{CommandOutput, Paint},
    render::verdict,
    run::verdicts,
};
use portcullis_rules::{
    settings::PolicySettings,
    verdict::{Layer, Miss, Outcome, Reason, RuleInfo},
    world::Direction,
};
use serde_json::{Value, json};
use toy::{LONGEST, WITH_TOY};

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: toys, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: box}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: child}}]
    toPorts:
    - ports: [{port: \"7070\", protocol: TCP}]
      rules:
        toy:
        - {verb: get, item: /a.*, tag: red}
        - {verb: get, item: /a.*, tag: blue}
";

const TESTS: &str = "\
apiVersion: portcullis.io/v1
kind: PolicyTest
metadata: {name: toys, namespace: shop}
spec:
  policies: [policy.yaml]
  endpoints:
    child: {labels: {app: child}}
    box: {labels: {app: box}}
  tests:
  - {name: in one word, from: child, to: box, toy: get /a1, expect: allow}
  - {name: in parts, from: child, to: box, toy: {verb: get, item: /a1, tags: [red, blue]}, expect: allow}
  - {name: another tag, from: child, to: box, toy: {verb: get, item: /a1, tags: [red, green]}, expect: {verdict: deny, layer: l7}}
";

/// Streams that are kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A directory with files.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(directory.path().join(name), text).unwrap());
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Runs a command of a binary that knows the toy: its exit, and what it says on both streams.
fn portcullis(words: &[&str]) -> (ExitStatus, String, String) {
    let (out, err) = (Kept::default(), Kept::default());
    let mut output = CommandOutput::to(Box::new(out.clone()), Box::new(err.clone()));
    let words = ["portcullis"].iter().chain(words).map(Into::into);
    let exit = cli::execute(WITH_TOY, words, &mut output);
    (exit, out.text(), err.text())
}

fn explain(policy: &str, more: &[&str]) -> (ExitStatus, Value, String) {
    let flow = "--direction ingress --endpoint app=box --peer app=child --port 7070/TCP -n shop -o json";
    let mut words = vec!["explain", "--policy", policy];
    words.extend(flow.split(' ').chain(more.iter().copied()));
    let (exit, out, err) = portcullis(&words);
    (exit, serde_json::from_str(&out).unwrap_or_default(), err)
}

#[test]
fn its_limits_are_settings() {
    let read = settings::parse("limits: {toy: {longestLine: 1KiB}}\n", &WITH_TOY.limits()).unwrap();
    assert_eq!(read.limits.protocols.of(&LONGEST), 1024);
    let problems = settings::parse("limits: {toy: {longestLine: 2MiB}}\n", &WITH_TOY.limits()).unwrap_err();
    assert!(problems[0].to_string().contains("limits.toy.longestLine: 2MiB is out of range"), "{problems:?}");
    assert!(settings::parse("limits: {toy: {longestLine: 1KiB}}\n", &PROTOCOLS.limits()).is_err());
}

#[test]
fn a_node_takes_policies_that_name_it() {
    let (settings, origin) = (PolicySettings::default(), "api");
    assert!(documents::read_policy(POLICY, origin, &WITH_TOY.live_schemas(), &settings).0.is_some());
    assert!(documents::read_policy(POLICY, origin, &PROTOCOLS.live_schemas(), &settings).0.is_none());
}

#[test]
fn explain_asks_in_its_words() {
    let files = Files::new(&[("policy.yaml", POLICY)]);
    let policy = files.path("policy.yaml");
    for (more, verdict, exit) in [
        (&["--toy", "get /a1"][..], "allow", ExitStatus::Ok),
        (&["--toy", "get /a1", "--tag", "red", "--tag", "blue"], "allow", ExitStatus::Ok),
        (&["--toy", "get /a1", "--tag", "red", "--tag", "green"], "deny", ExitStatus::Failed),
        (&["--toy", "put /a1"], "deny", ExitStatus::Failed),
    ] {
        let (found, answer, err) = explain(&policy, more);
        assert_eq!(
            (found, &answer["verdict"], &answer["layer"]),
            (exit, &json!(verdict), &json!("l7")),
            "{more:?} {err}"
        );
    }
    let (exit, _, err) = explain(&policy, &["--toy", "get"]);
    assert!(exit == ExitStatus::Usage && err.contains("is no VERB ITEM"), "{err}");
    let (exit, _, err) = explain(&policy, &["--http", "GET /"]);
    assert!(exit == ExitStatus::Usage && err.contains("judged as toy") && err.contains("--toy"), "{err}");
    let (_, help, _) = portcullis(&["explain", "--help"]);
    assert!(help.contains("--toy <'VERB ITEM'>"), "{help}");
    let (exit, _, err) = portcullis(&["explain", "--tag", "red"]);
    assert_eq!(exit, ExitStatus::Usage, "{err}");
}

#[test]
fn tests_of_policies_say_it() {
    let files = Files::new(&[("policy.yaml", POLICY), ("toys_test.yaml", TESTS)]);
    let (exit, out, err) = portcullis(&["test", &files.path("toys_test.yaml")]);
    assert_eq!(exit, ExitStatus::Ok, "{out}{err}");
    assert!(out.contains("3 tests: 3 passed, 0 failed"), "{out}");
    let unknown = TESTS.replace("toy: get /a1,", "toi: get /a1,");
    let files = Files::new(&[("policy.yaml", POLICY), ("toys_test.yaml", &unknown)]);
    let (exit, _, err) = portcullis(&["test", &files.path("toys_test.yaml")]);
    assert!(exit == ExitStatus::Invalid && err.contains("unknown field `toi`"), "{err}");
}

#[test]
fn lint_reads_its_rules() {
    let files = Files::new(&[("policy.yaml", POLICY)]);
    let (exit, out, err) = portcullis(&["lint", &files.path("policy.yaml")]);
    assert_eq!((exit, out.as_str()), (ExitStatus::Ok, "1 policy: nothing found\n"), "{err}");
    let wider = format!("{POLICY}        - {{verb: get}}\n");
    let files = Files::new(&[("policy.yaml", &wider)]);
    let (exit, out, err) = portcullis(&["lint", &files.path("policy.yaml")]);
    assert!(exit == ExitStatus::Failed && out.contains("PL202") && out.contains("rules.toy[0]"), "{out}{err}");
    let broken = POLICY.replacen("item: /a.*", "item: \"/a(\"", 1);
    let files = Files::new(&[("policy.yaml", &broken)]);
    let (exit, out, err) = portcullis(&["lint", &files.path("policy.yaml")]);
    assert!(exit == ExitStatus::Invalid && out.contains("PL001") && out.contains("rules.toy[0].item"), "{out}{err}");
}

/// What the data plane shows of a denied request; its own test holds that it does.
fn event() -> VerdictEvent {
    let party = |address: &str| EventParty { address: address.parse().unwrap(), endpoint: None };
    let field = |name, value: &str, more| EventField { name, value: value.to_owned(), more };
    let miss =
        |value: &str, rule| Miss { rule, predicate: "tag".into(), pattern: "red".into(), value: value.to_owned() };
    let nearest = Arc::new(RuleInfo { policy: "toys/p".into(), rule: "ingress[0].toPorts[0].rules.toy[0]".into() });
    VerdictEvent {
        time: 1_795_470_000_123_456_789,
        outcome: Outcome::Deny,
        layer: Layer::L7,
        direction: Direction::Ingress,
        protocol: "toy",
        source: party("10.0.1.11:40122"),
        destination: party("10.0.1.12:7070"),
        policy: None,
        rule: None,
        reason: Reason::NoMatch,
        misses: vec![miss("green", Some(nearest)), miss("blue", None)],
        refused: 3,
        missing_headers: Vec::new(),
        rejected_headers: Vec::new(),
        fields: vec![
            field("verb", "get", 0),
            field("item", "/a1", 0),
            field("tag", "red", 0),
            field("tag", "green", 3),
        ],
        reply: None,
        version: "",
        generation: 7,
    }
}

#[test]
fn the_api_and_the_monitor_show_all_of_it() {
    let told = verdicts::verdict(&event());
    assert_eq!((told.http.is_none(), told.dns.is_none()), (true, true));
    let fields: Vec<_> = told.fields.iter().map(|field| (&*field.name, &*field.value, field.more)).collect();
    assert_eq!(fields, [("verb", "get", 0), ("item", "/a1", 0), ("tag", "red", 0), ("tag", "green", 3)]);
    let line = verdict::line(WITH_TOY, &told, false, Paint(false));
    assert_eq!(
        line,
        "2026-11-23T21:40:00.123456Z xx toy from 10.0.1.11:40122 to 10.0.1.12:7070, ingress: Policy denied (L7) \
         verb=get item=/a1 tag=red tag=green and 3 more, no_match: tag is \"green\", wanted \"red\", and 2 more refused"
    );
    let object = serde_json::to_value(verdict::VerdictJson::from(&told)).unwrap();
    assert_eq!(object["fields"], json!({"verb": "get", "item": "/a1", "tag": ["red", "green"], "more": {"tag": 3}}));
    let green = json!({
        "predicate": "tag", "pattern": "red", "value": "green",
        "policy": "toys/p", "rule": "ingress[0].toPorts[0].rules.toy[0]",
    });
    let blue = json!({"predicate": "tag", "pattern": "red", "value": "blue"});
    assert_eq!(object["refused"], json!({"count": 3, "misses": [green, blue]}));
    let whole = VerdictEvent { refused: 0, ..event() };
    assert!(verdicts::verdict(&whole).misses.is_empty(), "it is denied as a whole, and the miss says why");
}
