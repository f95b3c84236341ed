//! Prints the answer for people and scripts.

use std::{collections::BTreeSet, io};

use portcullis_config::documents::offline::{Loaded, PolicyPositions};
use portcullis_rules::{
    effects::UnknownSecret,
    explain::{Explanation, FlowQuestion, How, NearMiss, near as near_misses},
    verdict::{Miss, Outcome, Reason, RuleInfo},
    world::World,
};
use serde_json::{Map, Value, json};

use crate::{
    cli::{
        exit::{ExitStatus, Failure},
        explain::arguments::ExplainArguments,
    },
    output::{CommandOutput, Style, plain},
    render::{Format, structured},
};

/// What was asked.
pub(super) struct QuestionText<'a> {
    pub(super) arguments: &'a ExplainArguments,
    /// What the peer is called.
    pub(super) peer: String,
    pub(super) near: Vec<NearMiss>,
}

/// Shows what is wrong with documents; tells whether one of them is refused.
pub(super) fn refused(loaded: &Loaded, format: Format, output: &mut CommandOutput) -> Result<bool, Failure> {
    let errors: Vec<_> = loaded.problems.iter().filter(|(_, problem)| !problem.warning).collect();
    for (file, problem) in &loaded.problems {
        let paint = output.paint_err;
        let (style, word) = if problem.warning { (Style::Warn, "warning:") } else { (Style::Bad, "error:") };
        output.say(format_args!("{} {}:{}", paint.style(style, word), plain(file), plain(&problem.to_string())));
    }
    if errors.is_empty() {
        return Ok(false);
    }
    let reasons: Vec<String> = errors.iter().map(|(file, problem)| format!("{file}:{problem}")).collect();
    let value = json!({"verdict": "error", "reason": reasons.join("; ")});
    if let Some(text) = structured(format, &value)? {
        output.text(&text)?;
    }
    Ok(true)
}

/// The failure of a question that has no answer, in the exit codes of questions: that of most failures is the answer no here.
/// Of a file that holds no text, scripts are told as of a document that is refused.
pub(super) fn unanswered(failure: Failure, format: Format, output: &mut CommandOutput) -> Failure {
    let Failure { exit, message, .. } = &failure;
    match exit {
        _ if message.is_empty() => failure,
        ExitStatus::Failed => Failure { exit: ExitStatus::Usage, ..failure },
        ExitStatus::Invalid => {
            let value = json!({"verdict": "error", "reason": message});
            let said = structured(format, &value).and_then(|text| Ok(text.map_or(Ok(()), |text| output.text(&text))?));
            said.err().unwrap_or(failure)
        }
        ExitStatus::Ok | ExitStatus::Usage => failure,
    }
}

/// The rules that came near, for a flow that is denied.
pub(super) fn near(world: &World, question: &FlowQuestion<'_>, answer: &Explanation) -> Vec<NearMiss> {
    if !answer.outcome.violates() || answer.reason == Reason::RuleDenies {
        Vec::new()
    } else {
        near_misses(world, question)
    }
}

/// Warns about unknown secrets. For secrets in `kept` the name is known but the value is not: if the result depends on
/// the value, there is no result. Returns whether that happened.
///
/// # Errors
/// The output cannot be written.
pub(super) fn undecided(
    answer: &Explanation,
    asked: &QuestionText<'_>,
    kept: &BTreeSet<String>,
    format: Format,
    output: &mut CommandOutput,
) -> Result<bool, Failure> {
    let unknown = &answer.effects.unknown;
    let names = |known: bool| -> BTreeSet<&str> {
        unknown.iter().map(|secret| &*secret.name).filter(|name| kept.contains(*name) == known).collect()
    };
    for name in names(false) {
        let paint = output.paint_err;
        let warning = paint.style(Style::Warn, "warning:");
        output.say(format_args!("{warning} there is no secret {}, so rules that name it match nothing", plain(name)));
    }
    let secrets = names(true);
    // A rule that matches without any secret allows, unless a header that it looks at might be another.
    let depends =
        |secret: &UnknownSecret| kept.contains(&*secret.name) && (secret.changes || answer.outcome.violates());
    if !unknown.iter().any(depends) {
        return Ok(false);
    }
    let value = json!({"verdict": "undecided", "layer": "l7", "reason": "secret", "secrets": secrets});
    match structured(format, &value)? {
        Some(text) => output.text(&text)?,
        None => {
            let word = output.paint.style(Style::Warn, "UNDECIDED").to_string();
            output.line(format_args!("{word} at L7: {}", question(asked)))?;
            let secrets: Vec<String> = secrets.into_iter().map(plain).collect();
            let secrets = secrets.join(", ");
            output
                .line(format_args!("  why:  it depends on a secret, whose value the node does not tell: {secrets}"))?;
        }
    }
    Ok(true)
}

/// Shows the answer.
pub(super) fn answer(
    answer: &Explanation,
    asked: &QuestionText<'_>,
    places: &PolicyPositions,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    match structured(format, &Value::Object(fields(answer, asked, places)))? {
        Some(text) => output.text(&text)?,
        None => text(answer, asked, places, output)?,
    }
    Ok(())
}

fn how(answer: &Explanation) -> String {
    match answer.how {
        How::Pass => "pass".to_owned(),
        How::Relay(protocol) => format!("relay {protocol}"),
        How::Drop => "drop".to_owned(),
        How::Reset => "reset".to_owned(),
        How::Respond => "respond".to_owned(),
    }
}

fn fields(answer: &Explanation, asked: &QuestionText<'_>, places: &PolicyPositions) -> Map<String, Value> {
    let rule = answer.rule.as_deref();
    let place = rule.and_then(|rule| places.of(rule));
    let place = place.as_ref();
    let miss = answer.misses.first();
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("verdict", answer.outcome.as_str().into());
    put("layer", answer.layer.as_str().to_ascii_lowercase().into());
    put("how", how(answer).into());
    put("policy", rule.map(|rule| rule.policy.to_string()).into());
    put("rule", rule.map(|rule| rule.rule.to_string()).into());
    put("file", place.map(|place| place.file.clone()).into());
    put("line", place.map(|place| place.position.line).filter(|line| *line > 0).into());
    put("reason", answer.reason.as_str().into());
    put("predicate", miss.map(|miss| miss.predicate.clone()).into());
    put("pattern", miss.map(|miss| miss.pattern.clone()).into());
    put("value", miss.map(|miss| miss.value.clone()).into());
    let near = |near: &NearMiss| {
        let place = places.of(&near.rule);
        let place = place.as_ref();
        json!({
            "policy": &*near.rule.policy,
            "rule": &*near.rule.rule,
            "file": place.map(|place| &place.file),
            "line": place.map(|place| place.position.line),
            "why": near.why,
        })
    };
    if answer.refused > 0 {
        let misses: Vec<Value> = answer.misses.iter().map(missed).collect();
        put("refused", json!({"count": answer.refused, "misses": misses}));
    }
    for (name, _) in rests(answer) {
        put(name, true.into());
    }
    put("near", asked.near.iter().map(near).collect());
    let effects = &answer.effects;
    if !effects.changed.is_empty() {
        let changed: Map<String, Value> =
            effects.changed.iter().map(|change| (change.name.clone(), json!(change.shown()))).collect();
        put("upstream_headers", changed.into());
    }
    fields
}

/// What one value failed at.
fn missed(miss: &Miss) -> Value {
    let rule = miss.rule.as_deref();
    json!({
        "policy": rule.map(|rule| &*rule.policy),
        "rule": rule.map(|rule| &*rule.rule),
        "predicate": miss.predicate,
        "pattern": miss.pattern,
        "value": miss.value,
    })
}

/// What is left of a request that is not allowed as a whole, and in which words.
fn rests(answer: &Explanation) -> impl Iterator<Item = (&'static str, &'static str)> {
    let part = answer.in_part.then_some(("in_part", "the request goes on without what is refused of it"));
    let filtered = answer.filtered.then_some(("filtered", "its answer is cut down to what the rules allow"));
    part.into_iter().chain(filtered)
}

/// A sentence for a reason.
fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::RuleAllows => "a rule allows it",
        Reason::NotEnforced => "no rule is enforced for this endpoint in this direction",
        Reason::LocalHost => "the node itself may always connect to its endpoints",
        Reason::NoRule => "no rule allows this peer on this port",
        Reason::RuleDenies => "a rule denies it",
        Reason::NoMatch => "rules judge the requests of this flow, and none allows this one",
        Reason::HostMismatch => "the address is allowed by its name, and the request is for another one",
        Reason::Tunnel => "a rule matches, but the request asks for a tunnel, and the rule does not mean one",
        Reason::Ambiguous => "two servers could read the request differently",
        Reason::UnknownEndpoint => "the endpoint is not known",
        Reason::NoBackend => "the service has no backend",
        Reason::NoMemory => {
            "a name allows it, and limits.compilation.memory leaves no memory for the rules of that address"
        }
        Reason::NoListener => "requests must be judged, but no listener is there to judge them",
    }
}

/// What was asked, in short.
fn question(asked: &QuestionText<'_>) -> String {
    let arguments = asked.arguments;
    let direction = if arguments.direction.is_ingress() { "ingress" } else { "egress" };
    let preposition = if direction == "ingress" { "from" } else { "to" };
    format!(
        "{direction} of {} {preposition} {}, port {}",
        plain(&arguments.endpoint),
        plain(&asked.peer),
        plain(&arguments.port),
    )
}

fn text(
    answer: &Explanation,
    asked: &QuestionText<'_>,
    places: &PolicyPositions,
    output: &mut CommandOutput,
) -> io::Result<()> {
    let paint = output.paint;
    let (style, word) = match answer.outcome {
        Outcome::Allow => (Style::Good, "ALLOWED"),
        Outcome::Deny => (Style::Bad, "DENIED"),
        Outcome::Audit => (Style::Warn, "AUDITED"),
    };
    let word = paint.style(style, word).to_string();
    output.line(format_args!("{word} at {} ({}): {}", answer.layer.as_str(), how(answer), question(asked)))?;
    output.line(format_args!("  why:  {}", sentence(answer.reason)))?;
    if let Some(rule) = answer.rule.as_deref() {
        let label = if !answer.outcome.violates() || answer.reason == Reason::RuleDenies { "rule" } else { "near" };
        output.line(format_args!("  {label}: {}", named(rule, places)))?;
    }
    misses(answer, places, output)?;
    for (_, rest) in rests(answer) {
        output.line(format_args!("  rest: {rest}"))?;
    }
    for change in &answer.effects.changed {
        output.line(format_args!("  sent: {} becomes {:?}", plain(&change.name), change.shown().join(", ")))?;
    }
    for near in &asked.near {
        output.line(format_args!("  near: {}", named(&near.rule, places)))?;
        output.line(format_args!("        {}", plain(&near.why)))?;
    }
    Ok(())
}

/// What failed, each below the rule that came nearest.
fn misses(answer: &Explanation, places: &PolicyPositions, output: &mut CommandOutput) -> io::Result<()> {
    let mut above = answer.rule.as_deref();
    for miss in &answer.misses {
        let rule = miss.rule.as_deref().filter(|rule| above != Some(*rule));
        if let Some(rule) = rule {
            output.line(format_args!("  near: {}", named(rule, places)))?;
            above = Some(rule);
        }
        let value = if miss.value.is_empty() { "nothing".to_owned() } else { format!("{:?}", miss.value) };
        output.line(format_args!(
            "        {} is {}, wanted {}",
            plain(&miss.predicate),
            plain(&value),
            plain(&miss.pattern)
        ))?;
    }
    if answer.refused > answer.misses.len() {
        let more = answer.refused - answer.misses.len();
        output.line(format_args!("        {more} more values are refused"))?;
    }
    Ok(())
}

/// A rule with its place.
fn named(rule: &RuleInfo, places: &PolicyPositions) -> String {
    let name = format!("{} {}", plain(&rule.policy), plain(&rule.rule));
    match places.of(rule) {
        Some(place) if place.position.line == 0 => format!("{name} ({})", plain(&place.file)),
        Some(place) => format!("{name} ({}:{}:{})", plain(&place.file), place.position.line, place.position.column),
        None => name,
    }
}
