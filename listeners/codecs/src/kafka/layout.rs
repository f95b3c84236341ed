//! The data types of message layouts. [`super::table`] is generated from Kafka's own schema in this form.
//!
//! Kafka describes each request as a tree of fields, each with the versions in which it is present (KIP-482 for tags).
//! The table keeps what is needed to walk a message of any version, and of the names only their meaning to the rules.

use super::table;

/// A range of versions, both ends included. Empty where the first is above the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The first.
    pub first: i16,
    /// The last.
    pub last: i16,
}

impl Versions {
    /// Every version.
    pub const ALL: Self = Self { first: 0, last: i16::MAX };
    /// None.
    pub const NONE: Self = Self { first: 1, last: 0 };

    /// Whether a version is one of them.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    Int8,
    /// Two bytes, signed.
    Int16,
    /// Two bytes, unsigned.
    Uint16,
    /// Four bytes.
    Int32,
    /// Eight bytes.
    Int64,
    /// Eight bytes of IEEE 754.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// Text behind its length: two bytes, or one more than the length as a varint in flexible versions.
    String,
    /// Text behind its length in two bytes, in every version: the client's name in the header.
    ShortString,
    /// Bytes behind their length: four bytes, or one more than the length as a varint in flexible versions. Batches of
    /// records are written so too; they are never looked into.
    Bytes,
    /// Fields.
    Struct(&'static [LayoutField]),
}

/// What a value means to rules, or to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldMeaning {
    /// Nothing.
    Plain,
    /// The client's name for itself, of the header.
    ClientId,
    /// A list whose entries name one topic each.
    Topics,
    /// The name of a topic.
    TopicName,
    /// The id of a topic (KIP-516).
    TopicId,
    /// The name of a topic that the request wants created if it is not there (KIP-1071).
    InternalTopicName,
    /// A list of topics that leave a fetch session (KIP-227): nothing is read of them.
    ForgottenTopics,
    /// The name of such a topic.
    ForgottenTopicName,
    /// The id of such a topic.
    ForgottenTopicId,
    /// A regular expression that the broker resolves to topics (KIP-848).
    TopicRegex,
    /// A list of a topic's partitions.
    Partitions,
    /// The number of a partition.
    Partition,
    /// Batches of records.
    Records,
    /// The name of a group.
    GroupId,
    /// The name of a member of a group, to which its share sessions are bound (KIP-932).
    MemberId,
    /// A transactional id.
    TransactionalId,
    /// A regular expression for transactional ids (KIP-1152).
    TransactionalIdPattern,
    /// How many acknowledgements a producer wants: with 0 there is no response.
    Acks,
    /// The number of the broker that fetches; below 0 for clients.
    ReplicaId,
    /// A fetch session (KIP-227).
    SessionId,
    /// The count of requests in a fetch session.
    SessionEpoch,
    /// The count of requests in a share session (KIP-932).
    ShareSessionEpoch,
    /// Whether topics are created that are asked about and not there.
    AutoTopicCreation,
    /// What kind of thing [`FieldMeaning::CoordinatorKey`] names: 0 a group, 1 a transactional id, 2 a share group's partition.
    CoordinatorKeyType,
    /// What a coordinator is looked up for.
    CoordinatorKey,
    /// What kind of thing [`FieldMeaning::ResourceName`] names: 2 a topic, 4 the broker or cluster; a group is 3 in requests about
    /// ACLs and 32 in those about configurations.
    ResourceType,
    /// The name of what a request about configurations or ACLs is about; null in a filter: any.
    ResourceName,
    /// A list of entries that are about nothing in common and are answered one by one.
    Entries,
    /// The id of a producer.
    ProducerId,
    /// A list of what a quota is for (KIP-546).
    Entity,
    /// What kind of thing [`FieldMeaning::EntityName`] names.
    EntityType,
    /// The name of whom a quota is for; null for all that have none of their own.
    EntityName,
    /// The name of a user (KIP-554).
    UserName,
    /// A SASL mechanism.
    Mechanism,
    /// The error code of the whole response.
    ErrorCode,
    /// A list of requests that a broker takes.
    ApiKeys,
    /// The number of such a request.
    ApiKey,
    /// Its first version.
    MinVersion,
    /// Its last version.
    MaxVersion,
}

impl FieldMeaning {
    /// Whether a value names a topic that the request does something with.
    #[must_use]
    pub const fn is_topic(self) -> bool {
        matches!(self, Self::TopicName | Self::TopicId | Self::InternalTopicName | Self::TopicRegex)
    }
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct LayoutField {
    /// How its value is written, or each of its entries.
    pub kind: FieldKind,
    /// Whether it is a list. Its entries are never null.
    pub list: bool,
    /// The versions that it is present in, among those of what it stands in.
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// Its tag, if it is a tagged field (KIP-482).
    pub tag: Option<u8>,
    /// What it means.
    pub meaning: FieldMeaning,
}

impl LayoutField {
    const fn of(kind: FieldKind, list: bool) -> Self {
        let (versions, nullable) = (Versions::ALL, Versions::NONE);
        Self { kind, list, versions, nullable, tag: None, meaning: FieldMeaning::Plain }
    }

    /// Present from a version on.
    pub(super) const fn since(self, first: i16) -> Self {
        Self { versions: Versions { first, ..self.versions }, ..self }
    }

    /// Present up to a version.
    pub(super) const fn until(self, last: i16) -> Self {
        Self { versions: Versions { last, ..self.versions }, ..self }
    }

    /// May be null, wherever it is present.
    pub(super) const fn null(self) -> Self {
        Self { nullable: Versions::ALL, ..self }
    }

    /// May be null from a version on.
    pub(super) const fn null_since(self, first: i16) -> Self {
        Self { nullable: Versions { first, last: i16::MAX }, ..self }
    }

    /// Is a tagged field.
    pub(super) const fn tag(self, tag: u8) -> Self {
        Self { tag: Some(tag), ..self }
    }

    /// Means something.
    pub(super) const fn means(self, meaning: FieldMeaning) -> Self {
        Self { meaning, ..self }
    }
}

/// A field with one value.
pub(super) const fn one(kind: FieldKind) -> LayoutField {
    LayoutField::of(kind, false)
}

/// A list of values.
pub(super) const fn list(kind: FieldKind) -> LayoutField {
    LayoutField::of(kind, true)
}

/// A field with fields.
pub(super) const fn group(fields: &'static [LayoutField]) -> LayoutField {
    LayoutField::of(FieldKind::Struct(fields), false)
}

/// A list of entries with fields.
pub(super) const fn groups(fields: &'static [LayoutField]) -> LayoutField {
    LayoutField::of(FieldKind::Struct(fields), true)
}

/// The layout of a request or a response.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The number of the request.
    pub key: i16,
    /// The versions that Kafka calls stable.
    pub versions: Versions,
    /// The flexible ones among them (KIP-482).
    pub flexible: Versions,
    /// Its fields, in their order.
    pub fields: &'static [LayoutField],
    /// Whether any version of it can name a topic that it does something with.
    pub names_topics: bool,
}

impl Layout {
    /// Of a message with its first and last version.
    pub(super) const fn of(key: i16, first: i16, last: i16, fields: &'static [LayoutField]) -> Self {
        let versions = Versions { first, last };
        Self { key, versions, flexible: Versions::NONE, fields, names_topics: names_topics(fields) }
    }

    /// Flexible from a version on.
    pub(super) const fn flexible_since(self, first: i16) -> Self {
        Self { flexible: Versions { first, last: i16::MAX }, ..self }
    }
}

/// All requests that a broker takes from clients or other brokers, in the order of their numbers.
pub fn requests() -> impl Iterator<Item = &'static Layout> {
    table::REQUESTS.iter()
}

/// The request of a number, if a broker takes it from clients or other brokers.
#[must_use]
pub fn request(key: i16) -> Option<&'static Layout> {
    find(table::REQUESTS, key)
}

/// The response to a request of a number, if it is one that is read.
#[must_use]
pub fn response(key: i16) -> Option<&'static Layout> {
    find(table::RESPONSES, key)
}

fn find(layouts: &'static [Layout], key: i16) -> Option<&'static Layout> {
    layouts.binary_search_by_key(&key, |layout| layout.key).ok().and_then(|place| layouts.get(place))
}

const fn names_topics(fields: &[LayoutField]) -> bool {
    let mut at = 0;
    while at < fields.len() {
        let below = match fields[at].kind {
            FieldKind::Struct(inner) => names_topics(inner),
            _ => fields[at].meaning.is_topic(),
        };
        if below {
            return true;
        }
        at += 1;
    }
    false
}
