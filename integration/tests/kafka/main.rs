//! Kafka brokers and common clients with the node between them. What is allowed works as without the node. What is
//! denied fails with the client's own error, and the broker, asked past the node, has received none of it.
//!
//! `PORTCULLIS_KAFKA_JUDGE=broker` replaces the policy with Kafka's own authorizer, to check that the tests expect
//! what clients see there. `PORTCULLIS_KAFKA_STORY` runs only the tests whose title contains its words.

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
