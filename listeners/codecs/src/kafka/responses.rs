//! What the server sends: frames that are passed on as they came, but for what is said in front of them, what rules keep back
//! of them and what the server says of its versions.

use std::sync::Arc;

use portcullis_rules::request::Request;

use super::{
    Violation,
    denial::{Head, Listing, Topic},
    event::{Event, Progress},
    layout::{Layout, Meaning, response},
    lookup::Learner,
    outstanding::{Due, Ours, Then},
    relay::Connection,
    versions,
    walk::{RESPONSE_HEAD, Walk},
    wire::frame_length,
};
use crate::{
    order::Answerer,
    relay::{Answer, Checker, Output, Side, Step},
};
use portcullis_rules::values::MOST_VALUES;

/// Fewest bytes of a response behind its length.
const SHORTEST: usize = 4;

/// Where the server's side is.
#[derive(Debug)]
pub(super) enum Responses {
    /// Between two frames.
    Head,
    /// So many bytes have to be there first.
    Holds(usize),
    /// So many bytes of a frame have to come.
    Body(u64),
    /// The same, and names are learnt from them.
    Read(Box<Reading>),
}

/// A response that is read as it passes.
#[derive(Debug)]
pub(super) struct Reading {
    walk: Walk,
    learner: Learner,
    /// Bytes of the frame that were taken, and all of it.
    taken: usize,
    length: usize,
}

impl Reading {
    fn new(layout: &'static Layout, version: i16, length: usize) -> Self {
        Self { walk: Walk::response(layout, version, length), learner: Learner::default(), taken: 0, length }
    }
}

impl Responses {
    fn of(left: u64) -> Self {
        if left == 0 { Self::Head } else { Self::Body(left) }
    }

    /// How many bytes nobody has to see.
    pub(super) fn unseen(&self) -> u64 {
        match self {
            Self::Head | Self::Holds(_) => 0,
            Self::Body(left) => *left,
            Self::Read(reading) => reading.walk.place().saturating_sub(reading.taken) as u64,
        }
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        match self {
            Self::Read(reading) => {
                reading.taken += usize::try_from(bytes).unwrap_or(usize::MAX);
                if reading.taken >= reading.length {
                    *self = Self::Head;
                }
            }
            _ => *self = Self::of(self.unseen().saturating_sub(bytes)),
        }
    }

    /// How many bytes have to be held until the next goes on.
    pub(super) fn to_hold(&self) -> usize {
        if let Self::Holds(length) = self { *length } else { 0 }
    }
}

impl Connection {
    pub(super) fn read_responses(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Step {
        let mut step = Step::HOLD;
        // What we say comes behind what is forwarded, so that ends the step.
        while out.close.is_none() && out.downstream.is_empty() && step.discard == 0 {
            let rest = &input[step.forward..];
            let taken = match &mut self.responses {
                Responses::Head | Responses::Holds(_) => match self.begin_response(rest, checker, out) {
                    Ok(Some(discard)) => {
                        step.discard = discard;
                        self.settle(checker, out);
                        continue;
                    }
                    Ok(None) => break,
                    Err(violation) => {
                        Self::offend(Side::Upstream, violation, checker, out);
                        break;
                    }
                },
                Responses::Body(left) => rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX)),
                Responses::Read(_) => self.read_on(rest),
            };
            if taken == 0 {
                break;
            }
            self.responses.passed(taken as u64);
            step.forward += taken;
            self.settle(checker, out);
        }
        step
    }

    /// Learns from what comes next of a response; how many bytes of it go on.
    fn read_on(&mut self, rest: &[u8]) -> usize {
        let (ids, server, most) = (&self.ids, self.server, self.limits.ids);
        let Responses::Read(reading) = &mut self.responses else { return 0 };
        let Reading { walk, learner, taken, length } = &mut **reading;
        if walk.walk(rest, *taken, &mut |event| learner.see(&event, ids, server, most)).is_err() {
            // It passes all the same: nothing but its topics would be known better.
            let left = (*length - *taken) as u64;
            self.responses = Responses::Body(left);
            return rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        rest.len().min(walk.place() - *taken)
    }

    /// Begins with the response at the start of the input: `None` if more of it has to come first, and how many bytes of it are
    /// not passed on because we have said them.
    fn begin_response(
        &mut self,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut Output,
    ) -> Result<Option<usize>, Violation> {
        let Some(length) = frame_length(input, SHORTEST)? else { return Ok(None) };
        let Some([.., n0, n1, n2, n3]) = input.first_chunk::<RESPONSE_HEAD>() else { return Ok(None) };
        let came = i32::from_be_bytes([*n0, *n1, *n2, *n3]);
        let due = self.outstanding.due(came).ok_or(Violation::Unasked)?;
        if let Some(Answerer::Both(..)) = self.outstanding.front() {
            return self.merge(due, length, input, checker, out);
        }
        match due.then {
            Then::Pass | Then::Untold => self.pass(due, length, checker),
            Then::Learn => {
                let reading = response(due.key).map(|layout| Reading::new(layout, due.version, length));
                self.answered(due, 0, checker);
                self.responses =
                    reading.map_or_else(|| Responses::of(length as u64), |reading| Responses::Read(Box::new(reading)));
                return Ok(Some(0));
            }
            Then::Session => return self.open_session(due, length, input, checker),
            Then::Filter | Then::Versions | Then::Question => {
                if length > self.limits.held {
                    return Err(Violation::LongResponse);
                }
                let Some(frame) = input.get(..length) else {
                    self.responses = Responses::Holds(length);
                    return Ok(None);
                };
                self.responses = Responses::Head;
                let before = out.downstream.len();
                let error = self.rewrite(due, frame, checker, out)?;
                out.relayed += out.downstream.len() - before;
                self.answered(due, error, checker);
                return Ok(Some(length));
            }
        }
        Ok(Some(0))
    }

    fn pass(&mut self, due: Due, length: usize, checker: &mut dyn Checker) {
        // What went wrong with one topic or another stands somewhere in it.
        self.answered(due, 0, checker);
        self.responses = Responses::of(length as u64);
    }

    /// The response to the oldest request has come.
    fn answered(&mut self, due: Due, error: i16, checker: &mut dyn Checker) {
        if let Some(Answerer::Both(_, ours)) = self.outstanding.pop() {
            self.waiting -= ours.size().min(self.waiting);
        }
        match due.then {
            Then::Untold => {}
            Then::Question => self.requests.asking = false,
            _ => checker.answered(Answer::next(error)),
        }
    }

    /// Says a whole response in other words; its error code.
    fn rewrite(
        &mut self,
        due: Due,
        frame: &[u8],
        checker: &mut dyn Checker,
        out: &mut Output,
    ) -> Result<i16, Violation> {
        match due.then {
            Then::Versions => {
                versions::rewrite(frame, due.version, self.limits.learns(), &mut out.downstream)?;
                Ok(versions::error(frame).unwrap_or_default())
            }
            Then::Filter => self.filter(due, frame, checker, out).map(|()| 0),
            _ => {
                self.learn(due, frame)?;
                Ok(0)
            }
        }
    }

    /// Learns from the answer to a question of ours.
    fn learn(&self, due: Due, frame: &[u8]) -> Result<(), Violation> {
        let layout = response(due.key).ok_or(Violation::UnknownResponse)?;
        let mut learner = Learner::default();
        let (ids, server, most) = (&self.ids, self.server, self.limits.ids);
        let see = &mut |event: Event<'_>| learner.see(&event, ids, server, most);
        match Walk::response(layout, due.version, frame.len()).walk(frame, 0, see)? {
            Progress::Complete => Ok(()),
            Progress::More => Err(Violation::CutFrame),
        }
    }

    /// Passes on what the rules let the client see of all topics.
    fn filter(&mut self, due: Due, frame: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Result<(), Violation> {
        let asker = self.askers.pop_front().ok_or(Violation::UnknownResponse)?;
        let mut learner = Learner::default();
        let (ids, server, most) = (&self.ids, self.server, self.limits.ids);
        let see = &mut |event: &Event<'_>| learner.see(event, ids, server, most);
        let listing = Listing::read_with(due.key, due.version, frame, see)?.ok_or(Violation::UnknownResponse)?;
        // What has no name that is known is no topic that a rule names.
        let name = |topic: Option<Topic<'_>>| match topic {
            Some(Topic::Name(name)) => std::str::from_utf8(name).unwrap_or_default().into(),
            Some(Topic::Id(id)) => ids.find(server, &id).unwrap_or_else(|| "".into()),
            None => "".into(),
        };
        let names: Vec<Arc<str>> = listing.topics().map(name).collect();
        let mut kept = Vec::with_capacity(names.len());
        for names in names.chunks(MOST_VALUES) {
            let refused = checker.preview(&asker.asking(names) as &dyn Request);
            kept.extend((0..names.len()).map(|number| refused.as_ref().is_some_and(|set| !set.contains(number))));
        }
        listing.write(&|number| kept.get(number).copied().unwrap_or(false), &mut out.downstream);
        Ok(())
    }

    /// Reads the number of the session that a broker has opened.
    fn open_session(
        &mut self,
        due: Due,
        length: usize,
        input: &[u8],
        checker: &mut dyn Checker,
    ) -> Result<Option<usize>, Violation> {
        let layout = response(due.key).ok_or(Violation::UnknownResponse)?;
        let frame = input.get(..length.min(input.len())).unwrap_or_default();
        let mut behind = None;
        Walk::response(layout, due.version, length).walk(frame, 0, &mut |event| {
            if let Event::Value { meaning: Meaning::ErrorCode, span, .. } = event {
                behind.get_or_insert(span.end);
            }
        })?;
        // The number stands behind the error code.
        let number = behind.and_then(|behind| frame.get(behind..)).and_then(|rest| rest.first_chunk());
        let Some(number) = number.map(|number| i32::from_be_bytes(*number)) else {
            if frame.len() >= length {
                return Err(Violation::CutBody);
            }
            return Ok(None);
        };
        match &mut self.session {
            Some(session) if number != 0 => session.opened(number),
            // It has none.
            session => *session = None,
        }
        self.pass(due, length, checker);
        Ok(Some(0))
    }

    /// Puts what is said of refused topics in front of what the server says of the others.
    fn merge(
        &mut self,
        due: Due,
        length: usize,
        input: &[u8],
        checker: &mut dyn Checker,
        out: &mut Output,
    ) -> Result<Option<usize>, Violation> {
        let layout = response(due.key).ok_or(Violation::UnknownResponse)?;
        let mut reading = Reading::new(layout, due.version, length);
        let frame = input.get(..length.min(input.len())).unwrap_or_default();
        let mut head = None;
        let (ids, server, most) = (&self.ids, self.server, self.limits.ids);
        let learner = &mut reading.learner;
        reading.walk.walk(frame, 0, &mut |event| {
            learner.see(&event, ids, server, most);
            if let Event::List { meaning: Meaning::Topics, count, span } = event {
                head.get_or_insert(Head { count: count.unwrap_or(0), span, length });
            }
        })?;
        let Some(head) = head else {
            if frame.len() >= length || input.len() >= self.limits.held {
                return Err(Violation::LongResponse);
            }
            self.responses = Responses::Holds(length.min(self.limits.held));
            return Ok(None);
        };
        let Some(Answerer::Both(_, Ours::Entries(entries, refused))) = self.outstanding.front() else {
            return Err(Violation::Unasked);
        };
        let before = out.downstream.len();
        let flexible = layout.flexible.contains(due.version);
        let taken = head.merge(frame, flexible, (entries, *refused), &mut out.downstream);
        out.relayed += out.downstream.len() - before;
        self.answered(due, 0, checker);
        reading.taken = taken;
        self.responses = if taken >= length {
            Responses::Head
        } else if due.then == Then::Learn {
            Responses::Read(Box::new(reading))
        } else {
            Responses::of((length - taken) as u64)
        };
        Ok(Some(taken))
    }
}
