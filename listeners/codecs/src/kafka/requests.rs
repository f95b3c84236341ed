//! What the client sends: frames that are walked, judged and passed on as they came.

use portcullis_rules::request::Request;

use super::{
    Limits, Violation, api,
    asked::{Asked, Topic},
    event::{Event, Progress, Value},
    layout::{Layout, Meaning, request},
    outstanding::{Due, Ours},
    relay::Connection,
    walk::{REQUEST_HEAD, Walk},
    wire::frame_length,
};
use crate::{
    order::Answerer,
    relay::{Checker, Close, Decision, Output, Side, Step},
};

/// Fewest bytes of a request behind its length: kind, version and number.
const SHORTEST: usize = 8;
/// The type of the keys by which the brokers of transactions are looked for (`CoordinatorType` of Kafka).
const TRANSACTIONS: i64 = 1;
/// Room for topics that is kept from one request to the next.
const KEPT_TOPICS: usize = 1024;

/// Where the client's side is.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The request that is being read.
    frame: Option<Frame>,
    /// A frame has begun of which not even that much is there.
    begun: bool,
    /// Nothing more is read: the connection ends behind what is due.
    over: bool,
    /// A SASL handshake went on to the server.
    handshaken: bool,
    /// How the client calls itself in the request that is being read.
    client: Vec<u8>,
    /// The topics of the request that is being read, which are not judged yet.
    topics: Vec<Topic>,
}

/// A request that is being read.
#[derive(Debug)]
struct Frame {
    layout: &'static Layout,
    version: i16,
    number: i32,
    /// Nothing is known of this version: of a request that is answered all the same.
    unknown: bool,
    walk: Walk,
    /// Its bytes, its length included.
    length: usize,
    /// Bytes of it that were taken.
    taken: usize,
    /// What was known so far was allowed, and goes on.
    allowed: bool,
    /// It has one topic, so when that is known all is known.
    single: bool,
    /// The client wants no response.
    silent: bool,
    /// A broker sends it, for a replica.
    replica: bool,
    /// It looks for the broker of a transaction.
    transaction: bool,
    /// Topics that it has named so far.
    named: usize,
}

impl Requests {
    /// Whether a frame has begun that is not over.
    pub(super) fn is_inside(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether the client owes something before it can be judged.
    pub(super) fn is_pending(&self) -> bool {
        self.frame.as_ref().map_or(self.begun, |frame| !frame.allowed)
    }

    /// How many bytes nobody has to see.
    pub(super) fn unseen(&self) -> u64 {
        let frame = self.frame.as_ref().filter(|frame| frame.allowed);
        frame.map_or(0, |frame| frame.walk.place().saturating_sub(frame.taken) as u64)
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        let Some(frame) = &mut self.frame else { return };
        frame.taken += usize::try_from(bytes).unwrap_or(usize::MAX);
        if frame.taken >= frame.length {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        self.frame = None;
        self.topics.clear();
        self.topics.shrink_to(KEPT_TOPICS);
    }

    /// Begins to read the request at the start of the input; whether that is there.
    fn begin(&mut self, input: &[u8], limits: &Limits) -> Result<bool, Violation> {
        let Some(length) = frame_length(input, SHORTEST)? else { return Ok(false) };
        if length - size_of::<i32>() > limits.frame {
            return Err(Violation::LongFrame);
        }
        let Some([.., k0, k1, v0, v1, n0, n1, n2, n3]) = input.first_chunk::<REQUEST_HEAD>() else { return Ok(false) };
        let (key, version) = (i16::from_be_bytes([*k0, *k1]), i16::from_be_bytes([*v0, *v1]));
        let layout = request(key).ok_or(Violation::UnknownRequest)?;
        let unknown = !layout.versions.contains(version);
        match (key, version) {
            (api::SASL_HANDSHAKE, 0) => return Err(Violation::UnframedTokens),
            (api::SASL_AUTHENTICATE, _) if !self.handshaken => return Err(Violation::NoHandshake),
            // It is answered, and that takes all of it.
            (api::API_VERSIONS, _) if unknown && length > limits.held => return Err(Violation::LongFrame),
            (api::API_VERSIONS, _) => {}
            _ if unknown => return Err(Violation::UnknownVersion),
            _ => {}
        }
        let walk = if unknown { Walk::header(length) } else { Walk::request(layout, version, length) };
        let number = i32::from_be_bytes([*n0, *n1, *n2, *n3]);
        self.client.clear();
        self.topics.clear();
        self.frame = Some(Frame {
            layout,
            version,
            number,
            unknown,
            walk,
            length,
            taken: 0,
            allowed: false,
            single: false,
            silent: false,
            replica: false,
            transaction: false,
            named: 0,
        });
        Ok(true)
    }

    /// Reads on in the frame of which these bytes come next.
    fn walk(&mut self, bytes: &[u8], most: usize) -> Result<Progress, Violation> {
        let Self { frame: Some(frame), client, topics, .. } = self else { return Ok(Progress::Complete) };
        let either = api::names_or_ids(frame.layout.key);
        let produce = frame.layout.key == api::PRODUCE;
        let (single, silent, named) = (&mut frame.single, &mut frame.silent, &mut frame.named);
        let (replica, transaction) = (&mut frame.replica, &mut frame.transaction);
        let from = frame.taken;
        let progress = frame.walk.walk(bytes, from, &mut |event| match event {
            Event::Value { meaning: Meaning::ClientId, value: Value::Text(name), .. } => client.extend_from_slice(name),
            Event::Value { meaning: Meaning::Acks, value: Value::Number(acks), .. } => *silent = acks == 0,
            Event::Value { meaning: Meaning::ReplicaId, value: Value::Number(id), .. } => *replica = id >= 0,
            Event::Value { meaning: Meaning::CoordinatorKeyType, value: Value::Number(of), .. } => {
                *transaction = of == TRANSACTIONS;
            }
            Event::List { meaning: Meaning::Topics, count, .. } => *single = produce && count == Some(1),
            Event::Value { meaning, value, span } if meaning.is_topic() => {
                let topic = match value {
                    Value::Uuid(id) if either && id == [0; 16] => None,
                    Value::Text(b"") if meaning == Meaning::TopicRegex => None,
                    Value::Text(_) if meaning != Meaning::TopicRegex => place(span.start, span.len()),
                    Value::Null => None,
                    _ => Some(Topic::UNNAMED),
                };
                *named += usize::from(topic.is_some());
                topics.extend(topic.filter(|_| *named <= most));
            }
            _ => {}
        })?;
        if frame.named > most { Err(Violation::ManyTopics) } else { Ok(progress) }
    }
}

fn place(at: usize, length: usize) -> Option<Topic> {
    Some(Topic { at: u32::try_from(at).ok()?, length: u16::try_from(length).ok()? })
}

impl Connection {
    pub(super) fn wants_requests(&self) -> bool {
        let inside = self.requests.frame.as_ref().is_some_and(|frame| frame.allowed);
        !self.requests.over && (inside || !self.outstanding.is_full())
    }

    pub(super) fn read_requests(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> Step {
        let mut step = Step::HOLD;
        // What is dropped ends the step: behind it nothing can be forwarded.
        while step.discard == 0 && step.forward < input.len() && out.close.is_none() && self.wants_requests() {
            match self.read_request(&input[step.forward..], checker, out) {
                Ok(Some(Step { forward, discard })) => {
                    step.forward += forward;
                    step.discard = discard;
                    if forward + discard == 0 {
                        break;
                    }
                }
                Ok(None) => break,
                Err(violation) => Self::offend(Side::Downstream, violation, checker, out),
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
        out: &mut Output,
    ) -> Result<Option<Step>, Violation> {
        if self.requests.frame.is_none() && !self.requests.begin(input, &self.limits)? {
            return Ok(None);
        }
        let progress = self.requests.walk(input, self.limits.topics)?;
        let Some(frame) = &self.requests.frame else { return Ok(None) };
        let (unknown, length) = (frame.unknown, frame.length);
        let known = progress == Progress::Complete || frame.single && !self.requests.topics.is_empty();
        let ready =
            if frame.allowed { !self.requests.topics.is_empty() } else { known || input.len() >= self.limits.held };
        if ready && !self.judge(input, checker, out) {
            return Ok(None);
        }
        if unknown && ready {
            // The version of ApiVersions is not known: its body is not either.
            self.requests.end_frame();
            return Ok(Some(Step { forward: 0, discard: length }));
        }
        Ok(self.forward(input.len()))
    }

    /// Passes on what was read of an allowed request.
    fn forward(&mut self, seen: usize) -> Option<Step> {
        let frame = self.requests.frame.as_mut().filter(|frame| frame.allowed)?;
        let forward = (frame.walk.place() - frame.taken).min(seen);
        frame.taken += forward;
        if frame.taken >= frame.length {
            self.requests.end_frame();
        }
        Some(Step { forward, discard: 0 })
    }

    /// Judges what is known of the request; whether it may go on.
    fn judge(&mut self, input: &[u8], checker: &mut dyn Checker, out: &mut Output) -> bool {
        let Requests { frame: Some(frame), client, topics, handshaken, over, .. } = &mut self.requests else {
            return false;
        };
        let Frame { layout, version, .. } = *frame;
        let variety = api::variety(layout.key, version, frame.replica, frame.transaction);
        let asked = Asked::new(layout, version, variety, client, topics, (input, frame.taken));
        let decision = checker.check(&asked as &dyn Request);
        topics.clear();
        let close = match decision {
            Decision::Allow => {
                *handshaken |= frame.layout.key == api::SASL_HANDSHAKE;
                if !frame.allowed {
                    frame.allowed = true;
                    // Nothing more is read while it is full.
                    if self.outstanding.push(frame.answerer()).is_err() {
                        out.close = Some(Close::Reset);
                        return false;
                    }
                    self.settle(checker, out);
                }
                return true;
            }
            // Rules about headers there are none, and no request says that it has parts.
            Decision::Reset | Decision::Disconnect | Decision::Rewrite | Decision::Partial { .. } => Close::Reset,
            Decision::Respond | Decision::Hide => Close::Graceful,
        };
        *over = true;
        if frame.allowed {
            // Part of it went on.
            self.outstanding.end_instead(close);
        } else {
            self.outstanding.push_last(Ours::End(close));
        }
        self.requests.frame = None;
        self.settle(checker, out);
        false
    }
}

impl Frame {
    /// Who answers it.
    fn answerer(&self) -> Answerer<Due, Ours> {
        let Self { number, version, .. } = *self;
        match self.layout.key {
            _ if self.unknown => Answerer::Ours(Ours::UnknownVersions { number }),
            _ if self.silent => Answerer::Ours(Ours::Silence),
            key => Answerer::Server(Due { number, key, version }),
        }
    }
}
