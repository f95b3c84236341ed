//! Lines of the corpus: one question each, with everything that it is asked about.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One line.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    /// Copied to the answer.
    #[serde(default)]
    pub(crate) id: Value,
    /// What kind of question it is; `l3l4`, `http`, `dns` and the like ask about a flow.
    #[serde(default)]
    pub(crate) area: String,
    /// JSON: complete policies in a list, or a rule, or a list of rules in namespace `default`.
    pub(crate) policy: String,
    /// What is asked.
    pub(crate) input: Value,
}

/// Labels by key.
pub(crate) type Labels = BTreeMap<String, String>;

/// What is asked about a flow, but for what is said on it, which the protocols have words for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Input {
    pub(crate) kind: String,
    pub(crate) dir: String,
    pub(crate) subject: Option<Pod>,
    pub(crate) peer: Value,
    pub(crate) namespaces: BTreeMap<String, Labels>,
    pub(crate) dns_cache: BTreeMap<String, Vec<String>>,
    pub(crate) externals: Labels,
    pub(crate) enforcement: String,
    pub(crate) named_ports: BTreeMap<String, u16>,
    pub(crate) port: u16,
    pub(crate) proto: String,
    pub(crate) secrets: Labels,
    pub(crate) server: String,
    /// Further requests on the same connection: what each has other than the first.
    pub(crate) same_connection: Vec<Map<String, Value>>,
    pub(crate) then: Vec<Map<String, Value>>,
    pub(crate) config: Map<String, Value>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) named_ports: BTreeMap<String, u16>,
    pub(crate) service_account: String,
}

/// The other side.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    Pod(Pod),
    Ip(String),
    Entity(String),
}

impl Input {
    /// The peer. Short forms are `app=a,ns=other`, `world:ADDRESS`, `reserved:NAME` and `kube-dns`.
    pub(crate) fn peer(&self) -> Result<Peer, String> {
        if self.peer.is_object() {
            return Peer::deserialize(&self.peer).map_err(|error| format!("peer: {error}"));
        }
        let text = match &self.peer {
            Value::String(text) => text.as_str(),
            Value::Null if !self.server.is_empty() => &self.server,
            Value::Null => return Err("no peer".to_owned()),
            other => return Err(format!("peer {other} is of no known form")),
        };
        if text == "kube-dns" {
            let labels = Labels::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
            return Ok(Peer::Pod(Pod { namespace: "kube-system".to_owned(), labels, ..Pod::default() }));
        }
        if let Some(address) = text.strip_prefix("world:") {
            return Ok(Peer::Ip(address.to_owned()));
        }
        if let Some(entity) = text.strip_prefix("reserved:") {
            return Ok(Peer::Entity(entity.to_owned()));
        }
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Peer::Ip(text.to_owned()));
        }
        let mut pod = Pod { namespace: "default".to_owned(), ..Pod::default() };
        for pair in text.split(',') {
            match pair.split_once('=') {
                None => return Err(format!("peer {text:?} is of no known form")),
                Some(("ns", "same")) => {}
                Some(("ns", namespace)) => pod.namespace = namespace.to_owned(),
                Some((key, value)) => {
                    pod.labels.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        if self.dir == "egress" {
            pod.named_ports.clone_from(&self.named_ports);
        }
        Ok(Peer::Pod(pod))
    }

    /// The endpoint that is asked about.
    pub(crate) fn subject(&self) -> Pod {
        self.subject.clone().unwrap_or_else(|| Pod {
            namespace: "default".to_owned(),
            labels: Labels::from([("app".to_owned(), "server".to_owned())]),
            named_ports: self.named_ports.clone(),
            service_account: String::new(),
        })
    }
}
