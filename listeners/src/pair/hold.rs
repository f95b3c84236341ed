//! Holds answers until their addresses are installed.

use std::time::Instant;

use portcullis_codecs::relay::{Relay, Side};

use crate::{
    event::{context::WorkerContext, mailbox::ReleaseTarget},
    pair::{Pair, PairProgress, closing::Phase},
};

/// The lesson that the relay waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingAddresses {
    /// Which of the pair's lessons it is.
    number: u64,
    /// When the wait began, in the worker's milliseconds, and in fact.
    pub(super) since: u64,
    began: Instant,
}

impl Pair {
    /// Has what the relay's next answer teaches brought into force. True: it is, and the relay may go on.
    pub(super) fn learn(&mut self, relay: &mut dyn Relay, core: &mut WorkerContext) -> bool {
        let Some(lesson) = relay.lesson() else { return false };
        self.lessons += 1;
        let number = self.lessons;
        if core.learn(&self.judge, lesson, ReleaseTarget::Pair(self.token, number)) {
            relay.committed(true);
            return true;
        }
        self.lesson = Some(PendingAddresses { number, since: core.now, began: Instant::now() });
        false
    }

    /// What a lesson teaches is in force, or will not be.
    pub(crate) fn committed(&mut self, number: u64, known: bool, core: &mut WorkerContext) -> PairProgress {
        if self.lesson.is_some_and(|lesson| lesson.number == number) {
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
        let Some(lesson) = self.lesson.take() else { return };
        core.exit.held(lesson.began.elapsed(), known);
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
