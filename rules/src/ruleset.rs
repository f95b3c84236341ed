//! The L7 rules that bind one flow.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use crate::{
    pattern::Pattern,
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldIndex, Form, Schema},
    settings::DenyWith,
    verdict::{Miss, Reason, RuleInfo, Verdict},
};

/// Longest value that is shown, in bytes.
const SHOWN: usize = 256;

/// The L7 rules that bind one flow; shared between all flows with identical rules.
#[derive(Debug)]
pub struct RuleSet {
    schema: &'static Schema,
    rules: Vec<Compiled>,
    /// Rules by the one value that [`RuleSet::indexed`] has to have.
    by_value: HashMap<Box<[u8]>, Vec<u32>, foldhash::fast::RandomState>,
    /// Rules that the index cannot find, in order.
    others: Vec<u32>,
    /// The field of the index: the one in which most rules want one value.
    indexed: FieldIndex,
    deny_with: DenyWith,
}

#[derive(Debug)]
struct Compiled {
    predicates: Vec<(Predicate, Pattern)>,
    info: Arc<RuleInfo>,
}

/// How a rule fared.
enum Fate {
    Match,
    /// Failed at this predicate.
    Miss {
        at: usize,
        ambiguous: Option<&'static str>,
    },
}

impl Compiled {
    fn judge(&self, request: &dyn Request) -> Fate {
        for (at, (predicate, pattern)) in self.predicates.iter().enumerate() {
            match request.field(predicate.field, &predicate.key) {
                FieldValue::Value(value) if pattern.matches(&value) => {}
                FieldValue::Ambiguous(kind) => return Fate::Miss { at, ambiguous: Some(kind) },
                FieldValue::Value(_) | FieldValue::Absent => return Fate::Miss { at, ambiguous: None },
            }
        }
        Fate::Match
    }

    fn exact(&self, field: FieldIndex) -> Option<&[u8]> {
        self.predicates.iter().find_map(|(predicate, pattern)| match pattern {
            Pattern::Exact(value) if predicate.field == field && predicate.key.is_empty() => Some(&**value),
            _ => None,
        })
    }
}

impl RuleSet {
    /// Compiles rules of one protocol, with the name under which each is reported.
    #[must_use]
    pub fn new<'a>(
        schema: &'static Schema,
        rules: impl IntoIterator<Item = (&'a L7Rule, Arc<RuleInfo>)>,
        deny_with: DenyWith,
    ) -> Self {
        let rules: Vec<Compiled> = rules
            .into_iter()
            .map(|(rule, info)| {
                let compile = |predicate: &Predicate| (predicate.clone(), Pattern::new(&predicate.matcher));
                Compiled { predicates: rule.predicates.iter().map(compile).collect(), info }
            })
            .collect();
        let mut set =
            Self { schema, rules, by_value: HashMap::default(), others: Vec::new(), indexed: FieldIndex(0), deny_with };
        set.index();
        set
    }

    /// The field with the most different single values finds rules fastest.
    fn index(&mut self) {
        let fields = (0..self.schema.fields.len()).filter_map(|index| u8::try_from(index).ok()).map(FieldIndex);
        let distinct = |field: &FieldIndex| {
            let mut values: Vec<_> = self.rules.iter().filter_map(|rule| rule.exact(*field)).collect();
            values.sort_unstable();
            values.dedup();
            values.len()
        };
        self.indexed = fields.max_by_key(distinct).unwrap_or(FieldIndex(0));
        for (number, rule) in (0_u32..).zip(&self.rules) {
            match rule.exact(self.indexed) {
                Some(value) => self.by_value.entry(value.into()).or_default().push(number),
                None => self.others.push(number),
            }
        }
    }

    /// The protocol.
    #[must_use]
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// The number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule, so that every request is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Judges one request. Does not allocate when it is allowed.
    #[must_use]
    pub fn check(&self, request: &dyn Request) -> Verdict<'_> {
        let found = match request.field(self.indexed, "") {
            FieldValue::Value(value) => self.by_value.get(&*value).map_or(&[][..], Vec::as_slice),
            FieldValue::Absent | FieldValue::Ambiguous(_) => &[],
        };
        let matching = found
            .iter()
            .chain(&self.others)
            .map(|number| &self.rules[*number as usize])
            .find(|rule| matches!(rule.judge(request), Fate::Match));
        match matching {
            Some(rule) => Verdict {
                allowed: true,
                reason: Reason::RuleAllows,
                rule: Some(&rule.info),
                miss: None,
                deny_with: self.deny_with,
            },
            None => self.denied(request),
        }
    }

    /// Finds the rule that came nearest: the one that failed latest, then the first.
    fn denied(&self, request: &dyn Request) -> Verdict<'_> {
        let mut nearest: Option<(&Compiled, usize, Option<&'static str>)> = None;
        for rule in &self.rules {
            if let Fate::Miss { at, ambiguous } = rule.judge(request)
                && nearest.is_none_or(|(_, best, _)| at > best)
            {
                nearest = Some((rule, at, ambiguous));
            }
        }
        let ambiguous = nearest.is_some_and(|(_, _, ambiguous)| ambiguous.is_some());
        Verdict {
            allowed: false,
            reason: if ambiguous { Reason::Ambiguous } else { Reason::NoMatch },
            rule: nearest.map(|(rule, _, _)| &*rule.info),
            miss: nearest.map(|(rule, at, kind)| self.miss(&rule.predicates[at].0, kind, request)),
            deny_with: self.deny_with,
        }
    }

    fn miss(&self, predicate: &Predicate, ambiguous: Option<&'static str>, request: &dyn Request) -> Miss {
        let spec = &self.schema.fields[usize::from(predicate.field.0)];
        let header = spec.form == Form::Headers;
        let value = match request.field(predicate.field, &predicate.key) {
            FieldValue::Absent => String::new(),
            _ if header => "[redacted]".to_owned(),
            FieldValue::Value(value) => shown(&value),
            FieldValue::Ambiguous(_) => shown(&request.shown(predicate.field).unwrap_or(Cow::Borrowed(b""))),
        };
        let pattern = match &predicate.matcher {
            // A header's value may be a secret on both sides.
            Matcher::Exact(_) if header => "[redacted]".to_owned(),
            Matcher::Regex(pattern) | Matcher::Exact(pattern) => pattern.clone(),
            Matcher::Present => "(present)".to_owned(),
        };
        let name =
            if predicate.key.is_empty() { spec.name.to_owned() } else { format!("{}[{}]", spec.name, predicate.key) };
        let predicate = ambiguous.map_or_else(|| name.clone(), |kind| format!("{name} ({kind})"));
        Miss { predicate, pattern, value }
    }
}

/// A value for people: lossily decoded, cut.
fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(SHOWN)]).into_owned()
}
