//! Kafka over TCP: frames with their length in front, responses in the order of the requests.

use super::{
    Limits, Offended, Violation,
    outstanding::{Ours, Outstanding},
    requests::Requests,
    responses::Responses,
    versions,
};
use crate::{
    fact::Facts,
    relay::{Answer, Checker, Close, Output, Relay, Side, Step},
};

/// Makes the relay of one connection pair.
#[must_use]
pub fn relay(limits: &Limits) -> Box<dyn Relay> {
    Box::new(Connection {
        limits: *limits,
        requests: Requests::default(),
        responses: Responses::Head,
        outstanding: Outstanding::new(limits.outstanding),
    })
}

/// The state of one connection pair.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) limits: Limits,
    pub(super) requests: Requests,
    pub(super) responses: Responses,
    pub(super) outstanding: Outstanding,
}

// A relay lives as long as its connection, so what it keeps is bounded.
const _: () = assert!(size_of::<Connection>() <= 768);

impl Connection {
    pub(super) fn offend(side: Side, violation: Violation, checker: &mut dyn Checker, out: &mut Output) {
        checker.offended(&Offended { violation, side });
        out.close = Some(violation.close());
    }

    /// Says what is ours to say, until a response of the server is due.
    pub(super) fn settle(&mut self, checker: &mut dyn Checker, out: &mut Output) {
        while matches!(self.responses, Responses::Head)
            && let Some(ours) = self.outstanding.pop_ours()
        {
            match ours {
                Ours::Silence => checker.answered(Answer { exchange: 0, status: None, facts: Facts::NONE }),
                Ours::UnknownVersions { number } => {
                    versions::unknown(number, &mut out.downstream);
                    checker.answered(Answer::next(versions::UNSUPPORTED_VERSION));
                }
                Ours::End(close) => out.close = Some(close),
            }
        }
    }
}

impl Relay for Connection {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Step {
        match from {
            Side::Downstream => self.read_requests(input, checker, out),
            Side::Upstream => self.read_responses(input, checker, out),
        }
    }

    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut Output) {
        let inside = match from {
            Side::Downstream => self.requests.is_inside(),
            Side::Upstream => !matches!(self.responses, Responses::Head),
        };
        if held > 0 || inside {
            Self::offend(from, Violation::CutFrame, checker, out);
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

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut Output) {
        if self.head_pending() {
            Self::offend(Side::Downstream, Violation::FrameTimeout, checker, out);
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
}
