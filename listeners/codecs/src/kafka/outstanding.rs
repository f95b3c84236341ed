//! The responses that the client still expects, in the order of its requests. This is a queue and not a table, because
//! two requests with the same correlation id must both be answered.

use super::layout::FieldMeaning;
use crate::{
    order::{AnswerQueue, Answerer},
    relay::Close,
};

/// What matters of a request for reading its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutstandingRequest {
    /// By which the response names it.
    pub(super) number: i32,
    /// Its kind.
    pub(super) key: i16,
    /// Its version.
    pub(super) version: i16,
    pub(super) then: ResponseHandling,
}

/// What becomes of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseHandling {
    /// It passes as it came.
    Pass,
    /// The same, and tells names of topics by their ids.
    Learn,
    /// The same, and opens a fetch session.
    Session,
    /// It passes without what the rules refuse.
    Filter,
    /// It is brought down to what can be judged.
    Versions,
    /// It passes behind what is refused, although all that the client asked for is: nobody waits for it.
    Untold,
    /// It answers a question of our own.
    Question,
}

/// What we say ourselves when its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnAnswer {
    /// Nothing: the client wanted no response.
    Silence,
    /// This version of ApiVersions is not known.
    UnknownVersions {
        /// The number of the request.
        number: i32,
    },
    /// A whole response.
    Response(Box<[u8]>),
    /// Entries in front of those of the server's response: their bytes, how many there are, and what the list means that they
    /// belong to.
    Entries(Box<[u8]>, usize, FieldMeaning),
    /// The end of the connection.
    End(Close),
}

impl OwnAnswer {
    /// Bytes that it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Response(bytes) | Self::Entries(bytes, ..) => bytes.len(),
            Self::Silence | Self::UnknownVersions { .. } | Self::End(_) => 0,
        }
    }
}

/// The responses that are due.
pub(super) type KafkaOutstanding = AnswerQueue<OutstandingRequest, OwnAnswer>;

impl KafkaOutstanding {
    /// The request of this number, if the server's response to it comes next.
    pub(super) fn due(&self, number: i32) -> Option<OutstandingRequest> {
        match self.front() {
            Some(Answerer::Server(due) | Answerer::Both(due, _)) if due.number == number => Some(*due),
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
            Some(Answerer::Ours(OwnAnswer::End(close))) => Some(*close),
            _ => None,
        }
    }

    /// The connection ends in place of the response to the newest request: the server never has all of it. Where nothing is due,
    /// that one wanted none.
    pub(super) fn end_instead(&mut self, close: Close) {
        match self.last_mut() {
            Some(last) => *last = Answerer::Ours(OwnAnswer::End(close)),
            None => self.push_last(OwnAnswer::End(close)),
        }
    }
}
