//! The bound for reading the documents of one update.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use crate::{
    bounds::{AUTOMATON_STEP, CompileBounds},
    pattern::{REGEX_BUDGET, RegexError, compile},
};

/// The work of reading and checking documents that come together. They share it, so an update takes bounded time however
/// many documents it has. A regular expression that several of them have is compiled once.
#[derive(Debug)]
pub struct Effort {
    left: Cell<u64>,
    over: Cell<bool>,
    /// Sizes in bytes of regular expressions that were compiled, or what was wrong with them.
    regexes: RefCell<HashMap<String, Result<usize, RegexError>>>,
}

impl Effort {
    /// As many steps as one compilation may take.
    #[must_use]
    pub fn new(bounds: CompileBounds) -> Self {
        Self { left: Cell::new(bounds.work), over: Cell::new(false), regexes: RefCell::default() }
    }

    /// Without an end, for documents that were taken in once.
    #[must_use]
    pub fn endless() -> Self {
        Self::new(CompileBounds::NONE)
    }

    /// Takes some steps; whether there were as many.
    pub fn take(&self, steps: usize) -> bool {
        match self.left.get().checked_sub(steps as u64) {
            Some(left) => self.left.set(left),
            None => self.over.set(true),
        }
        !self.is_over()
    }

    /// Whether there were less steps than were wanted. Then nothing more is to be read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// The size of a regular expression in bytes when it is compiled, or what is wrong with it. `None` when it is over.
    pub(crate) fn regex(&self, pattern: &str) -> Option<Result<usize, RegexError>> {
        if !self.take(1 + pattern.len()) {
            return None;
        }
        if let Some(known) = self.regexes.borrow().get(pattern) {
            return Some(known.clone());
        }
        let made = compile(pattern).map(|automaton| automaton.size());
        let size = match &made {
            Ok(size) => *size,
            // It took as much until that was known.
            Err(RegexError::TooLarge(_)) => REGEX_BUDGET,
            Err(RegexError::Syntax(_)) => 0,
        };
        self.take(size / AUTOMATON_STEP);
        self.regexes.borrow_mut().insert(pattern.to_owned(), made.clone());
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(work: u64) -> Effort {
        Effort::new(CompileBounds { work, ..CompileBounds::NONE })
    }

    #[test]
    fn what_was_taken_is_taken_from_all_and_what_is_over_stays_over() {
        let effort = effort(10);
        assert!(effort.take(4) && effort.take(6) && !effort.is_over());
        assert!(!effort.take(1) && effort.is_over());
        assert!(!effort.take(0) && effort.regex("a+").is_none());
        assert!(Effort::endless().take(usize::MAX >> 1));
    }

    #[test]
    fn equal_regular_expressions_take_their_work_once_and_too_large_ones_take_it_too() {
        for (pattern, least) in [("[^a]{1000}x", 1_000), ("(([^a]{100}){100}){100}", REGEX_BUDGET / AUTOMATON_STEP)] {
            let effort = effort(1 << 30);
            let first = effort.regex(pattern);
            let took = (1 << 30) - effort.left.get();
            assert!(took > least as u64, "{pattern} took {took}");
            assert_eq!(effort.regex(pattern), first);
            assert!((1 << 30) - effort.left.get() <= took + 64, "{pattern} is not compiled again");
        }
    }
}
