//! What workers tell the teacher. Waking a thread costs more than most lessons: it is woken at once only for what somebody
//! waits for, and gathers the rest.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Most that waits at a time. What comes above is refused.
const MOST: usize = 16 * 1024;
/// So much that waits is taken without gathering more.
const PLENTY: usize = 1024;
/// How long is gathered what nobody waits for.
const GATHER: Duration = Duration::from_millis(5);

/// What the one who takes is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    /// It will look by itself.
    Awake,
    /// It sleeps until anything comes.
    Idle,
    /// It sleeps until something is urgent, or there is plenty.
    Gathering,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<T>,
    /// Somebody waits for one of these.
    urgent: bool,
    closed: bool,
    taker: Taker,
}

impl<T> State<T> {
    fn is_worth_it(&self) -> bool {
        self.urgent || self.closed || self.waiting.len() >= PLENTY
    }
}

/// A queue with many who put and one who takes.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    bell: Condvar,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State { waiting: Vec::new(), urgent: false, closed: false, taker: Taker::Awake };
        Self { state: Mutex::new(state), bell: Condvar::new() }
    }
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one in. False: it was dropped, because the queue is full or closed.
    pub(super) fn put(&self, item: T, urgent: bool) -> bool {
        let mut state = self.state();
        if state.closed || state.waiting.len() >= MOST {
            return false;
        }
        state.waiting.push(item);
        state.urgent |= urgent;
        let wake = match state.taker {
            Taker::Awake => false,
            Taker::Idle => true,
            Taker::Gathering => state.is_worth_it(),
        };
        if wake {
            state.taker = Taker::Awake;
            drop(state);
            self.bell.notify_one();
        }
        true
    }

    /// Takes all that waits, oldest first; waits `patience` for it if there is nothing. False: the queue is closed, and
    /// nothing will come any more.
    pub(super) fn take(&self, into: &mut Vec<T>, patience: Duration) -> bool {
        let mut state = self.state();
        for (taker, most) in [(Taker::Idle, patience), (Taker::Gathering, patience.min(GATHER))] {
            state.taker = taker;
            let goes_on = |state: &mut State<T>| match taker {
                Taker::Idle => state.waiting.is_empty() && !state.closed,
                _ => !state.waiting.is_empty() && !state.is_worth_it(),
            };
            let waited = self.bell.wait_timeout_while(state, most, goes_on);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taker = Taker::Awake;
        Self::empty(&mut state, into);
        !state.closed || !into.is_empty()
    }

    /// Takes all that waits now, oldest first.
    pub(super) fn take_now(&self, into: &mut Vec<T>) {
        Self::empty(&mut self.state(), into);
    }

    fn empty(state: &mut State<T>, into: &mut Vec<T>) {
        state.urgent = false;
        if into.is_empty() {
            std::mem::swap(into, &mut state.waiting);
        } else {
            into.append(&mut state.waiting);
        }
    }

    /// Takes in nothing more. What waits can still be taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const NOT_AT_ALL: Duration = Duration::ZERO;
    const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(600);

    #[test]
    fn all_that_waits_comes_in_order_and_the_rest_after_the_end() {
        let (queue, mut taken) = (Queue::default(), Vec::new());
        assert!(queue.take(&mut taken, NOT_AT_ALL) && taken.is_empty(), "nothing yet");
        assert!((0..5).all(|number| queue.put(number, number == 3)));
        assert!(queue.take(&mut taken, NOT_AT_ALL));
        assert_eq!(std::mem::take(&mut taken), [0, 1, 2, 3, 4]);
        queue.put(5, false);
        queue.take_now(&mut taken);
        queue.put(6, false);
        queue.close();
        assert!(!queue.put(7, true), "it is closed");
        assert!(queue.take(&mut taken, AS_LONG_AS_IT_TAKES));
        assert_eq!(std::mem::take(&mut taken), [5, 6]);
        assert!(!queue.take(&mut taken, AS_LONG_AS_IT_TAKES));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let (queue, mut taken) = (Queue::default(), Vec::new());
        assert!((0..MOST).all(|number| queue.put(number, false)));
        assert!(!queue.put(MOST, true));
        assert!(queue.take(&mut taken, AS_LONG_AS_IT_TAKES), "plenty is not gathered for");
        assert_eq!(taken.len(), MOST);
        assert!(queue.put(0, false));
    }

    #[test]
    fn whoever_takes_is_woken_by_what_is_urgent_by_plenty_and_by_the_end() {
        // Each wait would last longer than any test: it ends because it is woken.
        let queue = Arc::new(Queue::default());
        let taker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let (mut taken, mut all) = (Vec::new(), Vec::new());
                while queue.take(&mut taken, AS_LONG_AS_IT_TAKES) {
                    all.append(&mut taken);
                }
                all
            })
        };
        let numbers: Vec<usize> = (0..3 * PLENTY).collect();
        for number in &numbers {
            assert!(queue.put(*number, number.is_multiple_of(100)));
        }
        queue.close();
        assert_eq!(taker.join().unwrap(), numbers);
    }
}
