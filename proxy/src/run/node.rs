//! The running node, as the API and the admin endpoints see it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use portcullis_config::{NamesUpdates, Node, Verdicts, proto};
use portcullis_listeners::telemetry::Telemetry;
use portcullis_redirect::Guard;
use portcullis_rules::world::EndpointId;

use crate::{
    admin::{
        health::Health,
        metrics::{Metrics, RejectedLabels},
    },
    cli::arguments::VERSION,
    run::{fault::Report, names::Names, notify, steering::Steering, teacher::Pupil, verdicts},
};

/// What is known of the running node beside its resources.
pub struct Running {
    started: Instant,
    workers: usize,
    on_proxy_down: &'static str,
    telemetry: Arc<Telemetry>,
    metrics: Metrics,
    names: Names<Steering>,
    pupil: Arc<Pupil>,
    health: Arc<Health>,
    report: Mutex<Report>,
    guards: Mutex<BTreeMap<EndpointId, Guard>>,
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
        pupil: Arc<Pupil>,
        health: Arc<Health>,
    ) -> Self {
        let started = Instant::now();
        Self {
            started,
            workers,
            on_proxy_down,
            telemetry,
            metrics,
            names,
            pupil,
            health,
            report: Mutex::default(),
            guards: Mutex::default(),
        }
    }

    /// Metrics of the configuration.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether it serves.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Notes where the packets of local endpoints are judged.
    pub fn set_guards(&self, guards: BTreeMap<EndpointId, Guard>) {
        *self.guards() = guards;
    }

    fn guards(&self) -> std::sync::MutexGuard<'_, BTreeMap<EndpointId, Guard>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what is known of the steering, and how often something of it was put back.
    pub fn show(&self, report: Report, repairs: u64) {
        self.metrics.show(&report, repairs);
        let gap = report.gap();
        if self.health.set_gap(gap.clone()) {
            notify::status(gap.as_deref().unwrap_or("policy is in force"));
        }
        *self.report() = report;
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node for Running {
    fn status(&self) -> proto::StatusResponse {
        let totals = self.telemetry.totals();
        let report = self.report();
        let guards = self.guards();
        let count =
            |wanted| u32::try_from(guards.values().filter(|guard| **guard == wanted).count()).unwrap_or(u32::MAX);
        proto::StatusResponse {
            version: VERSION.into(),
            on_proxy_down: self.on_proxy_down.into(),
            active_connections: totals.active,
            allowed: totals.allowed,
            denied: totals.denied,
            audited: totals.audited,
            uptime_seconds: self.started.elapsed().as_secs(),
            workers: u32::try_from(self.workers).unwrap_or(u32::MAX),
            packets_outside: count(Guard::Outside),
            packets_inside: count(Guard::Inside),
            packets_off: count(Guard::Off),
            packets_cgroup: count(Guard::Cgroup),
            faults: report.lines(),
            notes: report.repairs.clone(),
            ..proto::StatusResponse::default()
        }
    }

    fn state(&self, endpoint: EndpointId) -> String {
        self.report().endpoints.get(&endpoint).map_or_else(|| "steered".into(), |fault| fault.message.clone())
    }

    fn packets(&self, endpoint: EndpointId) -> String {
        let guard = self.guards().get(&endpoint).copied().unwrap_or(Guard::Off);
        match guard {
            Guard::Off => "off",
            Guard::Inside => "inside",
            Guard::Outside => "outside",
            Guard::Cgroup => "cgroup",
        }
        .into()
    }

    fn never_open(&self) -> Vec<String> {
        self.pupil.never_open().iter().map(ToString::to_string).collect()
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
