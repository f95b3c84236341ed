//! One verdict, as monitors and records receive it.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use portcullis_rules::{
    verdict::{Layer, Miss, Outcome, Reason},
    world::{Direction, Endpoint},
};

/// One side of a flow.
#[derive(Clone, Debug)]
pub struct EventParty {
    /// Address and port. The port is 0 where it is not known.
    pub address: SocketAddr,
    /// Who has the address, if it is known.
    pub endpoint: Option<Arc<Endpoint>>,
}

/// What a server answered to a request that was allowed, where answers tell the addresses of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsReply {
    /// The protocol's number.
    pub status: i32,
    /// What the protocol calls such a number, such as `rcode`.
    pub status_name: &'static str,
    /// The number as it is shown.
    pub shown: Cow<'static, str>,
    /// The first of the addresses that it tells about the name that was asked for.
    pub addresses: Vec<IpAddr>,
    /// How many more there are.
    pub more: usize,
    /// How long it was held until they were in force; `None` if it did not have to be.
    pub held: Option<Duration>,
    /// Whether the client got it. If not, they were not in force in time, and it got a failure in its place.
    pub passed: bool,
}

/// One value of a field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventField {
    /// Name of the field in its protocol's schema.
    pub name: &'static str,
    /// The value as it stands in the request, of at most 2,048 bytes.
    pub value: String,
    /// How many more values the field has that are not shown. Only the last one that is shown says it.
    pub more: usize,
}

/// One verdict, or the answer to what one has allowed.
#[derive(Clone, Debug)]
pub struct VerdictEvent {
    /// Nanoseconds since 1970; of an answer, when it went on to the client.
    pub time: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The layer that decided.
    pub layer: Layer,
    /// Direction, seen from the endpoint whose policy was asked.
    pub direction: Direction,
    /// Name of the protocol's schema, or of the transport where no request was judged: `http`, `tcp`, `udp`.
    pub protocol: &'static str,
    /// Who connected.
    pub source: EventParty,
    /// Who was connected to. For a service, the backend that was drawn.
    pub destination: EventParty,
    /// The decisive policy as `namespace/name`.
    pub policy: Option<Arc<str>>,
    /// The decisive rule's path in the policy.
    pub rule: Option<Arc<str>>,
    /// Why.
    pub reason: Reason,
    /// The predicates that failed, for requests that are denied: one, or one for each of the first values that are refused.
    pub misses: Vec<Miss>,
    /// How many values of the request are refused, where it is denied for single values; else 0.
    pub refused: usize,
    /// Headers that rules missed, each with the value that was wanted: `[redacted]` if it comes from a secret. The
    /// request may be allowed all the same.
    pub missing_headers: Vec<(String, String)>,
    /// Headers whose values rules did not let through. The values are not shown: they may be secret.
    pub rejected_headers: Vec<String>,
    /// Fields of the request. A field with several values is there several times; headers are not among them.
    pub fields: Vec<EventField>,
    /// The answer, where this is about one. Everything else is that of the verdict, but for the time.
    pub reply: Option<DnsReply>,
    /// Version of the protocol as people write it; may be empty.
    pub version: &'static str,
    /// Generation of the snapshot that decided; 0 where there was none yet.
    pub generation: u64,
}

impl VerdictEvent {
    /// The first value of a field of the request by its name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| &*field.value)
    }
}
