//! The names in a request: topics, groups, transactional ids and the client.

use std::{ops::Range, sync::Arc};

/// Room for topics that is kept from one request to the next.
const KEPT_TOPICS: usize = 1024;
/// Room for other names that is kept.
const KEPT_NAMES: usize = 4096;

/// How a request tells a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicName {
    /// By its name: where that stands in the frame.
    Name { at: u32, length: u16 },
    /// By an id of which the name is not known.
    Id([u8; 16]),
    /// By an id of which the name is known: its number among these.
    Known(u32),
    /// By something that is no name of one topic, such as a regular expression. No rule about topics takes it.
    Unnamed,
}

impl TopicName {
    pub(super) fn name(span: &Range<usize>) -> Option<Self> {
        Some(Self::Name { at: u32::try_from(span.start).ok()?, length: u16::try_from(span.len()).ok()? })
    }
}

/// What else a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Group,
    Transaction,
    /// One or the other: the type of the key tells, which may come behind it.
    Coordinator,
}

/// The names in a request that the rules ask for.
#[derive(Debug, Default)]
pub(super) struct RequestNames {
    /// How the client calls itself.
    pub(super) client: Vec<u8>,
    /// Topics that are not judged yet.
    pub(super) topics: Vec<TopicName>,
    /// The names of those that were told by their ids.
    pub(super) known: Vec<Arc<str>>,
    /// The member of a group that asks.
    pub(super) member: Vec<u8>,
    /// All other names, one behind the other.
    texts: Vec<u8>,
    groups: Vec<Range<usize>>,
    /// For each of the groups the number of topics in front of it.
    before: Vec<usize>,
    /// Something came that is not judged yet.
    pub(super) new: bool,
    transactions: Vec<Range<usize>>,
    /// The keys of coordinators: groups or transactions, as the type of the keys tells, which may come behind them.
    keys: Vec<Range<usize>>,
}

impl RequestNames {
    /// Those of the next request.
    pub(super) fn begin(&mut self) {
        self.client.clear();
        self.member.clear();
        self.texts.clear();
        self.texts.shrink_to(KEPT_NAMES);
        for others in [&mut self.groups, &mut self.transactions, &mut self.keys] {
            others.clear();
            others.shrink_to(KEPT_NAMES);
        }
        self.before.clear();
        self.before.shrink_to(KEPT_NAMES);
        self.judged();
    }

    /// What came is judged.
    pub(super) fn judged(&mut self) {
        self.new = false;
        self.topics.clear();
        self.known.clear();
        self.topics.shrink_to(KEPT_TOPICS);
        self.known.shrink_to(KEPT_TOPICS);
    }

    /// Takes one more in.
    pub(super) fn add(&mut self, named: Named, text: &[u8]) {
        self.new = true;
        if named == Named::Group {
            self.before.push(self.topics.len());
        }
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        let others = match named {
            Named::Group => &mut self.groups,
            Named::Transaction => &mut self.transactions,
            Named::Coordinator => &mut self.keys,
        };
        others.push(start..self.texts.len());
    }

    /// Takes one more topic in.
    pub(super) fn add_topic(&mut self, topic: TopicName) {
        self.new = true;
        self.topics.push(topic);
    }

    /// The topics that stand behind a group and in front of the next one.
    pub(super) fn topics_of(&self, group: usize) -> Option<Range<usize>> {
        let start = *self.before.get(group)?;
        Some(start..self.before.get(group + 1).copied().unwrap_or(self.topics.len()))
    }

    fn others(&self, wanted: Named, coordinator: Option<Named>) -> &[Range<usize>] {
        match wanted {
            _ if coordinator == Some(wanted) => &self.keys,
            Named::Group => &self.groups,
            Named::Transaction => &self.transactions,
            Named::Coordinator => &[],
        }
    }

    /// The first group; empty if there is none.
    pub(super) fn group(&self) -> &[u8] {
        self.nth(Named::Group, None, 0)
    }

    /// How many groups, or transactional ids, are named. `coordinator`: what the keys of coordinators are.
    pub(super) fn count(&self, wanted: Named, coordinator: Option<Named>) -> usize {
        self.others(wanted, coordinator).len()
    }

    /// One of them.
    pub(super) fn nth(&self, wanted: Named, coordinator: Option<Named>, number: usize) -> &[u8] {
        let range = self.others(wanted, coordinator).get(number).cloned();
        range.and_then(|range| self.texts.get(range)).unwrap_or_default()
    }
}
