//! DNS over UDP: the session of one datagram flow.

use super::outstanding::{Fate, Outstanding, failure};
use crate::{
    datagram::{AnswerStep, QueryStep, Session},
    dns::Limits,
    relay::Checker,
};

/// The word for a query that policy leaves without an answer.
const DENIED: &str = "denied";

/// Makes the state of one flow.
#[must_use]
pub fn session(limits: &Limits) -> Box<dyn Session> {
    Box::new(Datagrams { limit: limits.queries, outstanding: Outstanding::default() })
}

#[derive(Debug)]
struct Datagrams {
    limit: usize,
    outstanding: Outstanding,
}

// A node has one for each client port that waits for an answer.
const _: () = assert!(size_of::<Datagrams>() <= 64);

impl Session for Datagrams {
    fn query(&mut self, datagram: &[u8], now: u64, checker: &mut dyn Checker) -> QueryStep {
        match self.outstanding.judge(datagram, now, self.limit, checker) {
            Fate::Forward => QueryStep::Forward,
            Fate::Answer(answer) => QueryStep::Answer(answer),
            Fate::Silence => QueryStep::Drop(DENIED),
            Fate::Offence(violation) => QueryStep::Drop(violation.word()),
        }
    }

    fn answer(&mut self, datagram: &[u8], checker: &mut dyn Checker) -> AnswerStep {
        match self.outstanding.answer(datagram, checker) {
            Ok(None) => AnswerStep::Forward,
            Ok(Some(lesson)) => AnswerStep::Hold(lesson),
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
