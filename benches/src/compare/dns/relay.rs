//! The baseline: a relay that copies datagrams and reads none. Each client has its own socket to the server.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{SocketAddr, UdpSocket},
};

use nix::sys::epoll::Epoll;

use super::{
    super::events::{Events, Slab, hear},
    LARGEST, receive, socket,
};

/// Token of the socket that clients ask; upstream connections count from 0.
const LISTENER: u64 = u64::MAX;
/// Clients that are kept; the oldest one makes room.
const CLIENTS: usize = 1024;

/// What leads to the server for one client.
struct Upstream {
    client: SocketAddr,
    upstream: UdpSocket,
}

struct Relay {
    listener: UdpSocket,
    upstream: SocketAddr,
    upstreams: Slab<Upstream>,
    by_client: HashMap<SocketAddr, usize>,
    oldest: VecDeque<usize>,
    buffer: [u8; LARGEST],
}

/// Relays what comes to `address` to `upstream` until killed. `ready` is called once the socket is bound.
///
/// # Errors
/// The address cannot be used, or the system is out of descriptors.
pub fn serve(address: SocketAddr, upstream: SocketAddr, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let listener = UdpSocket::bind(address)?;
    listener.set_nonblocking(true)?;
    let mut events = Events::new()?;
    events.hear(&listener, LISTENER)?;
    let mut relay = Relay {
        listener,
        upstream,
        upstreams: Slab::default(),
        by_client: HashMap::new(),
        oldest: VecDeque::new(),
        buffer: [0; LARGEST],
    };
    ready()?;
    loop {
        events.wait(None, |epoll, token, _| {
            if token == LISTENER {
                relay.ask(epoll)
            } else {
                relay.answer(usize::try_from(token).unwrap_or(usize::MAX))
            }
        })?;
    }
}

impl Relay {
    fn ask(&mut self, epoll: &Epoll) -> io::Result<()> {
        while let Some((bytes, client)) = receive(|| self.listener.recv_from(&mut self.buffer))? {
            let token = match self.by_client.get(&client) {
                Some(token) => *token,
                None => self.open(epoll, client)?,
            };
            if let Some(upstream) = self.upstreams.get_mut(token) {
                // A datagram that does not leave is lost, as any may be.
                let _ = upstream.upstream.send(&self.buffer[..bytes]);
            }
        }
        Ok(())
    }

    fn open(&mut self, epoll: &Epoll, client: SocketAddr) -> io::Result<usize> {
        if self.oldest.len() == CLIENTS
            && let Some(upstream) = self.oldest.pop_front().and_then(|token| self.upstreams.remove(token))
        {
            self.by_client.remove(&upstream.client);
        }
        let upstream = socket(client.ip(), self.upstream)?;
        let token = self.upstreams.insert(Upstream { client, upstream });
        if let Some(upstream) = self.upstreams.get_mut(token) {
            hear(epoll, &upstream.upstream, token as u64)?;
        }
        self.by_client.insert(client, token);
        self.oldest.push_back(token);
        Ok(token)
    }

    /// Takes one answer; if there are more, the kernel tells again.
    fn answer(&mut self, token: usize) -> io::Result<()> {
        let Some(upstream) = self.upstreams.get_mut(token) else { return Ok(()) };
        if let Ok(Some(bytes)) = receive(|| upstream.upstream.recv(&mut self.buffer)) {
            let _ = self.listener.send_to(&self.buffer[..bytes], upstream.client);
        }
        Ok(())
    }
}
