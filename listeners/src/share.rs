//! Fair shares: how much of a shared resource one endpoint may take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Whether one more fits, for somebody who has `own` of the `all` that are taken of `most`.
///
/// With a limit of its own (`most_own`), up to that. Without, as many as are still free: one that takes all it can get
/// leaves half, two leave a third, so whoever has few always gets more (Choudhury and Hahne, "Dynamic queue length
/// thresholds for shared-memory packet switches", 1998, with a factor of 1).
#[must_use]
pub fn fits(own: usize, all: usize, most: usize, most_own: Option<usize>) -> bool {
    all < most && most_own.map_or(own <= most - all, |most_own| own < most_own)
}

/// Why there is no more of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareExhausted {
    /// The node has all that it may have.
    Node,
    /// The endpoint has its share.
    Endpoint,
}

/// What one endpoint has of something, on all workers, and what the node has of it.
#[derive(Debug, Default)]
pub(crate) struct EndpointHoldings {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl EndpointHoldings {
    /// Nothing of an endpoint yet, and what the node has.
    pub(crate) fn of(all: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { own: AtomicUsize::new(0), all: Arc::clone(all) })
    }

    /// Whether one more would be taken.
    pub(crate) fn has_room(&self, most: usize, most_own: Option<usize>) -> Result<(), ShareExhausted> {
        let (own, all) = (self.own.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed));
        match fits(own, all, most, most_own) {
            true => Ok(()),
            false if all >= most => Err(ShareExhausted::Node),
            false => Err(ShareExhausted::Endpoint),
        }
    }

    /// Takes so many more, at least 1, until they are dropped.
    pub(crate) fn take(
        self: &Arc<Self>,
        count: usize,
        most: usize,
        most_own: Option<usize>,
    ) -> Result<ShareGuard, ShareExhausted> {
        let all = self.all.fetch_add(count, Ordering::Relaxed);
        let own = self.own.fetch_add(count, Ordering::Relaxed);
        let taken = ShareGuard { of: Arc::clone(self), count };
        // All of them fit if the last one does.
        let (own, all) = (own.saturating_add(count - 1), all.saturating_add(count - 1));
        match fits(own, all, most, most_own) {
            true => Ok(taken),
            false if all >= most => Err(ShareExhausted::Node),
            false => Err(ShareExhausted::Endpoint),
        }
    }
}

/// What an endpoint has of all that is shared.
#[derive(Clone, Debug)]
pub(crate) struct EndpointShares {
    /// Connections.
    pub(crate) connections: Arc<EndpointHoldings>,
    /// File descriptors of connections and of flows of datagrams.
    pub(crate) files: Arc<EndpointHoldings>,
    /// Bytes that are held beyond read buffers.
    pub(crate) buffered: Arc<EndpointHoldings>,
}

/// Something that is counted.
#[derive(Debug)]
pub(crate) struct ShareGuard {
    of: Arc<EndpointHoldings>,
    count: usize,
}

impl ShareGuard {
    /// How much it is.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes in what was taken of the same.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.count += std::mem::take(&mut other.count);
    }

    /// Gives back what is more than `count`.
    pub(crate) fn shrink(&mut self, count: usize) {
        let less = self.count.saturating_sub(count);
        self.of.own.fetch_sub(less, Ordering::Relaxed);
        self.of.all.fetch_sub(less, Ordering::Relaxed);
        self.count -= less;
    }
}

impl Drop for ShareGuard {
    fn drop(&mut self) {
        self.of.own.fetch_sub(self.count, Ordering::Relaxed);
        self.of.all.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_all_it_can_get_leaves_room_for_others() {
        for (takers, each, left) in [(1, 101, 99), (2, 67, 66), (4, 40, 40), (20, 10, 8)] {
            let mut own = vec![0; takers];
            let mut all = 0;
            // Each in turn takes one, until nobody gets any more.
            let mut full = false;
            while !std::mem::replace(&mut full, true) {
                for own in &mut own {
                    if fits(*own, all, 200, None) {
                        *own += 1;
                        all += 1;
                        full = false;
                    }
                }
            }
            assert!(own.iter().all(|own| own.abs_diff(each) <= 1), "{takers} have {own:?}");
            assert!((200 - all).abs_diff(left) <= 2, "{takers} leave {}", 200 - all);
        }
    }

    #[test]
    fn small_limits_and_limits_of_the_endpoint_hold_to_the_last_one() {
        for (own, all, most, most_own, wanted) in [
            (0, 0, 1, None, true),
            (1, 1, 1, None, false),
            (1, 1, 2, None, true),
            (0, 199, 200, None, true),
            (0, 200, 200, None, false),
            (199, 199, 200, Some(200), true),
            (5, 5, 200, Some(5), false),
            (4, 4, 200, Some(5), true),
            (0, 0, 200, Some(0), false),
        ] {
            assert_eq!(fits(own, all, most, most_own), wanted, "{own} of {all} of {most}, {most_own:?}");
        }
    }

    #[test]
    fn what_is_not_taken_in_is_not_counted_and_it_is_told_who_is_full() {
        let all = Arc::default();
        let (one, other) = (EndpointHoldings::of(&all), EndpointHoldings::of(&all));
        let first: Vec<_> = (0..3).map(|_| one.take(1, 4, Some(3)).unwrap()).collect();
        assert_eq!(one.take(1, 4, Some(3)).unwrap_err(), ShareExhausted::Endpoint);
        let second = other.take(1, 4, Some(3)).unwrap();
        assert_eq!(other.take(1, 4, Some(3)).unwrap_err(), ShareExhausted::Node);
        assert_eq!(all.load(Ordering::Relaxed), 4);
        drop((first, second));
        assert_eq!((all.load(Ordering::Relaxed), one.own.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn what_was_taken_grows_and_shrinks() {
        let all = Arc::default();
        let one = EndpointHoldings::of(&all);
        let mut taken = one.take(3, 100, None).unwrap();
        taken.join(one.take(4, 100, None).unwrap());
        assert_eq!((taken.count(), all.load(Ordering::Relaxed)), (7, 7));
        taken.shrink(9);
        taken.shrink(2);
        assert_eq!((taken.count(), all.load(Ordering::Relaxed), one.own.load(Ordering::Relaxed)), (2, 2, 2));
        drop(taken);
        assert_eq!((all.load(Ordering::Relaxed), one.own.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn several_are_taken_all_or_none() {
        let all = Arc::default();
        let (one, other) = (EndpointHoldings::of(&all), EndpointHoldings::of(&all));
        let mut first = Vec::new();
        while let Ok(taken) = one.take(2, 12, None) {
            first.push(taken);
        }
        assert_eq!((first.len(), one.take(2, 12, None).unwrap_err()), (3, ShareExhausted::Endpoint));
        let second: Vec<_> = std::iter::from_fn(|| other.take(2, 12, Some(12)).ok()).collect();
        assert_eq!((second.len(), other.take(2, 12, Some(12)).unwrap_err()), (3, ShareExhausted::Node));
        drop((first, second));
        assert_eq!((all.load(Ordering::Relaxed), one.own.load(Ordering::Relaxed)), (0, 0));
    }
}
