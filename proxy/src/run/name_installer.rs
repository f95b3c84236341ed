//! Installs the addresses of DNS answers while the answers are held.
//!
//! One thread installs them. If the addresses of an answer are already in force, the worker releases it at once. It
//! still sends the answer to the thread (at most once a second), so that the addresses are kept longer, and checks
//! whether one was installed or removed meanwhile. While the kernel lags behind, every answer waits for the thread.

mod journal;
mod memory;
mod missed;
mod moments;
mod never;
mod open;
mod queue;
mod recent;
mod uses;

use std::{
    collections::{BTreeMap, HashSet},
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use portcullis_codecs::resolution::LearnedAddresses;
use portcullis_config::settings::NeverOpen;
use portcullis_listeners::{NameInstaller, PendingRelease};
use portcullis_rules::{
    snapshot::Snapshot,
    world::{EndpointId, LearnedFrom},
};

pub use self::memory::NameStorage;
use self::{
    journal::Journal,
    memory::Clock,
    missed::{LastLogged, MissReason},
    moments::ChangeCounters,
    never::NeverOpenAddresses,
    queue::{Queue, QueueItem, Schedule},
    recent::RecentAnswers,
    uses::AddressUses,
};
use crate::{
    admin::metrics::NameMetrics,
    run::{backends::KernelHandle, open::RetryPace, resolutions::LearnedState},
};

/// How often it is looked for addresses that have had their time.
const EXPIRE: Duration = Duration::from_secs(1);

/// Names whose time was renewed that are kept in mind until they are written down, all together.
const RENEWED: usize = 16 * 1024;

/// A resolution, where it came from, and the answer that waits for it.
struct InstallRequest {
    resolution: LearnedAddresses,
    origin: LearnedFrom,
    release: Option<PendingRelease>,
}

/// Takes resolutions of the workers.
pub struct InstallerHandle {
    words: Arc<Queue<InstallRequest>>,
    recent: RecentAnswers,
    moments: Arc<ChangeCounters>,
    uses: Arc<AddressUses>,
    lags: Arc<OnceLock<Arc<AtomicBool>>>,
    never: Arc<NeverOpenAddresses>,
    counts: Arc<LearningCounts>,
}

/// What the metrics are to be told.
#[derive(Debug, Default)]
struct LearningCounts {
    /// Addresses that no name opens.
    never: AtomicU64,
    /// Resolutions that were not taken because of the share of their endpoint.
    refused: Mutex<BTreeMap<EndpointId, u64>>,
}

impl NameInstaller for InstallerHandle {
    fn learn(
        &self,
        origin: LearnedFrom,
        mut resolution: LearnedAddresses,
        snapshot: Option<&Snapshot>,
        release: PendingRelease,
    ) -> bool {
        let all = resolution.addresses.len();
        resolution.addresses.retain(|learnt| !self.never.contains(learnt.address));
        if resolution.addresses.len() < all {
            self.counts.never.fetch_add((all - resolution.addresses.len()) as u64, Ordering::Relaxed);
            tracing::debug!(name = resolution.name, server = %origin.server, "an answer has addresses that no name opens");
        }
        if resolution.addresses.is_empty() {
            release.void();
            return true;
        }
        let Some(snapshot) = snapshot else {
            self.install(InstallRequest { resolution, origin, release: Some(release) });
            return false;
        };
        // A later policy may select names that no policy selects now.
        if !snapshot.selects(&resolution.name) {
            release.void();
            self.remind(&resolution, origin);
            return true;
        }
        let moment = self.moments.still();
        if let Some(moment) = moment.filter(|_| is_in_force(&resolution, &origin, snapshot)) {
            // An address in force may have expired before this answer could extend it.
            if self.remind(&resolution, origin)
                && is_in_force(&resolution, &origin, snapshot)
                && self.moments.is_still(moment)
                && !self.kernel_lags()
            {
                release.void();
                return true;
            }
        }
        self.install(InstallRequest { resolution, origin, release: Some(release) });
        false
    }

    fn opened(&self, address: IpAddr) {
        self.uses.begin(address);
    }

    fn closed(&self, address: IpAddr) {
        self.uses.end(address);
    }
}

impl InstallerHandle {
    /// Returns whether the name installer will hear of it. If not, the pending release is lost, which is a failure.
    fn install(&self, word: InstallRequest) -> bool {
        let (owner, cost, urgent) =
            (word.origin.endpoint, word.resolution.addresses.len().max(1), word.release.is_some());
        let told = self.words.put(QueueItem { owner, cost, content: word }, urgent);
        if !told {
            *self.counts.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(owner).or_default() += 1;
        }
        told
    }

    /// Ranges that no name opens, but for those that none ever does.
    #[must_use]
    pub fn never_open(&self) -> Vec<IpNet> {
        self.never.told()
    }

    /// Whether the kernel may lack what the snapshot says; before anybody tells, it does.
    fn kernel_lags(&self) -> bool {
        self.lags.get().is_none_or(|lags| lags.load(Ordering::SeqCst))
    }

    /// The same for a resolution that nobody waits for. The name installer has heard of it if it was told in this second.
    fn remind(&self, resolution: &LearnedAddresses, origin: LearnedFrom) -> bool {
        let mark = self.recent.mark(resolution, &origin);
        if self.recent.has(mark) {
            return true;
        }
        let told = self.install(InstallRequest { resolution: resolution.clone(), origin, release: None });
        if told {
            self.recent.note(mark);
        }
        told
    }
}

/// Whether the name of a resolution is known for each of its addresses, by the same server and the same endpoint.
fn is_in_force(resolution: &LearnedAddresses, origin: &LearnedFrom, snapshot: &Snapshot) -> bool {
    resolution.addresses.iter().all(|learnt| snapshot.knows(learnt.address, &resolution.name, origin))
}

/// The thread that tells.
pub struct NameInstallerThread {
    words: Arc<Queue<InstallRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl NameInstallerThread {
    /// Where resolutions go before anybody tells: they wait. Some addresses no name opens.
    #[must_use]
    pub fn queue(never: NeverOpen) -> (Arc<InstallerHandle>, InstallerQueue) {
        let mut queue = InstallerQueue::default();
        queue.never = Arc::new(NeverOpenAddresses::new(never));
        let installer = InstallerHandle {
            words: Arc::clone(&queue.words),
            recent: RecentAnswers::default(),
            moments: Arc::clone(&queue.moments),
            uses: Arc::clone(&queue.uses),
            lags: Arc::clone(&queue.lags),
            never: Arc::clone(&queue.never),
            counts: Arc::clone(&queue.counts),
        };
        (Arc::new(installer), queue)
    }

    /// Ends, after what was learnt is written down.
    pub fn end(mut self) {
        self.words.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the name installer has panicked");
        }
    }
}

/// The end of the queue at which the name installer works.
#[derive(Default)]
pub struct InstallerQueue {
    words: Arc<Queue<InstallRequest>>,
    moments: Arc<ChangeCounters>,
    uses: Arc<AddressUses>,
    lags: Arc<OnceLock<Arc<AtomicBool>>>,
    never: Arc<NeverOpenAddresses>,
    counts: Arc<LearningCounts>,
}

impl Drop for InstallerQueue {
    /// Nobody tells any more, also after a panic: what waits is a failure.
    fn drop(&mut self) {
        self.words.close();
        self.words.take_now(&mut Vec::new());
    }
}

impl InstallerQueue {
    /// Begins to tell. The name cache of the resolutions is that of the memory.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn begin<K: KernelHandle + 'static>(
        self,
        resolutions: LearnedState<K>,
        memory: NameStorage,
        metrics: NameMetrics,
    ) -> io::Result<NameInstallerThread> {
        // Entries that were learned under another `neverOpen`, or before the node had these addresses.
        let never = Arc::clone(&self.never);
        if let Err(error) = resolutions.forget(&|address| never.contains(address)) {
            tracing::error!("{error}; it is tried again");
        }
        let words = Arc::clone(&self.words);
        self.lags.get_or_init(|| resolutions.lags());
        let NameStorage { journal, clock } = memory;
        let (fresh, renewed, expired) = (Vec::new(), HashSet::new(), Instant::now());
        let (schedule, looks, blind, said) = (Schedule::default(), RetryPace::default(), false, LastLogged::default());
        let work = InstallerThread {
            queue: self,
            schedule,
            resolutions,
            journal,
            clock,
            metrics,
            fresh,
            renewed,
            expired,
            looks,
            blind,
            said,
        };
        let thread = thread::Builder::new().name("names".to_owned()).spawn(move || work.run())?;
        Ok(NameInstallerThread { words, thread: Some(thread) })
    }
}

/// A name, and the endpoint that learnt it.
type LearnedName = (String, EndpointId);

struct InstallerThread<K> {
    queue: InstallerQueue,
    /// What was taken and waits for its turn.
    schedule: Schedule<InstallRequest>,
    resolutions: LearnedState<K>,
    journal: Journal,
    clock: Clock,
    metrics: NameMetrics,
    /// Names with other addresses than the journal knows.
    fresh: Vec<LearnedName>,
    /// Names that hold longer than the journal knows.
    renewed: HashSet<LearnedName>,
    expired: Instant,
    /// How often it is looked which connections are open.
    looks: RetryPace,
    /// That failed, and was said.
    blind: bool,
    /// What was not learnt, and that was said.
    said: LastLogged,
}

impl<K: KernelHandle> InstallerThread<K> {
    fn run(mut self) {
        let (mut inbox, mut turn) = (Vec::new(), Vec::new());
        loop {
            let idle = EXPIRE.saturating_sub(self.expired.elapsed());
            let patience = if self.schedule.is_empty() { idle } else { Duration::ZERO };
            let open = self.queue.words.take(&mut inbox, patience);
            self.schedule.add(&mut inbox);
            if !open && self.schedule.is_empty() {
                break;
            }
            self.schedule.turn(&mut turn);
            let moments = Arc::clone(&self.queue.moments);
            moments.change(|| turn.drain(..).for_each(|item| self.install(item)));
            if self.expired.elapsed() >= EXPIRE {
                self.expire(&mut inbox);
            }
            self.note();
        }
        self.resolutions.read(|cache| self.journal.rewrite(cache));
    }

    /// Only while the moments change.
    fn install(
        &mut self,
        QueueItem { owner, cost, content: InstallRequest { resolution, origin, release } }: QueueItem<InstallRequest>,
    ) {
        let answer = addresses(&resolution);
        let now = self.clock.now();
        let installed = self.resolutions.install(&resolution.name, &answer, origin, now);
        if let Err(error) = &installed {
            self.metrics.uninstalled.inc();
            tracing::error!("{error}; until it is, the endpoint is told of failures where it asks for that");
        }
        if let Some(release) = release {
            let settled = self.resolutions.settle(owner, &answer);
            if let Err(reason) = &settled {
                tracing::debug!(endpoint = owner.0, name = resolution.name, "an answer is not let go: {reason}");
            }
            release.redeem(settled.is_ok());
        }
        match installed {
            Ok(false) => drop(self.renewed.insert((resolution.name, owner))),
            Ok(true) | Err(_) => self.fresh.push((resolution.name, owner)),
        }
        self.queue.words.done(owner, cost);
    }

    /// Forgets what has had its time. What waits to be learned may be why an answer was let go, so it holds on.
    fn expire(&mut self, inbox: &mut Vec<QueueItem<InstallRequest>>) {
        self.expired = Instant::now();
        let Some(open) = self.open_addresses() else { return };
        let moments = Arc::clone(&self.queue.moments);
        moments.change(|| {
            self.queue.words.take_now(inbox);
            self.schedule.add(inbox);
            let now = self.clock.now();
            let waiting =
                self.schedule.all().map(|word| (&*word.resolution.name, addresses(&word.resolution), word.origin));
            self.resolutions.renew(waiting, now);
            let uses = &self.queue.uses;
            let in_use = |address| uses.are_there(address) || open.contains(&address);
            match self.resolutions.expire(now, &in_use) {
                Ok(_) => {}
                Err(error) => tracing::error!("{error}; it is tried again"),
            }
            if self.queue.never.look()
                && let Err(error) = self.resolutions.forget(&|address| self.queue.never.contains(address))
            {
                tracing::error!("{error}; it is tried again");
            }
        });
        self.fresh.extend(self.renewed.drain());
    }

    /// Writes down what is new at once, and what holds longer each second.
    fn note(&mut self) {
        if self.renewed.len() >= RENEWED {
            self.fresh.extend(self.renewed.drain());
        }
        self.resolutions.read(|cache| {
            self.metrics.show(cache);
            self.journal.note(self.fresh.iter().map(|(name, endpoint)| (name.as_str(), *endpoint)), cache);
        });
        self.fresh.clear();
        let counts = &self.queue.counts;
        self.metrics.never.inc_by(counts.never.swap(0, Ordering::Relaxed));
        let refused = std::mem::take(&mut *counts.refused.lock().unwrap_or_else(PoisonError::into_inner));
        let snapshot = self.resolutions.snapshot();
        for (why, missed) in [(MissReason::Share, refused), (MissReason::Memory, snapshot.take_missed())] {
            self.said.tell(why, missed, &self.metrics, |id| snapshot.endpoint(id).cloned());
        }
    }
}

fn addresses(resolution: &LearnedAddresses) -> Vec<(IpAddr, u32)> {
    resolution.addresses.iter().map(|learnt| (learnt.address, learnt.ttl)).collect()
}

#[cfg(test)]
mod tests;
