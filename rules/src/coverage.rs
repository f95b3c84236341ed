//! Requests that carry several values of one field, each of which some rule must allow (Kafka's topics).

use std::{borrow::Cow, ops::Range, sync::Arc};

use crate::{
    finder::RuleFinder,
    request::{FieldValue, Request},
    ruleset::CompiledRule,
    schema::{FieldForm, FieldIndex, Schema},
    values::{MOST_VALUES, ValueSet},
};

/// A request seen with one value of the field of which it may have several, or with none.
pub(crate) struct SingleValueRequest<'a> {
    request: &'a dyn Request,
    field: FieldIndex,
    number: Option<usize>,
}

impl<'a> SingleValueRequest<'a> {
    /// With the value of that number.
    pub(crate) fn one(request: &'a dyn Request, field: FieldIndex, number: usize) -> Self {
        Self { request, field, number: Some(number) }
    }

    /// Without any value, although there may be some.
    fn none(request: &'a dyn Request, field: FieldIndex) -> Self {
        Self { request, field, number: None }
    }

    fn value(&self) -> Option<&[u8]> {
        self.number.map(|number| self.request.nth(self.field, number))
    }

    /// The values of another field that belong to this one.
    fn beside(&self, field: FieldIndex) -> Option<Range<usize>> {
        self.request.beside(self.number?, field)
    }
}

impl Request for SingleValueRequest<'_> {
    fn schema(&self) -> &'static Schema {
        self.request.schema()
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        if field != self.field {
            return self.request.field(field, key);
        }
        self.value().map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value)))
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        if field == self.field { self.value().map(Cow::Borrowed) } else { self.request.shown(field) }
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        if field == self.field {
            return Some(usize::from(self.number.is_some()));
        }
        self.beside(field).map_or_else(|| self.request.count(field), |beside| Some(beside.len()))
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        if field == self.field {
            return self.value().unwrap_or_default();
        }
        let before = self.beside(field).map_or(0, |beside| beside.start);
        self.request.nth(field, before + number)
    }

    fn each(&self) -> Option<FieldIndex> {
        None
    }

    fn inner(&self) -> Option<&dyn Request> {
        Some(self.request)
    }
}

/// A request that rules about a field do not concern.
struct UnconcernedRequest<'a> {
    request: &'a dyn Request,
    field: FieldIndex,
}

impl Request for UnconcernedRequest<'_> {
    fn schema(&self) -> &'static Schema {
        self.request.schema()
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        if field == self.field { FieldValue::Absent } else { self.request.field(field, key) }
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        if field == self.field { None } else { self.request.count(field) }
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        self.request.nth(field, number)
    }

    fn inner(&self) -> Option<&dyn Request> {
        Some(self.request)
    }
}

/// The rules of a protocol with a field of which a request may have several values, as they are found: by the request seen with
/// one value at a time.
#[derive(Debug)]
pub(crate) struct Coverage {
    field: FieldIndex,
    /// Finds rules whatever they say about the field, for requests that it does not concern.
    aside: RuleFinder,
}

impl Coverage {
    /// None for protocols without such a field.
    pub(crate) fn new(schema: &Schema, rules: &[Arc<CompiledRule>]) -> Option<Self> {
        let field = each(schema)?;
        Some(Self { field, aside: RuleFinder::aside(schema, rules, field) })
    }

    pub(crate) fn size(&self) -> usize {
        self.aside.size()
    }

    /// The field whose values are judged one by one in a request.
    pub(crate) fn field(&self, request: &dyn Request) -> FieldIndex {
        request.each().unwrap_or(self.field)
    }

    /// The rule that allows a request, and whether its answer has to be cut down: what each of its values is allowed by, if
    /// they are judged one by one.
    pub(crate) fn find<'r>(
        &self,
        finder: &RuleFinder,
        rules: &'r [Arc<CompiledRule>],
        request: &dyn Request,
    ) -> Option<(&'r CompiledRule, bool)> {
        let several = request.each().and_then(|field| Some((field, request.count(field)?)));
        let Some((field, count)) = several.filter(|(_, count)| (1..=MOST_VALUES).contains(count)) else {
            return self.find_or_list(finder, rules, request);
        };
        let mut found = None;
        let mut filtered = false;
        for number in 0..count {
            let (rule, cut) = self.find_or_list(finder, rules, &SingleValueRequest::one(request, field, number))?;
            found = Some(rule);
            filtered |= cut;
        }
        found.map(|rule| (rule, filtered))
    }

    fn find_or_list<'r>(
        &self,
        finder: &RuleFinder,
        rules: &'r [Arc<CompiledRule>],
        request: &dyn Request,
    ) -> Option<(&'r CompiledRule, bool)> {
        let whole = self.find_whole(finder, rules, request).map(|rule| (rule, false));
        whole.or_else(|| self.lists(rules, request).map(|rule| (rule, true)))
    }

    /// The rule that allows a request: one without a say about the field, or the one that allows the last value, where each
    /// of the others is allowed by some rule too. Where there is no value, or too many, only the former allows it.
    fn find_whole<'r>(
        &self,
        finder: &RuleFinder,
        rules: &'r [Arc<CompiledRule>],
        request: &dyn Request,
    ) -> Option<&'r CompiledRule> {
        let count = match request.count(self.field) {
            None => return self.aside.find(rules, request),
            Some(count) if count == 0 || count > MOST_VALUES => {
                return finder.find(rules, &SingleValueRequest::none(request, self.field));
            }
            Some(count) => count,
        };
        let mut last = None;
        for number in 0..count {
            let rule = finder.find(rules, &SingleValueRequest::one(request, self.field, number))?;
            if !rule.has_say(self.field) {
                return Some(rule);
            }
            last = Some(rule);
        }
        last
    }

    /// A rule that would allow a request for all values if it asked for the right one, if the answer to it can be cut down.
    fn lists<'r>(&self, rules: &'r [Arc<CompiledRule>], request: &dyn Request) -> Option<&'r CompiledRule> {
        let field = request.lists().filter(|field| request.count(*field) == Some(0) && request.tunnel().is_none())?;
        self.aside.find(rules, &UnconcernedRequest { request, field })
    }

    /// Whether a rule would allow a request if it had the right values.
    pub(crate) fn minds_values(&self, rules: &[Arc<CompiledRule>], request: &dyn Request) -> bool {
        self.aside.find(rules, &UnconcernedRequest { request, field: self.field(request) }).is_some()
    }

    /// The values of a request that no rule allows. None where it is denied as a whole: it has no value, or too many.
    pub(crate) fn refused(&self, finder: &RuleFinder, rules: &[Arc<CompiledRule>], request: &dyn Request) -> ValueSet {
        let field = self.field(request);
        let count = request.count(field).filter(|count| *count <= MOST_VALUES).unwrap_or(0);
        let allowed =
            |number| self.find_or_list(finder, rules, &SingleValueRequest::one(request, field, number)).is_some();
        (0..count).filter(|number| !allowed(*number)).collect()
    }
}

/// The field of which each value has to be allowed, if a protocol has one.
pub(crate) fn each(schema: &Schema) -> Option<FieldIndex> {
    let index = schema.fields.iter().position(|field| field.form == FieldForm::Each)?;
    u8::try_from(index).ok().map(FieldIndex)
}
