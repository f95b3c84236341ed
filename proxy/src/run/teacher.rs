//! Brings what DNS answers teach into force while the answers are held.
//!
//! One thread teaches. A worker that has an answer whose addresses are in force already lets it go at once: it sends the
//! lesson all the same, so that the addresses are kept longer, and looks whether it was taught or forgotten meanwhile.

mod journal;
mod uses;

use std::{
    io,
    net::IpAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use portcullis_codecs::lesson::Lesson;
use portcullis_config::names::{Book, Limits};
use portcullis_listeners::{Names, Ticket};
use portcullis_rules::snapshot::Snapshot;

use self::{journal::Journal, uses::Uses};
use crate::{
    admin::metrics::Names as NameMetrics,
    run::{lessons::Lessons, ports::Kernel},
};

/// How often it is looked for addresses that have had their time.
const EXPIRE: Duration = Duration::from_secs(1);

/// Lessons that wait at a time. What comes above is not learnt, and the client is told of a failure.
const WAITING: usize = 16 * 1024;

/// What the teacher is told.
enum Word {
    /// Teach this, and let the answer go that waits for it.
    Teach(Lesson, Option<Ticket>),
    /// Write down what is known, and end.
    End,
}

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
    words: SyncSender<Word>,
    moments: Arc<Moments>,
    uses: Arc<Uses>,
}

impl Names for Pupil {
    fn learn(&self, lesson: Lesson, snapshot: Option<&Snapshot>, ticket: Ticket) -> bool {
        let Some(snapshot) = snapshot else {
            self.teach(lesson, Some(ticket));
            return false;
        };
        // Whatever nobody selects is noted for the day when somebody does.
        if !snapshot.selects(&lesson.name) {
            ticket.void();
            self.teach(lesson, None);
            return true;
        }
        let moment = self.moments.still();
        if let Some(moment) = moment.filter(|_| is_in_force(&lesson, snapshot)) {
            // What was in force may have had its time before the lesson was there to keep it.
            if self.teach(lesson.clone(), None) && is_in_force(&lesson, snapshot) && self.moments.is_still(moment) {
                ticket.void();
                return true;
            }
        }
        self.teach(lesson, Some(ticket));
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
    fn teach(&self, lesson: Lesson, ticket: Option<Ticket>) -> bool {
        self.words.try_send(Word::Teach(lesson, ticket)).is_ok()
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
    words: SyncSender<Word>,
    thread: Option<JoinHandle<()>>,
}

impl Teacher {
    /// Where lessons go before anybody teaches: they wait.
    #[must_use]
    pub fn school() -> (Arc<Pupil>, Desk) {
        let (words, heard) = sync_channel(WAITING);
        let (moments, uses) = (Arc::<Moments>::default(), Arc::<Uses>::default());
        let pupil = Pupil { words: words.clone(), moments: Arc::clone(&moments), uses: Arc::clone(&uses) };
        (Arc::new(pupil), Desk { words, heard, moments, uses })
    }

    /// Ends, after what was learnt is written down.
    pub fn end(mut self) {
        drop(self.words.send(Word::End));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the teacher of names has panicked");
        }
    }
}

/// Where a teacher sits down.
pub struct Desk {
    words: SyncSender<Word>,
    heard: Receiver<Word>,
    moments: Arc<Moments>,
    uses: Arc<Uses>,
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
        let words = self.words.clone();
        let Memory { journal, clock } = memory;
        let work = Work { desk: self, lessons, journal, clock, metrics, expired: Instant::now() };
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
    expired: Instant,
}

impl<K: Kernel> Work<K> {
    fn run(mut self) {
        loop {
            match self.desk.heard.recv_timeout(EXPIRE.saturating_sub(self.expired.elapsed())) {
                Ok(Word::Teach(lesson, ticket)) => {
                    let moments = Arc::clone(&self.desk.moments);
                    moments.change(|| self.teach(&lesson, ticket));
                }
                Ok(Word::End) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.expired.elapsed() >= EXPIRE && !self.expire() {
                break;
            }
        }
        self.lessons.read(|book| self.journal.rewrite(book));
    }

    /// Only while the moments change.
    fn teach(&mut self, lesson: &Lesson, ticket: Option<Ticket>) {
        let answer: Vec<(IpAddr, u32)> = lesson.addresses.iter().map(|learnt| (learnt.address, learnt.ttl)).collect();
        let now = self.clock.now();
        let taught = self.lessons.teach(&lesson.name, &answer, now);
        if let Err(error) = &taught {
            self.metrics.untaught.inc();
            tracing::error!("{error}; the client is told of a failure");
        }
        if let Some(ticket) = ticket {
            ticket.redeem(taught.is_ok());
        }
        self.lessons.read(|book| {
            self.metrics.show(book);
            self.journal.note(&lesson.name, book);
        });
    }

    /// Forgets what has had its time; false when it is told to end. All lessons that have come are taught before: one of
    /// them may be why an answer was let go.
    fn expire(&mut self) -> bool {
        self.expired = Instant::now();
        let moments = Arc::clone(&self.desk.moments);
        moments.change(|| {
            loop {
                match self.desk.heard.try_recv() {
                    Ok(Word::Teach(lesson, ticket)) => self.teach(&lesson, ticket),
                    Ok(Word::End) | Err(TryRecvError::Disconnected) => return false,
                    Err(TryRecvError::Empty) => break,
                }
            }
            let uses = &self.desk.uses;
            match self.lessons.expire(self.clock.now(), &|address| uses.are_there(address)) {
                Ok(_) => {}
                Err(error) => tracing::error!("{error}; it is tried again"),
            }
            self.lessons.read(|book| self.metrics.show(book));
            true
        })
    }
}
