//! Judges the flow and the requests of one connection, and reports each verdict.

mod admission;
mod reply;
mod shown;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_codecs::{
    Protocol,
    relay::{Checker, Decision, ProtocolViolation, ResponseSummary, Side},
    resolution::LearnedAddresses,
};
use portcullis_rules::{
    effects::HeaderChange,
    params::FlowParams,
    request::Request,
    settings::{DenyScope, DenyWith},
    snapshot::{Flow, FlowKey, Plan, Snapshot},
    values::ValueSet,
    verdict::{Layer, Miss, Outcome, PolicyMode, Reason, RuleInfo},
    world::{Direction, EndpointId, Transport},
};

use self::reply::Installed;
pub(crate) use self::{admission::RefreshOutcome, reply::PendingReply};
use crate::{
    dial::UpstreamTarget,
    host::PeerNames,
    telemetry::{EventParty, TelemetrySink, VerdictEvent, unix_nanos},
};

/// A verdict that waits for its answer, for the access record.
#[derive(Debug)]
struct Pending {
    /// Which of the connection's requests, where answers come in any order.
    exchange: u32,
    event: Arc<VerdictEvent>,
    since: Instant,
}

/// What is known of one connection's flow, and by which rules its requests are judged.
#[derive(Debug)]
pub(crate) struct FlowAuthorizer {
    /// What the snapshot is asked. Its peer is the backend, where one was drawn.
    pub(crate) key: FlowKey,
    pub(crate) client: SocketAddr,
    /// Where the upstream connection connects to.
    pub(crate) destination: SocketAddr,
    protocol: &'static str,
    /// The protocol of its requests, if they are judged.
    codec: Option<&'static Protocol>,
    /// What is judged on it.
    plan: Plan,
    /// What it is relayed with.
    params: Arc<FlowParams>,
    /// Allowed requests without an answer. Empty unless records are written, or somebody watches replies.
    pending: VecDeque<Pending>,
    /// What the answer tells that is read just now.
    installed: Installed,
    /// The answer on its way to the client, until it goes on or somebody takes it to hold it.
    due: Option<Box<PendingReply>>,
    /// Bytes that were relayed, by the side they came from.
    moved: [u64; 2],
    /// Whether the upstream connection has to come by any device.
    pub(crate) any_device: bool,
    /// Why the relay resets both sides, if it does now.
    pub(crate) cause: Option<ResetCause>,
    /// Whether somebody learns names from answers.
    pub(crate) learns: bool,
    /// The names by which the peer is allowed.
    names: PeerNames,
}

/// Why a relay resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetCause {
    /// A request was denied. The reset may come later, behind the answers that are due.
    Denied,
    /// A side did what cannot be relayed: it ends the pair at once, or no more than a stream.
    Violated,
}

/// What judging needs of the worker.
pub(crate) struct AuthorizationContext<'a> {
    pub(crate) snapshot: Option<&'a Snapshot>,
    pub(crate) exit: &'a mut TelemetrySink,
    /// In the worker's milliseconds.
    pub(crate) now: u64,
}

impl FlowAuthorizer {
    /// Of a connection.
    pub(crate) fn new(endpoint: EndpointId, client: SocketAddr, destination: SocketAddr) -> Self {
        Self::of(Transport::Tcp, endpoint, client, destination)
    }

    /// Of a flow of datagrams.
    pub(crate) fn of_datagrams(endpoint: EndpointId, client: SocketAddr, destination: SocketAddr) -> Self {
        Self::of(Transport::Udp, endpoint, client, destination)
    }

    fn of(transport: Transport, endpoint: EndpointId, client: SocketAddr, destination: SocketAddr) -> Self {
        let key = FlowKey {
            endpoint,
            direction: Direction::Egress,
            transport,
            peer: destination.ip(),
            port: destination.port(),
        };
        Self {
            key,
            client,
            destination,
            protocol: raw(transport),
            codec: None,
            plan: Plan::default(),
            params: FlowParams::defaults(),
            pending: VecDeque::new(),
            installed: Installed::default(),
            due: None,
            moved: [0; 2],
            any_device: false,
            cause: None,
            learns: false,
            names: PeerNames::default(),
        }
    }

    /// What is judged on the flow.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the flow is relayed with.
    pub(crate) fn params(&self) -> &FlowParams {
        &self.params
    }

    /// Whether such a verdict is recorded.
    fn records(&self, outcome: Outcome, exit: &TelemetrySink) -> bool {
        exit.records(outcome, self.params.records)
    }

    /// Whether an [`VerdictEvent`] has to be made of such a verdict.
    fn wants_event(&self, outcome: Outcome, exit: &TelemetrySink) -> bool {
        exit.is_watched() || self.records(outcome, exit)
    }

    pub(crate) fn way(&self) -> UpstreamTarget {
        let any_device = self.any_device;
        UpstreamTarget { direction: self.key.direction, client: self.client, destination: self.destination, any_device }
    }

    pub(crate) fn moved(&mut self, from: Side, bytes: usize) {
        self.moved[from as usize] += bytes as u64;
    }

    /// The connection has ended: what has had no answer is recorded without.
    pub(crate) fn end(&mut self, exit: &TelemetrySink) {
        if let Some(due) = self.due.take() {
            self.gives_up(*due, exit);
        }
        while let Some(pending) = self.pending.pop_front() {
            let took = pending.since.elapsed();
            self.give_up(pending, took, exit);
        }
    }

    fn tell_flow(&mut self, flow: &Flow, context: &mut AuthorizationContext<'_>) {
        let outcome = flow.outcome;
        context.exit.count(raw(self.key.transport), self.key.direction, outcome, flow.reason, flow.rule.as_deref());
        if !self.wants_event(outcome, context.exit) {
            return;
        }
        let told = EventInput {
            outcome,
            layer: flow.layer,
            reason: flow.reason,
            rule: flow.rule.as_deref(),
            misses: Vec::new(),
            refused: 0,
            headers: Default::default(),
        };
        let event = Arc::new(self.event(told, None, context.snapshot));
        self.tell(event, outcome.passes().then_some(0), context.exit);
    }

    /// Shows an event, and keeps it for its record: one of a request that goes on, if only in part, is recorded when the answer
    /// comes.
    fn tell(&mut self, event: Arc<VerdictEvent>, goes_on: Option<u32>, exit: &TelemetrySink) {
        exit.show(&event);
        let replies = event.outcome.passes() && self.tells_replies() && exit.is_watched();
        if !replies && !self.records(event.outcome, exit) {
            return;
        }
        if let Some(exchange) = goes_on {
            self.pending.push_back(Pending { exchange, event, since: Instant::now() });
        } else {
            self.record(event, None, Duration::ZERO, exit);
        }
    }

    fn event(&self, told: EventInput<'_>, request: Option<&dyn Request>, snapshot: Option<&Snapshot>) -> VerdictEvent {
        let party = |address: SocketAddr| EventParty {
            address,
            endpoint: snapshot.and_then(|snapshot| snapshot.endpoint_at(address.ip())).cloned(),
        };
        VerdictEvent {
            time: unix_nanos(),
            outcome: told.outcome,
            layer: told.layer,
            direction: self.key.direction,
            protocol: if request.is_some() { self.protocol } else { raw(self.key.transport) },
            source: party(self.client),
            destination: party(self.destination),
            policy: told.rule.map(|rule| Arc::clone(&rule.policy)),
            rule: told.rule.map(|rule| Arc::clone(&rule.rule)),
            reason: told.reason,
            misses: told.misses,
            refused: told.refused,
            missing_headers: told.headers.0,
            rejected_headers: told.headers.1,
            fields: request.map(shown::fields).unwrap_or_default(),
            reply: None,
            version: request.map_or("", Request::version),
            generation: snapshot.map_or(0, Snapshot::generation),
        }
    }
}

/// Name of the protocol where no request is judged.
fn raw(transport: Transport) -> &'static str {
    if transport == Transport::Udp { "udp" } else { "tcp" }
}

/// A verdict in the making of its event.
struct EventInput<'a> {
    outcome: Outcome,
    layer: Layer,
    reason: Reason,
    rule: Option<&'a RuleInfo>,
    misses: Vec<Miss>,
    refused: usize,
    /// Headers that were missing, with the wanted values, and headers that were rejected.
    headers: (Vec<(String, String)>, Vec<String>),
}

/// One connection before its judge, for the time of one call of the relay.
pub(crate) struct RequestChecker<'a> {
    judge: &'a mut FlowAuthorizer,
    context: AuthorizationContext<'a>,
    /// What becomes of the headers of the request that was judged last.
    changes: Vec<HeaderChange>,
    /// The values of that request that must not go on, if it goes on without them.
    refused: ValueSet,
}

impl<'a> RequestChecker<'a> {
    pub(crate) fn new(judge: &'a mut FlowAuthorizer, context: AuthorizationContext<'a>) -> Self {
        judge.cause = judge.cause.filter(|cause| *cause != ResetCause::Violated);
        Self { judge, context, changes: Vec::new(), refused: ValueSet::default() }
    }
}

impl Checker for RequestChecker<'_> {
    fn learns(&self) -> bool {
        self.judge.learns
    }

    fn now(&self) -> u64 {
        self.context.now
    }

    fn check(&mut self, request: &dyn Request) -> Decision {
        let Self { judge, context, changes, refused: held_back } = self;
        changes.clear();
        *held_back = ValueSet::default();
        // A relay without rules asks nothing; if it does all the same, nothing is allowed.
        let Some(rules) = judge.plan.requests.clone() else { return Decision::Reset };
        let began = Instant::now();
        let (verdict, effects) = rules.evaluate(request);
        context.exit.judged(began.elapsed());
        let (mut outcome, mut reason, rule, mut misses) =
            (verdict.outcome, verdict.reason, verdict.rule, verdict.misses);
        let refused = verdict.refused.len();
        if let Some(snapshot) =
            context.snapshot.filter(|_| outcome.passes() && judge.key.direction == Direction::Egress)
            && let Some(wrong) = judge.names.disagree(request, snapshot, &judge.key)
        {
            (outcome, reason, misses) = (Outcome::Deny, Reason::HostMismatch, vec![wrong]);
        }
        let enforced = judge.params.mode == PolicyMode::Enforce;
        outcome = outcome.under(judge.params.mode);
        let partial = enforced && verdict.in_part && verdict.deny_with != DenyWith::Reset;
        context.exit.count(judge.protocol, judge.key.direction, outcome, reason, rule);
        context.exit.count_kind(judge.protocol, request.kind(), outcome);
        context.exit.mismatched(judge.key.direction, effects.missing.len(), effects.rejected.len());
        if judge.wants_event(outcome, context.exit) {
            let rejected = effects.rejected.into_iter().map(|(name, _)| name).collect();
            let headers = (effects.missing, rejected);
            let told = EventInput { outcome, layer: Layer::L7, reason, rule, misses, refused, headers };
            let event = Arc::new(judge.event(told, Some(request), context.snapshot));
            let goes_on = outcome.passes() || partial;
            judge.tell(event, goes_on.then(|| request.exchange()), context.exit);
        }
        if !outcome.passes() {
            judge.cause = Some(ResetCause::Denied);
        }
        match (verdict.deny_with, verdict.deny_scope) {
            // What is only tried out changes nothing.
            _ if !enforced => Decision::Allow,
            _ if outcome.passes() && verdict.filtered => Decision::Filter,
            _ if outcome.passes() && effects.changed.is_empty() => Decision::Allow,
            _ if outcome.passes() => {
                *changes = effects.changed;
                Decision::Rewrite
            }
            _ if partial => {
                *held_back = verdict.refused;
                Decision::Partial { hide: verdict.deny_with == DenyWith::Hide }
            }
            (DenyWith::Reset, DenyScope::Stream) => Decision::Reset,
            (DenyWith::Reset, DenyScope::Connection) => Decision::Disconnect,
            (deny_with, _) => {
                if verdict.for_values {
                    *held_back = verdict.refused;
                }
                if deny_with == DenyWith::Hide { Decision::Hide } else { Decision::Respond }
            }
        }
    }

    fn changes(&self) -> &[HeaderChange] {
        &self.changes
    }

    fn refused(&self) -> &ValueSet {
        &self.refused
    }

    fn preview(&mut self, request: &dyn Request) -> Option<ValueSet> {
        let verdict = self.judge.plan.requests.as_ref()?.check(request);
        match verdict.outcome.under(self.judge.params.mode) {
            Outcome::Allow => Some(verdict.refused),
            Outcome::Audit => Some(ValueSet::default()),
            Outcome::Deny if verdict.refused.is_empty() => None,
            Outcome::Deny => Some(verdict.refused),
        }
    }

    fn answered(&mut self, answer: ResponseSummary) {
        if let Some(status) = answer.status {
            self.context.exit.answered(self.judge.protocol, status);
        }
        let pending = &mut self.judge.pending;
        let place = pending.iter().position(|pending| pending.exchange == answer.exchange);
        if let Some(pending) = place.and_then(|place| pending.remove(place)) {
            self.judge.came(pending, answer, self.context.exit);
        }
    }

    fn installed(&mut self, resolution: &LearnedAddresses) {
        if !self.judge.pending.is_empty() {
            self.judge.installed = resolution.into();
        }
    }

    fn violated(&mut self, violation: &dyn ProtocolViolation) {
        self.judge.cause = Some(ResetCause::Violated);
        self.context.exit.violation(self.judge.protocol, violation);
        tracing::debug!(
            protocol = self.judge.protocol,
            client = %self.judge.client,
            destination = %self.judge.destination,
            kind = violation.kind(),
            "{violation}",
        );
    }
}
