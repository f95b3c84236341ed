//! Requests that carry several values of one field, each of which some rule has to allow (Kafka's topics).

use std::sync::Arc;

use crate::{request::Request, ruleset::Compiled, schema::FieldIndex};

/// Most values of a request that are judged; one with more is denied.
const MOST: usize = 4096;

/// The rule that allows a request: one without a say about the field, or the one that allows the last value that was
/// left. Without any value nothing is left to allow, and only the former does.
pub(crate) fn find<'r>(rules: &'r [Arc<Compiled>], field: FieldIndex, request: &dyn Request) -> Option<&'r Compiled> {
    let count = request.count(field);
    let mut left = Left::of(count.filter(|count| *count <= MOST).unwrap_or(0));
    rules.iter().map(|rule| &**rule).filter(|rule| rule.matches(request)).find(|rule| {
        let Some((_, pattern)) = rule.predicates.iter().find(|(predicate, _)| predicate.field == field) else {
            return true;
        };
        let Some(count) = count else { return true };
        if count > MOST {
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
    bits: [u64; MOST / 64],
}

impl Left {
    fn of(count: usize) -> Self {
        let mut left = Self { bits: [0; MOST / 64] };
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
