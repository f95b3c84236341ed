//! Names of topics by their ids (KIP-516). They are learned from servers and shared by all connections to the same
//! server.
//!
//! An id never gets another name and is never reused, so an entry stays true; only the number of entries is bounded.
//! Entries are keyed by the server's address, because any server may claim any cluster id.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

/// Parts of the table, each with a lock of its own: readers of one never wait for those of another.
const PARTS: usize = 16;

type ServerTopics = HashMap<(SocketAddr, [u8; 16]), Arc<str>>;

/// Where names that one server tells are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownTopics<'a> {
    pub(super) ids: &'a TopicIds,
    pub(super) server: SocketAddr,
    /// Names that are kept of all servers.
    pub(super) most: usize,
}

/// The names that are known.
#[derive(Debug, Default)]
pub struct TopicIds {
    parts: [RwLock<ServerTopics>; PARTS],
}

impl TopicIds {
    fn part(&self, id: &[u8; 16]) -> Option<&RwLock<ServerTopics>> {
        // Ids are random in all but a few bits, which are not in the last byte.
        self.parts.get(usize::from(id[15]) % PARTS)
    }

    /// The name of a topic of a server.
    pub(super) fn find(&self, server: SocketAddr, id: &[u8; 16]) -> Option<Arc<str>> {
        let part = self.part(id)?.read().unwrap_or_else(PoisonError::into_inner);
        part.get(&(server, *id)).map(Arc::clone)
    }

    /// Takes in what a server says. Where a part of the table is full it begins anew: who needs a name asks for it.
    pub(super) fn learn(&self, server: SocketAddr, id: &[u8; 16], name: &str, most: usize) {
        let Some(part) = self.part(id) else { return };
        let known = |part: &ServerTopics| part.get(&(server, *id)).is_some_and(|known| **known == *name);
        if known(&part.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut part = part.write().unwrap_or_else(PoisonError::into_inner);
        if part.len() >= most.div_ceil(PARTS) {
            part.clear();
        }
        part.insert((server, *id), name.into());
    }

    /// How many names are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Whether no name is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u8) -> SocketAddr {
        ([10, 0, 0, number], 9092).into()
    }

    #[test]
    fn a_name_is_known_by_the_server_that_said_it() {
        let ids = TopicIds::default();
        ids.learn(server(1), &[7; 16], "orders", 100);
        assert_eq!(ids.find(server(1), &[7; 16]).as_deref(), Some("orders"));
        assert_eq!((ids.find(server(2), &[7; 16]), ids.find(server(1), &[8; 16])), (None, None));
        ids.learn(server(2), &[7; 16], "payments", 100);
        assert_eq!(ids.find(server(1), &[7; 16]).as_deref(), Some("orders"));
        assert_eq!((ids.len(), ids.is_empty()), (2, false));
    }

    #[test]
    fn there_are_never_more_than_the_limit() {
        let ids = TopicIds::default();
        for number in 0..10_000_u16 {
            let mut id = [0; 16];
            id[14..].copy_from_slice(&number.to_be_bytes());
            ids.learn(server(1), &id, "topic", 160);
            assert!(ids.len() <= 160);
            assert!(ids.find(server(1), &id).is_some());
        }
    }
}
