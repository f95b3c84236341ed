//! One connection pair with a driver that keeps its side of the contract and checks that the relay does too.

use std::collections::VecDeque;

use portcullis_codecs::{
    relay::{Checker, Close, Decision, ProtocolViolation, Relay, RelayOutput, ResponseSummary, Side},
    resolution::LearnedAddresses,
};
use portcullis_rules::{
    effects::HeaderChange,
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex},
    values::ValueSet,
};

/// Decides about a request.
pub(crate) type Judge = Box<dyn FnMut(&dyn Request) -> Decision + Send>;

/// Decides about a request and its headers.
pub(crate) type Rewriter = Box<dyn FnMut(&dyn Request) -> (Decision, Vec<HeaderChange>) + Send>;

/// Says which values of a request are refused; `None` if all of it is, whatever they are.
pub(crate) type Refusals = Box<dyn FnMut(&dyn Request) -> Option<ValueSet> + Send>;

/// Decides and changes nothing.
pub(crate) fn without_changes(mut judge: Judge) -> Rewriter {
    Box::new(move |request| (judge(request), Vec::new()))
}

/// Keeps what a relay tells.
pub(crate) struct Recorder {
    judge: Rewriter,
    changes: Vec<HeaderChange>,
    /// Says which values of a request that is decided in part are refused.
    pub(crate) refusals: Option<Refusals>,
    refused: ValueSet,
    /// Each request that was judged: its fields as they are shown, then the decision unless it is to allow.
    pub(crate) judged: Vec<String>,
    pub(crate) answered: Vec<ResponseSummary>,
    pub(crate) violations: Vec<(Side, &'static str)>,
    /// Whether names are learnt.
    pub(crate) learns: bool,
}

impl Recorder {
    pub(crate) fn new(judge: Rewriter) -> Self {
        Self {
            judge,
            changes: Vec::new(),
            refusals: None,
            refused: ValueSet::default(),
            judged: Vec::new(),
            answered: Vec::new(),
            violations: Vec::new(),
            learns: false,
        }
    }
}

impl Recorder {
    /// Somebody else judges from now on.
    pub(crate) fn judge_by(&mut self, judge: Judge) {
        self.judge = without_changes(judge);
    }
}

impl Checker for Recorder {
    fn check(&mut self, request: &dyn Request) -> Decision {
        let (decision, changes) = (self.judge)(request);
        self.changes = changes;
        self.refused = match (decision, &mut self.refusals) {
            (Decision::Partial { .. } | Decision::Respond, Some(refusals)) => refusals(request).unwrap_or_default(),
            _ => ValueSet::default(),
        };
        let fields = request.schema().fields.iter().zip(0..).filter(|(field, _)| field.form != FieldForm::Headers);
        let shown = fields.filter_map(|(_, index)| request.shown(FieldIndex(index)));
        let mut line: Vec<String> = shown.map(|value| String::from_utf8_lossy(&value).into_owned()).collect();
        if decision != Decision::Allow {
            line.push(format!("-> {decision:?}"));
        }
        self.judged.push(line.join(" "));
        decision
    }

    fn changes(&self) -> &[HeaderChange] {
        &self.changes
    }

    fn refused(&self) -> &ValueSet {
        &self.refused
    }

    fn preview(&mut self, request: &dyn Request) -> Option<ValueSet> {
        self.refusals.as_mut().map_or_else(|| Some(ValueSet::default()), |refusals| refusals(request))
    }

    fn answered(&mut self, answer: ResponseSummary) {
        self.answered.push(answer);
    }

    fn learns(&self) -> bool {
        self.learns
    }

    fn violated(&mut self, violation: &dyn ProtocolViolation) {
        self.violations.push((violation.side(), violation.kind()));
    }
}

/// Allows all but what lies below `/deny` or on the host `deny`, and what is ambiguous.
pub(crate) fn deny_with(decision: Decision) -> Judge {
    Box::new(move |request| {
        let path = request.field(FieldIndex(1), "");
        let host = request.field(FieldIndex(2), "");
        let denied = match (path, host) {
            (FieldValue::Ambiguous(_), _) => true,
            (FieldValue::Value(path), _) if path.starts_with(b"/deny") => true,
            (_, FieldValue::Value(host)) => host.starts_with(b"deny"),
            _ => false,
        };
        if denied { decision } else { Decision::Allow }
    })
}

/// A resolution as one line.
pub(crate) fn told(resolution: &LearnedAddresses) -> String {
    let addresses = resolution.addresses.iter().map(|learnt| format!(" {} for {}", learnt.address, learnt.ttl));
    format!("{}{}", resolution.name, addresses.collect::<String>())
}

/// One direction: what was sent and not yet taken, and what came out for the other side.
#[derive(Default)]
struct Way {
    /// Sent, not yet read.
    socket: VecDeque<Vec<u8>>,
    held: Vec<u8>,
    /// The sender ends its stream behind what is in the socket.
    ends: bool,
    end_told: bool,
}

/// A relay between a client and a server.
pub(crate) struct Pair {
    relay: Box<dyn Relay>,
    pub(crate) recorder: Recorder,
    downstream: Way,
    upstream: Way,
    /// What reached the client, and the server.
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_server: Vec<u8>,
    pub(crate) close: Option<Close>,
    /// Moves bytes unseen where the relay allows it.
    pub(crate) unseen: bool,
    /// What is being learnt.
    pub(crate) resolution: Option<LearnedAddresses>,
}

impl Pair {
    pub(crate) fn new(relay: Box<dyn Relay>, judge: Judge) -> Self {
        Self::rewriting(relay, without_changes(judge))
    }

    pub(crate) fn rewriting(relay: Box<dyn Relay>, judge: Rewriter) -> Self {
        Self {
            relay,
            recorder: Recorder::new(judge),
            downstream: Way::default(),
            upstream: Way::default(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            close: None,
            unseen: false,
            resolution: None,
        }
    }

    /// `from` sends a piece.
    pub(crate) fn send(&mut self, from: Side, piece: &[u8]) {
        self.way(from).socket.push_back(piece.to_vec());
        self.run();
    }

    /// `from` ends its stream.
    pub(crate) fn end(&mut self, from: Side) {
        self.way(from).ends = true;
        self.run();
    }

    /// From now on names are learnt.
    pub(crate) fn learn(&mut self) {
        self.recorder.learns = true;
    }

    /// What is being learnt is known, or will not be.
    pub(crate) fn commit(&mut self, known: bool) {
        assert!(self.resolution.take().is_some(), "nothing is being learnt");
        self.relay.committed(known);
        self.run();
    }

    /// The client takes too long for its head, if one has begun.
    pub(crate) fn time_out(&mut self) {
        if self.relay.head_pending() && self.close.is_none() {
            let mut out = RelayOutput::default();
            self.relay.head_timeout(&mut self.recorder, &mut out);
            self.say(out);
        }
    }

    /// The server takes too long for its word, if a body waits for it.
    pub(crate) fn body_time_out(&mut self) {
        if self.relay.body_waits() && self.close.is_none() {
            self.relay.body_timeout();
            self.run();
        }
    }

    fn way(&mut self, from: Side) -> &mut Way {
        match from {
            Side::Downstream => &mut self.downstream,
            Side::Upstream => &mut self.upstream,
        }
    }

    /// Until nothing moves any more.
    fn run(&mut self) {
        loop {
            let client_moved = self.turn(Side::Downstream);
            let server_moved = self.turn(Side::Upstream);
            if !client_moved && !server_moved {
                return;
            }
        }
    }

    /// Shows what is held, then what is read; whether anything moved.
    fn turn(&mut self, from: Side) -> bool {
        let mut moved = self.show(from);
        while self.close.is_none() && self.relay.wants(from) {
            let Some(piece) = self.way(from).socket.pop_front() else { break };
            moved = true;
            let piece = if self.way(from).held.is_empty() { self.pass(from, piece) } else { piece };
            self.way(from).held.extend_from_slice(&piece);
            self.show(from);
        }
        let wants = self.close.is_none() && self.relay.wants(from);
        let way = self.way(from);
        if wants && way.socket.is_empty() && way.ends && !way.end_told {
            way.end_told = true;
            let held = way.held.len();
            let mut out = RelayOutput::default();
            self.relay.receive_eof(from, held, &mut self.recorder, &mut out);
            self.say(out);
            moved = true;
        }
        moved
    }

    /// Moves what the relay need not see.
    fn pass(&mut self, from: Side, mut piece: Vec<u8>) -> Vec<u8> {
        let may = usize::try_from(self.relay.passthrough(from)).unwrap_or(usize::MAX).min(piece.len());
        if !self.unseen || may == 0 {
            return piece;
        }
        let rest = piece.split_off(may);
        self.relay.passed(from, may as u64);
        self.arrive(from.peer(), &piece);
        rest
    }

    fn show(&mut self, from: Side) -> bool {
        let mut moved = false;
        while self.close.is_none() && !self.way(from).held.is_empty() {
            let input = std::mem::take(&mut self.way(from).held);
            let mut out = RelayOutput::default();
            let step = self.relay.receive(from, &input, &mut self.recorder, &mut out);
            assert!(step.taken() <= input.len(), "took {} of {}", step.taken(), input.len());
            self.arrive(from.peer(), &input[..step.forward]);
            self.way(from).held = input[step.taken()..].to_vec();
            self.say(out);
            if let Some(resolution) = self.relay.resolution() {
                assert!(self.resolution.replace(resolution).is_none(), "two resolutions at once");
                assert!(!self.relay.wants(from), "more is wanted before the resolution is known");
            }
            if step.taken() == 0 {
                break;
            }
            moved = true;
        }
        moved
    }

    fn arrive(&mut self, at: Side, bytes: &[u8]) {
        match at {
            Side::Downstream => self.to_client.extend_from_slice(bytes),
            Side::Upstream => self.to_server.extend_from_slice(bytes),
        }
    }

    fn say(&mut self, out: RelayOutput) {
        self.to_client.extend_from_slice(&out.downstream);
        self.to_server.extend_from_slice(&out.upstream);
        self.close = self.close.or(out.close);
    }
}
