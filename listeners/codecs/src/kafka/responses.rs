//! What the server sends: frames that are passed on, all but what it says of its versions.

use super::{
    Violation, api::API_VERSIONS, outstanding::Due, relay::Connection, versions, walk::RESPONSE_HEAD,
    wire::frame_length,
};
use crate::relay::{Answer, Checker, Output, Side, Step};

/// Fewest bytes of a response behind its length.
const SHORTEST: usize = 4;

/// Where the server's side is.
#[derive(Debug)]
pub(super) enum Responses {
    /// Between two frames.
    Head,
    /// So many bytes of a frame have to come.
    Body(u64),
}

impl Responses {
    fn of(left: u64) -> Self {
        if left == 0 { Self::Head } else { Self::Body(left) }
    }

    /// How many bytes nobody has to see.
    pub(super) fn unseen(&self) -> u64 {
        match self {
            Self::Head => 0,
            Self::Body(left) => *left,
        }
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        *self = Self::of(self.unseen().saturating_sub(bytes));
    }
}

impl Connection {
    pub(super) fn read_responses(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Step {
        let mut step = Step::HOLD;
        // What we say comes behind what is forwarded, so that ends the step.
        while out.close.is_none() && out.downstream.is_empty() {
            let rest = &input[step.forward..];
            if let Responses::Body(left) = self.responses {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.responses.passed(taken as u64);
                step.forward += taken;
                if taken == 0 {
                    break;
                }
                self.settle(checker, out);
                continue;
            }
            match self.read_response(rest, checker, out) {
                Ok(Some(discard)) if discard > 0 => {
                    step.discard = discard;
                    self.settle(checker, out);
                    break;
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(violation) => Self::offend(Side::Upstream, violation, checker, out),
            }
        }
        step
    }

    /// Reads the response at the start of the input: `None` if more of it has to come first, and how many bytes of it are
    /// not passed on because we have said it.
    fn read_response(
        &mut self,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut Output,
    ) -> Result<Option<usize>, Violation> {
        let Some(length) = frame_length(input, SHORTEST)? else { return Ok(None) };
        let Some([.., n0, n1, n2, n3]) = input.first_chunk::<RESPONSE_HEAD>() else { return Ok(None) };
        let came = i32::from_be_bytes([*n0, *n1, *n2, *n3]);
        let Due { key, version, .. } = self.outstanding.due(came).ok_or(Violation::Unasked)?;
        if key != API_VERSIONS {
            self.outstanding.pop();
            // What went wrong with one topic or another stands somewhere in it.
            checker.answered(Answer::next(0));
            self.responses = Responses::of(length as u64);
            return Ok(Some(0));
        }
        if length > self.limits.held {
            return Err(Violation::LongResponse);
        }
        let Some(frame) = input.get(..length) else { return Ok(None) };
        let before = out.downstream.len();
        versions::rewrite(frame, version, &mut out.downstream)?;
        out.relayed += out.downstream.len() - before;
        self.outstanding.pop();
        checker.answered(Answer::next(versions::error(frame).unwrap_or_default()));
        Ok(Some(length))
    }
}
