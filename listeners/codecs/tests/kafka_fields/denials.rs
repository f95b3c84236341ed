//! What a broker writes into each field of a response when its authorizer denies all that the request asks for. This
//! file states it wherever it is not the default of the schema. `tests/kafka/authorizer.rs` compares it with a broker.

/// A path, with `@` and versions where it is not for all of them, and what is said: `each` (an entry for each of the
/// request's of that meaning), `echo` (the value of the request's entry), `code` and `message` of what is refused, `text`,
/// `number`, `null`.
type Denials = &'static [(i16, &'static [(&'static str, &'static str)])];

const CLUSTER: (&str, &str) = ("ErrorCode", "code(Cluster)");
const CLUSTER_MESSAGE: (&str, &str) = ("ErrorMessage", "message(Cluster)");
const GROUP: (&str, &str) = ("ErrorCode", "code(Group)");
const TRANSACTION: (&str, &str) = ("ErrorCode", "code(Transaction)");
const TOKEN: (&str, &str) = ("ErrorCode", "code(Token)");
const TOPICS: (&str, &str) = ("Topics", "each(Topics)");
const NAME: (&str, &str) = ("Topics.Name", "echo(TopicName)");
const ID: (&str, &str) = ("Topics.TopicId", "echo(TopicId)");
const PARTITIONS: (&str, &str) = ("Topics.Partitions", "each(Partitions)");
const NUMBERS: (&str, &str) = ("Topics.Partitions", "each(Partition)");
const INDEX: (&str, &str) = ("Topics.Partitions.PartitionIndex", "echo(Partition)");
const TOPIC: (&str, &str) = ("Topics.Partitions.ErrorCode", "code(Topic)");
const GROUPS: &[(&str, &str)] =
    &[("Groups", "each(GroupId)"), ("Groups.GroupId", "echo(GroupId)"), ("Groups.ErrorCode", "code(Group)")];
const RESPONSES_OF_RESOURCES: &[(&str, &str)] = &[
    ("Responses", "each(Entries)"),
    ("Responses.ErrorCode", "code(Resource)"),
    ("Responses.ErrorMessage", "message(Altered)"),
    ("Responses.ResourceType", "echo(ResourceType)"),
    ("Responses.ResourceName", "echo(ResourceName)"),
];
const STATE: &[(&str, &str)] = &[
    ("Results", "each(Topics)"),
    ("Results.TopicId", "echo(TopicId)"),
    ("Results.Partitions", "each(Partitions)"),
    ("Results.Partitions.Partition", "echo(Partition)"),
    ("Results.Partitions.ErrorCode", "code(Cluster)"),
    ("Results.Partitions.ErrorMessage", "message(Cluster)"),
];

/// Of each request that is denied in words.
pub(crate) const DENIALS: Denials = &[
    (
        0,
        &[
            ("Responses", "each(Topics)"),
            ("Responses.Name", "echo(TopicName)"),
            ("Responses.TopicId", "echo(TopicId)"),
            ("Responses.PartitionResponses", "each(Partitions)"),
            ("Responses.PartitionResponses.Index", "echo(Partition)"),
            ("Responses.PartitionResponses.ErrorCode", "code(Produce)"),
            ("Responses.PartitionResponses.BaseOffset", "number(-1)"),
        ],
    ),
    (
        1,
        &[
            ("Responses", "each(Topics)"),
            ("Responses.Topic", "echo(TopicName)"),
            ("Responses.TopicId", "echo(TopicId)"),
            ("Responses.Partitions", "each(Partitions)"),
            ("Responses.Partitions.PartitionIndex", "echo(Partition)"),
            ("Responses.Partitions.ErrorCode", "code(Topic)"),
            ("Responses.Partitions.HighWatermark", "number(-1)"),
        ],
    ),
    (2, &[TOPICS, NAME, PARTITIONS, INDEX, TOPIC]),
    // Without the brokers, of which only the broker knows.
    (3, &[TOPICS, ("Topics.ErrorCode", "code(Topic)"), NAME, ID]),
    (8, &[TOPICS, NAME, ID, PARTITIONS, INDEX, ("Topics.Partitions.ErrorCode", "code(Group)")]),
    (
        9,
        &[
            ("Topics@0-1", "each(Topics)"),
            ("Topics@2-7", "empty"),
            NAME,
            NUMBERS,
            INDEX,
            ("Topics.Partitions.CommittedOffset", "number(-1)"),
            ("Topics.Partitions.ErrorCode", "code(Group)"),
            GROUP,
            ("Groups", "each(Entries)"),
            GROUPS[1],
            GROUPS[2],
        ],
    ),
    (
        10,
        &[
            ("ErrorCode", "code(Coordinator)"),
            ("ErrorMessage", "message(Coordinator)"),
            ("NodeId", "number(-1)"),
            ("Port", "number(-1)"),
            ("Coordinators", "each(CoordinatorKey)"),
            ("Coordinators.Key", "echo(CoordinatorKey)"),
            ("Coordinators.NodeId", "number(-1)"),
            ("Coordinators.Port", "number(-1)"),
            ("Coordinators.ErrorCode", "code(Coordinator)"),
        ],
    ),
    (11, &[GROUP, ("ProtocolName@0-6", "empty"), ("ProtocolName@7+", "null")]),
    (12, &[GROUP]),
    (13, &[GROUP]),
    (14, &[GROUP]),
    (15, GROUPS),
    (16, &[]),
    (
        19,
        &[
            TOPICS,
            NAME,
            ("Topics.ErrorCode", "code(Topic)"),
            ("Topics.ErrorMessage", "text(\"Authorization failed.\")"),
        ],
    ),
    (
        20,
        &[
            ("Responses@0-5", "each(TopicName)"),
            ("Responses@6+", "each(Topics)"),
            ("Responses.Name", "echo(TopicName)"),
            ("Responses.TopicId", "echo(TopicId)"),
            ("Responses.ErrorCode", "code(Topic)"),
            ("Responses.ErrorMessage", "message(Topic)"),
        ],
    ),
    (21, &[TOPICS, NAME, PARTITIONS, INDEX, ("Topics.Partitions.LowWatermark", "number(-1)"), TOPIC]),
    (22, &[("ErrorCode", "code(Producer)"), ("ProducerEpoch", "number(-1)")]),
    (
        23,
        &[
            TOPICS,
            ("Topics.Topic", "echo(TopicName)"),
            PARTITIONS,
            ("Topics.Partitions.Partition", "echo(Partition)"),
            TOPIC,
        ],
    ),
    (
        24,
        &[
            CLUSTER,
            ("ResultsByTopicV3AndBelow", "each(Topics)"),
            ("ResultsByTopicV3AndBelow.Name", "echo(TopicName)"),
            ("ResultsByTopicV3AndBelow.ResultsByPartition", "each(Partition)"),
            ("ResultsByTopicV3AndBelow.ResultsByPartition.PartitionIndex", "echo(Partition)"),
            ("ResultsByTopicV3AndBelow.ResultsByPartition.PartitionErrorCode", "code(Transaction)"),
        ],
    ),
    (25, &[TRANSACTION]),
    (26, &[TRANSACTION]),
    (
        27,
        &[
            ("Markers", "each(Entries)"),
            ("Markers.ProducerId", "echo(ProducerId)"),
            ("Markers.Topics", "each(Topics)"),
            ("Markers.Topics.Name", "echo(TopicName)"),
            ("Markers.Topics.Partitions", "each(Partition)"),
            ("Markers.Topics.Partitions.PartitionIndex", "echo(Partition)"),
            ("Markers.Topics.Partitions.ErrorCode", "code(Cluster)"),
        ],
    ),
    (28, &[TOPICS, NAME, ID, PARTITIONS, INDEX, ("Topics.Partitions.ErrorCode", "code(Transaction)")]),
    (29, &[CLUSTER, CLUSTER_MESSAGE]),
    (
        30,
        &[
            ("Results", "each(Entries)"),
            ("Results.ErrorCode", "code(Cluster)"),
            ("Results.ErrorMessage", "message(Cluster)"),
        ],
    ),
    (
        31,
        &[
            ("FilterResults", "each(Entries)"),
            ("FilterResults.ErrorCode", "code(Cluster)"),
            ("FilterResults.ErrorMessage", "message(Cluster)"),
        ],
    ),
    (
        32,
        &[
            ("Results", "each(Entries)"),
            ("Results.ErrorCode", "code(Resource)"),
            ("Results.ErrorMessage", "message(Resource)"),
            ("Results.ResourceType", "echo(ResourceType)"),
            ("Results.ResourceName", "echo(ResourceName)"),
        ],
    ),
    (33, RESPONSES_OF_RESOURCES),
    (
        34,
        &[
            ("Results", "each(Topics)"),
            ("Results.TopicName", "echo(TopicName)"),
            ("Results.Partitions", "each(Partition)"),
            ("Results.Partitions.PartitionIndex", "echo(Partition)"),
            ("Results.Partitions.ErrorCode", "code(Cluster)"),
        ],
    ),
    (35, &[CLUSTER]),
    (37, &[("Results", "each(Topics)"), ("Results.Name", "echo(TopicName)"), ("Results.ErrorCode", "code(Topic)")]),
    (
        38,
        &[
            TOKEN,
            ("IssueTimestampMs", "number(-1)"),
            ("ExpiryTimestampMs", "number(-1)"),
            ("MaxTimestampMs", "number(-1)"),
        ],
    ),
    (39, &[TOKEN, ("ExpiryTimestampMs", "number(-1)")]),
    (40, &[TOKEN, ("ExpiryTimestampMs", "number(-1)")]),
    (41, &[]),
    (42, &[("Results", "each(GroupId)"), ("Results.GroupId", "echo(GroupId)"), ("Results.ErrorCode", "code(Group)")]),
    (
        43,
        &[
            CLUSTER,
            ("ReplicaElectionResults", "each(Topics)"),
            ("ReplicaElectionResults.Topic", "echo(TopicName)"),
            ("ReplicaElectionResults.PartitionResult", "each(Partition)"),
            ("ReplicaElectionResults.PartitionResult.PartitionId", "echo(Partition)"),
            ("ReplicaElectionResults.PartitionResult.ErrorCode", "code(Cluster)"),
            ("ReplicaElectionResults.PartitionResult.ErrorMessage", "message(Cluster)"),
        ],
    ),
    (44, RESPONSES_OF_RESOURCES),
    (
        45,
        &[
            CLUSTER,
            CLUSTER_MESSAGE,
            ("Responses", "each(Topics)"),
            ("Responses.Name", "echo(TopicName)"),
            ("Responses.Partitions", "each(Partitions)"),
            ("Responses.Partitions.PartitionIndex", "echo(Partition)"),
            ("Responses.Partitions.ErrorCode", "code(Cluster)"),
            ("Responses.Partitions.ErrorMessage", "message(Cluster)"),
        ],
    ),
    (46, &[CLUSTER, CLUSTER_MESSAGE, TOPICS, NAME, NUMBERS, INDEX]),
    (47, &[GROUP]),
    (48, &[CLUSTER, ("ErrorMessage", "null"), ("Entries", "null")]),
    (
        49,
        &[
            ("Entries", "each(Entries)"),
            ("Entries.ErrorCode", "code(Cluster)"),
            ("Entries.ErrorMessage", "message(Cluster)"),
            ("Entries.Entity", "each(Entity)"),
            ("Entries.Entity.EntityType", "echo(EntityType)"),
            ("Entries.Entity.EntityName", "echo(EntityName)"),
        ],
    ),
    (50, &[CLUSTER, ("ErrorMessage", "null")]),
    (
        51,
        &[
            ("Results", "each(Entries)"),
            ("Results.User", "echo(UserName)"),
            ("Results.ErrorCode", "code(Cluster)"),
            ("Results.ErrorMessage", "message(Cluster)"),
        ],
    ),
    (55, &[CLUSTER, CLUSTER_MESSAGE]),
    (57, &[CLUSTER, CLUSTER_MESSAGE]),
    // Nothing is denied there by a broker of its own.
    (60, &[CLUSTER, CLUSTER_MESSAGE]),
    (61, &[TOPICS, NAME, NUMBERS, INDEX, TOPIC, ("Topics.Partitions.ErrorMessage", "message(Topic)")]),
    (64, &[CLUSTER, CLUSTER_MESSAGE]),
    (
        65,
        &[
            ("TransactionStates", "each(TransactionalId)"),
            ("TransactionStates.TransactionalId", "echo(TransactionalId)"),
            ("TransactionStates.ErrorCode", "code(Transaction)"),
        ],
    ),
    (66, &[]),
    (68, &[GROUP]),
    (69, GROUPS),
    // As 60.
    (71, &[CLUSTER]),
    (72, &[CLUSTER]),
    (74, &[CLUSTER]),
    (75, &[TOPICS, ("Topics.ErrorCode", "code(Topic)"), NAME]),
    (76, &[GROUP]),
    (77, GROUPS),
    (78, &[GROUP]),
    (79, &[GROUP]),
    (80, &[CLUSTER, CLUSTER_MESSAGE]),
    (81, &[CLUSTER, CLUSTER_MESSAGE]),
    (83, STATE),
    (84, STATE),
    (85, STATE),
    (86, STATE),
    (87, STATE),
    (88, &[GROUP]),
    (89, GROUPS),
    (90, &[("Groups", "each(Entries)"), GROUPS[1], GROUPS[2]]),
    (91, &[GROUP, ("ErrorMessage", "message(Group)")]),
    (92, &[GROUP, ("ErrorMessage", "message(Group)")]),
    (93, &[GROUP]),
    (94, &[CLUSTER, CLUSTER_MESSAGE]),
];
