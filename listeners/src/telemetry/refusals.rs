//! Flows that the kernel refused by itself, reported like any other verdict.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use portcullis_codecs::fact::Facts;
use portcullis_rules::{
    snapshot::{Flow, FlowKey, Snapshot},
    verdict::{Layer, Outcome, Reason},
    world::{Direction, EndpointId, Transport},
};

use crate::telemetry::{AccessRecord, EventParty, Telemetry, VerdictEvent, unix_nanos};

/// A flow that was refused in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelRefusal {
    /// The local endpoint whose policy refused it.
    pub endpoint: EndpointId,
    /// Direction, seen from it.
    pub direction: Direction,
    /// Transport.
    pub transport: Transport,
    /// The other side; never IPv4-mapped.
    pub peer: IpAddr,
    /// Port that was connected to.
    pub port: u16,
    /// Port of the side that connected; 0 when it had none yet.
    pub source_port: u16,
    /// [`Outcome::Deny`], or [`Outcome::Audit`] of one that passed.
    pub outcome: Outcome,
    /// Policy wants it steered, and no listener is there.
    pub no_listener: bool,
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
        Transport::Icmp => "icmp",
        Transport::IcmpV6 => "icmpv6",
        // The kernel steers and refuses none of these.
        Transport::Vrrp => "vrrp",
        Transport::Igmp => "igmp",
        Transport::Gre => "gre",
        Transport::Ipip => "ipip",
        Transport::Ipv6 => "ipv6",
        Transport::Esp => "esp",
        Transport::Ah => "ah",
    }
}

/// The reasoning of the snapshot about a flow that the kernel refused.
fn reasoning(refusal: &KernelRefusal, snapshot: &Snapshot) -> Flow {
    let denied = |layer, reason| Flow::whole(Outcome::Deny, layer, reason, Arc::clone(snapshot.params()));
    if refusal.no_listener {
        return denied(Layer::L4, Reason::NoListener);
    }
    let KernelRefusal { endpoint, direction, transport, mut peer, mut port, .. } = *refusal;
    if direction == Direction::Egress
        && let Some(backends) = snapshot.backends(transport, peer, port)
    {
        // All backends of a service that the kernel refuses are refused.
        let Some(backend) = backends.first() else { return denied(Layer::L4, Reason::NoBackend) };
        (peer, port) = (backend.ip(), backend.port());
    }
    let flow = snapshot.flow(&FlowKey { endpoint, direction, transport, peer, port });
    match flow.outcome.violates() {
        true => flow,
        // The kernel's table was a moment behind or ahead of this snapshot; denied it was all the same.
        false => denied(Layer::L4, Reason::NoRule),
    }
}

impl Telemetry {
    /// Tells of a flow that was refused in the kernel.
    pub fn refused(&self, refusal: &KernelRefusal, snapshot: &Snapshot) {
        let flow = reasoning(refusal, snapshot);
        let protocol = name(refusal.transport);
        self.tally(refusal.outcome);
        self.verdict_counter(protocol, refusal.direction, refusal.outcome, flow.reason, flow.rule.as_deref()).inc();
        if !self.watchers.any() && !self.records(refusal.outcome, flow.params.records) {
            return;
        }
        let event = Arc::new(event(refusal, flow, protocol, snapshot));
        self.watchers.show(&event);
        self.record(AccessRecord {
            event,
            status: None,
            facts: Facts::NONE,
            reply: None,
            duration: Duration::ZERO,
            received: 0,
            sent: 0,
        });
    }
}

fn event(refusal: &KernelRefusal, flow: Flow, protocol: &'static str, snapshot: &Snapshot) -> VerdictEvent {
    let local = snapshot.endpoint(refusal.endpoint).cloned();
    let own = local.as_ref().and_then(|endpoint| {
        endpoint.addresses.iter().copied().find(|address| address.is_ipv4() == refusal.peer.is_ipv4())
    });
    let nowhere = || match refusal.peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let peer = snapshot.endpoint_at(refusal.peer).cloned();
    let (local, remote) = ((own.unwrap_or_else(nowhere), local), (refusal.peer, peer));
    let (source, destination) = match refusal.direction {
        Direction::Ingress => (remote, local),
        Direction::Egress => (local, remote),
    };
    VerdictEvent {
        time: unix_nanos(),
        outcome: refusal.outcome,
        layer: flow.layer,
        direction: refusal.direction,
        protocol,
        source: EventParty { address: SocketAddr::new(source.0, refusal.source_port), endpoint: source.1 },
        destination: EventParty { address: SocketAddr::new(destination.0, refusal.port), endpoint: destination.1 },
        policy: flow.rule.as_ref().map(|rule| Arc::clone(&rule.policy)),
        rule: flow.rule.as_ref().map(|rule| Arc::clone(&rule.rule)),
        reason: flow.reason,
        misses: Vec::new(),
        refused: 0,
        missing_headers: Vec::new(),
        rejected_headers: Vec::new(),
        fields: Vec::new(),
        reply: None,
        version: "",
        generation: snapshot.generation(),
    }
}
