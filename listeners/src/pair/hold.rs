//! Holds answers until their addresses are installed.

use std::time::Instant;

use portcullis_codecs::relay::{Relay, Side};

use crate::{
    event::{context::WorkerContext, mailbox::ReleaseTarget},
    pair::{Pair, PairProgress, closing::Phase},
};

/// The resolution that the relay waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingAddresses {
    /// Which of the pair's resolutions it is.
    number: u64,
    /// When the wait began, in the worker's milliseconds, and in fact.
    pub(super) since: u64,
    began: Instant,
}

impl Pair {
    /// Has what the relay's next answer tells brought into force. True: it is, and the relay may go on.
    pub(super) fn learn(&mut self, relay: &mut dyn Relay, core: &mut WorkerContext) -> bool {
        let Some(resolution) = relay.resolution() else { return false };
        self.resolutions += 1;
        let number = self.resolutions;
        if core.learn(&self.judge, resolution, ReleaseTarget::Pair(self.token, number)) {
            relay.committed(true);
            return true;
        }
        self.resolution = Some(PendingAddresses { number, since: core.now, began: Instant::now() });
        false
    }

    /// What a resolution tells is in force, or will not be.
    pub(crate) fn committed(&mut self, number: u64, known: bool, core: &mut WorkerContext) -> PairProgress {
        if self.resolution.is_some_and(|resolution| resolution.number == number) {
            self.go_on(known, core);
        }
        self.advance(core)
    }

    /// It takes too long.
    pub(super) fn unlearnt(&mut self, core: &mut WorkerContext) -> PairProgress {
        self.go_on(false, core);
        self.advance(core)
    }

    fn go_on(&mut self, known: bool, core: &mut WorkerContext) {
        let Some(resolution) = self.resolution.take() else { return };
        core.exit.held(resolution.began.elapsed(), known);
        if let Some(due) = self.judge.take_due() {
            self.judge.lets_go(*due, known, &core.exit);
        }
        if self.phase == Phase::Open
            && let Some(relay) = &mut self.relay
        {
            relay.committed(known);
            self.ends[Side::Upstream as usize].again = true;
        }
    }
}
