//! Fair shares: what one endpoint may take of something that all endpoints of the node share.

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

/// Why one more connection is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The node has all that it may have.
    Node,
    /// The endpoint has its share.
    Endpoint,
}

/// Connections of one endpoint, of all workers, and of the node.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl Connections {
    /// None of an endpoint yet, and those of the node.
    pub(crate) fn of(all: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { own: AtomicUsize::new(0), all: Arc::clone(all) })
    }

    /// Takes one more, until it is dropped.
    pub(crate) fn take(self: &Arc<Self>, most: usize, most_own: Option<usize>) -> Result<Taken, Full> {
        let all = self.all.fetch_add(1, Ordering::Relaxed);
        let own = self.own.fetch_add(1, Ordering::Relaxed);
        let taken = Taken(Arc::clone(self));
        match fits(own, all, most, most_own) {
            true => Ok(taken),
            false if all >= most => Err(Full::Node),
            false => Err(Full::Endpoint),
        }
    }
}

/// One connection that is counted.
#[derive(Debug)]
pub(crate) struct Taken(Arc<Connections>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.own.fetch_sub(1, Ordering::Relaxed);
        self.0.all.fetch_sub(1, Ordering::Relaxed);
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
        let (one, other) = (Connections::of(&all), Connections::of(&all));
        let first: Vec<_> = (0..3).map(|_| one.take(4, Some(3)).unwrap()).collect();
        assert_eq!(one.take(4, Some(3)).unwrap_err(), Full::Endpoint);
        let second = other.take(4, Some(3)).unwrap();
        assert_eq!(other.take(4, Some(3)).unwrap_err(), Full::Node);
        assert_eq!(all.load(Ordering::Relaxed), 4);
        drop((first, second));
        assert_eq!((all.load(Ordering::Relaxed), one.own.load(Ordering::Relaxed)), (0, 0));
    }
}
