//! Writes a denial from its template.

use super::{
    asked::{RequestValue, Scope},
    template::{RefusedName, Template, TemplatePart},
};
use crate::kafka::{
    layout::{FieldKind, FieldMeaning},
    wire::{begin_frame, write_count, write_text_length},
};

/// Writes one answer.
#[derive(Debug)]
pub(super) struct ResponseWriter<'o> {
    version: i16,
    flexible: bool,
    /// The request has a transactional id.
    transaction: bool,
    /// Its [`FieldMeaning::CoordinatorKeyType`].
    coordinator: Option<i64>,
    /// What is said instead of what a template says.
    pub(super) instead: Option<(i16, &'static str)>,
    out: &'o mut Vec<u8>,
}

/// A kind of [`FieldMeaning::ResourceType`], and of [`FieldMeaning::CoordinatorKeyType`].
mod number {
    pub(super) const TOPIC: i64 = 2;
    pub(super) const GROUP: i64 = 32;
    pub(super) const TRANSACTION_KEY: i64 = 1;
    pub(super) const SHARE_KEY: i64 = 2;
}

impl<'o> ResponseWriter<'o> {
    /// Of an answer to this request.
    pub(super) fn new(version: i16, flexible: bool, request: Scope<'_>, out: &'o mut Vec<u8>) -> Self {
        let transaction = matches!(request.value(FieldMeaning::TransactionalId), Some(RequestValue::Text(_)));
        let coordinator = request.number(FieldMeaning::CoordinatorKeyType);
        Self { version, flexible, transaction, coordinator, instead: None, out }
    }

    /// The length of the frame, to be set later, the number and in flexible versions no tags. Returns the frame's place.
    pub(super) fn head(&mut self, number: [u8; 4]) -> usize {
        let begin = begin_frame(number, self.out);
        self.tags();
        begin
    }

    /// No throttle time.
    pub(super) fn throttle(&mut self) {
        self.number(FieldKind::Int32, 0);
    }

    pub(super) fn tags(&mut self) {
        if self.flexible {
            self.out.push(0);
        }
    }

    /// The fields of a structure, said of part of the request.
    pub(super) fn fields(&mut self, fields: &'static [Template], scope: Scope<'_>) {
        let version = self.version;
        let present = fields.iter().filter(|field| field.versions.contains(version));
        present.for_each(|field| self.field(field, scope));
        self.tags();
    }

    fn field(&mut self, field: &Template, scope: Scope<'_>) {
        match field.part {
            TemplatePart::Number(kind, value) => self.number(kind, value),
            TemplatePart::Text(text) => self.text(text.as_bytes()),
            TemplatePart::NullText => self.short(None),
            TemplatePart::Empty => self.long(Some(0)),
            TemplatePart::Null => self.long(None),
            TemplatePart::Missing => self.out.push(0xff),
            TemplatePart::Each(of, fields) => {
                let entries = scope.entries(of);
                self.long(Some(entries.clone().count()));
                entries.for_each(|entry| self.fields(fields, entry));
            }
            TemplatePart::Echo(of) => self.echo(scope.value(of), field.nullable.contains(self.version)),
            TemplatePart::Code(refused) => self.out.extend_from_slice(&self.refused(refused, scope).0.to_be_bytes()),
            TemplatePart::Message(refused) => match self.refused(refused, scope) {
                CLUSTER if refused == RefusedName::Altered => self.short(None),
                (_, message) => self.text(message.as_bytes()),
            },
        }
    }

    fn number(&mut self, kind: FieldKind, value: i64) {
        let bytes = value.to_be_bytes();
        let length = match kind {
            FieldKind::Bool | FieldKind::Int8 => 1,
            FieldKind::Int16 | FieldKind::Uint16 => 2,
            FieldKind::Int32 => 4,
            // The one that is said is that of nothing.
            FieldKind::Uuid => return self.out.extend_from_slice(&[0; 16]),
            _ => bytes.len(),
        };
        self.out.extend_from_slice(&bytes[bytes.len() - length..]);
    }

    fn echo(&mut self, said: Option<RequestValue<'_>>, nullable: bool) {
        match said {
            Some(RequestValue::Fixed(bytes)) => self.out.extend_from_slice(bytes),
            Some(RequestValue::Text(text)) => self.text(text),
            _ if nullable => self.short(None),
            _ => self.text(b""),
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.short(Some(text.len()));
        self.out.extend_from_slice(text);
    }

    fn short(&mut self, length: Option<usize>) {
        write_text_length(length, self.flexible, self.out);
    }

    pub(super) fn long(&mut self, count: Option<usize>) {
        write_count(count, self.flexible, self.out);
    }

    /// The error code and what Kafka says of it.
    fn refused(&self, refused: RefusedName, scope: Scope<'_>) -> (i16, &'static str) {
        if let Some(instead) = self.instead {
            return instead;
        }
        match refused {
            RefusedName::Resource | RefusedName::Altered => match scope.number(FieldMeaning::ResourceType) {
                Some(number::TOPIC) => TOPIC,
                Some(number::GROUP) => GROUP,
                _ => CLUSTER,
            },
            RefusedName::Coordinator => match self.coordinator {
                Some(number::TRANSACTION_KEY) => TRANSACTION,
                Some(number::SHARE_KEY) => CLUSTER,
                _ => GROUP,
            },
            RefusedName::Producer | RefusedName::Produce if self.transaction => TRANSACTION,
            RefusedName::Topic | RefusedName::Produce => TOPIC,
            RefusedName::Group => GROUP,
            RefusedName::Cluster | RefusedName::Producer => CLUSTER,
            RefusedName::Transaction => TRANSACTION,
            RefusedName::Token => (65, "Delegation Token authorization failed."),
        }
    }
}

/// Nothing was done about it, because of another.
pub(super) const ATTEMPTED: (i16, &str) = (55, "The server did not attempt to execute this operation.");
pub(super) const TOPIC: (i16, &str) = (29, "Topic authorization failed.");
const GROUP: (i16, &str) = (30, "Group authorization failed.");
const CLUSTER: (i16, &str) = (31, "Cluster authorization failed.");
const TRANSACTION: (i16, &str) = (53, "Transactional Id authorization failed.");
