//! The request of a question, read by its protocol's codec.

use portcullis_codecs::{
    Protocol, Registry,
    question::{Said, Sample, Word},
};
use portcullis_rules::{
    explain::{Answer, How, Question, explain},
    snapshot::Snapshot,
    verdict::{Layer, Miss, Outcome, Reason},
    world::World,
};
use serde_json::Value;

/// A request of one protocol.
#[derive(Debug)]
pub struct Traffic {
    protocol: &'static Protocol,
    sample: Sample,
}

impl Traffic {
    /// A request of a protocol, from what was said of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(protocol: &'static Protocol, said: &Said) -> Result<Self, String> {
        let name = protocol.schema.protocol;
        let question = protocol
            .question
            .as_ref()
            .ok_or_else(|| format!("questions about requests of {name} are not supported"))?;
        Ok(Self { protocol, sample: (question.read)(said)? })
    }

    /// The request in a few words.
    pub(crate) fn shown(&self) -> &str {
        &self.sample.shown
    }

    /// The port where such requests are usually sent.
    pub(crate) fn usual_port(&self) -> &'static str {
        self.protocol.question.as_ref().map_or("", |question| question.usual_port)
    }
}

/// The protocols whose requests can be asked about, with the words for them.
pub fn asked(protocols: Registry) -> impl Iterator<Item = (&'static Protocol, &'static [Word])> {
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
/// The flow is judged by another protocol than that of the request.
pub fn ask(
    world: &World,
    snapshot: &Snapshot,
    question: Question<'_>,
    said: Option<&Traffic>,
) -> Result<Answer, String> {
    let flow = explain(world, snapshot, &question);
    let How::Relay(protocol) = flow.how else { return Ok(flow) };
    let Some(said) = said.filter(|said| said.protocol.schema.protocol == protocol) else {
        return Err(format!("requests of this flow are judged as {protocol}, and none was given"));
    };
    let mut answer = None;
    let shown = said.sample.show(&mut |request| {
        answer = Some(explain(world, snapshot, &Question { request: Some(request), ..question }));
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
    Ok(Answer { outcome: Outcome::Deny, layer, reason, how, misses, ..flow })
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
