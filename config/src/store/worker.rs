//! The thread of the store.

mod files;
mod fitting;
mod restore;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::RecommendedWatcher;
use portcullis_rules::{
    bounds::Effort, params::FlowParams, pattern::Patterns, schema::Schema, settings::PolicySettings, snapshot::Snapshot,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use super::{
    Applied, OpenError, StoreOptions, View,
    disk::Disk,
    fit::FitOutcome,
    key::{ResourceKind, StoreKey},
    references,
    table::{ResourceOrigin, ResourceTable},
    unbound::{self, Warnings},
    update::{self, Update, UpdateOutcome},
};
use crate::{
    node::{NodeSink, NodeStatus, SteeringFault},
    policy::Language,
    problem::DocumentProblem,
    proto::{self, Outcome, ResourceResult},
};

/// Most updates that are brought into force together.
const MOST_TOGETHER: usize = 256;
/// How long files have to be left alone, or nearly so, before they are read: editors and mounts change several.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// What the thread is asked.
pub(crate) enum StoreJob {
    Update { update: Update, dry_run: bool, reply: Reply },
    Files { reply: Option<Reply> },
    Moved { reply: Reply },
    Reconfigure { settings: PolicySettings, params: Arc<FlowParams>, resources: Vec<PathBuf>, reply: Reply },
    Close { reply: oneshot::Sender<()> },
}

/// Where an answer goes.
type Reply = oneshot::Sender<Applied>;

/// What the thread holds.
pub(crate) struct StoreWorker {
    paths: Vec<PathBuf>,
    settings: PolicySettings,
    params: Arc<FlowParams>,
    schemas: Vec<&'static Schema>,
    disk: Disk,
    sink: Box<dyn NodeSink>,
    node: Arc<dyn NodeStatus>,
    view: Arc<ArcSwap<View>>,
    table: ResourceTable,
    revision: u64,
    waker: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// What was damaged at the start.
    damages: Vec<String>,
    file_faults: Vec<String>,
    /// What policies name and is not there.
    reference_faults: Vec<String>,
    disk_faults: BTreeMap<ResourceKind, String>,
    /// Why nothing of the last update is in force.
    bounds_fault: Option<String>,
    /// What policies in force do not bind.
    unbound: Warnings,
    notes: Vec<String>,
    /// Regular expressions that are compiled already.
    patterns: Patterns,
    /// The node's own addresses, as they were compiled last.
    node_addresses: Vec<IpAddr>,
}

/// One answer that waits for what it tells to be in force.
type WaitingReply = (Option<Reply>, Vec<ResourceResult>);

impl StoreWorker {
    /// Brings into force what was there before, and what the files say.
    pub(crate) fn open(
        options: StoreOptions,
        sink: Box<dyn NodeSink>,
        node: Arc<dyn NodeStatus>,
    ) -> Result<Self, OpenError> {
        let StoreOptions { state_directory, resources, settings, params, schemas } = options;
        let disk = Disk::open(&state_directory).map_err(|source| OpenError::State { path: state_directory, source })?;
        let view =
            View { table: Arc::default(), revision: 0, settings, faults: Vec::new(), node_addresses: Vec::new() };
        let mut worker = Self {
            paths: absolute(resources),
            settings,
            params: Arc::new(params),
            schemas,
            disk,
            sink,
            node,
            view: Arc::new(ArcSwap::from_pointee(view)),
            table: ResourceTable::default(),
            revision: 0,
            waker: Arc::default(),
            watcher: None,
            damages: Vec::new(),
            file_faults: Vec::new(),
            reference_faults: Vec::new(),
            disk_faults: BTreeMap::new(),
            bounds_fault: None,
            unbound: Warnings::new(),
            notes: Vec::new(),
            patterns: Patterns::default(),
            node_addresses: Vec::new(),
        };
        worker.restore();
        let mut done = worker.read_files();
        done.changed = true;
        if !worker.damages.is_empty() {
            // What was sound is not on disk any more: the damaged file is set aside.
            done.dirty.extend(ResourceKind::ALL);
        }
        worker.begin(done);
        Ok(worker)
    }

    pub(crate) fn view(&self) -> Arc<ArcSwap<View>> {
        Arc::clone(&self.view)
    }

    /// Starts the thread.
    pub(crate) fn start(self, jobs: mpsc::Receiver<StoreJob>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let run = move || runtime.block_on(self.run(jobs));
        std::thread::Builder::new().name("store".into()).spawn(run).map(drop)
    }

    async fn run(mut self, mut jobs: mpsc::Receiver<StoreJob>) {
        let waker = Arc::clone(&self.waker);
        let mut due: Option<Instant> = None;
        loop {
            let wake = due.unwrap_or_else(Instant::now);
            let job = tokio::select! {
                job = jobs.recv() => job,
                () = waker.notified(), if due.is_none() => {
                    due = Some(Instant::now() + DEBOUNCE);
                    continue;
                }
                () = sleep_until(wake), if due.is_some() => {
                    due = None;
                    Some(StoreJob::Files { reply: None })
                }
            };
            let Some(job) = job else { return };
            let mut batch = vec![job];
            while batch.len() < MOST_TOGETHER
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            if let Some(closed) = self.work(batch) {
                jobs.close();
                drop(self);
                // Whoever waited may have gone.
                let _ = closed.send(());
                return;
            }
        }
    }

    /// Does several jobs and brings them into force together. Tells who asked for the end.
    fn work(&mut self, batch: Vec<StoreJob>) -> Option<oneshot::Sender<()>> {
        let mut closed = None;
        let mut waiting: Vec<WaitingReply> = Vec::new();
        let mut all = UpdateOutcome::default();
        let before = (self.table.clone(), self.settings);
        for job in batch {
            let (reply, done) = match job {
                StoreJob::Update { update, dry_run: true, reply } => {
                    let done = UpdateOutcome { results: self.try_out(update), ..UpdateOutcome::default() };
                    (Some(reply), done)
                }
                StoreJob::Update { update, reply, .. } => (Some(reply), self.update(update)),
                StoreJob::Files { reply } => (reply, self.read_files()),
                StoreJob::Moved { reply } => {
                    let changed = self.node_addresses != self.sink.node_addresses();
                    (Some(reply), UpdateOutcome { changed, ..UpdateOutcome::default() })
                }
                StoreJob::Reconfigure { settings, params, resources, reply } => {
                    (Some(reply), self.reconfigure(settings, params, resources))
                }
                StoreJob::Close { reply } => {
                    closed = Some(reply);
                    break;
                }
            };
            all.changed |= done.changed;
            all.freed |= done.freed;
            all.dirty.extend(done.dirty);
            waiting.push((reply, done.results));
        }
        let owed = self.bounds_fault.is_some();
        let (snapshot, fitted) = if all.changed { self.fit(&before) } else { (None, FitOutcome::default()) };
        for (_, results) in &mut waiting {
            fitting::refuse(results, &fitted);
        }
        let mut faults = self.bring_into_force(&all.dirty, snapshot);
        if all.freed && fitted.nothing.is_none() {
            faults = self.bring_back(owed).unwrap_or(faults);
        }
        self.answer(waiting, &faults);
        closed
    }

    fn answer(&self, waiting: Vec<WaitingReply>, faults: &[SteeringFault]) {
        let mut warnings: BTreeMap<StoreKey, Vec<DocumentProblem>> = BTreeMap::new();
        for fault in faults {
            if let Some(key) = self.table.key_of(fault.endpoint) {
                let problem = DocumentProblem::new(&fault.field, &fault.message, &fault.remedy).as_warning();
                warnings.entry(key.clone()).or_default().push(problem);
            }
        }
        for (reply, mut results) in waiting {
            for result in &mut results {
                let key = result.key.as_ref().and_then(StoreKey::from_proto);
                let accepted = result.outcome() == Outcome::Accepted;
                let found = key.filter(|_| accepted).and_then(|key| warnings.get(&key));
                result.problems.extend(found.into_iter().flatten().cloned().map(Into::into));
                let lost =
                    result.key.as_ref().and_then(StoreKey::from_proto).and_then(|key| self.disk_faults.get(&key.kind));
                if let Some(fault) = lost.filter(|_| accepted) {
                    let remedy = "it is in force, but will be gone after a restart: make room in the state directory";
                    result.problems.push(DocumentProblem::new("", fault, remedy).as_warning().into());
                }
            }
            if let Some(reply) = reply {
                // Whoever asked may have gone; what was asked is done nevertheless.
                let _ = reply.send(Applied { results, revision: self.revision });
            }
        }
    }

    fn update(&mut self, update: Update) -> UpdateOutcome {
        let effort = Effort::new(self.settings.bounds);
        let language = language(&self.schemas, &self.settings, &effort);
        let done = update::apply(&mut self.table, update, language);
        for result in done.results.iter().filter(|result| result.outcome() == Outcome::Rejected) {
            self.tell_rejected(result, ResourceOrigin::API);
        }
        done
    }

    fn tell_rejected(&self, result: &ResourceResult, origin: &str) {
        let key = result.key.as_ref().and_then(StoreKey::from_proto);
        let name = key.as_ref().map_or_else(|| "a resource without a name".to_owned(), ToString::to_string);
        for problem in result.problems.iter().filter(|problem| !problem.warning) {
            let proto::Problem { field, message, remedy, line, column, .. } = problem;
            tracing::warn!(resource = name, origin, field, line, column, remedy, "refused: {message}");
        }
        let kind = result.key.as_ref().and_then(|key| ResourceKind::from_proto(key.r#type()));
        if let Some(kind) = kind {
            self.node.rejected(kind.as_str(), fitting::reason(result));
        }
    }

    fn reconfigure(
        &mut self,
        settings: PolicySettings,
        params: Arc<FlowParams>,
        resources: Vec<PathBuf>,
    ) -> UpdateOutcome {
        self.paths = absolute(resources);
        let read_otherwise = self.settings != settings;
        let changed = read_otherwise || self.params != params;
        (self.settings, self.params) = (settings, params);
        if read_otherwise {
            update::reread(&mut self.table, language(&self.schemas, &self.settings, &Effort::endless()));
        }
        let mut done = self.read_files();
        done.changed |= changed;
        done
    }

    /// Keeps what is new on disk, and hands on what it was compiled to.
    fn bring_into_force(&mut self, dirty: &BTreeSet<ResourceKind>, snapshot: Option<Snapshot>) -> Vec<SteeringFault> {
        for kind in dirty {
            match self.disk.save(*kind, &self.table) {
                Ok(()) => drop(self.disk_faults.remove(kind)),
                Err(error) => {
                    let fault = format!("{} resources are not kept on disk: {error}", kind.as_str());
                    tracing::error!("{fault}");
                    self.disk_faults.insert(*kind, fault);
                }
            }
        }
        let faults = snapshot.map(|snapshot| self.hand_on(snapshot)).unwrap_or_default();
        let faults_shown = [&self.damages, &self.file_faults, &self.reference_faults]
            .into_iter()
            .flatten()
            .chain(&self.bounds_fault)
            .chain(self.disk_faults.values());
        self.view.store(Arc::new(View {
            table: Arc::new(self.table.clone()),
            revision: self.revision,
            settings: self.settings,
            faults: faults_shown.cloned().collect(),
            node_addresses: self.node_addresses.clone(),
        }));
        faults
    }

    fn hand_on(&mut self, snapshot: Snapshot) -> Vec<SteeringFault> {
        self.revision += 1;
        let missing = references::faults(&self.table);
        for fault in missing.iter().filter(|fault| !self.reference_faults.contains(fault)) {
            tracing::warn!("{fault}");
        }
        self.reference_faults = missing;
        let before = std::mem::replace(&mut self.unbound, unbound::all(&self.table));
        unbound::log_new(&self.unbound, &before);
        let notes = unbound::notes(&self.table, self.settings.allow_localhost && self.node_addresses.is_empty());
        for note in notes.iter().filter(|note| !self.notes.contains(note)) {
            tracing::warn!("{note}");
        }
        self.notes = notes;
        let faults = self.sink.apply(self.revision, Arc::new(snapshot), &self.table.locals());
        let counts = self.table.counts();
        tracing::info!(
            revision = self.revision,
            policies = counts.policies,
            endpoints = counts.endpoints,
            local_endpoints = counts.local_endpoints,
            services = counts.services,
            cidr_groups = counts.cidr_groups,
            secrets = counts.secrets,
            "in force"
        );
        faults
    }
}

fn language<'a>(schemas: &'a [&'static Schema], settings: &'a PolicySettings, effort: &'a Effort) -> Language<'a> {
    Language { schemas, settings, effort, live: true }
}

/// The same path for the same file wherever the node was started.
fn absolute(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect()
}
