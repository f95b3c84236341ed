//! DNS over UDP: the session of one datagram flow.

use super::outstanding::{DnsOutstanding, QueryOutcome, failure};
use crate::{
    datagram::{AnswerStep, DatagramSession, QueryStep},
    dns::Limits,
    relay::Checker,
};

/// The word for a query that policy leaves without an answer.
const DENIED: &str = "denied";

/// Makes the state of one flow.
#[must_use]
pub fn session(limits: &Limits) -> Box<dyn DatagramSession> {
    Box::new(DnsSession { limit: limits.queries, outstanding: DnsOutstanding::default() })
}

#[derive(Debug)]
struct DnsSession {
    limit: usize,
    outstanding: DnsOutstanding,
}

// A node has one for each client port that waits for an answer.
const _: () = assert!(size_of::<DnsSession>() <= 64);

impl DatagramSession for DnsSession {
    fn query(&mut self, datagram: &[u8], now: u64, checker: &mut dyn Checker) -> QueryStep {
        match self.outstanding.judge(datagram, now, self.limit, checker) {
            QueryOutcome::Forward => QueryStep::Forward,
            QueryOutcome::Answer(answer) => QueryStep::Answer(answer),
            QueryOutcome::Silence => QueryStep::Drop(DENIED),
            QueryOutcome::Violation(violation) => QueryStep::Drop(violation.word()),
        }
    }

    fn answer(&mut self, datagram: &[u8], checker: &mut dyn Checker) -> AnswerStep {
        match self.outstanding.answer(datagram, checker) {
            Ok(None) => AnswerStep::Forward,
            Ok(Some(resolution)) => AnswerStep::Hold(resolution),
            Err(violation) => AnswerStep::Drop(violation.word()),
        }
    }

    fn unlearnt(&self, answer: &[u8]) -> Vec<u8> {
        failure(answer)
    }

    fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    fn oldest(&self) -> Option<u64> {
        self.outstanding.oldest()
    }

    fn expire(&mut self, before: u64, checker: &mut dyn Checker) -> usize {
        self.outstanding.expire(before, checker)
    }
}
