//! Regular expressions over whole values, with bounded memory: one forward automaton each, and working memory that all
//! automata of a thread share.
//!
//! A value is matched from its first byte to its last, so no search, no reverse automaton and no prefilter is needed.
//! States are built while values are read (a lazy DFA) and dropped when the memory is full: time stays linear in the
//! value, and no client input can exceed the memory.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use regex_automata::{
    Anchored, Input,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::{self, WhichCaptures},
};
use regex_syntax::hir::{Hir, Look};

/// Working memory of one automaton in one thread, in bytes, unless its smallest needs more.
const WORKING: usize = 256 << 10;
/// Working memory of all automata in one thread, in bytes. Those that were used last stay.
pub(crate) const WORKING_TOGETHER: usize = 8 << 20;

/// Why an automaton cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotMade {
    /// It would be larger than it may be.
    TooLarge,
    /// The expression means something that cannot be matched, and what.
    Other(String),
}

/// Regular expressions over whole values.
pub struct Automaton {
    number: u64,
    dfa: DFA,
}

impl std::fmt::Debug for Automaton {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Automaton").field("number", &self.number).field("size", &self.size()).finish_non_exhaustive()
    }
}

/// Each automaton's own number; none is used twice in a process.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static CACHES: RefCell<Caches> = RefCell::default();
}

impl Automaton {
    /// Makes one of several expressions, at most `budget` bytes large.
    pub(crate) fn new(patterns: impl IntoIterator<Item = Hir>, budget: usize) -> Result<Self, NotMade> {
        let whole = |pattern| Hir::concat(vec![Hir::look(Look::Start), pattern, Hir::look(Look::End)]);
        let patterns: Vec<Hir> = patterns.into_iter().map(whole).collect();
        let config =
            thompson::Config::new().utf8(false).which_captures(WhichCaptures::None).nfa_size_limit(Some(budget));
        let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(&patterns).map_err(|error| {
            if error.size_limit().is_some() { NotMade::TooLarge } else { NotMade::Other(error.to_string()) }
        })?;
        let config = DFA::config().cache_capacity(WORKING).skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa);
        let dfa = dfa.map_err(|error| NotMade::Other(error.to_string()))?;
        Ok(Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), dfa })
    }

    /// Whether one of the expressions matches the whole value.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.first_match(value).is_some()
    }

    /// Which of the expressions matches the whole value; the first, if several do.
    #[must_use]
    pub fn first_match(&self, value: &[u8]) -> Option<usize> {
        let input = Input::new(value).anchored(Anchored::Yes);
        CACHES.with_borrow_mut(|caches| {
            // It gives up only at bytes that it is told to give up at, and there are none.
            let found = caches.with(self, |cache| self.dfa.try_search_fwd(cache, &input));
            found.ok().flatten().map(|found| found.pattern().as_usize())
        })
    }

    /// Its own number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Its size in bytes, without working memory.
    #[must_use]
    pub fn size(&self) -> usize {
        self.dfa.get_nfa().memory_usage() + size_of::<Self>()
    }
}

/// Working memory of one automaton.
struct Working {
    cache: Cache,
    size: usize,
    /// When it was used last.
    used: u64,
}

/// The working memory of one thread.
#[derive(Default)]
struct Caches {
    by_number: HashMap<u64, Working, foldhash::fast::RandomState>,
    size: usize,
    uses: u64,
}

impl Caches {
    fn with<T>(&mut self, automaton: &Automaton, work: impl FnOnce(&mut Cache) -> T) -> T {
        self.uses += 1;
        let working = self.by_number.entry(automaton.number).or_insert_with(|| {
            let cache = automaton.dfa.create_cache();
            Working { cache, size: 0, used: 0 }
        });
        working.used = self.uses;
        let done = work(&mut working.cache);
        let size = working.cache.memory_usage();
        self.size = self.size - working.size + size;
        working.size = size;
        while self.size > WORKING_TOGETHER && self.by_number.len() > 1 {
            self.forget_oldest();
        }
        done
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_number.iter().min_by_key(|(_, working)| working.used).map(|(number, _)| *number);
        if let Some(working) = oldest.and_then(|number| self.by_number.remove(&number)) {
            self.size -= working.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::compile;

    fn working() -> (usize, usize) {
        CACHES.with_borrow(|caches| (caches.by_number.len(), caches.size))
    }

    #[test]
    fn what_is_matched_takes_bounded_memory_however_many_expressions_there_are() {
        let automata: Vec<_> =
            (0..32).map(|n| compile(&format!("{n}(a|b|[^c]{{1,400}})*d.{{300}}")).unwrap()).collect();
        let value: Vec<u8> = (0..300_u32).map(|n| b"abde"[(n * n % 7 % 4) as usize]).collect();
        let answer = |(number, automaton): (usize, &Automaton)| {
            automaton.is_match(&[number.to_string().as_bytes(), &value].concat())
        };
        let answers = || automata.iter().enumerate().map(answer).collect::<Vec<_>>();
        assert_eq!(answers(), answers());
        let (count, size) = working();
        assert!(size <= WORKING_TOGETHER, "{count} caches take {size} bytes");
        assert!(count > 1);
    }

    #[test]
    fn an_automaton_answers_alike_after_its_working_memory_was_forgotten() {
        let one = compile("/a/[0-9]+").unwrap();
        assert!(one.is_match(b"/a/1") && !one.is_match(b"/a/x"));
        CACHES.with_borrow_mut(Caches::forget_oldest);
        assert_eq!(working(), (0, 0));
        assert!(one.is_match(b"/a/1") && !one.is_match(b"/a/x"));
    }
}
