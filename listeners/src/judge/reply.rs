//! Reports answers. An answer with addresses to learn is reported when it is released to the client, with these
//! addresses and the time it was held; every other answer when it arrives.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_codecs::{fact::Facts, relay::ResponseSummary, resolution::LearnedAddresses};
use portcullis_rules::{
    snapshot::{FlowKey, Snapshot},
    world::LearnedFrom,
};

use super::{FlowAuthorizer, Pending};
use crate::telemetry::{AccessRecord, DnsReply, TelemetrySink, VerdictEvent, unix_nanos};

/// Addresses of one answer that are shown; of further ones, how many there are.
const SHOWN: usize = 16;

/// The addresses of an answer, as far as they are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Installed {
    addresses: Vec<IpAddr>,
    more: usize,
}

impl From<&LearnedAddresses> for Installed {
    fn from(resolution: &LearnedAddresses) -> Self {
        let addresses: Vec<IpAddr> = resolution.addresses.iter().take(SHOWN).map(|learnt| learnt.address).collect();
        Self { more: resolution.addresses.len() - addresses.len(), addresses }
    }
}

/// An answer on its way to the client, to an allowed query of which somebody wants to know.
#[derive(Debug)]
pub(crate) struct PendingReply {
    pending: Pending,
    answer: ResponseSummary,
    status: i32,
    /// From the query to the server's answer.
    took: Duration,
    came: Instant,
    installed: Installed,
}

impl FlowAuthorizer {
    /// Where an answer comes from that is read on it.
    pub(crate) fn origin(&self, snapshot: Option<&Snapshot>) -> LearnedFrom {
        let FlowKey { endpoint, transport, peer, port, .. } = self.key;
        let known = snapshot.is_some_and(|snapshot| snapshot.endpoint_at(peer).is_some());
        LearnedFrom { endpoint, server: peer, port, transport, known }
    }

    /// Whether answers are reported in full (DNS), not only by status code.
    pub(super) fn tells_replies(&self) -> bool {
        self.codec.is_some_and(|protocol| protocol.schema.nature.resolves)
    }

    /// An answer has arrived. It is reported when it is released.
    pub(super) fn came(&mut self, pending: Pending, answer: ResponseSummary, exit: &TelemetrySink) {
        let installed = std::mem::take(&mut self.installed);
        let took = pending.since.elapsed();
        match answer.status.filter(|_| self.tells_replies()) {
            Some(status) => {
                // One before it that was not held.
                self.goes_on(exit);
                self.due =
                    Some(Box::new(PendingReply { pending, answer, status, took, came: Instant::now(), installed }));
            }
            None if self.records(pending.event.outcome, exit) => self.record(pending.event, Some(answer), took, exit),
            None => {}
        }
    }

    /// The report of the pending answer, for the code that holds it.
    pub(crate) fn take_due(&mut self) -> Option<Box<PendingReply>> {
        self.due.take()
    }

    /// The answer on its way goes on as it came, without having been held.
    pub(crate) fn goes_on(&mut self, exit: &TelemetrySink) {
        if let Some(due) = self.due.take() {
            self.tell_reply(*due, None, true, exit);
        }
    }

    /// An answer that was held goes on, or a failure in its place.
    pub(crate) fn lets_go(&self, due: PendingReply, passed: bool, exit: &TelemetrySink) {
        let held = due.came.elapsed();
        self.tell_reply(due, Some(held), passed, exit);
    }

    /// Nobody gets an answer that was on its way.
    pub(crate) fn gives_up(&self, due: PendingReply, exit: &TelemetrySink) {
        let PendingReply { pending, took, .. } = due;
        self.give_up(pending, took, exit);
    }

    fn tell_reply(&self, due: PendingReply, held: Option<Duration>, passed: bool, exit: &TelemetrySink) {
        let PendingReply { pending: Pending { event, .. }, answer, status, took, installed, .. } = due;
        let (status_name, shown) = match self.codec.and_then(|protocol| protocol.statuses.as_ref()) {
            Some(statuses) => (statuses.name, statuses.shown(status)),
            None => ("status", status.to_string().into()),
        };
        let Installed { addresses, more } = installed;
        let reply = DnsReply { status, status_name, shown, addresses, more, held, passed };
        if exit.is_watched() {
            exit.show(&Arc::new(VerdictEvent {
                time: unix_nanos(),
                reply: Some(reply.clone()),
                ..VerdictEvent::clone(&event)
            }));
        }
        if self.records(event.outcome, exit) {
            let reply = Some(reply);
            exit.record(AccessRecord { reply, ..self.recorded(event, Some(answer), took) });
        }
    }

    /// What was asked has had no answer.
    pub(super) fn give_up(&self, pending: Pending, took: Duration, exit: &TelemetrySink) {
        if self.records(pending.event.outcome, exit) {
            self.record(pending.event, None, took, exit);
        }
    }

    pub(super) fn record(
        &self,
        event: Arc<VerdictEvent>,
        answer: Option<ResponseSummary>,
        duration: Duration,
        exit: &TelemetrySink,
    ) {
        exit.record(self.recorded(event, answer, duration));
    }

    fn recorded(&self, event: Arc<VerdictEvent>, answer: Option<ResponseSummary>, duration: Duration) -> AccessRecord {
        let [received, sent] = self.moved;
        let status = answer.and_then(|answer| answer.status);
        let facts = answer.map_or(Facts::NONE, |answer| answer.facts);
        AccessRecord { event, status, facts, reply: None, duration, received, sent }
    }
}
