//! The kinds of requests (API keys), and to which of them rules about topics, groups and transactions apply.

use super::layout::{FieldMeaning, Layout, Versions};

/// The request for records.
pub(super) const FETCH: i16 = 1;
/// The first version of it with sessions (KIP-227).
const FETCH_SESSIONS: i16 = 7;
/// The request for the offsets of partitions.
const LIST_OFFSETS: i16 = 2;
/// The request for the broker that keeps a group or transaction.
pub(super) const FIND_COORDINATOR: i16 = 10;
/// The first version of it for several keys (KIP-699).
const COORDINATORS: i16 = 4;
/// The request for all groups.
const LIST_GROUPS: i16 = 16;
/// The request for an id by which a producer is known.
const INIT_PRODUCER_ID: i16 = 22;
/// The request for the ends of leaders' terms.
const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// The request that takes partitions into a transaction.
const ADD_PARTITIONS_TO_TXN: i16 = 24;
/// The first version of it that brokers send, for several transactions at once (KIP-890).
const ADD_PARTITIONS_OF_BROKERS: i16 = 4;
/// The request for all transactions, or for those that fit a pattern.
const LIST_TRANSACTIONS: i16 = 66;
/// The request that brings records.
pub(super) const PRODUCE: i16 = 0;
/// The request for brokers, topics and partitions.
pub(super) const METADATA: i16 = 3;
/// The request that names a SASL mechanism.
pub(super) const SASL_HANDSHAKE: i16 = 17;
/// The request that asks a broker which requests and versions it takes.
pub(super) const API_VERSIONS: i16 = 18;
/// The request that commits the offsets of a group.
const OFFSET_COMMIT: i16 = 8;
/// The request for the offsets of groups.
pub(super) const OFFSET_FETCH: i16 = 9;
/// The first version of it for several groups.
const OFFSETS_OF_GROUPS: i16 = 8;
/// The request for the offsets of share groups.
const DESCRIBE_SHARE_GROUP_OFFSETS: i16 = 90;
/// The request that commits them in a transaction.
const TXN_OFFSET_COMMIT: i16 = 28;
/// The request for topics page by page (KIP-966).
const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;
/// The request for records of a share group (KIP-932).
pub(super) const SHARE_FETCH: i16 = 78;
/// The request that acknowledges them.
pub(super) const SHARE_ACKNOWLEDGE: i16 = 79;
/// The request that creates topics.
pub(super) const CREATE_TOPICS: i16 = 19;
/// The request that deletes topics.
const DELETE_TOPICS: i16 = 20;
/// The request that carries SASL's tokens.
pub(super) const SASL_AUTHENTICATE: i16 = 36;
/// The heartbeats of groups (KIP-848, KIP-932, KIP-1071): the topics stand in those that change what a member subscribes to.
const HEARTBEATS: [i16; 3] = [68, 76, 88];

/// Whether a kind names each of its topics by name or by id: a zero stands for the id beside a name.
pub(super) fn names_or_ids(key: i16) -> bool {
    matches!(key, METADATA | DELETE_TOPICS)
}

/// What roles tell apart within one kind, as a letter behind its number: `b` is what brokers ask of each other, `t` what is about
/// a transaction.
pub(super) fn variety(key: i16, version: i16, replica: bool, transaction: bool) -> Option<u8> {
    match key {
        FETCH | LIST_OFFSETS | OFFSET_FOR_LEADER_EPOCH if replica => Some(OF_BROKERS),
        ADD_PARTITIONS_TO_TXN if version >= ADD_PARTITIONS_OF_BROKERS => Some(OF_BROKERS),
        FIND_COORDINATOR if transaction => Some(b't'),
        _ => None,
    }
}

/// The last version of a kind that clients send.
pub(super) fn last_of_clients(layout: &Layout) -> i16 {
    if layout.key == ADD_PARTITIONS_TO_TXN { ADD_PARTITIONS_OF_BROKERS - 1 } else { layout.versions.last }
}

/// Whether a list of topics with so many entries, or `None` for null, stands for all topics that there are.
pub(super) fn is_all(key: i16, version: i16, count: Option<usize>) -> bool {
    match count {
        // A heartbeat without a list changes nothing of what its member subscribes to.
        None => !HEARTBEATS.contains(&key),
        Some(0) => key == DESCRIBE_TOPIC_PARTITIONS || key == METADATA && version == 0,
        Some(_) => false,
    }
}

/// Whether a kind is answered page by page.
pub(super) fn has_pages(key: i16) -> bool {
    key == DESCRIBE_TOPIC_PARTITIONS
}

/// The letter of what brokers ask of each other.
pub(super) const OF_BROKERS: u8 = b'b';

/// Whether a kind is the heartbeat of a group.
pub(super) fn is_heartbeat(key: i16) -> bool {
    HEARTBEATS.contains(&key)
}

/// Whether a request has to be there as a whole before it can be judged: it may stand within a session, or is written anew.
pub(super) fn is_whole(key: i16, version: i16) -> bool {
    matches!(key, METADATA | SHARE_FETCH | SHARE_ACKNOWLEDGE) || key == FETCH && version >= FETCH_SESSIONS
}

/// Whether a kind that names no topic, and says so, is about none: metadata of the brokers alone, and what opens, closes or goes on
/// with a session that has none.
pub(super) fn may_want_nothing(key: i16) -> bool {
    matches!(key, METADATA | FETCH | SHARE_FETCH | SHARE_ACKNOWLEDGE)
}

/// The list of a kind whose entries are about a group or a transactional id each, and are answered one by one (`KafkaApis.scala`):
/// what it means.
pub(super) fn each(key: i16, version: i16) -> Option<FieldMeaning> {
    match key {
        OFFSET_FETCH if version >= OFFSETS_OF_GROUPS => Some(FieldMeaning::Entries),
        FIND_COORDINATOR if version >= COORDINATORS => Some(FieldMeaning::CoordinatorKey),
        15 | 42 | 69 | 77 | 89 => Some(FieldMeaning::GroupId),
        65 => Some(FieldMeaning::TransactionalId),
        DESCRIBE_SHARE_GROUP_OFFSETS => Some(FieldMeaning::Entries),
        _ => None,
    }
}

/// The list of a response that tells of the entries of a list of the request.
pub(super) fn told_in(of: FieldMeaning) -> FieldMeaning {
    if matches!(of, FieldMeaning::Topics | FieldMeaning::TopicName) {
        FieldMeaning::Topics
    } else {
        FieldMeaning::Entries
    }
}

/// Whether each group that a kind names has topics of its own.
pub(super) fn has_topics_of_groups(key: i16) -> bool {
    matches!(key, OFFSET_FETCH | DESCRIBE_SHARE_GROUP_OFFSETS)
}

/// Whether a kind asks for all groups.
pub(super) fn lists_groups(key: i16) -> bool {
    key == LIST_GROUPS
}

/// Whether a kind asks for all transactional ids.
pub(super) fn lists_transactions(key: i16) -> bool {
    key == LIST_TRANSACTIONS
}

/// Whether the answer to a request for all topics can be cut down to some.
pub(super) fn lists_topics(key: i16) -> bool {
    matches!(key, METADATA | OFFSET_FETCH | DESCRIBE_TOPIC_PARTITIONS)
}

/// Whether a kind is about the configurations of resources, some of which are topics.
pub(super) fn configures(key: i16) -> bool {
    matches!(key, 32 | 33 | 44)
}

/// Whether the response to a kind tells names of topics by their ids.
pub(super) fn tells_ids(key: i16) -> bool {
    matches!(key, METADATA | CREATE_TOPICS | DESCRIBE_TOPIC_PARTITIONS)
}

/// The versions of a kind that clients are offered: all that are known, or where ids of topics are not learnt those that name
/// topics. Share groups have none of these (KIP-932).
pub(super) fn offered(layout: &Layout, learns: bool) -> Versions {
    let last = match layout.key {
        _ if learns => return layout.versions,
        PRODUCE | FETCH => 12,
        OFFSET_COMMIT | OFFSET_FETCH => 9,
        DELETE_TOPICS | TXN_OFFSET_COMMIT => 5,
        76..=79 => return Versions::NONE,
        _ => return layout.versions,
    };
    Versions { last: layout.versions.last.min(last), ..layout.versions }
}

/// Whether rules about topics concern a request that names so many of them. One that names none where others do is about all of
/// them, or about nothing that it could be told.
pub(super) fn concerns_topics(layout: &Layout, named: usize) -> bool {
    match named {
        0 => layout.names_topics && !is_heartbeat(layout.key),
        _ => layout.names_topics || configures(layout.key),
    }
}

/// Whether rules about groups concern a kind of request. One that looks for a coordinator is about a group unless it is about
/// a transaction.
pub(super) fn concerns_groups(key: i16, transaction: bool) -> bool {
    match key {
        FIND_COORDINATOR => !transaction,
        LIST_GROUPS => true,
        _ => names_groups(key),
    }
}

/// Whether rules about transactional ids concern a request that names so many of them. A producer without transactions
/// names none where another one names its own; whoever asks for several by a list that is empty has none to be allowed.
pub(super) fn concerns_transactions(key: i16, transaction: bool, named: usize) -> bool {
    match key {
        FIND_COORDINATOR => transaction,
        LIST_TRANSACTIONS => true,
        PRODUCE | INIT_PRODUCER_ID => named > 0,
        _ => names_transactions(key),
    }
}

/// Whether a kind names groups in a field of its own.
pub(super) fn names_groups(key: i16) -> bool {
    matches!(key, 8 | 9 | 11..=15 | 25 | 28 | 42 | 47 | 68 | 69 | 76..=79 | 83..=93)
}

/// Whether a kind names transactional ids in a field of its own.
pub(super) fn names_transactions(key: i16) -> bool {
    matches!(key, PRODUCE | INIT_PRODUCER_ID | ADD_PARTITIONS_TO_TXN | 25 | 26 | 28 | 65)
}

#[cfg(test)]
mod tests {
    use super::{
        super::layout::{FieldKind, FieldMeaning, LayoutField, request},
        names_groups, names_transactions,
    };

    /// Whether something among fields has a meaning.
    fn means(fields: &[LayoutField], meaning: FieldMeaning) -> bool {
        fields.iter().any(|field| match field.kind {
            FieldKind::Struct(inner) => means(inner, meaning),
            _ => field.meaning == meaning,
        })
    }

    #[test]
    fn the_kinds_that_name_groups_and_transactions_are_those_of_kafkas_schema() {
        for layout in (0..=i16::MAX).filter_map(request) {
            let found =
                [FieldMeaning::GroupId, FieldMeaning::TransactionalId].map(|meaning| means(layout.fields, meaning));
            assert_eq!([names_groups(layout.key), names_transactions(layout.key)], found, "{}", layout.key);
        }
    }
}
