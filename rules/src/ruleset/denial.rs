//! Explains a denied request: which of its values was refused, and which rule came nearest.

use std::{borrow::Cow, sync::Arc};

use super::{CompiledRule, RuleSet};
use crate::{
    coverage::{Coverage, SingleValueRequest},
    pattern::Pattern,
    policy::{Matcher, Predicate, written},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex},
    values::{MOST_VALUES, ValueSet},
    verdict::{Miss, Outcome, Reason, Verdict},
};

/// Most rules that are asked how near they came.
const EXPLAINED: usize = 64;
/// Maximum number of values of a request for which the miss is reported.
const MOST_MISSES: usize = 8;
/// Longest value that is shown, in bytes.
const SHOWN: usize = 256;

/// The rule that came nearest: where it failed, and the kind if what it looks at is ambiguous.
struct Nearest<'r> {
    rule: &'r CompiledRule,
    at: usize,
    ambiguous: Option<&'static str>,
}

impl RuleSet {
    /// Tells which values no rule allows, and for the first of them which rule came nearest.
    pub(super) fn denied(&self, request: &dyn Request) -> Verdict<'_> {
        if let Some(verdict) = self.no_tunnel(request) {
            return verdict;
        }
        let coverage = self.coverage.as_ref();
        let refused = coverage.map(|coverage| coverage.refused(&self.finder, &self.rules, request)).unwrap_or_default();
        let mut nearest = None;
        let mut misses = Vec::new();
        let mut ask = |request: &dyn Request| {
            let Some(found) = self.nearest(request) else { return };
            misses.extend(found.rule.condition(found.at).map(|condition| self.miss(&found, &condition, request)));
            nearest.get_or_insert(found);
        };
        match coverage {
            Some(coverage) if !refused.is_empty() => {
                let field = coverage.field(request);
                refused
                    .iter()
                    .take(MOST_MISSES)
                    .for_each(|number| ask(&SingleValueRequest::one(request, field, number)));
            }
            _ => ask(request),
        }
        let ambiguous = nearest.as_ref().is_some_and(|nearest| nearest.ambiguous.is_some());
        Verdict {
            outcome: Outcome::Deny,
            reason: if ambiguous { Reason::Ambiguous } else { Reason::NoMatch },
            rule: nearest.map(|nearest| &*nearest.rule.info),
            misses,
            for_values: !refused.is_empty()
                && coverage.is_some_and(|coverage| coverage.minds_values(&self.rules, request)),
            in_part: in_part(&refused, coverage, request),
            filtered: false,
            refused,
            deny_with: self.deny_with,
            deny_scope: self.deny_scope,
        }
    }

    /// Finds the rule that came nearest: the one that failed latest, then the first. Of many rules only those that the
    /// index finds and the first [`EXPLAINED`] are asked: a denied request must not cost more than its share.
    fn nearest(&self, request: &dyn Request) -> Option<Nearest<'_>> {
        let mut nearest: Option<Nearest<'_>> = None;
        let mut indexed = Vec::new();
        self.finder.indexed(request, |number| {
            indexed.push(number as usize);
            indexed.len() == EXPLAINED
        });
        // In the order in which they are written.
        indexed.retain(|number| *number >= EXPLAINED);
        indexed.sort_unstable();
        for rule in (0..self.rules.len().min(EXPLAINED)).chain(indexed).map(|number| &*self.rules[number]) {
            if let Some((at, ambiguous)) = rule.failure(request)
                && nearest.as_ref().is_none_or(|best| at > best.at)
            {
                nearest = Some(Nearest { rule, at, ambiguous });
            }
        }
        nearest
    }

    /// A request for a tunnel that a rule would allow if it meant that. Every rule is asked, as for any request that no index
    /// finds.
    fn no_tunnel(&self, request: &dyn Request) -> Option<Verdict<'_>> {
        let tunnel = self.tunnel(request)?;
        let rule = self.rules.iter().find(|rule| rule.failure(request).is_none())?;
        let spec = &self.schema.fields[usize::from(tunnel.field.0)];
        let (name, value) =
            (spec.name, request.shown(tunnel.field).map_or_else(|| "[redacted]".to_owned(), |value| shown(&value)));
        let predicate = if tunnel.key.is_empty() { name.to_owned() } else { format!("{name}[{}]", tunnel.key) };
        let pattern = tunnel.kind.wanted().to_owned();
        Some(Verdict {
            outcome: Outcome::Deny,
            reason: Reason::Tunnel,
            rule: Some(&rule.info),
            misses: vec![Miss { rule: Some(Arc::clone(&rule.info)), predicate, pattern, value }],
            refused: ValueSet::default(),
            for_values: false,
            in_part: false,
            filtered: false,
            deny_with: self.deny_with,
            deny_scope: self.deny_scope,
        })
    }

    fn miss(&self, nearest: &Nearest<'_>, predicate: &Predicate, request: &dyn Request) -> Miss {
        let rule = nearest.rule;
        let spec = &self.schema.fields[usize::from(predicate.field.0)];
        let several = matches!(spec.form, FieldForm::Each | FieldForm::All);
        let count = request.count(predicate.field).filter(|_| several);
        let (name, wanted) = match written(&rule.written, predicate.field) {
            Some(written) => (written.key.to_owned(), (*written.shown).to_owned()),
            None if predicate.key.is_empty() => (spec.name.to_owned(), pattern(predicate, spec.form)),
            None => (format!("{}[{}]", spec.name, predicate.key), pattern(predicate, spec.form)),
        };
        let (pattern, value) = match (count, rule.predicates.get(nearest.at)) {
            (Some(count), _) if count > MOST_VALUES => (format!("at most {MOST_VALUES}"), format!("{count} values")),
            (Some(count), Some((_, pattern))) => (wanted, first_miss(predicate.field, pattern, count, request)),
            _ => (wanted, value(predicate, spec.form, self.schema.shown_by(predicate.field), request)),
        };
        let predicate = nearest.ambiguous.map_or_else(|| name.clone(), |kind| format!("{name} ({kind})"));
        Miss { rule: Some(Arc::clone(&rule.info)), predicate, pattern, value }
    }
}

/// Whether a request can go on without what is refused of it.
fn in_part(refused: &ValueSet, coverage: Option<&Coverage>, request: &dyn Request) -> bool {
    let count = coverage.and_then(|coverage| request.count(coverage.field(request))).unwrap_or(0);
    !refused.is_empty() && refused.len() < count && request.has_parts()
}

/// What a predicate wants, for people. A header's value may be a secret on both sides.
fn pattern(predicate: &Predicate, form: FieldForm) -> String {
    match &predicate.matcher {
        Matcher::Exact(_) if form == FieldForm::Headers => "[redacted]".to_owned(),
        Matcher::Regex(pattern) | Matcher::Exact(pattern) | Matcher::Name(pattern) => pattern.clone(),
        Matcher::AnyOf(values) => values.join(", "),
        Matcher::Present => "(present)".to_owned(),
    }
}

/// The first of several values that does not match, for people; nothing where there is none.
fn first_miss(field: FieldIndex, pattern: &Pattern, count: usize, request: &dyn Request) -> String {
    let missed = (0..count).map(|number| request.nth(field, number)).find(|value| !pattern.matches(value));
    missed.map_or_else(String::new, shown)
}

/// What the request has there, for people, as the field `by` shows it.
fn value(predicate: &Predicate, form: FieldForm, by: FieldIndex, request: &dyn Request) -> String {
    match request.field(predicate.field, &predicate.key) {
        FieldValue::Absent => String::new(),
        _ if form == FieldForm::Headers => "[redacted]".to_owned(),
        FieldValue::Value(value) if form == FieldForm::Words => {
            request.shown(by).map_or_else(|| shown(&value), |by| shown(&by))
        }
        FieldValue::Value(value) => shown(&value),
        FieldValue::Ambiguous(_) => shown(&request.shown(predicate.field).unwrap_or(Cow::Borrowed(b""))),
    }
}

/// A value for people: lossily decoded, cut.
fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(SHOWN)]).into_owned()
}
