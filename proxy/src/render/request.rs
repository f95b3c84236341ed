//! The request and the answer of a verdict. Older nodes report them only for HTTP and DNS, in messages of their own.

use std::borrow::Cow;

use portcullis_codecs::{Registry, ShownFields};
use portcullis_config::proto::{Answer, Verdict};
use serde_json::{Map, Value};

/// The fields of the request, by name.
pub(super) fn fields(verdict: &Verdict) -> ShownFields<'_> {
    let told = verdict.fields.iter().map(|field| (field.name.as_str(), field.value.as_str()));
    let http = verdict.http.iter().filter(|_| verdict.fields.is_empty());
    let http = http.flat_map(|http| [("method", &*http.method), ("path", &*http.path), ("host", &*http.host)]);
    let dns = verdict.dns.iter().filter(|_| verdict.fields.is_empty());
    let dns = dns.flat_map(|dns| [("matchName", &*dns.name), ("qtype", &*dns.r#type)]);
    ShownFields(told.chain(http).chain(dns).collect())
}

/// The answer, where the verdict is about one.
pub(super) fn answer(verdict: &Verdict) -> Option<Cow<'_, Answer>> {
    let older = || {
        let told = verdict.dns.as_ref()?.answer.as_ref()?;
        let (status, addresses) = (told.rcode.clone(), told.addresses.clone());
        let (more, held_us, replaced) = (told.more, told.held_us, told.replaced);
        Some(Cow::Owned(Answer { status_name: "rcode".into(), status, addresses, more, held_us, replaced }))
    };
    verdict.answer.as_ref().map(Cow::Borrowed).or_else(older)
}

/// The request in a few words, as its protocol has them; empty where there is none.
pub(super) fn line(verdict: &Verdict, protocols: Registry) -> String {
    let fields = fields(verdict);
    let mut line = match protocols.find(&verdict.protocol).and_then(|protocol| protocol.line) {
        _ if fields.0.is_empty() => String::new(),
        Some(line) => line(&fields),
        None => {
            let words = fields.0.iter().map(|(name, value)| format!("{name}={value}"));
            words.collect::<Vec<_>>().join(" ")
        }
    };
    let more: u32 = verdict.fields.iter().fold(0, |more, field| more.saturating_add(field.more));
    if more > 0 {
        line.push_str(&format!(" and {more} more"));
    }
    line
}

/// What the client gets instead of an answer that could not be used.
pub(super) fn failure(verdict: &Verdict, protocols: Registry) -> Cow<'static, str> {
    let statuses = protocols.find(&verdict.protocol).and_then(|protocol| protocol.statuses.as_ref());
    statuses.map_or(Cow::Borrowed("a failure"), |statuses| statuses.shown(statuses.failure))
}

/// The fields for scripts: a text each, or a list where one has several values; of those that are not shown, how many
/// `more` there are.
pub(super) fn map(verdict: &Verdict) -> Map<String, Value> {
    let mut map = Map::new();
    let mut more = Map::new();
    for field in &verdict.fields {
        match map.get_mut(&field.name) {
            None => drop(map.insert(field.name.clone(), field.value.as_str().into())),
            Some(Value::Array(values)) => values.push(field.value.as_str().into()),
            Some(first) => *first = Value::Array(vec![first.take(), field.value.as_str().into()]),
        }
        if field.more > 0 {
            more.insert(field.name.clone(), field.more.into());
        }
    }
    if !more.is_empty() {
        map.insert("more".to_owned(), more.into());
    }
    map
}
