//! The `toFQDNs` selectors of all policies: each one compiled once, found by the names that it selects.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    names,
    pattern::{Automaton, Patterns},
    policy::FqdnSelector,
};

/// Number of a selector of names within one snapshot.
pub(crate) type SelectorId = u32;

/// Selectors with the same meaning are one.
///
/// What follows the last star of a pattern is literal, so a pattern is looked up by the end of a name, and only those
/// with this end are asked.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    /// By the regular expression.
    numbers: HashMap<String, SelectorId>,
    /// By the whole name, where there is no star.
    exact: HashMap<String, SelectorId>,
    /// By what follows the last star.
    ends: HashMap<String, Vec<(SelectorId, Arc<Automaton>)>>,
    /// Lengths of those ends.
    lengths: BTreeSet<usize>,
    patterns: Patterns,
}

impl Selectors {
    /// None yet. `patterns` has those that are compiled already.
    pub(crate) fn new(patterns: Patterns) -> Self {
        Self { patterns, ..Self::default() }
    }

    /// The number of a selector. One whose regular expression is over its budget selects nothing.
    pub(crate) fn number(&mut self, selector: &FqdnSelector) -> SelectorId {
        let (text, regex) = match selector {
            FqdnSelector::Name(name) => (names::normal(name), names::selector_regex(&names::normal(name))),
            FqdnSelector::Pattern(pattern) => (names::normal(pattern.trim()), names::selector_regex(pattern)),
        };
        if let Some(number) = self.numbers.get(&regex) {
            return *number;
        }
        let number = SelectorId::try_from(self.numbers.len()).unwrap_or(SelectorId::MAX);
        if text.bytes().all(is_literal) {
            self.exact.insert(text, number);
        } else if let Ok(compiled) = self.patterns.compile(&regex) {
            // Of anything but stars between literals the end says nothing.
            let plain = text.bytes().all(|byte| is_literal(byte) || byte == b'*');
            let end = text.rsplit('*').next().filter(|_| plain).unwrap_or_default();
            self.lengths.insert(end.len());
            self.ends.entry(end.to_owned()).or_default().push((number, compiled));
        }
        self.numbers.insert(regex, number);
        number
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Those that select a name in [normal form](names::normal).
    pub(crate) fn matching<'a>(&'a self, name: &'a str) -> impl Iterator<Item = SelectorId> + 'a {
        let ends = self.lengths.iter().filter_map(|length| name.get(name.len().checked_sub(*length)?..));
        let patterns = ends.filter_map(|end| self.ends.get(end)).flatten();
        let matching = patterns.filter(|(_, regex)| regex.is_match(name.as_bytes())).map(|(number, _)| *number);
        self.exact.get(name).copied().into_iter().chain(matching)
    }

    /// Those that select any of some names, in order.
    pub(crate) fn matching_any<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<SelectorId> {
        let mut all: Vec<SelectorId> = Vec::new();
        for name in names {
            all.extend(self.matching(name));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Whether a byte stands for itself in the regular expression of a selector.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::compile;

    #[test]
    fn a_name_finds_the_selectors_whose_regular_expression_matches_it_and_no_others() {
        let patterns =
            ["*", "**.", "*.a.test", "**.a.test", "x*.a.test", "a.*", "*a.test", "a.**.test", "A.Test", "a.test."];
        let names =
            ["a.test", "x.a.test", "y.x.a.test", "xa.test", "a.b.test", "a.b.c.test", "test", ".", "", "ä.a.test"];
        let mut selectors = Selectors::default();
        let numbers: Vec<_> =
            patterns.iter().map(|text| selectors.number(&FqdnSelector::Pattern((*text).to_owned()))).collect();
        for name in names.map(names::normal) {
            let found = selectors.matching_any([name.as_str()]);
            for (pattern, number) in patterns.iter().zip(&numbers) {
                let wanted = compile(&names::selector_regex(pattern)).unwrap().is_match(name.as_bytes());
                assert_eq!(found.contains(number), wanted, "{pattern} on {name}");
            }
        }
    }

    #[test]
    fn selectors_with_the_same_meaning_are_one() {
        let mut selectors = Selectors::default();
        let name = |text: &str| FqdnSelector::Name(text.to_owned());
        let first = selectors.number(&name("a.test"));
        assert_eq!(selectors.number(&name("A.TEST.")), first);
        assert_eq!(selectors.number(&FqdnSelector::Pattern("a.test".to_owned())), first);
        assert_ne!(selectors.number(&name("b.test")), first);
        assert_eq!(selectors.len(), 2);
    }
}
