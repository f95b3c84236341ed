//! DNS over TCP (RFC 7766): length-prefixed messages, with answers in any order. A refusal is therefore sent at once,
//! and the queue of ordered answers ([`crate::order`]) is not used.

use super::{
    Violated, Violation,
    outstanding::{DnsOutstanding, QueryOutcome, failure},
    wire::HEADER,
};
use crate::{
    dns::Limits,
    relay::{Checker, Close, Relay, RelayOutput, RelayStep, Side},
    resolution::LearnedAddresses,
};

/// Bytes of the length in front of a message (RFC 1035 §4.2.2).
const PREFIX: usize = 2;
/// Most bytes of a frame.
pub(super) const LONGEST_FRAME: usize = PREFIX + u16::MAX as usize;

/// Makes the relay of one connection pair.
#[must_use]
pub fn relay(limits: &Limits) -> Box<dyn Relay> {
    Box::new(DnsStream {
        limit: limits.queries,
        outstanding: DnsOutstanding::default(),
        begun: false,
        hold: AnswerHold::Nothing,
    })
}

/// The state of one connection pair.
#[derive(Debug)]
struct DnsStream {
    limit: usize,
    outstanding: DnsOutstanding,
    /// The client has begun a frame that is not complete.
    begun: bool,
    hold: AnswerHold,
}

// A relay lives as long as its connection, so what it keeps is bounded.
const _: () = assert!(size_of::<DnsStream>() <= 256);

/// Whether the next answer waits until what it tells is known. Those behind it wait with it.
#[derive(Debug)]
enum AnswerHold {
    Nothing,
    /// It has a resolution that the driver has not taken.
    Untold(LearnedAddresses),
    /// The resolution is being learnt.
    Told,
    /// It was, or was not.
    Over(bool),
}

/// The message at the start of the input and the length of its frame, if it is complete.
fn frame(input: &[u8]) -> Result<Option<(&[u8], usize)>, Violation> {
    let Some((prefix, rest)) = input.split_first_chunk::<PREFIX>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*prefix));
    if length < HEADER {
        return Err(Violation::ShortFrame);
    }
    Ok(rest.get(..length).map(|message| (message, PREFIX + length)))
}

fn say(message: &[u8], out: &mut RelayOutput) {
    // An answer of ours is no longer than the question of a frame that fits.
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    out.downstream.extend_from_slice(&length.to_be_bytes());
    out.downstream.extend_from_slice(message);
}

fn violate(side: Side, violation: Violation, checker: &mut dyn Checker, out: &mut RelayOutput) {
    checker.violated(&Violated { violation, side });
    out.close = Some(Close::Reset);
}

impl DnsStream {
    fn is_full(&self) -> bool {
        self.outstanding.len() >= self.limit
    }

    fn waits(&self) -> bool {
        matches!(self.hold, AnswerHold::Untold(_) | AnswerHold::Told)
    }

    fn queries(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let mut step = RelayStep::HOLD;
        while !self.is_full() {
            let (message, length) = match frame(&input[step.forward..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(violation) => {
                    violate(Side::Downstream, violation, checker, out);
                    break;
                }
            };
            match self.outstanding.judge(message, 0, self.limit, checker) {
                QueryOutcome::Forward => {
                    step.forward += length;
                    continue;
                }
                QueryOutcome::Answer(answer) => say(&answer, out),
                QueryOutcome::Silence => {}
                QueryOutcome::Violation(_) => out.close = Some(Close::Reset),
            }
            step.discard = length;
            break;
        }
        self.begun = step.taken() < input.len() && !self.is_full();
        step
    }

    fn answers(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        let mut step = RelayStep::HOLD;
        while !self.waits() {
            let (message, length) = match frame(&input[step.forward..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(violation) => {
                    violate(Side::Upstream, violation, checker, out);
                    break;
                }
            };
            match std::mem::replace(&mut self.hold, AnswerHold::Nothing) {
                AnswerHold::Over(false) => {
                    say(&failure(message), out);
                    step.discard = length;
                    break;
                }
                AnswerHold::Over(true) => {}
                _ => match self.outstanding.answer(message, checker) {
                    Ok(None) => {}
                    Ok(Some(resolution)) => {
                        self.hold = AnswerHold::Untold(resolution);
                        break;
                    }
                    Err(_) => {
                        out.close = Some(Close::Reset);
                        break;
                    }
                },
            }
            step.forward += length;
        }
        step
    }
}

impl Relay for DnsStream {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        match from {
            Side::Downstream => self.queries(input, checker, out),
            Side::Upstream => self.answers(input, checker, out),
        }
    }

    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput) {
        if held > 0 {
            violate(from, Violation::CutFrame, checker, out);
        } else if from == Side::Upstream {
            out.close = Some(Close::Graceful);
        }
    }

    fn wants(&self, side: Side) -> bool {
        match side {
            Side::Downstream => !self.is_full(),
            Side::Upstream => !self.waits(),
        }
    }

    fn head_pending(&self) -> bool {
        self.begun
    }

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        if self.begun {
            violate(Side::Downstream, Violation::FrameTimeout, checker, out);
        }
    }

    fn client_first(&self) -> bool {
        true
    }

    fn resolution(&mut self) -> Option<LearnedAddresses> {
        match std::mem::replace(&mut self.hold, AnswerHold::Told) {
            AnswerHold::Untold(resolution) => Some(resolution),
            other => {
                self.hold = other;
                None
            }
        }
    }

    fn committed(&mut self, known: bool) {
        if self.waits() {
            self.hold = AnswerHold::Over(known);
        }
    }
}
