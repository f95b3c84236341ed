//! Starts the node, crate by crate. If a later step fails, destructors undo the earlier ones.

use std::{
    sync::{Arc, mpsc::Receiver},
    thread,
    time::Duration,
};

use portcullis_config::{
    ApiLimits, Store, StoreOptions,
    names::NameCache,
    settings::{self as config, NodeSettings, OnProxyDownSetting, words},
};
use portcullis_listeners::{DataPlane, telemetry::Telemetry};
use portcullis_redirect::{Redirect, RedirectOptions, Refusals};
use portcullis_rules::world::EndpointId;
use prometheus_client::registry::Registry;
use tokio::net::UnixListener;

use crate::{
    admin::{self, AdminState, health::Health, listener::Listener, metrics::ConfigMetrics},
    cli::{
        arguments::RunArguments,
        exit::{ExitStatus, Failure},
    },
    run::{
        cgroups::ParentCgroup,
        dump::StoreDump,
        force::ActiveConfig,
        logging::Levels,
        name_installer::{NameInstallerThread, NameStorage},
        names::NameService,
        node::Running,
        plane::{LocalMachine, Workers},
        reconcile::Reconciler,
        resolutions::LearnedState,
        selfcheck, settings,
        steering::{KernelUpstreams, SteeringLoader},
        system::{self, OwnSocket},
    },
};

/// A node that has begun: what is in force is in force, and nobody has been told yet.
pub struct RunningNode {
    /// The resources.
    pub store: Store,
    /// What is in force.
    pub force: ActiveConfig,
    /// How it runs.
    pub running: Arc<Running>,
    /// Verdicts.
    pub telemetry: Arc<Telemetry>,
    /// Flows that the kernel refuses.
    pub refusals: Refusals,
    /// The API's socket.
    pub api: (OwnSocket, UnixListener),
    /// What clients of the API may take.
    pub api_limits: ApiLimits,
    /// The admin endpoints, and where they are served.
    pub admin: (Arc<AdminState>, Vec<Listener>),
    /// Whether it serves.
    pub health: Arc<Health>,
    /// Who brings names into force.
    pub name_installer: NameInstallerThread,
    /// What our listeners say to a try of the steering.
    pub answer: [u8; 16],
}

/// Starts everything up to the point where flows are judged.
///
/// # Errors
/// Something that the node needs is not to be had; it says what to do.
pub async fn start(arguments: &RunArguments, settings: NodeSettings, levels: Levels) -> Result<RunningNode, Failure> {
    let files = system::raise_open_files();
    tracing::info!(version = crate::cli::arguments::VERSION, files, "starting");
    // First: only the process that owns the socket may change the kernel's state below.
    let (socket, listener) = OwnSocket::bind(&settings.api.socket, settings.api.mode, settings.api.group.as_deref())?;
    let listener = UnixListener::from_std(listener).map_err(Failure::internal)?;
    let api_limits = ApiLimits { message: settings.api.message, connections: settings.api.connections.get() };
    let listeners = listen(&settings.admin).await?;
    let admin_limits = admin::AdminLimits::from(&settings.admin);

    let mut redirect = Redirect::open(self::options(&settings)).map_err(not_steered)?;
    let changes = redirect.watch().map_err(Failure::internal)?;
    let refusals = redirect.refusals().map_err(not_steered)?;
    let telemetry = open_telemetry(&settings)?;
    let probe = selfcheck::probe().map_err(Failure::internal)?;
    let answer = probe.answer;
    let options = portcullis_listeners::DataPlaneOptions { probe: Some(probe), ..settings::data_plane(&settings) };
    let workers = options.workers;
    let upstreams = Arc::new(KernelUpstreams(redirect.upstreams()));
    let (installer, queue) = NameInstallerThread::queue(settings.never_open.clone());
    let plane = DataPlane::start(options, upstreams, Some(installer.clone()), Arc::clone(&telemetry))
        .map_err(Failure::internal)?;

    let metrics = ConfigMetrics::default();
    let (cache, storage) = open_names(&settings)?;
    let resolutions = LearnedState::new(SteeringLoader::new(redirect), cache);
    let known = NameService(resolutions.clone());
    let health = Arc::new(Health::default());
    let outcome = words::ON_PROXY_DOWN.name(settings.on_proxy_down);
    let running =
        Running::new(workers, outcome, Arc::clone(&telemetry), metrics, known, installer, Arc::clone(&health));
    let running = Arc::new(running);
    let names = running.metrics().names.clone();
    let name_installer = queue.begin(resolutions.clone(), storage, names).map_err(Failure::internal)?;
    let machine = LocalMachine { cgroup: settings.steering.cgroup.clone() };
    let reconciler = Reconciler::with(resolutions, Workers::new(plane), machine);
    let above = settings.steering.cgroup.as_deref().and_then(ParentCgroup::of);
    let force = ActiveConfig::new(reconciler, Arc::clone(&running), above);
    follow_changes(changes, force.clone()).map_err(Failure::internal)?;
    // Threads hold the loader by now: a start that fails here takes away what it has made by itself.
    let take_back = |failure| {
        drop(force.end().and_then(|(resolutions, _)| resolutions.end()));
        failure
    };
    let store = open_store(settings, &force, &running).map_err(take_back)?;

    let mut registry = Registry::default();
    running.metrics().register(&mut registry);
    telemetry.register(&mut registry);
    let dump = Arc::new(StoreDump(store.clone()));
    let told = Arc::new(AdminState::new(registry, Arc::clone(&health), dump, levels, admin_limits));
    tracing::info!(resources = arguments.resources.len(), workers, "policy is in force");
    Ok(RunningNode {
        store,
        force,
        running,
        telemetry,
        refusals,
        api: (socket, listener),
        api_limits,
        admin: (told, listeners),
        health,
        name_installer,
        answer,
    })
}

fn open_telemetry(settings: &NodeSettings) -> Result<Arc<Telemetry>, Failure> {
    let telemetry = Telemetry::new(&settings::telemetry(settings)).map_err(|error| {
        let message = format!("access records: {error}");
        Failure::new(ExitStatus::Failed, message, "name a file that can be written in records.to")
    });
    Ok(Arc::new(telemetry?))
}

fn open_names(settings: &NodeSettings) -> Result<(NameCache, NameStorage), Failure> {
    NameStorage::open(&settings.state_directory, settings.fqdn).map_err(|error| {
        let message = format!("names cannot be kept in {}: {error}", settings.state_directory.display());
        Failure::new(ExitStatus::Failed, message, "name another with --state-directory")
    })
}

/// Repairs an endpoint when something is changed in its namespace. Ends with the loader.
fn follow_changes(changes: Receiver<u32>, force: ActiveConfig) -> std::io::Result<()> {
    let repair = move || changes.into_iter().for_each(|id| force.repair(EndpointId(id)));
    thread::Builder::new().name("mending".into()).spawn(repair).map(drop)
}

async fn listen(settings: &config::AdminSettings) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for address in &settings.addresses.0 {
        listeners.push(Listener::bind(address, settings.mode, settings.group.as_deref()).await?);
    }
    Ok(listeners)
}

/// How long answers to datagrams may come in: as long as connection tracking of Cilium keeps a flow of datagrams.
const ANSWERS: Duration = Duration::from_secs(60);

/// What the loader is opened with.
#[must_use]
pub fn options(settings: &NodeSettings) -> RedirectOptions {
    RedirectOptions {
        bpffs: settings.steering.bpffs.clone(),
        cgroup: settings.steering.cgroup.clone(),
        pin: settings.on_proxy_down == OnProxyDownSetting::Refuse,
        workers: u32::try_from(settings::data_plane(settings).workers).unwrap_or(u32::MAX),
        answers: ANSWERS,
        owner: settings.api.socket.display().to_string(),
        packets: settings.steering.packets,
        device_links: true,
        // What policy denies is cut beside this, where it is not to be kept.
    }
}

fn not_steered(error: portcullis_redirect::RedirectError) -> Failure {
    Failure::new(ExitStatus::Failed, format!("flows cannot be steered: {error}"), "")
}

fn open_store(settings: NodeSettings, force: &ActiveConfig, running: &Arc<Running>) -> Result<Store, Failure> {
    let options = StoreOptions {
        params: settings.flow_params(),
        state_directory: settings.state_directory,
        resources: settings.resources,
        settings: settings.rules,
        schemas: portcullis_codecs::PROTOCOLS.live_schemas(),
    };
    let (sink, node) = (Box::new(force.clone()), Arc::clone(running));
    let opened = tokio::task::block_in_place(|| Store::open(options, sink, node));
    opened.map_err(|error| Failure::new(ExitStatus::Failed, error.to_string(), "name another with --state-directory"))
}
