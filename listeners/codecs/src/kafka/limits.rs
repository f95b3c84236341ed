//! The configurable limits of Kafka. Every hit is counted.

use crate::limits::limits;

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
        /// With 0 none is learnt: clients are offered versions that name topics, and no share groups.
        ids: usize = "kafka.topicIds", Count, 16 << 10, 0, 10_000_000,
            "known names of Kafka topic ids, of all servers";
        outstanding: usize = "kafka.outstanding", Count, 1024, 1, 10_000_000,
            "Kafka requests of one connection that wait for their response; further ones are not read yet";
    }
}

impl Limits {
    /// Whether names of topics are learnt by their ids.
    pub(super) fn learns(&self) -> bool {
        self.ids > 0
    }
}
