//! The metrics of the data plane, and their names.

use std::{
    collections::HashSet,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use portcullis_codecs::{Kinds, Protocol, Registry, Statuses};
use portcullis_rules::{verdict::Outcome, world::Endpoint};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry as MetricRegistry,
};

use crate::{
    metric_labels, metrics,
    telemetry::{MetricDeclaration, histogram::Histogram},
};

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

metric_labels! {
    pub(crate) struct VerdictLabels {
        protocol: &'static str,
        direction: &'static str,
        verdict: &'static str,
        reason: &'static str,
        policy: Arc<str>,
        rule: Arc<str>,
    }

    pub(crate) struct ConnectionLabels {
        direction: &'static str,
        outcome: &'static str,
    }

    pub(crate) struct ViolationLabels {
        protocol: &'static str,
        side: &'static str,
        kind: &'static str,
    }

    pub(crate) struct LimitLabels {
        limit: &'static str,
    }

    pub(crate) struct EndpointLimitLabels {
        limit: &'static str,
        /// `namespace/name`.
        endpoint: Arc<str>,
    }

    pub(crate) struct LossLabels {
        why: &'static str,
    }

    pub(crate) struct OutcomeLabels {
        outcome: &'static str,
    }

    pub(crate) struct ByteLabels {
        direction: &'static str,
        from: &'static str,
    }

    pub(crate) struct MismatchLabels {
        direction: &'static str,
        kind: &'static str,
    }
}

/// The word of an answer's number, under the name that the protocol has for it.
pub(crate) type StatusLabels = [(&'static str, &'static str); 1];

/// How the answers of one protocol are counted.
#[derive(Clone, Debug)]
pub(crate) struct ResponseCounters {
    pub(crate) protocol: &'static str,
    pub(crate) statuses: &'static Statuses,
    family: Family<StatusLabels, Counter>,
}

impl ResponseCounters {
    /// The counter of a word.
    pub(crate) fn counter(&self, word: &'static str) -> Counter {
        self.family.get_or_create_owned(&[(self.statuses.name, word)])
    }
}

/// A kind of request, under the name that the protocol has for it, and the verdict.
pub(crate) type KindLabels = [(&'static str, &'static str); 2];

/// How the requests of one protocol are counted by their kinds.
#[derive(Clone, Debug)]
pub(crate) struct RequestCounters {
    pub(crate) protocol: &'static str,
    pub(crate) kinds: &'static Kinds,
    family: Family<KindLabels, Counter>,
}

impl RequestCounters {
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

fn answers(protocol: &'static Protocol) -> Option<ResponseCounters> {
    let statuses = protocol.statuses.as_ref()?;
    Some(ResponseCounters { protocol: protocol.schema.protocol, statuses, family: Family::default() })
}

fn requests(protocol: &'static Protocol) -> Option<RequestCounters> {
    let kinds = protocol.kinds.as_ref()?;
    Some(RequestCounters { protocol: protocol.schema.protocol, kinds, family: Family::default() })
}

type NewHistogram = fn() -> Histogram;

metrics! {
    /// What is counted whatever the protocols are.
    pub(crate) struct Series {
        pub(crate) verdicts: Family<VerdictLabels, Counter> = "verdicts", "Verdicts about flows and requests";
        pub(crate) verdict_seconds: Histogram =
            "verdict_seconds", "Time to judge one request", Histogram::new(VERDICT_NANOS);
        connects: Family<OutcomeLabels, Histogram, NewHistogram> =
            "upstream_connect_seconds", "Time until an upstream connect ended",
            Family::new_with_constructor((|| Histogram::new(CONNECT_NANOS)) as NewHistogram);
        pub(crate) active: Gauge = "connections_active", "Client connections that are open";
        pub(crate) connections: Family<ConnectionLabels, Counter> =
            "connections", "Client connections that ended, and how";
        pub(crate) violations: Family<ViolationLabels, Counter> =
            "violations" | "offences", "What could not be relayed safely";
        pub(crate) limits: Family<LimitLabels, Counter> = "limits_hit", "Limits that were hit";
        pub(crate) endpoint_limits: Family<EndpointLimitLabels, Counter> =
            "endpoint_limits_hit", "Limits of single endpoints that were hit, by the endpoint";
        pub(crate) bytes: Family<ByteLabels, Counter> =
            "bytes", "Bytes that were relayed, by the side they came from";
        pub(crate) header_mismatches: Family<MismatchLabels, Counter> =
            "header_mismatches", "Headers that rules with an action missed or rejected";
        pub(crate) upstream_retries: Counter =
            "upstream_port_retries" | "leg_port_retries",
            "Source ports of upstream connections that were taken, so that another was tried";
        pub(crate) datagrams_lost: Family<LossLabels, Counter> =
            "datagrams_lost",
            "Datagrams that went neither to the server nor to the client, but for those that policy denied";
        pub(crate) unanswered: Counter =
            "datagrams_unanswered", "Requests in datagrams that had no answer in time";
        pub(crate) hold_seconds: Histogram =
            "answer_hold_seconds", "Time that answers were held until their addresses were installed",
            Histogram::new(HOLD_NANOS);
        pub(crate) unlearnt: Counter =
            "answers_unlearnt",
            "Answers that were replaced by a failure because their addresses could not be installed in time";
        pub(crate) lost_records: Counter =
            "records_lost", "Access records that were not written because the writer was too slow or failed";
    }
}

/// All metrics of the data path.
#[derive(Debug)]
pub(crate) struct DataPathMetrics {
    series: Series,
    connect_seconds: [Histogram; 5],
    pub(crate) answers: Vec<ResponseCounters>,
    pub(crate) requests: Vec<RequestCounters>,
    /// Distinct pairs of policy and rule that have had a series.
    named: Mutex<HashSet<(Arc<str>, Arc<str>)>>,
    /// Endpoints that have had a series.
    limited: Mutex<HashSet<Arc<str>>>,
    most_named: usize,
    none: Arc<str>,
    other: Arc<str>,
}

impl Deref for DataPathMetrics {
    type Target = Series;

    fn deref(&self) -> &Series {
        &self.series
    }
}

/// Every metric of the data path as it is scraped, where these protocols are judged.
#[must_use]
pub fn declared(protocols: Registry) -> Vec<MetricDeclaration> {
    let mut declared = Series::series();
    let counted = |name: &str, labels: &[&'static str]| {
        let plain = MetricDeclaration::new::<Counter>(name);
        MetricDeclaration { labels: labels.to_vec(), ..plain }
    };
    for ResponseCounters { protocol, statuses, .. } in protocols.iter().filter_map(answers) {
        declared.push(counted(&format!("{protocol}_answers"), &[statuses.name]));
    }
    for RequestCounters { protocol, kinds, .. } in protocols.iter().filter_map(requests) {
        declared.push(counted(&format!("{protocol}_requests"), &[kinds.name, "verdict"]));
    }
    declared
}

impl DataPathMetrics {
    pub(crate) fn new(most_named: usize, protocols: Registry) -> Self {
        let series = Series::default();
        let connect_seconds = Connect::ALL
            .map(|outcome| series.connects.get_or_create_owned(&OutcomeLabels { outcome: outcome.as_str() }));
        Self {
            series,
            connect_seconds,
            answers: protocols.iter().filter_map(answers).collect(),
            requests: protocols.iter().filter_map(requests).collect(),
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
        self.series.register_series(registry);
        for answers in &self.answers {
            registry.register(format!("{}_answers", answers.protocol), answers.statuses.help, answers.family.clone());
        }
        for requests in &self.requests {
            registry.register(format!("{}_requests", requests.protocol), requests.kinds.help, requests.family.clone());
        }
    }
}
