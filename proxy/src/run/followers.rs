//! The subscribers to learned names, and what each still has to read.
//!
//! A subscriber receives the names that changed, and reads their state when it gets to them. A name that changes often
//! is read once, and what is read is never older than what was read before. Without subscribers, an answer costs one
//! load more.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

/// Names that one follower has still to look at. When there are more it looks at all of them.
const MOST_DUE: usize = 4096;

/// What a follower has to look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FollowerWork {
    /// These names.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// All names. Then there are none above.
    pub(crate) everything: bool,
    /// Names that were due and are no more, because everything is.
    pub(crate) lost: u64,
}

#[derive(Debug, Default)]
struct Subscriber {
    due: Mutex<FollowerWork>,
    waker: Notify,
}

impl Subscriber {
    fn due(&self) -> MutexGuard<'_, FollowerWork> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn everything(&self) {
        let mut due = self.due();
        due.everything = true;
        due.names.clear();
        drop(due);
        self.waker.notify_one();
    }

    fn changed(&self, names: &[Arc<str>]) {
        let mut due = self.due();
        if due.everything {
            if due.lost > 0 {
                due.lost += names.len() as u64;
            }
            return;
        }
        due.names.extend(names.iter().cloned());
        if due.names.len() > MOST_DUE {
            *due = FollowerWork { names: BTreeSet::new(), everything: true, lost: due.names.len() as u64 };
        }
        drop(due);
        self.waker.notify_one();
    }
}

/// Everybody who follows.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    subscribers: ArcSwap<Vec<Arc<Subscriber>>>,
}

impl Followers {
    /// Whether there is anybody.
    pub(crate) fn any(&self) -> bool {
        !self.subscribers.load().is_empty()
    }

    /// Something is other than before with these names, in normal form.
    pub(crate) fn changed(&self, names: impl Iterator<Item = Arc<str>>) {
        let names: Vec<Arc<str>> = names.collect();
        if !names.is_empty() {
            self.subscribers.load().iter().for_each(|subscriber| subscriber.changed(&names));
        }
    }

    /// Something may be other than before with any name.
    pub(crate) fn all_changed(&self) {
        self.subscribers.load().iter().for_each(|subscriber| subscriber.everything());
    }

    /// A new follower, who has to look at everything first.
    pub(crate) fn sit(self: &Arc<Self>) -> Follower {
        let subscriber = Arc::<Subscriber>::default();
        subscriber.everything();
        self.subscribers.rcu(|subscribers| {
            let mut subscribers = Vec::clone(subscribers);
            subscribers.push(Arc::clone(&subscriber));
            subscribers
        });
        Follower { subscriber, followers: Arc::clone(self) }
    }
}

/// One follower.
#[derive(Debug)]
pub(crate) struct Follower {
    subscriber: Arc<Subscriber>,
    followers: Arc<Followers>,
}

impl Follower {
    /// What there is to look at, when there is something. Cancelling loses nothing.
    pub(crate) async fn due(&self) -> FollowerWork {
        loop {
            let due = std::mem::take(&mut *self.subscriber.due());
            if due != FollowerWork::default() {
                return due;
            }
            self.subscriber.waker.notified().await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.followers.subscribers.rcu(|subscribers| {
            let mut subscribers = Vec::clone(subscribers);
            subscribers.retain(|other| !Arc::ptr_eq(other, &self.subscriber));
            subscribers
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_that_change_often_are_due_once_and_too_many_are_lost_and_counted() {
        let followers = Arc::<Followers>::default();
        let follower = followers.sit();
        assert!(follower.due().await.everything, "first of all everything");
        let name = |number: usize| Arc::<str>::from(format!("n{number}.test."));
        (0..3).for_each(|_| followers.changed([name(1), name(2)].into_iter()));
        let due = follower.due().await;
        assert_eq!(due, FollowerWork { names: BTreeSet::from([name(1), name(2)]), everything: false, lost: 0 });
        (0..MOST_DUE + 5).for_each(|number| followers.changed(std::iter::once(name(number))));
        let due = follower.due().await;
        assert_eq!((due.everything, due.names.len(), due.lost), (true, 0, MOST_DUE as u64 + 5));
        followers.all_changed();
        followers.changed(std::iter::once(name(1)));
        assert_eq!(
            follower.due().await,
            FollowerWork { everything: true, ..FollowerWork::default() },
            "nothing is lost by that"
        );
        drop(follower);
        assert!(!followers.any());
    }
}
