//! A worker's table of connection pairs and datagram flows.

use portcullis_codecs::relay::Side;

/// What an event of the kernel belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventSource {
    /// The mailbox.
    Waker,
    /// A listener, by its place.
    Listener(usize),
    /// A listener for datagrams, by its place.
    Datagrams(usize),
    /// One side of a pair.
    Pair(SlotToken, Side),
    /// The upstream socket of a datagram flow.
    Flow(SlotToken),
}

/// The two highest bits tell what the rest means.
const KIND: u64 = 3 << 62;
const FLOW: u64 = KIND;
const LISTENER: u64 = 1 << 63;
const DATAGRAMS: u64 = LISTENER | 1 << 61;
/// No flow has the last slot in its last generation.
const WAKER: u64 = u64::MAX;
const SLOT_BITS: u32 = 32;
const GENERATIONS: u32 = (1 << 30) - 1;

/// Names an entry: its slot, and which of those that had the slot it is. Events of one that is gone find nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotToken(u64);

impl SlotToken {
    fn new(slot: usize, generation: u32) -> Self {
        Self(u64::from(generation) << SLOT_BITS | slot as u64)
    }

    pub(crate) fn slot(self) -> usize {
        usize::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(usize::MAX)
    }

    fn generation(self) -> u32 {
        u32::try_from(self.0 >> SLOT_BITS).unwrap_or(u32::MAX)
    }

    /// As the data of an event.
    pub(crate) fn event(self, side: Side) -> u64 {
        self.0 << 1 | side as u64
    }
}

impl EventSource {
    pub(crate) fn to_event(self) -> u64 {
        match self {
            Self::Waker => WAKER,
            Self::Listener(place) => LISTENER | place as u64,
            Self::Datagrams(place) => DATAGRAMS | place as u64,
            Self::Pair(token, side) => token.event(side),
            Self::Flow(token) => FLOW | token.0,
        }
    }

    pub(crate) fn of_event(data: u64) -> Self {
        if data == WAKER {
            return Self::Waker;
        }
        if data & KIND == FLOW {
            return Self::Flow(SlotToken(data & !KIND));
        }
        if data & LISTENER != 0 {
            let place = usize::try_from(data & !DATAGRAMS).unwrap_or(usize::MAX);
            return if data & DATAGRAMS == DATAGRAMS { Self::Datagrams(place) } else { Self::Listener(place) };
        }
        let side = if data & 1 == Side::Downstream as u64 { Side::Downstream } else { Side::Upstream };
        Self::Pair(SlotToken(data >> 1), side)
    }
}

struct SlotEntry<T> {
    generation: u32,
    content: Option<Box<T>>,
}

/// All pairs, or all flows, of a worker. One that is being advanced is taken out and put back.
pub(crate) struct SlotTable<T> {
    entries: Vec<SlotEntry<T>>,
    free: Vec<usize>,
}

impl<T> Default for SlotTable<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> SlotTable<T> {
    /// The next name.
    pub(crate) fn reserve(&mut self) -> SlotToken {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(SlotEntry { generation: 0, content: None });
            self.entries.len() - 1
        });
        SlotToken::new(slot, self.entries[slot].generation)
    }

    pub(crate) fn put(&mut self, token: SlotToken, content: Box<T>) {
        self.entries[token.slot()].content = Some(content);
    }

    pub(crate) fn take(&mut self, token: SlotToken) -> Option<Box<T>> {
        let entry = self.entries.get_mut(token.slot())?;
        if entry.generation == token.generation() { entry.content.take() } else { None }
    }

    /// The name is given up; its slot may be had by another.
    pub(crate) fn release(&mut self, token: SlotToken) {
        let entry = &mut self.entries[token.slot()];
        entry.generation = (entry.generation + 1) & GENERATIONS;
        self.free.push(token.slot());
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Number of slots, for a walk.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The name and the content of a slot, if there is one.
    pub(crate) fn at(&self, slot: usize) -> Option<(SlotToken, &T)> {
        let entry = self.entries.get(slot)?;
        entry.content.as_deref().map(|content| (SlotToken::new(slot, entry.generation), content))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_codecs::relay::Side;

    use super::{EventSource, SlotTable};

    #[test]
    fn every_source_survives_the_way_through_the_kernel() {
        let mut table = SlotTable::<()>::default();
        let first = table.reserve();
        let second = table.reserve();
        for source in [
            EventSource::Waker,
            EventSource::Listener(0),
            EventSource::Listener(70_000),
            EventSource::Datagrams(0),
            EventSource::Datagrams(70_000),
            EventSource::Flow(first),
            EventSource::Flow(second),
            EventSource::Pair(first, Side::Downstream),
            EventSource::Pair(second, Side::Upstream),
        ] {
            assert_eq!(EventSource::of_event(source.to_event()), source);
        }
    }

    #[test]
    fn a_slot_that_is_had_again_has_another_name() {
        let mut table = SlotTable::<()>::default();
        let first = table.reserve();
        table.release(first);
        let second = table.reserve();
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
        assert!(table.take(first).is_none());
        assert_eq!(table.len(), 1);
    }
}
