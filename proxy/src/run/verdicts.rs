//! Delivers verdicts from the data plane to monitors over the API.

use std::sync::Arc;

use portcullis_config::{VerdictStream, proto};
use portcullis_listeners::telemetry::{DnsReply, EventField, EventParty, VerdictEvent, Watcher};
use portcullis_rules::{
    verdict::{Miss, OutcomeSet},
    world::Direction,
};

/// Verdicts that wait for one reader. A slow reader loses some, and learns how many.
const QUEUE: usize = 4096;

/// A stream of the verdicts that a request asks for.
#[must_use]
pub fn stream(telemetry: &portcullis_listeners::telemetry::Telemetry, request: proto::WatchRequest) -> VerdictStream {
    let watcher = telemetry.watch(QUEUE);
    Box::pin(futures_util::stream::unfold((watcher, request), next))
}

async fn next(
    (mut watcher, request): (Watcher, proto::WatchRequest),
) -> Option<(proto::Verdict, (Watcher, proto::WatchRequest))> {
    let mut missed = 0;
    loop {
        let (event, lost) = watcher.recv().await?;
        missed += lost;
        if is_asked_for(&event, &request) {
            return Some((proto::Verdict { lost: missed, ..verdict(&event) }, (watcher, request)));
        }
    }
}

fn is_asked_for(event: &VerdictEvent, request: &proto::WatchRequest) -> bool {
    let in_namespace =
        |party: &EventParty| party.endpoint.as_ref().is_some_and(|endpoint| *endpoint.namespace == *request.namespace);
    let outcomes = if request.denied_only { OutcomeSet::VIOLATIONS } else { OutcomeSet::ALL };
    outcomes.contains(event.outcome)
        && (request.protocol.is_empty() || request.protocol == event.protocol)
        && (request.namespace.is_empty() || in_namespace(&event.source) || in_namespace(&event.destination))
}

/// A verdict in the words of the API.
#[must_use]
pub fn verdict(event: &VerdictEvent) -> proto::Verdict {
    let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    let proto::Miss { predicate, pattern, value, .. } = event.misses.first().map(miss).unwrap_or_default();
    proto::Verdict {
        time: event.time,
        verdict: event.outcome.as_str().into(),
        layer: event.layer.as_str().into(),
        direction: match event.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
        .into(),
        protocol: event.protocol.into(),
        source: Some(party(&event.source)),
        destination: Some(party(&event.destination)),
        policy: text(&event.policy),
        rule: text(&event.rule),
        reason: event.reason.as_str().into(),
        predicate,
        pattern,
        value,
        http: (event.protocol == "http").then(|| request(event)),
        dns: (event.protocol == "dns").then(|| query(event)),
        fields: event.fields.iter().map(field).collect(),
        version: event.version.to_owned(),
        answer: event.reply.as_ref().map(answer),
        refused: u32::try_from(event.refused).unwrap_or(u32::MAX),
        misses: if event.refused > 0 { event.misses.iter().map(miss).collect() } else { Vec::new() },
        lost: 0,
        revision: event.generation,
        missing_headers: event.missing_headers.iter().map(missing).collect(),
        rejected_headers: event.rejected_headers.clone(),
    }
}

fn miss(miss: &Miss) -> proto::Miss {
    let rule = miss.rule.as_deref();
    proto::Miss {
        predicate: miss.predicate.clone(),
        pattern: miss.pattern.clone(),
        value: miss.value.clone(),
        policy: rule.map_or_else(String::new, |rule| (*rule.policy).to_owned()),
        rule: rule.map_or_else(String::new, |rule| (*rule.rule).to_owned()),
    }
}

fn missing((name, wanted): &(String, String)) -> proto::MissingHeader {
    proto::MissingHeader { name: name.clone(), wanted: wanted.clone() }
}

fn party(party: &EventParty) -> proto::Party {
    let endpoint = party.endpoint.as_ref();
    proto::Party {
        address: party.address.ip().to_string(),
        port: party.address.port().into(),
        endpoint: endpoint.map_or_else(String::new, |endpoint| format!("{}/{}", endpoint.namespace, endpoint.name)),
        labels: endpoint.map_or_else(Vec::new, |endpoint| endpoint.labels.iter().map(ToString::to_string).collect()),
    }
}

fn field(field: &EventField) -> proto::Field {
    let more = u32::try_from(field.more).unwrap_or(u32::MAX);
    proto::Field { name: field.name.to_owned(), value: field.value.clone(), more }
}

fn answer(reply: &DnsReply) -> proto::Answer {
    proto::Answer {
        status_name: reply.status_name.to_owned(),
        status: reply.shown.clone().into_owned(),
        addresses: reply.addresses.iter().map(ToString::to_string).collect(),
        more: u32::try_from(reply.more).unwrap_or(u32::MAX),
        held_us: reply.held.map(|held| u64::try_from(held.as_micros()).unwrap_or(u64::MAX)),
        replaced: !reply.passed,
    }
}

// Two protocols have messages of their own in the API, from before there were fields.

fn query(event: &VerdictEvent) -> proto::DnsQuery {
    let field = |name| event.field(name).unwrap_or_default().to_owned();
    let told = |reply: &DnsReply| {
        let proto::Answer { status, addresses, more, held_us, replaced, .. } = answer(reply);
        proto::DnsAnswer { rcode: status, addresses, more, held_us, replaced }
    };
    proto::DnsQuery { name: field("matchName"), r#type: field("qtype"), answer: event.reply.as_ref().map(told) }
}

fn request(event: &VerdictEvent) -> proto::HttpRequest {
    let field = |name| event.field(name).unwrap_or_default().to_owned();
    proto::HttpRequest {
        method: field("method"),
        host: field("host"),
        path: field("path"),
        version: event.version.into(),
    }
}
