//! The running node, as the API and the admin endpoints see it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use portcullis_config::{NamesUpdates, Node, Verdicts, proto};
use portcullis_listeners::telemetry::Telemetry;
use portcullis_rules::world::EndpointId;

use crate::{
    admin::metrics::{Metrics, RejectedLabels},
    cli::arguments::VERSION,
    run::{names::Names, reconcile::Unsteered, steering::Steering, verdicts},
};

/// What is known of the running node beside its resources.
pub struct Running {
    started: Instant,
    workers: usize,
    on_proxy_down: &'static str,
    telemetry: Arc<Telemetry>,
    metrics: Metrics,
    names: Names<Steering>,
    faults: Mutex<BTreeMap<EndpointId, Unsteered>>,
}

impl Running {
    /// A node that begins now.
    #[must_use]
    pub fn new(
        workers: usize,
        on_proxy_down: &'static str,
        telemetry: Arc<Telemetry>,
        metrics: Metrics,
        names: Names<Steering>,
    ) -> Self {
        let started = Instant::now();
        Self { started, workers, on_proxy_down, telemetry, metrics, names, faults: Mutex::default() }
    }

    /// Metrics of the configuration.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Notes which endpoints are not steered.
    pub fn set_faults(&self, faults: &BTreeMap<EndpointId, Unsteered>) {
        self.metrics.faulty.set(i64::try_from(faults.len()).unwrap_or(i64::MAX));
        self.faults().clone_from(faults);
    }

    fn faults(&self) -> std::sync::MutexGuard<'_, BTreeMap<EndpointId, Unsteered>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node for Running {
    fn status(&self) -> proto::StatusResponse {
        let totals = self.telemetry.totals();
        let faults = self.faults();
        proto::StatusResponse {
            version: VERSION.into(),
            on_proxy_down: self.on_proxy_down.into(),
            active_connections: totals.active,
            allowed: totals.allowed,
            denied: totals.denied,
            uptime_seconds: self.started.elapsed().as_secs(),
            workers: u32::try_from(self.workers).unwrap_or(u32::MAX),
            faults: faults.values().map(|fault| format!("{}; {}", fault.message, fault.remedy)).collect(),
            ..proto::StatusResponse::default()
        }
    }

    fn state(&self, endpoint: EndpointId) -> String {
        self.faults().get(&endpoint).map_or_else(|| "steered".into(), |fault| fault.message.clone())
    }

    fn watch(&self, request: proto::WatchRequest) -> Verdicts {
        verdicts::stream(&self.telemetry, request)
    }

    fn names(&self, request: &proto::ListNamesRequest) -> Vec<proto::LearntName> {
        self.names.list(request)
    }

    fn follow_names(&self, request: proto::WatchNamesRequest) -> NamesUpdates {
        self.names.follow(&request)
    }

    fn rejected(&self, kind: &'static str, reason: &'static str) {
        self.metrics.rejected.get_or_create(&RejectedLabels { r#type: kind, reason }).inc();
    }
}
