//! The numbers, and under which names they are scraped.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use portcullis_codecs::{Kinds, Protocol, Registry, Statuses};
use portcullis_rules::{verdict::Outcome, world::Endpoint};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry as MetricRegistry,
};

use crate::telemetry::histogram::Histogram;

/// What the labels `policy` and `rule` read once there are too many.
const OTHER: &str = "other";

/// From a quarter of a microsecond to what would be a fault.
const VERDICT_NANOS: &[u64] =
    &[250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 125_000, 250_000, 1_000_000, 10_000_000];
/// From a local peer to the default of the connect timeout.
const CONNECT_NANOS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    3_000_000_000,
    10_000_000_000,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct VerdictLabels {
    pub(crate) protocol: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) policy: Arc<str>,
    pub(crate) rule: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ConnectionLabels {
    pub(crate) direction: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OffenceLabels {
    pub(crate) protocol: &'static str,
    pub(crate) side: &'static str,
    pub(crate) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabels {
    pub(crate) limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EndpointLimitLabels {
    pub(crate) limit: &'static str,
    /// `namespace/name`.
    pub(crate) endpoint: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LossLabels {
    pub(crate) why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    pub(crate) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByteLabels {
    pub(crate) direction: &'static str,
    pub(crate) from: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct MismatchLabels {
    pub(crate) direction: &'static str,
    pub(crate) kind: &'static str,
}

/// The word of an answer's number, under the name that the protocol has for it.
pub(crate) type StatusLabels = [(&'static str, &'static str); 1];

/// How the answers of one protocol are counted.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) protocol: &'static str,
    pub(crate) statuses: &'static Statuses,
    family: Family<StatusLabels, Counter>,
}

impl Answers {
    /// The counter of a word.
    pub(crate) fn counter(&self, word: &'static str) -> Counter {
        self.family.get_or_create_owned(&[(self.statuses.name, word)])
    }
}

/// A kind of request, under the name that the protocol has for it, and the verdict.
pub(crate) type KindLabels = [(&'static str, &'static str); 2];

/// How the requests of one protocol are counted by their kinds.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    pub(crate) protocol: &'static str,
    pub(crate) kinds: &'static Kinds,
    family: Family<KindLabels, Counter>,
}

impl Requests {
    /// The counter of a kind, if it is one.
    pub(crate) fn counter(&self, kind: usize, outcome: Outcome) -> Option<Counter> {
        let word = self.kinds.words.get(kind)?;
        Some(self.family.get_or_create_owned(&[(self.kinds.name, *word), ("verdict", outcome.as_str())]))
    }
}

/// How an upstream connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connect {
    Connected,
    Refused,
    Unreachable,
    TimedOut,
    Failed,
}

impl Connect {
    const ALL: [Self; 5] = [Self::Connected, Self::Refused, Self::Unreachable, Self::TimedOut, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// From a few microseconds to the default of the commit timeout.
const HOLD_NANOS: &[u64] = &[
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
];

fn answers(protocol: &'static Protocol) -> Option<Answers> {
    let statuses = protocol.statuses.as_ref()?;
    Some(Answers { protocol: protocol.schema.protocol, statuses, family: Family::default() })
}

fn requests(protocol: &'static Protocol) -> Option<Requests> {
    let kinds = protocol.kinds.as_ref()?;
    Some(Requests { protocol: protocol.schema.protocol, kinds, family: Family::default() })
}

type NewHistogram = fn() -> Histogram;

/// All metrics of the data path.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) verdicts: Family<VerdictLabels, Counter>,
    pub(crate) verdict_seconds: Histogram,
    connects: Family<OutcomeLabels, Histogram, NewHistogram>,
    connect_seconds: [Histogram; 5],
    pub(crate) active: Gauge,
    pub(crate) connections: Family<ConnectionLabels, Counter>,
    pub(crate) offences: Family<OffenceLabels, Counter>,
    pub(crate) limits: Family<LimitLabels, Counter>,
    pub(crate) endpoint_limits: Family<EndpointLimitLabels, Counter>,
    pub(crate) bytes: Family<ByteLabels, Counter>,
    pub(crate) header_mismatches: Family<MismatchLabels, Counter>,
    pub(crate) leg_retries: Counter,
    pub(crate) answers: Vec<Answers>,
    pub(crate) requests: Vec<Requests>,
    pub(crate) datagrams_lost: Family<LossLabels, Counter>,
    pub(crate) unanswered: Counter,
    pub(crate) hold_seconds: Histogram,
    pub(crate) unlearnt: Counter,
    pub(crate) lost_records: Counter,
    /// Distinct pairs of policy and rule that have had a series.
    named: Mutex<HashSet<(Arc<str>, Arc<str>)>>,
    /// Endpoints that have had a series.
    limited: Mutex<HashSet<Arc<str>>>,
    most_named: usize,
    none: Arc<str>,
    other: Arc<str>,
}

impl Metrics {
    pub(crate) fn new(most_named: usize, protocols: Registry) -> Self {
        let connects: Family<_, _, NewHistogram> =
            Family::new_with_constructor((|| Histogram::new(CONNECT_NANOS)) as NewHistogram);
        let connect_seconds =
            Connect::ALL.map(|outcome| connects.get_or_create_owned(&OutcomeLabels { outcome: outcome.as_str() }));
        Self {
            verdicts: Family::default(),
            verdict_seconds: Histogram::new(VERDICT_NANOS),
            connects,
            connect_seconds,
            active: Gauge::default(),
            connections: Family::default(),
            offences: Family::default(),
            limits: Family::default(),
            endpoint_limits: Family::default(),
            bytes: Family::default(),
            header_mismatches: Family::default(),
            leg_retries: Counter::default(),
            answers: protocols.iter().filter_map(answers).collect(),
            requests: protocols.iter().filter_map(requests).collect(),
            datagrams_lost: Family::default(),
            unanswered: Counter::default(),
            hold_seconds: Histogram::new(HOLD_NANOS),
            unlearnt: Counter::default(),
            lost_records: Counter::default(),
            named: Mutex::default(),
            limited: Mutex::default(),
            most_named,
            none: Arc::from(""),
            other: Arc::from(OTHER),
        }
    }

    pub(crate) fn connect_seconds(&self, outcome: Connect) -> &Histogram {
        let index = Connect::ALL.iter().position(|known| *known == outcome).unwrap_or(0);
        &self.connect_seconds[index]
    }

    /// The labels of a policy and rule. Once there are too many different ones, new ones read `other`: policies come
    /// and go, series stay.
    pub(crate) fn name(&self, rule: Option<(&Arc<str>, &Arc<str>)>) -> (Arc<str>, Arc<str>) {
        let Some((policy, rule)) = rule else { return (Arc::clone(&self.none), Arc::clone(&self.none)) };
        let name = (Arc::clone(policy), Arc::clone(rule));
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.contains(&name) {
            return name;
        }
        if named.len() < self.most_named {
            named.insert(name.clone());
            return name;
        }
        (Arc::clone(&self.other), Arc::clone(&self.other))
    }

    /// The label of an endpoint, likewise.
    pub(crate) fn endpoint(&self, endpoint: Option<&Endpoint>) -> Arc<str> {
        let Some(endpoint) = endpoint else { return Arc::clone(&self.none) };
        let name = format!("{}/{}", endpoint.namespace, endpoint.name);
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = limited.get(name.as_str()) {
            return Arc::clone(known);
        }
        if limited.len() < self.most_named {
            let name: Arc<str> = name.into();
            limited.insert(Arc::clone(&name));
            return name;
        }
        Arc::clone(&self.other)
    }

    pub(crate) fn register(&self, registry: &mut MetricRegistry) {
        let registry = registry.sub_registry_with_prefix("portcullis");
        registry.register("verdicts", "Verdicts about flows and requests", self.verdicts.clone());
        registry.register("verdict_seconds", "Time to judge one request", self.verdict_seconds.clone());
        registry.register("upstream_connect_seconds", "Time until an upstream connect ended", self.connects.clone());
        registry.register("connections_active", "Client connections that are open", self.active.clone());
        registry.register("connections", "Client connections that ended, and how", self.connections.clone());
        registry.register("offences", "What could not be relayed safely", self.offences.clone());
        registry.register("limits_hit", "Limits that were hit", self.limits.clone());
        registry.register(
            "endpoint_limits_hit",
            "Limits of single endpoints that were hit, by the endpoint",
            self.endpoint_limits.clone(),
        );
        registry.register("bytes", "Bytes that were relayed, by the side they came from", self.bytes.clone());
        registry.register(
            "header_mismatches",
            "Headers that rules with an action missed or rejected",
            self.header_mismatches.clone(),
        );
        registry.register(
            "leg_port_retries",
            "Ports of upstream legs that were taken, so that another was tried",
            self.leg_retries.clone(),
        );
        for answers in &self.answers {
            registry.register(format!("{}_answers", answers.protocol), answers.statuses.help, answers.family.clone());
        }
        for requests in &self.requests {
            registry.register(format!("{}_requests", requests.protocol), requests.kinds.help, requests.family.clone());
        }
        registry.register(
            "datagrams_lost",
            "Datagrams that went neither to the server nor to the client, but for those that policy denied",
            self.datagrams_lost.clone(),
        );
        registry.register(
            "datagrams_unanswered",
            "Requests in datagrams that had no answer in time",
            self.unanswered.clone(),
        );
        registry.register(
            "answer_hold_seconds",
            "Time that answers were held until what they teach was in force",
            self.hold_seconds.clone(),
        );
        registry.register(
            "answers_unlearnt",
            "Answers that were replaced by a failure because what they teach could not be brought into force in time",
            self.unlearnt.clone(),
        );
        registry.register(
            "records_lost",
            "Access records that were not written because the writer was too slow or failed",
            self.lost_records.clone(),
        );
    }
}
