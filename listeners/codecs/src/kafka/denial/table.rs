//! What a broker answers when its authorizer denies all that a request asks for. Generated from the schema of Apache
//! Kafka 4.4.0 by `tests/kafka_fields`, which also defines the values. Do not edit by hand.

use super::template::{
    RefusedName::*, Template, code, each, echo, empty, message, missing, null, nulls, number, text, void,
};
use crate::kafka::layout::{
    FieldKind::{Bool, Int8, Int16, Int32, Int64, Uuid},
    FieldMeaning::*,
};

/// In the order of their numbers.
#[rustfmt::skip]
pub(super) static TEMPLATES: &[(i16, &[Template])] = &[
    // ProduceResponse
    (0, &[
        each(Topics, &[ // Responses
            echo(TopicName).until(12), // Name
            echo(TopicId).since(13), // TopicId
            each(Partitions, &[ // PartitionResponses
                echo(Partition), // Index
                code(Produce), // ErrorCode
                number(Int64, -1), // BaseOffset
                number(Int64, -1), // LogAppendTimeMs
                number(Int64, -1).since(5), // LogStartOffset
                empty().since(8), // RecordErrors
                null().since(8), // ErrorMessage
            ]),
        ]),
        number(Int32, 0), // ThrottleTimeMs
    ]),
    // FetchResponse
    (1, &[
        number(Int32, 0), // ThrottleTimeMs
        number(Int16, 0).since(7), // ErrorCode
        number(Int32, 0).since(7), // SessionId
        each(Topics, &[ // Responses
            echo(TopicName).until(12), // Topic
            echo(TopicId).since(13), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Topic), // ErrorCode
                number(Int64, -1), // HighWatermark
                number(Int64, -1), // LastStableOffset
                number(Int64, -1).since(5), // LogStartOffset
                empty(), // AbortedTransactions
                number(Int32, -1).since(11), // PreferredReadReplica
                empty(), // Records
            ]),
        ]),
    ]),
    // ListOffsetsResponse
    (2, &[
        number(Int32, 0).since(2), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName), // Name
            each(Partitions, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Topic), // ErrorCode
                number(Int64, -1), // Timestamp
                number(Int64, -1), // Offset
                number(Int32, -1).since(4), // LeaderEpoch
            ]),
        ]),
    ]),
    // MetadataResponse
    (3, &[
        number(Int32, 0).since(3), // ThrottleTimeMs
        empty(), // Brokers
        null().since(2), // ClusterId
        number(Int32, -1).since(1), // ControllerId
        each(Topics, &[ // Topics
            code(Topic), // ErrorCode
            echo(TopicName).null_since(12), // Name
            echo(TopicId).since(10), // TopicId
            number(Bool, 0).since(1), // IsInternal
            empty(), // Partitions
            number(Int32, -2147483648).since(8), // TopicAuthorizedOperations
        ]),
        number(Int32, -2147483648).since(8).until(10), // ClusterAuthorizedOperations
        number(Int16, 0).since(13), // ErrorCode
    ]),
    // OffsetCommitResponse
    (8, &[
        number(Int32, 0).since(3), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName).until(9), // Name
            echo(TopicId).since(10), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Group), // ErrorCode
            ]),
        ]),
    ]),
    // OffsetFetchResponse
    (9, &[
        number(Int32, 0).since(3), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName), // Name
            each(Partition, &[ // Partitions
                echo(Partition), // PartitionIndex
                number(Int64, -1), // CommittedOffset
                number(Int32, -1).since(5), // CommittedLeaderEpoch
                void().null_since(1), // Metadata
                code(Group), // ErrorCode
            ]),
        ]).until(1),
        empty().since(2).until(7), // Topics
        code(Group).since(2).until(7), // ErrorCode
        each(Entries, &[ // Groups
            echo(GroupId), // GroupId
            empty(), // Topics
            code(Group), // ErrorCode
        ]).since(8),
    ]),
    // FindCoordinatorResponse
    (10, &[
        number(Int32, 0).since(1), // ThrottleTimeMs
        code(Coordinator).until(3), // ErrorCode
        message(Coordinator).since(1).until(3).null_since(1), // ErrorMessage
        number(Int32, -1).until(3), // NodeId
        void().until(3), // Host
        number(Int32, -1).until(3), // Port
        each(CoordinatorKey, &[ // Coordinators
            echo(CoordinatorKey), // Key
            number(Int32, -1), // NodeId
            void(), // Host
            number(Int32, -1), // Port
            code(Coordinator), // ErrorCode
            void().null_since(4), // ErrorMessage
        ]).since(4),
    ]),
    // JoinGroupResponse
    (11, &[
        number(Int32, 0).since(2), // ThrottleTimeMs
        code(Group), // ErrorCode
        number(Int32, -1), // GenerationId
        null().since(7), // ProtocolType
        void().until(6).null_since(7), // ProtocolName
        null().since(7).null_since(7), // ProtocolName
        void(), // Leader
        number(Bool, 0).since(9), // SkipAssignment
        void(), // MemberId
        empty(), // Members
    ]),
    // HeartbeatResponse
    (12, &[
        number(Int32, 0).since(1), // ThrottleTimeMs
        code(Group), // ErrorCode
    ]),
    // LeaveGroupResponse
    (13, &[
        number(Int32, 0).since(1), // ThrottleTimeMs
        code(Group), // ErrorCode
        empty().since(3), // Members
    ]),
    // SyncGroupResponse
    (14, &[
        number(Int32, 0).since(1), // ThrottleTimeMs
        code(Group), // ErrorCode
        null().since(5), // ProtocolType
        null().since(5), // ProtocolName
        empty(), // Assignment
    ]),
    // DescribeGroupsResponse
    (15, &[
        number(Int32, 0).since(1), // ThrottleTimeMs
        each(GroupId, &[ // Groups
            code(Group), // ErrorCode
            null().since(6), // ErrorMessage
            echo(GroupId), // GroupId
            void(), // GroupState
            void(), // ProtocolType
            void(), // ProtocolData
            empty(), // Members
            number(Int32, -2147483648).since(3), // AuthorizedOperations
        ]),
    ]),
    // ListGroupsResponse
    (16, &[
        number(Int32, 0).since(1), // ThrottleTimeMs
        number(Int16, 0), // ErrorCode
        empty(), // Groups
    ]),
    // CreateTopicsResponse
    (19, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName), // Name
            number(Uuid, 0).since(7), // TopicId
            code(Topic), // ErrorCode
            text("Authorization failed.").null_since(2), // ErrorMessage
            number(Int32, -1).since(5), // NumPartitions
            number(Int16, -1).since(5), // ReplicationFactor
            empty().since(5), // Configs
        ]),
    ]),
    // DeleteTopicsResponse
    (20, &[
        number(Int32, 0), // ThrottleTimeMs
        each(TopicName, &[ // Responses
            echo(TopicName).null_since(6), // Name
            echo(TopicId).since(6), // TopicId
            code(Topic), // ErrorCode
            message(Topic).since(5), // ErrorMessage
        ]).until(5),
        each(Topics, &[ // Responses
            echo(TopicName).null_since(6), // Name
            echo(TopicId), // TopicId
            code(Topic), // ErrorCode
            message(Topic), // ErrorMessage
        ]).since(6),
    ]),
    // DeleteRecordsResponse
    (21, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName), // Name
            each(Partitions, &[ // Partitions
                echo(Partition), // PartitionIndex
                number(Int64, -1), // LowWatermark
                code(Topic), // ErrorCode
            ]),
        ]),
    ]),
    // InitProducerIdResponse
    (22, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Producer), // ErrorCode
        number(Int64, -1), // ProducerId
        number(Int16, -1), // ProducerEpoch
        number(Int64, -1).since(6), // OngoingTxnProducerId
        number(Int16, -1).since(6), // OngoingTxnProducerEpoch
    ]),
    // OffsetForLeaderEpochResponse
    (23, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName), // Topic
            each(Partitions, &[ // Partitions
                code(Topic), // ErrorCode
                echo(Partition), // Partition
                number(Int32, -1), // LeaderEpoch
                number(Int64, -1), // EndOffset
            ]),
        ]),
    ]),
    // AddPartitionsToTxnResponse
    (24, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster).since(4), // ErrorCode
        empty().since(4), // ResultsByTransaction
        each(Topics, &[ // ResultsByTopicV3AndBelow
            echo(TopicName), // Name
            each(Partition, &[ // ResultsByPartition
                echo(Partition), // PartitionIndex
                code(Transaction), // PartitionErrorCode
            ]),
        ]).until(3),
    ]),
    // AddOffsetsToTxnResponse
    (25, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Transaction), // ErrorCode
    ]),
    // EndTxnResponse
    (26, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Transaction), // ErrorCode
        number(Int64, -1).since(5), // ProducerId
        number(Int16, -1).since(5), // ProducerEpoch
    ]),
    // WriteTxnMarkersResponse
    (27, &[
        each(Entries, &[ // Markers
            echo(ProducerId), // ProducerId
            each(Topics, &[ // Topics
                echo(TopicName), // Name
                each(Partition, &[ // Partitions
                    echo(Partition), // PartitionIndex
                    code(Cluster), // ErrorCode
                ]),
            ]),
        ]),
    ]),
    // TxnOffsetCommitResponse
    (28, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName).until(5), // Name
            echo(TopicId).since(6), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Transaction), // ErrorCode
            ]),
        ]),
    ]),
    // DescribeAclsResponse
    (29, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(1), // ErrorMessage
        empty(), // Resources
    ]),
    // CreateAclsResponse
    (30, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Results
            code(Cluster), // ErrorCode
            message(Cluster).null_since(1), // ErrorMessage
        ]),
    ]),
    // DeleteAclsResponse
    (31, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // FilterResults
            code(Cluster), // ErrorCode
            message(Cluster).null_since(1), // ErrorMessage
            empty(), // MatchingAcls
        ]),
    ]),
    // DescribeConfigsResponse
    (32, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Results
            code(Resource), // ErrorCode
            message(Resource).null_since(1), // ErrorMessage
            echo(ResourceType), // ResourceType
            echo(ResourceName), // ResourceName
            empty(), // Configs
        ]),
    ]),
    // AlterConfigsResponse
    (33, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Responses
            code(Resource), // ErrorCode
            message(Altered).null_since(0), // ErrorMessage
            echo(ResourceType), // ResourceType
            echo(ResourceName), // ResourceName
        ]),
    ]),
    // AlterReplicaLogDirsResponse
    (34, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Results
            echo(TopicName), // TopicName
            each(Partition, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Cluster), // ErrorCode
            ]),
        ]),
    ]),
    // DescribeLogDirsResponse
    (35, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster).since(3), // ErrorCode
        empty(), // Results
    ]),
    // CreatePartitionsResponse
    (37, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Results
            echo(TopicName), // Name
            code(Topic), // ErrorCode
            null(), // ErrorMessage
        ]),
    ]),
    // CreateDelegationTokenResponse
    (38, &[
        code(Token), // ErrorCode
        void(), // PrincipalType
        void(), // PrincipalName
        void().since(3), // TokenRequesterPrincipalType
        void().since(3), // TokenRequesterPrincipalName
        number(Int64, -1), // IssueTimestampMs
        number(Int64, -1), // ExpiryTimestampMs
        number(Int64, -1), // MaxTimestampMs
        void(), // TokenId
        empty(), // Hmac
        number(Int32, 0), // ThrottleTimeMs
    ]),
    // RenewDelegationTokenResponse
    (39, &[
        code(Token), // ErrorCode
        number(Int64, -1), // ExpiryTimestampMs
        number(Int32, 0), // ThrottleTimeMs
    ]),
    // ExpireDelegationTokenResponse
    (40, &[
        code(Token), // ErrorCode
        number(Int64, -1), // ExpiryTimestampMs
        number(Int32, 0), // ThrottleTimeMs
    ]),
    // DescribeDelegationTokenResponse
    (41, &[
        number(Int16, 0), // ErrorCode
        empty(), // Tokens
        number(Int32, 0), // ThrottleTimeMs
    ]),
    // DeleteGroupsResponse
    (42, &[
        number(Int32, 0), // ThrottleTimeMs
        each(GroupId, &[ // Results
            echo(GroupId), // GroupId
            code(Group), // ErrorCode
            null().since(3), // ErrorMessage
        ]),
    ]),
    // ElectLeadersResponse
    (43, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster).since(1), // ErrorCode
        each(Topics, &[ // ReplicaElectionResults
            echo(TopicName), // Topic
            each(Partition, &[ // PartitionResult
                echo(Partition), // PartitionId
                code(Cluster), // ErrorCode
                message(Cluster).null_since(0), // ErrorMessage
            ]),
        ]),
    ]),
    // IncrementalAlterConfigsResponse
    (44, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Responses
            code(Resource), // ErrorCode
            message(Altered).null_since(0), // ErrorMessage
            echo(ResourceType), // ResourceType
            echo(ResourceName), // ResourceName
        ]),
    ]),
    // AlterPartitionReassignmentsResponse
    (45, &[
        number(Int32, 0), // ThrottleTimeMs
        number(Bool, 1).since(1), // AllowReplicationFactorChange
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
        each(Topics, &[ // Responses
            echo(TopicName), // Name
            each(Partitions, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Cluster), // ErrorCode
                message(Cluster).null_since(0), // ErrorMessage
            ]),
        ]),
    ]),
    // ListPartitionReassignmentsResponse
    (46, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
        each(Topics, &[ // Topics
            echo(TopicName), // Name
            each(Partition, &[ // Partitions
                echo(Partition), // PartitionIndex
                empty(), // Replicas
                empty(), // AddingReplicas
                empty(), // RemovingReplicas
            ]),
        ]),
    ]),
    // OffsetDeleteResponse
    (47, &[
        code(Group), // ErrorCode
        number(Int32, 0), // ThrottleTimeMs
        empty(), // Topics
    ]),
    // DescribeClientQuotasResponse
    (48, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        null().null_since(0), // ErrorMessage
        nulls(), // Entries
    ]),
    // AlterClientQuotasResponse
    (49, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Entries
            code(Cluster), // ErrorCode
            message(Cluster).null_since(0), // ErrorMessage
            each(Entity, &[ // Entity
                echo(EntityType), // EntityType
                echo(EntityName).null_since(0), // EntityName
            ]),
        ]),
    ]),
    // DescribeUserScramCredentialsResponse
    (50, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        null().null_since(0), // ErrorMessage
        empty(), // Results
    ]),
    // AlterUserScramCredentialsResponse
    (51, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Results
            echo(UserName), // User
            code(Cluster), // ErrorCode
            message(Cluster).null_since(0), // ErrorMessage
        ]),
    ]),
    // DescribeQuorumResponse
    (55, &[
        code(Cluster), // ErrorCode
        message(Cluster).since(2).null_since(2), // ErrorMessage
        empty(), // Topics
        empty().since(2), // Nodes
    ]),
    // UpdateFeaturesResponse
    (57, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
        empty().until(1), // Results
    ]),
    // DescribeClusterResponse
    (60, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster), // ErrorMessage
        number(Int8, 1).since(1), // EndpointType
        void(), // ClusterId
        number(Int32, -1), // ControllerId
        empty(), // Brokers
        number(Int32, -2147483648), // ClusterAuthorizedOperations
    ]),
    // DescribeProducersResponse
    (61, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Topics
            echo(TopicName), // Name
            each(Partition, &[ // Partitions
                echo(Partition), // PartitionIndex
                code(Topic), // ErrorCode
                message(Topic), // ErrorMessage
                empty(), // ActiveProducers
            ]),
        ]),
    ]),
    // UnregisterBrokerResponse
    (64, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
    ]),
    // DescribeTransactionsResponse
    (65, &[
        number(Int32, 0), // ThrottleTimeMs
        each(TransactionalId, &[ // TransactionStates
            code(Transaction), // ErrorCode
            echo(TransactionalId), // TransactionalId
            void(), // TransactionState
            number(Int32, 0), // TransactionTimeoutMs
            number(Int64, 0), // TransactionStartTimeMs
            number(Int64, 0), // ProducerId
            number(Int16, 0), // ProducerEpoch
            empty(), // Topics
        ]),
    ]),
    // ListTransactionsResponse
    (66, &[
        number(Int32, 0), // ThrottleTimeMs
        number(Int16, 0), // ErrorCode
        empty(), // UnknownStateFilters
        empty(), // TransactionStates
    ]),
    // ConsumerGroupHeartbeatResponse
    (68, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        null(), // ErrorMessage
        null(), // MemberId
        number(Int32, 0), // MemberEpoch
        number(Int32, 0), // HeartbeatIntervalMs
        missing(), // Assignment
    ]),
    // ConsumerGroupDescribeResponse
    (69, &[
        number(Int32, 0), // ThrottleTimeMs
        each(GroupId, &[ // Groups
            code(Group), // ErrorCode
            null(), // ErrorMessage
            echo(GroupId), // GroupId
            void(), // GroupState
            number(Int32, 0), // GroupEpoch
            number(Int32, 0), // AssignmentEpoch
            void(), // AssignorName
            empty(), // Members
            number(Int32, -2147483648), // AuthorizedOperations
        ]),
    ]),
    // GetTelemetrySubscriptionsResponse
    (71, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        number(Uuid, 0), // ClientInstanceId
        number(Int32, 0), // SubscriptionId
        empty(), // AcceptedCompressionTypes
        number(Int32, 0), // PushIntervalMs
        number(Int32, 0), // TelemetryMaxBytes
        number(Bool, 0), // DeltaTemporality
        empty(), // RequestedMetrics
    ]),
    // PushTelemetryResponse
    (72, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
    ]),
    // ListConfigResourcesResponse
    (74, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        empty(), // ConfigResources
    ]),
    // DescribeTopicPartitionsResponse
    (75, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Topics, &[ // Topics
            code(Topic), // ErrorCode
            echo(TopicName).null_since(0), // Name
            number(Uuid, 0), // TopicId
            number(Bool, 0), // IsInternal
            empty(), // Partitions
            number(Int32, -2147483648), // TopicAuthorizedOperations
        ]),
        missing(), // NextCursor
    ]),
    // ShareGroupHeartbeatResponse
    (76, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        null(), // ErrorMessage
        null(), // MemberId
        number(Int32, 0), // MemberEpoch
        number(Int32, 0), // HeartbeatIntervalMs
        missing(), // Assignment
    ]),
    // ShareGroupDescribeResponse
    (77, &[
        number(Int32, 0), // ThrottleTimeMs
        each(GroupId, &[ // Groups
            code(Group), // ErrorCode
            null(), // ErrorMessage
            echo(GroupId), // GroupId
            void(), // GroupState
            number(Int32, 0), // GroupEpoch
            number(Int32, 0), // AssignmentEpoch
            void(), // AssignorName
            empty(), // Members
            number(Int32, -2147483648), // AuthorizedOperations
        ]),
    ]),
    // ShareFetchResponse
    (78, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        null(), // ErrorMessage
        number(Int32, 0), // AcquisitionLockTimeoutMs
        empty(), // Responses
        empty(), // NodeEndpoints
    ]),
    // ShareAcknowledgeResponse
    (79, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        null(), // ErrorMessage
        number(Int32, 0).since(2), // AcquisitionLockTimeoutMs
        empty(), // Responses
        empty(), // NodeEndpoints
    ]),
    // AddRaftVoterResponse
    (80, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
    ]),
    // RemoveRaftVoterResponse
    (81, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
    ]),
    // InitializeShareGroupStateResponse
    (83, &[
        each(Topics, &[ // Results
            echo(TopicId), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // Partition
                code(Cluster), // ErrorCode
                message(Cluster), // ErrorMessage
            ]),
        ]),
    ]),
    // ReadShareGroupStateResponse
    (84, &[
        each(Topics, &[ // Results
            echo(TopicId), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // Partition
                code(Cluster), // ErrorCode
                message(Cluster), // ErrorMessage
                number(Int32, 0), // StateEpoch
                number(Int64, 0), // StartOffset
                empty(), // StateBatches
            ]),
        ]),
    ]),
    // WriteShareGroupStateResponse
    (85, &[
        each(Topics, &[ // Results
            echo(TopicId), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // Partition
                code(Cluster), // ErrorCode
                message(Cluster), // ErrorMessage
            ]),
        ]),
    ]),
    // DeleteShareGroupStateResponse
    (86, &[
        each(Topics, &[ // Results
            echo(TopicId), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // Partition
                code(Cluster), // ErrorCode
                message(Cluster), // ErrorMessage
            ]),
        ]),
    ]),
    // ReadShareGroupStateSummaryResponse
    (87, &[
        each(Topics, &[ // Results
            echo(TopicId), // TopicId
            each(Partitions, &[ // Partitions
                echo(Partition), // Partition
                code(Cluster), // ErrorCode
                message(Cluster), // ErrorMessage
                number(Int32, 0), // StateEpoch
                number(Int32, 0), // LeaderEpoch
                number(Int64, 0), // StartOffset
                number(Int32, -1).since(1), // DeliveryCompleteCount
            ]),
        ]),
    ]),
    // StreamsGroupHeartbeatResponse
    (88, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        null(), // ErrorMessage
        void(), // MemberId
        number(Int32, 0), // MemberEpoch
        number(Int32, 0), // HeartbeatIntervalMs
        number(Int32, 0).until(0), // AcceptableRecoveryLagLegacy
        number(Int32, 0), // TaskOffsetIntervalMs
        number(Int64, -1).since(1), // AcceptableRecoveryLag
        empty(), // Status
        nulls(), // ActiveTasks
        nulls(), // StandbyTasks
        nulls(), // WarmupTasks
        number(Bool, 0).since(1), // TopologyDescriptionRequired
        number(Int32, 0), // EndpointInformationEpoch
        nulls(), // PartitionsByUserEndpoint
    ]),
    // StreamsGroupDescribeResponse
    (89, &[
        number(Int32, 0), // ThrottleTimeMs
        each(GroupId, &[ // Groups
            code(Group), // ErrorCode
            null(), // ErrorMessage
            echo(GroupId), // GroupId
            void(), // GroupState
            number(Int32, 0), // GroupEpoch
            number(Int32, 0), // AssignmentEpoch
            missing(), // Topology
            empty(), // Members
            number(Int32, -2147483648), // AuthorizedOperations
            missing().since(1), // TopologyDescription
            number(Int8, 0).since(1), // TopologyDescriptionStatus
            null().since(1), // AssignorName
        ]),
    ]),
    // DescribeShareGroupOffsetsResponse
    (90, &[
        number(Int32, 0), // ThrottleTimeMs
        each(Entries, &[ // Groups
            echo(GroupId), // GroupId
            empty(), // Topics
            code(Group), // ErrorCode
            null(), // ErrorMessage
        ]),
    ]),
    // AlterShareGroupOffsetsResponse
    (91, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        message(Group), // ErrorMessage
        empty(), // Responses
    ]),
    // DeleteShareGroupOffsetsResponse
    (92, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        message(Group), // ErrorMessage
        empty(), // Responses
    ]),
    // StreamsGroupTopologyDescriptionUpdateResponse
    (93, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Group), // ErrorCode
        null(), // ErrorMessage
    ]),
    // UnregisterControllerResponse
    (94, &[
        number(Int32, 0), // ThrottleTimeMs
        code(Cluster), // ErrorCode
        message(Cluster).null_since(0), // ErrorMessage
    ]),
];
