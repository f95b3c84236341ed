//! Kinds of requests, and what Cilium knows of them (cilium/proxy pkg/policy/api/kafka/kafka.go).

use super::{
    layout::{Layout, Versions},
    names::Named,
};

/// The request for records.
pub(super) const FETCH: i16 = 1;
/// The request for the offsets of partitions.
const LIST_OFFSETS: i16 = 2;
/// The request for the broker that keeps a group or transaction.
pub(super) const FIND_COORDINATOR: i16 = 10;
/// The request for the ends of leaders' terms.
const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
/// The request that takes partitions into a transaction.
const ADD_PARTITIONS_TO_TXN: i16 = 24;
/// The first version of it that brokers send, for several transactions at once (KIP-890).
const ADD_PARTITIONS_OF_BROKERS: i16 = 4;
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
/// The request that commits them in a transaction.
const TXN_OFFSET_COMMIT: i16 = 28;
/// The request for the groups of a broker.
const LIST_GROUPS: i16 = 16;
/// The request for its transactions.
const LIST_TRANSACTIONS: i16 = 66;
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

/// Names by number; Cilium knows none above.
const NAMES: &[&str] = &[
    "produce",
    "fetch",
    "offsets",
    "metadata",
    "leaderandisr",
    "stopreplica",
    "updatemetadata",
    "controlledshutdown",
    "offsetcommit",
    "offsetfetch",
    "findcoordinator",
    "joingroup",
    "heartbeat",
    "leavegroup",
    "syncgroup",
    "describegroups",
    "listgroups",
    "saslhandshake",
    "apiversions",
    "createtopics",
    "deletetopics",
    "deleterecords",
    "initproducerid",
    "offsetforleaderepoch",
    "addpartitionstotxn",
    "addoffsetstotxn",
    "endtxn",
    "writetxnmarkers",
    "txnoffsetcommit",
    "describeacls",
    "createacls",
    "deleteacls",
    "describeconfigs",
    "alterconfigs",
];

/// Whether a kind names each of its topics by name or by id: a zero stands for the id beside a name.
pub(super) fn names_or_ids(key: i16) -> bool {
    matches!(key, METADATA | DELETE_TOPICS)
}

/// The number of a kind by its name, in any case.
#[must_use]
pub fn key(name: &str) -> Option<i16> {
    let index = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    i16::try_from(index).ok()
}

/// The name of a kind, where it has one.
#[must_use]
pub fn name(key: i16) -> Option<&'static str> {
    NAMES.get(usize::try_from(key).ok()?).copied()
}

/// The words for roles, each with its kinds as a regular expression for what [`variety`] tells apart. Those of Cilium are 0, 3
/// and 18, and 1 to 3, 8 to 14 and 18: with them no producer of today starts, which asks for an id first (KIP-98, and by
/// default since Kafka 3.0). The others came since: transactions, leaders' terms (KIP-320), groups that brokers assign (KIP-848),
/// share groups (KIP-932), streams groups (KIP-1071), SASL's handshake and tokens, and metrics of clients (KIP-714).
const ROLES: [(&str, &str); 4] = [
    ("produce", "0|3|10t|17|18|22|24|25|26|28|36|71|72"),
    ("consume", "1b?|2b?|3|8|9|10t?|11|12|13|14|17|18|23b?|36|68|71|72|76|78|79"),
    ("streams", "0|1b?|2b?|3|8|9|10t?|11|12|13|14|17|18|19|22|23b?|24|25|26|28|36|68|71|72|76|78|79|88|93"),
    ("broker", "1b|2b|17|18|23b|24b|27|36|83|84|85|86|87"),
];

/// The kinds of a role, as a regular expression.
pub(super) fn role(name: &str) -> Option<&'static str> {
    ROLES.iter().find(|(role, _)| name.eq_ignore_ascii_case(role)).map(|(_, kinds)| *kinds)
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

/// Whether rules about topics concern a kind.
pub(super) fn has_topics(key: i16) -> bool {
    matches!(key, 0..=6 | 8 | 9 | 19 | 20 | 21 | 23 | 24 | 27 | 28 | 34 | 35 | 37)
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

/// Whether a kind is the heartbeat of a group.
pub(super) fn is_heartbeat(key: i16) -> bool {
    HEARTBEATS.contains(&key)
}

/// Whether a kind that names no group, or no transactional id, asks for all that there are.
pub(super) fn lists_others(key: i16, named: Named) -> bool {
    match named {
        Named::Group => key == LIST_GROUPS,
        Named::Transaction => key == LIST_TRANSACTIONS,
        Named::Coordinator => false,
    }
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
        METADATA => 11,
        76..=79 => return Versions::NONE,
        _ => return layout.versions,
    };
    Versions { last: layout.versions.last.min(last), ..layout.versions }
}

/// Whether the topics of a kind are looked at. Of the other kinds with topics, rules about topics allow none.
pub(super) fn topics_are_read(key: i16) -> bool {
    matches!(key, 0..=3 | 8 | 9)
}
