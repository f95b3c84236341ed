//! Brings what the store accepts into force, and maintains it while the node runs.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use portcullis_config::{EndpointLocation, LocalEndpoint, NodeSink, SteeringFault};
use portcullis_rules::{
    snapshot::Snapshot,
    world::{EndpointId, ResolvedName},
};

use crate::run::{
    cgroups::ParentCgroup,
    home,
    node::Running,
    plane::{LocalMachine, Workers},
    reconcile::Reconciler,
    resolutions::LearnedState,
    selfcheck::SelfCheckTarget,
    steering::SteeringLoader,
};

/// The reconciler of the real node.
pub type RealReconciler = Reconciler<SteeringLoader, Workers, LocalMachine>;

/// What is in force, shared between the store, the caretaker and the end of the node.
#[derive(Clone)]
pub struct ActiveConfig {
    reconciler: Arc<Mutex<Option<RealReconciler>>>,
    resolutions: LearnedState<SteeringLoader>,
    running: Arc<Running>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// The cgroup above all endpoints, where that is not the root.
    above: Option<ParentCgroup>,
}

impl ActiveConfig {
    /// Nothing is in force yet.
    #[must_use]
    pub fn new(reconciler: RealReconciler, running: Arc<Running>, above: Option<ParentCgroup>) -> Self {
        let resolutions = reconciler.resolutions().clone();
        let reconciler = Arc::new(Mutex::new(Some(reconciler)));
        Self { reconciler, resolutions, running, snapshot: Arc::default(), above }
    }

    /// By which names are learnt. It does not wait for a configuration that is coming into force.
    #[must_use]
    pub fn resolutions(&self) -> &LearnedState<SteeringLoader> {
        &self.resolutions
    }

    /// The snapshot in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Tries again what failed, follows namespaces that came and went, and attaches one endpoint again. Blocks.
    pub fn maintain(&self) {
        if let Some(reconciler) = self.lock().as_mut() {
            reconciler.maintain();
            reconciler.inspect();
            reconciler.repair_next();
            if let Some(above) = &self.above {
                reconciler.look_for_strays(above);
            }
            self.running.show(reconciler.report(), reconciler.repairs());
            self.running.set_guards(reconciler.guards());
            self.running.metrics().cut(reconciler.take_cut());
        }
    }

    /// The endpoints whose hooks are to be tried now; `None` for one that cannot be tried.
    #[must_use]
    pub fn due_tries(&self) -> Vec<Option<SelfCheckTarget>> {
        self.lock().as_mut().map_or_else(Vec::new, |reconciler| reconciler.due_tries(self.above.as_ref()))
    }

    /// Notes what came of a try.
    pub fn tried(&self, id: EndpointId, result: Result<(), String>) {
        if let Some(reconciler) = self.lock().as_mut() {
            reconciler.tried(id, result);
            self.running.show(reconciler.report(), reconciler.repairs());
        }
    }

    /// Attaches an endpoint again, in whose namespace somebody has changed something. Blocks.
    pub fn repair(&self, id: EndpointId) {
        if let Some(reconciler) = self.lock().as_mut() {
            reconciler.repair(id);
            self.running.show(reconciler.report(), reconciler.repairs());
            self.running.set_guards(reconciler.guards());
        }
    }

    /// Gives back the kernel's and the data plane's side, to end them. From then on no configuration comes into force.
    #[must_use]
    pub fn end(&self) -> Option<(LearnedState<SteeringLoader>, Workers)> {
        self.lock().take().map(Reconciler::into_parts)
    }

    fn lock(&self) -> MutexGuard<'_, Option<RealReconciler>> {
        self.reconciler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeSink for ActiveConfig {
    fn names(&mut self) -> Vec<ResolvedName> {
        self.resolutions.names()
    }

    fn node_addresses(&mut self) -> Vec<IpAddr> {
        home::addresses()
    }

    fn apply(&mut self, revision: u64, snapshot: Arc<Snapshot>, locals: &[LocalEndpoint]) -> Vec<SteeringFault> {
        let locals: Vec<LocalEndpoint> = locals.iter().map(absolute).collect();
        let mut reconciler = self.lock();
        let Some(reconciler) = reconciler.as_mut() else { return Vec::new() };
        reconciler.apply(Arc::clone(&snapshot), &locals);
        self.snapshot.store(snapshot);
        let faults = reconciler.faults();
        self.running.show(reconciler.report(), reconciler.repairs());
        self.running.metrics().in_force(revision, faults.len());
        let faults: Vec<SteeringFault> = faults
            .iter()
            .map(|(endpoint, fault)| SteeringFault {
                endpoint: *endpoint,
                field: fault.field.into(),
                message: fault.message.clone(),
                remedy: fault.remedy.into(),
            })
            .collect();
        self.running.metrics().cut(reconciler.take_cut());
        self.running.set_guards(reconciler.guards());
        faults
    }
}

/// Cgroups are named as the service manager names them, below the mount of cgroup2; the kernel is asked by path.
fn absolute(local: &LocalEndpoint) -> LocalEndpoint {
    let mut local = local.clone();
    if let EndpointLocation::Cgroup(path) = &local.place {
        local.place = EndpointLocation::Cgroup(cgroup(path));
    }
    local
}

/// Without any cgroup2 the path stays as it is, and opening it says what is wrong.
fn cgroup(path: &Path) -> std::path::PathBuf {
    portcullis_redirect::cgroup_path(path).unwrap_or_else(|_| path.to_owned())
}
