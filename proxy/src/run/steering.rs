//! The kernel's side, as `redirect-ebpf` implements it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    os::fd::BorrowedFd,
};

use portcullis_listeners::ListenerSockets;
use portcullis_redirect::{
    Action, AttachPoint, FlowDirection, Keep, KernelAttachment as Request, KernelPortClass, LearnedAddressChange,
    Listeners, PacketJudge, Redirect, UpstreamHandle,
};
use portcullis_rules::{
    steering::{self, PortClass, SteeringTable},
    world::{self, EndpointId, Transport},
};

use crate::run::backends::{
    CutCount, EndpointAttachment, EndpointConnections, EndpointSite, KernelHandle, SteeringInspection,
};

/// IP protocol numbers (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// The loader, asked in the words of the rules.
pub struct SteeringLoader {
    redirect: Redirect,
}

impl SteeringLoader {
    /// Around a loader that is open.
    #[must_use]
    pub fn new(redirect: Redirect) -> Self {
        Self { redirect }
    }

    /// Refuses new datagrams of flows that are judged; those that have come wait in the listeners.
    ///
    /// # Errors
    /// Some still come.
    pub fn refuse_datagrams(&mut self) -> Result<(), String> {
        self.redirect.refuse_datagrams().map_err(|error| error.to_string())
    }

    /// Ends. With `keep`, and where links are pinned, steered flows are refused until the next process comes; else everything
    /// that is ours is gone. Tells which.
    ///
    /// # Errors
    /// Something is left.
    pub fn close(self, keep: bool) -> Result<bool, portcullis_redirect::RedirectError> {
        self.redirect.close(keep)
    }
}

impl KernelHandle for SteeringLoader {
    fn set_table(&mut self, id: EndpointId, table: &SteeringTable) -> Result<(), String> {
        let classes: Vec<KernelPortClass> = table.classes.iter().filter_map(class).collect();
        self.redirect.set_table(id.0, &classes).map_err(|error| error.to_string())
    }

    fn learn(&mut self, id: EndpointId, changes: &[steering::SteeredAddressChange]) -> Result<bool, String> {
        let changes: Vec<LearnedAddressChange> = changes.iter().filter_map(change).collect();
        self.redirect.learn(id.0, &changes).map_err(|error| error.to_string())
    }

    fn judge_echo(&mut self) -> Result<(), String> {
        self.redirect.judge_echo().map_err(|error| error.to_string())
    }

    fn attach(&mut self, attachment: &EndpointAttachment<'_>) -> Result<(), String> {
        let endpoint = attachment.endpoint;
        let ports: Vec<(u8, u16)> =
            endpoint.ports.iter().filter_map(|port| Some((number(port.transport)?, port.port))).collect();
        let place = match attachment.site {
            EndpointSite::Pod => AttachPoint::Pod { netns: attachment.namespace },
            EndpointSite::Cgroup(cgroup) => AttachPoint::Host { netns: attachment.namespace, cgroup, ports: &ports },
        };
        let request = Request {
            id: attachment.id.0,
            place,
            addresses: &endpoint.addresses,
            listeners: listeners(attachment.sockets),
        };
        self.redirect.attach(&request).map_err(|error| error.to_string())
    }

    fn guard(&self, id: EndpointId) -> PacketJudge {
        self.redirect.guard(id.0)
    }

    fn detach(&mut self, id: EndpointId) -> Result<(), String> {
        self.redirect.detach(id.0).map_err(|error| error.to_string())
    }

    fn take_changed(&mut self) -> BTreeSet<EndpointId> {
        self.redirect.take_changed().into_iter().map(EndpointId).collect()
    }

    fn connections(&self, id: EndpointId) -> Result<Option<Box<dyn EndpointConnections>>, String> {
        let open = self.redirect.connections(id.0).map_err(|error| error.to_string())?;
        Ok(open.map(|open| Box::new(Open(open)) as Box<dyn EndpointConnections>))
    }

    fn connections_by_name(&self) -> Result<Vec<Box<dyn EndpointConnections>>, String> {
        let open = self.redirect.learning().map_err(|error| error.to_string())?;
        Ok(open.into_iter().map(|open| Box::new(Open(open)) as Box<dyn EndpointConnections>).collect())
    }

    fn inspect(&mut self) -> SteeringInspection {
        let portcullis_redirect::RedirectInspection { repaired, broken, detached, overruled } = self.redirect.inspect();
        let numbered = |all: BTreeMap<u32, String>| all.into_iter().map(|(id, what)| (EndpointId(id), what)).collect();
        SteeringInspection { repaired, broken, detached: numbered(detached), overruled: numbered(overruled) }
    }

    fn retain(&mut self, ids: &[EndpointId]) -> Result<(), String> {
        let ids: Vec<u32> = ids.iter().map(|id| id.0).collect();
        self.redirect.retain(&ids).map_err(|error| error.to_string())
    }
}

/// Open connections, in the words of the rules.
struct Open(portcullis_redirect::NamespaceConnections);

impl EndpointConnections for Open {
    fn cut(&self, [ingress, egress]: [bool; 2]) -> Result<CutCount, String> {
        let cut = self.0.cut(Keep { ingress, egress }).map_err(|error| error.to_string())?;
        if cut.denied + cut.unjudged > 0 {
            let (denied, unjudged, seen) = (cut.denied, cut.unjudged, cut.seen);
            tracing::info!(denied, unjudged, seen, took = ?cut.took, "open connections were cut");
        }
        if let Some(error) = &cut.unlisted {
            tracing::debug!(%error, "UDP sockets cannot be listed");
        }
        Ok(CutCount { seen: cut.seen, denied: cut.denied, unjudged: cut.unjudged, unlisted: cut.unlisted.is_some() })
    }

    fn peers(&self) -> Result<BTreeSet<IpAddr>, String> {
        self.0.peers().map_err(|error| error.to_string())
    }
}

fn listeners(sockets: &ListenerSockets) -> Listeners<'_> {
    Listeners { tcp4: &sockets.tcp4, tcp6: &sockets.tcp6, udp4: &sockets.udp4, udp6: &sockets.udp6 }
}

/// What workers tell the kernel of each upstream connection.
#[derive(Clone, Debug)]
pub struct KernelUpstreams(pub UpstreamHandle);

impl portcullis_listeners::UpstreamRegistry for KernelUpstreams {
    fn adopt(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.0.adopt(socket)
    }

    fn announce(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.announce(endpoint.0, upstream, to)
    }

    fn announce_by_any_device(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.announce_by_any_device(endpoint.0, upstream, to)
    }

    fn forget(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.forget(endpoint.0, upstream, to)
    }

    fn forget_datagrams(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.forget_datagrams(endpoint.0, upstream, to)
    }
}

/// A class in the loader's words; `None` for a transport that the programs never see.
fn class(class: &PortClass) -> Option<KernelPortClass> {
    Some(KernelPortClass {
        direction: direction(class.direction),
        protocol: number(class.transport)?,
        ports: class.ports.clone(),
        prefixes: class.prefixes.iter().map(|(prefix, verdict)| (*prefix, action(*verdict))).collect(),
        learns: class.learns,
    })
}

/// A change of one address in the loader's words.
fn change(change: &steering::SteeredAddressChange) -> Option<LearnedAddressChange> {
    Some(LearnedAddressChange {
        direction: direction(change.direction),
        protocol: number(change.transport)?,
        ports: change.ports.clone(),
        address: change.address,
        action: change.action.map(action),
    })
}

fn action(action: steering::SteeringAction) -> Action {
    match action {
        steering::SteeringAction::Pass => Action::Pass,
        steering::SteeringAction::PassAndReport => Action::PassAndReport,
        steering::SteeringAction::Steer => Action::Steer,
        steering::SteeringAction::Refuse => Action::Refuse,
    }
}

fn direction(direction: world::Direction) -> FlowDirection {
    match direction {
        world::Direction::Ingress => FlowDirection::Ingress,
        world::Direction::Egress => FlowDirection::Egress,
    }
}

fn number(transport: Transport) -> Option<u8> {
    match transport {
        Transport::Tcp => Some(TCP),
        Transport::Udp => Some(UDP),
        Transport::Sctp => Some(SCTP),
        Transport::Icmp => Some(ICMP),
        Transport::IcmpV6 => Some(ICMP_V6),
        _ => None,
    }
}

/// The transport of an IP protocol number, if policies know it.
#[must_use]
pub fn transport(number: u8) -> Option<Transport> {
    match number {
        TCP => Some(Transport::Tcp),
        UDP => Some(Transport::Udp),
        SCTP => Some(Transport::Sctp),
        ICMP => Some(Transport::Icmp),
        ICMP_V6 => Some(Transport::IcmpV6),
        _ => None,
    }
}
