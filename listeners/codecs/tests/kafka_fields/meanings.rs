//! What each field means to the rules, field by field. Kafka's schema states part of it (`entityType`), but not for
//! all fields, and not what a field is used for.

use std::collections::BTreeSet;

use crate::schema::{Field, Message};

/// A path, and the variant of `kafka::layout::Meaning`. `Plain`: its name says something that it does not mean.
type Meanings = &'static [(i16, &'static [(&'static str, &'static str)])];

const GROUP: (&str, &str) = ("GroupId", "GroupId");
const MEMBER: (&str, &str) = ("MemberId", "MemberId");
/// The name under which a client comes back to a group: no group.
const INSTANCE: (&str, &str) = ("GroupInstanceId", "Plain");
const TRANSACTION: (&str, &str) = ("TransactionalId", "TransactionalId");
const TOPICS: (&str, &str) = ("Topics", "Topics");
const NAME: (&str, &str) = ("Topics.Name", "TopicName");
const TOPIC: (&str, &str) = ("Topics.Topic", "TopicName");
const TOPIC_NAME: (&str, &str) = ("Topics.TopicName", "TopicName");
const ID: (&str, &str) = ("Topics.TopicId", "TopicId");
const PARTITIONS: (&str, &str) = ("Topics.Partitions", "Partitions");
const PARTITION: (&str, &str) = ("Topics.Partitions.Partition", "Partition");
const INDEX: (&str, &str) = ("Topics.Partitions.PartitionIndex", "Partition");
/// Each entry is a partition.
const INDEXES: (&str, &str) = ("Topics.PartitionIndexes", "Partition");
/// The same, under another name.
const NUMBERS: (&str, &str) = ("Topics.Partitions", "Partition");
const RESOURCES: [(&str, &str); 3] =
    [("Resources", "Entries"), ("Resources.ResourceType", "ResourceType"), ("Resources.ResourceName", "ResourceName")];
const STATE: &[(&str, &str)] = &[GROUP, TOPICS, ID, PARTITIONS, PARTITION];

/// Of requests.
pub(crate) const REQUESTS: Meanings = &[
    (
        0,
        &[
            TRANSACTION,
            ("Acks", "Acks"),
            ("TopicData", "Topics"),
            ("TopicData.Name", "TopicName"),
            ("TopicData.TopicId", "TopicId"),
            ("TopicData.PartitionData", "Partitions"),
            ("TopicData.PartitionData.Index", "Partition"),
            ("TopicData.PartitionData.Records", "Records"),
        ],
    ),
    (
        1,
        &[
            ("ReplicaId", "ReplicaId"),
            ("ReplicaState.ReplicaId", "ReplicaId"),
            ("SessionId", "SessionId"),
            ("SessionEpoch", "SessionEpoch"),
            TOPICS,
            TOPIC,
            ID,
            PARTITIONS,
            PARTITION,
            ("Topics.Partitions.ReplicaDirectoryId", "Plain"),
            ("ForgottenTopicsData", "ForgottenTopics"),
            ("ForgottenTopicsData.Topic", "ForgottenTopicName"),
            ("ForgottenTopicsData.TopicId", "ForgottenTopicId"),
            ("ForgottenTopicsData.Partitions", "Partition"),
        ],
    ),
    (2, &[("ReplicaId", "ReplicaId"), TOPICS, NAME, PARTITIONS, INDEX]),
    (
        3,
        &[
            TOPICS,
            ID,
            NAME,
            ("AllowAutoTopicCreation", "AutoTopicCreation"),
            ("IncludeTopicAuthorizedOperations", "Plain"),
        ],
    ),
    (8, &[GROUP, INSTANCE, MEMBER, TOPICS, NAME, ID, PARTITIONS, INDEX]),
    (
        9,
        &[
            GROUP,
            TOPICS,
            NAME,
            INDEXES,
            ("Groups", "Entries"),
            ("Groups.GroupId", "GroupId"),
            ("Groups.MemberId", "MemberId"),
            ("Groups.Topics", "Topics"),
            ("Groups.Topics.Name", "TopicName"),
            ("Groups.Topics.TopicId", "TopicId"),
            ("Groups.Topics.PartitionIndexes", "Partition"),
        ],
    ),
    (10, &[("Key", "CoordinatorKey"), ("KeyType", "CoordinatorKeyType"), ("CoordinatorKeys", "CoordinatorKey")]),
    (11, &[GROUP, MEMBER, INSTANCE]),
    (12, &[GROUP, MEMBER, INSTANCE]),
    (13, &[GROUP, MEMBER, ("Members.MemberId", "MemberId"), ("Members.GroupInstanceId", "Plain")]),
    (14, &[GROUP, MEMBER, INSTANCE]),
    (15, &[("Groups", "GroupId")]),
    (17, &[("Mechanism", "Mechanism")]),
    (19, &[TOPICS, NAME]),
    (20, &[TOPICS, NAME, ID, ("TopicNames", "TopicName")]),
    (21, &[TOPICS, NAME, PARTITIONS, INDEX]),
    (22, &[TRANSACTION]),
    (23, &[("ReplicaId", "ReplicaId"), TOPICS, TOPIC, PARTITIONS, PARTITION]),
    (
        24,
        &[
            ("Transactions.TransactionalId", "TransactionalId"),
            ("Transactions.Topics", "Topics"),
            ("Transactions.Topics.Name", "TopicName"),
            ("Transactions.Topics.Partitions", "Partition"),
            ("V3AndBelowTransactionalId", "TransactionalId"),
            ("V3AndBelowTopics", "Topics"),
            ("V3AndBelowTopics.Name", "TopicName"),
            ("V3AndBelowTopics.Partitions", "Partition"),
        ],
    ),
    (25, &[TRANSACTION, GROUP]),
    (26, &[TRANSACTION]),
    (
        27,
        &[
            ("Markers", "Entries"),
            ("Markers.ProducerId", "ProducerId"),
            ("Markers.Topics", "Topics"),
            ("Markers.Topics.Name", "TopicName"),
            ("Markers.Topics.PartitionIndexes", "Partition"),
        ],
    ),
    (28, &[TRANSACTION, GROUP, MEMBER, INSTANCE, TOPICS, NAME, ID, PARTITIONS, INDEX]),
    (
        29,
        &[
            ("ResourceTypeFilter", "ResourceType"),
            ("ResourceNameFilter", "ResourceName"),
            ("PatternTypeFilter", "Plain"),
        ],
    ),
    (
        30,
        &[
            ("Creations", "Entries"),
            ("Creations.ResourceType", "ResourceType"),
            ("Creations.ResourceName", "ResourceName"),
            ("Creations.ResourcePatternType", "Plain"),
        ],
    ),
    (
        31,
        &[
            ("Filters", "Entries"),
            ("Filters.ResourceTypeFilter", "ResourceType"),
            ("Filters.ResourceNameFilter", "ResourceName"),
            ("Filters.PatternTypeFilter", "Plain"),
        ],
    ),
    (32, &RESOURCES),
    (33, &RESOURCES),
    (34, &[("Dirs.Topics", "Topics"), ("Dirs.Topics.Name", "TopicName"), ("Dirs.Topics.Partitions", "Partition")]),
    (35, &[TOPICS, TOPIC, NUMBERS]),
    (37, &[TOPICS, NAME]),
    (42, &[("GroupsNames", "GroupId")]),
    (
        43,
        &[
            ("TopicPartitions", "Topics"),
            ("TopicPartitions.Topic", "TopicName"),
            ("TopicPartitions.Partitions", "Partition"),
        ],
    ),
    (44, &RESOURCES),
    (45, &[TOPICS, NAME, PARTITIONS, INDEX]),
    (46, &[TOPICS, NAME, INDEXES]),
    (47, &[GROUP, TOPICS, NAME, PARTITIONS, INDEX]),
    (
        49,
        &[
            ("Entries", "Entries"),
            ("Entries.Entity", "Entity"),
            ("Entries.Entity.EntityType", "EntityType"),
            ("Entries.Entity.EntityName", "EntityName"),
        ],
    ),
    (
        51,
        &[
            ("Deletions", "Entries"),
            ("Deletions.Name", "UserName"),
            ("Upsertions", "Entries"),
            ("Upsertions.Name", "UserName"),
        ],
    ),
    (55, &[TOPICS, TOPIC_NAME, PARTITIONS, INDEX]),
    (61, &[TOPICS, NAME, INDEXES]),
    (65, &[("TransactionalIds", "TransactionalId")]),
    (66, &[("TransactionalIdPattern", "TransactionalIdPattern")]),
    (
        68,
        &[
            GROUP,
            MEMBER,
            ("SubscribedTopicNames", "TopicName"),
            ("SubscribedTopicRegex", "TopicRegex"),
            // What the member owns.
            ("TopicPartitions", "Topics"),
            ("TopicPartitions.TopicId", "TopicId"),
            ("TopicPartitions.Partitions", "Partition"),
        ],
    ),
    (69, &[("GroupIds", "GroupId")]),
    (71, &[("ClientInstanceId", "Plain")]),
    (72, &[("ClientInstanceId", "Plain")]),
    (74, &[("ResourceTypes", "ResourceType")]),
    (75, &[TOPICS, NAME, ("Cursor.TopicName", "TopicName"), ("Cursor.PartitionIndex", "Partition")]),
    (76, &[GROUP, MEMBER, ("SubscribedTopicNames", "TopicName")]),
    (77, &[("GroupIds", "GroupId")]),
    (
        78,
        &[
            GROUP,
            MEMBER,
            ("ShareSessionEpoch", "ShareSessionEpoch"),
            TOPICS,
            ID,
            PARTITIONS,
            INDEX,
            ("ForgottenTopicsData", "ForgottenTopics"),
            ("ForgottenTopicsData.TopicId", "ForgottenTopicId"),
            ("ForgottenTopicsData.Partitions", "Partition"),
        ],
    ),
    (79, &[GROUP, MEMBER, ("ShareSessionEpoch", "ShareSessionEpoch"), TOPICS, ID, PARTITIONS, INDEX]),
    (80, &[("VoterDirectoryId", "Plain")]),
    (81, &[("VoterDirectoryId", "Plain")]),
    (83, STATE),
    (84, STATE),
    (85, STATE),
    (86, STATE),
    (87, STATE),
    (
        88,
        &[
            GROUP,
            MEMBER,
            ("Topology", "Plain"),
            ("Topology.Subtopologies", "Plain"),
            ("Topology.Subtopologies.SubtopologyId", "Plain"),
            ("Topology.Subtopologies.SourceTopics", "TopicName"),
            ("Topology.Subtopologies.SourceTopicRegex", "TopicRegex"),
            ("Topology.Subtopologies.StateChangelogTopics", "Topics"),
            ("Topology.Subtopologies.StateChangelogTopics.Name", "InternalTopicName"),
            ("Topology.Subtopologies.StateChangelogTopics.TopicConfigs", "Plain"),
            ("Topology.Subtopologies.RepartitionSinkTopics", "TopicName"),
            ("Topology.Subtopologies.RepartitionSourceTopics", "Topics"),
            ("Topology.Subtopologies.RepartitionSourceTopics.Name", "InternalTopicName"),
            ("Topology.Subtopologies.RepartitionSourceTopics.TopicConfigs", "Plain"),
            // Numbers of entries in the lists above.
            ("Topology.Subtopologies.CopartitionGroups", "Plain"),
            ("Topology.Subtopologies.CopartitionGroups.SourceTopics", "Plain"),
            ("Topology.Subtopologies.CopartitionGroups.SourceTopicRegex", "Plain"),
            ("Topology.Subtopologies.CopartitionGroups.RepartitionSourceTopics", "Plain"),
            ("ActiveTasks.SubtopologyId", "Plain"),
            ("StandbyTasks.SubtopologyId", "Plain"),
            ("WarmupTasks.SubtopologyId", "Plain"),
            ("TaskOffsets.SubtopologyId", "Plain"),
            ("TaskEndOffsets.SubtopologyId", "Plain"),
        ],
    ),
    (89, &[("GroupIds", "GroupId"), ("IncludeTopologyDescription", "Plain")]),
    (
        90,
        &[
            ("Groups", "Entries"),
            ("Groups.GroupId", "GroupId"),
            ("Groups.Topics", "Topics"),
            ("Groups.Topics.TopicName", "TopicName"),
            ("Groups.Topics.Partitions", "Partition"),
        ],
    ),
    (91, &[GROUP, TOPICS, TOPIC_NAME, PARTITIONS, INDEX]),
    (92, &[GROUP, TOPICS, TOPIC_NAME]),
    (
        93,
        &[
            GROUP,
            MEMBER,
            ("TopologyEpoch", "Plain"),
            ("TopologyDescription", "Plain"),
            ("TopologyDescription.Subtopologies", "Plain"),
            ("TopologyDescription.Subtopologies.SubtopologyId", "Plain"),
            ("TopologyDescription.Subtopologies.Nodes.SourceTopics", "TopicName"),
            ("TopologyDescription.Subtopologies.Nodes.SinkTopic", "TopicName"),
            ("TopologyDescription.GlobalStores.Source.SourceTopics", "TopicName"),
            ("TopologyDescription.GlobalStores.Source.SinkTopic", "TopicName"),
            ("TopologyDescription.GlobalStores.Processor.SourceTopics", "TopicName"),
            ("TopologyDescription.GlobalStores.Processor.SinkTopic", "TopicName"),
        ],
    ),
];

const ASSIGNMENT: [(&str, &str); 3] = [
    ("Groups.Members.Assignment.TopicPartitions", "Topics"),
    ("Groups.Members.Assignment.TopicPartitions.TopicId", "TopicId"),
    ("Groups.Members.Assignment.TopicPartitions.TopicName", "TopicName"),
];
const ASSIGNED: (&str, &str) = ("Groups.Members.Assignment.TopicPartitions.Partitions", "Partition");
const SUBSCRIBED: (&str, &str) = ("Groups.Members.SubscribedTopicNames", "TopicName");
const GROUPS: [(&str, &str); 3] =
    [("Groups", "Entries"), ("Groups.GroupId", "GroupId"), ("Groups.GroupState", "Plain")];
const GROUP_EPOCH: (&str, &str) = ("Groups.GroupEpoch", "Plain");
const RESPONSES_NAME: (&str, &str) = ("Responses.TopicName", "TopicName");
const RESPONSES_ID: (&str, &str) = ("Responses.TopicId", "TopicId");
const RESPONSES: (&str, &str) = ("Responses", "Topics");

/// Topics of a transaction are told with it.
const TRANSACTIONS: &[(&str, &str)] = &[
    ("TransactionStates", "Entries"),
    ("TransactionStates.TransactionalId", "TransactionalId"),
    ("TransactionStates.Topics", "Plain"),
    ("TransactionStates.Topics.Topic", "Plain"),
];

/// Of responses: those in which the relay reads more than error codes.
pub(crate) const READ_RESPONSES: Meanings = &[
    (0, &[RESPONSES, ("Responses.Name", "TopicName"), RESPONSES_ID]),
    (
        1,
        &[
            RESPONSES,
            ("Responses.Topic", "TopicName"),
            RESPONSES_ID,
            ("ErrorCode", "ErrorCode"),
            ("SessionId", "SessionId"),
        ],
    ),
    (2, &[TOPICS, NAME]),
    (
        3,
        &[
            TOPICS,
            NAME,
            ID,
            PARTITIONS,
            INDEX,
            ("Topics.TopicAuthorizedOperations", "Plain"),
            ("ErrorCode", "ErrorCode"),
        ],
    ),
    (8, &[TOPICS, NAME, ID]),
    (
        9,
        &[
            TOPICS,
            NAME,
            ("Groups", "Entries"),
            ("Groups.GroupId", "GroupId"),
            ("Groups.Topics", "Topics"),
            ("Groups.Topics.Name", "TopicName"),
            ("Groups.Topics.TopicId", "TopicId"),
        ],
    ),
    (10, &[("Coordinators", "Entries")]),
    (15, &[GROUPS[0], GROUPS[1], GROUPS[2], ("Groups.Members.GroupInstanceId", "Plain")]),
    (16, &[GROUPS[0], GROUPS[1], GROUPS[2], ("Groups.GroupType", "Plain")]),
    (17, &[("ErrorCode", "ErrorCode"), ("Mechanisms", "Mechanism")]),
    (
        18,
        &[
            ("ErrorCode", "ErrorCode"),
            ("ApiKeys", "ApiKeys"),
            ("ApiKeys.ApiKey", "ApiKey"),
            ("ApiKeys.MinVersion", "MinVersion"),
            ("ApiKeys.MaxVersion", "MaxVersion"),
        ],
    ),
    (19, &[TOPICS, NAME, ID, ("Topics.TopicConfigErrorCode", "Plain")]),
    (20, &[RESPONSES, ("Responses.Name", "TopicName"), RESPONSES_ID]),
    (21, &[TOPICS, NAME]),
    (23, &[TOPICS, TOPIC]),
    (
        24,
        &[
            ("ResultsByTransaction.TransactionalId", "TransactionalId"),
            ("ResultsByTransaction.TopicResults", "Plain"),
            ("ResultsByTransaction.TopicResults.Name", "TopicName"),
            ("ResultsByTopicV3AndBelow", "Topics"),
            ("ResultsByTopicV3AndBelow.Name", "TopicName"),
        ],
    ),
    (28, &[TOPICS, NAME, ID]),
    (37, &[("Results", "Topics"), ("Results.Name", "TopicName")]),
    (42, &[("Results", "Entries"), ("Results.GroupId", "GroupId")]),
    (65, TRANSACTIONS),
    (66, &[TRANSACTIONS[0], TRANSACTIONS[1]]),
    (
        69,
        &[
            GROUPS[0],
            GROUPS[1],
            GROUPS[2],
            GROUP_EPOCH,
            SUBSCRIBED,
            ("Groups.Members.SubscribedTopicRegex", "TopicRegex"),
            ASSIGNMENT[0],
            ASSIGNMENT[1],
            ASSIGNMENT[2],
            ASSIGNED,
            ("Groups.Members.TargetAssignment.TopicPartitions", "Topics"),
            ("Groups.Members.TargetAssignment.TopicPartitions.TopicId", "TopicId"),
            ("Groups.Members.TargetAssignment.TopicPartitions.TopicName", "TopicName"),
            ("Groups.Members.TargetAssignment.TopicPartitions.Partitions", "Partition"),
        ],
    ),
    (
        75,
        &[
            TOPICS,
            NAME,
            ID,
            PARTITIONS,
            INDEX,
            ("Topics.TopicAuthorizedOperations", "Plain"),
            ("NextCursor.TopicName", "TopicName"),
        ],
    ),
    (
        77,
        &[
            GROUPS[0],
            GROUPS[1],
            GROUPS[2],
            GROUP_EPOCH,
            SUBSCRIBED,
            ASSIGNMENT[0],
            ASSIGNMENT[1],
            ASSIGNMENT[2],
            ASSIGNED,
        ],
    ),
    (
        78,
        &[
            RESPONSES,
            RESPONSES_ID,
            ("Responses.Partitions", "Partitions"),
            ("Responses.Partitions.PartitionIndex", "Partition"),
        ],
    ),
    (
        90,
        &[
            GROUPS[0],
            GROUPS[1],
            ("Groups.Topics", "Topics"),
            ("Groups.Topics.TopicName", "TopicName"),
            ("Groups.Topics.TopicId", "TopicId"),
            ("Groups.Topics.Partitions", "Partitions"),
            ("Groups.Topics.Partitions.PartitionIndex", "Partition"),
        ],
    ),
    (
        91,
        &[
            ("ErrorCode", "ErrorCode"),
            RESPONSES,
            RESPONSES_NAME,
            RESPONSES_ID,
            ("Responses.Partitions", "Partitions"),
            ("Responses.Partitions.PartitionIndex", "Partition"),
        ],
    ),
    (92, &[("ErrorCode", "ErrorCode"), RESPONSES, RESPONSES_NAME, RESPONSES_ID]),
];

/// Of responses of which nothing else is read: the lists whose entries are answers.
const LISTS: [(i16, &str); 1] = [(89, "Groups")];

/// Words in names of fields that have to be explained.
const WORDS: [&str; 8] =
    ["topic", "topolog", "group", "transactionalid", "resource", "regex", "pattern", "coordinatorkey"];
/// Kinds of things in Kafka's schema that have to be explained.
const ENTITIES: [&str; 3] = ["topicName", "groupId", "transactionalId"];

/// Names of error codes.
const ERRORS: [&str; 2] = ["ErrorCode", "PartitionErrorCode"];

/// The meaning of a field of a request.
pub(crate) fn of_request(key: i16, field: &Field) -> Result<&'static str, String> {
    meaning(REQUESTS, key, field)
}

/// The meaning of a field of a response. Of most kinds nothing but the error codes are read.
pub(crate) fn of_response(key: i16, field: &Field) -> Result<&'static str, String> {
    let name = field.path.rsplit('.').next().unwrap_or_default();
    let error = if ERRORS.contains(&name) { "ErrorCode" } else { "Plain" };
    let read = READ_RESPONSES.iter().any(|(of, _)| *of == key);
    let said = match LISTS.contains(&(key, &field.path)) {
        true => "Entries",
        false if read => meaning(READ_RESPONSES, key, field)?,
        false => "Plain",
    };
    Ok(if said == "Plain" { error } else { said })
}

/// The meaning of a field.
///
/// # Errors
/// When nothing is said about one that has to be explained.
pub(crate) fn meaning(meanings: Meanings, key: i16, field: &Field) -> Result<&'static str, String> {
    let said = meanings.iter().find(|(of, _)| *of == key).map_or(&[][..], |(_, said)| said);
    if let Some((_, meaning)) = said.iter().find(|(path, _)| *path == field.path) {
        return Ok(meaning);
    }
    let name = field.path.rsplit('.').next().unwrap_or_default().to_lowercase();
    let entity = field.entity.as_deref().filter(|entity| ENTITIES.contains(entity));
    let speaks = WORDS.iter().any(|word| name.contains(word));
    if entity.is_some() || speaks || field.kind == "uuid" {
        return Err(format!("{key} {}: nothing is said of what it means ({entity:?}, {})", field.path, field.kind));
    }
    Ok("Plain")
}

/// What is said of fields that do not exist.
pub(crate) fn unused(meanings: Meanings, messages: &[Message]) -> Vec<String> {
    let mut there = BTreeSet::new();
    for message in messages {
        paths(message.key, &message.fields, &mut there);
    }
    let said = meanings.iter().flat_map(|(key, said)| said.iter().map(|(path, _)| (*key, (*path).to_owned())));
    said.filter(|said| !there.contains(said))
        .map(|(key, path)| format!("{key} {path}: there is no such field"))
        .collect()
}

fn paths(key: i16, fields: &[Field], there: &mut BTreeSet<(i16, String)>) {
    for field in fields {
        there.insert((key, field.path.clone()));
        paths(key, &field.fields, there);
    }
}
