//! Kafka over TCP: frames with their length in front, responses in the order of the requests.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use super::{
    Limits, Violated, Violation,
    asked::Asker,
    frame::FrameOutcome,
    ids::TopicIds,
    outstanding::{KafkaOutstanding, OutstandingRequest, OwnAnswer},
    requests::KafkaRequests,
    responses::KafkaResponses,
    session::FetchSession,
    versions,
};
use crate::{
    fact::Facts,
    order::Answerer,
    protocol::ProtocolContext,
    relay::{Checker, Close, Relay, RelayOutput, RelayStep, ResponseSummary, Side},
};

/// Makes the relay of one connection pair, with the names of topics that it shares with all others.
#[must_use]
pub fn relay(limits: &Limits, ids: &Arc<TopicIds>, server: SocketAddr) -> Box<dyn Relay> {
    Box::new(Connection {
        limits: *limits,
        ids: Arc::clone(ids),
        server,
        requests: KafkaRequests::default(),
        responses: KafkaResponses::Head,
        outstanding: KafkaOutstanding::new(limits.outstanding),
        waiting: 0,
        session: None,
        share: None,
        askers: VecDeque::new(),
    })
}

/// The same in a data plane.
pub(super) fn of(context: &ProtocolContext<'_>) -> Box<dyn Relay> {
    let ids = context.shared::<TopicIds>().unwrap_or_default();
    relay(&Limits::of(context.limits), &ids, context.server)
}

/// The state of one connection pair.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) limits: Limits,
    pub(super) ids: Arc<TopicIds>,
    pub(super) server: SocketAddr,
    pub(super) requests: KafkaRequests,
    pub(super) responses: KafkaResponses,
    pub(super) outstanding: KafkaOutstanding,
    /// Bytes of ours among what is outstanding.
    pub(super) waiting: usize,
    /// The fetch session.
    pub(super) session: Option<Box<FetchSession>>,
    /// The share session.
    pub(super) share: Option<Box<FetchSession>>,
    /// Who asked for the topics that the responses which are due tell of, where these are cut down.
    pub(super) askers: VecDeque<Asker>,
}

// A relay lives as long as its connection, so what it keeps is bounded.
const _: () = assert!(size_of::<Connection>() <= 1024);

impl Connection {
    pub(super) fn violate(side: Side, violation: Violation, checker: &mut dyn Checker, out: &mut RelayOutput) {
        checker.violated(&Violated { violation, side });
        out.close = Some(violation.close());
    }

    /// Says what is ours to say, until a response of the server is due.
    pub(super) fn settle(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        while matches!(self.responses, KafkaResponses::Head)
            && let Some(ours) = self.outstanding.pop_ours()
        {
            self.waiting -= ours.size().min(self.waiting);
            match ours {
                OwnAnswer::Silence => {
                    checker.answered(ResponseSummary { exchange: 0, status: None, facts: Facts::NONE })
                }
                OwnAnswer::UnknownVersions { number } => {
                    versions::unknown(number, &mut out.downstream);
                    checker.answered(ResponseSummary::next(versions::UNSUPPORTED_VERSION));
                }
                OwnAnswer::Response(bytes) => out.downstream.extend_from_slice(&bytes),
                // They stand in front of a response.
                OwnAnswer::Entries(..) => {}
                OwnAnswer::End(close) => out.close = Some(close),
            }
        }
    }

    /// Takes in who answers one more request.
    ///
    /// # Errors
    /// There is no room for it. Nothing more is read while that is so.
    pub(super) fn expect(&mut self, answerer: Answerer<OutstandingRequest, OwnAnswer>) -> Result<(), Violation> {
        if let Answerer::Ours(ours) | Answerer::Both(_, ours) = &answerer {
            self.waiting += ours.size();
        }
        self.outstanding.push(answerer).map_err(|_| Violation::Unasked)
    }
}

impl Relay for Connection {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        match from {
            Side::Downstream => self.read_requests(input, checker, out),
            Side::Upstream => self.read_responses(input, checker, out),
        }
    }

    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput) {
        let inside = match from {
            Side::Downstream => self.requests.is_inside(),
            Side::Upstream => !matches!(self.responses, KafkaResponses::Head),
        };
        if held > 0 || inside {
            Self::violate(from, Violation::CutFrame, checker, out);
        } else if from == Side::Upstream {
            out.close = Some(self.outstanding.end().unwrap_or(Close::Graceful));
        }
    }

    fn wants(&self, side: Side) -> bool {
        match side {
            Side::Downstream => self.wants_requests(),
            Side::Upstream => true,
        }
    }

    fn head_pending(&self) -> bool {
        self.requests.is_pending() && self.wants_requests()
    }

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        if self.head_pending() {
            Self::violate(Side::Downstream, Violation::FrameTimeout, checker, out);
        }
    }

    fn client_first(&self) -> bool {
        true
    }

    fn passthrough(&self, from: Side) -> u64 {
        match from {
            Side::Downstream => self.requests.unseen(),
            // Its last byte is shown where something of ours comes behind it.
            Side::Upstream => self.responses.unseen().saturating_sub(u64::from(self.outstanding.is_ours())),
        }
    }

    fn passed(&mut self, from: Side, bytes: u64) {
        match from {
            Side::Downstream => self.requests.passed(bytes),
            Side::Upstream => self.responses.passed(bytes),
        }
    }

    fn to_hold(&self, from: Side) -> usize {
        match from {
            Side::Downstream => self.requests.to_hold(self.limits.held),
            Side::Upstream => self.responses.to_hold(),
        }
    }

    fn cannot_hold(&mut self, from: Side, checker: &mut dyn Checker, out: &mut RelayOutput) {
        match (from, &mut self.requests.frame) {
            // What is known of it decides.
            (Side::Downstream, Some(frame))
                if frame.outcome == FrameOutcome::Open && !frame.cramped && !frame.is_whole() =>
            {
                frame.cramped = true;
            }
            _ => Self::violate(from, Violation::NoRoom, checker, out),
        }
    }
}
