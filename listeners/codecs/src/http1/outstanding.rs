//! The requests that have no final response yet, oldest first.

use super::upgrade::UpgradeProtocols;
use crate::{http::grpc::Call, order::AnswerQueue};

/// What matters of a request for reading its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestShape {
    /// HEAD: the answer has no body.
    pub(super) head: bool,
    /// CONNECT: a 2xx opens a tunnel.
    pub(super) connect: bool,
    /// It offered to switch protocols.
    pub(super) upgrade: bool,
    /// To these.
    pub(super) offers: UpgradeProtocols,
    /// It is the last request on its connection.
    pub(super) close: bool,
}

impl RequestShape {
    /// Whether what follows the request depends on the answer.
    pub(super) fn may_switch(self) -> bool {
        self.connect || self.upgrade
    }
}

/// What we say ourselves when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnResponse {
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

/// The answers that are due.
pub(super) type Http1Outstanding = AnswerQueue<RequestShape, OwnResponse>;
