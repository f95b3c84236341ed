//! The dynamic table (RFC 7541 §2.3.2 and §4).

use std::collections::VecDeque;

use super::{DEFAULT_TABLE_SIZE, MAX_TABLE_SIZE, field_size, short};

/// Room that the first entry makes, in bytes.
const FIRST_ROOM: usize = 256;

/// Entries in the order of their age. Their bytes stand in one buffer, newer behind older, and are moved to its front
/// only when it is full and half of it is evicted: an entry is moved once at most on average.
#[derive(Debug)]
pub(super) struct DynamicTable {
    bytes: Vec<u8>,
    /// The newest is the last.
    entries: VecDeque<DynamicEntry>,
    /// The size of all entries, as RFC 7541 §4.1 counts it.
    size: usize,
    max_size: usize,
    /// Entries ever inserted, modulo 2³². The newest has the number below.
    inserted: u32,
}

#[derive(Clone, Copy, Debug)]
struct DynamicEntry {
    start: u32,
    name: u32,
    value: u32,
}

impl DynamicEntry {
    fn size(self) -> usize {
        field_size(self.name as usize, self.value as usize)
    }
}

impl DynamicTable {
    /// An empty table of the size that both sides begin with.
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), entries: VecDeque::new(), size: 0, max_size: DEFAULT_TABLE_SIZE, inserted: 0 }
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The size of all entries, in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of the buffer.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// The most that all entries may have, in bytes.
    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    /// Changes the maximum size and evicts what exceeds it (RFC 7541 §4.3).
    pub(super) fn set_max_size(&mut self, size: usize) {
        self.max_size = size.min(MAX_TABLE_SIZE);
        self.evict(self.max_size);
        if self.max_size == 0 {
            (self.bytes, self.entries) = (Vec::new(), VecDeque::new());
        }
    }

    /// Name and value of an entry, from 0 for the newest on.
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(self.entries.len().checked_sub(age.checked_add(1)?)?)?;
        let (start, name) = (entry.start as usize, entry.name as usize);
        let entry = self.bytes.get(start..start + name + entry.value as usize)?;
        Some(entry.split_at(name))
    }

    /// The number of the entry that is inserted next.
    pub(super) fn next_number(&self) -> u32 {
        self.inserted
    }

    /// The age of the entry of a number, if it is still there.
    pub(super) fn age(&self, number: u32) -> Option<usize> {
        let age = self.inserted.wrapping_sub(number).wrapping_sub(1) as usize;
        (age < self.entries.len()).then_some(age)
    }

    /// Inserts a field. One that is larger than the table empties it and is not inserted (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = field_size(name.len(), value.len());
        self.evict(self.max_size.saturating_sub(size));
        if size > self.max_size {
            return;
        }
        self.make_room(name.len() + value.len());
        let entry = DynamicEntry { start: short(self.bytes.len()), name: short(name.len()), value: short(value.len()) };
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(entry);
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
    }

    /// Removes the oldest entries until all have at most this size.
    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
        if self.entries.is_empty() {
            self.bytes.clear();
        }
    }

    /// Makes room in the buffer. It grows to no more than three times the table.
    fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() + bytes <= self.bytes.capacity() {
            return;
        }
        let evicted = self.entries.front().map_or(0, |oldest| oldest.start);
        if evicted as usize * 2 >= self.bytes.len() {
            let live = self.bytes.len() - evicted as usize;
            self.bytes.copy_within(evicted as usize.., 0);
            self.bytes.truncate(live);
            for entry in &mut self.entries {
                entry.start -= evicted;
            }
        }
        let needed = self.bytes.len() + bytes;
        if needed > self.bytes.capacity() {
            let doubled = (self.bytes.capacity() * 2).clamp(FIRST_ROOM, MAX_TABLE_SIZE * 2);
            self.bytes.reserve_exact(doubled.max(needed) - self.bytes.len());
        }
    }
}
