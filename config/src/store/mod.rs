//! The store: resources by name, each with its last good version, brought into force one update after the other.

mod addresses;
mod disk;
mod fit;
mod incoming;
mod key;
mod numbers;
mod references;
mod sources;
mod table;
mod unbound;
mod update;
mod watch;
mod worker;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use incoming::Incoming;
pub(crate) use key::ResourceKind;
use portcullis_rules::{params::FlowParams, schema::Schema, settings::PolicySettings};
use serde_json::json;
use table::ResourceTable;
use tokio::sync::{mpsc, oneshot};
use update::{RemovalScope, Update};
use worker::{StoreJob, StoreWorker};

use crate::{
    node::{NodeSink, NodeStatus},
    proto::{self, ResourceKey, ResourceResult, ResourceType},
    settings::{deviation_names, rules_to_proto, words},
};

/// Updates that may wait; further senders wait for a place.
const MOST_WAITING: usize = 256;

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where pushed resources and the numbers of endpoints are kept. It is made if it is not there.
    pub state_directory: PathBuf,
    /// Files and directories of resources; they are watched.
    pub resources: Vec<PathBuf>,
    /// How policies are read.
    pub settings: PolicySettings,
    /// What flows are relayed with.
    pub params: FlowParams,
    /// The protocols that `toPorts[].rules` may name.
    pub schemas: Vec<&'static Schema>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state directory cannot be made.
    #[error("the state directory {path} cannot be used: {source}", path = path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no thread for it.
    #[error("the store's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Why an update was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It makes no sense as a whole.
    #[error("{0}")]
    Invalid(String),
    /// The store has been closed, or what it hands its state to has panicked.
    #[error("the store has stopped")]
    Stopped,
}

/// What came of an update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// One for each resource, in order, then one for each removed one.
    pub results: Vec<ResourceResult>,
    /// Number of the configuration now in force.
    pub revision: u64,
}

/// What is in force, for readers.
#[derive(Debug)]
struct View {
    table: Arc<ResourceTable>,
    revision: u64,
    settings: PolicySettings,
    /// For people: files that cannot be read, state that cannot be kept.
    faults: Vec<String>,
    /// The node's own addresses.
    node_addresses: Vec<IpAddr>,
}

/// The store of resources. Clones are the same store.
///
/// A thread of its own takes updates in order, several that wait at once: each resource is accepted or refused by itself,
/// what is new is kept on disk, then there is one compilation and one [`NodeSink::apply`] for all of them. Methods that wait
/// are async and need no runtime in particular; all others answer at once from what is in force.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<StoreJob>,
    view: Arc<ArcSwap<View>>,
    node: Arc<dyn NodeStatus>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("revision", &self.revision()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store and brings into force what was pushed before and what the files say; both are in force on return.
    /// Blocks meanwhile.
    ///
    /// # Errors
    /// The state directory cannot be used. What is wrong with resources is none: it is logged and listed.
    pub fn open(options: StoreOptions, sink: Box<dyn NodeSink>, node: Arc<dyn NodeStatus>) -> Result<Self, OpenError> {
        let (jobs, receiver) = mpsc::channel(MOST_WAITING);
        let worker = StoreWorker::open(options, sink, Arc::clone(&node))?;
        let view = worker.view();
        worker.start(receiver).map_err(OpenError::Thread)?;
        Ok(Self { jobs, view, node })
    }

    /// Applies resources; with `dry_run` only says what would happen.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn apply(&self, resources: Vec<proto::Resource>, dry_run: bool) -> Result<Applied, StoreError> {
        let resources = resources.into_iter().map(Incoming::pushed).collect();
        self.update(Update { resources, ..Update::default() }, dry_run).await
    }

    /// Applies one message of a stream.
    ///
    /// # Errors
    /// It is `full` of no type, or the store has stopped.
    pub async fn push(&self, request: proto::StreamResourcesRequest) -> Result<Applied, StoreError> {
        let mut kinds = Vec::new();
        for kind in request.types() {
            let unknown = || StoreError::Invalid("types: RESOURCE_TYPE_UNSPECIFIED is no type of a resource".into());
            kinds.push(ResourceKind::from_proto(kind).ok_or_else(unknown)?);
        }
        let resources: Vec<_> = request.resources.into_iter().map(Incoming::pushed).collect();
        if request.full {
            kinds.extend(resources.iter().filter_map(|incoming| incoming::kind(&incoming.resource)));
        }
        kinds.sort_unstable();
        kinds.dedup();
        if request.full && kinds.is_empty() {
            let message = "full: there is neither a resource nor a type; name in `types` what is empty";
            return Err(StoreError::Invalid(message.into()));
        }
        let sweep = request.full.then_some(RemovalScope::Api { kinds, allow_empty: request.allow_empty });
        self.update(Update { resources, removed: request.removed, sweep }, false).await
    }

    /// Removes resources.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn delete(&self, keys: Vec<ResourceKey>) -> Result<Applied, StoreError> {
        self.update(Update { removed: keys, ..Update::default() }, false).await
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn reload_files(&self) -> Result<Applied, StoreError> {
        self.ask(|reply| StoreJob::Files { reply: Some(reply) }).await
    }

    /// Compiles everything anew if the node has other addresses than before.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn moved(&self) -> Result<Applied, StoreError> {
        self.ask(|reply| StoreJob::Moved { reply }).await
    }

    /// Takes other settings and other paths of resources, and reads the files again.
    ///
    /// # Errors
    /// The store has stopped.
    pub async fn reconfigure(
        &self,
        settings: PolicySettings,
        params: FlowParams,
        resources: Vec<PathBuf>,
    ) -> Result<Applied, StoreError> {
        let params = Arc::new(params);
        self.ask(|reply| StoreJob::Reconfigure { settings, params, resources, reply }).await
    }

    /// Ends the store's thread after what waits, and drops the sink. All clones have stopped then.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.jobs.send(StoreJob::Close { reply }).await.is_ok() {
            // An error says the same: the thread has ended.
            let _ = closed.await;
        }
    }

    /// Every resource of a type, or of all.
    #[must_use]
    pub fn list(&self, kind: ResourceType) -> Vec<proto::ListedResource> {
        self.view.load().table.list(ResourceKind::from_proto(kind), &*self.node)
    }

    /// The same with the revision that it is, and the settings that decide what it means.
    #[must_use]
    pub fn listing(&self, kind: ResourceType) -> proto::ListResponse {
        let view = self.view.load();
        proto::ListResponse {
            resources: view.table.list(ResourceKind::from_proto(kind), &*self.node),
            revision: view.revision,
            settings: Some(proto::RuleSettings {
                never_open: self.node.never_open(),
                node_addresses: view.node_addresses.iter().map(ToString::to_string).collect(),
                ..rules_to_proto(&view.settings)
            }),
        }
    }

    /// The state of the node.
    #[must_use]
    pub fn status(&self) -> proto::StatusResponse {
        let view = self.view.load();
        let counts = view.table.counts();
        let mut status = self.node.status();
        status.revision = view.revision;
        status.enforcement = words::ENFORCEMENT.name(view.settings.enforcement).to_owned();
        status.deny_with = words::DENY_WITH.name(view.settings.deny_with).to_owned();
        status.deviations = deviation_names(view.settings.deviations).into_iter().map(str::to_owned).collect();
        status.policies = counts.policies;
        status.endpoints = counts.endpoints;
        status.local_endpoints = counts.local_endpoints;
        status.services = counts.services;
        status.cidr_groups = counts.cidr_groups;
        status.secrets = counts.secrets;
        status.rejected = counts.rejected;
        status.faults.extend(view.faults.iter().cloned());
        let unknown = view.settings.allow_localhost && view.node_addresses.is_empty();
        status.notes.extend(unbound::notes(&view.table, unknown));
        status
    }

    /// Everything that is in force and what was refused, without the documents of policies and the values of secrets.
    #[must_use]
    pub fn dump(&self) -> serde_json::Value {
        let view = self.view.load();
        let resources: Vec<_> = view.table.list(None, &*self.node).iter().map(dumped).collect();
        json!({
            "revision": view.revision,
            "enforcement": words::ENFORCEMENT.name(view.settings.enforcement),
            "denyWith": words::DENY_WITH.name(view.settings.deny_with),
            "denyScope": words::DENY_SCOPE.name(view.settings.deny_scope),
            "httpUpgrades": words::UPGRADES.name(view.settings.upgrades),
            "openConnections": words::OPEN_CONNECTIONS.name(view.settings.open_connections),
            "allowLocalhost": view.settings.allow_localhost,
            "enableExtendedIPProtocols": view.settings.extended_ip_protocols,
            "deviations": deviation_names(view.settings.deviations),
            "faults": view.faults,
            "resources": resources,
        })
    }

    /// Number of the configuration in force.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.view.load().revision
    }

    async fn update(&self, update: Update, dry_run: bool) -> Result<Applied, StoreError> {
        self.ask(|reply| StoreJob::Update { update, dry_run, reply }).await
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Applied>) -> StoreJob) -> Result<Applied, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)
    }
}

fn dumped(listed: &proto::ListedResource) -> serde_json::Value {
    let key = listed.key.clone().unwrap_or_default();
    let problem = |problem: &proto::Problem| json!({ "field": problem.field, "message": problem.message });
    let problems = listed.rejected.iter().flat_map(|rejected| &rejected.problems);
    let resource = listed.resource.as_ref();
    let body = match resource.and_then(|resource| resource.body.as_ref()) {
        Some(proto::resource::Body::Endpoint(endpoint)) => json!({
            "addresses": endpoint.addresses,
            "labels": endpoint.labels,
            "networkNamespace": endpoint.network_namespace,
            "cgroup": endpoint.cgroup,
        }),
        Some(proto::resource::Body::Service(service)) => {
            json!({ "vips": service.vips, "backends": service.backends, "labels": service.labels })
        }
        Some(proto::resource::Body::CidrGroup(group)) => json!({ "cidrs": group.cidrs, "labels": group.labels }),
        _ => serde_json::Value::Null,
    };
    json!({
        "type": ResourceKind::from_proto(key.r#type()).map_or("", ResourceKind::as_str),
        "namespace": key.namespace,
        "name": key.name,
        "version": resource.map_or("", |resource| resource.version.as_str()),
        "inForce": resource.is_some(),
        "origin": listed.origin,
        "state": listed.state,
        "rejected": problems.map(problem).collect::<Vec<_>>(),
        "resource": body,
    })
}
