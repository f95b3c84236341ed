//! Connections that are open when a policy arrives.
//!
//! The hooks judge a flow when it begins. This module judges open flows: it looks up each connection of a namespace in
//! the kernel's own tables as if it began now, and ends those that the tables refuse, or steer although nobody relays
//! them. Both sides are notified at once: the owner of the socket by `ECONNABORTED`, the other end of a TCP connection
//! by a reset.

mod diag;
mod judge;
mod origin;
mod owners;

use std::{
    collections::{BTreeSet, HashSet},
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_redirect_common::{Action, MARK, MARK_OUT, MARK_UDP, PortKey, StubKey, TCP, UDP};

pub(crate) use self::judge::ConnectionPolicy;
use self::{
    diag::{CLOSE_WAIT, Diag, DiagSocket, ESTABLISHED, LISTEN, NEW_SYN_RECV, SYN_RECV, SYN_SENT},
    origin::ConnectionOrigin,
    owners::Owners,
};
use crate::{
    error::RedirectError,
    namespace,
    site::AttachSite,
    table::{FlowDirection, key_address},
};

/// How often a connection is looked at again whose counters changed meanwhile.
const LOOKS: usize = 4;

/// The directions whose open connections are kept, whatever policy says of them now. What was judged is ended all the same
/// where it is denied now: it would go on unjudged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Those that peers have opened.
    pub ingress: bool,
    /// Those that the endpoint has opened.
    pub egress: bool,
}

impl Keep {
    /// Keeps all of them.
    pub const ALL: Self = Self { ingress: true, egress: true };

    fn keeps(self, direction: FlowDirection) -> bool {
        match direction {
            FlowDirection::Ingress => self.ingress,
            FlowDirection::Egress => self.egress,
        }
    }
}

/// What became of an endpoint's open connections.
#[derive(Debug, Default)]
pub struct CutConnections {
    /// Sockets that were looked at.
    pub seen: usize,
    /// Connections that policy refuses now.
    pub denied: usize,
    /// Connections that policy wants judged, and nobody did.
    pub unjudged: usize,
    /// How long it took.
    pub took: Duration,
    /// UDP sockets could not be listed, so those that are older than the policy go on as they were.
    pub unlisted: Option<io::Error>,
}

/// What is open in one endpoint's namespace. It holds all that it needs, so nothing else waits for it.
pub struct NamespaceConnections {
    pub(crate) endpoint: u32,
    pub(crate) netns: OwnedFd,
    pub(crate) site: AttachSite,
    /// Of a service of the host.
    pub(crate) cgroup: Option<PathBuf>,
    /// Ports of a service of the host (IP protocol number, port).
    pub(crate) owned: Vec<(u8, u16)>,
    /// Its own addresses: what is between them is never judged.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) judge: Arc<ConnectionPolicy>,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutReason {
    Denied,
    Unjudged,
}

/// All sockets of a protocol, and what has to be known of them together.
struct SocketList {
    sockets: Vec<DiagSocket>,
    /// Both ends, as each has them, of connections that are open on this side.
    ends: HashSet<(SocketAddr, SocketAddr)>,
    /// The same of sockets of ours.
    ours: HashSet<(SocketAddr, SocketAddr)>,
    /// Local ports on which somebody listens.
    listening: HashSet<u16>,
}

impl SocketList {
    fn new(sockets: Vec<DiagSocket>) -> Self {
        let open = || sockets.iter().filter(|socket| matches!(socket.state, ESTABLISHED | CLOSE_WAIT));
        let ends = open().map(|socket| (socket.local, socket.peer)).collect();
        let ours = open().filter(|socket| socket.ours).map(|socket| (socket.local, socket.peer)).collect();
        let listens = |socket: &&DiagSocket| socket.state == LISTEN && !socket.ours;
        let listening = sockets.iter().filter(listens).map(|socket| socket.local.port()).collect();
        Self { sockets, ends, ours, listening }
    }
}

impl NamespaceConnections {
    /// Ends what policy refuses now, and what it wants judged and nobody does; but not what is kept. From now on the second line
    /// lets what is older than itself pass where something is kept, and judges it by the table where nothing is.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel does not list TCP sockets or end one. What was ended so far is.
    pub fn cut(&self, keep: Keep) -> Result<CutConnections, RedirectError> {
        self.judge.keep(self.endpoint, keep != Keep::default())?;
        self.inside(|diag| self.cut_all(diag, keep, &[TCP, UDP]))
    }

    /// The same for datagrams alone.
    pub(crate) fn cut_datagrams(&self, keep: Keep) -> Result<CutConnections, RedirectError> {
        self.inside(|diag| self.cut_all(diag, keep, &[UDP]))
    }

    /// The other sides of all that is open: TCP connections, and UDP sockets that are connected.
    ///
    /// # Errors
    /// The namespace cannot be entered, or the kernel does not list TCP sockets.
    pub fn peers(&self) -> Result<BTreeSet<IpAddr>, RedirectError> {
        self.inside(|diag| {
            let mut sockets = diag.list(TCP).map_err(|source| self.failed(source))?;
            // If UDP sockets cannot be listed, cutting them reports that.
            sockets.extend(diag.list(UDP).unwrap_or_default());
            // A socket that no process holds is being closed.
            let held = sockets.into_iter().filter(|socket| socket.state != LISTEN && socket.inode != 0);
            let peers = held.map(|socket| socket.peer.ip());
            Ok(peers.filter(|peer| !peer.is_unspecified()).collect())
        })
    }

    fn failed(&self, source: io::Error) -> RedirectError {
        RedirectError::Namespace { endpoint: self.endpoint, step: "look through open connections", source }
    }

    fn inside<T: Send>(&self, work: impl FnOnce(&Diag) -> Result<T, RedirectError> + Send) -> Result<T, RedirectError> {
        let done = namespace::inside(self.netns.as_fd(), || {
            let diag = Diag::open(self.judge.own_sockets.fd().as_fd())?;
            Ok(work(&diag))
        });
        done.map_err(|source| self.failed(source))?
    }

    fn cut_all(&self, diag: &Diag, keep: Keep, protocols: &[u8]) -> Result<CutConnections, RedirectError> {
        let began = Instant::now();
        let owners = self.cgroup.as_deref().map(Owners::of);
        let mut cut = CutConnections::default();
        for protocol in protocols {
            let listed = match list(diag, *protocol) {
                Ok(sockets) => SocketList::new(sockets),
                Err(error) if *protocol == UDP => {
                    cut.unlisted = Some(error);
                    continue;
                }
                Err(error) => return Err(self.failed(error)),
            };
            cut.seen += listed.sockets.len();
            let mut older = Vec::new();
            for socket in &listed.sockets {
                let Some((direction, outcome)) = self.outcome(diag, socket, &listed, owners.as_ref())? else {
                    continue;
                };
                let Some(outcome) = outcome else {
                    older.extend((direction == FlowDirection::Ingress).then_some((socket.local, socket.peer)));
                    continue;
                };
                let judged = is_relayed(socket);
                if (keep.keeps(direction) && !judged) || !diag.destroy(socket).map_err(|source| self.failed(source))? {
                    continue;
                }
                match outcome {
                    CutReason::Denied => cut.denied += 1,
                    CutReason::Unjudged => cut.unjudged += 1,
                }
            }
            if *protocol == TCP {
                self.judge.note_older(self.endpoint, &older)?;
            }
        }
        cut.took = began.elapsed();
        Ok(cut)
    }

    /// What becomes of a socket, and in which direction it was opened, where policy says something of either; `None`: nothing.
    fn outcome(
        &self,
        diag: &Diag,
        socket: &DiagSocket,
        listed: &SocketList,
        owners: Option<&Owners>,
    ) -> Result<Option<(FlowDirection, Option<CutReason>)>, RedirectError> {
        let peer = socket.peer.ip();
        if socket.ours || socket.state == LISTEN || peer.is_unspecified() || peer == socket.local.ip() {
            return Ok(None);
        }
        if peer.is_loopback() {
            let unjudged = self.is_unjudged_stub(socket, listed)?;
            return Ok(unjudged.then_some((FlowDirection::Egress, Some(CutReason::Unjudged))));
        }
        if self.addresses.contains(&peer) {
            return Ok(None);
        }
        let theirs = self.judged(FlowDirection::Egress, socket, listed, owners)?;
        let ours = self.judged(FlowDirection::Ingress, socket, listed, owners)?;
        if theirs.is_none() && ours.is_none() {
            return Ok(None);
        }
        Ok(Some(match self.origin(diag, socket, listed)? {
            ConnectionOrigin::Here => (FlowDirection::Egress, theirs),
            ConnectionOrigin::There => (FlowDirection::Ingress, ours),
        }))
    }

    /// What policy says of a socket, if it was opened in this direction.
    fn judged(
        &self,
        direction: FlowDirection,
        socket: &DiagSocket,
        listed: &SocketList,
        owners: Option<&Owners>,
    ) -> Result<Option<CutReason>, RedirectError> {
        let half_open = matches!(socket.state, SYN_RECV | NEW_SYN_RECV);
        let port = match direction {
            FlowDirection::Egress => socket.peer.port(),
            FlowDirection::Ingress => socket.local.port(),
        };
        let meant = match direction {
            FlowDirection::Egress => !half_open && owners.is_none_or(|owners| owners.have(socket.cgroup, socket.inode)),
            // A UDP socket that is connected says itself to whom it speaks. What stays in the namespace is not judged as it
            // comes in.
            FlowDirection::Ingress => {
                socket.protocol == TCP
                    && socket.state != SYN_SENT
                    && (self.site != AttachSite::Service || self.owned.contains(&(socket.protocol, port)))
                    && !listed.ends.contains(&(socket.peer, socket.local))
            }
        };
        if !meant {
            return Ok(None);
        }
        let (endpoint, protocol) = (self.endpoint, socket.protocol);
        let key = PortKey { endpoint, direction: direction.number(), protocol, port: port.to_be_bytes() };
        Ok(match self.judge.verdict(key, socket.peer.ip())? {
            Action::Pass | Action::PassAndReport => None,
            // Whose listener takes one that is half open is known when it is open.
            Action::Steer => (!half_open && !is_relayed(socket)).then_some(CutReason::Unjudged),
            Action::Refuse => Some(CutReason::Denied),
        })
    }

    /// Who opened a connection. Where its counters do not tell, whoever listens on its port has.
    fn origin(&self, diag: &Diag, socket: &DiagSocket, listed: &SocketList) -> Result<ConnectionOrigin, RedirectError> {
        match socket.state {
            _ if socket.protocol == UDP => return Ok(ConnectionOrigin::Here),
            SYN_SENT => return Ok(ConnectionOrigin::Here),
            SYN_RECV | NEW_SYN_RECV => return Ok(ConnectionOrigin::There),
            _ => {}
        }
        let mut origin = socket.origin;
        for _ in 0..LOOKS {
            if origin.is_some() {
                break;
            }
            origin = diag.look(socket).map_err(|source| self.failed(source))?.and_then(|socket| socket.origin);
        }
        let listens = listed.listening.contains(&socket.local.port());
        Ok(origin.unwrap_or(if listens { ConnectionOrigin::There } else { ConnectionOrigin::Here }))
    }

    /// Whether it is a connection to a resolver on a loopback address that is steered by name, and the other end is not ours.
    fn is_unjudged_stub(&self, socket: &DiagSocket, listed: &SocketList) -> Result<bool, RedirectError> {
        if socket.protocol != TCP || self.site == AttachSite::Service {
            return Ok(false);
        }
        let (protocol, port, address) = (TCP.into(), socket.peer.port(), key_address(socket.peer.ip()));
        let is_stub = self.judge.is_stub(&StubKey { endpoint: self.endpoint, protocol, port, address })?;
        Ok(is_stub && !listed.ours.contains(&(socket.peer, socket.local)))
    }
}

/// All sockets of a protocol. The kernel tells what is noted of TCP sockets alone, so upstream connections of datagrams are ours if they have
/// the mark of one and this process holds them: whoever may set marks could give one to any socket.
fn list(diag: &Diag, protocol: u8) -> io::Result<Vec<DiagSocket>> {
    let mut sockets = diag.list(protocol)?;
    let mut upstreams =
        sockets.iter_mut().filter(|socket| socket.protocol == UDP && socket.mark == MARK_OUT).peekable();
    if upstreams.peek().is_some() {
        // Nothing is left to be ended of one that closes meanwhile.
        let held = owners::held()?;
        upstreams.for_each(|socket| socket.ours = held.contains(&socket.inode));
    }
    Ok(sockets)
}

/// Whether what a socket sends, or what comes to it, goes by our listener: it has the mark that only the programs give.
fn is_relayed(socket: &DiagSocket) -> bool {
    socket.mark == if socket.protocol == UDP { MARK_UDP } else { MARK }
}
