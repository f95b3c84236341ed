//! How a connection pair ends.

use portcullis_codecs::relay::Side;

/// How a connection pair ended: the label of a metric, and whether both sides are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairOutcome {
    /// Both streams ended, or the relay closed in good order.
    Closed,
    /// A side reset it.
    ResetBy(Side),
    /// Policy denied the flow or a request.
    Denied,
    /// A side sent what cannot be relayed.
    Violation,
    /// A new policy wants it relayed in another way.
    PolicyChanged,
    /// The server refuses.
    ConnectRefused,
    /// There is no way to the server.
    ConnectUnreachable,
    /// The server did not answer in time.
    ConnectTimeout,
    /// The upstream connection could not be made.
    ConnectFailed,
    /// The client, which was to speak first, said nothing for too long.
    FirstByteTimeout,
    /// Nothing moved for too long.
    IdleTimeout,
    /// Nothing moved for too long after one side had ended its stream.
    HalfClosedTimeout,
    /// The client had ended its stream behind what could not be read, and nothing moved for too long.
    ClientGone,
    /// It was open for too long.
    TotalTimeout,
    /// More would have to be kept of it than is allowed.
    Overflow,
    /// Its endpoint is gone.
    Removed,
    /// The node stops.
    Stopped,
    /// A fault of ours.
    Fault,
}

impl PairOutcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ResetBy(Side::Downstream) => "reset_by_client",
            Self::ResetBy(Side::Upstream) => "reset_by_server",
            Self::Denied => "denied",
            Self::Violation => "violation",
            Self::PolicyChanged => "policy_changed",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::HalfClosedTimeout => "half_closed_timeout",
            Self::ClientGone => "client_gone",
            Self::TotalTimeout => "total_timeout",
            Self::Overflow => "overflow",
            Self::Removed => "endpoint_removed",
            Self::Stopped => "stopped",
            Self::Fault => "fault",
        }
    }

    /// Whether the sides learn of it by a reset. A client that never said anything has lost nothing: it sees an end, as
    /// from a server that waited long enough.
    pub(crate) fn resets(self) -> bool {
        !matches!(self, Self::Closed | Self::FirstByteTimeout)
    }
}
