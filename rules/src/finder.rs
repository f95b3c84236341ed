//! Finds the rule that allows a request without asking every rule.
//!
//! Rules that want one value of a field are found by that value. Rules that differ only in one regular expression share
//! automata, each of which tells in one pass over the value which of its rules match. What is left is asked in turn.

use std::collections::HashMap;

use regex_automata::{Input, meta::Regex};

use crate::{
    pattern::{Pattern, compile_many},
    policy::{Matcher, Predicate},
    request::{FieldValue, Request},
    ruleset::Compiled,
    schema::{FieldIndex, Schema},
};

/// Fewest rules that are worth an automaton.
const FEWEST: usize = 8;
/// Most rules of one automaton: it bounds its memory and the time to build it.
const MOST: usize = 512;

/// How to find rules by what a request says.
#[derive(Debug)]
pub(crate) struct Finder {
    /// Rules by the one value that the field [`Finder::field`] has to have.
    by_value: HashMap<Box<[u8]>, Vec<u32>, foldhash::fast::RandomState>,
    /// The field in which rules want the most different values.
    field: FieldIndex,
    automata: Vec<Automaton>,
    /// Rules that nothing else finds, in order.
    others: Vec<u32>,
}

/// Rules that differ in one regular expression only.
#[derive(Debug)]
struct Automaton {
    /// The field of the expression.
    field: FieldIndex,
    regex: Regex,
    /// By number of the expression.
    rules: Vec<u32>,
}

impl Finder {
    pub(crate) fn new(schema: &Schema, rules: &[Compiled]) -> Self {
        let fields = || (0..schema.fields.len()).filter_map(|index| u8::try_from(index).ok()).map(FieldIndex);
        let distinct = |field: &FieldIndex| {
            let mut values: Vec<_> = rules.iter().filter_map(|rule| exact(rule, *field)).collect();
            values.sort_unstable();
            values.dedup();
            values.len()
        };
        let field = fields().max_by_key(distinct).unwrap_or(FieldIndex(0));
        let mut finder = Self { by_value: HashMap::default(), field, automata: Vec::new(), others: Vec::new() };
        let mut alike: HashMap<(FieldIndex, Vec<&Predicate>), Vec<u32>> = HashMap::new();
        let mut wanting: HashMap<&[u8], usize> = HashMap::new();
        for value in rules.iter().filter_map(|rule| exact(rule, field)) {
            *wanting.entry(value).or_default() += 1;
        }
        for (number, rule) in (0_u32..).zip(rules) {
            let value = exact(rule, field);
            // A value that many rules want (GET) tells little; an automaton tells them apart.
            let telling = value.is_some_and(|value| wanting.get(value).is_some_and(|count| *count < FEWEST));
            match (value, but_one_regex(rule)) {
                (Some(value), None) => finder.by_value.entry(value.into()).or_default().push(number),
                (Some(value), Some(_)) if telling => finder.by_value.entry(value.into()).or_default().push(number),
                (_, Some(key)) => alike.entry(key).or_default().push(number),
                (None, None) => finder.others.push(number),
            }
        }
        for ((field, _), numbers) in alike {
            for chunk in numbers.chunks(MOST) {
                match Automaton::new(field, rules, chunk) {
                    Some(automaton) => finder.automata.push(automaton),
                    None => finder.others.extend_from_slice(chunk),
                }
            }
        }
        finder.others.sort_unstable();
        finder.automata.sort_unstable_by(|a, b| a.rules.cmp(&b.rules));
        finder
    }

    /// A rule that allows a request.
    pub(crate) fn find<'r>(&self, rules: &'r [Compiled], request: &dyn Request) -> Option<&'r Compiled> {
        self.indexed(rules, request)
            .find(|rule| rule.matches(request))
            .or_else(|| {
                let mut others = self.others.iter().map(|number| &rules[*number as usize]);
                others.find(|rule| rule.matches(request))
            })
            .or_else(|| self.automata.iter().find_map(|automaton| automaton.find(rules, request)))
    }

    /// The rules that want the value that the request has.
    pub(crate) fn indexed<'r>(
        &self,
        rules: &'r [Compiled],
        request: &dyn Request,
    ) -> impl Iterator<Item = &'r Compiled> {
        let found: &[u32] = match self.by_value.is_empty() {
            true => &[],
            false => match request.field(self.field, "") {
                FieldValue::Value(value) => self.by_value.get(&*value).map_or(&[], Vec::as_slice),
                FieldValue::Absent | FieldValue::Ambiguous(_) => &[],
            },
        };
        found.iter().map(|number| &rules[*number as usize])
    }
}

impl Automaton {
    fn new(field: FieldIndex, rules: &[Compiled], numbers: &[u32]) -> Option<Self> {
        if numbers.len() < FEWEST {
            return None;
        }
        let expression = |number: &u32| {
            rules[*number as usize].predicates.iter().find_map(|(predicate, _)| match &predicate.matcher {
                Matcher::Regex(pattern) if predicate.field == field => Some(pattern.as_str()),
                _ => None,
            })
        };
        let expressions: Vec<&str> = numbers.iter().filter_map(expression).collect();
        Some(Self { field, regex: compile_many(&expressions)?, rules: numbers.to_vec() })
    }

    fn find<'r>(&self, rules: &'r [Compiled], request: &dyn Request) -> Option<&'r Compiled> {
        // All rules want the same of the other fields, so one tells for all.
        let first = &rules[*self.rules.first()? as usize];
        let others_match = first.predicates.iter().filter(|(predicate, _)| predicate.field != self.field).all(
            |(predicate, pattern)| match request.field(predicate.field, &predicate.key) {
                FieldValue::Value(value) => pattern.matches(&value),
                FieldValue::Absent | FieldValue::Ambiguous(_) => false,
            },
        );
        match request.field(self.field, "") {
            FieldValue::Value(value) if others_match => {
                let found = self.regex.search_half(&Input::new(&*value))?;
                self.rules.get(found.pattern().as_usize()).map(|number| &rules[*number as usize])
            }
            _ => None,
        }
    }
}

/// The one value that a rule wants of a field.
fn exact(rule: &Compiled, field: FieldIndex) -> Option<&[u8]> {
    rule.predicates.iter().find_map(|(predicate, pattern)| match pattern {
        Pattern::Exact(value) if predicate.field == field && predicate.key.is_empty() => Some(&**value),
        _ => None,
    })
}

/// The field of the last regular expression of a rule, which has to be the only predicate of its field, and all other
/// predicates.
fn but_one_regex(rule: &Compiled) -> Option<(FieldIndex, Vec<&Predicate>)> {
    let field = rule.predicates.iter().rev().find_map(|(predicate, pattern)| match pattern {
        Pattern::Regex(..) if predicate.key.is_empty() => Some(predicate.field),
        _ => None,
    })?;
    let (same, others): (Vec<&Predicate>, Vec<&Predicate>) =
        rule.predicates.iter().map(|(predicate, _)| predicate).partition(|predicate| predicate.field == field);
    (same.len() == 1).then_some((field, others))
}
