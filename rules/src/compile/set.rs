//! Sets of identities: lists while they are small, bit sets when they are large.

use super::identities::IdentityNumber;

/// A set of the identities of one snapshot. Equal sets of one snapshot are equal in form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct IdentitySet {
    form: SetForm,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SetForm {
    /// In order.
    Few(Box<[IdentityNumber]>),
    /// One bit for each identity, and how many are set.
    Many(Box<[u64]>, usize),
}

impl Default for SetForm {
    fn default() -> Self {
        Self::Few(Box::default())
    }
}

/// Identities in one word.
const WORD: usize = 64;

/// Most identities that are few, where so many words have a bit for each: as bits they would take more.
fn most_few(words: usize) -> usize {
    words * size_of::<u64>() / size_of::<IdentityNumber>()
}

impl IdentitySet {
    /// Some of `all` identities, in any order and perhaps more than once.
    pub(crate) fn of(mut some: Vec<IdentityNumber>, all: usize) -> Self {
        some.sort_unstable();
        some.dedup();
        if some.len() <= most_few(all.div_ceil(WORD)) {
            return Self { form: SetForm::Few(some.into()) };
        }
        let mut bits = Bits::none(all);
        some.iter().for_each(|identity| bits.set(*identity));
        bits.into_set()
    }

    pub(crate) fn contains(&self, identity: IdentityNumber) -> bool {
        match &self.form {
            SetForm::Few(some) => some.binary_search(&identity).is_ok(),
            SetForm::Many(words, _) => is_set(words, identity),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.form {
            SetForm::Few(some) => some.len(),
            SetForm::Many(_, count) => *count,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its members, in order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = IdentityNumber> + '_> {
        match &self.form {
            SetForm::Few(some) => Box::new(some.iter().copied()),
            SetForm::Many(words, _) => Box::new(members(words, false)),
        }
    }

    /// The identities of `all` that are not in it, in order.
    pub(crate) fn others(&self, all: usize) -> Box<dyn Iterator<Item = IdentityNumber> + '_> {
        match &self.form {
            SetForm::Few(_) => Box::new(numbers(all).filter(|identity| !self.contains(*identity))),
            SetForm::Many(words, _) => {
                Box::new(members(words, true).take_while(move |identity| (*identity as usize) < all))
            }
        }
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> usize {
        match &self.form {
            SetForm::Few(some) => size_of_val(&**some),
            SetForm::Many(words, _) => size_of_val(&**words),
        }
    }

    /// What is in either, of `all`.
    pub(crate) fn or(&self, other: &Self, all: usize) -> Self {
        match (&self.form, &other.form) {
            (SetForm::Few(one), SetForm::Few(two)) => Self::of([&**one, &**two].concat(), all),
            (SetForm::Many(words, _), _) => {
                let mut bits = Bits(words.clone());
                bits.add(other);
                bits.into_set()
            }
            (SetForm::Few(_), SetForm::Many(..)) => other.or(self, all),
        }
    }
}

/// All identities.
fn numbers(all: usize) -> impl Iterator<Item = IdentityNumber> {
    (0..).take(all)
}

/// A set on its way.
#[derive(Clone, Debug)]
pub(crate) struct Bits(Box<[u64]>);

impl Bits {
    /// None of `all`.
    pub(crate) fn none(all: usize) -> Self {
        Self(vec![0; all.div_ceil(WORD)].into())
    }

    /// All of `all`.
    pub(crate) fn every(all: usize) -> Self {
        let mut bits = Self(vec![u64::MAX; all.div_ceil(WORD)].into());
        if let Some(last) = bits.0.last_mut().filter(|_| !all.is_multiple_of(WORD)) {
            *last = (1 << (all % WORD)) - 1;
        }
        bits
    }

    /// How many words it has.
    pub(crate) fn words(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn set(&mut self, identity: IdentityNumber) {
        if let Some(word) = self.0.get_mut(identity as usize / WORD) {
            *word |= 1 << (identity as usize % WORD);
        }
    }

    /// Adds a set.
    pub(crate) fn add(&mut self, set: &IdentitySet) {
        match &set.form {
            SetForm::Few(some) => some.iter().for_each(|identity| self.set(*identity)),
            SetForm::Many(words, _) => self.0.iter_mut().zip(words).for_each(|(word, other)| *word |= other),
        }
    }

    /// Keeps what is in another as well; with `not`, what is not in it.
    pub(crate) fn keep(&mut self, other: &Self, not: bool) {
        let flip = if not { u64::MAX } else { 0 };
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other ^ flip);
    }

    pub(crate) fn into_set(self) -> IdentitySet {
        let count = self.0.iter().map(|word| word.count_ones() as usize).sum();
        if count > most_few(self.0.len()) {
            return IdentitySet { form: SetForm::Many(self.0, count) };
        }
        IdentitySet { form: SetForm::Few(members(&self.0, false).collect()) }
    }
}

fn is_set(words: &[u64], identity: IdentityNumber) -> bool {
    words.get(identity as usize / WORD).is_some_and(|word| word & (1 << (identity as usize % WORD)) != 0)
}

/// The identities whose bits are set, or are not.
fn members(words: &[u64], unset: bool) -> impl Iterator<Item = IdentityNumber> + '_ {
    let flip = if unset { u64::MAX } else { 0 };
    (0..).step_by(WORD).zip(words).flat_map(move |(first, word)| {
        let mut left = word ^ flip;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(first + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_and_many_are_the_same_set() {
        for all in [1, 63, 64, 65, 200, 4000] {
            for step in [1, 2, 3, 31, 33, 500] {
                let some: Vec<IdentityNumber> = numbers(all).filter(|n| n % step == 0).collect();
                let set = IdentitySet::of([some.clone(), some.clone()].concat(), all);
                let wanted: BTreeSet<IdentityNumber> = some.iter().copied().collect();
                assert_eq!(set.iter().collect::<Vec<_>>(), some, "{all} {step}");
                assert_eq!(set.len(), some.len());
                assert_eq!(set.others(all).collect::<Vec<_>>(), {
                    numbers(all).filter(|n| !wanted.contains(n)).collect::<Vec<_>>()
                });
                assert!(numbers(all + 70).all(|n| set.contains(n) == wanted.contains(&n)));
                let mut bits = Bits::none(all);
                bits.add(&set);
                assert_eq!(bits.clone().into_set(), set, "{all} {step}");
                let mut rest = Bits::every(all);
                rest.keep(&bits, true);
                assert_eq!(rest.clone().into_set(), IdentitySet::of(set.others(all).collect(), all));
                assert_eq!(rest.into_set().or(&set, all), Bits::every(all).into_set());
                bits.keep(&Bits::every(all), false);
                assert_eq!(bits.into_set(), set);
            }
        }
    }
}
