//! Follows a body only to find where it ends.

use super::{
    chunked::{ChunkLimits, Chunked},
    framing::Framing,
    violation::Violation,
};

/// Where in a body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    /// So many bytes are to come; never 0.
    Length(u64),
    Chunked(Chunked),
}

/// How much of the input is the body's, and whether it ends there. What was taken in front of a violation is right.
pub(super) type TakenBody = (usize, Result<bool, Violation>);

impl BodyState {
    /// The body that the fields announce, if it is not empty.
    pub(super) fn of(framing: Framing) -> Option<Self> {
        if framing.chunked {
            return Some(Self::Chunked(Chunked::new()));
        }
        framing.length.filter(|length| *length > 0).map(Self::Length)
    }

    pub(super) fn take(&mut self, input: &[u8], rooms: ChunkLimits) -> TakenBody {
        match self {
            Self::Chunked(chunked) => chunked.take(input, rooms),
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                (taken, Ok(*left == 0))
            }
        }
    }

    /// Whether it ends within so many bytes.
    pub(super) fn ends_within(&self, bytes: usize) -> bool {
        matches!(self, Self::Length(left) if *left <= bytes as u64)
    }

    /// How many bytes may pass unseen: not the last one, behind which the next message begins.
    pub(super) fn passthrough(&self) -> u64 {
        match self {
            Self::Length(left) => left.saturating_sub(1),
            Self::Chunked(_) => 0,
        }
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(bytes).max(1);
        }
    }
}
