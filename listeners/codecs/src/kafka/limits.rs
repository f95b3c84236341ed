//! Limits of Kafka. Each is counted when it is hit.

use crate::limits::limits;

limits! {
    /// Limits of Kafka.
    Limits {
        frame: usize = "kafka.frame", Bytes, 100 << 20, 1 << 10, 1 << 30,
            "frame of a Kafka request, without its length (a broker's `socket.request.max.bytes`)";
        /// Of a larger one what is allowed goes on, and the connection is reset at the first topic that is not: a broker does
        /// nothing about a frame that is cut short.
        held: usize = "kafka.held", Bytes, 1 << 20, 1 << 10, 64 << 20,
            "bytes of a Kafka request that are held until all its topics are known; also a response to ApiVersions";
        topics: usize = "kafka.topics", Count, 64 << 10, 1, 10_000_000,
            "topics that one Kafka request names";
        outstanding: usize = "kafka.outstanding", Count, 1024, 1, 10_000_000,
            "Kafka requests of one connection whose responses are due; further ones wait";
    }
}
