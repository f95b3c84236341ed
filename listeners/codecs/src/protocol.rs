//! The descriptor of a protocol: everything that code outside the protocol's folder knows about it.

use std::{any::Any, borrow::Cow, net::SocketAddr, sync::Arc};

use portcullis_rules::{
    limits::{LimitSpec, LimitValues},
    schema::Schema,
};

use crate::{datagram::NewSession, question::QuestionSchema, relay::Relay};

/// A protocol that policies can name. Its folder has one, and [`crate::PROTOCOLS`] one line for it.
pub struct Protocol {
    /// What it publishes to the rules.
    pub schema: &'static Schema,
    /// Its limits: each list is that of one part of it. They are read below `limits` in the settings file, so a key is one
    /// protocol's.
    pub limits: &'static [&'static [LimitSpec]],
    /// How it is relayed. `None`: policies that name it are read where nothing is relayed, and no node takes them.
    pub live: Option<Live>,
    /// What the numbers of its answers mean. `None`: they are shown as they are, and not counted.
    pub statuses: Option<Statuses>,
    /// The kinds of its requests, where they are counted one by one.
    pub kinds: Option<Kinds>,
    /// One of its requests in a few words for people, from its fields by name. `None`: each as `name=value`.
    pub line: Option<fn(&ShownFields<'_>) -> String>,
    /// How requests that nobody sent are asked about. `None`: nobody can.
    pub question: Option<QuestionSchema>,
}

impl Protocol {
    /// One that policies can name, and nothing more.
    #[must_use]
    pub const fn new(schema: &'static Schema) -> Self {
        Self { schema, limits: &[], live: None, statuses: None, kinds: None, line: None, question: None }
    }
}

/// The fields of a request as they are shown, by name. A field with several values is there several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownFields<'a>(pub Vec<(&'a str, &'a str)>);

impl ShownFields<'_> {
    /// The first value of a field; empty where there is none.
    #[must_use]
    pub fn first(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The values of a field, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| *field == name).map(|(_, value)| *value)
    }
}

/// The kinds of a protocol's requests ([`Request::kind`]).
///
/// [`Request::kind`]: portcullis_rules::request::Request::kind
#[derive(Debug)]
pub struct Kinds {
    /// What a kind is called: the label of the metric `portcullis_<protocol>_requests_total`.
    pub name: &'static str,
    /// The help of that metric.
    pub help: &'static str,
    /// The word of each number. There are few: each is a series for each verdict.
    pub words: &'static [&'static str],
}

/// What the numbers of a protocol's answers mean ([`crate::relay::Answer::status`]).
#[derive(Debug)]
pub struct Statuses {
    /// What such a number is called: the label of the metric `portcullis_<protocol>_answers_total`, and the key in records.
    pub name: &'static str,
    /// The help of that metric.
    pub help: &'static str,
    /// The words of the numbers below this one are always among the series.
    pub common: usize,
    /// The word of a number, if it has one. There are few words: each is a series.
    pub word: fn(i32) -> Option<&'static str>,
    /// What stands before a number without a word where it is shown.
    pub prefix: &'static str,
    /// The number of the failure that a client gets instead of an answer that could not be used.
    pub failure: i32,
}

impl Statuses {
    /// What the metric's label reads for numbers without a word.
    pub const OTHER: &'static str = "other";

    /// The words of the numbers that are always counted, in order.
    pub fn common(&self) -> impl Iterator<Item = &'static str> {
        let numbers = (0..).take(self.common);
        numbers.map(|number| (self.word)(number).unwrap_or(Self::OTHER))
    }

    /// A number as it is shown: its word, or itself behind the prefix.
    #[must_use]
    pub fn shown(&self, status: i32) -> Cow<'static, str> {
        (self.word)(status).map_or_else(|| format!("{}{status}", self.prefix).into(), Cow::Borrowed)
    }
}

/// What all relays and sessions of one protocol share in one data plane, on all its workers. Its maker bounds what it keeps.
pub type ProtocolShared = Arc<dyn Any + Send + Sync>;

/// What a relay or a session is made with.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolContext<'a> {
    /// The limits in force.
    pub limits: &'a LimitValues,
    /// What [`Live::share`] made.
    pub shared: &'a ProtocolShared,
    /// The server that is spoken to.
    pub server: SocketAddr,
    /// The driver's time in milliseconds: one clock for all that share, which never goes back. [`Checker::now`] tells it
    /// later.
    ///
    /// [`Checker::now`]: crate::relay::Checker::now
    pub now: u64,
}

impl ProtocolContext<'_> {
    /// What is shared, if it has this type.
    #[must_use]
    pub fn shared<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.shared).downcast().ok()
    }
}

/// What makes the relays of a protocol.
#[derive(Debug)]
pub struct Live {
    /// Makes what all relays and sessions share, for example names that one connection learns and others use.
    pub share: fn() -> ProtocolShared,
    /// Makes the relay of one connection pair.
    pub relay: fn(&ProtocolContext<'_>) -> Box<dyn Relay>,
    /// Makes the state of one flow of datagrams, if the protocol has any.
    pub session: Option<NewSession>,
    /// Most bytes of one side that a relay holds back before it forwards or refuses them.
    pub held: fn(&LimitValues) -> usize,
}

impl Live {
    /// What relays share that have nothing in common.
    #[must_use]
    pub fn nothing() -> ProtocolShared {
        Arc::new(())
    }
}

/// The protocols that a process knows: [`crate::PROTOCOLS`], unless a test adds one.
#[derive(Clone, Copy)]
pub struct Registry(&'static [&'static Protocol]);

impl Registry {
    /// Those of a list.
    #[must_use]
    pub const fn new(protocols: &'static [&'static Protocol]) -> Self {
        Self(protocols)
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = &'static Protocol> {
        self.0.iter().copied()
    }

    /// Finds a protocol by the name of its schema.
    #[must_use]
    pub fn find(self, name: &str) -> Option<&'static Protocol> {
        self.iter().find(|protocol| protocol.schema.protocol == name)
    }

    /// What all protocols publish. Policies are read with these where nothing is relayed.
    #[must_use]
    pub fn schemas(self) -> Vec<&'static Schema> {
        self.iter().map(|protocol| protocol.schema).collect()
    }

    /// What those publish that have a relay. A node reads policies with these.
    #[must_use]
    pub fn live_schemas(self) -> Vec<&'static Schema> {
        self.iter().filter(|protocol| protocol.live.is_some()).map(|protocol| protocol.schema).collect()
    }

    /// The limits of all protocols.
    #[must_use]
    pub fn limits(self) -> Vec<&'static LimitSpec> {
        self.iter().flat_map(|protocol| protocol.limits.iter().copied().flatten()).collect()
    }
}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.schema.protocol)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
