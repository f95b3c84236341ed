//! Verdicts as the monitor shows them: one line each.
//!
//! The line follows `cilium monitor --type policy --verbose`: an arrow (`->` egress, `<-` ingress, `xx` denied), the
//! protocol, both parties, the verdict, and why.

use std::fmt::Write as _;

use portcullis_codecs::Registry;
use portcullis_config::proto;
use portcullis_listeners::telemetry::rfc3339;
use portcullis_rules::verdict::Outcome;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    output::{Paint, Style, plain, quoted},
    render::request,
};

/// The line for people. `protocols` know how their requests read.
#[must_use]
pub fn line(protocols: Registry, verdict: &proto::Verdict, labels: bool, paint: Paint) -> String {
    // What this monitor does not know did not pass for all it can tell.
    let outcome = Outcome::from_word(&verdict.verdict).unwrap_or(Outcome::Deny);
    let style = style(outcome);
    let arrow = match (outcome.passes(), verdict.direction.as_str()) {
        (false, _) => paint.style(style, "xx"),
        (true, "egress") => paint.style(style, "->"),
        (true, _) => paint.style(style, "<-"),
    };
    let time = rfc3339(verdict.time);
    let mut line = format!("{} {arrow} {} from ", paint.style(Style::Faint, &time), plain(&verdict.protocol));
    party(&mut line, verdict.source.as_ref(), labels);
    line.push_str(" to ");
    party(&mut line, verdict.destination.as_ref(), labels);
    // Writing to a String cannot fail.
    let _ = write!(line, ", {}: ", plain(&verdict.direction));
    let asked = plain(&request::line(verdict, protocols));
    if let Some(answer) = request::answer(verdict) {
        answered(&mut line, &asked, &answer, &request::failure(verdict, protocols));
    } else if outcome.violates() {
        denial(&mut line, verdict, outcome, &asked, paint)
    } else {
        allowance(&mut line, verdict, &asked, paint)
    }
    headers(&mut line, verdict);
    line
}

fn style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Allow => Style::Good,
        Outcome::Deny => Style::Bad,
        Outcome::Audit => Style::Warn,
    }
}

/// The line that stands for verdicts that were lost before one, if any were.
#[must_use]
pub fn lost(verdict: &proto::Verdict, paint: Paint) -> Option<String> {
    let lost = verdict.lost;
    (lost > 0).then(|| format!("{} {lost} verdicts lost: this reader was too slow", paint.style(Style::Warn, "!!")))
}

fn party(line: &mut String, party: Option<&proto::Party>, labels: bool) {
    let Some(party) = party else { return line.push('?') };
    let address = socket(party);
    if party.endpoint.is_empty() {
        line.push_str(&address);
    } else {
        let _ = write!(line, "{} ({address})", plain(&party.endpoint));
    }
    if labels && !party.labels.is_empty() {
        let _ = write!(line, " [{}]", plain(&party.labels.join(" ")));
    }
}

fn socket(party: &proto::Party) -> String {
    match (party.address.contains(':'), party.port) {
        (_, 0) => plain(&party.address),
        (true, port) => format!("[{}]:{port}", plain(&party.address)),
        (false, port) => format!("{}:{port}", plain(&party.address)),
    }
}

fn allowance(line: &mut String, verdict: &proto::Verdict, asked: &str, paint: Paint) {
    let _ = write!(line, "{}", paint.style(Style::Good, "allowed"));
    said(line, asked);
    if verdict.policy.is_empty() {
        let _ = write!(line, ", {}", plain(&verdict.reason));
    } else {
        line.push_str(", ");
        rule(line, verdict);
    }
}

fn answered(line: &mut String, asked: &str, answer: &proto::Answer, failure: &str) {
    line.push_str("answered");
    said(line, asked);
    let _ = write!(line, " {}", plain(&answer.status));
    for address in &answer.addresses {
        let _ = write!(line, " {}", plain(address));
    }
    if answer.more > 0 {
        let _ = write!(line, " and {} more", answer.more);
    }
    if let Some(held) = answer.held_us {
        let _ = write!(line, ", held {}.{:03} ms", held / 1_000, held % 1_000);
    }
    if answer.replaced {
        let _ = write!(line, ", replaced by {failure}: its addresses were not installed in time");
    }
}

fn denial(line: &mut String, verdict: &proto::Verdict, outcome: Outcome, asked: &str, paint: Paint) {
    let word = if outcome.passes() { "audited" } else { "denied" };
    let words = format!("Policy {word} ({})", plain(&verdict.layer));
    let _ = write!(line, "{}", paint.style(style(outcome), &words));
    said(line, asked);
    let _ = write!(line, ", {}", plain(&verdict.reason));
    if !verdict.predicate.is_empty() {
        let _ = write!(line, ": {} ", plain(&verdict.predicate));
        match verdict.value.as_str() {
            "" => line.push_str("is absent"),
            value => line.push_str(&format!("is {}", quoted(value))),
        }
        let _ = write!(line, ", wanted {}", quoted(&verdict.pattern));
    }
    if verdict.refused > 1 {
        let _ = write!(line, ", and {} more refused", verdict.refused - 1);
    }
    if !verdict.policy.is_empty() {
        line.push_str(", ");
        rule(line, verdict);
    }
}

fn said(line: &mut String, asked: &str) {
    if !asked.is_empty() {
        let _ = write!(line, " {asked}");
    }
}

fn rule(line: &mut String, verdict: &proto::Verdict) {
    let _ = write!(line, "policy {}", plain(&verdict.policy));
    if !verdict.rule.is_empty() {
        let _ = write!(line, " rule {}", plain(&verdict.rule));
    }
}

fn headers(line: &mut String, verdict: &proto::Verdict) {
    for missing in &verdict.missing_headers {
        let _ = write!(line, ", header {} missing, wanted {}", plain(&missing.name), quoted(&missing.wanted));
    }
    for name in &verdict.rejected_headers {
        let _ = write!(line, ", header {} rejected", plain(name));
    }
}

/// One JSON object a line, for scripts. Fields that do not apply are left out.
#[derive(Debug, Serialize)]
pub struct VerdictJson<'a> {
    time: String,
    verdict: &'a str,
    layer: &'a str,
    direction: &'a str,
    protocol: &'a str,
    source: Option<PartyJson<'a>>,
    destination: Option<PartyJson<'a>>,
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    policy: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    miss: Option<MissJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<Dns<'a>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<ResponseJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_headers: Vec<Missing<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    rejected_headers: &'a [String],
    revision: u64,
    #[serde(skip_serializing_if = "super::is_zero")]
    lost: u64,
}

#[derive(Debug, Serialize)]
struct PartyJson<'a> {
    address: &'a str,
    port: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    endpoint: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    labels: &'a [String],
}

#[derive(Debug, Serialize)]
struct MissJson<'a> {
    predicate: &'a str,
    pattern: &'a str,
    value: &'a str,
}

/// The values of a request that are refused, as access records have them.
#[derive(Debug, Serialize)]
struct RefusedJson<'a> {
    count: u32,
    misses: Vec<RefusedValue<'a>>,
}

#[derive(Debug, Serialize)]
struct RefusedValue<'a> {
    #[serde(flatten)]
    miss: MissJson<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    policy: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    rule: &'a str,
}

impl<'a> From<&'a proto::Verdict> for RefusedJson<'a> {
    fn from(verdict: &'a proto::Verdict) -> Self {
        let value = |miss: &'a proto::Miss| RefusedValue {
            miss: MissJson { predicate: &miss.predicate, pattern: &miss.pattern, value: &miss.value },
            policy: &miss.policy,
            rule: &miss.rule,
        };
        Self { count: verdict.refused, misses: verdict.misses.iter().map(value).collect() }
    }
}

#[derive(Debug, Serialize)]
struct Missing<'a> {
    name: &'a str,
    wanted: &'a str,
}

#[derive(Debug, Serialize)]
struct Dns<'a> {
    name: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<DnsAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct DnsAnswer<'a> {
    rcode: &'a str,
    #[serde(flatten)]
    installed: Installed<'a>,
}

impl<'a> From<&'a proto::DnsAnswer> for DnsAnswer<'a> {
    fn from(answer: &'a proto::DnsAnswer) -> Self {
        let proto::DnsAnswer { rcode, addresses, more, held_us, replaced } = answer;
        Self { rcode, installed: Installed::new(addresses, *more, *held_us, *replaced) }
    }
}

#[derive(Debug, Serialize)]
struct ResponseJson<'a> {
    status_name: &'a str,
    status: &'a str,
    #[serde(flatten)]
    installed: Installed<'a>,
}

impl<'a> From<&'a proto::Answer> for ResponseJson<'a> {
    fn from(answer: &'a proto::Answer) -> Self {
        let proto::Answer { status_name, status, addresses, more, held_us, replaced } = answer;
        Self { status_name, status, installed: Installed::new(addresses, *more, *held_us, *replaced) }
    }
}

/// What an answer learned, and what became of it.
#[derive(Debug, Serialize)]
struct Installed<'a> {
    addresses: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<bool>,
}

impl<'a> Installed<'a> {
    fn new(addresses: &'a [String], more: u32, held_us: Option<u64>, replaced: bool) -> Self {
        Self { addresses, more: (more > 0).then_some(more), held_us, replaced: replaced.then_some(true) }
    }
}

#[derive(Debug, Serialize)]
struct Http<'a> {
    method: &'a str,
    host: &'a str,
    path: &'a str,
    version: &'a str,
}

impl<'a> From<&'a proto::Party> for PartyJson<'a> {
    fn from(party: &'a proto::Party) -> Self {
        Self { address: &party.address, port: party.port, endpoint: &party.endpoint, labels: &party.labels }
    }
}

impl<'a> From<&'a proto::Verdict> for VerdictJson<'a> {
    fn from(verdict: &'a proto::Verdict) -> Self {
        let missed = !verdict.predicate.is_empty();
        Self {
            time: rfc3339(verdict.time),
            verdict: &verdict.verdict,
            layer: &verdict.layer,
            direction: &verdict.direction,
            protocol: &verdict.protocol,
            source: verdict.source.as_ref().map(Into::into),
            destination: verdict.destination.as_ref().map(Into::into),
            reason: &verdict.reason,
            policy: &verdict.policy,
            rule: &verdict.rule,
            miss: missed.then_some(MissJson {
                predicate: &verdict.predicate,
                pattern: &verdict.pattern,
                value: &verdict.value,
            }),
            refused: (verdict.refused > 0).then(|| verdict.into()),
            http: verdict.http.as_ref().map(|http| Http {
                method: &http.method,
                host: &http.host,
                path: &http.path,
                version: &http.version,
            }),
            dns: verdict.dns.as_ref().map(|dns| Dns {
                name: &dns.name,
                r#type: &dns.r#type,
                answer: dns.answer.as_ref().map(Into::into),
            }),
            fields: request::map(verdict),
            version: &verdict.version,
            answer: verdict.answer.as_ref().map(Into::into),
            missing_headers: verdict
                .missing_headers
                .iter()
                .map(|missing| Missing { name: &missing.name, wanted: &missing.wanted })
                .collect(),
            rejected_headers: &verdict.rejected_headers,
            revision: verdict.revision,
            lost: verdict.lost,
        }
    }
}
