//! The L7 rules that bind one flow.

use std::{borrow::Cow, sync::Arc};

use crate::{
    finder::Finder,
    pattern::Pattern,
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{Form, Schema},
    settings::DenyWith,
    verdict::{Miss, Reason, RuleInfo, Verdict},
};

/// Most rules that are asked how near they came.
const EXPLAINED: usize = 64;
/// Longest value that is shown, in bytes.
const SHOWN: usize = 256;

/// The L7 rules that bind one flow; shared between all flows with identical rules.
#[derive(Debug)]
pub struct RuleSet {
    schema: &'static Schema,
    rules: Vec<Compiled>,
    finder: Finder,
    deny_with: DenyWith,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) predicates: Vec<(Predicate, Pattern)>,
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
    pub(crate) fn matches(&self, request: &dyn Request) -> bool {
        matches!(self.judge(request), Fate::Match)
    }

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
        let finder = Finder::new(schema, &rules);
        Self { schema, rules, finder, deny_with }
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

    /// Judges one request. Does not allocate when it is allowed. Where several rules allow, it names one of them.
    #[must_use]
    pub fn check(&self, request: &dyn Request) -> Verdict<'_> {
        match self.finder.find(&self.rules, request) {
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

    /// Finds the rule that came nearest: the one that failed latest, then the first. Of many rules only those that the
    /// index finds and the first [`EXPLAINED`] are asked: a denied request must not cost more than its share.
    fn denied(&self, request: &dyn Request) -> Verdict<'_> {
        let mut nearest: Option<(&Compiled, usize, Option<&'static str>)> = None;
        let indexed = self.finder.indexed(&self.rules, request).take(EXPLAINED);
        for rule in indexed.chain(self.rules.iter().take(EXPLAINED)) {
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
