//! The contract between a protocol and the one driver that moves its bytes.
//!
//! The driver shows a relay the pending bytes of one side as one contiguous slice: first what was held back, then what
//! was just read. The relay answers with a [`RelayStep`]: how many leading bytes to forward unchanged, and how many after
//! them to drop. The driver holds the rest and shows it again when more has arrived. The relay writes bytes of its own
//! (a refusal) to [`RelayOutput`].

use portcullis_rules::{
    effects::HeaderChange,
    request::Request,
    values::{NO_VALUES, ValueSet},
};

use crate::{fact::Facts, resolution::LearnedAddresses};

/// A side of a connection pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Downstream,
    /// The server.
    Upstream,
}

impl Side {
    /// The side opposite.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Downstream => Self::Upstream,
            Self::Upstream => Self::Downstream,
        }
    }
}

/// What to do with the leading bytes of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStep {
    /// Leading bytes to forward unchanged to the other side.
    pub forward: usize,
    /// Bytes after them to drop.
    pub discard: usize,
}

impl RelayStep {
    /// Nothing can be taken until more bytes come (or until [`Relay::wants`] says so again).
    pub const HOLD: Self = Self { forward: 0, discard: 0 };

    /// Bytes taken from the input.
    #[must_use]
    pub fn taken(self) -> usize {
        self.forward + self.discard
    }
}

/// How a connection pair ends at the relay's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// What is in [`RelayOutput::downstream`] reaches the client, then both sides are closed.
    Graceful,
    /// Both sides are reset at once.
    Reset,
}

/// What a relay says itself. The driver sends it behind the bytes that the same step forwards to that side.
#[derive(Debug, Default)]
pub struct RelayOutput {
    /// Bytes for the client.
    pub downstream: Vec<u8>,
    /// Bytes for the server.
    pub upstream: Vec<u8>,
    /// How many of these bytes replace input of the side that was shown (a rewritten head). They count as forwarded,
    /// not as generated.
    pub relayed: usize,
    /// End the pair, after the step's bytes.
    pub close: Option<Close>,
}

/// The answer to a request, as the relay has to carry it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Forward it as it came.
    Allow,
    /// Forward it with some of its headers changed: [`Checker::changes`] tells which. Only rules about headers can say
    /// so; a protocol without any treats it as [`Decision::Reset`].
    Rewrite,
    /// Forward it as it came, and keep of its answer what [`Checker::preview`] refuses from the client. Only a request that
    /// [lists](Request::lists) is decided so. A protocol without such requests treats it as [`Decision::Reset`].
    Filter,
    /// Forward it without some of its values, whose numbers [`Checker::refused`] tells, and answer for these in the protocol's
    /// own words, in the same place in the order: nobody else does. Only a request [with
    /// parts](Request::has_parts) is decided so, and its answer is told as that of an allowed one, so its
    /// [number](Request::exchange) has to be its own. A protocol without such requests treats it as [`Decision::Reset`].
    Partial {
        /// The refused values look as if there were no such things.
        hide: bool,
    },
    /// Reset the stream; where a connection has none, as [`Decision::Disconnect`].
    Reset,
    /// Reset the connection, after the answers that are still due if they come in order.
    Disconnect,
    /// Answer in the protocol's own words, in order, and carry on.
    Respond,
    /// The same, as if there were no such thing. A protocol that has no words for that answers as for
    /// [`Decision::Respond`].
    Hide,
}

/// What is known of the answer to an allowed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseSummary {
    /// Which request: its [`Request::exchange`]. Of several with the same number it is the oldest without an answer.
    pub exchange: u32,
    /// The protocol's number; `None` if the request was given up and no answer will come.
    pub status: Option<i32>,
    /// What else it says, such as the status of the call that it carries.
    pub facts: Facts,
}

impl ResponseSummary {
    /// The answer to the oldest request that has none, by its number.
    #[must_use]
    pub fn next(status: impl Into<i32>) -> Self {
        Self { exchange: 0, status: Some(status.into()), facts: Facts::NONE }
    }
}

/// Judges requests, and receives answers and violations.
pub trait Checker {
    /// Judges one request. It borrows from the read buffer and is synchronous: nothing waits in a table.
    fn check(&mut self, request: &dyn Request) -> Decision;
    /// How the request that was just judged with [`Decision::Rewrite`] has to be changed before it is forwarded; empty
    /// behind every other decision. Names and values can be written as they are.
    fn changes(&self) -> &[HeaderChange] {
        &[]
    }
    /// The values of the request that was just judged that must not go on: behind [`Decision::Partial`] at least one, and not
    /// all. Behind [`Decision::Respond`] and [`Decision::Hide`] those for which all of it is denied; none if it is denied whatever
    /// they are. Empty behind every other decision.
    fn refused(&self) -> &ValueSet {
        &NO_VALUES
    }
    /// What the rules in force say of a request that nobody sent, such as one for each value of an answer: the values that they
    /// refuse, `None` if all of it. Nothing is counted, shown or recorded.
    fn preview(&mut self, request: &dyn Request) -> Option<ValueSet> {
        let _ = request;
        None
    }
    /// The final answer to an allowed request has begun; an answer that carries the status of a call has ended. Called
    /// once for each request, unless the connection ends before.
    fn answered(&mut self, answer: ResponseSummary);
    /// Reports the addresses in the answer that the next call of [`Checker::answered`] is about. For logging only; the
    /// default does nothing.
    fn installed(&mut self, resolution: &LearnedAddresses) {
        let _ = resolution;
    }
    /// The driver's time in milliseconds: that of [`crate::protocol::Context::now`]. Codecs read no clock themselves.
    fn now(&self) -> u64 {
        0
    }
    /// Whether the addresses of names are learnt from answers: then an answer that gives some is held until they are
    /// known everywhere ([`Relay::resolution`], [`crate::datagram::AnswerStep::Hold`]), and one that cannot be read is not
    /// relayed.
    fn learns(&self) -> bool {
        false
    }
    /// One side sent what cannot be relayed safely. The relay ends the pair through [`RelayOutput::close`], or the stream if
    /// the protocol has streams.
    fn violated(&mut self, violation: &dyn ProtocolViolation);
}

/// Something that cannot be relayed safely: one variant a violation.
pub trait ProtocolViolation: std::error::Error {
    /// The word for metrics: one variant, one word.
    fn kind(&self) -> &'static str;
    /// Whose fault it is.
    fn side(&self) -> Side;
    /// The limit that was hit, if it is one.
    fn limit(&self) -> Option<&'static str> {
        None
    }
}

/// The protocol state of one connection pair.
pub trait Relay: Send {
    /// Shows the bytes of `from` that are not taken yet; never empty. Called again after every step that took
    /// something while bytes remain, and after every step of the other side while bytes are held. Not called again
    /// after `out.close` is set.
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep;

    /// `from` has ended its stream; `held` bytes of it were never taken, although [`Relay::wants`] more of that side.
    /// Unless this closes the pair, the driver passes the FIN on and keeps the other direction open. While the relay
    /// does not want the side, the end waits until it does.
    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput);

    /// Whether the driver may read from `side`. False while too much is outstanding; asked again after each step.
    fn wants(&self, side: Side) -> bool;

    /// Whether a message head of the client has begun and is not complete: then the header-read timeout runs.
    fn head_pending(&self) -> bool;

    /// The client took too long to send a head: says so in `out`.
    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput);

    /// Whether the body of a request waits for the server's word (`Expect: 100-continue`, RFC 9110 §10.1.1): then the
    /// timeout for that runs.
    fn body_waits(&self) -> bool {
        false
    }

    /// The server took too long for its word: the body goes on without. The driver shows the client's side again.
    fn body_timeout(&mut self) {}

    /// Whether the client speaks first, so that the server need not be called before a request is allowed.
    fn client_first(&self) -> bool {
        false
    }

    /// How many coming bytes of `from` may move without being shown to [`Relay::receive`]. `u64::MAX`: all.
    fn passthrough(&self, from: Side) -> u64 {
        let _ = from;
        0
    }

    /// Told of bytes that moved without being shown.
    fn passed(&mut self, from: Side, bytes: u64) {
        let _ = (from, bytes);
    }

    /// How many bytes of `from` have to be held until the relay can go on, where those are more than of any head: a request that
    /// goes on or not as a whole. Asked after each step that leaves some. What is held beyond the driver's read buffer is taken
    /// from a budget that all connections share, as it comes. 0: heads only, whose limits bound them.
    fn to_hold(&self, from: Side) -> usize {
        let _ = from;
        0
    }

    /// The budget has no room for what the relay has to hold of `from` ([`Relay::to_hold`]): it says so in `out` in its own
    /// words and drops the rest of the request, or ends the pair. The driver shows the side again, and resets the pair if the
    /// relay takes nothing then although there still is no room.
    fn cannot_hold(&mut self, from: Side, checker: &mut dyn Checker, out: &mut RelayOutput) {
        let _ = (from, checker, out);
    }

    /// The addresses in the next answer, if it is held until they are installed. Called after each step of the upstream
    /// side, and returned once. Until [`Relay::committed`] is called, the relay does not want the upstream side. Only a
    /// relay whose checker learns ([`Checker::learns`]) returns any.
    fn resolution(&mut self) -> Option<LearnedAddresses> {
        None
    }

    /// The addresses of the last resolution are installed, or (`known` is false) will not be in time: then the client gets
    /// a server failure instead. The driver shows the upstream side again afterwards.
    fn committed(&mut self, known: bool) {
        let _ = known;
    }
}
