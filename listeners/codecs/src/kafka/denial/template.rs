//! The data types of denial templates. [`super::table`] is generated from Kafka's own schema in this form.

use crate::kafka::layout::{FieldKind, FieldMeaning, Versions};

/// What is refused, which the error code tells (`org.apache.kafka.common.protocol.Errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusedName {
    /// Something with a topic.
    Topic,
    /// Something with a group.
    Group,
    /// Something with the cluster.
    Cluster,
    /// Something with a transactional id.
    Transaction,
    /// Something with a delegation token.
    Token,
    /// What the entry's [`FieldMeaning::ResourceType`] says.
    Resource,
    /// The same, where the broker has no words for what is of a broker itself.
    Altered,
    /// What the request's [`FieldMeaning::CoordinatorKeyType`] says.
    Coordinator,
    /// The transactional id if there is one, else the cluster.
    Producer,
    /// The transactional id if there is one, else the topic.
    Produce,
}

/// What is said in one field.
#[derive(Clone, Copy, Debug)]
pub(super) enum TemplatePart {
    /// A number, written as the kind is.
    Number(FieldKind, i64),
    /// A text.
    Text(&'static str),
    /// A text that is null.
    NullText,
    /// A list without entries, or bytes without any.
    Empty,
    /// A list or bytes that are null.
    Null,
    /// A structure that is null.
    Missing,
    /// An entry for each entry of the request's list of that meaning, or for each value of that meaning.
    Each(FieldMeaning, &'static [Template]),
    /// What the request says.
    Echo(FieldMeaning),
    /// The error code.
    Code(RefusedName),
    /// What Kafka says of the error code.
    Message(RefusedName),
}

/// One field of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    pub(super) part: TemplatePart,
    /// The versions that it is present in, among those of what it stands in.
    pub(super) versions: Versions,
    /// The versions in which an echo may be null.
    pub(super) nullable: Versions,
}

impl Template {
    const fn of(part: TemplatePart) -> Self {
        Self { part, versions: Versions::ALL, nullable: Versions::NONE }
    }

    pub(super) const fn since(self, first: i16) -> Self {
        Self { versions: Versions { first, ..self.versions }, ..self }
    }

    pub(super) const fn until(self, last: i16) -> Self {
        Self { versions: Versions { last, ..self.versions }, ..self }
    }

    pub(super) const fn null_since(self, first: i16) -> Self {
        Self { nullable: Versions { first, last: i16::MAX }, ..self }
    }
}

pub(super) const fn number(kind: FieldKind, value: i64) -> Template {
    Template::of(TemplatePart::Number(kind, value))
}

pub(super) const fn text(text: &'static str) -> Template {
    Template::of(TemplatePart::Text(text))
}

pub(super) const fn void() -> Template {
    text("")
}

pub(super) const fn null() -> Template {
    Template::of(TemplatePart::NullText)
}

pub(super) const fn empty() -> Template {
    Template::of(TemplatePart::Empty)
}

pub(super) const fn nulls() -> Template {
    Template::of(TemplatePart::Null)
}

pub(super) const fn missing() -> Template {
    Template::of(TemplatePart::Missing)
}

pub(super) const fn each(of: FieldMeaning, fields: &'static [Template]) -> Template {
    Template::of(TemplatePart::Each(of, fields))
}

pub(super) const fn echo(of: FieldMeaning) -> Template {
    Template::of(TemplatePart::Echo(of))
}

pub(super) const fn code(of: RefusedName) -> Template {
    Template::of(TemplatePart::Code(of))
}

pub(super) const fn message(of: RefusedName) -> Template {
    Template::of(TemplatePart::Message(of))
}
