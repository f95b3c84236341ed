//! Reads queries from the wire and presents them to the rules.

use std::borrow::Cow;

use portcullis_rules::{
    names,
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
};

use super::{
    QTYPE, SCHEMA, Violation, kind,
    name::Text,
    wire::{DnsHeader, IN, Opt, ResourceRecord, WireQuestion},
};

/// A query as the rules see it.
#[derive(Clone, Debug)]
pub struct DnsQuestion<'n> {
    name: Cow<'n, str>,
    kind: u16,
    exchange: u32,
}

impl DnsQuestion<'static> {
    /// A query for the addresses (type A) of a name, with or without its final dot.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: Cow::Owned(names::normal(name)), kind: kind::A, exchange: 0 }
    }
}

impl DnsQuestion<'_> {
    /// The same query of another type, by its number ([`kind::number`]).
    #[must_use]
    pub fn of_type(self, kind: u16) -> Self {
        Self { kind, ..self }
    }

    /// The name in its normal form.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the type.
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.kind
    }
}

impl Request for DnsQuestion<'_> {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        FieldValue::Value(match kind::word(self.kind) {
            _ if field != QTYPE => Cow::Borrowed(self.name.as_bytes()),
            Cow::Borrowed(word) => Cow::Borrowed(word.as_bytes()),
            Cow::Owned(word) => Cow::Owned(word.into_bytes()),
        })
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        // Two fields look at the name; it is shown once.
        match self.field(field, "") {
            FieldValue::Value(value) if field != super::MATCH_PATTERN => Some(value),
            _ => None,
        }
    }

    fn exchange(&self) -> u32 {
        self.exchange
    }
}

/// A query on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct WireQuery<'m> {
    pub(super) id: u16,
    pub(super) question: WireQuestion<'m>,
    pub(super) opt: Option<Opt<'m>>,
}

impl<'m> WireQuery<'m> {
    /// Reads a query. It has exactly one question, no records but an OPT and a signature, and nothing behind.
    pub(super) fn read(message: &'m [u8]) -> Result<Self, Violation> {
        let header = DnsHeader::read(message)?;
        match header {
            _ if header.is_answer() => return Err(Violation::NotAQuery),
            _ if header.opcode() != 0 => return Err(Violation::Opcode),
            _ if header.is_truncated() => return Err(Violation::TruncatedQuery),
            _ if header.has_reserved_bit() => return Err(Violation::ReservedBit),
            _ if header.questions != 1 => return Err(Violation::QuestionCount),
            _ if header.answers != 0 || header.authorities != 0 => return Err(Violation::Records),
            _ => {}
        }
        let question = WireQuestion::read(message)?;
        let (opt, end) = additionals(message, question.end(), header.additionals)?;
        if end != message.len() {
            return Err(Violation::Trailing);
        }
        if question.class != IN {
            return Err(Violation::Class);
        }
        if matches!(question.kind, kind::AXFR | kind::IXFR) {
            return Err(Violation::Transfer);
        }
        Ok(Self { id: header.id, question, opt })
    }

    /// Shows it to the rules.
    pub(super) fn show<T>(&self, exchange: u32, show: impl FnOnce(&DnsQuestion<'_>) -> T) -> T {
        let mut text = Text::default();
        let name = Cow::Borrowed(self.question.name.text(&mut text));
        show(&DnsQuestion { name, kind: self.question.kind, exchange })
    }
}

/// Reads the additional section of a query: at most one OPT, then at most one signature. Also gives the place behind.
fn additionals(message: &[u8], mut at: usize, count: u16) -> Result<(Option<Opt<'_>>, usize), Violation> {
    let (mut opt, mut signed) = (None, false);
    for _ in 0..count {
        let (record, end) = ResourceRecord::read(message, at).map_err(|_| Violation::Additional)?;
        match record.kind {
            _ if signed => return Err(Violation::Additional),
            kind::OPT if opt.is_none() && record.is_of_root(message) => opt = Some(Opt::read(&record)?),
            kind::TSIG => signed = true,
            // A SIG that covers no type signs the transaction (RFC 2931 §3).
            kind::SIG if record.data.starts_with(&[0, 0]) => signed = true,
            _ => return Err(Violation::Additional),
        }
        at = end;
    }
    Ok((opt, at))
}

/// Shows a query that stands in a message to the rules, as the relay does.
///
/// # Errors
/// What is wrong with the message.
pub fn with_query<T>(message: &[u8], show: impl FnOnce(&DnsQuestion<'_>) -> T) -> Result<T, Violation> {
    WireQuery::read(message).map(|query| query.show(0, show))
}
