//! Telemetry of the traffic: metrics, live verdicts, access records.

mod declared;
mod event;
mod exit;
mod histogram;
pub(crate) mod metrics;
mod records;
mod refusals;
mod time;
mod watch;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use portcullis_codecs::{PROTOCOLS, Registry};
use portcullis_rules::verdict::{Outcome, OutcomeSet};
use prometheus_client::registry::Registry as MetricRegistry;

pub use self::{
    declared::{LabelNames, MetricDeclaration, MetricKind},
    event::{DnsReply, EventField, EventParty, VerdictEvent},
    metrics::declared,
    records::RecordTarget,
    refusals::KernelRefusal,
    time::rfc3339,
    watch::Watcher,
};
pub(crate) use self::{exit::TelemetrySink, records::AccessRecord};
use self::{metrics::DataPathMetrics, records::RecordWriter, watch::Watchers};

/// What is reported, and where to.
#[derive(Clone, Debug)]
pub struct TelemetryOptions {
    /// Where access records go.
    pub records: RecordTarget,
    /// Most pairs of policy and rule that have a metric series of their own, for the life of the process; further ones
    /// share one that reads `other`.
    pub policy_labels: usize,
    /// Protocols whose answers are counted.
    pub protocols: Registry,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self { records: RecordTarget::Off, policy_labels: 1000, protocols: PROTOCOLS }
    }
}

/// Totals since the start, for the status of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Client connections that are open.
    pub active: u64,
    /// Verdicts that allowed.
    pub allowed: u64,
    /// Verdicts that denied.
    pub denied: u64,
    /// Verdicts that would have denied, if policy were not only tried out.
    pub audited: u64,
}

/// All telemetry of the traffic.
#[derive(Debug)]
pub struct Telemetry {
    pub(crate) metrics: DataPathMetrics,
    pub(crate) watchers: Arc<Watchers>,
    records: Option<RecordWriter>,
    pub(crate) protocols: Registry,
    allowed: AtomicU64,
    denied: AtomicU64,
    audited: AtomicU64,
}

impl Telemetry {
    /// Starts the writer of access records, if there are to be any.
    ///
    /// # Errors
    /// The file of the access records cannot be opened, or there is no thread to be had.
    pub fn new(options: &TelemetryOptions) -> io::Result<Self> {
        let metrics = DataPathMetrics::new(options.policy_labels, options.protocols);
        let records = RecordWriter::start(&options.records, metrics.lost_records.clone())?;
        Ok(Self {
            metrics,
            watchers: Arc::default(),
            records,
            protocols: options.protocols,
            allowed: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            audited: AtomicU64::new(0),
        })
    }

    /// Registers all metrics; their names begin with `portcullis_`.
    pub fn register(&self, registry: &mut MetricRegistry) {
        self.metrics.register(registry);
    }

    /// Watches verdicts. A queue of `capacity` verdicts is kept; what does not fit is lost and counted.
    #[must_use]
    pub fn watch(&self, capacity: usize) -> Watcher {
        self.watchers.sit(capacity)
    }

    /// Totals since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            active: u64::try_from(self.metrics.active.get()).unwrap_or(0),
            allowed: self.allowed.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
            audited: self.audited.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn tally(&self, outcome: Outcome) {
        let total = match outcome {
            Outcome::Allow => &self.allowed,
            Outcome::Deny => &self.denied,
            Outcome::Audit => &self.audited,
        };
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether such a verdict is recorded, of a flow of which these are wanted.
    pub(crate) fn records(&self, outcome: Outcome, wanted: OutcomeSet) -> bool {
        self.records.is_some() && wanted.contains(outcome)
    }

    pub(crate) fn record(&self, record: AccessRecord) {
        if let Some(records) = &self.records {
            records.put(record);
        }
    }
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
