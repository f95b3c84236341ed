//! A request that is being read, and what the rules need from it, as far as its bytes have arrived.

use std::ops::Range;

use super::{
    Limits, Violation, api,
    event::{WalkEvent, WalkProgress, WalkValue},
    layout::{FieldMeaning, Layout, request},
    names::{Named, RequestNames, TopicName},
    outstanding::{OutstandingRequest, OwnAnswer, ResponseHandling},
    swallow::DroppedRequest,
    walk::{REQUEST_HEAD, Walk},
    wire::{frame_length, set_length},
};
use crate::order::Answerer;

/// Fewest bytes of a request behind its length: kind, version and number.
const SHORTEST: usize = 8;
/// How TLS begins: the type of a record and its major version (RFC 8446 §5.1).
const TLS_HANDSHAKE: &[u8] = &[22, 3];
/// The type of the keys by which the brokers of transactions are looked for (`CoordinatorType` of Kafka).
const TRANSACTIONS: i64 = 1;
/// The same of groups.
const GROUPS: i64 = 0;
/// The same of the partitions of share groups (KIP-932).
const SHARE_PARTITIONS: i64 = 2;
/// A topic among the types of resources (`ConfigResource.Type`).
const TOPIC_RESOURCE: i64 = 2;

/// A fetch session as a request tells it (KIP-227), or a share session (KIP-932), which has no id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionSaid {
    pub(super) id: i32,
    pub(super) epoch: i32,
    /// Where the epoch stands.
    pub(super) at: u32,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FrameOutcome {
    /// That is not known yet.
    Open,
    /// What was known so far was allowed, and goes on.
    GoesOn,
    /// It is denied. Its records are dropped as they come, then it is answered.
    Refused(Box<DroppedRequest>),
}

/// A request that is being read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) layout: &'static Layout,
    pub(super) version: i16,
    pub(super) number: i32,
    /// Nothing is known of this version: of a request that is answered all the same.
    pub(super) unknown: bool,
    pub(super) walk: Walk,
    /// Its bytes, its length included, without those that stand for nothing.
    pub(super) length: usize,
    /// The same, as it came.
    pub(super) full: usize,
    /// Bytes of it that were taken.
    pub(super) taken: usize,
    pub(super) outcome: FrameOutcome,
    /// It has one topic, so when that is known all is known.
    pub(super) single: bool,
    /// The client wants no response.
    pub(super) silent: bool,
    /// A broker sends it, for a replica.
    pub(super) replica: bool,
    /// What it looks for a coordinator of.
    pub(super) coordinator: Option<Named>,
    /// The same is a partition of a share group, of which brokers ask each other.
    share_partition: bool,
    /// It asks for all topics.
    pub(super) all: bool,
    /// Lists of topics.
    pub(super) lists: u8,
    /// What is configured is a topic.
    resource: bool,
    /// Where it says that topics may be created by asking.
    pub(super) creates: Option<u32>,
    pub(super) session: Option<SessionSaid>,
    /// The server was asked for the names of its topics.
    pub(super) looked_up: bool,
    /// There is no room to hold it.
    pub(super) cramped: bool,
    /// Clients are offered versions that name topics, as no id is known.
    versions_name_topics: bool,
    /// Names in it so far.
    named: usize,
}

impl Frame {
    /// The request at the start of the input, if so much of it is there.
    pub(super) fn begin(input: &[u8], limits: &Limits, handshaken: bool) -> Result<Option<Self>, Violation> {
        let Some(length) = frame_length(input, SHORTEST)? else { return Ok(None) };
        if length - size_of::<i32>() > limits.frame {
            // Said by its name, as whoever sees it has to change the policy or the port.
            return Err(if input.starts_with(TLS_HANDSHAKE) { Violation::Tls } else { Violation::LongFrame });
        }
        let Some([.., k0, k1, v0, v1, n0, n1, n2, n3]) = input.first_chunk::<REQUEST_HEAD>() else { return Ok(None) };
        let (key, version) = (i16::from_be_bytes([*k0, *k1]), i16::from_be_bytes([*v0, *v1]));
        let layout = request(key).ok_or(Violation::UnknownRequest)?;
        if api::is_whole(key, version) && length > limits.held {
            return Err(Violation::LongRequest);
        }
        let unknown = !api::offered(layout, limits.learns()).contains(version);
        match (key, version) {
            (api::SASL_HANDSHAKE, 0) => return Err(Violation::UnframedTokens),
            (api::SASL_AUTHENTICATE, _) if !handshaken => return Err(Violation::NoHandshake),
            // It is answered, and that takes all of it.
            (api::API_VERSIONS, _) if unknown && length > limits.held => return Err(Violation::LongFrame),
            (api::API_VERSIONS, _) => {}
            _ if unknown => return Err(Violation::UnknownVersion),
            _ => {}
        }
        let walk = if unknown { Walk::header(length) } else { Walk::request(layout, version, length) };
        Ok(Some(Self {
            layout,
            version,
            number: i32::from_be_bytes([*n0, *n1, *n2, *n3]),
            unknown,
            walk,
            length,
            full: length,
            taken: 0,
            outcome: FrameOutcome::Open,
            single: false,
            silent: false,
            replica: false,
            coordinator: None,
            share_partition: false,
            all: false,
            lists: 0,
            resource: false,
            creates: None,
            session: None,
            looked_up: false,
            cramped: false,
            versions_name_topics: !limits.learns(),
            named: 0,
        }))
    }

    /// Reads on: these bytes come next. `most`: names that it may have.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        most: usize,
        names: &mut RequestNames,
    ) -> Result<WalkProgress, Violation> {
        let from = self.taken;
        let mut walk = std::mem::replace(&mut self.walk, Walk::header(0));
        let progress = walk.walk(bytes, from, &mut |event| self.see(&event, most, names));
        self.walk = walk;
        if self.named > most { Err(Violation::ManyTopics) } else { progress }
    }

    fn see(&mut self, event: &WalkEvent<'_>, most: usize, names: &mut RequestNames) {
        let key = self.layout.key;
        match event {
            WalkEvent::List { meaning: FieldMeaning::Topics | FieldMeaning::TopicName, count, .. } => {
                self.lists = self.lists.saturating_add(1);
                self.single = key == api::PRODUCE && *count == Some(1);
                let all = api::is_all(key, self.version, *count);
                self.all |= all;
                names.new |= all;
            }
            WalkEvent::Value { meaning, value, span } if meaning.is_topic() => {
                // Where all topics are asked for page by page, one says where the page begins.
                if let Some(topic) = self.topic(*meaning, value, span).filter(|_| !(self.all && api::has_pages(key))) {
                    self.add_topic(topic, most, names);
                }
            }
            WalkEvent::Value { meaning, value: WalkValue::Text(text), span } => {
                self.see_text(*meaning, text, span, most, names)
            }
            WalkEvent::Value { meaning, value: WalkValue::Number(number), span } => {
                self.see_number(*meaning, *number, span)
            }
            _ => {}
        }
    }

    fn add_topic(&mut self, topic: TopicName, most: usize, names: &mut RequestNames) {
        self.named += 1;
        if self.named <= most {
            names.add_topic(topic);
        }
    }

    fn topic(&mut self, meaning: FieldMeaning, value: &WalkValue<'_>, span: &Range<usize>) -> Option<TopicName> {
        match value {
            // A zero stands for an id where a name stands beside it.
            WalkValue::Uuid(id) if *id == [0; 16] => {
                (!api::names_or_ids(self.layout.key)).then_some(TopicName::Unnamed)
            }
            // Its name comes in the answer.
            WalkValue::Uuid(_) if self.versions_name_topics && self.layout.key == api::METADATA => {
                self.all = true;
                None
            }
            // What a member of a group says that it has was judged when it subscribed.
            WalkValue::Uuid(_) if self.versions_name_topics && api::is_heartbeat(self.layout.key) => None,
            WalkValue::Uuid(id) => Some(TopicName::Id(*id)),
            WalkValue::Text(b"") if meaning == FieldMeaning::TopicRegex => None,
            WalkValue::Text(_) if meaning != FieldMeaning::TopicRegex => TopicName::name(span),
            WalkValue::Null => None,
            _ => Some(TopicName::Unnamed),
        }
    }

    fn see_text(
        &mut self,
        meaning: FieldMeaning,
        text: &[u8],
        span: &Range<usize>,
        most: usize,
        names: &mut RequestNames,
    ) {
        let named = match meaning {
            FieldMeaning::ClientId => return names.client.extend_from_slice(text),
            // Others name several, which no rule checks.
            FieldMeaning::MemberId
                if self.layout.key == api::SHARE_FETCH || self.layout.key == api::SHARE_ACKNOWLEDGE =>
            {
                names.member.clear();
                return names.member.extend_from_slice(text);
            }
            FieldMeaning::ResourceName if self.resource => {
                if let Some(topic) = TopicName::name(span) {
                    self.add_topic(topic, most, names);
                }
                return;
            }
            FieldMeaning::GroupId => Named::Group,
            FieldMeaning::TransactionalId => Named::Transaction,
            FieldMeaning::CoordinatorKey => Named::Coordinator,
            _ => return,
        };
        self.named += 1;
        if self.named <= most {
            names.add(named, text);
        }
    }

    fn see_number(&mut self, meaning: FieldMeaning, number: i64, span: &Range<usize>) {
        let at = u32::try_from(span.start).unwrap_or(u32::MAX);
        // Numbers of 32 bits.
        let small = i32::try_from(number).unwrap_or_default();
        match meaning {
            FieldMeaning::Acks => self.silent = number == 0,
            FieldMeaning::ReplicaId => self.replica |= number >= 0,
            FieldMeaning::CoordinatorKeyType => {
                self.share_partition = number == SHARE_PARTITIONS;
                self.coordinator = match number {
                    TRANSACTIONS => Some(Named::Transaction),
                    GROUPS => Some(Named::Group),
                    _ => None,
                };
            }
            FieldMeaning::ResourceType => self.resource = number == TOPIC_RESOURCE && api::configures(self.layout.key),
            FieldMeaning::AutoTopicCreation => self.creates = (number != 0).then_some(at),
            FieldMeaning::SessionId => self.session = Some(SessionSaid { id: small, ..SessionSaid::default() }),
            FieldMeaning::SessionEpoch => {
                self.session = self.session.map(|said| SessionSaid { epoch: small, at, ..said });
            }
            FieldMeaning::ShareSessionEpoch => self.session = Some(SessionSaid { epoch: small, at, id: 0 }),
            _ => {}
        }
    }

    /// The frame without what stands behind its last field. All of it has come.
    pub(super) fn trim(&mut self, input: &[u8]) -> Vec<u8> {
        self.length = self.walk.place();
        let mut trimmed = input.get(..self.length).unwrap_or_default().to_vec();
        set_length(0, &mut trimmed);
        trimmed
    }

    /// What tells roles apart within its kind.
    pub(super) fn variety(&self) -> Option<u8> {
        if self.share_partition {
            return Some(api::OF_BROKERS);
        }
        let transaction = self.coordinator == Some(Named::Transaction);
        api::variety(self.layout.key, self.version, self.replica, transaction)
    }

    /// What the keys of coordinators name: before there were types, groups.
    pub(super) fn coordinates(&self) -> Option<Named> {
        if self.layout.key == api::FIND_COORDINATOR && self.version == 0 {
            Some(Named::Group)
        } else {
            self.coordinator
        }
    }

    /// Whether it has to be there as a whole before it can be judged.
    pub(super) fn is_whole(&self) -> bool {
        api::is_whole(self.layout.key, self.version)
    }

    /// Who answers it as it goes on.
    pub(super) fn answerer(&self, then: ResponseHandling) -> Answerer<OutstandingRequest, OwnAnswer> {
        let Self { number, version, .. } = *self;
        match self.layout.key {
            _ if self.unknown => Answerer::Ours(OwnAnswer::UnknownVersions { number }),
            _ if self.silent => Answerer::Ours(OwnAnswer::Silence),
            key => Answerer::Server(OutstandingRequest { number, key, version, then }),
        }
    }
}
