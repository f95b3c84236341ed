//! Chooses the HTTP version of a connection from the client's first bytes, and follows an upgrade to HTTP/2 that the
//! server accepts.

use crate::{
    http::Limits,
    http1::Http1,
    http2::{Http2, PREFACE},
    relay::{Checker, Relay, RelayOutput, RelayStep, Side},
};

/// Makes the relay of one connection pair.
#[must_use]
pub fn relay(limits: &Limits) -> Box<dyn Relay> {
    Box::new(Http { version: Version::One(Http1::new(limits)), decided: false, begun: false })
}

/// The state of one connection pair.
#[derive(Debug)]
struct Http {
    version: Version,
    /// Whether the first bytes have decided. Until then they can only be the beginning of HTTP/2's preface.
    decided: bool,
    /// Whether any came.
    begun: bool,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most connections speak HTTP/1, and take one piece of memory so")]
enum Version {
    One(Http1),
    Two(Box<Http2>),
}

impl Http {
    fn relay(&mut self) -> &mut dyn Relay {
        match &mut self.version {
            Version::One(relay) => relay,
            Version::Two(relay) => &mut **relay,
        }
    }

    fn relay_ref(&self) -> &dyn Relay {
        match &self.version {
            Version::One(relay) => relay,
            Version::Two(relay) => &**relay,
        }
    }

    /// Looks at the first bytes of a client, at most as many as the preface of HTTP/2 has. Returns whether they decide.
    fn decide(&mut self, input: &[u8]) -> bool {
        self.begun = true;
        self.decided = input.len() >= PREFACE.len() || !PREFACE.starts_with(input);
        if let Version::One(relay) = &self.version
            && input.starts_with(PREFACE)
        {
            self.version = Version::Two(Box::new(Http2::new(relay.limits())));
        }
        self.decided
    }
}

impl Relay for Http {
    fn receive(&mut self, from: Side, input: &[u8], checker: &mut dyn Checker, out: &mut RelayOutput) -> RelayStep {
        if from == Side::Downstream && !self.decided && !self.decide(input) {
            return RelayStep::HOLD;
        }
        let step = self.relay().receive(from, input, checker, out);
        if let Version::One(relay) = &mut self.version
            && let Some(offer) = relay.taken_up()
        {
            self.version = Version::Two(Box::new(Http2::upgraded(relay.limits(), *offer)));
        }
        step
    }

    fn receive_eof(&mut self, from: Side, held: usize, checker: &mut dyn Checker, out: &mut RelayOutput) {
        self.relay().receive_eof(from, held, checker, out);
    }

    fn wants(&self, side: Side) -> bool {
        self.relay_ref().wants(side)
    }

    fn head_pending(&self) -> bool {
        self.relay_ref().head_pending() || (self.begun && !self.decided)
    }

    fn head_timeout(&mut self, checker: &mut dyn Checker, out: &mut RelayOutput) {
        match &mut self.version {
            Version::One(relay) if self.begun && !self.decided => relay.head_late(checker, out),
            Version::One(relay) => relay.head_timeout(checker, out),
            Version::Two(relay) => relay.head_timeout(checker, out),
        }
    }

    fn body_waits(&self) -> bool {
        self.relay_ref().body_waits()
    }

    fn body_timeout(&mut self) {
        self.relay().body_timeout();
    }

    fn client_first(&self) -> bool {
        true
    }

    fn passthrough(&self, from: Side) -> u64 {
        self.relay_ref().passthrough(from)
    }

    fn passed(&mut self, from: Side, bytes: u64) {
        self.relay().passed(from, bytes);
    }
}
