//! The queries that were forwarded and not answered yet. Judges the next query and matches the next answer. The
//! datagram session and the TCP relay share this code.

use std::collections::VecDeque;

use super::{
    Violated, Violation,
    answer::{self, AnswerHead},
    name::same_question,
    query::WireQuery,
    rcode,
    refusal::{self, QueryRefusal},
    wire::WireQuestion,
};
use crate::{
    fact::Facts,
    relay::{Checker, Decision, ResponseSummary, Side},
    resolution::LearnedAddresses,
};

/// What becomes of a query.
#[derive(Debug)]
pub(super) enum QueryOutcome {
    Forward,
    Answer(Vec<u8>),
    /// Policy wants nobody to know.
    Silence,
    /// It cannot be answered.
    Violation(Violation),
}

/// One query.
#[derive(Debug)]
struct OutstandingQuery {
    id: u16,
    exchange: u32,
    /// When it came.
    since: u64,
    /// As it came.
    question: Box<[u8]>,
}

/// The queries of one client and server that have no answer yet, the oldest first.
///
/// Two with one id are told apart by their questions. One that is sent again is one more: each has an answer of its own.
#[derive(Debug, Default)]
pub(super) struct DnsOutstanding {
    due: VecDeque<OutstandingQuery>,
    /// The number of the next query.
    next: u32,
}

impl DnsOutstanding {
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.due.front().map(|due| due.since)
    }

    /// Judges a query, and notes it if it is allowed.
    pub(super) fn judge(&mut self, message: &[u8], now: u64, limit: usize, checker: &mut dyn Checker) -> QueryOutcome {
        let query = match WireQuery::read(message) {
            Ok(query) => query,
            Err(violation) => {
                checker.violated(&Violated { violation, side: Side::Downstream });
                let said = violation.rcode().map(|rcode| QueryOutcome::Answer(refusal::bare(message, rcode)));
                return said.unwrap_or(QueryOutcome::Violation(violation));
            }
        };
        if self.due.len() >= limit {
            checker.violated(&Violated { violation: Violation::Outstanding, side: Side::Downstream });
            return QueryOutcome::Answer(QueryRefusal::Failed.answer(message, &query));
        }
        match query.show(self.next, |query| checker.check(query)) {
            Decision::Allow => {
                let question = query.question.raw.into();
                self.due.push_back(OutstandingQuery { id: query.id, exchange: self.next, since: now, question });
                self.next = self.next.wrapping_add(1);
                QueryOutcome::Forward
            }
            Decision::Respond => QueryOutcome::Answer(QueryRefusal::Refused.answer(message, &query)),
            Decision::Hide => QueryOutcome::Answer(QueryRefusal::Hidden.answer(message, &query)),
            Decision::Reset
            | Decision::Disconnect
            | Decision::Rewrite
            | Decision::Filter
            | Decision::Partial { .. } => QueryOutcome::Silence,
        }
    }

    /// Finds the query that a message answers, and what the answer tells if that is wanted. An answer that cannot be
    /// read answers nothing: the right one may still come.
    pub(super) fn answer(
        &mut self,
        message: &[u8],
        checker: &mut dyn Checker,
    ) -> Result<Option<LearnedAddresses>, Violation> {
        self.settle(message, checker).inspect_err(|violation| {
            checker.violated(&Violated { violation: *violation, side: Side::Upstream });
        })
    }

    fn settle(&mut self, message: &[u8], checker: &mut dyn Checker) -> Result<Option<LearnedAddresses>, Violation> {
        let head = AnswerHead::read(message)?;
        let place = self.place(head.header.id, head.question.as_ref()).ok_or(Violation::Unasked)?;
        let (rcode, resolution) =
            if checker.learns() { answer::install(message, &head)? } else { (answer::code(message, &head), None) };
        if let Some(due) = self.due.remove(place) {
            if let Some(resolution) = &resolution {
                checker.installed(resolution);
            }
            checker.answered(ResponseSummary {
                exchange: due.exchange,
                status: Some(rcode.into()),
                facts: Facts::NONE,
            });
        }
        Ok(resolution)
    }

    fn place(&self, id: u16, question: Option<&WireQuestion<'_>>) -> Option<usize> {
        let asks = |due: &OutstandingQuery| question.is_none_or(|question| same_question(question.raw, &due.question));
        self.due.iter().position(|due| due.id == id && asks(due))
    }

    /// Forgets the queries that came before a time.
    pub(super) fn expire(&mut self, before: u64, checker: &mut dyn Checker) -> usize {
        let mut expired = 0;
        while let Some(due) = self.due.pop_front_if(|due| due.since < before) {
            checker.answered(ResponseSummary { exchange: due.exchange, status: None, facts: Facts::NONE });
            expired += 1;
        }
        expired
    }
}

/// What the client gets in place of an answer that was of no use.
pub(super) fn failure(answer: &[u8]) -> Vec<u8> {
    refusal::bare(answer, rcode::SERV_FAIL)
}
