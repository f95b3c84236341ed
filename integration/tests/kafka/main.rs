//! Kafka's brokers and the clients that people use, with the node between them: what is allowed works as without it, what
//! is not fails with the client's own error, and the broker, asked past the node, has never heard of it.
//!
//! `PORTCULLIS_KAFKA_JUDGE=broker` puts Kafka's own authorizer in the place of the policy: what the stories expect of
//! clients is what clients see there. `PORTCULLIS_KAFKA_STORY` tells only stories whose title has these words.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod authorizer;
mod broker;
mod changes;
mod client;
mod java;
mod old_broker;
mod one_broker;
mod others;
mod scene;
mod sessions;
mod two_brokers;
mod wire;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Between two looks at something that announces no change of its own.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
pub(crate) fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < time, "waited {} s for {what}", time.as_secs());
        thread::park_timeout(LOOK);
    }
}
