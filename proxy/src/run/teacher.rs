//! Brings what DNS answers teach into force while the answers are held.
//!
//! One thread teaches. A worker that has an answer whose addresses are in force already lets it go at once: it sends the
//! lesson all the same, unless it did in the same second, so that the addresses are kept longer, and looks whether it was
//! taught or forgotten meanwhile. While the kernel lags behind for some endpoint, every answer is the teacher's.

mod journal;
mod queue;
mod recent;
mod uses;

use std::{
    collections::{BTreeSet, HashSet},
    io,
    net::IpAddr,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use portcullis_codecs::lesson::Lesson;
use portcullis_config::names::{Book, Limits};
use portcullis_listeners::{Names, Ticket};
use portcullis_rules::{snapshot::Snapshot, world::EndpointId};

use self::{journal::Journal, queue::Queue, recent::Recent, uses::Uses};
use crate::{
    admin::metrics::Names as NameMetrics,
    run::{lessons::Lessons, open::Pace, ports::Kernel},
};

/// How often it is looked for addresses that have had their time.
const EXPIRE: Duration = Duration::from_secs(1);

/// Names whose time was renewed that are kept in mind until they are written down, all together.
const RENEWED: usize = 16 * 1024;

/// A lesson, and the answer that waits for it.
type Word = (Lesson, Option<Held>);

/// The ticket of an answer, and the endpoint that it is for.
type Held = (EndpointId, Ticket);

/// Numbers of moments: odd while something is taught or forgotten.
#[derive(Debug, Default)]
struct Moments(AtomicU64);

impl Moments {
    /// The moment, if nothing changes in it.
    fn still(&self) -> Option<u64> {
        let moment = self.0.load(Ordering::SeqCst);
        moment.is_multiple_of(2).then_some(moment)
    }

    fn is_still(&self, moment: u64) -> bool {
        self.0.load(Ordering::SeqCst) == moment
    }

    fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        let done = change();
        self.0.fetch_add(1, Ordering::SeqCst);
        done
    }
}

/// Takes lessons of the workers.
pub struct Pupil {
    words: Arc<Queue<Word>>,
    recent: Recent,
    moments: Arc<Moments>,
    uses: Arc<Uses>,
    lags: Arc<OnceLock<Arc<AtomicBool>>>,
}

impl Names for Pupil {
    fn learn(&self, endpoint: EndpointId, lesson: Lesson, snapshot: Option<&Snapshot>, ticket: Ticket) -> bool {
        let Some(snapshot) = snapshot else {
            self.teach(lesson, Some((endpoint, ticket)));
            return false;
        };
        // Whatever nobody selects is noted for the day when somebody does.
        if !snapshot.selects(&lesson.name) {
            ticket.void();
            self.remind(&lesson);
            return true;
        }
        let moment = self.moments.still();
        if let Some(moment) = moment.filter(|_| is_in_force(&lesson, snapshot)) {
            // What was in force may have had its time before the lesson was there to keep it.
            if self.remind(&lesson)
                && is_in_force(&lesson, snapshot)
                && self.moments.is_still(moment)
                && !self.kernel_lags()
            {
                ticket.void();
                return true;
            }
        }
        self.teach(lesson, Some((endpoint, ticket)));
        false
    }

    fn opened(&self, address: IpAddr) {
        self.uses.begin(address);
    }

    fn closed(&self, address: IpAddr) {
        self.uses.end(address);
    }
}

impl Pupil {
    /// Tells whether the teacher will hear of it. If not, the ticket is lost, which is a failure.
    fn teach(&self, lesson: Lesson, held: Option<Held>) -> bool {
        let urgent = held.is_some();
        self.words.put((lesson, held), urgent)
    }

    /// Whether the kernel may lack what the snapshot says; before anybody teaches, it does.
    fn kernel_lags(&self) -> bool {
        self.lags.get().is_none_or(|lags| lags.load(Ordering::SeqCst))
    }

    /// The same for a lesson that nobody waits for. The teacher has heard of it if it was told in this second.
    fn remind(&self, lesson: &Lesson) -> bool {
        let mark = self.recent.mark(lesson);
        if self.recent.has(mark) {
            return true;
        }
        let told = self.teach(lesson.clone(), None);
        if told {
            self.recent.note(mark);
        }
        told
    }
}

/// Whether the name of a lesson is known for each of its addresses.
fn is_in_force(lesson: &Lesson, snapshot: &Snapshot) -> bool {
    lesson.addresses.iter().all(|learnt| {
        let names = snapshot.names_of(learnt.address);
        names.is_some_and(|names| names.iter().any(|name| **name == *lesson.name))
    })
}

/// The time of the book: it begins at the time of day and never jumps.
#[derive(Clone, Copy, Debug)]
struct Clock {
    begin: u64,
    began: Instant,
}

impl Clock {
    fn new() -> Self {
        let begin = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { begin, began: Instant::now() }
    }

    fn now(&self) -> u64 {
        self.begin + self.began.elapsed().as_secs()
    }
}

/// Where what is known is written down, and by which clock.
#[derive(Debug)]
pub struct Memory {
    journal: Journal,
    clock: Clock,
}

impl Memory {
    /// Reads what is written below a state directory: what was known when the node last ended. What cannot be read is
    /// said, and begun anew.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn open(state: &Path, limits: Limits) -> io::Result<(Book, Self)> {
        let clock = Clock::new();
        let (journal, book) = Journal::open(state, limits, clock.now())?;
        Ok((book, Self { journal, clock }))
    }
}

/// The thread that teaches.
pub struct Teacher {
    words: Arc<Queue<Word>>,
    thread: Option<JoinHandle<()>>,
}

impl Teacher {
    /// Where lessons go before anybody teaches: they wait.
    #[must_use]
    pub fn school() -> (Arc<Pupil>, Desk) {
        let desk = Desk::default();
        let (words, moments) = (Arc::clone(&desk.words), Arc::clone(&desk.moments));
        let (uses, lags) = (Arc::clone(&desk.uses), Arc::clone(&desk.lags));
        (Arc::new(Pupil { words, recent: Recent::default(), moments, uses, lags }), desk)
    }

    /// Ends, after what was learnt is written down.
    pub fn end(mut self) {
        self.words.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the teacher of names has panicked");
        }
    }
}

/// Where a teacher sits down.
#[derive(Default)]
pub struct Desk {
    words: Arc<Queue<Word>>,
    moments: Arc<Moments>,
    uses: Arc<Uses>,
    lags: Arc<OnceLock<Arc<AtomicBool>>>,
}

impl Drop for Desk {
    /// Nobody teaches any more, also after a panic: what waits is a failure.
    fn drop(&mut self) {
        self.words.close();
        self.words.take_now(&mut Vec::new());
    }
}

impl Desk {
    /// Begins to teach. The book of the lessons is that of the memory.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn begin<K: Kernel + 'static>(
        self,
        lessons: Lessons<K>,
        memory: Memory,
        metrics: NameMetrics,
    ) -> io::Result<Teacher> {
        let words = Arc::clone(&self.words);
        self.lags.get_or_init(|| lessons.lags());
        let Memory { journal, clock } = memory;
        let (fresh, renewed, expired) = (Vec::new(), HashSet::new(), Instant::now());
        let (looks, blind) = (Pace::default(), false);
        let work = Work { desk: self, lessons, journal, clock, metrics, fresh, renewed, expired, looks, blind };
        let thread = thread::Builder::new().name("names".to_owned()).spawn(move || work.run())?;
        Ok(Teacher { words, thread: Some(thread) })
    }
}

struct Work<K> {
    desk: Desk,
    lessons: Lessons<K>,
    journal: Journal,
    clock: Clock,
    metrics: NameMetrics,
    /// Names with other addresses than the journal knows.
    fresh: Vec<String>,
    /// Names that hold longer than the journal knows.
    renewed: HashSet<String>,
    expired: Instant,
    /// How often it is looked which connections are open.
    looks: Pace,
    /// That failed, and was said.
    blind: bool,
}

impl<K: Kernel> Work<K> {
    fn run(mut self) {
        let mut words = Vec::new();
        while self.desk.words.take(&mut words, EXPIRE.saturating_sub(self.expired.elapsed())) {
            let moments = Arc::clone(&self.desk.moments);
            moments.change(|| self.teach_all(&mut words));
            if self.expired.elapsed() >= EXPIRE {
                self.expire(&mut words);
            }
            self.note();
        }
        self.lessons.read(|book| self.journal.rewrite(book));
    }

    /// Only while the moments change.
    fn teach_all(&mut self, words: &mut Vec<Word>) {
        words.drain(..).for_each(|(lesson, held)| self.teach(lesson, held));
    }

    fn teach(&mut self, lesson: Lesson, held: Option<Held>) {
        let answer: Vec<(IpAddr, u32)> = lesson.addresses.iter().map(|learnt| (learnt.address, learnt.ttl)).collect();
        let now = self.clock.now();
        let taught = self.lessons.teach(&lesson.name, &answer, now);
        if let Err(error) = &taught {
            self.metrics.untaught.inc();
            tracing::error!("{error}; until it is, the endpoint is told of failures where it asks for that");
        }
        if let Some((endpoint, ticket)) = held {
            let settled = self.lessons.settle(endpoint, &answer);
            if let Err(reason) = &settled {
                tracing::debug!(endpoint = endpoint.0, name = lesson.name, "an answer is not let go: {reason}");
            }
            ticket.redeem(settled.is_ok());
        }
        match taught {
            Ok(false) => drop(self.renewed.insert(lesson.name)),
            Ok(true) | Err(_) => self.fresh.push(lesson.name),
        }
    }

    /// Forgets what has had its time. All lessons that have come are taught before: one of them may be why an answer was
    /// let go.
    fn expire(&mut self, words: &mut Vec<Word>) {
        self.expired = Instant::now();
        let Some(open) = self.open_addresses() else { return };
        let moments = Arc::clone(&self.desk.moments);
        moments.change(|| {
            self.desk.words.take_now(words);
            self.teach_all(words);
            let uses = &self.desk.uses;
            let in_use = |address| uses.are_there(address) || open.contains(&address);
            match self.lessons.expire(self.clock.now(), &in_use) {
                Ok(_) => {}
                Err(error) => tracing::error!("{error}; it is tried again"),
            }
        });
        self.fresh.extend(self.renewed.drain());
    }

    /// The addresses to which connections are open that nobody relays; `None` where some may be due and it is not time to look
    /// again yet. An address that is not seen because looking failed has its time: what is open goes on, new ones are refused.
    fn open_addresses(&mut self) -> Option<BTreeSet<IpAddr>> {
        let now = self.clock.now();
        if self.lessons.read(Book::due).is_none_or(|due| due > now) {
            return Some(BTreeSet::new());
        }
        let began = Instant::now();
        if !self.looks.is_due(began) {
            return None;
        }
        let found = self.lessons.open_addresses();
        self.looks.note(Instant::now(), began.elapsed());
        if let Err(error) = &found
            && !self.blind
        {
            tracing::warn!(error, "addresses of names may be forgotten while connections to them are open");
        }
        self.blind = found.is_err();
        Some(found.unwrap_or_default())
    }

    /// Writes down what is new at once, and what holds longer each second.
    fn note(&mut self) {
        if self.renewed.len() >= RENEWED {
            self.fresh.extend(self.renewed.drain());
        }
        self.lessons.read(|book| {
            self.metrics.show(book);
            self.journal.note(self.fresh.iter().map(String::as_str), book);
        });
        self.fresh.clear();
    }
}

#[cfg(test)]
mod tests;
