//! The names in messages, read from the types of `kafka-protocol`.

use kafka_protocol::messages::RequestKind;

/// The names of a request: of topics, groups and transactions, each in order of the alphabet, without empty ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) topics: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) transactions: Vec<String>,
}

impl Names {
    pub(crate) fn in_order(mut self) -> Self {
        for names in [&mut self.topics, &mut self.groups, &mut self.transactions] {
            names.retain(|name| !name.is_empty());
            names.sort();
        }
        self
    }

    pub(crate) fn of(request: &RequestKind) -> Self {
        let mut names = Self::default();
        names.topics(request);
        names.groups(request);
        names.in_order()
    }

    fn topic(&mut self, name: &kafka_protocol::messages::TopicName) {
        self.topics.push(name.to_string());
    }

    fn group(&mut self, name: &kafka_protocol::messages::GroupId) {
        self.groups.push(name.to_string());
    }

    fn transaction(&mut self, name: &kafka_protocol::messages::TransactionalId) {
        self.transactions.push(name.to_string());
    }

    fn topics(&mut self, request: &RequestKind) {
        use RequestKind as Kind;
        match request {
            Kind::Produce(it) => it.topic_data.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::Fetch(it) => {
                it.topics.iter().for_each(|topic| self.topic(&topic.topic));
                it.forgotten_topics_data.iter().for_each(|topic| self.topic(&topic.topic));
            }
            Kind::ListOffsets(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::Metadata(it) => {
                it.topics.iter().flatten().flat_map(|topic| &topic.name).for_each(|name| self.topic(name));
            }
            Kind::OffsetCommit(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::OffsetFetch(it) => {
                it.topics.iter().flatten().for_each(|topic| self.topic(&topic.name));
                it.groups.iter().flat_map(|group| &group.topics).flatten().for_each(|topic| self.topic(&topic.name));
            }
            Kind::CreateTopics(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::DeleteTopics(it) => {
                it.topic_names.iter().for_each(|name| self.topic(name));
                it.topics.iter().flat_map(|topic| &topic.name).for_each(|name| self.topic(name));
            }
            Kind::DeleteRecords(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::OffsetForLeaderEpoch(it) => it.topics.iter().for_each(|topic| self.topic(&topic.topic)),
            Kind::AddPartitionsToTxn(it) => {
                it.v3_and_below_topics.iter().for_each(|topic| self.topic(&topic.name));
                it.transactions.iter().flat_map(|of| &of.topics).for_each(|topic| self.topic(&topic.name));
            }
            Kind::WriteTxnMarkers(it) => {
                it.markers.iter().flat_map(|marker| &marker.topics).for_each(|topic| self.topic(&topic.name));
            }
            Kind::TxnOffsetCommit(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::AlterReplicaLogDirs(it) => {
                it.dirs.iter().flat_map(|dir| &dir.topics).for_each(|topic| self.topic(&topic.name));
            }
            Kind::DescribeLogDirs(it) => it.topics.iter().flatten().for_each(|topic| self.topic(&topic.topic)),
            Kind::CreatePartitions(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::ElectLeaders(it) => {
                it.topic_partitions.iter().flatten().for_each(|topic| self.topic(&topic.topic));
            }
            Kind::AlterPartitionReassignments(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::ListPartitionReassignments(it) => {
                it.topics.iter().flatten().for_each(|topic| self.topic(&topic.name));
            }
            Kind::OffsetDelete(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::DescribeQuorum(it) => it.topics.iter().for_each(|topic| self.topic(&topic.topic_name)),
            Kind::DescribeProducers(it) => it.topics.iter().for_each(|topic| self.topic(&topic.name)),
            Kind::ConsumerGroupHeartbeat(it) => {
                it.subscribed_topic_names.iter().flatten().for_each(|name| self.topic(name));
            }
            Kind::DescribeTopicPartitions(it) => {
                it.topics.iter().for_each(|topic| self.topic(&topic.name));
                it.cursor.iter().for_each(|cursor| self.topic(&cursor.topic_name));
            }
            Kind::ShareGroupHeartbeat(it) => {
                it.subscribed_topic_names.iter().flatten().for_each(|name| self.topic(name));
            }
            Kind::DescribeShareGroupOffsets(it) => {
                let topics = it.groups.iter().flat_map(|group| &group.topics).flatten();
                topics.for_each(|topic| self.topic(&topic.topic_name));
            }
            Kind::AlterShareGroupOffsets(it) => it.topics.iter().for_each(|topic| self.topic(&topic.topic_name)),
            Kind::DeleteShareGroupOffsets(it) => it.topics.iter().for_each(|topic| self.topic(&topic.topic_name)),
            _ => {}
        }
    }

    fn groups(&mut self, request: &RequestKind) {
        use RequestKind as Kind;
        match request {
            Kind::Produce(it) => it.transactional_id.iter().for_each(|id| self.transaction(id)),
            Kind::OffsetCommit(it) => self.group(&it.group_id),
            Kind::OffsetFetch(it) => {
                self.group(&it.group_id);
                it.groups.iter().for_each(|group| self.group(&group.group_id));
            }
            Kind::JoinGroup(it) => self.group(&it.group_id),
            Kind::Heartbeat(it) => self.group(&it.group_id),
            Kind::LeaveGroup(it) => self.group(&it.group_id),
            Kind::SyncGroup(it) => self.group(&it.group_id),
            Kind::DescribeGroups(it) => it.groups.iter().for_each(|name| self.group(name)),
            Kind::InitProducerId(it) => it.transactional_id.iter().for_each(|id| self.transaction(id)),
            Kind::AddPartitionsToTxn(it) => {
                self.transaction(&it.v3_and_below_transactional_id);
                it.transactions.iter().for_each(|of| self.transaction(&of.transactional_id));
            }
            Kind::AddOffsetsToTxn(it) => {
                self.transaction(&it.transactional_id);
                self.group(&it.group_id);
            }
            Kind::EndTxn(it) => self.transaction(&it.transactional_id),
            Kind::TxnOffsetCommit(it) => {
                self.transaction(&it.transactional_id);
                self.group(&it.group_id);
            }
            Kind::DeleteGroups(it) => it.groups_names.iter().for_each(|name| self.group(name)),
            Kind::OffsetDelete(it) => self.group(&it.group_id),
            Kind::DescribeTransactions(it) => it.transactional_ids.iter().for_each(|id| self.transaction(id)),
            Kind::ConsumerGroupHeartbeat(it) => self.group(&it.group_id),
            Kind::ConsumerGroupDescribe(it) => it.group_ids.iter().for_each(|name| self.group(name)),
            Kind::ShareGroupHeartbeat(it) => self.group(&it.group_id),
            Kind::ShareGroupDescribe(it) => it.group_ids.iter().for_each(|name| self.group(name)),
            Kind::ShareFetch(it) => it.group_id.iter().for_each(|name| self.group(name)),
            Kind::ShareAcknowledge(it) => it.group_id.iter().for_each(|name| self.group(name)),
            Kind::InitializeShareGroupState(it) => self.groups.push(it.group_id.to_string()),
            Kind::ReadShareGroupState(it) => self.groups.push(it.group_id.to_string()),
            Kind::WriteShareGroupState(it) => self.groups.push(it.group_id.to_string()),
            Kind::DeleteShareGroupState(it) => self.groups.push(it.group_id.to_string()),
            Kind::ReadShareGroupStateSummary(it) => self.groups.push(it.group_id.to_string()),
            Kind::DescribeShareGroupOffsets(it) => it.groups.iter().for_each(|group| self.group(&group.group_id)),
            Kind::AlterShareGroupOffsets(it) => self.group(&it.group_id),
            Kind::DeleteShareGroupOffsets(it) => self.group(&it.group_id),
            _ => {}
        }
    }
}
