//! Metrics of the node itself: its build and its configuration. The metrics of the traffic are in
//! `listeners::telemetry`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use portcullis_config::names::{EvictedAddresses, NameCache};
use portcullis_listeners::{metric_labels, metrics, telemetry::MetricDeclaration};
use portcullis_rules::world::Endpoint;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::{
    admin::process::Process,
    run::{backends::CutCount, fault::SteeringReport},
};

metric_labels! {
    /// Labels of `portcullis_config_rejected_total`.
    pub struct RejectedLabels {
        /// `policy`, `endpoint`, `service`, `cidrgroup`, `secret`.
        r#type: &'static str,
        /// `invalid`, or what there is not enough of: `policy_memory`, `memory`, `work`.
        reason: &'static str,
    }

    /// Labels of `portcullis_fqdn_evicted_total`.
    pub struct LimitLabel {
        /// The setting below `fqdn`: `addressesPerName`, `namesPerAddress`, `addressesPerEndpoint`, `addresses`.
        limit: &'static str,
    }

    /// Labels of `portcullis_fqdn_refused_total`.
    pub struct RefusedLabels {
        /// `namespace/name`.
        endpoint: String,
        /// `share`: too many of the endpoint wait; `memory`: the bounds of compilations leave none for the rules.
        reason: &'static str,
    }

    /// Labels of `portcullis_open_connections_cut_total`.
    pub struct CutLabel {
        /// `denied`, `unjudged`.
        reason: &'static str,
    }

    /// Labels of `portcullis_steering_intact`.
    pub struct EndpointLabels {
        /// Its namespace.
        namespace: String,
        /// Its name.
        endpoint: String,
    }

    /// Labels of `portcullis_self_checks_total`.
    pub struct ResultLabel {
        /// `passed`, `failed`, or `skipped` where an endpoint cannot be tried from within.
        result: &'static str,
    }
}

metrics! {
    /// Metrics of the steering.
    pub struct Intact {
        /// Whether a local endpoint is steered as it should be: 1 or 0.
        pub endpoints: Family<EndpointLabels, Gauge> =
            "steering_intact",
            "Whether a local endpoint is steered as it should be, so that nothing of it passes unjudged";
        /// What was put back.
        pub repairs: Counter =
            "steering_repairs", "Links, programs and pins that somebody had taken away and that were put back";
        /// Tries of the node at its own hooks.
        pub checks: Family<ResultLabel, Counter> = "self_checks", "Tries of the node at its own hooks, by result";
    }
    with {
        shown: Arc<Mutex<BTreeMap<EndpointLabels, i64>>>,
    }
}

impl Intact {
    fn show(&self, report: &SteeringReport, repairs: u64) {
        self.repairs.inc_by(repairs.saturating_sub(self.repairs.get()));
        let labels = |endpoint: &Endpoint| EndpointLabels {
            namespace: endpoint.namespace.to_string(),
            endpoint: endpoint.name.to_string(),
        };
        let wanted: BTreeMap<EndpointLabels, i64> =
            report.locals.iter().map(|(id, local)| (labels(local), i64::from(report.is_intact(*id)))).collect();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in shown.keys().filter(|labels| !wanted.contains_key(*labels)) {
            self.endpoints.remove(labels);
        }
        for (labels, value) in wanted.iter().filter(|(labels, value)| shown.get(*labels) != Some(*value)) {
            self.endpoints.get_or_create_owned(labels).set(*value);
        }
        *shown = wanted;
    }

    fn register(&self, registry: &mut Registry) {
        self.register_series(registry);
        for result in ["passed", "failed", "skipped"] {
            drop(self.checks.get_or_create(&ResultLabel { result }));
        }
    }
}

metrics! {
    /// Metrics of names that were learnt.
    pub struct NameMetrics {
        /// Names that are known.
        pub names: Gauge = "fqdn_names", "Learned names that have not expired";
        /// Their addresses; one of several names counts for each.
        pub addresses: Gauge = "fqdn_addresses", "Addresses of names, those of several for each";
        /// Addresses that went before their time.
        pub evicted: Family<LimitLabel, Counter> =
            "fqdn_evicted", "Addresses that were forgotten before their time because a limit was reached";
        /// Resolutions that could not be brought into force everywhere.
        pub uninstalled: Counter =
            "fqdn_uninstalled" | "fqdn_untaught",
            "Answers whose addresses could not be brought into force for every endpoint";
        /// Addresses of answers that no name opens.
        pub never: Counter =
            "fqdn_never_open", "Addresses in answers that were not learned because no name may allow them";
        /// What was not learnt, by endpoint and reason.
        pub refused: Family<RefusedLabels, Counter> =
            "fqdn_refused",
            "Answers, or their addresses, that were not learned although policy selects them, by endpoint and reason";
    }
}

impl NameMetrics {
    /// Shows what is in the name cache.
    pub fn show(&self, cache: &NameCache) {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.names.set(number(cache.names()));
        self.addresses.set(number(cache.addresses()));
        for (limit, evicted) in evictions(cache.evicted()) {
            let counter = self.evicted.get_or_create_owned(&LimitLabel { limit });
            counter.inc_by(evicted.saturating_sub(counter.get()));
        }
    }

    fn register(&self, registry: &mut Registry) {
        self.register_series(registry);
        for (limit, _) in evictions(EvictedAddresses::default()) {
            drop(self.evicted.get_or_create(&LimitLabel { limit }));
        }
    }
}

fn evictions(evicted: EvictedAddresses) -> [(&'static str, u64); 4] {
    [
        ("addressesPerName", evicted.per_name),
        ("namesPerAddress", evicted.per_address),
        ("addressesPerEndpoint", evicted.per_endpoint),
        ("addresses", evicted.total),
    ]
}

metrics! {
    /// Metrics of the configuration.
    pub struct ConfigMetrics {
        /// Number of the configuration in force.
        pub revision: Gauge = "config_revision", "Number of the configuration in force";
        /// When it came into force, in seconds since 1970.
        pub last_success: Gauge =
            "config_last_success_timestamp_seconds",
            "When the configuration in force was accepted, in seconds since 1970";
        /// Resources refused, by type and reason.
        pub rejected: Family<RejectedLabels, Counter> = "config_rejected", "Resources that were refused";
        /// Local endpoints that could not be steered at the last try.
        pub faulty: Gauge =
            "endpoints_faulty", "Local endpoints whose flows could not be steered at the last try";
        /// Open connections that were ended because policy denies them now, or wants them judged.
        pub cut: Family<CutLabel, Counter> =
            "open_connections_cut",
            "Connections that were ended because they were open when a policy came that denies them or has them judged";
    }
    with {
        /// Names that were learnt.
        pub names: NameMetrics,
        /// The steering.
        pub intact: Intact,
    }
}

/// Every metric of the node itself as it is scraped, but for those of the process.
#[must_use]
pub fn declared() -> Vec<MetricDeclaration> {
    let labels = BUILD.map(|(label, _)| label).to_vec();
    let mut declared = vec![MetricDeclaration { name: "portcullis_build_info".to_owned(), labels }];
    declared.extend(ConfigMetrics::series());
    declared.extend(NameMetrics::series());
    declared.extend(Intact::series());
    declared
}

impl ConfigMetrics {
    /// Shows what is known of the steering, and how often something of it was put back.
    pub fn show(&self, report: &SteeringReport, repairs: u64) {
        self.faulty.set(i64::try_from(report.endpoints.len()).unwrap_or(i64::MAX));
        self.intact.show(report, repairs);
    }

    /// Registers these, the build and the process, with the names that dashboards use.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Process::default()));
        let registry = registry.sub_registry_with_prefix("portcullis");
        registry.register("build", "Version, commit and compiler", build());
        self.register_series(registry);
        self.names.register(registry);
        self.cut(CutCount::default());
        self.intact.register(registry);
        // A counter that is not there cannot be watched: each begins at 0.
        for kind in ["policy", "endpoint", "service", "cidrgroup", "secret"] {
            for reason in ["invalid", "policy_memory", "memory", "work"] {
                drop(self.rejected.get_or_create(&RejectedLabels { r#type: kind, reason }));
            }
        }
    }

    /// Counts open connections that were ended.
    pub fn cut(&self, cut: CutCount) {
        for (reason, number) in [("denied", cut.denied), ("unjudged", cut.unjudged)] {
            self.cut.get_or_create(&CutLabel { reason }).inc_by(number as u64);
        }
    }

    /// Notes that a configuration is in force.
    pub fn in_force(&self, revision: u64, faulty: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.last_success.set(i64::try_from(now).unwrap_or(i64::MAX));
        self.faulty.set(i64::try_from(faulty).unwrap_or(i64::MAX));
    }
}

/// What the build is told by.
const BUILD: [(&str, &str); 3] = [
    ("version", env!("CARGO_PKG_VERSION")),
    ("revision", env!("PORTCULLIS_BUILD_REVISION")),
    ("rustc", env!("PORTCULLIS_BUILD_RUSTC")),
];

fn build() -> Info<Vec<(&'static str, &'static str)>> {
    Info::new(BUILD.to_vec())
}
