//! Requests that carry several values of one field, each of which some rule has to allow (Kafka's topics).

use std::{borrow::Cow, sync::Arc};

use crate::{
    request::{FieldValue, Request},
    ruleset::Compiled,
    schema::{FieldIndex, Schema},
    tunnel::Tunnel,
    values::{MOST_VALUES, ValueSet},
};

/// A request seen with one value of the field of which it may have several.
pub(crate) struct Seen<'a> {
    request: &'a dyn Request,
    field: FieldIndex,
    number: usize,
}

impl<'a> Seen<'a> {
    /// With the value of that number.
    pub(crate) fn one(request: &'a dyn Request, field: FieldIndex, number: usize) -> Self {
        Self { request, field, number }
    }
}

impl Request for Seen<'_> {
    fn schema(&self) -> &'static Schema {
        self.request.schema()
    }

    fn field(&self, field: FieldIndex, key: &str) -> FieldValue<'_> {
        if field != self.field {
            return self.request.field(field, key);
        }
        FieldValue::Value(Cow::Borrowed(self.nth(field, 0)))
    }

    fn shown(&self, field: FieldIndex) -> Option<Cow<'_, [u8]>> {
        if field == self.field { Some(Cow::Borrowed(self.nth(field, 0))) } else { self.request.shown(field) }
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        if field == self.field { Some(1) } else { self.request.count(field) }
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        self.request.nth(field, if field == self.field { self.number } else { number })
    }

    fn tunnel(&self) -> Option<Tunnel> {
        self.request.tunnel()
    }

    fn exchange(&self) -> u32 {
        self.request.exchange()
    }

    fn version(&self) -> &'static str {
        self.request.version()
    }
}

/// The values of a request that no rule allows. None where it is denied as a whole: it has no value, or too many.
pub(crate) fn refused(rules: &[Arc<Compiled>], field: FieldIndex, request: &dyn Request) -> ValueSet {
    let count = request.count(field).filter(|count| *count <= MOST_VALUES).unwrap_or(0);
    let allowed = |number| rules.iter().any(|rule| rule.matches(&Seen::one(request, field, number)));
    (0..count).filter(|number| !allowed(*number)).collect()
}

/// The rule that allows a request: one without a say about the field, or the one that allows the last value that was
/// left. Without any value nothing is left to allow, and only the former does.
pub(crate) fn find<'r>(rules: &'r [Arc<Compiled>], field: FieldIndex, request: &dyn Request) -> Option<&'r Compiled> {
    let count = request.count(field);
    let mut left = Left::of(count.filter(|count| *count <= MOST_VALUES).unwrap_or(0));
    rules.iter().map(|rule| &**rule).filter(|rule| rule.matches(request)).find(|rule| {
        let Some((_, pattern)) = rule.predicates.iter().find(|(predicate, _)| predicate.field == field) else {
            return true;
        };
        let Some(count) = count else { return true };
        if count > MOST_VALUES {
            return false;
        }
        for number in (0..count).filter(|number| pattern.matches(request.nth(field, *number))) {
            left.remove(number);
        }
        count > 0 && left.is_empty()
    })
}

/// The values that no rule has allowed yet.
struct Left {
    bits: [u64; MOST_VALUES / 64],
}

impl Left {
    fn of(count: usize) -> Self {
        let mut left = Self { bits: [0; MOST_VALUES / 64] };
        for number in 0..count {
            left.bits[number / 64] |= 1 << (number % 64);
        }
        left
    }

    fn remove(&mut self, number: usize) {
        self.bits[number / 64] &= !(1 << (number % 64));
    }

    fn is_empty(&self) -> bool {
        self.bits.iter().all(|word| *word == 0)
    }
}
