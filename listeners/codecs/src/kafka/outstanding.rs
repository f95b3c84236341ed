//! What has to come for the client, in the order of its requests. Two requests with one number are both answered, so this
//! is a queue and no table.

use crate::{
    order::{AnswerQueue, Answerer},
    relay::Close,
};

/// What matters of a request for reading its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// By which the response names it.
    pub(super) number: i32,
    /// Its kind.
    pub(super) key: i16,
    /// Its version.
    pub(super) version: i16,
}

/// What we say ourselves when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// Nothing: the client wanted no response.
    Silence,
    /// This version of ApiVersions is not known.
    UnknownVersions {
        /// The number of the request.
        number: i32,
    },
    /// The end of the connection.
    End(Close),
}

/// The responses that are due.
pub(super) type Outstanding = AnswerQueue<Due, Ours>;

impl Outstanding {
    /// The request of this number, if the server's response to it comes next.
    pub(super) fn due(&self, number: i32) -> Option<Due> {
        match self.front() {
            Some(Answerer::Server(due)) if due.number == number => Some(*due),
            _ => None,
        }
    }

    /// Whether something is due, and the next of it is not the server's to say.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.front(), Some(Answerer::Ours(_)))
    }

    /// How the connection ends, if that is due.
    pub(super) fn end(&mut self) -> Option<Close> {
        match self.last_mut() {
            Some(Answerer::Ours(Ours::End(close))) => Some(*close),
            _ => None,
        }
    }

    /// The connection ends in place of the response to the newest request: the server never has all of it. Where nothing is due,
    /// that one wanted none.
    pub(super) fn end_instead(&mut self, close: Close) {
        match self.last_mut() {
            Some(last) => *last = Answerer::Ours(Ours::End(close)),
            None => self.push_last(Ours::End(close)),
        }
    }
}
