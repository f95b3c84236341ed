//! The running node, as the API and the admin endpoints see it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use portcullis_config::{NamesUpdates, NodeStatus, VerdictStream, proto};
use portcullis_listeners::telemetry::Telemetry;
use portcullis_redirect::PacketJudge;
use portcullis_rules::world::EndpointId;

use crate::{
    admin::{
        health::Health,
        metrics::{ConfigMetrics, RejectedLabels},
    },
    cli::arguments::VERSION,
    run::{
        fault::SteeringReport, name_installer::InstallerHandle, names::NameService, notify, steering::SteeringLoader,
        verdicts,
    },
};

/// What is known of the running node beside its resources.
pub struct Running {
    started: Instant,
    workers: usize,
    on_proxy_down: &'static str,
    telemetry: Arc<Telemetry>,
    metrics: ConfigMetrics,
    names: NameService<SteeringLoader>,
    installer: Arc<InstallerHandle>,
    health: Arc<Health>,
    report: Mutex<SteeringReport>,
    guards: Mutex<BTreeMap<EndpointId, PacketJudge>>,
}

impl Running {
    /// A node that begins now.
    #[must_use]
    pub fn new(
        workers: usize,
        on_proxy_down: &'static str,
        telemetry: Arc<Telemetry>,
        metrics: ConfigMetrics,
        names: NameService<SteeringLoader>,
        installer: Arc<InstallerHandle>,
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
            installer,
            health,
            report: Mutex::default(),
            guards: Mutex::default(),
        }
    }

    /// Metrics of the configuration.
    #[must_use]
    pub fn metrics(&self) -> &ConfigMetrics {
        &self.metrics
    }

    /// Whether it serves.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Notes where the packets of local endpoints are judged.
    pub fn set_guards(&self, guards: BTreeMap<EndpointId, PacketJudge>) {
        *self.guards() = guards;
    }

    fn guards(&self) -> std::sync::MutexGuard<'_, BTreeMap<EndpointId, PacketJudge>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what is known of the steering, and how often something of it was put back.
    pub fn show(&self, report: SteeringReport, repairs: u64) {
        self.metrics.show(&report, repairs);
        let gap = report.gap();
        if self.health.set_gap(gap.clone()) {
            notify::status(gap.as_deref().unwrap_or("policy is in force"));
        }
        *self.report() = report;
    }

    fn report(&self) -> std::sync::MutexGuard<'_, SteeringReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeStatus for Running {
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
            packets_outside: count(PacketJudge::Outside),
            packets_inside: count(PacketJudge::Inside),
            packets_off: count(PacketJudge::Off),
            packets_cgroup: count(PacketJudge::Cgroup),
            faults: report.lines(),
            notes: report.repairs.clone(),
            ..proto::StatusResponse::default()
        }
    }

    fn state(&self, endpoint: EndpointId) -> String {
        self.report().endpoints.get(&endpoint).map_or_else(|| "steered".into(), |fault| fault.message.clone())
    }

    fn packets(&self, endpoint: EndpointId) -> String {
        let guard = self.guards().get(&endpoint).copied().unwrap_or(PacketJudge::Off);
        match guard {
            PacketJudge::Off => "off",
            PacketJudge::Inside => "inside",
            PacketJudge::Outside => "outside",
            PacketJudge::Cgroup => "cgroup",
        }
        .into()
    }

    fn never_open(&self) -> Vec<String> {
        self.installer.never_open().iter().map(ToString::to_string).collect()
    }

    fn watch(&self, request: proto::WatchRequest) -> VerdictStream {
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
