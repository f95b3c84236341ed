//! What a flow is relayed with, beside its rules.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use crate::{
    limits::LimitValues,
    verdict::{OutcomeSet, PolicyMode},
};

/// What a flow is relayed with. It comes with the flow's answer ([`crate::snapshot::Flow::params`]), so that it can differ from
/// flow to flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowParams {
    /// Whether denials are carried out.
    pub mode: PolicyMode,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Limits of protocols. A relay keeps those that it was made with.
    pub limits: LimitValues,
    /// The verdicts that are recorded, if there are access records.
    pub records: OutcomeSet,
}

impl FlowParams {
    /// The defaults: of flows about which no snapshot was asked.
    #[must_use]
    pub fn defaults() -> Arc<Self> {
        static DEFAULTS: LazyLock<Arc<FlowParams>> = LazyLock::new(Arc::default);
        Arc::clone(&DEFAULTS)
    }
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The first byte of a client, where the protocol has the client speak first, from the moment it has connected. `None`:
    /// as long as it likes.
    pub first_byte: Option<Duration>,
    /// A request head, from its first byte to its last.
    pub head: Duration,
    /// A server's word that the body of a request may come (`Expect: 100-continue`); then it goes on without. `None`: it
    /// waits for as long as that takes.
    pub expect: Option<Duration>,
    /// An upstream connect.
    pub connect: Duration,
    /// A connection on which nothing moves. `None`: as long as both sides like.
    pub idle: Option<Duration>,
    /// A connection as a whole. `None`: as long as both sides like.
    pub total: Option<Duration>,
    /// A connection of which one side has ended its stream and on which nothing moves. `None`: as long as it likes.
    pub half_closed: Option<Duration>,
    /// A connection whose client has ended its stream behind what cannot be read yet (it waits for answers, or for a switch to
    /// another protocol) and on which nothing moves. That cannot be told from a client that has gone. `None`: as long as
    /// `half_closed` says.
    pub client_gone: Option<Duration>,
    /// A datagram's answer; then it is forgotten that it was asked.
    pub answer: Duration,
    /// Bringing what an answer tells into force; then the client is told of a failure instead.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_byte: Some(Duration::from_secs(60)),
            head: Duration::from_secs(10),
            expect: Some(Duration::from_secs(10)),
            connect: Duration::from_secs(5),
            idle: None,
            total: None,
            half_closed: Some(Duration::from_secs(3600)),
            client_gone: Some(Duration::from_secs(30)),
            answer: Duration::from_secs(10),
            commit: Duration::from_secs(1),
        }
    }
}
