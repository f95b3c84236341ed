//! `portcullis explain` against a node: the same engine, with what is in force there.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{process::Command, sync::Arc};

use portcullis_config::{
    ApiLimits, LocalEndpoint, NamesUpdates, NodeSink, NodeStatus as Running, SteeringFault, Store, StoreOptions,
    VerdictStream,
    documents::{DocumentContent, split},
    proto, serve,
};
use portcullis_rules::{
    params::FlowParams,
    settings::{Enforcement, PolicySettings},
    snapshot::Snapshot,
    world::EndpointId,
};
use serde_json::{Value, json};
use tokio::{net::UnixListener, sync::watch};

const RESOURCES: &str = "\
apiVersion: portcullis.io/v1
kind: Endpoint
metadata: {name: web-0, labels: {app: web}}
spec: {addresses: [10.0.0.1], networkNamespace: /run/netns/web-0}
---
apiVersion: portcullis.io/v1
kind: Service
metadata: {name: web}
spec: {vips: [10.96.0.1], ports: [{port: 8080, targetPort: 80}], backends: [10.0.0.1]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
    - fromCIDRSet: [{cidrGroupRef: office}]
      toPorts: [{ports: [{port: \"22\", protocol: TCP}]}]
    - fromEndpoints: [{matchLabels: {app: client}}]
      toPorts:
        - ports: [{port: \"80\", protocol: TCP}]
          rules:
            http:
              - {path: /open}
              - {path: /token, headerMatches: [{name: X-Token, secret: {name: token}}]}
              - {path: /lost, headerMatches: [{name: X-Token, secret: {name: lost}}]}
---
apiVersion: portcullis.io/v1
kind: NetworkPolicy
metadata: {name: client}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
    - toEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: \"80\", protocol: TCP}, {protocol: VRRP}]}]
    - toFQDNs: [{matchName: api.example.com}]
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: office}
spec: {externalCIDRs: [192.0.2.0/24]}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: hunter2}
";

/// Brings nothing anywhere.
struct Nowhere;

impl NodeSink for Nowhere {
    fn apply(&mut self, _: u64, _: Arc<Snapshot>, _: &[LocalEndpoint]) -> Vec<SteeringFault> {
        Vec::new()
    }
}

impl Running for Nowhere {
    fn status(&self) -> proto::StatusResponse {
        proto::StatusResponse::default()
    }

    fn state(&self, _: EndpointId) -> String {
        "steered".to_owned()
    }

    fn watch(&self, _: proto::WatchRequest) -> VerdictStream {
        Box::pin(tokio_stream::empty())
    }

    fn names(&self, request: &proto::ListNamesRequest) -> Vec<proto::LearntName> {
        assert!(request.selected_only, "all others are of no use");
        let address = proto::LearntAddress { address: "203.0.113.7".into(), expires: 0, origins: Vec::new() };
        vec![proto::LearntName { name: "api.example.com.".into(), addresses: vec![address], selected: true }]
    }

    fn follow_names(&self, _: proto::WatchNamesRequest) -> NamesUpdates {
        Box::pin(tokio_stream::empty())
    }

    fn never_open(&self) -> Vec<String> {
        vec!["198.51.100.0/24".to_owned()]
    }

    fn rejected(&self, _: &'static str, _: &'static str) {}
}

/// A store that serves its API.
struct Node {
    directory: tempfile::TempDir,
    store: Store,
    _stop: watch::Sender<bool>,
}

impl Node {
    async fn start(settings: PolicySettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            state_directory: directory.path().join("state"),
            resources: Vec::new(),
            params: FlowParams::default(),
            settings,
            schemas: portcullis_codecs::PROTOCOLS.live_schemas(),
        };
        let store = Store::open(options, Box::new(Nowhere), Arc::new(Nowhere)).unwrap();
        let listener = UnixListener::bind(directory.path().join("api.sock")).unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, store.clone(), Arc::new(Nowhere), ApiLimits::default(), stopped));
        let node = Self { directory, store, _stop: stop };
        node.apply(RESOURCES).await;
        node
    }

    async fn apply(&self, documents: &str) {
        let resource = |content| match content {
            Ok(DocumentContent::Resource(resource)) => *resource,
            other => panic!("{other:?}"),
        };
        let resources = split(documents).into_iter().map(|document| resource(document.content)).collect();
        let applied = self.store.apply(resources, false).await.unwrap();
        let accepted = |result: &proto::ResourceResult| result.outcome() == proto::Outcome::Accepted;
        assert!(applied.results.iter().all(accepted), "{:#?}", applied.results);
    }

    /// Exit code, standard output, standard error.
    async fn ask(&self, question: &str, more: &[&str]) -> (i32, String, String) {
        let server = format!("unix:{}", self.directory.path().join("api.sock").display());
        ask(&server, question, more).await
    }

    async fn json(&self, question: &str, more: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.ask(&format!("{question} -o json"), more).await;
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
    }
}

async fn ask(server: &str, question: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["explain", "--server", server]).args(question.split_whitespace()).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const CLIENT: &str = "--direction ingress --endpoint app=web --peer app=client --port 80/TCP";

#[tokio::test]
async fn the_answer_is_that_of_what_is_in_force_and_names_node_and_revision() {
    let settings = PolicySettings { extended_ip_protocols: true, ..PolicySettings::default() };
    let node = Node::start(settings).await;
    let outside = "--direction ingress --endpoint app=web --peer 192.0.2.7 --port 22";
    let egress = "--direction egress --endpoint app=client --peer";
    let table: &[(&str, &[&str], &str, &str)] = &[
        (CLIENT, &["--http", "GET /open"], "allow", "l7"),
        (CLIENT, &["--http", "GET /shut"], "deny", "l7"),
        (outside, &[], "allow", "l4"),
        (&outside.replace("192.0.2", "198.51.100"), &[], "deny", "l3"),
        // The service's port, and not the backend's.
        (&format!("{egress} 10.96.0.1 --port 8080"), &[], "allow", "l4"),
        (&format!("{egress} 10.96.0.1 --port 80"), &[], "deny", "l3"),
        (&format!("{egress} app=web --port VRRP"), &[], "allow", "l4"),
        (&format!("{egress} app=web --port GRE"), &[], "deny", "l4"),
        (&format!("{egress} fqdn:api.example.com --port 443"), &[], "allow", "l3"),
        // By a name that the node has learnt.
        (&format!("{egress} 203.0.113.7 --port 443"), &[], "allow", "l3"),
        (&format!("{egress} 203.0.113.8 --port 443"), &[], "deny", "l3"),
    ];
    for (question, more, verdict, layer) in table {
        let (code, answer) = node.json(question, more).await;
        assert_eq!((&answer["verdict"], &answer["layer"]), (&json!(verdict), &json!(layer)), "{question} {more:?}");
        assert_eq!(code, i32::from(*verdict == "deny"), "{question} {more:?}");
    }
    let (_, answer) = node.json(CLIENT, &["--http", "GET /shut"]).await;
    assert_eq!((&answer["policy"], &answer["file"]), (&json!("default/api"), &json!("api")));
    let (_, out, err) = node.ask(CLIENT, &["--http", "GET /open"]).await;
    assert!(out.contains("ALLOWED at L7"), "{out}");
    assert!(err.contains("api.sock, revision 2"), "{err}");
    node.apply(&RESOURCES.split("---\n").nth(2).unwrap().replace("/open", "/other")).await;
    let (code, _, err) = node.ask(CLIENT, &["--http", "GET /open"]).await;
    assert!(code == 1 && err.contains("revision 3"), "{err}");
}

#[tokio::test]
async fn what_depends_on_a_secret_is_undecided_by_name_and_all_else_is_decided() {
    let node = Node::start(PolicySettings { extended_ip_protocols: true, ..PolicySettings::default() }).await;
    let (code, answer) = node.json(CLIENT, &["--http", "GET /token", "--header", "X-Token: hunter2"]).await;
    assert_eq!((code, &answer["verdict"]), (2, &json!("undecided")));
    assert_eq!(answer["secrets"], json!(["default/token"]));
    let (code, out, err) = node.ask(CLIENT, &["--http", "GET /token", "--header", "X-Token: other"]).await;
    assert_eq!(code, 2);
    assert!(out.contains("UNDECIDED") && out.contains("default/token"), "{out}{err}");
    // Without the header, or on another path, its value does not matter.
    for request in ["GET /token", "GET /open"] {
        let (code, answer) = node.json(CLIENT, &["--http", request]).await;
        let denied = request == "GET /token";
        assert_eq!((code, &answer["verdict"]), (i32::from(denied), &json!(if denied { "deny" } else { "allow" })));
    }
    // A secret that the node has not got decides: no.
    let (code, out, err) = node.ask(CLIENT, &["--http", "GET /lost", "--header", "X-Token: a"]).await;
    assert!(code == 1 && out.contains("DENIED") && err.contains("there is no secret default/lost"), "{out}{err}");
}

#[tokio::test]
async fn the_nodes_own_settings_count_and_flags_go_before_them() {
    let settings =
        PolicySettings { enforcement: Enforcement::Always, extended_ip_protocols: true, ..PolicySettings::default() };
    let node = Node::start(settings).await;
    let nobody = "--direction ingress --endpoint app=nobody --peer app=client --port 80";
    let (code, _, err) = node.ask(nobody, &[]).await;
    assert!(code == 1 && err.contains("no endpoint there has these labels"), "{err}");
    assert_eq!(node.ask(nobody, &["--enforcement", "default"]).await.0, 0);
}

/// A node does not learn these, so nothing that it tells has them.
#[tokio::test]
async fn an_address_that_no_name_opens_is_denied_for_that_and_the_setting_is_named() {
    let node = Node::start(PolicySettings { extended_ip_protocols: true, ..PolicySettings::default() }).await;
    let to = |peer: &str| format!("--direction egress --endpoint app=client --peer {peer} --port 443/TCP");
    let near = |told: &Value| told["near"].to_string();
    for (peer, wanted) in [
        ("198.51.100.7", "fqdn.neverOpen"),
        ("64:ff9b::c633:6407", "fqdn.neverOpen"),
        ("127.0.0.1", "fqdn.neverOpen"),
        ("203.0.113.8", "it selects other peers"),
    ] {
        let (code, told) = node.json(&to(peer), &[]).await;
        assert!(code == 1 && near(&told).contains(wanted), "{peer}: {told}");
    }
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_no_answer() {
    let (code, out, err) = ask("unix:/nowhere/api.sock", CLIENT, &["--http", "GET /open"]).await;
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("cannot reach the node at /nowhere/api.sock") && err.contains("help:"), "{err}");
    let (code, _, err) = ask("unix:/nowhere/api.sock", CLIENT, &["--endpoints", "file.yaml"]).await;
    assert!(code == 2 && err.contains("--policy"), "documents are not mixed with the node's: {err}");
}
