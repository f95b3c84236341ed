//! Allowances for what a peer may repeat, refilled by useful traffic ([`Http2Limits`]).

use super::violation::Violation;
use crate::http2::Http2Limits;
use crate::relay::Side;

/// One allowance: used up by what costs, filled up by what is useful, never above its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u32,
    most: u32,
    violation: Violation,
}

impl Budget {
    const fn new(most: u32, violation: Violation) -> Self {
        Self { left: most, most, violation }
    }

    /// Uses one up.
    pub(super) fn spend(&mut self) -> Result<(), Violation> {
        self.left = self.left.checked_sub(1).ok_or(self.violation)?;
        Ok(())
    }

    /// Whether all of it is left.
    pub(super) fn is_full(&self) -> bool {
        self.left == self.most
    }

    /// Gives some back.
    pub(super) fn refill(&mut self, by: u32) {
        self.left = self.left.saturating_add(by).min(self.most);
    }
}

/// The allowances of one side.
#[derive(Debug)]
pub(super) struct Budgets {
    /// Of the client: requests that it gives up.
    pub(super) rapid_resets: Budget,
    /// Of the client: resets that it brings about.
    pub(super) provoked_resets: Budget,
    pub(super) pings: Budget,
    empty_data: Budget,
    pub(super) window_updates: Budget,
    pub(super) ignored: Budget,
}

impl Budgets {
    pub(super) fn new(limits: &Http2Limits) -> Self {
        Self {
            rapid_resets: Budget::new(limits.rapid_resets, Violation::RapidReset),
            provoked_resets: Budget::new(limits.provoked_resets, Violation::ProvokedResets),
            pings: Budget::new(limits.pings, Violation::PingFlood),
            empty_data: Budget::new(limits.empty_data, Violation::EmptyDataFlood),
            window_updates: Budget::new(limits.window_updates, Violation::WindowUpdateFlood),
            ignored: Budget::new(limits.ignored, Violation::IgnoredFlood),
        }
    }
}

/// DATA of `from`, with so much content: useful if it has some or ends the stream. The other side has to enlarge its
/// windows for it, as often as for each kilobyte at most.
pub(super) fn data(budgets: &mut [Budgets; 2], from: Side, content: u32, end_stream: bool) -> Result<(), Violation> {
    if content == 0 && !end_stream {
        return budgets[from as usize].empty_data.spend();
    }
    budgets[from as usize].empty_data.refill(10);
    budgets[from.peer() as usize].window_updates.refill(2 + content / 512);
    Ok(())
}

/// A header block of `from`: the beginning of a request or of an answer, or its end.
pub(super) fn header_block(budgets: &mut [Budgets; 2], from: Side) {
    budgets[from as usize].ignored.refill(8);
    for side in budgets {
        side.window_updates.refill(4);
    }
}

/// The server has answered a request in full.
pub(super) fn answered(budgets: &mut [Budgets; 2]) {
    let client = &mut budgets[Side::Downstream as usize];
    client.rapid_resets.refill(1);
    client.provoked_resets.refill(1);
}
