//! The configurable limits of Kafka. Every hit is counted.

use crate::limits::{Limit, limits};

limits! {
    /// Limits of Kafka.
    Limits {
        frame: usize = "kafka.frame", Bytes, 100 << 20, 1 << 10, 1 << 30,
            "size of a Kafka request, without its length field (a broker's `socket.request.max.bytes`)";
        /// Of a larger one what is allowed goes on, and the connection is reset at the first topic that is not: a broker does
        /// nothing about a frame that is cut short.
        held: usize = "kafka.held", Bytes, 2 << 20, 1 << 10, 64 << 20,
            "bytes of a Kafka request that are held until all its topics are known; also bytes of a response that is \
             not streamed, and of waiting responses of our own";
        topics: usize = "kafka.topics", Count, 64 << 10, 1, 10_000_000,
            "topics in one Kafka request";
        topic_ids: TopicIdUse = "kafka.topicIds", Words(TopicIdUse::WORDS), 0, 0, 1,
            "how ids of Kafka topics are judged: `learn`: their names are learned from brokers; `cap`: clients are offered \
             versions that name topics, and no share groups";
        learnt_ids: usize = "kafka.learntTopicIds", Count, 16 << 10, 1, 10_000_000,
            "known names of Kafka topic ids, of all servers; beyond them some are asked for again";
        outstanding: usize = "kafka.outstanding", Count, 1024, 1, 10_000_000,
            "Kafka requests of one connection that wait for their response; further ones are not read yet";
    }
}

/// What becomes of ids of topics (KIP-516).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicIdUse {
    /// Brokers tell their names.
    Learn,
    /// Clients are not offered the versions that tell topics by their ids alone.
    Cap,
}

impl TopicIdUse {
    /// In the order of their numbers.
    const WORDS: &[&str] = &["learn", "cap"];
}

impl Limit for TopicIdUse {
    fn of(value: u64) -> Self {
        if value == 0 { Self::Learn } else { Self::Cap }
    }
}

impl Limits {
    /// Whether names of topics are learnt by their ids.
    pub(super) fn learns(&self) -> bool {
        self.topic_ids == TopicIdUse::Learn
    }
}
