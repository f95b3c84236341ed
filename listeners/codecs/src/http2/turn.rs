//! One call of the relay: what to do with the bytes it was shown, and what the relay itself adds.

use crate::relay::{Checker, Close, RelayOutput, RelayStep, Side};

/// So many bytes of a frame's payload are copied behind words of ours; more wait for the next call, to be forwarded as
/// they are.
const COPIED: usize = 4096;
/// With so many words the call ends, so that they go out.
const WORDS: usize = 64 * 1024;

/// One call.
pub(super) struct RelayCall<'a> {
    pub(super) from: Side,
    pub(super) checker: &'a mut dyn Checker,
    pub(super) out: &'a mut RelayOutput,
    step: RelayStep,
}

impl<'a> RelayCall<'a> {
    pub(super) fn new(from: Side, checker: &'a mut dyn Checker, out: &'a mut RelayOutput) -> Self {
        Self { from, checker, out, step: RelayStep::HOLD }
    }

    pub(super) fn step(&self) -> RelayStep {
        self.step
    }

    /// Where words for a side are put. They go behind all that has been forwarded to it.
    pub(super) fn words(&mut self, to: Side) -> &mut Vec<u8> {
        match to {
            Side::Downstream => &mut self.out.downstream,
            Side::Upstream => &mut self.out.upstream,
        }
    }

    /// Takes the next bytes of the input and sends them on as they are.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if self.forwards() {
            self.step.forward += bytes.len();
        } else {
            self.replace(bytes.len(), |out| out.extend_from_slice(bytes));
        }
    }

    /// Takes so many of the next bytes of the input; what `write` appends goes on in their place.
    pub(super) fn replace(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.words(self.from.peer());
        let before = out.len();
        write(out);
        let written = out.len() - before;
        self.out.relayed += written;
        self.skip(bytes);
    }

    /// Takes the next bytes of the input and drops them.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.step.discard += bytes;
    }

    /// Whether bytes can still be forwarded as they are: nothing was dropped or said in front of them.
    fn forwards(&mut self) -> bool {
        self.step.discard == 0 && self.words(self.from.peer()).is_empty()
    }

    /// Whether so many bytes of a payload should rather be shown again than be passed now.
    pub(super) fn rather_waits(&mut self, bytes: usize) -> bool {
        bytes > COPIED && self.step.taken() > 0 && !self.forwards()
    }

    /// Whether the call ends here.
    pub(super) fn is_over(&self) -> bool {
        let spoken = self.out.downstream.len().max(self.out.upstream.len());
        self.out.close.is_some() || (spoken > WORDS && self.step.taken() > 0)
    }

    pub(super) fn close(&mut self, close: Close) {
        self.out.close = Some(close);
    }
}
