//! Bytes of a side that the relay has not taken yet. Up to the protocol's own hold limit they are simply held; beyond
//! it, the memory comes from a budget that all connections share.

use portcullis_codecs::relay::Side;

use crate::{
    event::context::WorkerContext,
    pair::{Pair, PairOutcome, end::End, steps::checker},
    share::ShareGuard,
};

/// Puts bytes behind those that are held. What goes beyond the read buffer grows by a quarter at a time, not by as much again:
/// it is paid for.
pub(super) fn extend(held: &mut Vec<u8>, fresh: &[u8], buffer: usize) {
    let there = held.len();
    if there + fresh.len() > buffer && held.capacity() - there < fresh.len() {
        held.reserve_exact(fresh.len().max(there / 4));
    }
    held.extend_from_slice(fresh);
}

impl Pair {
    /// Keeps what is held of a side behind a step that took so many bytes, if there is room for it. Where there is none, the
    /// relay is told once, and shown the side again.
    pub(super) fn keep(&mut self, side: Side, taken: usize, core: &mut WorkerContext) -> Result<(), PairOutcome> {
        let wanted = self.relay.as_ref().map_or(0, |relay| relay.to_hold(side));
        let buffer = core.options().buffer;
        let end = &mut self.ends[side as usize];
        let most = if wanted > 0 { wanted.saturating_add(buffer) } else { self.most_held };
        if end.held.len() > most {
            return Err(PairOutcome::Overflow);
        }
        if wanted == 0 {
            end.settle();
            return Ok(());
        }
        let over = end.held.capacity().saturating_sub(buffer);
        let endpoint = self.judge.key.endpoint;
        if end.charge(over, |more| core.take_buffered(endpoint, more)) {
            end.over_budget = false;
            return Ok(());
        }
        if end.over_budget && taken == 0 {
            return Err(PairOutcome::Overflow);
        }
        end.over_budget = true;
        end.again = true;
        if let Some(relay) = &mut self.relay {
            let mut checker = checker(&mut self.judge, core.snapshot.as_deref(), &mut core.exit, core.now);
            relay.cannot_hold(side, &mut checker, &mut core.output);
            self.speak(side, core);
        }
        Ok(())
    }
}

impl End {
    /// What is held needs no budget any more: memory beyond it goes back with it.
    fn settle(&mut self) {
        if self.charge.take().is_some() {
            self.held.shrink_to_fit();
        }
        self.over_budget = false;
    }

    /// Takes as many bytes of the budget as are held beyond the read buffer, or gives back what is too much. Whether there was
    /// room.
    fn charge(&mut self, over: usize, take: impl FnOnce(usize) -> Option<ShareGuard>) -> bool {
        let charged = self.charge.as_ref().map_or(0, ShareGuard::count);
        match (over.checked_sub(charged), &mut self.charge) {
            (None | Some(0), Some(charge)) => charge.shrink(over),
            (None | Some(0), None) => {}
            (Some(more), charge) => match (take(more), charge) {
                (None, _) => return false,
                (Some(taken), Some(charge)) => charge.join(taken),
                (Some(taken), charge @ None) => *charge = Some(taken),
            },
        }
        true
    }
}
