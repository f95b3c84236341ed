//! The server's byte stream: frames are forwarded unchanged, with three exceptions. Refusals are inserted in front of
//! the broker's entries, topics that rules hide are removed, and the offered versions are reduced.

use super::{
    Violation,
    denial::KafkaResponseHead,
    event::{WalkEvent, WalkValue},
    ids::KnownTopics,
    layout::{FieldMeaning, Layout, response},
    lookup::TopicLearner,
    outstanding::{OutstandingRequest, OwnAnswer, ResponseHandling},
    relay::Connection,
    walk::{RESPONSE_HEAD, Walk},
    wire::frame_length,
};
use crate::{
    order::Answerer,
    relay::{Checker, RelayOutput, RelayStep, ResponseSummary, Side},
};

/// Fewest bytes of a response behind its length.
const SHORTEST: usize = 4;

/// Where the server's side is.
#[derive(Debug)]
pub(super) enum KafkaResponses {
    /// Between two frames.
    Head,
    /// So many bytes have to be there first.
    Holds(usize),
    /// So many bytes of a frame have to come.
    Body(u64),
    /// The same, and what is wrong and how topics are called is read from them.
    Read(Box<Reading>),
}

/// What is read of a response.
#[derive(Debug, Default)]
pub(super) struct ResponseErrors {
    learner: TopicLearner,
    /// Whether names of topics are learnt.
    learns: bool,
    /// The first error code in it that is one.
    pub(super) error: i16,
    /// The fetch session that it tells.
    session: Option<i32>,
}

impl ResponseErrors {
    pub(super) fn see(&mut self, event: &WalkEvent<'_>, known: KnownTopics<'_>) {
        match event {
            WalkEvent::Value { meaning: FieldMeaning::ErrorCode, value: WalkValue::Number(code), .. }
                if self.error == 0 =>
            {
                // A number of 16 bits.
                self.error = i16::try_from(*code).unwrap_or_default();
            }
            WalkEvent::Value { meaning: FieldMeaning::SessionId, value: WalkValue::Number(id), .. } => {
                self.session = i32::try_from(*id).ok();
            }
            _ => {}
        }
        if self.learns {
            self.learner.see(event, known);
        }
    }
}

/// A response that is read as it passes.
#[derive(Debug)]
pub(super) struct Reading {
    walk: Walk,
    seen: ResponseErrors,
    then: ResponseHandling,
    /// Bytes of the frame that were taken, and all of it.
    taken: usize,
    length: usize,
}

impl Reading {
    fn new(layout: &'static Layout, due: OutstandingRequest, length: usize) -> Self {
        let seen = ResponseErrors { learns: due.then == ResponseHandling::Learn, ..ResponseErrors::default() };
        let walk = Walk::response(layout, due.version, length);
        Self { walk, seen, then: due.then, taken: 0, length }
    }

    /// Tells that all of it has come, if somebody waits for it.
    fn tell(&self, checker: &mut dyn Checker) {
        if self.then != ResponseHandling::Untold {
            checker.answered(ResponseSummary::next(self.seen.error));
        }
    }

    fn left(&self) -> usize {
        self.length.saturating_sub(self.taken)
    }
}

impl KafkaResponses {
    fn of(left: u64) -> Self {
        if left == 0 { Self::Head } else { Self::Body(left) }
    }

    /// How many bytes nobody has to see.
    pub(super) fn unseen(&self) -> u64 {
        match self {
            Self::Head | Self::Holds(_) => 0,
            Self::Body(left) => *left,
            // With the last one it is told.
            Self::Read(reading) => {
                let read = reading.walk.place().saturating_sub(reading.taken);
                read.min(reading.left().saturating_sub(1)) as u64
            }
        }
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        match self {
            Self::Read(reading) => reading.taken += usize::try_from(bytes).unwrap_or(usize::MAX),
            _ => *self = Self::of(self.unseen().saturating_sub(bytes)),
        }
    }

    /// How many bytes have to be held until the next goes on.
    pub(super) fn to_hold(&self) -> usize {
        if let Self::Holds(length) = self { *length } else { 0 }
    }
}

impl Connection {
    pub(super) fn read_responses(
        &mut self,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> RelayStep {
        let mut step = RelayStep::HOLD;
        // What we say comes behind what is forwarded, so that ends the step.
        while out.close.is_none() && out.downstream.is_empty() && step.discard == 0 {
            let rest = &input[step.forward..];
            let taken = match &mut self.responses {
                KafkaResponses::Head | KafkaResponses::Holds(_) => match self.begin_response(rest, checker, out) {
                    Ok(Some(RelayStep { forward, discard })) => {
                        step.forward += forward;
                        step.discard = discard;
                        self.settle(checker, out);
                        continue;
                    }
                    Ok(None) => break,
                    Err(violation) => {
                        Self::violate(Side::Upstream, violation, checker, out);
                        break;
                    }
                },
                KafkaResponses::Body(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.responses.passed(taken as u64);
                    taken
                }
                KafkaResponses::Read(_) => self.read_on(rest, checker),
            };
            if taken == 0 {
                break;
            }
            step.forward += taken;
            self.settle(checker, out);
        }
        step
    }

    /// Reads what comes next of a response; how many bytes of it go on.
    fn read_on(&mut self, rest: &[u8], checker: &mut dyn Checker) -> usize {
        let KafkaResponses::Read(mut reading) = std::mem::replace(&mut self.responses, KafkaResponses::Head) else {
            return 0;
        };
        let (forward, readable) = self.read(&mut reading, rest);
        if reading.left() == 0 || !readable {
            // Nobody can tell what else is wrong with what cannot be read.
            self.responses = KafkaResponses::of(reading.left() as u64);
            reading.tell(checker);
        } else {
            self.responses = KafkaResponses::Read(reading);
        }
        forward
    }

    /// The same of one in hand, and whether it could be read. What cannot be passes all the same: it would only be known better.
    fn read(&mut self, reading: &mut Reading, rest: &[u8]) -> (usize, bool) {
        let known = self.known();
        let Reading { walk, seen, then, taken, length } = reading;
        let read = walk.walk(rest, *taken, &mut |event| seen.see(&event, known));
        if let Some(number) = seen.session.take().filter(|_| *then == ResponseHandling::Session) {
            self.open_session(number);
        }
        if read.is_err() {
            seen.error = 0;
        }
        let place = if read.is_ok() { walk.place() } else { *length };
        let forward = rest.len().min(place - *taken);
        *taken += forward;
        (forward, read.is_ok())
    }

    /// Begins with the response at the start of the input: `None` if more of it has to come first, and how many bytes of it go
    /// on, or do not because we have said them.
    fn begin_response(
        &mut self,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> Result<Option<RelayStep>, Violation> {
        let Some(length) = frame_length(input, SHORTEST)? else { return Ok(None) };
        let Some([.., n0, n1, n2, n3]) = input.first_chunk::<RESPONSE_HEAD>() else { return Ok(None) };
        let came = i32::from_be_bytes([*n0, *n1, *n2, *n3]);
        let due = self.outstanding.due(came).ok_or(Violation::Unasked)?;
        match due.then {
            ResponseHandling::Filter | ResponseHandling::Versions | ResponseHandling::Question => {
                if length > self.limits.held {
                    return Err(Violation::LongResponse);
                }
                let Some(frame) = input.get(..length) else {
                    self.responses = KafkaResponses::Holds(length);
                    return Ok(None);
                };
                self.responses = KafkaResponses::Head;
                let before = out.downstream.len();
                let error = self.rewrite(due, frame, checker, out)?;
                out.relayed += out.downstream.len() - before;
                self.answered(due, error, checker);
                Ok(Some(RelayStep { forward: 0, discard: length }))
            }
            _ if matches!(self.outstanding.front(), Some(Answerer::Both(..))) => {
                self.merge(due, length, input, checker, out)
            }
            ResponseHandling::Pass | ResponseHandling::Untold | ResponseHandling::Learn | ResponseHandling::Session => {
                Ok(Some(self.pass(due, length, input, checker)))
            }
        }
    }

    /// The response passes as it comes: so many bytes of it now.
    fn pass(&mut self, due: OutstandingRequest, length: usize, input: &[u8], checker: &mut dyn Checker) -> RelayStep {
        let Some(layout) = response(due.key).filter(|layout| layout.versions.contains(due.version)) else {
            self.answered(due, 0, checker);
            self.responses = KafkaResponses::of(length as u64);
            return RelayStep::HOLD;
        };
        self.came();
        self.responses = KafkaResponses::Head;
        let mut reading = Reading::new(layout, due, length);
        if input.len() < length {
            self.responses = KafkaResponses::Read(Box::new(reading));
            return RelayStep::HOLD;
        }
        // Most come in one piece, and need no memory.
        let (forward, _) = self.read(&mut reading, input.get(..length).unwrap_or_default());
        reading.tell(checker);
        RelayStep { forward, discard: 0 }
    }

    /// The response to the oldest request has come.
    fn came(&mut self) {
        if let Some(Answerer::Both(_, ours)) = self.outstanding.pop() {
            self.waiting -= ours.size().min(self.waiting);
        }
    }

    /// It has come, with an error code.
    fn answered(&mut self, due: OutstandingRequest, error: i16, checker: &mut dyn Checker) {
        self.came();
        match due.then {
            ResponseHandling::Untold => {}
            ResponseHandling::Question => self.requests.asking = false,
            _ => checker.answered(ResponseSummary::next(error)),
        }
    }

    /// The broker has opened a fetch session, or says that there is none.
    fn open_session(&mut self, number: i32) {
        match &mut self.session {
            Some(session) if number != 0 => session.opened(number),
            session => *session = None,
        }
    }

    /// Puts what is said of what is refused in front of what the server says of the others.
    fn merge(
        &mut self,
        due: OutstandingRequest,
        length: usize,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut RelayOutput,
    ) -> Result<Option<RelayStep>, Violation> {
        let layout = response(due.key).ok_or(Violation::UnknownResponse)?;
        let Some(Answerer::Both(_, OwnAnswer::Entries(_, _, list))) = self.outstanding.front() else {
            return Err(Violation::Unasked);
        };
        let list = *list;
        let mut reading = Reading::new(layout, due, length);
        let frame = input.get(..length.min(input.len())).unwrap_or_default();
        let mut head = None;
        let known = self.known();
        let Reading { walk, seen, .. } = &mut reading;
        walk.walk(frame, 0, &mut |event| {
            seen.see(&event, known);
            KafkaResponseHead::see(&event, list, length, &mut head);
        })?;
        let Some(head) = head else {
            if frame.len() >= length || input.len() >= self.limits.held {
                return Err(Violation::LongResponse);
            }
            self.responses = KafkaResponses::Holds(length.min(self.limits.held));
            return Ok(None);
        };
        let Some(Answerer::Both(_, OwnAnswer::Entries(entries, refused, _))) = self.outstanding.front() else {
            return Err(Violation::Unasked);
        };
        let before = out.downstream.len();
        let flexible = layout.flexible.contains(due.version);
        let taken = head.merge(frame, flexible, (entries, *refused), &mut out.downstream);
        out.relayed += out.downstream.len() - before;
        self.came();
        reading.taken = taken;
        if reading.left() == 0 {
            self.responses = KafkaResponses::Head;
            reading.tell(checker);
        } else {
            self.responses = KafkaResponses::Read(Box::new(reading));
        }
        Ok(Some(RelayStep { forward: 0, discard: taken }))
    }
}
