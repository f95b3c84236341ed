//! gRPC calls: each gets its own verdict, whatever else its connection carries.

use portcullis_integration::documents::secret;
use serde_json::{Value, json};

use super::peers::{LIBRARIES, Library, Stage, able, echo, echo_by_path, egress, ingress, lines, origins};
use crate::scene::{FAMILIES, SHOP};

/// What a client is told of a denied call.
const DENIED: &str = "PERMISSION_DENIED: denied by network policy";

/// Each value of a story's answer begins with this.
fn all_are(told: &Value, wanted: &str) -> bool {
    all_are_of(told, &[wanted])
}

fn all_are_of(told: &Value, wanted: &[&str]) -> bool {
    let mut values = told.as_object().unwrap().values().filter_map(Value::as_str);
    values.all(|value| wanted.iter().any(|wanted| value.starts_with(wanted)))
}

#[test]
fn every_kind_of_call_passes_and_denied_ones_never_reach_the_server() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let servers = LIBRARIES.map(|library| stage.serve(library));
    // Twice on their way: where they leave the client and where they come to the application.
    stage.apply(&[ingress(&echo(), "respond"), egress(&echo_by_path(), "respond")]);
    for (server, log) in LIBRARIES.into_iter().zip(&servers) {
        for client in LIBRARIES {
            for v6 in FAMILIES {
                let to = stage.app.address(v6, server.port());
                let allowed = stage.tell(client, to, &["kinds", "lab.Echo"]);
                assert!(all_are(&allowed, "OK"), "{client:?} {server:?} {to}: {allowed}");
                let denied = stage.tell(client, to, &["kinds", "lab.Secret"]);
                assert!(all_are(&denied, DENIED), "{client:?} {server:?} {to}: {denied}");
            }
        }
        assert_eq!((lines(log, "call "), lines(log, "lab.Secret")), (24, 0), "{}", log.log());
        let (v4, v6) = (format!("{}:", stage.client.v4), format!("[{}]:", stage.client.v6));
        let from = origins(log, "lab.Echo");
        assert!(from.iter().all(|from| from.starts_with(&v4) || from.starts_with(&v6)), "{from:?}");
        assert_eq!(from.len(), 6, "a connection for each client: {from:?}");
    }
    // Without an answer.
    stage.apply(&[ingress(&echo(), "reset"), egress(&echo(), "reset")]);
    for client in LIBRARIES {
        let told = stage.tell(client, stage.app.address(true, Library::Go.port()), &["kinds", "lab.Secret"]);
        assert!(all_are(&told, "CANCELLED"), "{client:?}: {told}");
    }
    assert_eq!(lines(&servers[1], "lab.Secret"), 0, "{}", servers[1].log());
}

#[test]
fn calls_to_the_name_of_a_service_are_judged_and_reach_a_backend() {
    if !able() {
        return;
    }
    let mut stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Go);
    let service = stage.service("calls.shop", Library::Go);
    stage.apply(&[ingress(&echo(), "respond"), egress(&echo(), "respond")]);
    let names =
        [format!("calls.shop:{}", service.port), service.address(false).to_string(), service.address(true).to_string()];
    for client in LIBRARIES {
        for to in &names {
            let told = stage.tell(client, to, &["kinds", "lab.Echo"]);
            assert!(all_are(&told, "OK"), "{client:?} {to}: {told}");
            let told = stage.tell(client, to, &["kinds", "lab.Secret"]);
            assert!(all_are(&told, DENIED), "{client:?} {to}: {told}");
        }
    }
    assert_eq!((lines(&server, "call "), lines(&server, "lab.Secret")), (36, 0), "{}", server.log());
}

#[test]
fn a_hundred_calls_at_once_are_judged_one_by_one() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let servers = LIBRARIES.map(|library| stage.serve(library));
    for (deny_with, code) in [("respond", "PERMISSION_DENIED"), ("reset", "CANCELLED")] {
        stage.apply(&[ingress(&echo(), deny_with)]);
        for (client, server) in
            [(Library::Python, Library::Go), (Library::Go, Library::Tonic), (Library::Tonic, Library::Python)]
        {
            let told = stage.tell(client, stage.app.address(false, server.port()), &["crowd", "100"]);
            let denied = format!("lab.Secret {code}");
            assert_eq!(told, json!({ "lab.Echo OK": 50, denied: 50 }), "{client:?} {server:?}");
        }
    }
    for server in &servers {
        assert_eq!((lines(server, "call "), lines(server, "lab.Secret")), (100, 0), "{}", server.log());
        assert_eq!(origins(server, "Chat").len(), 2, "one connection a client: {}", server.log());
    }
    assert!((stage.verdicts("allow") - 300.0).abs() < 0.1 && (stage.verdicts("deny") - 300.0).abs() < 0.1);
}

#[test]
fn deadlines_and_cancellations_reach_the_server() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    stage.apply(&[ingress(&echo(), "respond")]);
    for server in LIBRARIES {
        let mut process = stage.serve(server);
        for client in LIBRARIES {
            let told = stage.tell(client, stage.app.address(true, server.port()), &["give-up"]);
            for (call, code) in [("deadline", "DEADLINE_EXCEEDED"), ("cancel", "CANCELLED"), ("after", "OK")] {
                assert!(told[call].as_str().unwrap().starts_with(code), "{client:?} {server:?} {call}: {told}");
            }
        }
        // Go tells the two ends apart, by its own clock.
        let ended = |log: &str| {
            let ends = log.lines().filter(|line| line.starts_with("end /lab.Echo/Wait "));
            ends.filter(|line| line.ends_with("CANCELLED") || line.ends_with("DEADLINE_EXCEEDED")).count()
        };
        process.until("six ends", |log| (ended(log) == 6).then_some(())).unwrap();
        assert_eq!(origins(&process, "lab.Echo").len(), 3, "a connection each: {}", process.log());
    }
}

#[test]
fn metadata_is_what_rules_about_headers_see() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Python);
    let mut rule = echo()[0].clone();
    rule["headers"] = json!(["x-tenant: a"]);
    let mut other = echo()[0].clone();
    other["headerMatches"] = json!([{ "name": "X-Token", "secret": { "namespace": SHOP, "name": "token" } }]);
    stage.apply(&[secret(SHOP, "token", "c2VjcmV0"), ingress(&json!([rule, other]), "respond")]);
    let story = ["metadata", "x-tenant=a", "x-tenant=b", "x-token=c2VjcmV0", "x-token=else"];
    let told = stage.tell(Library::Python, stage.app.address(false, Library::Python.port()), &story);
    let wanted = json!({
        "": DENIED, "x-tenant=a": "OK", "x-tenant=b": DENIED, "x-token=c2VjcmV0": "OK", "x-token=else": DENIED,
    });
    assert_eq!(told, wanted);
    assert_eq!(lines(&server, "call "), 2, "{}", server.log());
}

#[test]
fn a_denied_call_may_take_its_whole_connection() {
    if !able() {
        return;
    }
    let stage = Stage::new(&json!({}));
    let server = stage.serve(Library::Go);
    let mut policy = ingress(&echo(), "reset");
    policy["metadata"]["annotations"]["portcullis.io/deny-scope"] = json!("connection");
    stage.apply(&[policy]);
    for client in LIBRARIES {
        let to = stage.app.address(false, Library::Go.port());
        let told = stage.tell(client, to, &["kinds", "lab.Secret"]);
        // Each library has its own word for a connection that is lost.
        let lost = if client == Library::Tonic { &["UNKNOWN", "CANCELLED"][..] } else { &["UNAVAILABLE"] };
        assert!(all_are_of(&told, lost), "{client:?}: {told}");
        let told = stage.tell(client, to, &["kinds", "lab.Echo"]);
        assert!(all_are(&told, "OK"), "{client:?}: {told}");
    }
    assert_eq!(lines(&server, "lab.Secret"), 0, "{}", server.log());
}
