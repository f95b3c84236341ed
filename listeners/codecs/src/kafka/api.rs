//! Kinds of requests, and which of them rules about topics, groups and transactions concern.

use super::layout::Layout;

/// The request for records.
const FETCH: i16 = 1;
/// The request for the offsets of partitions.
const LIST_OFFSETS: i16 = 2;
/// The request for the broker that keeps a group or transaction.
pub(super) const FIND_COORDINATOR: i16 = 10;
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
const METADATA: i16 = 3;
/// The request that names a SASL mechanism.
pub(super) const SASL_HANDSHAKE: i16 = 17;
/// The request that asks a broker which requests and versions it takes.
pub(super) const API_VERSIONS: i16 = 18;
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
        FETCH | LIST_OFFSETS | OFFSET_FOR_LEADER_EPOCH if replica => Some(b'b'),
        ADD_PARTITIONS_TO_TXN if version >= ADD_PARTITIONS_OF_BROKERS => Some(b'b'),
        FIND_COORDINATOR if transaction => Some(b't'),
        _ => None,
    }
}

/// The last version of a kind that clients send.
pub(super) fn last_of_clients(layout: &Layout) -> i16 {
    if layout.key == ADD_PARTITIONS_TO_TXN { ADD_PARTITIONS_OF_BROKERS - 1 } else { layout.versions.last }
}

/// Whether a request that names no topic asks for none. All others ask for all topics by that, or for those of a session.
pub(super) fn goes_without_topics(key: i16) -> bool {
    HEARTBEATS.contains(&key)
}

/// Whether rules about topics concern a request that names so many of them.
pub(super) fn concerns_topics(layout: &Layout, named: usize) -> bool {
    layout.names_topics && !(named == 0 && goes_without_topics(layout.key))
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
        super::layout::{Field, Kind, Meaning, request},
        names_groups, names_transactions,
    };

    /// Whether something among fields has a meaning.
    fn means(fields: &[Field], meaning: Meaning) -> bool {
        fields.iter().any(|field| match field.kind {
            Kind::Struct(inner) => means(inner, meaning),
            _ => field.meaning == meaning,
        })
    }

    #[test]
    fn the_kinds_that_name_groups_and_transactions_are_those_of_kafkas_schema() {
        for layout in (0..=i16::MAX).filter_map(request) {
            let found = [Meaning::GroupId, Meaning::TransactionalId].map(|meaning| means(layout.fields, meaning));
            assert_eq!([names_groups(layout.key), names_transactions(layout.key)], found, "{}", layout.key);
        }
    }
}
