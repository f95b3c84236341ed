//! The queue from the workers to the installing thread. Waking a thread costs more than handling most answers. So the
//! thread is woken at once only if an answer waits, and otherwise handles several together. Entries have a cost, and
//! each endpoint has its share.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portcullis_listeners::share::fits;
use portcullis_rules::world::EndpointId;

/// Cost of all that waits at a time, in addresses. What comes above is refused, and so is what comes of an endpoint that has
/// its share of it.
const MOST: usize = 64 * 1024;
/// Cost of what one endpoint has done before the next has its turn.
const TURN: usize = 256;
/// So much that waits is taken without gathering more.
const PLENTY: usize = 1024;
/// How long is gathered what nobody waits for.
const GATHER: Duration = Duration::from_millis(5);

/// What the one who takes is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueConsumer {
    /// It will look by itself.
    Awake,
    /// It sleeps until anything comes.
    Idle,
    /// It sleeps until something is urgent, or there is plenty.
    Gathering,
}

/// Something that is to be done for an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueItem<T> {
    pub(super) owner: EndpointId,
    /// At least 1.
    pub(super) cost: usize,
    pub(super) content: T,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<QueueItem<T>>,
    /// Cost of what is not [done](Queue::done), of each endpoint and of all.
    costs: HashMap<EndpointId, usize>,
    cost: usize,
    /// Somebody waits for one of these.
    urgent: bool,
    closed: bool,
    taker: QueueConsumer,
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
    waker: Condvar,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let (waiting, costs) = (Vec::new(), HashMap::new());
        let state = State { waiting, costs, cost: 0, urgent: false, closed: false, taker: QueueConsumer::Awake };
        Self { state: Mutex::new(state), waker: Condvar::new() }
    }
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one in. False: it was dropped, because the queue is closed, or the endpoint has its share in it.
    pub(super) fn put(&self, item: QueueItem<T>, urgent: bool) -> bool {
        let mut state = self.state();
        let own = state.costs.get(&item.owner).copied().unwrap_or(0);
        if state.closed || !fits(own, state.cost, MOST, None) {
            return false;
        }
        *state.costs.entry(item.owner).or_default() += item.cost;
        state.cost += item.cost;
        state.waiting.push(item);
        state.urgent |= urgent;
        let wake = match state.taker {
            QueueConsumer::Awake => false,
            QueueConsumer::Idle => true,
            QueueConsumer::Gathering => state.is_worth_it(),
        };
        if wake {
            state.taker = QueueConsumer::Awake;
            drop(state);
            self.waker.notify_one();
        }
        true
    }

    /// Takes all that waits, oldest first; waits `patience` for it if there is nothing. False: the queue is closed, and
    /// nothing will come any more.
    pub(super) fn take(&self, into: &mut Vec<QueueItem<T>>, patience: Duration) -> bool {
        let mut state = self.state();
        for (taker, most) in [(QueueConsumer::Idle, patience), (QueueConsumer::Gathering, patience.min(GATHER))] {
            state.taker = taker;
            let goes_on = |state: &mut State<T>| match taker {
                QueueConsumer::Idle => state.waiting.is_empty() && !state.closed,
                _ => !state.waiting.is_empty() && !state.is_worth_it(),
            };
            let waited = self.waker.wait_timeout_while(state, most, goes_on);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.taker = QueueConsumer::Awake;
        Self::empty(&mut state, into);
        !state.closed || !into.is_empty()
    }

    /// Something that was taken is done: there is room for more of its endpoint.
    pub(super) fn done(&self, owner: EndpointId, cost: usize) {
        let mut state = self.state();
        state.cost = state.cost.saturating_sub(cost);
        if let Some(own) = state.costs.get_mut(&owner) {
            *own = own.saturating_sub(cost);
            if *own == 0 {
                state.costs.remove(&owner);
            }
        }
    }

    /// Takes all that waits now, oldest first.
    pub(super) fn take_now(&self, into: &mut Vec<QueueItem<T>>) {
        Self::empty(&mut self.state(), into);
    }

    fn empty(state: &mut State<T>, into: &mut Vec<QueueItem<T>>) {
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
        self.waker.notify_one();
    }
}

/// What was taken, in the order in which it is done: the endpoints in turn, and what is one's own as it came.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    by_owner: HashMap<EndpointId, VecDeque<QueueItem<T>>>,
    turns: VecDeque<EndpointId>,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self { by_owner: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<T> Schedule<T> {
    pub(super) fn add(&mut self, items: &mut Vec<QueueItem<T>>) {
        for item in items.drain(..) {
            let own = self.by_owner.entry(item.owner).or_default();
            if own.is_empty() {
                self.turns.push_back(item.owner);
            }
            own.push_back(item);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// What is done next: one turn of one endpoint.
    pub(super) fn turn(&mut self, into: &mut Vec<QueueItem<T>>) {
        let Some(owner) = self.turns.pop_front() else { return };
        let Some(own) = self.by_owner.get_mut(&owner) else { return };
        let mut cost = 0;
        while cost < TURN {
            let Some(item) = own.pop_front() else { break };
            cost += item.cost;
            into.push(item);
        }
        if own.is_empty() {
            self.by_owner.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
    }

    /// All that is not done yet, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.by_owner.values().flatten().map(|item| &item.content)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    const NOT_AT_ALL: Duration = Duration::ZERO;
    const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(600);

    fn item(content: usize) -> QueueItem<usize> {
        QueueItem { owner: EndpointId(1), cost: 1, content }
    }

    fn contents(taken: &mut Vec<QueueItem<usize>>) -> Vec<usize> {
        taken.drain(..).map(|item| item.content).collect()
    }

    #[test]
    fn all_that_waits_comes_in_order_and_the_rest_after_the_end() {
        let (queue, mut taken) = (Queue::default(), Vec::new());
        assert!(queue.take(&mut taken, NOT_AT_ALL) && taken.is_empty(), "nothing yet");
        assert!((0..5).all(|number| queue.put(item(number), number == 3)));
        assert!(queue.take(&mut taken, NOT_AT_ALL));
        assert_eq!(contents(&mut taken), [0, 1, 2, 3, 4]);
        queue.put(item(5), false);
        queue.take_now(&mut taken);
        queue.put(item(6), false);
        queue.close();
        assert!(!queue.put(item(7), true), "it is closed");
        assert!(queue.take(&mut taken, AS_LONG_AS_IT_TAKES));
        assert_eq!(contents(&mut taken), [5, 6]);
        assert!(!queue.take(&mut taken, AS_LONG_AS_IT_TAKES));
    }

    #[test]
    fn an_endpoint_has_its_share_of_what_waits_until_it_is_done_and_others_have_theirs() {
        let (queue, mut taken) = (Queue::default(), Vec::new());
        let put = |owner, cost| queue.put(QueueItem { owner: EndpointId(owner), cost, content: 0 }, false);
        let hog = (0..MOST).take_while(|_| put(1, 16)).count();
        assert!((MOST / 2..MOST / 2 + 32).contains(&(16 * hog)), "{hog}");
        assert!(put(2, 1), "another one has none yet");
        assert!(queue.take(&mut taken, AS_LONG_AS_IT_TAKES), "plenty is not gathered for");
        assert!(!put(1, 1), "it is taken, but not done");
        taken.drain(..).for_each(|item| queue.done(item.owner, item.cost));
        assert!(put(1, 1));
        let state = queue.state();
        assert_eq!((state.cost, state.costs.len()), (1, 1));
    }

    #[test]
    fn one_turn_of_an_endpoint_is_bounded_and_all_have_theirs() {
        let mut schedule = Schedule::default();
        let many =
            |owner, cost, count| (0..count).map(move |content| QueueItem { owner: EndpointId(owner), cost, content });
        let mut items: Vec<QueueItem<usize>> =
            many(1, 100, 1000).chain(many(2, 1, 2)).chain(many(3, 1000, 3)).collect();
        schedule.add(&mut items);
        let mut turns = Vec::new();
        while !schedule.is_empty() && turns.len() < 6 {
            let mut turn = Vec::new();
            schedule.turn(&mut turn);
            let owner = turn[0].owner.0;
            assert!(turn.iter().all(|item| item.owner.0 == owner));
            turns.push((owner, contents(&mut turn)));
        }
        let [one, two, three] = [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]];
        assert_eq!(turns, [(1, one), (2, vec![0, 1]), (3, vec![0]), (1, two), (3, vec![1]), (1, three)]);
        assert_eq!(schedule.all().count(), 1000 - 9 + 1);
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
                    all.append(&mut contents(&mut taken));
                }
                all
            })
        };
        let numbers: Vec<usize> = (0..3 * PLENTY).collect();
        for number in &numbers {
            assert!(queue.put(item(*number), number.is_multiple_of(100)));
        }
        queue.close();
        assert_eq!(taker.join().unwrap(), numbers);
    }
}
