//! Finds the rule that allows a request without checking every rule.
//!
//! Rules with one exact value of a field are found by that value; rules with a pattern of names by the beginning or
//! end of the names; rules with a regular expression by the common beginning of its matches. Where that selects too
//! many, rules that differ only in one regular expression share automata; each reports in one pass over the value
//! which of its rules match. The remaining rules are checked in turn.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    iter,
    sync::Arc,
};

use crate::{
    names::{Affix, NamePattern},
    pattern::{Automaton as Regex, Pattern, compile_many},
    policy::{Matcher, Predicate},
    request::{FieldValue, Request},
    ruleset::CompiledRule,
    schema::{FieldForm, FieldIndex, Schema},
};

/// Fewest rules that are worth an automaton.
const FEWEST: usize = 8;
/// Longest beginning that a regular expression is found by, in bytes. It bounds how many a value is looked up with.
const LONGEST: usize = 255;
/// Most rules of one automaton: it bounds its memory and the time to build it.
const MOST: usize = 2048;

/// Rules by something of a value, by their numbers.
type RuleNumbers = HashMap<Box<[u8]>, Vec<u32>, foldhash::fast::RandomState>;

/// How to find rules by what a request says.
#[derive(Debug)]
pub(crate) struct RuleFinder {
    /// One for each field.
    fields: Vec<ByField>,
    automata: Vec<RegexGroup>,
    /// Rules that nothing else finds, in order.
    others: Vec<u32>,
}

/// Rules that look at one field.
#[derive(Debug, Default)]
struct ByField {
    /// By the one value that it has to have.
    values: RuleNumbers,
    /// By what it has to begin with, for each length of that.
    starts: BTreeMap<usize, RuleNumbers>,
    /// By what it has to end with.
    ends: BTreeMap<usize, RuleNumbers>,
    /// Where rules about the field do not concern every request ([`FieldForm::All`]): one of each that say the same of the others.
    aside: Vec<u32>,
}

/// What of a value a rule is found by.
enum ValuePart<'r> {
    Value(&'r [u8]),
    Affix(Affix<'r>),
}

/// How many rules have each part of a value in common.
struct SharedParts<'r>(HashMap<(FieldIndex, &'r [u8]), usize>);

impl<'r> SharedParts<'r> {
    fn count(parts: impl Iterator<Item = (FieldIndex, &'r [u8])>) -> Self {
        let mut counts = HashMap::new();
        for part in parts {
            *counts.entry(part).or_default() += 1;
        }
        Self(counts)
    }

    fn by(&self, part: &(FieldIndex, &'r [u8])) -> usize {
        self.0.get(part).copied().unwrap_or_default()
    }
}

/// Rules that differ in one regular expression only.
#[derive(Debug)]
struct RegexGroup {
    /// The field of the expression.
    field: FieldIndex,
    regex: Regex,
    /// By number of the expression.
    rules: Vec<u32>,
}

impl ByField {
    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.starts.is_empty() && self.ends.is_empty()
    }

    fn size(&self) -> usize {
        let affixes = self.starts.values().chain(self.ends.values());
        let lists = iter::once(&self.values).chain(affixes).flatten();
        let lists = lists.map(|(part, numbers)| 64 + part.len() + size_of_val(&**numbers));
        lists.sum::<usize>() + size_of_val(&*self.aside)
    }

    fn add(&mut self, part: ValuePart<'_>, number: u32) {
        let (numbers, part) = match part {
            ValuePart::Value(value) => (&mut self.values, value),
            ValuePart::Affix(Affix::Start(start)) => (self.starts.entry(start.len()).or_default(), start),
            ValuePart::Affix(Affix::End(end)) => (self.ends.entry(end.len()).or_default(), end),
        };
        numbers.entry(part.into()).or_default().push(number);
    }

    /// Tells of each list of rules that a value may satisfy, until one is enough; whether one was.
    fn find(&self, value: &[u8], mut enough: impl FnMut(&[u32]) -> bool) -> bool {
        let end = |length: &usize| value.get(value.len().checked_sub(*length)?..);
        let starts = self.starts.iter().map(|(length, numbers)| (numbers, value.get(..*length)));
        let ends = self.ends.iter().map(|(length, numbers)| (numbers, end(length)));
        let mut parts = iter::once((&self.values, Some(value))).chain(starts).chain(ends);
        parts.any(|(numbers, part)| part.and_then(|part| numbers.get(part)).is_some_and(|numbers| enough(numbers)))
    }
}

impl RuleFinder {
    pub(crate) fn new(schema: &Schema, rules: &[Arc<CompiledRule>]) -> Self {
        Self::of(schema, rules, None)
    }

    /// Finds rules by all that they say but for one field, for requests that it does not concern.
    pub(crate) fn aside(schema: &Schema, rules: &[Arc<CompiledRule>], field: FieldIndex) -> Self {
        Self::of(schema, rules, Some(field))
    }

    fn of(schema: &Schema, rules: &[Arc<CompiledRule>], but: Option<FieldIndex>) -> Self {
        let fields = schema.fields.iter().map(|_| ByField::default()).collect();
        let mut finder = Self { fields, automata: Vec::new(), others: Vec::new() };
        let mut alike: HashMap<(FieldIndex, Vec<&Predicate>), Vec<u32>> = HashMap::new();
        let values = SharedParts::count(rules.iter().flat_map(|rule| exact(rule, but)));
        let beginnings = SharedParts::count(rules.iter().flat_map(|rule| beginning(rule, but)));
        let mut said: HashSet<Vec<&Predicate>> = HashSet::new();
        let mut aside: HashSet<(FieldIndex, Vec<&Predicate>)> = HashSet::new();
        for (number, rule) in (0_u32..).zip(rules) {
            // What another rule says as well is found by that one.
            if !said.insert(predicates(rule, but).map(|(predicate, _)| predicate).collect()) {
                continue;
            }
            // What many rules have in common (GET, /api/) tells little; an automaton tells them apart.
            let every = |field: &FieldIndex| schema.form(*field) != Some(FieldForm::All);
            let value = exact(rule, but).filter(|(field, _)| every(field)).min_by_key(|part| values.by(part));
            let start = beginning(rule, but).filter(|(field, _)| every(field)).min_by_key(|part| beginnings.by(part));
            if let Some((field, value)) = value.filter(|part| values.by(part) < FEWEST) {
                finder.fields[usize::from(field.0)].add(ValuePart::Value(value), number);
            } else if let Some((field, pattern)) = name_pattern(rule, but).filter(|(field, _)| every(field)) {
                finder.fields[usize::from(field.0)].add(ValuePart::Affix(pattern.affix()), number);
            } else if let Some((field, start)) = start.filter(|part| beginnings.by(part) < FEWEST) {
                finder.fields[usize::from(field.0)].add(ValuePart::Affix(Affix::Start(start)), number);
            } else if let Some((field, part)) = all(rule, but, schema, &values, &beginnings) {
                finder.fields[usize::from(field.0)].add(part, number);
                let others = predicates(rule, but).map(|(predicate, _)| predicate).filter(|other| other.field != field);
                if aside.insert((field, others.collect())) {
                    finder.fields[usize::from(field.0)].aside.push(number);
                }
            } else if let Some(key) = but_one_regex(rule, but, schema) {
                alike.entry(key).or_default().push(number);
            } else if let Some((field, value)) = value {
                finder.fields[usize::from(field.0)].add(ValuePart::Value(value), number);
            } else {
                finder.others.push(number);
            }
        }
        for ((field, _), numbers) in alike {
            for chunk in numbers.chunks(MOST) {
                finder.join(field, rules, chunk);
            }
        }
        finder.others.sort_unstable();
        finder.automata.sort_unstable_by(|a, b| a.rules.cmp(&b.rules));
        finder
    }

    /// Has rules that differ in one expression found by automata; those that are too large for one by two.
    fn join(&mut self, field: FieldIndex, rules: &[Arc<CompiledRule>], numbers: &[u32]) {
        if numbers.len() < FEWEST {
            self.others.extend_from_slice(numbers);
        } else if let Some(automaton) = RegexGroup::new(field, rules, numbers) {
            self.automata.push(automaton);
        } else {
            let (first, second) = numbers.split_at(numbers.len() / 2);
            self.join(field, rules, first);
            self.join(field, rules, second);
        }
    }

    /// About its size in bytes.
    pub(crate) fn size(&self) -> usize {
        let rules = |automaton: &RegexGroup| automaton.regex.size() + size_of_val(&*automaton.rules);
        self.fields.iter().map(ByField::size).sum::<usize>()
            + self.automata.iter().map(rules).sum::<usize>()
            + size_of_val(&*self.others)
    }

    /// A rule that allows a request.
    pub(crate) fn find<'r>(&self, rules: &'r [Arc<CompiledRule>], request: &dyn Request) -> Option<&'r CompiledRule> {
        let mut found = None;
        self.indexed(request, |number| {
            found = Some(&*rules[number as usize]).filter(|rule| rule.matches(request));
            found.is_some()
        });
        found
            .or_else(|| {
                let mut others = self.others.iter().map(|number| &*rules[*number as usize]);
                others.find(|rule| rule.matches(request))
            })
            .or_else(|| self.automata.iter().find_map(|automaton| automaton.find(rules, request)))
    }

    /// Tells of the rules that want what the request has, by their numbers, until one is enough.
    pub(crate) fn indexed(&self, request: &dyn Request, mut enough: impl FnMut(u32) -> bool) {
        for (index, by_field) in (0_u8..).map(FieldIndex).zip(&self.fields) {
            if by_field.is_empty() {
                continue;
            }
            let mut any = |numbers: &[u32]| numbers.iter().any(|number| enough(*number));
            let found = if by_field.aside.is_empty() {
                matches!(request.field(index, ""), FieldValue::Value(value) if by_field.find(&value, any))
            } else {
                match request.count(index) {
                    None => any(&by_field.aside),
                    Some(count) => count > 0 && by_field.find(request.nth(index, 0), any),
                }
            };
            if found {
                return;
            }
        }
    }
}

impl RegexGroup {
    fn new(field: FieldIndex, rules: &[Arc<CompiledRule>], numbers: &[u32]) -> Option<Self> {
        let expression = |number: &u32| {
            rules[*number as usize].predicates.iter().find_map(|(predicate, _)| match &predicate.matcher {
                Matcher::Regex(pattern) if predicate.field == field => Some(pattern.as_str()),
                _ => None,
            })
        };
        let expressions: Vec<&str> = numbers.iter().filter_map(expression).collect();
        Some(Self { field, regex: compile_many(&expressions)?, rules: numbers.to_vec() })
    }

    fn find<'r>(&self, rules: &'r [Arc<CompiledRule>], request: &dyn Request) -> Option<&'r CompiledRule> {
        // All rules want the same of the other fields, so one tells for all.
        let first = &rules[*self.rules.first()? as usize];
        let mut others = first.predicates.iter().filter(|(predicate, _)| predicate.field != self.field);
        let others_match = others.all(|(predicate, pattern)| first.fails(predicate, pattern, request).is_none());
        match request.field(self.field, "") {
            FieldValue::Value(value) if others_match => {
                self.rules.get(self.regex.first_match(&value)?).map(|number| &*rules[*number as usize])
            }
            _ => None,
        }
    }
}

/// What a rule says, but for what it says about one field.
fn predicates(rule: &CompiledRule, but: Option<FieldIndex>) -> impl DoubleEndedIterator<Item = &(Predicate, Pattern)> {
    rule.predicates.iter().filter(move |(predicate, _)| Some(predicate.field) != but)
}

/// The fields of which a rule wants one value, with that value.
fn exact(rule: &CompiledRule, but: Option<FieldIndex>) -> impl Iterator<Item = (FieldIndex, &[u8])> {
    predicates(rule, but).filter_map(|(predicate, pattern)| match pattern {
        Pattern::Exact(value) if predicate.key.is_empty() => Some((predicate.field, &**value)),
        _ => None,
    })
}

/// The fields of which a rule has a regular expression, with what each match begins with, as far as that is certain.
fn beginning(rule: &CompiledRule, but: Option<FieldIndex>) -> impl Iterator<Item = (FieldIndex, &[u8])> {
    predicates(rule, but).filter_map(|(predicate, pattern)| match pattern {
        Pattern::Regex(_, start) if predicate.key.is_empty() && !start.is_empty() => {
            Some((predicate.field, &start[..start.len().min(LONGEST)]))
        }
        _ => None,
    })
}

/// What a rule is found by in a field of which all values have to match, so the first as well, if that tells it from most
/// others.
fn all<'r>(
    rule: &'r CompiledRule,
    but: Option<FieldIndex>,
    schema: &Schema,
    values: &SharedParts<'_>,
    beginnings: &SharedParts<'_>,
) -> Option<(FieldIndex, ValuePart<'r>)> {
    let is_all = |field: FieldIndex| schema.form(field) == Some(FieldForm::All);
    let mut value = exact(rule, but).filter(|part| is_all(part.0) && values.by(part) < FEWEST);
    let mut start = beginning(rule, but).filter(|part| is_all(part.0) && beginnings.by(part) < FEWEST);
    let value = value.next().map(|(field, value)| (field, ValuePart::Value(value)));
    value.or_else(|| start.next().map(|(field, start)| (field, ValuePart::Affix(Affix::Start(start)))))
}

/// A pattern of names that a rule has, and the field that it is about.
fn name_pattern(rule: &CompiledRule, but: Option<FieldIndex>) -> Option<(FieldIndex, &NamePattern)> {
    predicates(rule, but).find_map(|(predicate, pattern)| match pattern {
        Pattern::Name(pattern) if predicate.key.is_empty() => Some((predicate.field, pattern)),
        _ => None,
    })
}

/// The field of the last regular expression of a rule, which has to be the only predicate of its field and to concern every
/// request, and all other predicates.
fn but_one_regex<'r>(
    rule: &'r CompiledRule,
    but: Option<FieldIndex>,
    schema: &Schema,
) -> Option<(FieldIndex, Vec<&'r Predicate>)> {
    let field = predicates(rule, but).rev().find_map(|(predicate, pattern)| match pattern {
        Pattern::Regex(..) if predicate.key.is_empty() && schema.form(predicate.field) != Some(FieldForm::All) => {
            Some(predicate.field)
        }
        _ => None,
    })?;
    let (same, others): (Vec<&Predicate>, Vec<&Predicate>) =
        predicates(rule, but).map(|(predicate, _)| predicate).partition(|predicate| predicate.field == field);
    (same.len() == 1).then_some((field, others))
}
