//! The words that policies use for kinds of requests: API key names, roles of clients, and the operations of a
//! broker's own authorizer.
//!
//! Roles and operations are regular expressions over the number of a kind, followed by the letter that
//! [`super::api::variety`] adds to tell its variants apart.

use std::borrow::Cow;

use crate::protocol::Kinds;

/// The kinds as metrics count them.
pub(super) const KINDS: Kinds =
    Kinds { name: "request", help: "Kafka requests that were judged, by kind and verdict", words: &NAMES };

/// Names by number, in lower case: up to 33 as Cilium has them (cilium/proxy pkg/policy/api/kafka/kafka.go), the others as
/// Kafka's schema does. Empty where brokers take no such request from anybody.
static NAMES: [&str; 95] = [
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
    "alterreplicalogdirs",
    "describelogdirs",
    "saslauthenticate",
    "createpartitions",
    "createdelegationtoken",
    "renewdelegationtoken",
    "expiredelegationtoken",
    "describedelegationtoken",
    "deletegroups",
    "electleaders",
    "incrementalalterconfigs",
    "alterpartitionreassignments",
    "listpartitionreassignments",
    "offsetdelete",
    "describeclientquotas",
    "alterclientquotas",
    "describeuserscramcredentials",
    "alteruserscramcredentials",
    "",
    "",
    "",
    "describequorum",
    "",
    "updatefeatures",
    "",
    "",
    "describecluster",
    "describeproducers",
    "",
    "",
    "unregisterbroker",
    "describetransactions",
    "listtransactions",
    "",
    "consumergroupheartbeat",
    "consumergroupdescribe",
    "",
    "gettelemetrysubscriptions",
    "pushtelemetry",
    "",
    "listconfigresources",
    "describetopicpartitions",
    "sharegroupheartbeat",
    "sharegroupdescribe",
    "sharefetch",
    "shareacknowledge",
    "addraftvoter",
    "removeraftvoter",
    "",
    "initializesharegroupstate",
    "readsharegroupstate",
    "writesharegroupstate",
    "deletesharegroupstate",
    "readsharegroupstatesummary",
    "streamsgroupheartbeat",
    "streamsgroupdescribe",
    "describesharegroupoffsets",
    "altersharegroupoffsets",
    "deletesharegroupoffsets",
    "streamsgrouptopologydescriptionupdate",
    "unregistercontroller",
];

/// Kafka's own name of the kind that Cilium calls `offsets`.
const LIST_OFFSETS: (&str, i16) = ("listoffsets", 2);

/// The number of a kind by its name, in any case.
#[must_use]
pub fn key(name: &str) -> Option<i16> {
    if name.eq_ignore_ascii_case(LIST_OFFSETS.0) {
        return Some(LIST_OFFSETS.1);
    }
    let index = NAMES.iter().position(|known| !known.is_empty() && known.eq_ignore_ascii_case(name))?;
    i16::try_from(index).ok()
}

/// The name of a kind, where it has one.
#[must_use]
pub fn name(key: i16) -> Option<&'static str> {
    NAMES.get(usize::try_from(key).ok()?).copied().filter(|name| !name.is_empty())
}

/// A kind for people: by its name, or by its number where it has none.
pub(super) fn shown(key: i16) -> Cow<'static, [u8]> {
    match name(key) {
        Some(name) => Cow::Borrowed(name.as_bytes()),
        None => Cow::Owned(key.to_string().into_bytes()),
    }
}

/// The number of a kind by its name or by itself, if it has a name.
pub(super) fn named(text: &str) -> Option<i16> {
    key(text).or_else(|| text.parse().ok().filter(|key| name(*key).is_some()))
}

/// Joins alternatives.
macro_rules! kinds {
    ($first:literal $(, $more:expr)*) => { concat!($first $(, "|", $more)*) };
}

// What brokers check of the kinds (`KafkaApis.scala`, `ControllerApis.scala`), by the resource that they check it of. Kinds of
// which two operations are checked stand by the one that takes more: whoever commits the offsets of a transaction writes,
// and whoever deletes those of a group deletes.

/// SASL's handshake and tokens, versions, the brokers' addresses, and metrics of clients (KIP-714): nothing is checked.
macro_rules! free {
    () => {
        "17|18|36|60|71|72"
    };
}
/// DESCRIBE of topics.
macro_rules! topics {
    () => {
        "2b?|3|23b?|75"
    };
}
/// DESCRIBE of groups.
macro_rules! groups {
    () => {
        "9|10|15|16|69|77|89|90"
    };
}
/// DESCRIBE of transactional ids.
macro_rules! transactions {
    () => {
        "10t|65|66"
    };
}
/// DESCRIBE of the cluster.
macro_rules! cluster {
    () => {
        "16|29|35|46|50|55"
    };
}
/// DESCRIBE_CONFIGS.
macro_rules! configs {
    () => {
        "32|48|74"
    };
}

/// The words for roles, each with its kinds. Those of Cilium are 0, 3 and 18, and 1 to 3, 8 to 14 and 18: with them no producer of
/// today starts, which asks for an id first (KIP-98, and by default since Kafka 3.0). The others came since: transactions,
/// leaders' terms (KIP-320), groups that brokers assign (KIP-848), share groups (KIP-932), streams groups (KIP-1071), SASL's
/// handshake and tokens, and metrics of clients (KIP-714). Streams create their internal topics, look at their partitions, and
/// delete what they have read of them. Who administers sends all that an `AdminClient` does, who monitors what
/// changes nothing of it.
const ROLES: [(&str, &str); 6] = [
    ("produce", "0|3|10t|17|18|22|24|25|26|28|36|60|71|72"),
    ("consume", "1b?|2b?|3|8|9|10t?|11|12|13|14|17|18|23b?|36|60|68|71|72|76|78|79"),
    ("streams", "0|1b?|2b?|3|8|9|10t?|11|12|13|14|17|18|19|21|22|23b?|24|25|26|28|36|60|68|71|72|75|76|78|79|88|93"),
    ("broker", "1b|2b|10b|17|18|23b|24b|27|36|83|84|85|86|87"),
    (
        "admin",
        kinds!(
            "8|13|19|20|21|22|27|30|31|33|34|37|38|39|40|41|42|43|44|45|47|49|51|57|61|64|80|81|91|92|94",
            free!(),
            topics!(),
            groups!(),
            transactions!(),
            cluster!(),
            configs!()
        ),
    ),
    ("monitor", kinds!("41|61", free!(), topics!(), groups!(), transactions!(), cluster!(), configs!())),
];

/// The words for operations, each with the kinds that it is enough for. Where it exists for a resource, READ, WRITE, DELETE and
/// ALTER imply DESCRIBE of it, and ALTER_CONFIGS implies DESCRIBE_CONFIGS (`AclEntry.scala`, `AclOperation.java`).
const OPERATIONS: [(&str, &str); 12] = [
    ("read", kinds!("1|8|11|12|13|14|61|68|76|78|79|88|91|93", free!(), topics!(), groups!())),
    ("write", kinds!("0|22|24|25|26|28", free!(), topics!(), transactions!())),
    ("create", kinds!("3|19", free!())),
    ("delete", kinds!("20|21|42|47|92", free!(), topics!(), groups!())),
    ("alter", kinds!("27|30|31|34|37|43|45|51|57|64|80|81|94", free!(), topics!(), cluster!())),
    ("describe", kinds!("41", free!(), topics!(), groups!(), transactions!(), cluster!())),
    ("clusteraction", kinds!("1b|10b|23b?|24b|27|83|84|85|86|87", free!())),
    ("describeconfigs", kinds!("32|48|74", free!())),
    ("alterconfigs", kinds!("33|44|49", free!(), configs!())),
    ("idempotentwrite", kinds!("22", free!())),
    ("createtokens", kinds!("38", free!())),
    ("describetokens", kinds!("41", free!())),
];

/// The kinds of a role, as a regular expression.
pub(super) fn role(name: &str) -> Option<&'static str> {
    ROLES.iter().find(|(role, _)| name.eq_ignore_ascii_case(role)).map(|(_, kinds)| *kinds)
}

/// The kinds of an operation, as a regular expression. Between words there may be `_`, as in Kafka's own messages.
pub(super) fn operation(name: &str) -> Option<&'static str> {
    let name = name.replace('_', "");
    OPERATIONS.iter().find(|(operation, _)| name.eq_ignore_ascii_case(operation)).map(|(_, kinds)| *kinds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::layout::request, NAMES, OPERATIONS, ROLES, key, name, named, operation, role};

    /// The kinds that an expression stands for, with their letters.
    fn kinds(expression: &str) -> BTreeSet<String> {
        let both = |kind: &str| match kind.strip_suffix('?') {
            Some(lettered) => vec![lettered.to_owned(), lettered[..lettered.len() - 1].to_owned()],
            None => vec![kind.to_owned()],
        };
        expression.split('|').flat_map(both).collect()
    }

    fn number(kind: &str) -> i16 {
        kind.trim_end_matches(['b', 't']).parse().unwrap()
    }

    #[test]
    fn every_kind_of_a_broker_has_one_name_by_which_it_is_found_in_any_case() {
        for (index, known) in NAMES.iter().enumerate().filter(|(_, known)| !known.is_empty()) {
            let number = i16::try_from(index).unwrap();
            assert_eq!(key(&known.to_uppercase()), Some(number));
            assert_eq!((name(number), named(&number.to_string())), (Some(*known), Some(number)));
        }
        let of_schema = (0..=i16::MAX).filter(|key| request(*key).is_some());
        // Cilium's names of what brokers told each other before KRaft.
        let wanted: BTreeSet<i16> = of_schema.chain(4..=7).collect();
        let named_kinds: BTreeSet<i16> = (0..=i16::MAX).filter(|key| name(*key).is_some()).collect();
        assert_eq!(named_kinds, wanted);
        assert_eq!(["listoffsets", "offsets"].map(key), [Some(2); 2]);
        for text in ["", "52", "95", "-1", "sing", "32768"] {
            assert_eq!(named(text), None, "{text}");
        }
    }

    #[test]
    fn roles_and_operations_are_kinds_that_brokers_take() {
        for (word, expression) in ROLES.iter().chain(&OPERATIONS) {
            let kinds = kinds(expression);
            assert!(kinds.iter().all(|kind| request(number(kind)).is_some()), "{word}: {kinds:?}");
            assert!(["17", "18", "36"].iter().all(|free| kinds.contains(*free)), "{word}");
        }
        assert_eq!(role("Produce"), role("PRODUCE"));
        assert_eq!((role("any"), role(""), operation("any"), operation("")), (None, None, None, None));
        for text in ["clusterAction", "CLUSTER_ACTION", "ClusterAction"] {
            assert_eq!(operation(text), operation("clusteraction"), "{text}");
        }
    }

    /// What implies what, for each resource that both exist for.
    #[test]
    fn an_operation_has_what_it_implies_and_no_more() {
        let of = |word: &str| kinds(operation(word).unwrap());
        let (topics, groups) = (kinds(topics!()), kinds(groups!()));
        for (word, implied) in
            [("read", &[&topics, &groups][..]), ("delete", &[&topics, &groups]), ("write", &[&topics])]
        {
            assert!(implied.iter().all(|kinds| kinds.is_subset(&of(word))), "{word}");
        }
        assert!(kinds(cluster!()).is_subset(&of("alter")) && topics.is_subset(&of("alter")));
        assert!(of("describeconfigs").is_subset(&of("alterconfigs")));
        // Who may look changes nothing, and who reads does not administer.
        for changing in ["0", "8", "11", "19", "20", "30", "33", "42", "47", "68", "92"] {
            assert!(
                !of("describe").contains(changing) && !kinds(role("monitor").unwrap()).contains(changing),
                "{changing}"
            );
        }
        assert!(of("read").is_disjoint(&BTreeSet::from(["0", "1b", "19", "29", "47", "28"].map(str::to_owned))));
    }

    #[test]
    fn every_kind_but_those_about_own_tokens_needs_some_operation() {
        let all: BTreeSet<i16> =
            OPERATIONS.iter().flat_map(|(_, expression)| kinds(expression)).map(|kind| number(&kind)).collect();
        let without: Vec<i16> = (0..=i16::MAX).filter(|key| request(*key).is_some() && !all.contains(key)).collect();
        assert_eq!(without, [39, 40]);
        let roles: BTreeSet<i16> =
            ROLES.iter().flat_map(|(_, expression)| kinds(expression)).map(|kind| number(&kind)).collect();
        assert!(all.is_subset(&roles), "{:?}", all.difference(&roles).collect::<Vec<_>>());
    }
}
