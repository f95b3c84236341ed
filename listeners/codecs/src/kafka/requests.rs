//! The client's byte stream: frames that are walked, judged and forwarded.

use super::{
    Violation,
    event::WalkProgress,
    frame::{Frame, FrameOutcome},
    judging::Driver,
    names::{RequestNames, TopicName},
    relay::Connection,
};
use crate::relay::{Checker, RelayOutput, RelayStep, Side};

/// Where the client's side is.
#[derive(Debug, Default)]
pub(super) struct KafkaRequests {
    /// The request that is being read.
    pub(super) frame: Option<Frame>,
    /// What it names.
    pub(super) names: RequestNames,
    /// A frame has begun of which not even that much is there.
    begun: bool,
    /// Nothing more is read: the connection ends behind what is due.
    pub(super) over: bool,
    /// A SASL handshake went on to the server.
    pub(super) handshaken: bool,
    /// The server was asked for names of topics, and has not answered.
    pub(super) asking: bool,
}

impl KafkaRequests {
    /// Whether a frame has begun that is not over.
    pub(super) fn is_inside(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether the client owes something before it can be judged.
    pub(super) fn is_pending(&self) -> bool {
        self.frame.as_ref().map_or(self.begun, |frame| frame.outcome != FrameOutcome::GoesOn)
    }

    /// How many bytes nobody has to see.
    pub(super) fn unseen(&self) -> u64 {
        let frame = self.frame.as_ref().filter(|frame| frame.outcome == FrameOutcome::GoesOn);
        frame.map_or(0, |frame| frame.walk.place().saturating_sub(frame.taken) as u64)
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        let Some(frame) = &mut self.frame else { return };
        frame.taken += usize::try_from(bytes).unwrap_or(usize::MAX);
        if frame.taken >= frame.length {
            self.end_frame();
        }
    }

    /// How many bytes have to be held until it is known what becomes of them.
    pub(super) fn to_hold(&self, most: usize) -> usize {
        let undecided = |frame: &&Frame| match &frame.outcome {
            FrameOutcome::Open => !frame.single || !self.names.topics.is_empty(),
            FrameOutcome::Refused(_) | FrameOutcome::GoesOn => false,
        };
        self.frame.as_ref().filter(undecided).map_or(0, |frame| frame.length.min(most))
    }

    pub(super) fn end_frame(&mut self) {
        self.frame = None;
        self.names.judged();
    }
}

/// What becomes of the bytes that were shown.
pub(super) enum ShownBytes {
    /// More has to come first.
    Waits,
    /// What has come has to be read once more.
    Again,
    /// So many go on as they came.
    GoesOn,
    /// All of the frame is dropped: what is to be said of it was said, or goes on in other bytes.
    Drops,
}

impl Connection {
    pub(super) fn wants_requests(&self) -> bool {
        let inside = self.requests.frame.as_ref().is_some_and(|frame| frame.outcome == FrameOutcome::GoesOn);
        let room = !self.outstanding.is_full() && self.waiting <= self.limits.held;
        !self.requests.over && !self.requests.asking && (inside || room)
    }

    pub(super) fn read_requests(
        &mut self,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> RelayStep {
        let mut step = RelayStep::HOLD;
        // What is dropped ends the step: behind it nothing can be forwarded.
        while step.discard == 0 && step.forward < input.len() && out.close.is_none() && self.wants_requests() {
            match self.read_request(&input[step.forward..], checker, out) {
                Ok(Some(RelayStep { forward, discard })) => {
                    step.forward += forward;
                    step.discard = discard;
                    if forward + discard == 0 {
                        break;
                    }
                }
                Ok(None) => break,
                Err(violation) => Self::violate(Side::Downstream, violation, checker, out),
            }
        }
        self.requests.begun = step.taken() < input.len();
        step
    }

    /// Reads the request at the start of the input, or what comes next of one; `None` if more has to come first.
    fn read_request(
        &mut self,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> Result<Option<RelayStep>, Violation> {
        let KafkaRequests { frame, names, handshaken, .. } = &mut self.requests;
        if frame.is_none() {
            names.begin();
            *frame = Frame::begin(input, &self.limits, *handshaken)?;
        }
        let Some(frame) = frame else { return Ok(None) };
        if let FrameOutcome::Refused(_) = frame.outcome {
            return self.swallow(input, &mut Driver { checker, out }).map(Some);
        }
        let progress = frame.read(input, self.limits.topics, names)?;
        let (length, most) = (frame.full, self.limits.held);
        // A longer one is judged as it comes, even if all of it has.
        let whole = progress == WalkProgress::Complete && length <= most;
        // What stands behind the last field is cut off.
        let trimmed = (whole && frame.walk.place() < length).then(|| frame.trim(input));
        let input = trimmed.as_deref().unwrap_or(input);
        let mut driver = Driver { checker, out };
        let turn = match &frame.outcome {
            // What came since it began to go on.
            FrameOutcome::GoesOn if !names.new => ShownBytes::GoesOn,
            FrameOutcome::GoesOn => self.judge(input, whole, &mut driver)?,
            FrameOutcome::Refused(_) => ShownBytes::Waits,
            FrameOutcome::Open => {
                let known = progress == WalkProgress::Complete || frame.single && !names.topics.is_empty();
                let overlong = frame.cramped || input.len() >= most;
                if frame.is_whole() && !whole && (overlong || length > most) {
                    return Err(Violation::LongRequest);
                }
                if known || overlong { self.judge(input, whole, &mut driver)? } else { ShownBytes::Waits }
            }
        };
        Ok(match turn {
            ShownBytes::Waits => None,
            ShownBytes::Again => return self.swallow(input, &mut driver).map(Some),
            ShownBytes::GoesOn if trimmed.is_some() => {
                out.relayed += input.len();
                out.upstream.extend_from_slice(input);
                self.requests.end_frame();
                Some(RelayStep { forward: 0, discard: length })
            }
            ShownBytes::GoesOn => self.forward(input.len()),
            ShownBytes::Drops => {
                self.requests.end_frame();
                Some(RelayStep { forward: 0, discard: length })
            }
        })
    }

    /// Drops what comes of a denied request, and answers it when all has come.
    fn swallow(&mut self, input: &[u8], driver: &mut Driver<'_>) -> Result<RelayStep, Violation> {
        let Some(Frame { outcome: FrameOutcome::Refused(swallowed), walk, taken, full, length, .. }) =
            &mut self.requests.frame
        else {
            return Ok(RelayStep::HOLD);
        };
        let discard = swallowed.read(walk, input, *taken)?;
        *taken += discard;
        if swallowed.request.len() > self.limits.held {
            return Err(Violation::LongRequest);
        }
        if *taken >= *full {
            swallowed.finish();
            let (request, refused) = (std::mem::take(&mut swallowed.request), std::mem::take(&mut swallowed.refused));
            *length = request.len();
            self.refuse(&request, &refused, driver)?;
            self.requests.end_frame();
        }
        Ok(RelayStep { forward: 0, discard })
    }

    /// Passes on what was read of an allowed request.
    fn forward(&mut self, seen: usize) -> Option<RelayStep> {
        let frame = self.requests.frame.as_mut().filter(|frame| frame.outcome == FrameOutcome::GoesOn)?;
        let forward = (frame.walk.place() - frame.taken).min(seen);
        frame.taken += forward;
        if frame.taken >= frame.length {
            self.requests.end_frame();
        }
        Some(RelayStep { forward, discard: 0 })
    }

    /// Puts names in the place of ids of topics. Whether none is left for which the server could be asked.
    pub(super) fn resolve(&mut self) -> bool {
        let mut all = true;
        let RequestNames { topics, known, .. } = &mut self.requests.names;
        for topic in topics {
            let TopicName::Id(id) = topic else { continue };
            match self.ids.find(self.server, id) {
                Some(name) => {
                    *topic = TopicName::Known(u32::try_from(known.len()).unwrap_or(u32::MAX));
                    known.push(name);
                }
                None => all = false,
            }
        }
        all
    }
}
