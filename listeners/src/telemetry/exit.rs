//! The single exit for every verdict of a worker: counts it, shows it, records it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use portcullis_codecs::{
    Protocol,
    protocol::Statuses,
    relay::{ProtocolViolation, Side},
};
use portcullis_rules::{
    verdict::{Outcome, OutcomeSet, Reason, RuleInfo},
    world::{Direction, Endpoint},
};
use prometheus_client::metrics::counter::Counter;

use crate::telemetry::{
    Telemetry,
    event::VerdictEvent,
    metrics::{
        ByteLabels, Connect, ConnectionLabels, EndpointLimitLabels, LimitLabels, LossLabels, MismatchLabels,
        RequestCounters, ResponseCounters, VerdictLabels, ViolationLabels,
    },
    records::AccessRecord,
};

/// Counters that a worker keeps at hand; then it starts anew.
const MOST_CACHED: usize = 4096;

/// What tells one series from another. Names go by the address of their text, which the cache keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SeriesKey {
    protocol: &'static str,
    direction: Direction,
    outcome: Outcome,
    reason: Reason,
    policy: usize,
    rule: usize,
}

/// Counters of kinds of requests, by their numbers and by verdict. Those that never came have none.
type KindCounters = Vec<[Option<Counter>; Outcome::ALL.len()]>;

#[derive(Debug)]
struct Cached {
    counter: Counter,
    _names: Option<(Arc<str>, Arc<str>)>,
}

/// A worker's handle to the telemetry.
#[derive(Debug)]
pub(crate) struct TelemetrySink {
    telemetry: Arc<Telemetry>,
    counters: HashMap<SeriesKey, Cached, foldhash::fast::RandomState>,
    /// Bytes since they were added to the metrics, by direction and side.
    bytes: [[u64; 2]; 2],
    byte_counters: [[Counter; 2]; 2],
    /// Headers that were missing and rejected, by direction.
    mismatch_counters: [[Counter; 2]; 2],
    /// Answers of each protocol that has them counted, and the counters of its common numbers.
    answers: Vec<(ResponseCounters, Vec<Counter>)>,
    /// Kinds of requests of each protocol that has them counted, and the counters of those that came, by verdict.
    requests: Vec<(RequestCounters, KindCounters)>,
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Downstream => "downstream",
        Side::Upstream => "upstream",
    }
}

impl TelemetrySink {
    pub(crate) fn new(telemetry: &Arc<Telemetry>) -> Self {
        let counter = |direction: Direction, side| {
            let labels = ByteLabels { direction: direction.as_str(), from: word(side) };
            telemetry.metrics.bytes.get_or_create_owned(&labels)
        };
        let byte_counters = [Direction::Ingress, Direction::Egress]
            .map(|direction| [Side::Downstream, Side::Upstream].map(|side| counter(direction, side)));
        let mismatch_counters = [Direction::Ingress, Direction::Egress].map(|direction| {
            ["missing", "rejected"].map(|kind| {
                let labels = MismatchLabels { direction: direction.as_str(), kind };
                telemetry.metrics.header_mismatches.get_or_create_owned(&labels)
            })
        });
        let common = |answers: &ResponseCounters| answers.statuses.common().map(|word| answers.counter(word)).collect();
        let answers = telemetry.metrics.answers.iter().map(|answers| (answers.clone(), common(answers))).collect();
        let none = |requests: &RequestCounters| requests.kinds.words.iter().map(|_| Default::default()).collect();
        let requests = telemetry.metrics.requests.iter().map(|requests| (requests.clone(), none(requests))).collect();
        Self {
            telemetry: Arc::clone(telemetry),
            counters: HashMap::default(),
            bytes: [[0; 2]; 2],
            byte_counters,
            mismatch_counters,
            answers,
            requests,
        }
    }

    /// Counts a verdict. Takes no lock for one whose like was counted before.
    pub(crate) fn count(
        &mut self,
        protocol: &'static str,
        direction: Direction,
        outcome: Outcome,
        reason: Reason,
        rule: Option<&RuleInfo>,
    ) {
        self.telemetry.tally(outcome);
        let address = |text: Option<&Arc<str>>| text.map_or(0, |text| text.as_ptr().addr());
        let key = SeriesKey {
            protocol,
            direction,
            outcome,
            reason,
            policy: address(rule.map(|rule| &rule.policy)),
            rule: address(rule.map(|rule| &rule.rule)),
        };
        if let Some(cached) = self.counters.get(&key) {
            cached.counter.inc();
            return;
        }
        if self.counters.len() >= MOST_CACHED {
            self.counters.clear();
        }
        let counter = self.telemetry.verdict_counter(protocol, direction, outcome, reason, rule);
        counter.inc();
        let names = rule.map(|rule| (Arc::clone(&rule.policy), Arc::clone(&rule.rule)));
        self.counters.insert(key, Cached { counter, _names: names });
    }

    /// Counts a request by its kind, if its protocol has that counted. Takes no lock for one whose like was counted before.
    pub(crate) fn count_kind(&mut self, protocol: &str, kind: Option<usize>, outcome: Outcome) {
        let Some(kind) = kind else { return };
        let Some((requests, counters)) = self.requests.iter_mut().find(|(requests, _)| requests.protocol == protocol)
        else {
            return;
        };
        let Some(cached) = counters.get_mut(kind).and_then(|verdicts| verdicts.get_mut(outcome as usize)) else {
            return;
        };
        if cached.is_none() {
            *cached = requests.counter(kind, outcome);
        }
        if let Some(counter) = cached {
            counter.inc();
        }
    }

    /// Counts headers that rules missed and rejected.
    pub(crate) fn mismatched(&self, direction: Direction, missing: usize, rejected: usize) {
        let counters = &self.mismatch_counters[direction as usize];
        for (counter, number) in counters.iter().zip([missing, rejected]).filter(|(_, number)| *number > 0) {
            counter.inc_by(number as u64);
        }
    }

    /// Whether anybody watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.telemetry.watchers.any()
    }

    /// Whether such a verdict is recorded, of a flow of which these are wanted.
    pub(crate) fn records(&self, outcome: Outcome, wanted: OutcomeSet) -> bool {
        self.telemetry.records(outcome, wanted)
    }

    pub(crate) fn show(&self, event: &Arc<VerdictEvent>) {
        self.telemetry.watchers.show(event);
    }

    pub(crate) fn record(&self, record: AccessRecord) {
        self.telemetry.record(record);
    }

    pub(crate) fn judged(&self, took: Duration) {
        self.telemetry.metrics.verdict_seconds.observe(took);
    }

    pub(crate) fn connect(&self, outcome: Connect, took: Duration) {
        self.telemetry.metrics.connect_seconds(outcome).observe(took);
    }

    pub(crate) fn opened(&self) {
        self.telemetry.metrics.active.inc();
    }

    pub(crate) fn ended(&self, direction: Direction, outcome: &'static str) {
        self.telemetry.metrics.active.dec();
        let labels = ConnectionLabels { direction: direction.as_str(), outcome };
        self.telemetry.metrics.connections.get_or_create(&labels).inc();
    }

    pub(crate) fn violation(&self, protocol: &'static str, violation: &dyn ProtocolViolation) {
        let labels = ViolationLabels { protocol, side: word(violation.side()), kind: violation.kind() };
        self.telemetry.metrics.violations.get_or_create(&labels).inc();
        if let Some(limit) = violation.limit() {
            self.limit(limit);
        }
    }

    pub(crate) fn limit(&self, limit: &'static str) {
        self.telemetry.metrics.limits.get_or_create(&LimitLabels { limit }).inc();
    }

    /// An endpoint has reached a limit that is its own.
    pub(crate) fn endpoint_limit(&self, limit: &'static str, endpoint: Option<&Endpoint>) {
        self.limit(limit);
        self.telemetry.endpoint_limit(limit, endpoint);
    }

    /// A datagram went nowhere.
    pub(crate) fn datagram_lost(&self, why: &'static str) {
        self.telemetry.metrics.datagrams_lost.get_or_create(&LossLabels { why }).inc();
    }

    /// Requests in datagrams that had no answer in time.
    pub(crate) fn unanswered(&self, count: usize) {
        self.telemetry.metrics.unanswered.inc_by(count as u64);
    }

    /// A protocol by its name.
    pub(crate) fn protocol(&self, name: &str) -> Option<&'static Protocol> {
        self.telemetry.protocols.find(name)
    }

    /// A server has answered. Takes no lock for the protocol's common numbers.
    pub(crate) fn answered(&self, protocol: &str, status: i32) {
        let Some((answers, common)) = self.answers.iter().find(|(answers, _)| answers.protocol == protocol) else {
            return;
        };
        match usize::try_from(status).ok().and_then(|number| common.get(number)) {
            Some(counter) => counter.inc(),
            None => answers.counter((answers.statuses.word)(status).unwrap_or(Statuses::OTHER)).inc(),
        };
    }

    /// An answer was held until what it tells was in force (`known`), or for too long.
    pub(crate) fn held(&self, took: Duration, known: bool) {
        self.telemetry.metrics.hold_seconds.observe(took);
        if !known {
            self.telemetry.metrics.unlearnt.inc();
        }
    }

    pub(crate) fn upstream_retry(&self) {
        self.telemetry.metrics.upstream_retries.inc();
    }

    pub(crate) fn moved(&mut self, direction: Direction, from: Side, bytes: usize) {
        self.bytes[direction as usize][from as usize] += bytes as u64;
    }

    /// Adds what was moved since the last call to the metrics.
    pub(crate) fn flush(&mut self) {
        for (counters, bytes) in self.byte_counters.iter().zip(&mut self.bytes) {
            for (counter, bytes) in counters.iter().zip(bytes).filter(|(_, bytes)| **bytes > 0) {
                counter.inc_by(std::mem::take(bytes));
            }
        }
    }
}

impl Telemetry {
    /// Counts that an endpoint has reached a limit which is its own; `None` is one that is not known any more.
    pub fn endpoint_limit(&self, limit: &'static str, endpoint: Option<&Endpoint>) {
        let labels = EndpointLimitLabels { limit, endpoint: self.metrics.endpoint(endpoint) };
        self.metrics.endpoint_limits.get_or_create(&labels).inc();
    }

    pub(crate) fn verdict_counter(
        &self,
        protocol: &'static str,
        direction: Direction,
        outcome: Outcome,
        reason: Reason,
        rule: Option<&RuleInfo>,
    ) -> Counter {
        let (policy, rule) = self.metrics.name(rule.map(|rule| (&rule.policy, &rule.rule)));
        self.metrics.verdicts.get_or_create_owned(&VerdictLabels {
            protocol,
            direction: direction.as_str(),
            verdict: outcome.as_str(),
            reason: reason.as_str(),
            policy,
            rule,
        })
    }
}
