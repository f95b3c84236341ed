//! What has to come for the client, in the order of its requests. Two requests with one number are both answered, so this
//! is a queue and no table.

use std::collections::VecDeque;

use crate::relay::Close;

/// What comes next for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The server's response to the request of this number, kind and version.
    Response { number: i32, key: i16, version: i16 },
    /// Nothing: the client wanted no response.
    Silence,
    /// Our own word that this version of ApiVersions is not known.
    UnknownVersions { number: i32 },
    /// The end of the connection.
    End(Close),
}

impl Due {
    /// Whether it is the server's response with a number.
    pub(super) fn is(&self, came: i32) -> bool {
        matches!(self, Self::Response { number, .. } if *number == came)
    }
}

/// All that is due, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Outstanding(VecDeque<Due>);

impl Outstanding {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn front(&self) -> Option<Due> {
        self.0.front().copied()
    }

    /// Whether something is due, and the next of it is not the server's to say.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self.front(), None | Some(Due::Response { .. }))
    }

    /// How the connection ends, if that is due.
    pub(super) fn end(&self) -> Option<Close> {
        match self.0.back() {
            Some(Due::End(close)) => Some(*close),
            _ => None,
        }
    }

    pub(super) fn push(&mut self, due: Due) {
        self.0.push_back(due);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop_front();
    }

    /// Takes back what was pushed last.
    pub(super) fn take_back(&mut self) {
        self.0.pop_back();
    }
}
