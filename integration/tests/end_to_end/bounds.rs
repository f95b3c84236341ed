//! A node with a limit of 512 MiB gets policies that would need many times that.

use portcullis_integration::{
    Lab, Pod,
    curl::{RESET, curl},
    documents::{endpoint, policy},
    node::Node,
    servers::Httpbin,
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, able};

/// What the node may have, as its service manager would say it.
const LIMIT: [&str; 3] = ["prlimit", "--data=536870912", "--"];

/// Lets requests to the application pass whose path is one of these.
fn paths(name: &str, paths: &[String]) -> Value {
    let rules: Vec<_> = paths.iter().map(|path| json!({ "path": path })).collect();
    let ports = json!([{ "port": "80", "protocol": "TCP" }]);
    let ingress = json!([{ "toPorts": [{ "ports": ports, "rules": { "http": rules } }] }]);
    policy(SHOP, name, &json!({ "endpointSelector": { "matchLabels": { "app": "app" } }, "ingress": ingress }))
}

/// Regular expressions that are a few bytes as they are written and half a MiB each when they are compiled.
fn large(name: &str, count: usize) -> Value {
    let all: Vec<_> = (0..count).map(|number| format!("/{name}{number}[^a]{{1000}}[^b]{{900}}x")).collect();
    paths(name, &all)
}

/// As [`large`] that are over their own limit as well, so that they are compiled in vain.
fn vain(count: usize) -> Value {
    let all: Vec<_> = (0..count).map(|number| format!("/{number}(([^a]{{100}}){{100}}){{100}}")).collect();
    paths("vain", &all)
}

/// Two thousand selectors that leave one pod out each, which is two thousand ways to be selected.
fn selectors() -> Value {
    let all_but = |number: u32| {
        let expression = json!({ "key": "pod", "operator": "NotIn", "values": [format!("p{number}")] });
        json!({ "matchExpressions": [expression] })
    };
    let from: Vec<_> = (0..2_000).map(|number| json!({ "fromEndpoints": [all_but(number)] })).collect();
    policy(SHOP, "selectors", &json!({ "endpointSelector": { "matchLabels": { "app": "other" } }, "ingress": from }))
}

fn judges(client: &Pod, app: &Pod, httpbin: &Httpbin) {
    for v6 in FAMILIES {
        let asked = |path: &str| curl(client, &[], &format!("http://{}{path}", app.address(v6, 80))).unwrap();
        assert_eq!(asked("/get").status, 200);
        assert_eq!(asked("/uuid").exit, RESET);
    }
    assert_eq!(httpbin.arrived("/uuid"), 0);
}

#[test]
fn policies_that_take_too_much_are_refused_by_name_and_the_node_outlives_them_and_its_restarts() {
    if !able() {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let [client, app] = ["client", "app"].map(|name| lab.pod(name).unwrap());
    let httpbin = Httpbin::start(&app).unwrap();
    let mut node = Node::start_by(&lab, &json!({}), &LIMIT).unwrap();
    node.apply(&[&client, &app].map(|pod| endpoint(SHOP, pod, &[("app", &pod.name)]))).unwrap();
    node.apply(&[paths("good", &["/get".to_owned()])]).unwrap();
    judges(&client, &app, &httpbin);

    let two_mebibytes: Vec<Value> = (0..4).map(|number| large(&format!("part{number}"), 10_000)).collect();
    let one_by_one: Vec<Value> = (0..10).map(|number| large(&format!("some{number}"), 40)).collect();
    let text = |documents: &[Value]| documents.iter().map(|one| format!("---\n{one}\n")).collect::<String>();
    for (name, documents) in [
        ("large", vec![large("large", 200)]),
        ("part3", two_mebibytes),
        ("some", one_by_one),
        ("vain", vec![vain(10_000)]),
    ] {
        let refused = node.cli_with(&["apply", "-f", "-"], &text(&documents)).unwrap();
        let told = refused.stdout + &refused.stderr;
        assert!(refused.code != Some(0) && told.contains(name), "{name}: {told}");
        assert!(told.contains("limits.compilation."), "it says what to do: {told}");
        node.process.alive().unwrap();
        judges(&client, &app, &httpbin);
    }
    let reason = |reason: &str| node.metric("portcullis_config_rejected_total", &[&format!("reason=\"{reason}\"")]);
    assert!(reason("policy_memory").unwrap() >= 6.0 && reason("memory").unwrap() >= 1.0);
    // What fits is in force, hostile or not.
    let kept = node.cli(&["get", "policy"]).unwrap().ok().unwrap().stdout;
    assert!(kept.contains("good") && kept.contains("some"), "{kept}");
    node.apply(&[selectors()]).unwrap();
    for _ in 0..3 {
        node.crash().unwrap();
        node.start_again().unwrap();
        judges(&client, &app, &httpbin);
        assert_eq!(node.status().unwrap()["policies"].as_u64().map(|count| count > 2), Some(true));
    }
}
