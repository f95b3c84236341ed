//! Every request that a broker takes from clients and other brokers, with its response. Generated from the schema of
//! Apache Kafka 4.4.0 by `tests/kafka_fields`, which also defines the meanings. Do not edit by hand.

use super::layout::{
    FieldKind::{Bool, Bytes, Float64, Int8, Int16, Int32, Int64, String, Uint16, Uuid},
    FieldMeaning::*,
    Layout, group, groups, list, one,
};

/// Requests, in the order of their numbers.
#[rustfmt::skip]
pub(super) static REQUESTS: &[Layout] = &[
    // ProduceRequest
    Layout::of(0, 3, 13, &[
        one(String).null().means(TransactionalId), // TransactionalId
        one(Int16).means(Acks), // Acks
        one(Int32), // TimeoutMs
        groups(&[ // TopicData
            one(String).until(12).means(TopicName), // Name
            one(Uuid).since(13).means(TopicId), // TopicId
            groups(&[ // PartitionData
                one(Int32).means(Partition), // Index
                one(Bytes).null().means(Records), // Records
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(9),
    // FetchRequest
    Layout::of(1, 4, 18, &[
        one(String).since(12).null().tag(0), // ClusterId
        one(Int32).until(14).means(ReplicaId), // ReplicaId
        group(&[ // ReplicaState
            one(Int32).means(ReplicaId), // ReplicaId
            one(Int64), // ReplicaEpoch
        ]).since(15).tag(1),
        one(Int32), // MaxWaitMs
        one(Int32), // MinBytes
        one(Int32), // MaxBytes
        one(Int8), // IsolationLevel
        one(Int32).since(7).means(SessionId), // SessionId
        one(Int32).since(7).means(SessionEpoch), // SessionEpoch
        groups(&[ // Topics
            one(String).until(12).means(TopicName), // Topic
            one(Uuid).since(13).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
                one(Int32).since(9), // CurrentLeaderEpoch
                one(Int64), // FetchOffset
                one(Int32).since(12), // LastFetchedEpoch
                one(Int64).since(5), // LogStartOffset
                one(Int32), // PartitionMaxBytes
                one(Uuid).since(17).tag(0), // ReplicaDirectoryId
                one(Int64).since(18).tag(1), // HighWatermark
            ]).means(Partitions),
        ]).means(Topics),
        groups(&[ // ForgottenTopicsData
            one(String).until(12).means(ForgottenTopicName), // Topic
            one(Uuid).since(13).means(ForgottenTopicId), // TopicId
            list(Int32).means(Partition), // Partitions
        ]).since(7).means(ForgottenTopics),
        one(String).since(11), // RackId
    ]).flexible_since(12),
    // ListOffsetsRequest
    Layout::of(2, 1, 11, &[
        one(Int32).means(ReplicaId), // ReplicaId
        one(Int8).since(2), // IsolationLevel
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int32).since(4), // CurrentLeaderEpoch
                one(Int64), // Timestamp
            ]).means(Partitions),
        ]).means(Topics),
        one(Int32).since(10), // TimeoutMs
    ]).flexible_since(6),
    // MetadataRequest
    Layout::of(3, 0, 13, &[
        groups(&[ // Topics
            one(Uuid).since(10).means(TopicId), // TopicId
            one(String).null_since(10).means(TopicName), // Name
        ]).null_since(1).means(Topics),
        one(Bool).since(4).means(AutoTopicCreation), // AllowAutoTopicCreation
        one(Bool).since(8).until(10), // IncludeClusterAuthorizedOperations
        one(Bool).since(8), // IncludeTopicAuthorizedOperations
    ]).flexible_since(9),
    // OffsetCommitRequest
    Layout::of(8, 2, 10, &[
        one(String).means(GroupId), // GroupId
        one(Int32), // GenerationIdOrMemberEpoch
        one(String).means(MemberId), // MemberId
        one(String).since(7).null(), // GroupInstanceId
        one(Int64).until(4), // RetentionTimeMs
        groups(&[ // Topics
            one(String).until(9).means(TopicName), // Name
            one(Uuid).since(10).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int64), // CommittedOffset
                one(Int32).since(6), // CommittedLeaderEpoch
                one(String).null(), // CommittedMetadata
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(8),
    // OffsetFetchRequest
    Layout::of(9, 1, 10, &[
        one(String).until(7).means(GroupId), // GroupId
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            list(Int32).means(Partition), // PartitionIndexes
        ]).until(7).null_since(2).means(Topics),
        groups(&[ // Groups
            one(String).means(GroupId), // GroupId
            one(String).since(9).null().means(MemberId), // MemberId
            one(Int32).since(9), // MemberEpoch
            groups(&[ // Topics
                one(String).until(9).means(TopicName), // Name
                one(Uuid).since(10).means(TopicId), // TopicId
                list(Int32).means(Partition), // PartitionIndexes
            ]).null().means(Topics),
        ]).since(8).means(Entries),
        one(Bool).since(7), // RequireStable
    ]).flexible_since(6),
    // FindCoordinatorRequest
    Layout::of(10, 0, 6, &[
        one(String).until(3).means(CoordinatorKey), // Key
        one(Int8).since(1).means(CoordinatorKeyType), // KeyType
        list(String).since(4).means(CoordinatorKey), // CoordinatorKeys
    ]).flexible_since(3),
    // JoinGroupRequest
    Layout::of(11, 0, 9, &[
        one(String).means(GroupId), // GroupId
        one(Int32), // SessionTimeoutMs
        one(Int32).since(1), // RebalanceTimeoutMs
        one(String).means(MemberId), // MemberId
        one(String).since(5).null(), // GroupInstanceId
        one(String), // ProtocolType
        groups(&[ // Protocols
            one(String), // Name
            one(Bytes), // Metadata
        ]),
        one(String).since(8).null(), // Reason
    ]).flexible_since(6),
    // HeartbeatRequest
    Layout::of(12, 0, 4, &[
        one(String).means(GroupId), // GroupId
        one(Int32), // GenerationId
        one(String).means(MemberId), // MemberId
        one(String).since(3).null(), // GroupInstanceId
    ]).flexible_since(4),
    // LeaveGroupRequest
    Layout::of(13, 0, 5, &[
        one(String).means(GroupId), // GroupId
        one(String).until(2).means(MemberId), // MemberId
        groups(&[ // Members
            one(String).means(MemberId), // MemberId
            one(String).null(), // GroupInstanceId
            one(String).since(5).null(), // Reason
        ]).since(3),
    ]).flexible_since(4),
    // SyncGroupRequest
    Layout::of(14, 0, 5, &[
        one(String).means(GroupId), // GroupId
        one(Int32), // GenerationId
        one(String).means(MemberId), // MemberId
        one(String).since(3).null(), // GroupInstanceId
        one(String).since(5).null(), // ProtocolType
        one(String).since(5).null(), // ProtocolName
        groups(&[ // Assignments
            one(String), // MemberId
            one(Bytes), // Assignment
        ]),
    ]).flexible_since(4),
    // DescribeGroupsRequest
    Layout::of(15, 0, 6, &[
        list(String).means(GroupId), // Groups
        one(Bool).since(3), // IncludeAuthorizedOperations
    ]).flexible_since(5),
    // ListGroupsRequest
    Layout::of(16, 0, 5, &[
        list(String).since(4), // StatesFilter
        list(String).since(5), // TypesFilter
    ]).flexible_since(3),
    // SaslHandshakeRequest
    Layout::of(17, 0, 1, &[
        one(String).means(Mechanism), // Mechanism
    ]),
    // ApiVersionsRequest
    Layout::of(18, 0, 5, &[
        one(String).since(3), // ClientSoftwareName
        one(String).since(3), // ClientSoftwareVersion
        one(String).since(5).null(), // ClusterId
        one(Int32).since(5), // NodeId
    ]).flexible_since(3),
    // CreateTopicsRequest
    Layout::of(19, 2, 7, &[
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            one(Int32), // NumPartitions
            one(Int16), // ReplicationFactor
            groups(&[ // Assignments
                one(Int32), // PartitionIndex
                list(Int32), // BrokerIds
            ]),
            groups(&[ // Configs
                one(String), // Name
                one(String).null(), // Value
            ]),
        ]).means(Topics),
        one(Int32), // timeoutMs
        one(Bool), // validateOnly
    ]).flexible_since(5),
    // DeleteTopicsRequest
    Layout::of(20, 1, 6, &[
        groups(&[ // Topics
            one(String).null().means(TopicName), // Name
            one(Uuid).means(TopicId), // TopicId
        ]).since(6).means(Topics),
        list(String).until(5).means(TopicName), // TopicNames
        one(Int32), // TimeoutMs
    ]).flexible_since(4),
    // DeleteRecordsRequest
    Layout::of(21, 0, 2, &[
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int64), // Offset
            ]).means(Partitions),
        ]).means(Topics),
        one(Int32), // TimeoutMs
    ]).flexible_since(2),
    // InitProducerIdRequest
    Layout::of(22, 0, 5, &[
        one(String).null().means(TransactionalId), // TransactionalId
        one(Int32), // TransactionTimeoutMs
        one(Int64).since(3), // ProducerId
        one(Int16).since(3), // ProducerEpoch
    ]).flexible_since(2),
    // OffsetForLeaderEpochRequest
    Layout::of(23, 2, 4, &[
        one(Int32).since(3).means(ReplicaId), // ReplicaId
        groups(&[ // Topics
            one(String).means(TopicName), // Topic
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
                one(Int32), // CurrentLeaderEpoch
                one(Int32), // LeaderEpoch
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(4),
    // AddPartitionsToTxnRequest
    Layout::of(24, 0, 5, &[
        groups(&[ // Transactions
            one(String).means(TransactionalId), // TransactionalId
            one(Int64), // ProducerId
            one(Int16), // ProducerEpoch
            one(Bool), // VerifyOnly
            groups(&[ // Topics
                one(String).means(TopicName), // Name
                list(Int32).means(Partition), // Partitions
            ]).means(Topics),
        ]).since(4),
        one(String).until(3).means(TransactionalId), // V3AndBelowTransactionalId
        one(Int64).until(3), // V3AndBelowProducerId
        one(Int16).until(3), // V3AndBelowProducerEpoch
        groups(&[ // V3AndBelowTopics
            one(String).means(TopicName), // Name
            list(Int32).means(Partition), // Partitions
        ]).until(3).means(Topics),
    ]).flexible_since(3),
    // AddOffsetsToTxnRequest
    Layout::of(25, 0, 4, &[
        one(String).means(TransactionalId), // TransactionalId
        one(Int64), // ProducerId
        one(Int16), // ProducerEpoch
        one(String).means(GroupId), // GroupId
    ]).flexible_since(3),
    // EndTxnRequest
    Layout::of(26, 0, 5, &[
        one(String).means(TransactionalId), // TransactionalId
        one(Int64), // ProducerId
        one(Int16), // ProducerEpoch
        one(Bool), // Committed
    ]).flexible_since(3),
    // WriteTxnMarkersRequest
    Layout::of(27, 1, 2, &[
        groups(&[ // Markers
            one(Int64).means(ProducerId), // ProducerId
            one(Int16), // ProducerEpoch
            one(Bool), // TransactionResult
            groups(&[ // Topics
                one(String).means(TopicName), // Name
                list(Int32).means(Partition), // PartitionIndexes
            ]).means(Topics),
            one(Int32), // CoordinatorEpoch
            one(Int8).since(2), // TransactionVersion
        ]).means(Entries),
    ]).flexible_since(1),
    // TxnOffsetCommitRequest
    Layout::of(28, 0, 6, &[
        one(String).means(TransactionalId), // TransactionalId
        one(String).means(GroupId), // GroupId
        one(Int64), // ProducerId
        one(Int16), // ProducerEpoch
        one(Int32).since(3), // GenerationIdOrMemberEpoch
        one(String).since(3).means(MemberId), // MemberId
        one(String).since(3).null(), // GroupInstanceId
        groups(&[ // Topics
            one(String).until(5).means(TopicName), // Name
            one(Uuid).since(6).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int64), // CommittedOffset
                one(Int32).since(2), // CommittedLeaderEpoch
                one(String).null(), // CommittedMetadata
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(3),
    // DescribeAclsRequest
    Layout::of(29, 1, 3, &[
        one(Int8).means(ResourceType), // ResourceTypeFilter
        one(String).null().means(ResourceName), // ResourceNameFilter
        one(Int8), // PatternTypeFilter
        one(String).null(), // PrincipalFilter
        one(String).null(), // HostFilter
        one(Int8), // Operation
        one(Int8), // PermissionType
    ]).flexible_since(2),
    // CreateAclsRequest
    Layout::of(30, 1, 3, &[
        groups(&[ // Creations
            one(Int8).means(ResourceType), // ResourceType
            one(String).means(ResourceName), // ResourceName
            one(Int8), // ResourcePatternType
            one(String), // Principal
            one(String), // Host
            one(Int8), // Operation
            one(Int8), // PermissionType
        ]).means(Entries),
    ]).flexible_since(2),
    // DeleteAclsRequest
    Layout::of(31, 1, 3, &[
        groups(&[ // Filters
            one(Int8).means(ResourceType), // ResourceTypeFilter
            one(String).null().means(ResourceName), // ResourceNameFilter
            one(Int8), // PatternTypeFilter
            one(String).null(), // PrincipalFilter
            one(String).null(), // HostFilter
            one(Int8), // Operation
            one(Int8), // PermissionType
        ]).means(Entries),
    ]).flexible_since(2),
    // DescribeConfigsRequest
    Layout::of(32, 1, 4, &[
        groups(&[ // Resources
            one(Int8).means(ResourceType), // ResourceType
            one(String).means(ResourceName), // ResourceName
            list(String).null(), // ConfigurationKeys
        ]).means(Entries),
        one(Bool), // IncludeSynonyms
        one(Bool).since(3), // IncludeDocumentation
    ]).flexible_since(4),
    // AlterConfigsRequest
    Layout::of(33, 0, 2, &[
        groups(&[ // Resources
            one(Int8).means(ResourceType), // ResourceType
            one(String).means(ResourceName), // ResourceName
            groups(&[ // Configs
                one(String), // Name
                one(String).null(), // Value
            ]),
        ]).means(Entries),
        one(Bool), // ValidateOnly
    ]).flexible_since(2),
    // AlterReplicaLogDirsRequest
    Layout::of(34, 1, 2, &[
        groups(&[ // Dirs
            one(String), // Path
            groups(&[ // Topics
                one(String).means(TopicName), // Name
                list(Int32).means(Partition), // Partitions
            ]).means(Topics),
        ]),
    ]).flexible_since(2),
    // DescribeLogDirsRequest
    Layout::of(35, 1, 5, &[
        groups(&[ // Topics
            one(String).means(TopicName), // Topic
            list(Int32).means(Partition), // Partitions
        ]).null().means(Topics),
    ]).flexible_since(2),
    // SaslAuthenticateRequest
    Layout::of(36, 0, 2, &[
        one(Bytes), // AuthBytes
    ]).flexible_since(2),
    // CreatePartitionsRequest
    Layout::of(37, 0, 3, &[
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            one(Int32), // Count
            groups(&[ // Assignments
                list(Int32), // BrokerIds
            ]).null(),
        ]).means(Topics),
        one(Int32), // TimeoutMs
        one(Bool), // ValidateOnly
    ]).flexible_since(2),
    // CreateDelegationTokenRequest
    Layout::of(38, 1, 3, &[
        one(String).since(3).null(), // OwnerPrincipalType
        one(String).since(3).null(), // OwnerPrincipalName
        groups(&[ // Renewers
            one(String), // PrincipalType
            one(String), // PrincipalName
        ]),
        one(Int64), // MaxLifetimeMs
    ]).flexible_since(2),
    // RenewDelegationTokenRequest
    Layout::of(39, 1, 2, &[
        one(Bytes), // Hmac
        one(Int64), // RenewPeriodMs
    ]).flexible_since(2),
    // ExpireDelegationTokenRequest
    Layout::of(40, 1, 2, &[
        one(Bytes), // Hmac
        one(Int64), // ExpiryTimePeriodMs
    ]).flexible_since(2),
    // DescribeDelegationTokenRequest
    Layout::of(41, 1, 3, &[
        groups(&[ // Owners
            one(String), // PrincipalType
            one(String), // PrincipalName
        ]).null(),
    ]).flexible_since(2),
    // DeleteGroupsRequest
    Layout::of(42, 0, 3, &[
        list(String).means(GroupId), // GroupsNames
    ]).flexible_since(2),
    // ElectLeadersRequest
    Layout::of(43, 0, 2, &[
        one(Int8).since(1), // ElectionType
        groups(&[ // TopicPartitions
            one(String).means(TopicName), // Topic
            list(Int32).means(Partition), // Partitions
        ]).null().means(Topics),
        one(Int32), // TimeoutMs
    ]).flexible_since(2),
    // IncrementalAlterConfigsRequest
    Layout::of(44, 0, 1, &[
        groups(&[ // Resources
            one(Int8).means(ResourceType), // ResourceType
            one(String).means(ResourceName), // ResourceName
            groups(&[ // Configs
                one(String), // Name
                one(Int8), // ConfigOperation
                one(String).null(), // Value
            ]),
        ]).means(Entries),
        one(Bool), // ValidateOnly
    ]).flexible_since(1),
    // AlterPartitionReassignmentsRequest
    Layout::of(45, 0, 1, &[
        one(Int32), // TimeoutMs
        one(Bool).since(1), // AllowReplicationFactorChange
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                list(Int32).null(), // Replicas
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // ListPartitionReassignmentsRequest
    Layout::of(46, 0, 0, &[
        one(Int32), // TimeoutMs
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            list(Int32).means(Partition), // PartitionIndexes
        ]).null().means(Topics),
    ]).flexible_since(0),
    // OffsetDeleteRequest
    Layout::of(47, 0, 0, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
            ]).means(Partitions),
        ]).means(Topics),
    ]),
    // DescribeClientQuotasRequest
    Layout::of(48, 0, 1, &[
        groups(&[ // Components
            one(String), // EntityType
            one(Int8), // MatchType
            one(String).null(), // Match
        ]),
        one(Bool), // Strict
    ]).flexible_since(1),
    // AlterClientQuotasRequest
    Layout::of(49, 0, 1, &[
        groups(&[ // Entries
            groups(&[ // Entity
                one(String).means(EntityType), // EntityType
                one(String).null().means(EntityName), // EntityName
            ]).means(Entity),
            groups(&[ // Ops
                one(String), // Key
                one(Float64), // Value
                one(Bool), // Remove
            ]),
        ]).means(Entries),
        one(Bool), // ValidateOnly
    ]).flexible_since(1),
    // DescribeUserScramCredentialsRequest
    Layout::of(50, 0, 0, &[
        groups(&[ // Users
            one(String), // Name
        ]).null(),
    ]).flexible_since(0),
    // AlterUserScramCredentialsRequest
    Layout::of(51, 0, 0, &[
        groups(&[ // Deletions
            one(String).means(UserName), // Name
            one(Int8), // Mechanism
        ]).means(Entries),
        groups(&[ // Upsertions
            one(String).means(UserName), // Name
            one(Int8), // Mechanism
            one(Int32), // Iterations
            one(Bytes), // Salt
            one(Bytes), // SaltedPassword
        ]).means(Entries),
    ]).flexible_since(0),
    // DescribeQuorumRequest
    Layout::of(55, 0, 2, &[
        groups(&[ // Topics
            one(String).means(TopicName), // TopicName
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // UpdateFeaturesRequest
    Layout::of(57, 0, 2, &[
        one(Int32), // timeoutMs
        groups(&[ // FeatureUpdates
            one(String), // Feature
            one(Int16), // MaxVersionLevel
            one(Bool).until(0), // AllowDowngrade
            one(Int8).since(1), // UpgradeType
        ]),
        one(Bool).since(1), // ValidateOnly
    ]).flexible_since(0),
    // DescribeClusterRequest
    Layout::of(60, 0, 2, &[
        one(Bool), // IncludeClusterAuthorizedOperations
        one(Int8).since(1), // EndpointType
        one(Bool).since(2), // IncludeFencedBrokers
    ]).flexible_since(0),
    // DescribeProducersRequest
    Layout::of(61, 0, 0, &[
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            list(Int32).means(Partition), // PartitionIndexes
        ]).means(Topics),
    ]).flexible_since(0),
    // UnregisterBrokerRequest
    Layout::of(64, 0, 0, &[
        one(Int32), // BrokerId
    ]).flexible_since(0),
    // DescribeTransactionsRequest
    Layout::of(65, 0, 0, &[
        list(String).means(TransactionalId), // TransactionalIds
    ]).flexible_since(0),
    // ListTransactionsRequest
    Layout::of(66, 0, 2, &[
        list(String), // StateFilters
        list(Int64), // ProducerIdFilters
        one(Int64).since(1), // DurationFilter
        one(String).since(2).null().means(TransactionalIdPattern), // TransactionalIdPattern
    ]).flexible_since(0),
    // ConsumerGroupHeartbeatRequest
    Layout::of(68, 0, 1, &[
        one(String).means(GroupId), // GroupId
        one(String).means(MemberId), // MemberId
        one(Int32), // MemberEpoch
        one(String).null(), // InstanceId
        one(String).null(), // RackId
        one(Int32), // RebalanceTimeoutMs
        list(String).null().means(TopicName), // SubscribedTopicNames
        one(String).since(1).null().means(TopicRegex), // SubscribedTopicRegex
        one(String).null(), // ServerAssignor
        groups(&[ // TopicPartitions
            one(Uuid).means(TopicId), // TopicId
            list(Int32).means(Partition), // Partitions
        ]).null().means(Topics),
    ]).flexible_since(0),
    // ConsumerGroupDescribeRequest
    Layout::of(69, 0, 1, &[
        list(String).means(GroupId), // GroupIds
        one(Bool), // IncludeAuthorizedOperations
    ]).flexible_since(0),
    // GetTelemetrySubscriptionsRequest
    Layout::of(71, 0, 0, &[
        one(Uuid), // ClientInstanceId
    ]).flexible_since(0),
    // PushTelemetryRequest
    Layout::of(72, 0, 0, &[
        one(Uuid), // ClientInstanceId
        one(Int32), // SubscriptionId
        one(Bool), // Terminating
        one(Int8), // CompressionType
        one(Bytes), // Metrics
    ]).flexible_since(0),
    // ListConfigResourcesRequest
    Layout::of(74, 0, 1, &[
        list(Int8).since(1).means(ResourceType), // ResourceTypes
    ]).flexible_since(0),
    // DescribeTopicPartitionsRequest
    Layout::of(75, 0, 0, &[
        groups(&[ // Topics
            one(String).means(TopicName), // Name
        ]).means(Topics),
        one(Int32), // ResponsePartitionLimit
        group(&[ // Cursor
            one(String).means(TopicName), // TopicName
            one(Int32).means(Partition), // PartitionIndex
        ]).null(),
    ]).flexible_since(0),
    // ShareGroupHeartbeatRequest
    Layout::of(76, 1, 1, &[
        one(String).means(GroupId), // GroupId
        one(String).means(MemberId), // MemberId
        one(Int32), // MemberEpoch
        one(String).null(), // RackId
        list(String).null().means(TopicName), // SubscribedTopicNames
    ]).flexible_since(1),
    // ShareGroupDescribeRequest
    Layout::of(77, 1, 1, &[
        list(String).means(GroupId), // GroupIds
        one(Bool), // IncludeAuthorizedOperations
    ]).flexible_since(1),
    // ShareFetchRequest
    Layout::of(78, 1, 2, &[
        one(String).null().means(GroupId), // GroupId
        one(String).null().means(MemberId), // MemberId
        one(Int32).means(ShareSessionEpoch), // ShareSessionEpoch
        one(Int32), // MaxWaitMs
        one(Int32), // MinBytes
        one(Int32), // MaxBytes
        one(Int32), // MaxRecords
        one(Int32), // BatchSize
        one(Int8).since(2), // ShareAcquireMode
        one(Bool).since(2), // IsRenewAck
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                groups(&[ // AcknowledgementBatches
                    one(Int64), // FirstOffset
                    one(Int64), // LastOffset
                    list(Int8), // AcknowledgeTypes
                ]),
            ]).means(Partitions),
        ]).means(Topics),
        groups(&[ // ForgottenTopicsData
            one(Uuid).means(ForgottenTopicId), // TopicId
            list(Int32).means(Partition), // Partitions
        ]).means(ForgottenTopics),
    ]).flexible_since(1),
    // ShareAcknowledgeRequest
    Layout::of(79, 1, 2, &[
        one(String).null().means(GroupId), // GroupId
        one(String).null().means(MemberId), // MemberId
        one(Int32).means(ShareSessionEpoch), // ShareSessionEpoch
        one(Bool).since(2), // IsRenewAck
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                groups(&[ // AcknowledgementBatches
                    one(Int64), // FirstOffset
                    one(Int64), // LastOffset
                    list(Int8), // AcknowledgeTypes
                ]),
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(1),
    // AddRaftVoterRequest
    Layout::of(80, 0, 1, &[
        one(String).null(), // ClusterId
        one(Int32), // TimeoutMs
        one(Int32), // VoterId
        one(Uuid), // VoterDirectoryId
        groups(&[ // Listeners
            one(String), // Name
            one(String), // Host
            one(Uint16), // Port
        ]),
        one(Bool).since(1), // AckWhenCommitted
    ]).flexible_since(0),
    // RemoveRaftVoterRequest
    Layout::of(81, 0, 0, &[
        one(String).null(), // ClusterId
        one(Int32), // VoterId
        one(Uuid), // VoterDirectoryId
    ]).flexible_since(0),
    // InitializeShareGroupStateRequest
    Layout::of(83, 0, 0, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
                one(Int32), // StateEpoch
                one(Int64), // StartOffset
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // ReadShareGroupStateRequest
    Layout::of(84, 0, 0, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
                one(Int32), // LeaderEpoch
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // WriteShareGroupStateRequest
    Layout::of(85, 0, 1, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
                one(Int32), // StateEpoch
                one(Int32), // LeaderEpoch
                one(Int64), // StartOffset
                one(Int32).since(1), // DeliveryCompleteCount
                groups(&[ // StateBatches
                    one(Int64), // FirstOffset
                    one(Int64), // LastOffset
                    one(Int8), // DeliveryState
                    one(Int16), // DeliveryCount
                ]),
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // DeleteShareGroupStateRequest
    Layout::of(86, 0, 0, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // ReadShareGroupStateSummaryRequest
    Layout::of(87, 0, 1, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // Partition
                one(Int32), // LeaderEpoch
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // StreamsGroupHeartbeatRequest
    Layout::of(88, 0, 1, &[
        one(String).means(GroupId), // GroupId
        one(String).means(MemberId), // MemberId
        one(Int32), // MemberEpoch
        one(Int32), // EndpointInformationEpoch
        one(String).null(), // InstanceId
        one(String).null(), // RackId
        one(Int32), // RebalanceTimeoutMs
        group(&[ // Topology
            one(Int32), // Epoch
            groups(&[ // Subtopologies
                one(String), // SubtopologyId
                list(String).means(TopicName), // SourceTopics
                list(String).means(TopicRegex), // SourceTopicRegex
                groups(&[ // StateChangelogTopics
                    one(String).means(InternalTopicName), // Name
                    one(Int32), // Partitions
                    one(Int16), // ReplicationFactor
                    groups(&[ // TopicConfigs
                        one(String), // Key
                        one(String), // Value
                    ]),
                ]).means(Topics),
                list(String).means(TopicName), // RepartitionSinkTopics
                groups(&[ // RepartitionSourceTopics
                    one(String).means(InternalTopicName), // Name
                    one(Int32), // Partitions
                    one(Int16), // ReplicationFactor
                    groups(&[ // TopicConfigs
                        one(String), // Key
                        one(String), // Value
                    ]),
                ]).means(Topics),
                groups(&[ // CopartitionGroups
                    list(Int16), // SourceTopics
                    list(Int16), // SourceTopicRegex
                    list(Int16), // RepartitionSourceTopics
                ]),
            ]),
        ]).null(),
        groups(&[ // ActiveTasks
            one(String), // SubtopologyId
            list(Int32), // Partitions
        ]).null(),
        groups(&[ // StandbyTasks
            one(String), // SubtopologyId
            list(Int32), // Partitions
        ]).null(),
        groups(&[ // WarmupTasks
            one(String), // SubtopologyId
            list(Int32), // Partitions
        ]).null(),
        one(String).null(), // ProcessId
        group(&[ // UserEndpoint
            one(String), // Host
            one(Uint16), // Port
        ]).null(),
        groups(&[ // ClientTags
            one(String), // Key
            one(String), // Value
        ]).null(),
        groups(&[ // TaskOffsets
            one(String), // SubtopologyId
            one(Int32), // Partition
            one(Int64), // Offset
        ]).null(),
        groups(&[ // TaskEndOffsets
            one(String), // SubtopologyId
            one(Int32), // Partition
            one(Int64), // Offset
        ]).null(),
        one(Bool), // ShutdownApplication
    ]).flexible_since(0),
    // StreamsGroupDescribeRequest
    Layout::of(89, 0, 1, &[
        list(String).means(GroupId), // GroupIds
        one(Bool), // IncludeAuthorizedOperations
        one(Bool).since(1), // IncludeTopologyDescription
    ]).flexible_since(0),
    // DescribeShareGroupOffsetsRequest
    Layout::of(90, 0, 1, &[
        groups(&[ // Groups
            one(String).means(GroupId), // GroupId
            groups(&[ // Topics
                one(String).means(TopicName), // TopicName
                list(Int32).means(Partition), // Partitions
            ]).null().means(Topics),
        ]).means(Entries),
    ]).flexible_since(0),
    // AlterShareGroupOffsetsRequest
    Layout::of(91, 0, 0, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(String).means(TopicName), // TopicName
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int64), // StartOffset
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // DeleteShareGroupOffsetsRequest
    Layout::of(92, 0, 0, &[
        one(String).means(GroupId), // GroupId
        groups(&[ // Topics
            one(String).means(TopicName), // TopicName
        ]).means(Topics),
    ]).flexible_since(0),
    // StreamsGroupTopologyDescriptionUpdateRequest
    Layout::of(93, 0, 0, &[
        one(String).means(GroupId), // GroupId
        one(String).means(MemberId), // MemberId
        one(Int32), // TopologyEpoch
        group(&[ // TopologyDescription
            groups(&[ // Subtopologies
                one(String), // SubtopologyId
                groups(&[ // Nodes
                    one(String), // Name
                    one(Int8), // NodeType
                    list(String).means(TopicName), // SourceTopics
                    one(String).null().means(TopicName), // SinkTopic
                    list(String), // Stores
                    list(String), // Successors
                ]),
            ]),
            groups(&[ // GlobalStores
                group(&[ // Source
                    one(String), // Name
                    one(Int8), // NodeType
                    list(String).means(TopicName), // SourceTopics
                    one(String).null().means(TopicName), // SinkTopic
                    list(String), // Stores
                    list(String), // Successors
                ]),
                group(&[ // Processor
                    one(String), // Name
                    one(Int8), // NodeType
                    list(String).means(TopicName), // SourceTopics
                    one(String).null().means(TopicName), // SinkTopic
                    list(String), // Stores
                    list(String), // Successors
                ]),
            ]),
        ]),
    ]).flexible_since(0),
    // UnregisterControllerRequest
    Layout::of(94, 0, 0, &[
        one(Int32), // ControllerId
    ]).flexible_since(0),
];

/// Responses, in the order of their numbers.
#[rustfmt::skip]
pub(super) static RESPONSES: &[Layout] = &[
    // ProduceResponse
    Layout::of(0, 3, 13, &[
        groups(&[ // Responses
            one(String).until(12).means(TopicName), // Name
            one(Uuid).since(13).means(TopicId), // TopicId
            groups(&[ // PartitionResponses
                one(Int32), // Index
                one(Int16).means(ErrorCode), // ErrorCode
                one(Int64), // BaseOffset
                one(Int64), // LogAppendTimeMs
                one(Int64).since(5), // LogStartOffset
                groups(&[ // RecordErrors
                    one(Int32), // BatchIndex
                    one(String).null(), // BatchIndexErrorMessage
                ]).since(8),
                one(String).since(8).null(), // ErrorMessage
                group(&[ // CurrentLeader
                    one(Int32), // LeaderId
                    one(Int32), // LeaderEpoch
                ]).since(10).tag(0),
            ]),
        ]).means(Topics),
        one(Int32), // ThrottleTimeMs
        groups(&[ // NodeEndpoints
            one(Int32), // NodeId
            one(String), // Host
            one(Int32), // Port
            one(String).null(), // Rack
        ]).since(10).tag(0),
    ]).flexible_since(9),
    // FetchResponse
    Layout::of(1, 4, 18, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).since(7).means(ErrorCode), // ErrorCode
        one(Int32).since(7).means(SessionId), // SessionId
        groups(&[ // Responses
            one(String).until(12).means(TopicName), // Topic
            one(Uuid).since(13).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(Int64), // HighWatermark
                one(Int64), // LastStableOffset
                one(Int64).since(5), // LogStartOffset
                group(&[ // DivergingEpoch
                    one(Int32), // Epoch
                    one(Int64), // EndOffset
                ]).since(12).tag(0),
                group(&[ // CurrentLeader
                    one(Int32), // LeaderId
                    one(Int32), // LeaderEpoch
                ]).since(12).tag(1),
                group(&[ // SnapshotId
                    one(Int64), // EndOffset
                    one(Int32), // Epoch
                ]).since(12).tag(2),
                groups(&[ // AbortedTransactions
                    one(Int64), // ProducerId
                    one(Int64), // FirstOffset
                ]).null(),
                one(Int32).since(11), // PreferredReadReplica
                one(Bytes).null(), // Records
            ]),
        ]).means(Topics),
        groups(&[ // NodeEndpoints
            one(Int32), // NodeId
            one(String), // Host
            one(Int32), // Port
            one(String).null(), // Rack
        ]).since(16).tag(0),
    ]).flexible_since(12),
    // ListOffsetsResponse
    Layout::of(2, 1, 11, &[
        one(Int32).since(2), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(Int64), // Timestamp
                one(Int64), // Offset
                one(Int32).since(4), // LeaderEpoch
            ]),
        ]).means(Topics),
    ]).flexible_since(6),
    // MetadataResponse
    Layout::of(3, 0, 13, &[
        one(Int32).since(3), // ThrottleTimeMs
        groups(&[ // Brokers
            one(Int32), // NodeId
            one(String), // Host
            one(Int32), // Port
            one(String).since(1).null(), // Rack
        ]),
        one(String).since(2).null(), // ClusterId
        one(Int32).since(1), // ControllerId
        groups(&[ // Topics
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null_since(12).means(TopicName), // Name
            one(Uuid).since(10).means(TopicId), // TopicId
            one(Bool).since(1), // IsInternal
            groups(&[ // Partitions
                one(Int16).means(ErrorCode), // ErrorCode
                one(Int32).means(Partition), // PartitionIndex
                one(Int32), // LeaderId
                one(Int32).since(7), // LeaderEpoch
                list(Int32), // ReplicaNodes
                list(Int32), // IsrNodes
                list(Int32).since(5), // OfflineReplicas
            ]).means(Partitions),
            one(Int32).since(8), // TopicAuthorizedOperations
        ]).means(Topics),
        one(Int32).since(8).until(10), // ClusterAuthorizedOperations
        one(Int16).since(13).means(ErrorCode), // ErrorCode
    ]).flexible_since(9),
    // OffsetCommitResponse
    Layout::of(8, 2, 10, &[
        one(Int32).since(3), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).until(9).means(TopicName), // Name
            one(Uuid).since(10).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
            ]),
        ]).means(Topics),
    ]).flexible_since(8),
    // OffsetFetchResponse
    Layout::of(9, 1, 10, &[
        one(Int32).since(3), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int64), // CommittedOffset
                one(Int32).since(5), // CommittedLeaderEpoch
                one(String).null(), // Metadata
                one(Int16).means(ErrorCode), // ErrorCode
            ]),
        ]).until(7).means(Topics),
        one(Int16).since(2).until(7).means(ErrorCode), // ErrorCode
        groups(&[ // Groups
            one(String).means(GroupId), // GroupId
            groups(&[ // Topics
                one(String).until(9).means(TopicName), // Name
                one(Uuid).since(10).means(TopicId), // TopicId
                groups(&[ // Partitions
                    one(Int32), // PartitionIndex
                    one(Int64), // CommittedOffset
                    one(Int32), // CommittedLeaderEpoch
                    one(String).null(), // Metadata
                    one(Int16).means(ErrorCode), // ErrorCode
                ]),
            ]).means(Topics),
            one(Int16).means(ErrorCode), // ErrorCode
        ]).since(8).means(Entries),
    ]).flexible_since(6),
    // FindCoordinatorResponse
    Layout::of(10, 0, 6, &[
        one(Int32).since(1), // ThrottleTimeMs
        one(Int16).until(3).means(ErrorCode), // ErrorCode
        one(String).since(1).until(3).null(), // ErrorMessage
        one(Int32).until(3), // NodeId
        one(String).until(3), // Host
        one(Int32).until(3), // Port
        groups(&[ // Coordinators
            one(String), // Key
            one(Int32), // NodeId
            one(String), // Host
            one(Int32), // Port
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]).since(4).means(Entries),
    ]).flexible_since(3),
    // JoinGroupResponse
    Layout::of(11, 0, 9, &[
        one(Int32).since(2), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(Int32), // GenerationId
        one(String).since(7).null(), // ProtocolType
        one(String).null_since(7), // ProtocolName
        one(String), // Leader
        one(Bool).since(9), // SkipAssignment
        one(String), // MemberId
        groups(&[ // Members
            one(String), // MemberId
            one(String).since(5).null(), // GroupInstanceId
            one(Bytes), // Metadata
        ]),
    ]).flexible_since(6),
    // HeartbeatResponse
    Layout::of(12, 0, 4, &[
        one(Int32).since(1), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
    ]).flexible_since(4),
    // LeaveGroupResponse
    Layout::of(13, 0, 5, &[
        one(Int32).since(1), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        groups(&[ // Members
            one(String), // MemberId
            one(String).null(), // GroupInstanceId
            one(Int16).means(ErrorCode), // ErrorCode
        ]).since(3),
    ]).flexible_since(4),
    // SyncGroupResponse
    Layout::of(14, 0, 5, &[
        one(Int32).since(1), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).since(5).null(), // ProtocolType
        one(String).since(5).null(), // ProtocolName
        one(Bytes), // Assignment
    ]).flexible_since(4),
    // DescribeGroupsResponse
    Layout::of(15, 0, 6, &[
        one(Int32).since(1), // ThrottleTimeMs
        groups(&[ // Groups
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).since(6).null(), // ErrorMessage
            one(String).means(GroupId), // GroupId
            one(String), // GroupState
            one(String), // ProtocolType
            one(String), // ProtocolData
            groups(&[ // Members
                one(String), // MemberId
                one(String).since(4).null(), // GroupInstanceId
                one(String), // ClientId
                one(String), // ClientHost
                one(Bytes), // MemberMetadata
                one(Bytes), // MemberAssignment
            ]),
            one(Int32).since(3), // AuthorizedOperations
        ]).means(Entries),
    ]).flexible_since(5),
    // ListGroupsResponse
    Layout::of(16, 0, 5, &[
        one(Int32).since(1), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        groups(&[ // Groups
            one(String).means(GroupId), // GroupId
            one(String), // ProtocolType
            one(String).since(4), // GroupState
            one(String).since(5), // GroupType
        ]).means(Entries),
    ]).flexible_since(3),
    // SaslHandshakeResponse
    Layout::of(17, 0, 1, &[
        one(Int16).means(ErrorCode), // ErrorCode
        list(String).means(Mechanism), // Mechanisms
    ]),
    // ApiVersionsResponse
    Layout::of(18, 0, 5, &[
        one(Int16).means(ErrorCode), // ErrorCode
        groups(&[ // ApiKeys
            one(Int16).means(ApiKey), // ApiKey
            one(Int16).means(MinVersion), // MinVersion
            one(Int16).means(MaxVersion), // MaxVersion
        ]).means(ApiKeys),
        one(Int32).since(1), // ThrottleTimeMs
        groups(&[ // SupportedFeatures
            one(String), // Name
            one(Int16), // MinVersion
            one(Int16), // MaxVersion
        ]).since(3).tag(0),
        one(Int64).since(3).tag(1), // FinalizedFeaturesEpoch
        groups(&[ // FinalizedFeatures
            one(String), // Name
            one(Int16), // MaxVersionLevel
            one(Int16), // MinVersionLevel
        ]).since(3).tag(2),
        one(Bool).since(3).tag(3), // ZkMigrationReady
    ]).flexible_since(3),
    // CreateTopicsResponse
    Layout::of(19, 2, 7, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            one(Uuid).since(7).means(TopicId), // TopicId
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(Int16).since(5).tag(0), // TopicConfigErrorCode
            one(Int32).since(5), // NumPartitions
            one(Int16).since(5), // ReplicationFactor
            groups(&[ // Configs
                one(String), // Name
                one(String).null(), // Value
                one(Bool), // ReadOnly
                one(Int8), // ConfigSource
                one(Bool), // IsSensitive
            ]).since(5).null(),
        ]).means(Topics),
    ]).flexible_since(5),
    // DeleteTopicsResponse
    Layout::of(20, 1, 6, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Responses
            one(String).null_since(6).means(TopicName), // Name
            one(Uuid).since(6).means(TopicId), // TopicId
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).since(5).null(), // ErrorMessage
        ]).means(Topics),
    ]).flexible_since(4),
    // DeleteRecordsResponse
    Layout::of(21, 0, 2, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).means(TopicName), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int64), // LowWatermark
                one(Int16).means(ErrorCode), // ErrorCode
            ]),
        ]).means(Topics),
    ]).flexible_since(2),
    // InitProducerIdResponse
    Layout::of(22, 0, 6, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(Int64), // ProducerId
        one(Int16), // ProducerEpoch
        one(Int64).since(6), // OngoingTxnProducerId
        one(Int16).since(6), // OngoingTxnProducerEpoch
    ]).flexible_since(2),
    // OffsetForLeaderEpochResponse
    Layout::of(23, 2, 4, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).means(TopicName), // Topic
            groups(&[ // Partitions
                one(Int16).means(ErrorCode), // ErrorCode
                one(Int32), // Partition
                one(Int32), // LeaderEpoch
                one(Int64), // EndOffset
            ]),
        ]).means(Topics),
    ]).flexible_since(4),
    // AddPartitionsToTxnResponse
    Layout::of(24, 0, 5, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).since(4).means(ErrorCode), // ErrorCode
        groups(&[ // ResultsByTransaction
            one(String).means(TransactionalId), // TransactionalId
            groups(&[ // TopicResults
                one(String).means(TopicName), // Name
                groups(&[ // ResultsByPartition
                    one(Int32), // PartitionIndex
                    one(Int16).means(ErrorCode), // PartitionErrorCode
                ]),
            ]),
        ]).since(4),
        groups(&[ // ResultsByTopicV3AndBelow
            one(String).means(TopicName), // Name
            groups(&[ // ResultsByPartition
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // PartitionErrorCode
            ]),
        ]).until(3).means(Topics),
    ]).flexible_since(3),
    // AddOffsetsToTxnResponse
    Layout::of(25, 0, 4, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
    ]).flexible_since(3),
    // EndTxnResponse
    Layout::of(26, 0, 5, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(Int64).since(5), // ProducerId
        one(Int16).since(5), // ProducerEpoch
    ]).flexible_since(3),
    // WriteTxnMarkersResponse
    Layout::of(27, 1, 2, &[
        groups(&[ // Markers
            one(Int64), // ProducerId
            groups(&[ // Topics
                one(String), // Name
                groups(&[ // Partitions
                    one(Int32), // PartitionIndex
                    one(Int16).means(ErrorCode), // ErrorCode
                ]),
            ]),
        ]),
    ]).flexible_since(1),
    // TxnOffsetCommitResponse
    Layout::of(28, 0, 6, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(String).until(5).means(TopicName), // Name
            one(Uuid).since(6).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
            ]),
        ]).means(Topics),
    ]).flexible_since(3),
    // DescribeAclsResponse
    Layout::of(29, 1, 3, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Resources
            one(Int8), // ResourceType
            one(String), // ResourceName
            one(Int8), // PatternType
            groups(&[ // Acls
                one(String), // Principal
                one(String), // Host
                one(Int8), // Operation
                one(Int8), // PermissionType
            ]),
        ]),
    ]).flexible_since(2),
    // CreateAclsResponse
    Layout::of(30, 1, 3, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Results
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]),
    ]).flexible_since(2),
    // DeleteAclsResponse
    Layout::of(31, 1, 3, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // FilterResults
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            groups(&[ // MatchingAcls
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
                one(Int8), // ResourceType
                one(String), // ResourceName
                one(Int8), // PatternType
                one(String), // Principal
                one(String), // Host
                one(Int8), // Operation
                one(Int8), // PermissionType
            ]),
        ]),
    ]).flexible_since(2),
    // DescribeConfigsResponse
    Layout::of(32, 1, 4, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Results
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(Int8), // ResourceType
            one(String), // ResourceName
            groups(&[ // Configs
                one(String), // Name
                one(String).null(), // Value
                one(Bool), // ReadOnly
                one(Int8), // ConfigSource
                one(Bool), // IsSensitive
                groups(&[ // Synonyms
                    one(String), // Name
                    one(String).null(), // Value
                    one(Int8), // Source
                ]),
                one(Int8).since(3), // ConfigType
                one(String).since(3).null(), // Documentation
            ]),
        ]),
    ]).flexible_since(4),
    // AlterConfigsResponse
    Layout::of(33, 0, 2, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Responses
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(Int8), // ResourceType
            one(String), // ResourceName
        ]),
    ]).flexible_since(2),
    // AlterReplicaLogDirsResponse
    Layout::of(34, 1, 2, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Results
            one(String), // TopicName
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
            ]),
        ]),
    ]).flexible_since(2),
    // DescribeLogDirsResponse
    Layout::of(35, 1, 5, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).since(3).means(ErrorCode), // ErrorCode
        groups(&[ // Results
            one(Int16).means(ErrorCode), // ErrorCode
            one(String), // LogDir
            groups(&[ // Topics
                one(String), // Name
                groups(&[ // Partitions
                    one(Int32), // PartitionIndex
                    one(Int64), // PartitionSize
                    one(Int64), // OffsetLag
                    one(Bool), // IsFutureKey
                ]),
            ]),
            one(Int64).since(4), // TotalBytes
            one(Int64).since(4), // UsableBytes
            one(Bool).since(5), // IsCordoned
        ]),
    ]).flexible_since(2),
    // SaslAuthenticateResponse
    Layout::of(36, 0, 2, &[
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(Bytes), // AuthBytes
        one(Int64).since(1), // SessionLifetimeMs
    ]).flexible_since(2),
    // CreatePartitionsResponse
    Layout::of(37, 0, 3, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Results
            one(String).means(TopicName), // Name
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]).means(Topics),
    ]).flexible_since(2),
    // CreateDelegationTokenResponse
    Layout::of(38, 1, 3, &[
        one(Int16).means(ErrorCode), // ErrorCode
        one(String), // PrincipalType
        one(String), // PrincipalName
        one(String).since(3), // TokenRequesterPrincipalType
        one(String).since(3), // TokenRequesterPrincipalName
        one(Int64), // IssueTimestampMs
        one(Int64), // ExpiryTimestampMs
        one(Int64), // MaxTimestampMs
        one(String), // TokenId
        one(Bytes), // Hmac
        one(Int32), // ThrottleTimeMs
    ]).flexible_since(2),
    // RenewDelegationTokenResponse
    Layout::of(39, 1, 2, &[
        one(Int16).means(ErrorCode), // ErrorCode
        one(Int64), // ExpiryTimestampMs
        one(Int32), // ThrottleTimeMs
    ]).flexible_since(2),
    // ExpireDelegationTokenResponse
    Layout::of(40, 1, 2, &[
        one(Int16).means(ErrorCode), // ErrorCode
        one(Int64), // ExpiryTimestampMs
        one(Int32), // ThrottleTimeMs
    ]).flexible_since(2),
    // DescribeDelegationTokenResponse
    Layout::of(41, 1, 3, &[
        one(Int16).means(ErrorCode), // ErrorCode
        groups(&[ // Tokens
            one(String), // PrincipalType
            one(String), // PrincipalName
            one(String).since(3), // TokenRequesterPrincipalType
            one(String).since(3), // TokenRequesterPrincipalName
            one(Int64), // IssueTimestamp
            one(Int64), // ExpiryTimestamp
            one(Int64), // MaxTimestamp
            one(String), // TokenId
            one(Bytes), // Hmac
            groups(&[ // Renewers
                one(String), // PrincipalType
                one(String), // PrincipalName
            ]),
        ]),
        one(Int32), // ThrottleTimeMs
    ]).flexible_since(2),
    // DeleteGroupsResponse
    Layout::of(42, 0, 3, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Results
            one(String).means(GroupId), // GroupId
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).since(3).null(), // ErrorMessage
        ]).means(Entries),
    ]).flexible_since(2),
    // ElectLeadersResponse
    Layout::of(43, 0, 2, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).since(1).means(ErrorCode), // ErrorCode
        groups(&[ // ReplicaElectionResults
            one(String), // Topic
            groups(&[ // PartitionResult
                one(Int32), // PartitionId
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
            ]),
        ]),
    ]).flexible_since(2),
    // IncrementalAlterConfigsResponse
    Layout::of(44, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Responses
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(Int8), // ResourceType
            one(String), // ResourceName
        ]),
    ]).flexible_since(1),
    // AlterPartitionReassignmentsResponse
    Layout::of(45, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Bool).since(1), // AllowReplicationFactorChange
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Responses
            one(String), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
            ]),
        ]),
    ]).flexible_since(0),
    // ListPartitionReassignmentsResponse
    Layout::of(46, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Topics
            one(String), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                list(Int32), // Replicas
                list(Int32), // AddingReplicas
                list(Int32), // RemovingReplicas
            ]),
        ]),
    ]).flexible_since(0),
    // OffsetDeleteResponse
    Layout::of(47, 0, 0, &[
        one(Int16).means(ErrorCode), // ErrorCode
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(String), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
            ]),
        ]),
    ]),
    // DescribeClientQuotasResponse
    Layout::of(48, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Entries
            groups(&[ // Entity
                one(String), // EntityType
                one(String).null(), // EntityName
            ]),
            groups(&[ // Values
                one(String), // Key
                one(Float64), // Value
            ]),
        ]).null(),
    ]).flexible_since(1),
    // AlterClientQuotasResponse
    Layout::of(49, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Entries
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            groups(&[ // Entity
                one(String), // EntityType
                one(String).null(), // EntityName
            ]),
        ]),
    ]).flexible_since(1),
    // DescribeUserScramCredentialsResponse
    Layout::of(50, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Results
            one(String), // User
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            groups(&[ // CredentialInfos
                one(Int8), // Mechanism
                one(Int32), // Iterations
            ]),
        ]),
    ]).flexible_since(0),
    // AlterUserScramCredentialsResponse
    Layout::of(51, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Results
            one(String), // User
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]),
    ]).flexible_since(0),
    // DescribeQuorumResponse
    Layout::of(55, 0, 2, &[
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).since(2).null(), // ErrorMessage
        groups(&[ // Topics
            one(String), // TopicName
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).since(2).null(), // ErrorMessage
                one(Int32), // LeaderId
                one(Int32), // LeaderEpoch
                one(Int64), // HighWatermark
                groups(&[ // CurrentVoters
                    one(Int32), // ReplicaId
                    one(Uuid).since(2), // ReplicaDirectoryId
                    one(Int64), // LogEndOffset
                    one(Int64).since(1), // LastFetchTimestamp
                    one(Int64).since(1), // LastCaughtUpTimestamp
                ]),
                groups(&[ // Observers
                    one(Int32), // ReplicaId
                    one(Uuid).since(2), // ReplicaDirectoryId
                    one(Int64), // LogEndOffset
                    one(Int64).since(1), // LastFetchTimestamp
                    one(Int64).since(1), // LastCaughtUpTimestamp
                ]),
            ]),
        ]),
        groups(&[ // Nodes
            one(Int32), // NodeId
            groups(&[ // Listeners
                one(String), // Name
                one(String), // Host
                one(Uint16), // Port
            ]),
        ]).since(2),
    ]).flexible_since(0),
    // UpdateFeaturesResponse
    Layout::of(57, 0, 2, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Results
            one(String), // Feature
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]).until(1),
    ]).flexible_since(0),
    // DescribeClusterResponse
    Layout::of(60, 0, 2, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(Int8).since(1), // EndpointType
        one(String), // ClusterId
        one(Int32), // ControllerId
        groups(&[ // Brokers
            one(Int32), // BrokerId
            one(String), // Host
            one(Int32), // Port
            one(String).null(), // Rack
            one(Bool).since(2), // IsFenced
        ]),
        one(Int32), // ClusterAuthorizedOperations
    ]).flexible_since(0),
    // DescribeProducersResponse
    Layout::of(61, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(String), // Name
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
                groups(&[ // ActiveProducers
                    one(Int64), // ProducerId
                    one(Int32), // ProducerEpoch
                    one(Int32), // LastSequence
                    one(Int64), // LastTimestamp
                    one(Int32), // CoordinatorEpoch
                    one(Int64), // CurrentTxnStartOffset
                ]),
            ]),
        ]),
    ]).flexible_since(0),
    // UnregisterBrokerResponse
    Layout::of(64, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
    ]).flexible_since(0),
    // DescribeTransactionsResponse
    Layout::of(65, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // TransactionStates
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).means(TransactionalId), // TransactionalId
            one(String), // TransactionState
            one(Int32), // TransactionTimeoutMs
            one(Int64), // TransactionStartTimeMs
            one(Int64), // ProducerId
            one(Int16), // ProducerEpoch
            groups(&[ // Topics
                one(String), // Topic
                list(Int32), // Partitions
            ]),
        ]).means(Entries),
    ]).flexible_since(0),
    // ListTransactionsResponse
    Layout::of(66, 0, 2, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        list(String), // UnknownStateFilters
        groups(&[ // TransactionStates
            one(String).means(TransactionalId), // TransactionalId
            one(Int64), // ProducerId
            one(String), // TransactionState
        ]).means(Entries),
    ]).flexible_since(0),
    // ConsumerGroupHeartbeatResponse
    Layout::of(68, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(String).null(), // MemberId
        one(Int32), // MemberEpoch
        one(Int32), // HeartbeatIntervalMs
        group(&[ // Assignment
            groups(&[ // TopicPartitions
                one(Uuid), // TopicId
                list(Int32), // Partitions
            ]),
        ]).null(),
    ]).flexible_since(0),
    // ConsumerGroupDescribeResponse
    Layout::of(69, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Groups
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(String).means(GroupId), // GroupId
            one(String), // GroupState
            one(Int32), // GroupEpoch
            one(Int32), // AssignmentEpoch
            one(String), // AssignorName
            groups(&[ // Members
                one(String), // MemberId
                one(String).null(), // InstanceId
                one(String).null(), // RackId
                one(Int32), // MemberEpoch
                one(String), // ClientId
                one(String), // ClientHost
                list(String).means(TopicName), // SubscribedTopicNames
                one(String).null().means(TopicRegex), // SubscribedTopicRegex
                group(&[ // Assignment
                    groups(&[ // TopicPartitions
                        one(Uuid).means(TopicId), // TopicId
                        one(String).means(TopicName), // TopicName
                        list(Int32).means(Partition), // Partitions
                    ]).means(Topics),
                ]),
                group(&[ // TargetAssignment
                    groups(&[ // TopicPartitions
                        one(Uuid).means(TopicId), // TopicId
                        one(String).means(TopicName), // TopicName
                        list(Int32).means(Partition), // Partitions
                    ]).means(Topics),
                ]),
                one(Int8).since(1), // MemberType
            ]),
            one(Int32), // AuthorizedOperations
        ]).means(Entries),
    ]).flexible_since(0),
    // GetTelemetrySubscriptionsResponse
    Layout::of(71, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(Uuid), // ClientInstanceId
        one(Int32), // SubscriptionId
        list(Int8), // AcceptedCompressionTypes
        one(Int32), // PushIntervalMs
        one(Int32), // TelemetryMaxBytes
        one(Bool), // DeltaTemporality
        list(String), // RequestedMetrics
    ]).flexible_since(0),
    // PushTelemetryResponse
    Layout::of(72, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
    ]).flexible_since(0),
    // ListConfigResourcesResponse
    Layout::of(74, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        groups(&[ // ConfigResources
            one(String), // ResourceName
            one(Int8).since(1), // ResourceType
        ]),
    ]).flexible_since(0),
    // DescribeTopicPartitionsResponse
    Layout::of(75, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Topics
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null().means(TopicName), // Name
            one(Uuid).means(TopicId), // TopicId
            one(Bool), // IsInternal
            groups(&[ // Partitions
                one(Int16).means(ErrorCode), // ErrorCode
                one(Int32).means(Partition), // PartitionIndex
                one(Int32), // LeaderId
                one(Int32), // LeaderEpoch
                list(Int32), // ReplicaNodes
                list(Int32), // IsrNodes
                list(Int32).null(), // EligibleLeaderReplicas
                list(Int32).null(), // LastKnownElr
                list(Int32), // OfflineReplicas
            ]).means(Partitions),
            one(Int32), // TopicAuthorizedOperations
        ]).means(Topics),
        group(&[ // NextCursor
            one(String).means(TopicName), // TopicName
            one(Int32), // PartitionIndex
        ]).null(),
    ]).flexible_since(0),
    // ShareGroupHeartbeatResponse
    Layout::of(76, 1, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(String).null(), // MemberId
        one(Int32), // MemberEpoch
        one(Int32), // HeartbeatIntervalMs
        group(&[ // Assignment
            groups(&[ // TopicPartitions
                one(Uuid), // TopicId
                list(Int32), // Partitions
            ]),
        ]).null(),
    ]).flexible_since(1),
    // ShareGroupDescribeResponse
    Layout::of(77, 1, 1, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Groups
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(String).means(GroupId), // GroupId
            one(String), // GroupState
            one(Int32), // GroupEpoch
            one(Int32), // AssignmentEpoch
            one(String), // AssignorName
            groups(&[ // Members
                one(String), // MemberId
                one(String).null(), // RackId
                one(Int32), // MemberEpoch
                one(String), // ClientId
                one(String), // ClientHost
                list(String).means(TopicName), // SubscribedTopicNames
                group(&[ // Assignment
                    groups(&[ // TopicPartitions
                        one(Uuid).means(TopicId), // TopicId
                        one(String).means(TopicName), // TopicName
                        list(Int32).means(Partition), // Partitions
                    ]).means(Topics),
                ]),
            ]),
            one(Int32), // AuthorizedOperations
        ]).means(Entries),
    ]).flexible_since(1),
    // ShareFetchResponse
    Layout::of(78, 1, 2, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(Int32), // AcquisitionLockTimeoutMs
        groups(&[ // Responses
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
                one(Int16), // AcknowledgeErrorCode
                one(String).null(), // AcknowledgeErrorMessage
                group(&[ // CurrentLeader
                    one(Int32), // LeaderId
                    one(Int32), // LeaderEpoch
                ]),
                one(Bytes), // Records
                groups(&[ // AcquiredRecords
                    one(Int64), // FirstOffset
                    one(Int64), // LastOffset
                    one(Int16), // DeliveryCount
                ]),
            ]).means(Partitions),
        ]).means(Topics),
        groups(&[ // NodeEndpoints
            one(Int32), // NodeId
            one(String), // Host
            one(Int32), // Port
            one(String).null(), // Rack
        ]),
    ]).flexible_since(1),
    // ShareAcknowledgeResponse
    Layout::of(79, 1, 2, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(Int32).since(2), // AcquisitionLockTimeoutMs
        groups(&[ // Responses
            one(Uuid), // TopicId
            groups(&[ // Partitions
                one(Int32), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
                group(&[ // CurrentLeader
                    one(Int32), // LeaderId
                    one(Int32), // LeaderEpoch
                ]),
            ]),
        ]),
        groups(&[ // NodeEndpoints
            one(Int32), // NodeId
            one(String), // Host
            one(Int32), // Port
            one(String).null(), // Rack
        ]),
    ]).flexible_since(1),
    // AddRaftVoterResponse
    Layout::of(80, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
    ]).flexible_since(0),
    // RemoveRaftVoterResponse
    Layout::of(81, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
    ]).flexible_since(0),
    // InitializeShareGroupStateResponse
    Layout::of(83, 0, 0, &[
        groups(&[ // Results
            one(Uuid), // TopicId
            groups(&[ // Partitions
                one(Int32), // Partition
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
            ]),
        ]),
    ]).flexible_since(0),
    // ReadShareGroupStateResponse
    Layout::of(84, 0, 0, &[
        groups(&[ // Results
            one(Uuid), // TopicId
            groups(&[ // Partitions
                one(Int32), // Partition
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
                one(Int32), // StateEpoch
                one(Int64), // StartOffset
                groups(&[ // StateBatches
                    one(Int64), // FirstOffset
                    one(Int64), // LastOffset
                    one(Int8), // DeliveryState
                    one(Int16), // DeliveryCount
                ]),
            ]),
        ]),
    ]).flexible_since(0),
    // WriteShareGroupStateResponse
    Layout::of(85, 0, 1, &[
        groups(&[ // Results
            one(Uuid), // TopicId
            groups(&[ // Partitions
                one(Int32), // Partition
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
            ]),
        ]),
    ]).flexible_since(0),
    // DeleteShareGroupStateResponse
    Layout::of(86, 0, 0, &[
        groups(&[ // Results
            one(Uuid), // TopicId
            groups(&[ // Partitions
                one(Int32), // Partition
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
            ]),
        ]),
    ]).flexible_since(0),
    // ReadShareGroupStateSummaryResponse
    Layout::of(87, 0, 1, &[
        groups(&[ // Results
            one(Uuid), // TopicId
            groups(&[ // Partitions
                one(Int32), // Partition
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
                one(Int32), // StateEpoch
                one(Int32), // LeaderEpoch
                one(Int64), // StartOffset
                one(Int32).since(1), // DeliveryCompleteCount
            ]),
        ]),
    ]).flexible_since(0),
    // StreamsGroupHeartbeatResponse
    Layout::of(88, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        one(String), // MemberId
        one(Int32), // MemberEpoch
        one(Int32), // HeartbeatIntervalMs
        one(Int32).until(0), // AcceptableRecoveryLagLegacy
        one(Int32), // TaskOffsetIntervalMs
        one(Int64).since(1), // AcceptableRecoveryLag
        groups(&[ // Status
            one(Int8), // StatusCode
            one(String), // StatusDetail
        ]).null(),
        groups(&[ // ActiveTasks
            one(String), // SubtopologyId
            list(Int32), // Partitions
        ]).null(),
        groups(&[ // StandbyTasks
            one(String), // SubtopologyId
            list(Int32), // Partitions
        ]).null(),
        groups(&[ // WarmupTasks
            one(String), // SubtopologyId
            list(Int32), // Partitions
        ]).null(),
        one(Bool).since(1), // TopologyDescriptionRequired
        one(Int32), // EndpointInformationEpoch
        groups(&[ // PartitionsByUserEndpoint
            group(&[ // UserEndpoint
                one(String), // Host
                one(Uint16), // Port
            ]),
            groups(&[ // ActivePartitions
                one(String), // Topic
                list(Int32), // Partitions
            ]),
            groups(&[ // StandbyPartitions
                one(String), // Topic
                list(Int32), // Partitions
            ]),
        ]).null(),
    ]).flexible_since(0),
    // StreamsGroupDescribeResponse
    Layout::of(89, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Groups
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
            one(String), // GroupId
            one(String), // GroupState
            one(Int32), // GroupEpoch
            one(Int32), // AssignmentEpoch
            group(&[ // Topology
                one(Int32), // Epoch
                groups(&[ // Subtopologies
                    one(String), // SubtopologyId
                    list(String), // SourceTopics
                    list(String), // RepartitionSinkTopics
                    groups(&[ // StateChangelogTopics
                        one(String), // Name
                        one(Int32), // Partitions
                        one(Int16), // ReplicationFactor
                        groups(&[ // TopicConfigs
                            one(String), // Key
                            one(String), // Value
                        ]),
                    ]),
                    groups(&[ // RepartitionSourceTopics
                        one(String), // Name
                        one(Int32), // Partitions
                        one(Int16), // ReplicationFactor
                        groups(&[ // TopicConfigs
                            one(String), // Key
                            one(String), // Value
                        ]),
                    ]),
                ]).null(),
            ]).null(),
            groups(&[ // Members
                one(String), // MemberId
                one(Int32), // MemberEpoch
                one(String).null(), // InstanceId
                one(String).null(), // RackId
                one(String), // ClientId
                one(String), // ClientHost
                one(Int32), // TopologyEpoch
                one(String), // ProcessId
                group(&[ // UserEndpoint
                    one(String), // Host
                    one(Uint16), // Port
                ]).null(),
                groups(&[ // ClientTags
                    one(String), // Key
                    one(String), // Value
                ]),
                groups(&[ // TaskOffsets
                    one(String), // SubtopologyId
                    one(Int32), // Partition
                    one(Int64), // Offset
                ]),
                groups(&[ // TaskEndOffsets
                    one(String), // SubtopologyId
                    one(Int32), // Partition
                    one(Int64), // Offset
                ]),
                group(&[ // Assignment
                    groups(&[ // ActiveTasks
                        one(String), // SubtopologyId
                        list(Int32), // Partitions
                    ]),
                    groups(&[ // StandbyTasks
                        one(String), // SubtopologyId
                        list(Int32), // Partitions
                    ]),
                    groups(&[ // WarmupTasks
                        one(String), // SubtopologyId
                        list(Int32), // Partitions
                    ]),
                ]),
                group(&[ // TargetAssignment
                    groups(&[ // ActiveTasks
                        one(String), // SubtopologyId
                        list(Int32), // Partitions
                    ]),
                    groups(&[ // StandbyTasks
                        one(String), // SubtopologyId
                        list(Int32), // Partitions
                    ]),
                    groups(&[ // WarmupTasks
                        one(String), // SubtopologyId
                        list(Int32), // Partitions
                    ]),
                ]),
                one(Bool), // IsClassic
            ]),
            one(Int32), // AuthorizedOperations
            group(&[ // TopologyDescription
                groups(&[ // Subtopologies
                    one(String), // SubtopologyId
                    groups(&[ // Nodes
                        one(String), // Name
                        one(Int8), // NodeType
                        list(String), // SourceTopics
                        one(String).null(), // SinkTopic
                        list(String), // Stores
                        list(String), // Successors
                    ]),
                ]),
                groups(&[ // GlobalStores
                    group(&[ // Source
                        one(String), // Name
                        one(Int8), // NodeType
                        list(String), // SourceTopics
                        one(String).null(), // SinkTopic
                        list(String), // Stores
                        list(String), // Successors
                    ]),
                    group(&[ // Processor
                        one(String), // Name
                        one(Int8), // NodeType
                        list(String), // SourceTopics
                        one(String).null(), // SinkTopic
                        list(String), // Stores
                        list(String), // Successors
                    ]),
                ]),
            ]).since(1).null(),
            one(Int8).since(1), // TopologyDescriptionStatus
            one(String).since(1).null(), // AssignorName
        ]).means(Entries),
    ]).flexible_since(0),
    // DescribeShareGroupOffsetsResponse
    Layout::of(90, 0, 1, &[
        one(Int32), // ThrottleTimeMs
        groups(&[ // Groups
            one(String).means(GroupId), // GroupId
            groups(&[ // Topics
                one(String).means(TopicName), // TopicName
                one(Uuid).means(TopicId), // TopicId
                groups(&[ // Partitions
                    one(Int32).means(Partition), // PartitionIndex
                    one(Int64), // StartOffset
                    one(Int32), // LeaderEpoch
                    one(Int64).since(1), // Lag
                    one(Int16).means(ErrorCode), // ErrorCode
                    one(String).null(), // ErrorMessage
                ]).means(Partitions),
            ]).means(Topics),
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]).means(Entries),
    ]).flexible_since(0),
    // AlterShareGroupOffsetsResponse
    Layout::of(91, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Responses
            one(String).means(TopicName), // TopicName
            one(Uuid).means(TopicId), // TopicId
            groups(&[ // Partitions
                one(Int32).means(Partition), // PartitionIndex
                one(Int16).means(ErrorCode), // ErrorCode
                one(String).null(), // ErrorMessage
            ]).means(Partitions),
        ]).means(Topics),
    ]).flexible_since(0),
    // DeleteShareGroupOffsetsResponse
    Layout::of(92, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
        groups(&[ // Responses
            one(String).means(TopicName), // TopicName
            one(Uuid).means(TopicId), // TopicId
            one(Int16).means(ErrorCode), // ErrorCode
            one(String).null(), // ErrorMessage
        ]).means(Topics),
    ]).flexible_since(0),
    // StreamsGroupTopologyDescriptionUpdateResponse
    Layout::of(93, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
    ]).flexible_since(0),
    // UnregisterControllerResponse
    Layout::of(94, 0, 0, &[
        one(Int32), // ThrottleTimeMs
        one(Int16).means(ErrorCode), // ErrorCode
        one(String).null(), // ErrorMessage
    ]).flexible_since(0),
];
