//! A server that answers datagrams, and clients that behave like resolvers.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    thread::{self, JoinHandle},
};

use portcullis_integration::{Pod, Site, wait::uninterrupted};
use portcullis_redirect::{Action, FlowDirection, KernelPortClass};
use socket2::SockRef;

use crate::{
    bench::{FAMILIES, UDP, class},
    sockets::{Datagram, HANG, Outcome},
};

/// The port that everybody asks.
pub(crate) const DNS: u16 = 53;
/// Both ways to send a datagram.
pub(crate) const BOTH: [Datagram; 2] = [Datagram::Connected, Datagram::Unconnected];

/// Steers what the endpoint sends to these ports.
pub(crate) fn steered(ports: &[u16]) -> Vec<KernelPortClass> {
    ports.iter().map(|port| class(FlowDirection::Egress, UDP, *port..=*port, Action::Steer)).collect()
}

/// A server that answers every datagram with the address it came from. Ends when dropped.
pub(crate) struct Resolver {
    socket: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    pub(crate) fn start(site: &Site, address: SocketAddr) -> Self {
        let socket = site.inside(|| UdpSocket::bind(address).unwrap());
        let receiving = socket.try_clone().unwrap();
        let thread = thread::spawn(move || {
            // An empty datagram is what a socket reads that was shut down.
            while let Ok((1.., peer)) = uninterrupted(|| receiving.recv_from(&mut [0; 64])) {
                let _ = receiving.send_to(peer.to_string().as_bytes(), peer);
            }
        });
        Self { socket, thread: Some(thread) }
    }

    /// At a port of both addresses of a pod.
    pub(crate) fn both(site: &Pod, port: u16) -> [Self; 2] {
        FAMILIES.map(|v6| Self::start(site, site.address(v6, port)))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket of a site, connected to nobody.
pub(crate) fn socket(site: &Site, v6: bool) -> UdpSocket {
    let any: SocketAddr = if v6 { "[::]:0".parse().unwrap() } else { "0.0.0.0:0".parse().unwrap() };
    let socket = site.inside(|| UdpSocket::bind(any).unwrap());
    socket.set_read_timeout(Some(HANG)).unwrap();
    socket
}

/// Asks and reads the answer, which has to come from where the question went.
pub(crate) fn exchange(socket: &UdpSocket, how: Datagram, to: SocketAddr) -> Outcome {
    let asked = || -> io::Result<Outcome> {
        match how {
            Datagram::Connected => {
                socket.connect(to)?;
                socket.send(b"who am I?")?;
            }
            Datagram::Unconnected => {
                socket.send_to(b"who am I?", to)?;
            }
        }
        answer(socket)
            .map(|(from, outcome)| if from == to { outcome } else { Outcome::Failed(ErrorKind::AddrNotAvailable) })
    };
    asked().unwrap_or_else(|error| Outcome::Failed(error.kind()))
}

pub(crate) fn answer(socket: &UdpSocket) -> io::Result<(SocketAddr, Outcome)> {
    let mut buffer = [0; 128];
    let (length, from) = uninterrupted(|| socket.recv_from(&mut buffer))?;
    Ok((from, Outcome::of(std::str::from_utf8(&buffer[..length]).unwrap_or_default())))
}

/// Asks with a new socket.
pub(crate) fn query(site: &Site, how: Datagram, to: SocketAddr) -> Outcome {
    exchange(&socket(site, to.is_ipv6()), how, to)
}
