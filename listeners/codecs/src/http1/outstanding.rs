//! Requests that have no final answer yet, oldest first.

use std::collections::VecDeque;

use super::upgrade::Protocols;
use crate::http::grpc::Call;

/// What matters of a request for reading its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// HEAD: the answer has no body.
    pub(super) head: bool,
    /// CONNECT: a 2xx opens a tunnel.
    pub(super) connect: bool,
    /// It offered to switch protocols.
    pub(super) upgrade: bool,
    /// To these.
    pub(super) offers: Protocols,
    /// It is the last request on its connection.
    pub(super) close: bool,
}

impl Asked {
    /// Whether what follows the request depends on the answer.
    pub(super) fn may_switch(self) -> bool {
        self.connect || self.upgrade
    }
}

/// A place in the order of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The server's answer.
    Answer(Asked),
    /// Our refusal of a denied request.
    Refusal {
        /// The request was HEAD.
        head: bool,
        /// The request was a call of gRPC-Web.
        call: Option<Call>,
        /// The connection ends behind it.
        close: bool,
    },
    /// Our reset.
    Reset,
    /// Our word about what cannot be relayed, then the end.
    Error {
        /// Its status.
        status: u16,
        /// The request was HEAD.
        head: bool,
    },
}

/// The answers that are due. The oldest one needs no memory of its own: most connections never have two.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    first: Option<Due>,
    rest: VecDeque<Due>,
}

impl Outstanding {
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn front(&self) -> Option<Due> {
        self.first
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Due> {
        self.rest.back_mut().or(self.first.as_mut())
    }

    pub(super) fn push(&mut self, due: Due) {
        if self.first.is_none() {
            self.first = Some(due);
        } else {
            self.rest.push_back(due);
        }
    }

    /// Takes the oldest out, and gives the memory back once nothing is due.
    pub(super) fn pop(&mut self) {
        self.first = self.rest.pop_front();
        if self.first.is_none() && self.rest.capacity() > 64 {
            self.rest = VecDeque::new();
        }
    }
}
