//! `explain --batch`: many questions, one a line, answered in order.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use portcullis_rules::{
    explain::{Answer, How, Question},
    settings::{Enforcement, Settings},
    snapshot::Snapshot,
    world::{Direction, EndpointId, World},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    case::{Http, Input, Line},
    documents::{documents, policies},
    tables,
    town::{Town, transport_of},
    traffic::{Said, ask},
};
use crate::{
    cli::exit::{Exit, Failure},
    output::Output,
};

/// Fields of an input that ask for more than the verdict of one flow.
const NOT_JUDGED: &[(&str, &str)] = &[
    ("policy_update_between", "two policies one after the other"),
    ("sequence", "a sequence"),
    ("streaming", "streaming"),
    ("messages", "streaming"),
    ("malformed", "malformed bytes"),
    ("fragments", "segments of TCP"),
    ("reply_bytes", "replies"),
    ("upstream", "a server that fails"),
    ("questions", "a malformed DNS message"),
    ("inflight", "limits of concurrency"),
];

/// Answers each line of a file, or of standard input for `-`.
///
/// # Errors
/// The file cannot be read, or the output not be written. A line that cannot be answered is answered with an error.
pub(crate) fn run(file: &Path, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let reader: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot read {}: {error}", file.display()), "is the path right?")
        })?;
        Box::new(BufReader::new(file))
    };
    let mut waiting: Vec<Case> = Vec::new();
    for line in reader.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let case = Case::read(&line);
        // Lines about one world follow each other, and compiling it is most of the work.
        if waiting.first().is_some_and(|first| first.world != case.world) {
            answer_all(std::mem::take(&mut waiting), settings, output)?;
        }
        waiting.push(case);
    }
    answer_all(waiting, settings, output)
}

/// One line, and what it shares with others.
struct Case {
    id: Value,
    line: Result<(Line, Input), String>,
    /// Equal for lines about one world.
    world: String,
}

impl Case {
    fn read(text: &str) -> Self {
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(error) => return Self { id: Value::Null, line: Err(error.to_string()), world: String::new() },
        };
        let shared = ["kind", "subject", "namespaces", "dns_cache", "externals", "enforcement", "secrets", "config"];
        let field = |name: &str| line.input.get(name).map(Value::to_string).unwrap_or_default();
        let mut world: String = shared.into_iter().flat_map(|name| [field(name), "\n".to_owned()]).collect();
        // Without a subject of its own, a line is a world by itself.
        if line.input.get("subject").is_none() {
            world.push_str(&line.id.to_string());
        }
        world.push_str(&line.policy);
        let id = line.id.clone();
        let read = match Input::deserialize(&line.input) {
            Ok(input) => Ok((line, input)),
            // Tables and other areas have inputs of their own.
            Err(_) if !is_flow(&line) => Ok((line, Input::default())),
            Err(error) => Err(format!("input: {error}")),
        };
        Self { id, line: read, world }
    }
}

/// Whether a line asks about a flow.
fn is_flow(line: &Line) -> bool {
    !matches!(line.area.as_str(), "sanitize" | "matchpattern" | "npds")
        && line.input.get("op").is_none()
        && line.input.get("endpoint").is_none()
}

fn answer_all(cases: Vec<Case>, settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let mut scene: Option<Result<Scene, String>> = None;
    for index in 0..cases.len() {
        let case = &cases[index];
        let answered = match &case.line {
            Err(error) => Err(error.clone()),
            Ok((line, _)) if !is_flow(line) => tables::answer(line, settings),
            Ok((line, input)) => {
                let scene = scene.get_or_insert_with(|| Scene::new(&cases, settings));
                not_judged(line).and_then(|()| scene.as_ref().map_err(Clone::clone)?.answer(input))
            }
        };
        let mut fields = answered.unwrap_or_else(|reason| {
            let mut fields = Map::new();
            fields.insert("verdict".to_owned(), "error".into());
            fields.insert("reason".to_owned(), reason.into());
            fields
        });
        fields.insert("id".to_owned(), case.id.clone());
        output.line(Value::Object(fields))?;
    }
    Ok(())
}

fn not_judged(line: &Line) -> Result<(), String> {
    let found = NOT_JUDGED.iter().find(|(key, _)| line.input.get(key).is_some());
    found.map_or(Ok(()), |(_, what)| Err(format!("not answered: {what}")))
}

/// The world of several lines, compiled.
struct Scene {
    world: World,
    snapshot: Snapshot,
    subject: EndpointId,
    peers: Vec<(super::case::Peer, std::net::IpAddr)>,
}

impl Scene {
    fn new(cases: &[Case], settings: &Settings) -> Result<Self, String> {
        let mut inputs = cases.iter().filter_map(|case| case.line.as_ref().ok()).filter(|(line, _)| is_flow(line));
        let (line, first) = inputs.next().ok_or("no line")?;
        if first.config.get("enable-policy-secrets-sync") == Some(&Value::Bool(false)) {
            return Err("not answered: secrets that the agent reads itself".to_owned());
        }
        let mut town = Town::around(first)?;
        let extended = first.config.get("enable-extended-ip-protocols").and_then(Value::as_bool);
        town.world.settings = Settings {
            enforcement: enforcement(&first.enforcement)?,
            extended_ip_protocols: extended.unwrap_or(settings.extended_ip_protocols),
            ..*settings
        };
        town.world.policies = policies(&documents(&line.policy, &first.kind)?, &town.world.settings)?;
        let subject = town.subject(&first.subject());
        let mut peers = Vec::new();
        for input in std::iter::once(first).chain(inputs.map(|(_, input)| input)) {
            if let Ok(peer) = input.peer() {
                // One that cannot be placed is told when it is asked about.
                if let Ok(address) = town.peer(&peer) {
                    peers.push((peer, address));
                }
            }
        }
        let world = town.world;
        let snapshot = Snapshot::compile(&world, 1);
        Ok(Self { world, snapshot, subject, peers })
    }

    fn answer(&self, input: &Input) -> Result<Map<String, Value>, String> {
        let peer = input.peer()?;
        let known = self.peers.iter().find(|(known, _)| *known == peer).map(|(_, address)| *address);
        let question = Question {
            endpoint: self.subject,
            direction: if input.dir == "ingress" { Direction::Ingress } else { Direction::Egress },
            transport: transport_of(&input.proto)?,
            peer: known.ok_or_else(|| format!("{peer:?} cannot be a peer"))?,
            port: input.port,
            request: None,
        };
        let of = |said: Option<&Said>| ask(&self.world, &self.snapshot, question, said);
        let said = self.said(input)?;
        let answer = of(said.as_ref())?;
        let mut fields = told(&answer);
        let mut then = Vec::new();
        for next in input.same_connection.iter().chain(&input.then) {
            let Some(request) = &input.request else { continue };
            let method = if next.method.is_empty() { &request.method } else { &next.method };
            let next = Http { method: method.clone(), path: next.path.clone(), ..request.clone() };
            then.push(verdict(&of(Some(&http(&next)))?));
        }
        if !then.is_empty() {
            fields.insert("then".to_owned(), json!(then));
        }
        Ok(fields)
    }
}

impl Scene {
    /// What the line's traffic is. A request inside of TLS is seen where some rule takes the TLS off.
    fn said(&self, input: &Input) -> Result<Option<Said>, String> {
        use portcullis_codecs::{dns::Query, kafka::Message, tls::ClientHello};
        let rules = self.world.policies.iter().flat_map(|policy| &policy.rules);
        let lists = rules.flat_map(|rule| [&rule.ingress, &rule.egress]).flatten().flatten();
        let terminated = lists.flat_map(|entry| entry.ports.iter().flatten()).any(|ports| ports.terminates_tls);
        Ok(if let Some(request) = &input.request {
            if input.sni.is_some() && !terminated {
                return Err("not answered: a request inside of TLS that nobody takes off".to_owned());
            }
            Some(http(request))
        } else if let Some(name) = &input.qname {
            Some(Said::Dns(Query::new(name)))
        } else if let Some(name) = &input.sni {
            Some(Said::Tls(ClientHello::new(name)))
        } else {
            let topics = input.topics.clone().unwrap_or_default();
            input.api_key.map(|key| Said::Kafka(Message::new(key, input.api_version, &input.client_id, topics)))
        })
    }
}

fn enforcement(word: &str) -> Result<Enforcement, String> {
    match word {
        "" | "default" => Ok(Enforcement::Default),
        "always" => Ok(Enforcement::Always),
        "never" => Ok(Enforcement::Never),
        _ => Err(format!("unknown enforcement {word:?}")),
    }
}

fn http(request: &Http) -> Said {
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &request.headers {
        match value {
            Value::String(value) => lines.push((name, value)),
            Value::Array(values) => lines.extend(values.iter().filter_map(Value::as_str).map(|value| (&**name, value))),
            _ => {}
        }
    }
    Said::http(&request.method, &request.path, &request.authority, lines)
}

fn verdict(answer: &Answer) -> &'static str {
    if answer.allowed { "allow" } else { "deny" }
}

/// The answer as fields of a line.
pub(crate) fn told(answer: &Answer) -> Map<String, Value> {
    let relayed = answer.redirect.is_some();
    let at_datapath = match answer.how {
        How::Drop => "denied",
        _ if relayed => "redirected",
        _ => "allowed",
    };
    let how = match (answer.how, answer.redirect) {
        (How::Pass | How::Relay(_), _) => None,
        (How::Drop, _) => Some("drop"),
        (_, Some("dns")) => Some("REFUSED"),
        (_, Some("tls")) => Some("rst"),
        (_, Some("kafka")) => Some("error 29"),
        (How::Reset, _) => Some("reset"),
        (How::Respond, _) => Some("403"),
    };
    let mut fields = Map::new();
    fields.insert("verdict".to_owned(), verdict(answer).into());
    fields.insert("l34".to_owned(), at_datapath.into());
    fields.insert("l7".to_owned(), answer.redirect.into());
    fields.insert("how".to_owned(), how.into());
    fields.insert("reason".to_owned(), answer.reason.as_str().into());
    if let Some(rule) = &answer.rule {
        fields.insert("policy".to_owned(), (&*rule.policy).into());
        fields.insert("rule".to_owned(), (&*rule.rule).into());
    }
    let effects = &answer.effects;
    if !effects.changed.is_empty() {
        let changed: Map<String, Value> =
            effects.changed.iter().map(|change| (change.name.clone(), json!(change.shown()))).collect();
        fields.insert("upstream_headers".to_owned(), changed.into());
    }
    let mut log = Map::new();
    for (name, list) in [("missing", &effects.missing), ("rejected", &effects.rejected)] {
        if !list.is_empty() {
            log.insert(name.to_owned(), json!(list));
        }
    }
    if !log.is_empty() {
        fields.insert("log".to_owned(), log.into());
    }
    fields
}
