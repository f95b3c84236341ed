//! Lines that ask about a document, a pattern or a table instead of a flow.

use std::collections::BTreeMap;

use portcullis_codecs::{Registry, question::QuestionValues};
use portcullis_proxy::cli::explain::{
    peers::transport_of,
    traffic::{Traffic, ask},
};
use portcullis_rules::{
    explain::FlowQuestion,
    names,
    pattern::compile,
    settings::{Enforcement, PolicySettings},
    snapshot::Snapshot,
    world::Direction,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    case::{Input, Line, Peer, Pod},
    documents::{documents, policies},
    surroundings::Surroundings,
    told,
};

/// Answers a line that is not about a flow.
///
/// # Errors
/// It cannot be answered, and why; or what is wrong with the document.
pub(crate) fn answer(protocols: Registry, line: &Line) -> Result<Map<String, Value>, String> {
    match line.area.as_str() {
        "sanitize" => {
            let kind = line.input.get("kind").and_then(Value::as_str).unwrap_or_default();
            policies(protocols, &documents(&line.policy, kind)?, &PolicySettings::default())?;
            Ok(verdict("accept"))
        }
        "matchpattern" => pattern(protocols, line),
        "dns" if line.input.get("endpoint").is_some() => dns(protocols, line),
        "npds" => Err("not answered: messages of Cilium's xDS API".to_owned()),
        _ => Err("not answered: messages of Cilium's xDS API, and other operations".to_owned()),
    }
}

fn verdict(word: &str) -> Map<String, Value> {
    Map::from_iter([("verdict".to_owned(), word.into())])
}

/// A name against a pattern of `toFQDNs`.
fn pattern(protocols: Registry, line: &Line) -> Result<Map<String, Value>, String> {
    let selector: Value = serde_json::from_str(&line.policy).map_err(|error| error.to_string())?;
    let rule = json!({"endpointSelector": {}, "egress": [{"toFQDNs": [selector.clone()]}]});
    policies(protocols, &documents(&rule.to_string(), "")?, &PolicySettings::default())?;
    let Some(name) = line.input.get("name").and_then(Value::as_str) else { return Ok(verdict("accept")) };
    let text = |key: &str| selector.get(key).and_then(Value::as_str);
    let pattern = text("matchName").map(names::normal).or_else(|| text("matchPattern").map(str::to_owned));
    let regex = names::selector_regex(&pattern.ok_or("no pattern")?);
    let regex = compile(&regex).map_err(|error| error.to_string())?;
    Ok(verdict(if regex.is_match(name.to_lowercase().as_bytes()) { "allow" } else { "deny" }))
}

/// Patterns by endpoint, port and server; the server `*` is any, and no list means every name.
type Table = BTreeMap<String, BTreeMap<String, BTreeMap<String, Option<Vec<String>>>>>;

#[derive(Deserialize)]
struct Asked {
    endpoint: String,
    server_identity: String,
    port: u16,
    proto: String,
    qname: String,
}

/// A table of DNS rules as policies.
fn dns(protocols: Registry, line: &Line) -> Result<Map<String, Value>, String> {
    let table: Table = serde_json::from_str(&line.policy).map_err(|error| error.to_string())?;
    let asked = Asked::deserialize(&line.input).map_err(|error| error.to_string())?;
    let mut egress = Vec::new();
    for (port, servers) in table.get(&asked.endpoint).into_iter().flatten() {
        let (number, protocol) = port.split_once('/').ok_or_else(|| format!("{port:?} is no port"))?;
        for (server, patterns) in servers {
            let mut ports = json!({"ports": [{"port": number, "protocol": protocol}]});
            if let Some(patterns) = patterns {
                let kind = |text: &String| if text.contains('*') { "matchPattern" } else { "matchName" };
                let rules: Vec<Value> = patterns.iter().map(|text| json!({kind(text): text})).collect();
                ports["rules"] = json!({"dns": rules});
            }
            let mut element = json!({"toPorts": [ports]});
            if server != "*" {
                element["toEndpoints"] = json!([{"matchLabels": {"server": server}}]);
            }
            egress.push(element);
        }
    }
    if egress.is_empty() {
        egress.push(json!({}));
    }
    let rule = json!({"endpointSelector": {}, "egress": egress});
    let mut made = Surroundings::around(&Input::default())?;
    made.world.settings = PolicySettings { enforcement: Enforcement::Always, ..PolicySettings::default() };
    made.world.policies = policies(protocols, &documents(&rule.to_string(), "")?, &PolicySettings::default())?;
    let pod = |key: &str, value: &str| Pod {
        namespace: "default".to_owned(),
        labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        ..Pod::default()
    };
    let endpoint = made.subject(&pod("endpoint", &asked.endpoint));
    let peer = made.peer(&Peer::Pod(pod("server", &asked.server_identity)))?;
    let snapshot = Snapshot::compile(&made.world, 1);
    let transport = transport_of(&asked.proto)?;
    let (direction, port) = (Direction::Egress, asked.port);
    let question = FlowQuestion { endpoint, direction, transport, peer, port, requests: &[] };
    let protocol = protocols.find(&line.area).ok_or("not answered: no such protocol")?;
    let mut said = QuestionValues::default();
    if let Some(word) = protocol.question.as_ref().and_then(|question| question.words.first()) {
        said.push(word, &asked.qname);
    }
    let said = Traffic::read(protocol, &said)?;
    Ok(told(&ask(&made.world, &snapshot, question, Some(&said))?))
}
