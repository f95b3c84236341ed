//! A Kafka cluster in pods, the node that judges its traffic, and client pods.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Mutex,
    thread,
    time::Instant,
};

use portcullis_integration::{
    Lab, Need, Pod,
    documents::endpoint,
    kafka::{PORT, cache},
    node::Node,
    require,
};
use serde_json::{Value, json};

use crate::{
    authorizer::{self, Authorizer},
    broker::{Broker, CONTROLLER_PORT, SASL_PORT, Version, seconds},
    client::Client,
};

/// The Kubernetes namespace of everything.
const SHOP: &str = "shop";
/// How many stories go on at a time: each has a program of Java or Python.
const AT_A_TIME: usize = 3;

/// Whether this machine can do it.
pub(crate) fn able(version: Version) -> bool {
    let python = fs::read_dir(cache().join("venv/lib")).into_iter().flatten().flatten();
    let modules = python.map(|python| python.path().join("site-packages/aiokafka")).find(|path| path.exists());
    let set_up = [
        version.jars(),
        cache().join("kafka/client/KafkaClient.java"),
        modules.unwrap_or_else(|| cache().join("venv with aiokafka")),
    ];
    let paths = set_up.each_ref().map(|path| path.display().to_string());
    let programs = ["ip", "nft", "curl", "java", "kcat"].map(Need::Program);
    let others = [Need::Root, Need::Bpf, Need::Ipv6, Need::Portcullis];
    require(&[&others[..], &programs[..], &paths.each_ref().map(|path| Need::Path(path))].concat())
}

pub(crate) fn say(text: &str) {
    // Straight to the stream: the test harness hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "kafka: {text}");
}

/// Fields drop in this order: the laboratory last.
pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) brokers: Vec<Broker>,
    authorizer: Option<Authorizer>,
    pods: BTreeMap<String, Pod>,
    records: PathBuf,
    _lab: Lab,
}

impl Scene {
    /// With pods of clients, each labelled `app` with its name. Nobody may connect to a broker yet, but brokers.
    pub(crate) fn start(version: Version, brokers: usize, clients: &[&str]) -> Self {
        Self::start_with(version, brokers, clients, &json!({}))
    }

    /// With limits of Kafka's.
    pub(crate) fn start_with(version: Version, brokers: usize, clients: &[&str], limits: &Value) -> Self {
        let began = Instant::now();
        let mut lab = Lab::new().unwrap();
        let cluster: Vec<Pod> = (1..=brokers).map(|number| lab.pod(&format!("kafka-{number}")).unwrap()).collect();
        let members: Vec<&Pod> = cluster.iter().collect();
        let records = lab.node().directory().join("records.jsonl");
        let settings = json!({ "records": { "to": records, "only": "denied" }, "limits": { "kafka": limits } });
        let node = Node::start(&lab, &settings).unwrap();
        let pods: Vec<Pod> = clients.iter().map(|name| lab.pod(name).unwrap()).collect();
        let of_brokers = members.iter().map(|pod| endpoint(SHOP, pod, &[("app", "kafka")]));
        let of_clients = pods.iter().map(|pod| endpoint(SHOP, pod, &[("app", &pod.name)]));
        node.apply(&of_brokers.chain(of_clients).collect::<Vec<_>>()).unwrap();
        node.apply(&[among_brokers(&json!([{ "role": "broker" }]))]).unwrap();
        let mut started: Vec<Broker> = (1..=brokers).map(|number| Broker::start(version, number, &members)).collect();
        started.iter_mut().for_each(Broker::wait);
        let addresses: Vec<IpAddr> = members.iter().map(|pod| pod.v4.into()).collect();
        let authorizer = authorizer::judges().then(|| Authorizer::prepare(&started[0], &addresses));
        let pods = cluster.into_iter().chain(pods).map(|pod| (pod.name.clone(), pod)).collect();
        say(&format!("{brokers} of {version:?} after {}", seconds(began)));
        Self { node, brokers: started, authorizer, pods, records, _lab: lab }
    }

    pub(crate) fn pod(&self, name: &str) -> &Pod {
        &self.pods[name]
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.brokers[0]
    }

    /// What the node has told of denials.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.records).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Kafka's own clients in a pod.
    pub(crate) fn java(&self, name: &str) -> Client {
        Client::java(self.pod(name), &self.broker().bootstrap())
    }

    pub(crate) fn python(&self, name: &str, library: &str) -> Client {
        Client::python(self.pod(name), library, &self.broker().bootstrap())
    }

    /// Lets the clients of a pod make the requests of these rules at brokers.
    pub(crate) fn allow(&self, name: &str, rules: &Value) {
        if let Some(authorizer) = &self.authorizer {
            authorizer.allow(self.broker(), self.pod(name).v4.into(), rules);
        }
        self.node.apply(&[ingress(name, rules)]).unwrap();
    }

    /// The same by another policy, whose denials are resets.
    pub(crate) fn allow_or_reset(&self, name: &str, rules: &Value) {
        let mut policy = ingress(name, rules);
        policy["metadata"]["annotations"] = json!({ "portcullis.io/deny-with": "reset" });
        self.node.apply(&[policy]).unwrap();
    }

    /// Lets brokers ask this of each other, and no more.
    pub(crate) fn admit_brokers(&self, rules: &Value) {
        self.node.apply(&[among_brokers(rules)]).unwrap();
    }

    /// Lets the clients of a pod make requests that are allowed at brokers, and only what the rules of a policy of its own allow too.
    pub(crate) fn allow_to(&self, name: &str, egress: &Value, ingress: &Value) {
        if authorizer::judges() {
            let both: Vec<&Value> = list(egress).iter().filter(|rule| list(ingress).contains(rule)).collect();
            return self.allow(name, &json!(both));
        }
        self.allow(name, ingress);
        let to = json!([{ "toEndpoints": [{ "matchLabels": { "app": "kafka" } }], "toPorts": [judged(egress)] }]);
        let mut policy = policy(&format!("{name}-egress"), &json!([]));
        policy["spec"] = json!({ "endpointSelector": { "matchLabels": { "app": name } }, "egress": to });
        self.node.apply(&[policy]).unwrap();
    }
}

fn list(rules: &Value) -> &Vec<Value> {
    rules.as_array().unwrap()
}

/// The policy about one pod's clients at brokers.
pub(crate) fn ingress(name: &str, rules: &Value) -> Value {
    let port = judged(rules);
    policy(name, &json!([{ "fromEndpoints": [{ "matchLabels": { "app": name } }], "toPorts": [port] }]))
}

/// What brokers ask of each other, and of the controller.
fn among_brokers(rules: &Value) -> Value {
    let port = judged(rules);
    let controller = json!({ "ports": [{ "port": CONTROLLER_PORT.to_string(), "protocol": "TCP" }] });
    policy(
        "brokers",
        &json!([{ "fromEndpoints": [{ "matchLabels": { "app": "kafka" } }], "toPorts": [port, controller] }]),
    )
}

/// Kafka's ports, with rules if it is the node that judges.
fn judged(rules: &Value) -> Value {
    let ports = [PORT, SASL_PORT].map(|port| json!({ "port": port.to_string(), "protocol": "TCP" }));
    let mut port = json!({ "ports": ports });
    if !authorizer::judges() {
        port["rules"] = json!({ "kafka": rules });
    }
    port
}

fn policy(name: &str, ingress: &Value) -> Value {
    json!({
        "apiVersion": "portcullis.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": format!("kafka-{name}"), "namespace": SHOP },
        "spec": { "endpointSelector": { "matchLabels": { "app": "kafka" } }, "ingress": ingress },
    })
}

/// One of the stories of a scene: what it tells, and how.
pub(crate) type Story<S> = (&'static str, fn(&S));

/// Tells stories that do not disturb each other, some at a time; fails with all that fail.
pub(crate) fn tell<S: Sync>(scene: &S, stories: &[Story<S>]) {
    let wanted = env::var("PORTCULLIS_KAFKA_STORY").unwrap_or_default();
    let (left, failed) = (Mutex::new(stories.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    let Some((title, story)) = next else { return };
                    if !title.contains(&wanted) {
                        continue;
                    }
                    let began = Instant::now();
                    if let Err(cause) = catch_unwind(AssertUnwindSafe(|| story(scene))) {
                        let text = cause.downcast_ref::<String>().map(String::as_str);
                        let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("?");
                        failed.lock().unwrap().push(format!("{title}: {text}"));
                    }
                    say(&format!("{title}: {}", seconds(began)));
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} stories:\n{}", failed.len(), stories.len(), failed.join("\n"));
}
