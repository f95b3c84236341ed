//! Error codes of responses, by the names that Kafka has for them (`org.apache.kafka.common.protocol.Errors`).

use crate::protocol::Statuses;

/// The words of codes that clients are likely to meet.
const WORDS: &[(i32, &str)] = &[
    (-1, "UNKNOWN_SERVER_ERROR"),
    (0, "NONE"),
    (1, "OFFSET_OUT_OF_RANGE"),
    (2, "CORRUPT_MESSAGE"),
    (3, "UNKNOWN_TOPIC_OR_PARTITION"),
    (5, "LEADER_NOT_AVAILABLE"),
    (6, "NOT_LEADER_OR_FOLLOWER"),
    (7, "REQUEST_TIMED_OUT"),
    (8, "BROKER_NOT_AVAILABLE"),
    (9, "REPLICA_NOT_AVAILABLE"),
    (10, "MESSAGE_TOO_LARGE"),
    (13, "NETWORK_EXCEPTION"),
    (14, "COORDINATOR_LOAD_IN_PROGRESS"),
    (15, "COORDINATOR_NOT_AVAILABLE"),
    (16, "NOT_COORDINATOR"),
    (17, "INVALID_TOPIC_EXCEPTION"),
    (19, "NOT_ENOUGH_REPLICAS"),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
    (22, "ILLEGAL_GENERATION"),
    (25, "UNKNOWN_MEMBER_ID"),
    (27, "REBALANCE_IN_PROGRESS"),
    (29, "TOPIC_AUTHORIZATION_FAILED"),
    (30, "GROUP_AUTHORIZATION_FAILED"),
    (31, "CLUSTER_AUTHORIZATION_FAILED"),
    (33, "UNSUPPORTED_SASL_MECHANISM"),
    (34, "ILLEGAL_SASL_STATE"),
    (35, "UNSUPPORTED_VERSION"),
    (36, "TOPIC_ALREADY_EXISTS"),
    (41, "NOT_CONTROLLER"),
    (42, "INVALID_REQUEST"),
    (44, "POLICY_VIOLATION"),
    (45, "OUT_OF_ORDER_SEQUENCE_NUMBER"),
    (47, "INVALID_PRODUCER_EPOCH"),
    (48, "INVALID_TXN_STATE"),
    (51, "CONCURRENT_TRANSACTIONS"),
    (53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
    (55, "OPERATION_NOT_ATTEMPTED"),
    (56, "KAFKA_STORAGE_ERROR"),
    (58, "SASL_AUTHENTICATION_FAILED"),
    (59, "UNKNOWN_PRODUCER_ID"),
    (65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED"),
    (69, "GROUP_ID_NOT_FOUND"),
    (70, "FETCH_SESSION_ID_NOT_FOUND"),
    (71, "INVALID_FETCH_SESSION_EPOCH"),
    (74, "FENCED_LEADER_EPOCH"),
    (75, "UNKNOWN_LEADER_EPOCH"),
    (79, "MEMBER_ID_REQUIRED"),
    (82, "FENCED_INSTANCE_ID"),
    (88, "UNSTABLE_OFFSET_COMMIT"),
    (89, "THROTTLING_QUOTA_EXCEEDED"),
    (90, "PRODUCER_FENCED"),
    (100, "UNKNOWN_TOPIC_ID"),
    (103, "INCONSISTENT_TOPIC_ID"),
    (110, "FENCED_MEMBER_EPOCH"),
    (113, "STALE_MEMBER_EPOCH"),
    (122, "SHARE_SESSION_NOT_FOUND"),
    (123, "INVALID_SHARE_SESSION_EPOCH"),
    (128, "INVALID_REGULAR_EXPRESSION"),
];

/// The code by which clients themselves call a connection that ended before the response came, and try again: just that
/// happens to them where the relay cannot use an answer.
const NETWORK_EXCEPTION: i32 = 13;

/// The codes of answers, for people.
pub(super) const STATUSES: Statuses = Statuses {
    name: "error",
    help: "Answers of brokers to Kafka requests that were allowed, by error code",
    common: 1,
    word,
    prefix: "ERROR",
    failure: NETWORK_EXCEPTION,
};

/// The word of a code, if it has one.
fn word(code: i32) -> Option<&'static str> {
    let place = WORDS.binary_search_by_key(&code, |(known, _)| *known).ok()?;
    WORDS.get(place).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::{STATUSES, WORDS, word};

    #[test]
    fn codes_are_found_by_their_order_and_others_are_shown_by_number() {
        assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(WORDS.iter().all(|(code, known)| word(*code) == Some(*known)));
        let shown = [0, 29, -1, 54, 999].map(|code| STATUSES.shown(code).into_owned());
        assert_eq!(shown, ["NONE", "TOPIC_AUTHORIZATION_FAILED", "UNKNOWN_SERVER_ERROR", "ERROR54", "ERROR999"]);
        assert_eq!(STATUSES.shown(STATUSES.failure), "NETWORK_EXCEPTION");
        assert_eq!(STATUSES.common().collect::<Vec<_>>(), ["NONE"]);
    }
}
