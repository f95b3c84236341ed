//! The contract between a datagram protocol and the driver that moves its datagrams.
//!
//! One [`DatagramSession`] holds the state of one flow: one client address and port, and one server address and port. It
//! decides what to do with each datagram and remembers the open queries, so that only answers to those queries are
//! relayed. The driver owns sockets and time: it passes in when a query arrived, forgets old queries through
//! [`DatagramSession::expire`], and holds an answer back ([`AnswerStep::Hold`]) until the addresses in it are installed.
//!
//! Verdicts, answers and violations go to the [`Checker`]. The driver counts datagrams, flows and held answers.

use crate::{protocol::ProtocolContext, relay::Checker, resolution::LearnedAddresses};

/// Makes the state of one flow.
pub type NewSession = fn(&ProtocolContext<'_>) -> Box<dyn DatagramSession>;

/// What becomes of a datagram of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryStep {
    /// It goes to the server as it came.
    Forward,
    /// Nothing goes to the server; the client gets this one, from the server's address.
    Answer(Vec<u8>),
    /// Forward nothing. The word is the reason: `denied`, or the kind of the violation that the checker received.
    Drop(&'static str),
}

/// What becomes of a datagram of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerStep {
    /// It goes to the client as it came.
    Forward,
    /// It goes to the client as it came, but not before all that a connection to these addresses will meet knows of
    /// them. If that takes too long, the client gets [`DatagramSession::unlearnt`] instead.
    Hold(LearnedAddresses),
    /// Forward nothing. The word is the kind of the violation that the checker received.
    Drop(&'static str),
}

/// The state of one flow of datagrams. What it keeps is bounded by a limit of its protocol.
pub trait DatagramSession: Send {
    /// Judges one datagram of the client. `now` is the driver's time, in any unit; it never goes back.
    fn query(&mut self, datagram: &[u8], now: u64, checker: &mut dyn Checker) -> QueryStep;

    /// Looks at one datagram of the server. Each allowed query has one answer; a query that was sent twice has two.
    fn answer(&mut self, datagram: &[u8], checker: &mut dyn Checker) -> AnswerStep;

    /// What the client gets in place of an answer that was held in vain: the server's failure, not silence.
    /// `answer` is that of [`AnswerStep::Hold`].
    fn unlearnt(&self, answer: &[u8]) -> Vec<u8>;

    /// Queries that were forwarded and have no answer yet.
    fn outstanding(&self) -> usize;

    /// When the oldest of them came. The driver sets its timer by this.
    fn oldest(&self) -> Option<u64>;

    /// Forgets the queries that came before a time, tells the checker that they get no answer, and how many they were.
    /// Answers that come later are nobody's.
    fn expire(&mut self, before: u64, checker: &mut dyn Checker) -> usize;
}
