//! Fetch sessions of a connection. A broker remembers what a session fetches (KIP-227, KIP-932), so each request
//! concerns all topics of its session.
//!
//! Any connection could use the number of a Fetch session, so only sessions that this connection opened are accepted.
//! The relay keeps the newest session of each kind, with every topic that was ever in it. If a topic has left the
//! session and is denied later, the client only has to open a new session.

use std::sync::Arc;

/// The epoch that opens a session, after closing the one that is named.
pub(super) const OPENS: i32 = 0;
/// The epoch of a request without a session, which closes the one that is named.
pub(super) const CLOSES: i32 = -1;
/// The error code of a session that is not known (`FETCH_SESSION_ID_NOT_FOUND`). Clients begin anew.
pub(super) const NOT_FOUND: i16 = 70;
/// The same of a share session (`SHARE_SESSION_NOT_FOUND`).
pub(super) const SHARE_NOT_FOUND: (i16, &str) = (122, "The share session was not found.");

/// The topics of one session, in order.
#[derive(Debug, Default)]
pub(super) struct FetchSession {
    /// Its number, once the broker has said it.
    id: Option<i32>,
    /// Whose it is, for share sessions: group and member.
    owner: (Box<[u8]>, Box<[u8]>),
    topics: Vec<Arc<str>>,
    /// Topics that the client thinks are in it, and that were refused.
    refused: Vec<Arc<str>>,
}

impl FetchSession {
    /// One that a request opens with its topics.
    pub(super) fn opening((group, member): (&[u8], &[u8]), topics: impl Iterator<Item = Arc<str>>) -> Self {
        let mut topics: Vec<_> = topics.collect();
        topics.sort_unstable();
        topics.dedup();
        Self { id: None, owner: (group.into(), member.into()), topics, refused: Vec::new() }
    }

    /// The same without these topics.
    pub(super) fn without(self, refused: impl Iterator<Item = Arc<str>>) -> Self {
        Self { refused: refused.collect(), ..self }
    }

    /// Topics that the client thinks are in it.
    pub(super) fn refused(&self) -> &[Arc<str>] {
        &self.refused
    }

    /// The broker has opened it under a number.
    pub(super) fn opened(&mut self, id: i32) {
        self.id = Some(id);
    }

    /// Whether the broker has not said its number yet.
    pub(super) fn is_opening(&self) -> bool {
        self.id.is_none()
    }

    /// Whether it has this number.
    pub(super) fn is(&self, id: i32) -> bool {
        self.id == Some(id)
    }

    /// Whether it is that of a member of a group.
    pub(super) fn is_of(&self, (group, member): (&[u8], &[u8])) -> bool {
        (&*self.owner.0, &*self.owner.1) == (group, member)
    }

    /// Its topics.
    pub(super) fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    /// A request takes more topics in. Whether there are not more than the limit.
    pub(super) fn take_in(&mut self, names: impl Iterator<Item = Arc<str>>, most: usize) -> bool {
        for name in names {
            if let Err(place) = self.topics.binary_search(&name) {
                if self.topics.len() >= most {
                    return false;
                }
                self.topics.insert(place, name);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> impl Iterator<Item = Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_session_keeps_each_topic_once() {
        let mut session = FetchSession::opening((b"group", b"member"), names(&["b", "a", "b"]));
        assert!(session.is_of((b"group", b"member")) && !session.is_of((b"group", b"")));
        assert!(!session.is(0) && !session.is(7));
        session.opened(7);
        assert!(session.is(7) && !session.is(0));
        assert!(session.take_in(names(&["c", "a"]), 3));
        assert_eq!(session.topics().iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(session.take_in(names(&["c"]), 3) && !session.take_in(names(&["d"]), 3));
    }
}
