//! Answers the questions of a generated corpus, one a line, in order, by the engine of `portcullis explain`. Each line has its
//! policies with it, and says in the corpus's own words what is asked.

mod case;
mod documents;
mod surroundings;
mod tables;
mod words;

use std::io::{self, BufRead, Write};

use portcullis_codecs::{
    Protocol, Registry,
    question::{QuestionValues, QuestionWord},
};
use portcullis_proxy::cli::explain::{
    peers::transport_of,
    traffic::{Traffic, ask, asked, written},
};
use portcullis_rules::{
    explain::{Explanation, FlowQuestion, How},
    settings::{Enforcement, PolicySettings},
    snapshot::Snapshot,
    world::{Direction, EndpointId, World},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    case::{Input, Line},
    documents::{documents, policies},
    surroundings::Surroundings,
};

pub use crate::words::places_of;

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

/// Answers each line. A line that cannot be answered is answered with an error.
///
/// # Errors
/// The lines cannot be read, or the answers not be written.
pub fn answer(protocols: Registry, lines: impl BufRead, answers: &mut impl Write) -> io::Result<()> {
    let mut waiting: Vec<Case> = Vec::new();
    for line in lines.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let case = Case::read(&line);
        // Lines about one world follow each other, and compiling it is most of the work.
        if waiting.first().is_some_and(|first| first.world != case.world) {
            answer_all(protocols, &std::mem::take(&mut waiting), answers)?;
        }
        waiting.push(case);
    }
    answer_all(protocols, &waiting, answers)
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

fn answer_all(protocols: Registry, cases: &[Case], answers: &mut impl Write) -> io::Result<()> {
    let mut scene: Option<Result<Scene, String>> = None;
    for case in cases {
        let answered = match &case.line {
            Err(error) => Err(error.clone()),
            Ok((line, _)) if !is_flow(line) => tables::answer(protocols, line),
            Ok((line, input)) => {
                let scene = scene.get_or_insert_with(|| Scene::new(protocols, cases));
                not_judged(line).and_then(|()| scene.as_ref().map_err(Clone::clone)?.answer(input, &line.input))
            }
        };
        let mut fields = answered.unwrap_or_else(|reason| {
            let mut fields = Map::new();
            fields.insert("verdict".to_owned(), "error".into());
            fields.insert("reason".to_owned(), reason.into());
            fields
        });
        fields.insert("id".to_owned(), case.id.clone());
        writeln!(answers, "{}", Value::Object(fields))?;
    }
    Ok(())
}

fn not_judged(line: &Line) -> Result<(), String> {
    let found = NOT_JUDGED.iter().find(|(key, _)| line.input.get(key).is_some());
    found.map_or(Ok(()), |(_, what)| Err(format!("not answered: {what}")))
}

/// The world of several lines, compiled.
struct Scene {
    protocols: Registry,
    world: World,
    snapshot: Snapshot,
    subject: EndpointId,
    peers: Vec<(case::Peer, std::net::IpAddr)>,
}

impl Scene {
    fn new(protocols: Registry, cases: &[Case]) -> Result<Self, String> {
        let mut inputs = cases.iter().filter_map(|case| case.line.as_ref().ok()).filter(|(line, _)| is_flow(line));
        let (line, first) = inputs.next().ok_or("no line")?;
        if first.config.get("enable-policy-secrets-sync") == Some(&Value::Bool(false)) {
            return Err("not answered: secrets that the agent reads itself".to_owned());
        }
        let mut made = Surroundings::around(first)?;
        let extended = first.config.get("enable-extended-ip-protocols").and_then(Value::as_bool);
        made.world.settings = PolicySettings {
            enforcement: enforcement(&first.enforcement)?,
            extended_ip_protocols: extended.unwrap_or_default(),
            ..PolicySettings::default()
        };
        made.world.policies = policies(protocols, &documents(&line.policy, &first.kind)?, &made.world.settings)?;
        let subject = made.subject(&first.subject());
        let mut peers = Vec::new();
        for input in std::iter::once(first).chain(inputs.map(|(_, input)| input)) {
            if let Ok(peer) = input.peer() {
                // One that cannot be placed is told when it is asked about.
                if let Ok(address) = made.peer(&peer) {
                    peers.push((peer, address));
                }
            }
        }
        let world = made.world;
        let snapshot = Snapshot::compile(&world, 1);
        Ok(Self { protocols, world, snapshot, subject, peers })
    }

    fn answer(&self, input: &Input, raw: &Value) -> Result<Map<String, Value>, String> {
        let peer = input.peer()?;
        let known = self.peers.iter().find(|(known, _)| *known == peer).map(|(_, address)| *address);
        let question = FlowQuestion {
            endpoint: self.subject,
            direction: if input.dir == "ingress" { Direction::Ingress } else { Direction::Egress },
            transport: transport_of(&input.proto)?,
            peer: known.ok_or_else(|| format!("{peer:?} cannot be a peer"))?,
            port: input.port,
            requests: &[],
        };
        let of = |said: Option<Traffic>| ask(&self.world, &self.snapshot, question, said.as_ref());
        let mut fields = told(&of(self.said(raw)?)?);
        let mut then = Vec::new();
        for next in input.same_connection.iter().chain(&input.then) {
            let Some(next) = following(raw, next) else { continue };
            then.push(verdict(&of(self.said(&next)?)?));
        }
        if !then.is_empty() {
            fields.insert("then".to_owned(), json!(then));
        }
        Ok(fields)
    }

    /// What the line's traffic is.
    fn said(&self, input: &Value) -> Result<Option<Traffic>, String> {
        let spoken = asked(self.protocols).map(|(protocol, words)| (protocol, words::places(protocol, words)));
        let said = spoken.filter(|(_, places)| {
            let first = places.first();
            first.is_some_and(|(_, place)| input.get(top(place)).is_some_and(|value| !value.is_null()))
        });
        Traffic::together(said.map(|(protocol, places)| read(protocol, &places, input)).collect::<Result<_, _>>()?)
    }
}

/// The key of a line that a place begins with.
fn top(place: &str) -> &str {
    place.split('.').next().unwrap_or_default()
}

/// What a line says in one protocol.
fn read(
    protocol: &'static Protocol,
    places: &[(&'static QuestionWord, &'static str)],
    input: &Value,
) -> Result<Traffic, String> {
    let mut said = QuestionValues::default();
    for (word, place) in places {
        let values: Vec<String> = input.get(top(place)).map_or_else(Vec::new, |value| {
            let all = written(top(place), value).into_iter();
            all.filter(|(at, _)| at == place).map(|(_, value)| value).collect()
        });
        if values.is_empty() && !word.many {
            said.push(word, "");
        }
        values.into_iter().for_each(|value| said.push(word, value));
    }
    Traffic::read(protocol, &said)
}

/// The input of a further request on the same connection: what it does not say is that of the first.
fn following(first: &Value, next: &Map<String, Value>) -> Option<Value> {
    let mut input = first.clone();
    let request = input.get_mut("request")?.as_object_mut()?;
    let said = next.iter().filter(|(_, value)| value.as_str() != Some(""));
    request.extend(said.map(|(name, value)| (name.clone(), value.clone())));
    Some(input)
}

fn enforcement(word: &str) -> Result<Enforcement, String> {
    match word {
        "" | "default" => Ok(Enforcement::Default),
        "always" => Ok(Enforcement::Always),
        "never" => Ok(Enforcement::Never),
        _ => Err(format!("unknown enforcement {word:?}")),
    }
}

fn verdict(answer: &Explanation) -> &'static str {
    answer.outcome.as_str()
}

/// The answer as fields of a line.
pub(crate) fn told(answer: &Explanation) -> Map<String, Value> {
    let relayed = answer.redirect.is_some();
    let at_datapath = match answer.how {
        How::Drop => "denied",
        _ if relayed => "redirected",
        _ => "allowed",
    };
    let [reset, respond] = words::refusals(answer.redirect);
    let how = match answer.how {
        How::Pass | How::Relay(_) => None,
        How::Drop => Some("drop"),
        How::Reset => Some(reset),
        How::Respond => Some(respond),
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
