//! The queries that were forwarded and not answered yet. Judges the next query and matches the next answer. The
//! datagram session and the TCP relay share this code.

use std::collections::VecDeque;

use super::{
    Offended, Violation,
    answer::{self, Head},
    name::same_question,
    query::Message,
    rcode,
    refusal::{self, Refusal},
    wire::Question,
};
use crate::{
    fact::Facts,
    lesson::Lesson,
    relay::{Answer, Checker, Decision, Side},
};

/// What becomes of a query.
#[derive(Debug)]
pub(super) enum Fate {
    Forward,
    Answer(Vec<u8>),
    /// Policy wants nobody to know.
    Silence,
    /// It cannot be answered.
    Offence(Violation),
}

/// One query.
#[derive(Debug)]
struct Due {
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
pub(super) struct Outstanding {
    due: VecDeque<Due>,
    /// The number of the next query.
    next: u32,
}

impl Outstanding {
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.due.front().map(|due| due.since)
    }

    /// Judges a query, and notes it if it is allowed.
    pub(super) fn judge(&mut self, message: &[u8], now: u64, limit: usize, checker: &mut dyn Checker) -> Fate {
        let query = match Message::read(message) {
            Ok(query) => query,
            Err(violation) => {
                checker.offended(&Offended { violation, side: Side::Downstream });
                let said = violation.rcode().map(|rcode| Fate::Answer(refusal::bare(message, rcode)));
                return said.unwrap_or(Fate::Offence(violation));
            }
        };
        if self.due.len() >= limit {
            checker.offended(&Offended { violation: Violation::Outstanding, side: Side::Downstream });
            return Fate::Answer(Refusal::Failed.answer(message, &query));
        }
        match query.show(self.next, |query| checker.check(query)) {
            Decision::Allow => {
                let question = query.question.raw.into();
                self.due.push_back(Due { id: query.id, exchange: self.next, since: now, question });
                self.next = self.next.wrapping_add(1);
                Fate::Forward
            }
            Decision::Respond => Fate::Answer(Refusal::Refused.answer(message, &query)),
            Decision::Hide => Fate::Answer(Refusal::Hidden.answer(message, &query)),
            Decision::Reset
            | Decision::Disconnect
            | Decision::Rewrite
            | Decision::Filter
            | Decision::Partial { .. } => Fate::Silence,
        }
    }

    /// Finds the query that a message answers, and what the answer teaches if that is wanted. An answer that cannot be
    /// read answers nothing: the right one may still come.
    pub(super) fn answer(&mut self, message: &[u8], checker: &mut dyn Checker) -> Result<Option<Lesson>, Violation> {
        self.settle(message, checker).inspect_err(|violation| {
            checker.offended(&Offended { violation: *violation, side: Side::Upstream });
        })
    }

    fn settle(&mut self, message: &[u8], checker: &mut dyn Checker) -> Result<Option<Lesson>, Violation> {
        let head = Head::read(message)?;
        let place = self.place(head.header.id, head.question.as_ref()).ok_or(Violation::Unasked)?;
        let (rcode, lesson) =
            if checker.learns() { answer::teach(message, &head)? } else { (answer::code(message, &head), None) };
        if let Some(due) = self.due.remove(place) {
            if let Some(lesson) = &lesson {
                checker.taught(lesson);
            }
            checker.answered(Answer { exchange: due.exchange, status: Some(rcode.into()), facts: Facts::NONE });
        }
        Ok(lesson)
    }

    fn place(&self, id: u16, question: Option<&Question<'_>>) -> Option<usize> {
        let asks = |due: &Due| question.is_none_or(|question| same_question(question.raw, &due.question));
        self.due.iter().position(|due| due.id == id && asks(due))
    }

    /// Forgets the queries that came before a time.
    pub(super) fn expire(&mut self, before: u64, checker: &mut dyn Checker) -> usize {
        let mut expired = 0;
        while let Some(due) = self.due.pop_front_if(|due| due.since < before) {
            checker.answered(Answer { exchange: due.exchange, status: None, facts: Facts::NONE });
            expired += 1;
        }
        expired
    }
}

/// What the client gets in place of an answer that was of no use.
pub(super) fn failure(answer: &[u8]) -> Vec<u8> {
    refusal::bare(answer, rcode::SERV_FAIL)
}
