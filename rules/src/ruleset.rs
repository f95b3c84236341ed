//! The L7 rules that apply to one flow.

mod denial;

use std::{borrow::Cow, sync::Arc};

use crate::{
    coverage::Coverage,
    effects::{ChangedRequest, CompiledHeaderAction, Effects},
    finder::RuleFinder,
    pattern::{Pattern, Patterns},
    policy::{L7Rule, Predicate, SourceRef},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, Schema},
    settings::{DenyScope, DenyWith, Upgrades},
    tunnel::{Tunnel, lists_tunnel},
    values::{MOST_VALUES, ValueSet},
    verdict::{Outcome, Reason, RuleInfo, Verdict},
    world::Secret,
};

/// The L7 rules that bind one flow; shared between all flows with identical rules.
#[derive(Debug)]
pub struct RuleSet {
    schema: &'static Schema,
    rules: Vec<Arc<CompiledRule>>,
    finder: RuleFinder,
    deny_with: DenyWith,
    deny_scope: DenyScope,
    upgrades: Upgrades,
    /// Some rule acts on headers.
    acts: bool,
    /// Where the protocol has a field of which each value has to be allowed.
    coverage: Option<Coverage>,
}

/// One rule.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(crate) predicates: Vec<(Predicate, Pattern)>,
    pub(crate) actions: Vec<CompiledHeaderAction>,
    schema: &'static Schema,
    written: Vec<SourceRef>,
    /// It means requests for tunnels by their method.
    pub(crate) lists_tunnel: bool,
    /// It stands for what lets the whole flow pass, tunnels included.
    pub(crate) wider: bool,
    pub(crate) info: Arc<RuleInfo>,
}

/// How a rule fared.
enum RuleOutcome {
    Match,
    /// Failed at this predicate.
    Miss {
        at: usize,
        ambiguous: Option<&'static str>,
    },
}

impl CompiledRule {
    /// Compiles a rule with the secrets that headers are compared with.
    pub(crate) fn new(
        schema: &'static Schema,
        rule: &L7Rule,
        info: Arc<RuleInfo>,
        secrets: &[Secret],
        patterns: &Patterns,
    ) -> Self {
        let compile = |predicate: &Predicate| (predicate.clone(), Pattern::new(&predicate.matcher, patterns));
        let actions = rule.actions.iter().map(|action| CompiledHeaderAction::new(action, secrets)).collect();
        let predicates = rule.predicates.iter().map(compile).collect();
        let (written, lists_tunnel) = (rule.written.clone(), lists_tunnel(schema, rule));
        Self { predicates, actions, schema, written, lists_tunnel, wider: false, info }
    }

    /// What lets the whole flow pass, as a rule.
    pub(crate) fn wider(schema: &'static Schema, info: Arc<RuleInfo>, patterns: &Patterns) -> Self {
        Self { wider: true, ..Self::new(schema, &L7Rule::default(), info, &[], patterns) }
    }

    pub(crate) fn matches(&self, request: &dyn Request) -> bool {
        matches!(self.judge(request), RuleOutcome::Match)
    }

    fn judge(&self, request: &dyn Request) -> RuleOutcome {
        for (at, (predicate, pattern)) in self.predicates.iter().enumerate() {
            if let Some(ambiguous) = self.fails(predicate, pattern, request) {
                return RuleOutcome::Miss { at, ambiguous };
            }
        }
        RuleOutcome::Match
    }

    /// Whether a request fails one predicate; with the kind, if what it looks at is ambiguous.
    pub(crate) fn fails(
        &self,
        predicate: &Predicate,
        pattern: &Pattern,
        request: &dyn Request,
    ) -> Option<Option<&'static str>> {
        if let Some(form @ (FieldForm::Each | FieldForm::All)) = self.schema.form(predicate.field) {
            let fits = request.count(predicate.field).is_none_or(|count| {
                let mut values = (0..count).map(|number| request.nth(predicate.field, number));
                let fits = |value: &[u8]| pattern.matches(value);
                (1..=MOST_VALUES).contains(&count)
                    && if form == FieldForm::All { values.all(fits) } else { values.any(fits) }
            });
            return (!fits).then_some(None);
        }
        match request.field(predicate.field, &predicate.key) {
            FieldValue::Value(value) if pattern.matches(&value) => None,
            FieldValue::Ambiguous(kind) => Some(Some(kind)),
            FieldValue::Value(_) | FieldValue::Absent => Some(None),
        }
    }

    /// Whether a predicate is about a field.
    pub(crate) fn has_say(&self, field: FieldIndex) -> bool {
        self.predicates.iter().any(|(predicate, _)| predicate.field == field)
    }
}

impl CompiledRule {
    /// The first condition that a request fails, the predicates before the actions; with the kind, if what it looks at is
    /// ambiguous.
    fn failure(&self, request: &dyn Request) -> Option<(usize, Option<&'static str>)> {
        match self.judge(request) {
            RuleOutcome::Miss { at, ambiguous } => Some((at, ambiguous)),
            RuleOutcome::Match => {
                let mut numbered = (self.predicates.len()..).zip(&self.actions);
                numbered.find_map(|(number, action)| Some((number, action.fails(request)?)))
            }
        }
    }

    /// A condition by its number.
    fn condition(&self, number: usize) -> Option<Cow<'_, Predicate>> {
        match self.predicates.get(number) {
            Some((predicate, _)) => Some(Cow::Borrowed(predicate)),
            None => self.actions.get(number - self.predicates.len()).map(|action| Cow::Owned(action.predicate())),
        }
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
        let patterns = Patterns::default();
        let compile = |(rule, info)| Arc::new(CompiledRule::new(schema, rule, info, &[], &patterns));
        Self::of(schema, rules.into_iter().map(compile).collect(), deny_with)
    }

    /// The same of rules that are compiled.
    pub(crate) fn of(schema: &'static Schema, rules: Vec<Arc<CompiledRule>>, deny_with: DenyWith) -> Self {
        let (finder, coverage) = (RuleFinder::new(schema, &rules), Coverage::new(schema, &rules));
        let acts = rules.iter().any(|rule| !rule.actions.is_empty());
        let (deny_scope, upgrades) = (DenyScope::default(), Upgrades::default());
        Self { schema, rules, finder, deny_with, deny_scope, upgrades, acts, coverage }
    }

    /// About its size in bytes, without its rules, which it shares with others.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.rules)
            + self.finder.size()
            + self.coverage.as_ref().map_or(0, Coverage::size)
    }

    /// Makes its resets take along what the scope says; a stream unless told otherwise.
    #[must_use]
    pub fn resetting(self, deny_scope: DenyScope) -> Self {
        Self { deny_scope, ..self }
    }

    /// Lets requests switch to protocols although their rules do not mean it; to WebSocket unless told otherwise.
    #[must_use]
    pub fn upgrading(self, upgrades: Upgrades) -> Self {
        Self { upgrades, ..self }
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
        let whole = |rule| (rule, false);
        let found = match (&self.coverage, self.tunnel(request)) {
            _ if self.acts => return self.evaluate(request).0,
            (_, Some(tunnel)) => {
                let mut rules = self.rules.iter().map(|rule| &**rule);
                rules.find(|rule| rule.means(tunnel) && rule.matches(request)).map(whole)
            }
            (Some(coverage), None) => coverage.find(&self.finder, &self.rules, request),
            (None, None) => self.finder.find(&self.rules, request).map(whole),
        };
        match found {
            Some((rule, filtered)) => Verdict { filtered, ..self.allowed(rule) },
            None => self.denied(request),
        }
    }

    /// Judges one request and tells what the rules do to its headers. Unlike [`RuleSet::check`] it asks every rule, as
    /// each that matches acts (cilium/proxy cilium/network_policy.cc).
    #[must_use]
    pub fn evaluate(&self, request: &dyn Request) -> (Verdict<'_>, Effects) {
        if !self.acts {
            return (self.check(request), Effects::default());
        }
        let tunnel = self.tunnel(request);
        let mut changed = ChangedRequest::new(request);
        let mut found = None;
        for rule in &self.rules {
            // One that does not mean the tunnel acts all the same: another one may.
            let (acted, means) =
                (rule.matches(&changed) && changed.act(&rule.actions), tunnel.is_none_or(|tunnel| rule.means(tunnel)));
            if acted && means {
                found = found.or(Some(rule));
            }
        }
        let verdict = found.map_or_else(|| self.denied(request), |rule| self.allowed(rule));
        (verdict, changed.into_effects())
    }

    /// The tunnel that a request asks for, if a rule has to mean it.
    fn tunnel(&self, request: &dyn Request) -> Option<Tunnel> {
        request.tunnel().filter(|tunnel| !self.upgrades.take(tunnel.kind))
    }

    fn allowed<'r>(&self, rule: &'r CompiledRule) -> Verdict<'r> {
        Verdict {
            outcome: Outcome::Allow,
            reason: Reason::RuleAllows,
            rule: Some(&rule.info),
            misses: Vec::new(),
            refused: ValueSet::default(),
            for_values: false,
            in_part: false,
            filtered: false,
            deny_with: self.deny_with,
            deny_scope: self.deny_scope,
        }
    }
}
