//! A queue of answers in the order of their requests. Some answers come from the server, some from the relay.
//!
//! Protocols without such an order do not need it. DNS over TCP allows any order (RFC 7766 §6.2.1.1), so a refusal is
//! sent at once. HTTP/2 has streams.

use std::collections::VecDeque;

/// Most places for answers that are kept when none is due any more.
const KEPT: usize = 64;

/// Who answers one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer<S, O> {
    /// The server: what has to be known of the request to read its answer.
    Server(S),
    /// We do: the bytes, or what they are made of when their turn comes.
    Ours(O),
    /// Both: the server answers a part of the request, and our answer to the rest goes in front of what it says in the same
    /// message.
    Both(S, O),
}

/// There is no room for one more answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many answers are due")]
pub struct QueueFull;

/// The answers that are due on one connection, the oldest first. The oldest one needs no memory of its own: most connections
/// never have two.
#[derive(Debug)]
pub struct AnswerQueue<S, O> {
    first: Option<Answerer<S, O>>,
    rest: VecDeque<Answerer<S, O>>,
    most: u32,
    /// The last word is among them.
    ends: bool,
}

impl<S, O> AnswerQueue<S, O> {
    /// One for so many answers, at least 1.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
        Self { first: None, rest: VecDeque::new(), most, ends: false }
    }

    /// How many answers are due.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Whether no answer is due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether [`AnswerQueue::push`] would fail: no further request can be taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ends || self.len() >= self.most as usize
    }

    /// The answer whose turn it is.
    #[must_use]
    pub fn front(&self) -> Option<&Answerer<S, O>> {
        self.first.as_ref()
    }

    /// The answer to the newest request.
    pub fn last_mut(&mut self) -> Option<&mut Answerer<S, O>> {
        self.rest.back_mut().or(self.first.as_mut())
    }

    /// Takes the answer to one more request in, behind all others.
    ///
    /// # Errors
    /// So many are due already, or the [last word](Self::push_last). The request must not go on, as nothing could tell its
    /// answer from another one's.
    pub fn push(&mut self, answerer: Answerer<S, O>) -> Result<(), QueueFull> {
        if self.is_full() {
            return Err(QueueFull);
        }
        self.put(answerer);
        Ok(())
    }

    /// Takes in what we say last on the connection, whatever else is due. Nothing can be said behind it, so what comes then is
    /// dropped.
    pub fn push_last(&mut self, ours: O) {
        if !self.ends {
            self.put(Answerer::Ours(ours));
            self.ends = true;
        }
    }

    fn put(&mut self, answerer: Answerer<S, O>) {
        if self.first.is_none() {
            self.first = Some(answerer);
        } else {
            self.rest.push_back(answerer);
        }
    }

    /// Takes the oldest out, and gives the memory back once nothing is due.
    pub fn pop(&mut self) -> Option<Answerer<S, O>> {
        let first = std::mem::replace(&mut self.first, self.rest.pop_front());
        if self.first.is_none() && self.rest.capacity() > KEPT {
            self.rest = VecDeque::new();
        }
        first
    }

    /// Takes the oldest out if it is ours alone: it can be said now.
    pub fn pop_ours(&mut self) -> Option<O> {
        if !matches!(self.first, Some(Answerer::Ours(_))) {
            return None;
        }
        match self.pop() {
            Some(Answerer::Ours(ours)) => Some(ours),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Queue = AnswerQueue<u32, &'static str>;

    #[test]
    fn ours_waits_for_what_the_server_has_to_say_first() {
        let mut queue = Queue::new(8);
        for answerer in [Answerer::Ours("a"), Answerer::Server(1), Answerer::Ours("b"), Answerer::Both(2, "c")] {
            queue.push(answerer).unwrap();
        }
        assert_eq!((queue.pop_ours(), queue.pop_ours()), (Some("a"), None));
        assert_eq!(queue.pop(), Some(Answerer::Server(1)));
        assert_eq!((queue.pop_ours(), queue.pop_ours()), (Some("b"), None));
        assert_eq!((queue.front(), queue.len()), (Some(&Answerer::Both(2, "c")), 1));
        assert_eq!((queue.pop(), queue.pop()), (Some(Answerer::Both(2, "c")), None));
    }

    #[test]
    fn the_newest_can_still_be_changed() {
        let mut queue = Queue::new(8);
        assert_eq!(queue.last_mut(), None);
        queue.push(Answerer::Server(1)).unwrap();
        queue.push(Answerer::Server(2)).unwrap();
        *queue.last_mut().unwrap() = Answerer::Ours("no");
        assert_eq!((queue.pop(), queue.pop()), (Some(Answerer::Server(1)), Some(Answerer::Ours("no"))));
    }

    #[test]
    fn a_full_queue_takes_nothing_but_one_last_word() {
        let mut queue = Queue::new(0);
        assert_eq!((queue.push(Answerer::Server(1)), queue.push(Answerer::Server(2))), (Ok(()), Err(QueueFull)));
        queue.push_last("bye");
        queue.push_last("again");
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.pop(), Some(Answerer::Server(1)));
        assert_eq!((queue.push(Answerer::Server(3)), queue.is_full()), (Err(QueueFull), true));
        assert_eq!((queue.pop_ours(), queue.pop(), queue.is_empty()), (Some("bye"), None, true));
    }

    #[test]
    fn one_answer_needs_no_memory_and_many_give_theirs_back() {
        let mut queue = Queue::new(1000);
        queue.push(Answerer::Server(0)).unwrap();
        assert_eq!(queue.rest.capacity(), 0);
        (1..1000).for_each(|number| queue.push(Answerer::Server(number)).unwrap());
        assert!(queue.rest.capacity() >= 999);
        (0..1000).for_each(|number| assert_eq!(queue.pop(), Some(Answerer::Server(number))));
        assert_eq!(queue.rest.capacity(), 0);
    }
}
