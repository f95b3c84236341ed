//! DNS over UDP and TCP (RFC 1035, RFC 7766). Each query is read, judged by its name and type, and forwarded
//! unchanged. An answer is relayed unchanged if it matches an open query. It is read only as far as needed to find the
//! addresses of the name.

mod answer;
pub mod kind;
mod limits;
mod name;
mod outstanding;
mod query;
mod question;
pub mod rcode;
mod refusal;
mod session;
mod stream;
mod violation;
mod wire;

use portcullis_rules::{
    names,
    policy::Matcher,
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
};

pub use self::{
    answer::resolution,
    limits::Limits,
    query::{DnsQuestion, with_query},
    session::session,
    stream::relay,
    violation::{Violated, Violation},
};
use crate::protocol::{Live, Protocol, ShownFields};

/// The protocol.
pub static PROTOCOL: Protocol = Protocol {
    limits: &[Limits::SPECS],
    live: Some(Live {
        share: Live::nothing,
        relay: |context| relay(&Limits::of(context.limits)),
        session: Some(|context| session(&Limits::of(context.limits))),
        held: |_| stream::LONGEST_FRAME,
    }),
    statuses: Some(rcode::STATUSES),
    line: Some(line),
    question: Some(question::QUESTION),
    ..Protocol::new(&SCHEMA)
};

/// What DNS publishes to the rules (cilium pkg/policy/api/fqdn.go, pkg/fqdn/dnsproxy). `matchName` and `matchPattern` look
/// at the queried name in lower case with its final dot; a rule with both takes what either takes. `qtype` is ours: the
/// types that a rule is for.
pub static SCHEMA: Schema = Schema {
    protocol: "dns",
    fields: &[
        FieldSpec { name: "matchName", form: FieldForm::Words, checked: true },
        FieldSpec { name: "matchPattern", form: FieldForm::Words, checked: true },
        FieldSpec { name: "qtype", form: FieldForm::AnyOf, checked: true },
    ],
    nature: &ProtocolTraits {
        priority: 121,
        datagrams: true,
        ingress: false,
        exact_port: true,
        resolves: true,
        alternatives: true,
        read,
        ..ProtocolTraits::STREAM
    },
};

/// Type and name.
fn line(query: &ShownFields<'_>) -> String {
    format!("{} {}", query.first("qtype"), query.first("matchName"))
}

const MATCH_PATTERN: FieldIndex = FieldIndex(1);
const QTYPE: FieldIndex = FieldIndex(2);

fn read(field: FieldIndex, text: &str) -> Result<Option<Matcher>, String> {
    if field == QTYPE {
        let number = kind::number(text);
        let number = number.ok_or_else(|| format!("{text:?} is no type of query, such as A, AAAA or TYPE65"))?;
        return Ok(Some(Matcher::Exact(kind::word(number).into_owned())));
    }
    if let Some(fault) = names::fault(text, field == MATCH_PATTERN).filter(|_| !text.is_empty()) {
        return Err(format!("{}; {}", fault.message.trim_end_matches('.'), fault.remedy));
    }
    Ok(match text {
        // Cilium takes it, and no name fits.
        "" => Some(Matcher::Exact(String::new())),
        // Stars alone take whatever is asked, also what no host can be called.
        _ if names::is_everything(text) => None,
        _ => Some(Matcher::Name(names::normal(text))),
    })
}
