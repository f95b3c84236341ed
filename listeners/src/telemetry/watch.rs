//! Live verdicts for monitors. Without a monitor, a verdict costs one atomic load.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::telemetry::event::VerdictEvent;

#[derive(Debug)]
struct Subscriber {
    queue: mpsc::Sender<Arc<VerdictEvent>>,
    lost: AtomicU64,
}

/// Everybody who watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    subscribers: ArcSwap<Vec<Arc<Subscriber>>>,
}

impl Watchers {
    /// Whether anybody watches.
    pub(crate) fn any(&self) -> bool {
        !self.subscribers.load().is_empty()
    }

    /// Shows an event to everybody. Who has no room loses it.
    pub(crate) fn show(&self, event: &Arc<VerdictEvent>) {
        for subscriber in self.subscribers.load().iter() {
            if subscriber.queue.try_send(Arc::clone(event)).is_err() {
                subscriber.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn sit(self: &Arc<Self>, capacity: usize) -> Watcher {
        let (queue, events) = mpsc::channel(capacity.max(1));
        let subscriber = Arc::new(Subscriber { queue, lost: AtomicU64::new(0) });
        self.subscribers.rcu(|subscribers| {
            let mut subscribers = Vec::clone(subscribers);
            subscribers.push(Arc::clone(&subscriber));
            subscribers
        });
        Watcher { events, subscriber, watchers: Arc::clone(self) }
    }

    fn leave(&self, subscriber: &Arc<Subscriber>) {
        self.subscribers.rcu(|subscribers| {
            let mut subscribers = Vec::clone(subscribers);
            subscribers.retain(|other| !Arc::ptr_eq(other, subscriber));
            subscribers
        });
    }
}

/// Receives verdicts as they happen. Bounded: a slow reader loses the newest, and they are counted.
#[derive(Debug)]
pub struct Watcher {
    events: mpsc::Receiver<Arc<VerdictEvent>>,
    subscriber: Arc<Subscriber>,
    watchers: Arc<Watchers>,
}

impl Watcher {
    /// The next verdict, and how many were lost since the last call. Works in any async runtime; cancelling loses
    /// nothing.
    pub async fn recv(&mut self) -> Option<(Arc<VerdictEvent>, u64)> {
        let event = self.events.recv().await?;
        Some((event, self.subscriber.lost.swap(0, Ordering::Relaxed)))
    }

    /// The next verdict if one is there already.
    pub fn try_recv(&mut self) -> Option<(Arc<VerdictEvent>, u64)> {
        let event = self.events.try_recv().ok()?;
        Some((event, self.subscriber.lost.swap(0, Ordering::Relaxed)))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.leave(&self.subscriber);
    }
}
