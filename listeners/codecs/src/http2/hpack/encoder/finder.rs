//! Finds fields and names in the dynamic table.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::super::table::DynamicTable;

/// Slots that a key may be in.
const WAYS: usize = 4;
/// Slots when the first entry comes. Each entry takes two.
const FIRST_SLOTS: usize = 64;
/// Slots for the most entries that a table can have: twice as many as they take.
const MOST_SLOTS: usize = 4 * super::super::MAX_TABLE_SIZE / super::super::FIELD_OVERHEAD;

/// A hash table of the entries' numbers that is allowed to forget: a key has a few slots, and where all are taken the
/// oldest gives way. Nothing has to be removed from it, since the table says whether a number is still there, and
/// nobody gains by choosing keys that meet: the blocks only become longer.
#[derive(Debug, Default)]
pub(super) struct EntryFinder {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Of the key; 0 where nothing was ever put.
    hash: u32,
    /// Of the entry.
    number: u32,
}

impl EntryFinder {
    /// The age of an entry with this name and value.
    pub(super) fn field(&self, table: &DynamicTable, name: &[u8], value: &[u8]) -> Option<usize> {
        self.find(table, hash(name, Some(value)), |entry| entry == (name, value))
    }

    /// The age of an entry with this name.
    pub(super) fn name(&self, table: &DynamicTable, name: &[u8]) -> Option<usize> {
        self.find(table, hash(name, None), |entry| entry.0 == name)
    }

    /// Notes the newest entry.
    pub(super) fn note(&mut self, table: &DynamicTable, name: &[u8], value: &[u8]) {
        if self.slots.is_empty() || table.len() * WAYS * 2 > self.slots.len() && self.slots.len() < MOST_SLOTS {
            self.grow(table);
        }
        let number = table.next_number().wrapping_sub(1);
        self.put(table, hash(name, Some(value)), number);
        self.put(table, hash(name, None), number);
    }

    fn find(&self, table: &DynamicTable, hash: u32, is: impl Fn((&[u8], &[u8])) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        self.ways(hash)
            .filter_map(|at| self.slots.get(at))
            .filter(|slot| slot.hash == hash)
            .filter_map(|slot| table.age(slot.number))
            .find(|age| table.get(*age).is_some_and(&is))
    }

    /// Puts a number into a slot of the same key, else one whose entry is gone, else that of the oldest entry.
    fn put(&mut self, table: &DynamicTable, hash: u32, number: u32) {
        let rank = |slot: &Slot| match table.age(slot.number) {
            _ if slot.hash == hash => usize::MAX,
            _ if slot.hash == 0 => usize::MAX - 1,
            None => usize::MAX - 1,
            Some(age) => age,
        };
        let best = self.ways(hash).max_by_key(|at| rank(&self.slots[*at]));
        if let Some(slot) = best.and_then(|at| self.slots.get_mut(at)) {
            *slot = Slot { hash, number };
        }
    }

    /// Makes twice as many slots and notes again what is in the table, the oldest first.
    fn grow(&mut self, table: &DynamicTable) {
        let slots = (self.slots.len() * 2).clamp(FIRST_SLOTS, MOST_SLOTS);
        self.slots = vec![Slot::default(); slots];
        for age in (0..table.len()).rev() {
            if let Some((name, value)) = table.get(age) {
                let number = table.next_number().wrapping_sub(super::super::short(age)).wrapping_sub(1);
                self.put(table, hash(name, Some(value)), number);
                self.put(table, hash(name, None), number);
            }
        }
    }

    fn ways(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        (0..WAYS).map(move |way| (hash as usize).wrapping_add(way) & mask)
    }
}

/// The hash of a field, or of a name alone; never 0.
fn hash(name: &[u8], value: Option<&[u8]>) -> u32 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(name);
    if let Some(value) = value {
        hasher.write_u8(0);
        hasher.write(value);
    }
    let hash = hasher.finish();
    (((hash ^ hash >> 32) & 0xffff_ffff) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Two words of one hash. Among so many there are some.
    fn twins(hash: impl Fn(&[u8]) -> u32) -> (String, String) {
        let mut seen = HashMap::new();
        (0..1_000_000_u32)
            .map(|number| format!("x-{number}"))
            .find_map(|word| Some((seen.insert(hash(word.as_bytes()), word.clone())?, word)))
            .expect("two of one hash")
    }

    #[test]
    fn fields_and_names_of_one_hash_are_told_apart() {
        let (first, second) = twins(|word| hash(b"cookie", Some(word)));
        let (mut table, mut finder) = (DynamicTable::new(), EntryFinder::default());
        table.insert(b"cookie", first.as_bytes());
        finder.note(&table, b"cookie", first.as_bytes());
        assert_eq!(finder.field(&table, b"cookie", first.as_bytes()), Some(0));
        assert_eq!(finder.field(&table, b"cookie", second.as_bytes()), None, "{first} is not {second}");

        let (first, second) = twins(|word| hash(word, None));
        table.insert(first.as_bytes(), b"1");
        finder.note(&table, first.as_bytes(), b"1");
        assert_eq!(finder.name(&table, first.as_bytes()), Some(0));
        assert_eq!(finder.name(&table, second.as_bytes()), None, "{first} is not {second}");
    }
}
