//! The outcome of a test.

use portcullis_rules::{
    explain::How,
    verdict::{self, Layer, RuleInfo},
};
use serde::Serialize;

use super::{
    ask::{Asked, Told, ask},
    document::{self, Case, Expect},
    scene::Judge,
};

/// The tests of one document.
#[derive(Debug, Serialize)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) tests: Vec<TestOutcome>,
}

/// One test.
#[derive(Debug, Serialize)]
pub(super) struct TestOutcome {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) passed: bool,
    /// The question in one line.
    pub(super) question: String,
    /// What was expected, in words.
    pub(super) expected: String,
    /// What came of it, in words.
    pub(super) got: String,
    /// Why, line by line.
    pub(super) why: Vec<String>,
}

impl TestOutcome {
    pub(super) fn of(case: &Case, expect: &Expect, line: u32, asked: &Asked, judge: &Judge) -> Self {
        let outcome = |passed, got, why| Self {
            name: case.name.clone(),
            line,
            passed,
            question: asked.to_string(),
            expected: expected(expect),
            got,
            why,
        };
        let told = match ask(asked, judge) {
            Ok(told) => told,
            Err(reason) => return outcome(false, "no answer".to_owned(), vec![reason]),
        };
        let denial = told.iter().find(|told| !told.answer.outcome.passes());
        // What is expected of an allow may be said of either end.
        let deciding: Vec<&Told> = denial.map_or_else(|| told.iter().collect(), |denial| vec![denial]);
        let wanted = verdict::Outcome::from(expect.verdict);
        let passed =
            deciding.iter().all(|told| told.answer.outcome == wanted) && deciding.iter().any(|told| fits(expect, told));
        let got = deciding.iter().map(|told| got(told)).collect::<Vec<_>>().join("; ");
        let why = deciding.iter().flat_map(|told| why(told, judge)).collect();
        outcome(passed, got, why)
    }
}

fn fits(expect: &Expect, told: &Told) -> bool {
    let Expect { verdict: _, layer, policy, rule, reason, how } = expect;
    let answer = &told.answer;
    let decided = answer.rule.as_deref();
    let named = |wanted: &str, rule: &RuleInfo| {
        *rule.policy == *wanted || rule.policy.rsplit_once('/').is_some_and(|(_, name)| name == wanted)
    };
    layer.is_none_or(|layer| of_layer(layer) == answer.layer)
        && policy.as_ref().is_none_or(|wanted| decided.is_some_and(|rule| named(wanted, rule)))
        && rule.as_ref().is_none_or(|wanted| decided.is_some_and(|rule| rule.rule.starts_with(wanted.as_str())))
        && reason.as_ref().is_none_or(|wanted| wanted == answer.reason.as_str())
        && how.as_ref().is_none_or(|wanted| wanted == word(answer.how))
}

fn of_layer(layer: document::TestLayer) -> Layer {
    match layer {
        document::TestLayer::L3 => Layer::L3,
        document::TestLayer::L4 => Layer::L4,
        document::TestLayer::L7 => Layer::L7,
    }
}

fn word(how: How) -> &'static str {
    match how {
        How::Pass => "pass",
        How::Relay(_) => "relay",
        How::Drop => "drop",
        How::Reset => "reset",
        How::Respond => "respond",
    }
}

fn expected(expect: &Expect) -> String {
    let Expect { verdict, layer, policy, rule, reason, how } = expect;
    let mut text = verdict::Outcome::from(*verdict).as_str().to_owned();
    let layer = layer.map(|layer| of_layer(layer).as_str().to_ascii_lowercase());
    let parts = [("layer", &layer), ("policy", policy), ("rule", rule), ("reason", reason), ("how", how)];
    for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        text.push_str(&format!(", {name} {value}"));
    }
    text
}

fn got(told: &Told) -> String {
    let answer = &told.answer;
    let verdict = answer.outcome.as_str();
    let layer = answer.layer.as_str().to_ascii_lowercase();
    let mut text = format!(
        "{verdict} ({}), layer {layer}, reason {}, how {}",
        told.direction.as_str(),
        answer.reason.as_str(),
        word(answer.how)
    );
    if let Some(rule) = answer.rule.as_deref() {
        text.push_str(&format!(", policy {}, rule {}", rule.policy, rule.rule));
    }
    text
}

fn why(told: &Told, judge: &Judge) -> Vec<String> {
    let answer = &told.answer;
    let mut lines = Vec::new();
    if let Some(rule) = answer.rule.as_deref() {
        let word = if !answer.outcome.violates() {
            "allowed by"
        } else if !answer.misses.is_empty() {
            "nearest"
        } else {
            "denied by"
        };
        lines.push(format!("{word} {}", place(rule, judge)));
    }
    for miss in &answer.misses {
        let value = if miss.value.is_empty() { "nothing".to_owned() } else { format!("{:?}", miss.value) };
        lines.push(format!("{} is {value}, wanted {}", miss.predicate, miss.pattern));
    }
    lines.extend(told.near.iter().map(|near| format!("near {}: {}", place(&near.rule, judge), near.why)));
    if lines.is_empty() {
        lines.push(format!("{}: {}", told.direction.as_str(), answer.reason.as_str().replace('_', " ")));
    }
    lines
}

fn place(rule: &RuleInfo, judge: &Judge) -> String {
    let name = format!("{} {}", rule.policy, rule.rule);
    match judge.places.of(rule) {
        Some(place) => format!("{name} ({}:{}:{})", place.file, place.position.line, place.position.column),
        None => name,
    }
}
