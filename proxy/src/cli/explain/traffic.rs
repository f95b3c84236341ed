//! The request of a question, read by its protocol's codec.

use portcullis_codecs::{
    Protocol, Registry,
    question::{QuestionValues, QuestionWord, Sample},
};
use portcullis_rules::{
    explain::{Explanation, FlowQuestion, How, explain},
    request::Request,
    snapshot::Snapshot,
    verdict::{Layer, Miss, Outcome, Reason},
    world::World,
};
use serde_json::Value;

/// A request of one protocol, and what it is inside of.
#[derive(Debug)]
pub struct Traffic {
    protocol: &'static Protocol,
    sample: Sample,
    carrier: Option<Box<Traffic>>,
}

impl Traffic {
    /// A request of a protocol, from what was said of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(protocol: &'static Protocol, said: &QuestionValues) -> Result<Self, String> {
        let name = protocol.schema.protocol;
        let question = protocol
            .question
            .as_ref()
            .ok_or_else(|| format!("questions about requests of {name} are not supported"))?;
        Ok(Self { protocol, sample: (question.read)(said)?, carrier: None })
    }

    /// What is said on one flow: at most one request, and at most one of what carries another.
    ///
    /// # Errors
    /// There is more.
    pub fn together(all: Vec<Self>) -> Result<Option<Self>, String> {
        let (carriers, requests): (Vec<_>, Vec<_>) = all.into_iter().partition(Self::is_carrier);
        if carriers.len() > 1 || requests.len() > 1 {
            return Err("says several things at once".to_owned());
        }
        let (carrier, request) = (carriers.into_iter().next(), requests.into_iter().next());
        Ok(match request {
            Some(request) => Some(Self { carrier: carrier.map(Box::new), ..request }),
            None => carrier,
        })
    }

    /// Whether it carries another protocol.
    pub fn is_carrier(&self) -> bool {
        self.protocol.schema.is_carrier()
    }

    /// What of it a protocol reads.
    fn of(&self, protocol: &str) -> Option<&Self> {
        let carrier = self.carrier.as_deref();
        [Some(self), carrier].into_iter().flatten().find(|said| said.protocol.schema.protocol == protocol)
    }

    /// The request in a few words, with what carries it before it.
    pub(crate) fn shown(&self) -> String {
        match &self.carrier {
            Some(carrier) => format!("{}, {}", carrier.shown(), self.sample.shown),
            None => self.sample.shown.clone(),
        }
    }

    /// The port where such requests are usually sent.
    pub(crate) fn usual_port(&self) -> &'static str {
        let outermost = self.carrier.as_deref().unwrap_or(self);
        outermost.protocol.question.as_ref().map_or("", |question| question.usual_port)
    }

    /// Shows it as each of these protocols reads it, all at the same time; those before it are shown already.
    fn show(
        &self,
        protocols: &[&str],
        before: &[&dyn Request],
        then: &mut dyn FnMut(&[&dyn Request]),
    ) -> Result<(), String> {
        let Some((protocol, others)) = protocols.split_first() else {
            then(before);
            return Ok(());
        };
        let Some(said) = self.of(protocol) else {
            return Err(format!("requests of this flow are judged as {protocol}, and none was given"));
        };
        let mut inner = Ok(());
        said.sample.show(&mut |request| {
            let all: Vec<&dyn Request> = before.iter().copied().chain([request]).collect();
            inner = self.show(others, &all, then);
        })?;
        inner
    }
}

/// The protocols whose requests can be asked about, with the words for them.
pub fn asked(protocols: Registry) -> impl Iterator<Item = (&'static Protocol, &'static [QuestionWord])> {
    protocols.iter().filter_map(|protocol| Some((protocol, protocol.question.as_ref()?.words)))
}

/// What is written below a key, by the place of a word: a list is the same place several times, a mapping leads one place
/// deeper, and a mapping in a mapping is one `name: value` for each of its own.
#[must_use]
pub fn written(key: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().flat_map(|value| written(key, value)).collect(),
        Value::Object(map) if key.contains('.') => {
            let named = |(name, value): (&String, &Value)| {
                let values = written(key, value).into_iter();
                values.map(|(key, value)| (key, format!("{name}: {value}"))).collect::<Vec<_>>()
            };
            map.iter().flat_map(named).collect()
        }
        Value::Object(map) => map.iter().flat_map(|(name, value)| written(&format!("{key}.{name}"), value)).collect(),
        Value::String(text) => vec![(key.to_owned(), text.clone())],
        Value::Bool(_) | Value::Number(_) => vec![(key.to_owned(), value.to_string())],
    }
}

/// Asks about a flow and what is said on it. What its protocol forbids is refused before any rule is asked.
///
/// # Errors
/// The flow is judged by a protocol of which nothing is said, or nobody sees what is said.
pub fn ask(
    world: &World,
    snapshot: &Snapshot,
    question: FlowQuestion<'_>,
    said: Option<&Traffic>,
) -> Result<Explanation, String> {
    let flow = explain(world, snapshot, &question);
    let protocols: Vec<&str> = flow.plan.layers().map(|rules| rules.schema().protocol).collect();
    if let Some(missing) = protocols.iter().find(|protocol| said.is_none_or(|said| said.of(protocol).is_none())) {
        return Err(format!("requests of this flow are judged as {missing}, and none was given"));
    }
    let Some(said) = said.filter(|_| !protocols.is_empty()) else { return Ok(flow) };
    if said.carrier.is_some() && flow.plan.requests.is_some() && !flow.plan.terminates_tls {
        return Err("not answered: a request inside TLS that is not terminated".to_owned());
    }
    let mut answer = None;
    let shown = said.show(&protocols, &[], &mut |requests| {
        answer = Some(explain(world, snapshot, &FlowQuestion { requests, ..question }));
    });
    let value = match (shown, answer) {
        (Ok(()), Some(answer)) => return Ok(answer),
        (Ok(()), None) => String::new(),
        (Err(violation), _) => violation,
    };
    let misses = vec![Miss {
        rule: None,
        predicate: "(form)".to_owned(),
        pattern: "what every server reads alike".to_owned(),
        value,
    }];
    let (layer, reason, how) = (Layer::L7, Reason::Ambiguous, How::Reset);
    Ok(Explanation { outcome: Outcome::Deny, layer, reason, how, misses, ..flow })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::written;

    #[test]
    fn what_is_written_is_read_by_its_place() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(written("dns", &json!("a.test")), [pair("dns", "a.test")]);
        assert_eq!(
            written("kafka", &json!({"version": 3, "topics": ["a", "b"]})),
            [pair("kafka.topics", "a"), pair("kafka.topics", "b"), pair("kafka.version", "3"),]
        );
        assert_eq!(
            written("http", &json!({"headers": {"X-A": "b", "X-B": ["c", "d"]}, "host": null})),
            [pair("http.headers", "X-A: b"), pair("http.headers", "X-B: c"), pair("http.headers", "X-B: d"),]
        );
    }
}
