//! Kinds of requests, and what Cilium knows of them (cilium/proxy pkg/policy/api/kafka/kafka.go).

/// The request that brings records.
pub(super) const PRODUCE: i16 = 0;
/// The request for brokers, topics and partitions.
pub(super) const METADATA: i16 = 3;
/// The request that names a SASL mechanism.
pub(super) const SASL_HANDSHAKE: i16 = 17;
/// The request that asks a broker which requests and versions it takes.
pub(super) const API_VERSIONS: i16 = 18;
/// The request that deletes topics.
pub(super) const DELETE_TOPICS: i16 = 20;
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

/// The kinds of a role, as a regular expression.
pub(super) fn role(name: &str) -> Option<&'static str> {
    if name.eq_ignore_ascii_case("produce") {
        return Some("0|3|18");
    }
    name.eq_ignore_ascii_case("consume").then_some("1|2|3|8|9|10|11|12|13|14|18")
}

/// Whether rules about topics concern a kind.
pub(super) fn has_topics(key: i16) -> bool {
    matches!(key, 0..=6 | 8 | 9 | 19 | 20 | 21 | 23 | 24 | 27 | 28 | 34 | 35 | 37)
}

/// Whether a request that names no topic asks for none. All others ask for all topics by that, or for those of a session.
pub(super) fn goes_without_topics(key: i16) -> bool {
    HEARTBEATS.contains(&key)
}

/// Whether the topics of a kind are looked at. Of the other kinds with topics, rules about topics allow none.
pub(super) fn topics_are_read(key: i16) -> bool {
    matches!(key, 0..=3 | 8 | 9)
}
