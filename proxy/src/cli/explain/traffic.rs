//! What is said on a flow, as its protocol's codec reads it.

use portcullis_codecs::{
    dns::{self, Query},
    http1,
    kafka::Message,
    tls::ClientHello,
};
use portcullis_rules::{
    explain::{Answer, How, Question, explain},
    request::Request,
    snapshot::Snapshot,
    verdict::{Layer, Reason},
    world::World,
};

/// A request of one protocol.
#[derive(Debug)]
pub(crate) enum Said {
    /// The head of a request, as bytes.
    Http(Vec<u8>),
    /// A query.
    Dns(Query<'static>),
    /// A ClientHello.
    Tls(ClientHello),
    /// A request.
    Kafka(Message),
}

impl Said {
    /// The name of its protocol.
    pub(crate) fn protocol(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Dns(_) => "dns",
            Self::Tls(_) => "tls",
            Self::Kafka(_) => "kafka",
        }
    }

    /// A request of HTTP/1.1 without a body.
    pub(crate) fn http<'a>(
        method: &str,
        target: &str,
        host: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        Self::Http(head.into_bytes())
    }
}

/// A query for a name, of a type by its word.
///
/// # Errors
/// There is no such type.
pub(crate) fn query(name: &str, kind: &str) -> Result<Query<'static>, String> {
    let number = dns::kind::number(kind);
    let number = number.ok_or_else(|| format!("{kind:?} is no type of query: write A, AAAA, TYPE65, ..."))?;
    Ok(Query::new(name).of_type(number))
}

/// Asks about a flow and what is said on it. What its protocol forbids is refused before any rule is asked.
///
/// # Errors
/// The flow is judged by another protocol than that of the request.
pub(crate) fn ask(
    world: &World,
    snapshot: &Snapshot,
    question: Question<'_>,
    said: Option<&Said>,
) -> Result<Answer, String> {
    let flow = explain(world, snapshot, &question);
    let How::Relay(protocol) = flow.how else { return Ok(flow) };
    let Some(said) = said.filter(|said| said.protocol() == protocol) else {
        return Err(format!("requests of this flow are judged as {protocol}, and none was given"));
    };
    let with = |request: &dyn Request| explain(world, snapshot, &Question { request: Some(request), ..question });
    Ok(match said {
        Said::Http(head) => match http1::with_head(head, with) {
            Ok(answer) => answer,
            Err(violation) => {
                let miss = portcullis_rules::verdict::Miss {
                    predicate: "(form)".to_owned(),
                    pattern: "what every server reads alike".to_owned(),
                    value: violation.to_string(),
                };
                let miss = Some(miss);
                Answer { allowed: false, layer: Layer::L7, reason: Reason::Ambiguous, how: How::Reset, miss, ..flow }
            }
        },
        Said::Dns(query) => with(query),
        Said::Tls(hello) => with(hello),
        Said::Kafka(message) => with(message),
    })
}
