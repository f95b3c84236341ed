//! A set of the values of a request, by their indexes.

/// Most values of one request that are judged; a request with more is denied as a whole.
pub const MOST_VALUES: usize = 4096;

/// Numbers of the values of one request's field ([`crate::request::Request::nth`]), below [`MOST_VALUES`]. An empty one has no
/// memory of its own, others have 1 bit for each number up to the largest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueSet {
    words: Vec<u64>,
}

impl ValueSet {
    /// Takes a number in. One that is not below [`MOST_VALUES`] is left out.
    pub fn insert(&mut self, number: usize) {
        let (word, bit) = (number / 64, number % 64);
        if number >= MOST_VALUES {
            return;
        }
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// Whether a number is in it.
    #[must_use]
    pub fn contains(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// How many numbers are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.words.len() * 64).filter(|number| self.contains(*number))
    }
}

impl FromIterator<usize> for ValueSet {
    fn from_iter<T: IntoIterator<Item = usize>>(numbers: T) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

/// A set without any number.
pub static NO_VALUES: ValueSet = ValueSet { words: Vec::new() };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_taken_in_and_nothing_beyond_its_bound() {
        let set: ValueSet = [4095, 0, 64, 63, 64, 4096, usize::MAX].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 4095]);
        assert_eq!((set.len(), set.is_empty()), (4, false));
        assert!(set.contains(63) && !set.contains(1) && !set.contains(4096) && !set.contains(usize::MAX));
        let none = ValueSet::default();
        assert_eq!((none.len(), none.is_empty(), none.iter().next()), (0, true, None));
    }
}
