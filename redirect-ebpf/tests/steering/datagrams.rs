//! The proxy's side of datagrams: listeners that report the original destination, upstream sockets, and answers from
//! the server's own address.

use std::{
    collections::BTreeMap,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use portcullis_integration::{Site, wait::uninterrupted};
use portcullis_redirect::{MARK_OUT, UpstreamHandle};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{
    bench::WORKERS,
    proxy::{NOBODY, UPSTREAM_PORTS, transparent},
    sockets::HANG,
};

/// A steered datagram as the proxy met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) client: SocketAddr,
    /// Whom the client asked.
    pub(crate) server: SocketAddr,
    /// The listener that it came to.
    pub(crate) worker: u32,
}

/// A listener for each family; each datagram is answered with `steered ` and what the server says.
pub(crate) struct Datagrams {
    /// By family, one for each worker.
    listeners: [Vec<OwnedFd>; 2],
    threads: Vec<JoinHandle<()>>,
    forward: Forward,
}

#[derive(Clone)]
struct Forward {
    site: Site,
    endpoint: u32,
    upstreams: UpstreamHandle,
    ports: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Backends of VIPs.
    backends: Arc<Mutex<BTreeMap<SocketAddr, SocketAddr>>>,
}

impl Datagrams {
    pub(crate) fn start(site: &Site, endpoint: u32, families: usize, upstreams: UpstreamHandle) -> Self {
        let mut listeners: [Vec<OwnedFd>; 2] = Default::default();
        for (group, nobody) in listeners.iter_mut().zip(&NOBODY[..families]) {
            *group = (0..WORKERS).map(|_| listener(site, *nobody).into()).collect();
        }
        let forward = Forward {
            site: site.clone(),
            endpoint,
            upstreams,
            ports: Arc::new(AtomicU16::new(UPSTREAM_PORTS.start() + (std::process::id() % 20000) as u16)),
            asked: Arc::default(),
            backends: Arc::default(),
        };
        let threads = listeners
            .iter()
            .flatten()
            .zip(0..)
            .map(|(listener, number)| {
                let (listener, forward) = (UdpSocket::from(listener.try_clone().unwrap()), forward.clone());
                thread::spawn(move || forward.serve(&listener, number))
            })
            .collect();
        Self { listeners, threads, forward }
    }

    pub(crate) fn listeners(&self) -> [&[OwnedFd]; 2] {
        self.listeners.each_ref().map(Vec::as_slice)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.forward.asked.lock().unwrap().clone()
    }

    pub(crate) fn add_backend(&self, vip: SocketAddr, backend: SocketAddr) {
        self.forward.backends.lock().unwrap().insert(vip, backend);
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        for listener in self.listeners.iter().flatten() {
            let _ = SockRef::from(listener).shutdown(std::net::Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn listener(site: &Site, nobody: IpAddr) -> UdpSocket {
    site.inside(|| {
        let address = SocketAddr::new(nobody, 0);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
        transparent(&socket, nobody.is_ipv6()).unwrap();
        socket.set_reuse_port(true).unwrap();
        if nobody.is_ipv6() {
            socket.set_only_v6(true).unwrap();
            setsockopt(&socket, sockopt::Ipv6OrigDstAddr, &true).unwrap();
        } else {
            setsockopt(&socket, sockopt::Ipv4OrigDstAddr, &true).unwrap();
        }
        socket.bind(&address.into()).unwrap();
        socket.into()
    })
}

/// Receives a datagram with its client and its original destination; an empty one when the socket was shut down.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Option<(SocketAddr, SocketAddr)>)> {
    let mut space = nix::cmsg_space!(libc::sockaddr_in6);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())?;
    let client = message.address.and_then(|address| normal(&address));
    let server = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4OrigDstAddr(address) => {
            Some(SocketAddr::new(address.sin_addr.s_addr.to_ne_bytes().into(), u16::from_be(address.sin_port)))
        }
        ControlMessageOwned::Ipv6OrigDstAddr(address) => {
            Some(SocketAddr::new(address.sin6_addr.s6_addr.into(), u16::from_be(address.sin6_port)))
        }
        _ => None,
    });
    Ok((message.bytes, client.zip(server)))
}

fn normal(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(v4.ip().into(), v4.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port())))
}

impl Forward {
    fn serve(&self, listener: &UdpSocket, worker: u32) {
        let mut buffer = [0; 1024];
        while let Ok((length @ 1.., Some((client, server)))) = receive(listener, &mut buffer) {
            self.asked.lock().unwrap().push(Asked { client, server, worker });
            if let Ok(answer) = self.site.inside(|| self.ask(client, server, &buffer[..length])) {
                self.site.inside(|| answer_from(server, client, &[b"steered ", answer.as_slice()].concat())).unwrap();
            }
        }
    }

    fn ask(&self, client: SocketAddr, server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
        let backend = self.backends.lock().unwrap().get(&server).copied().unwrap_or(server);
        let socket = Socket::new(Domain::for_address(backend), Type::DGRAM, None)?;
        self.upstreams.adopt(socket.as_fd())?;
        socket.set_mark(MARK_OUT)?;
        let upstream = loop {
            let port = self.ports.fetch_add(1, Ordering::Relaxed);
            let port = UPSTREAM_PORTS.start() + port % (UPSTREAM_PORTS.end() - UPSTREAM_PORTS.start());
            let upstream = SocketAddr::new(client.ip(), port);
            match socket.bind(&upstream.into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => break other.map(|()| upstream)?,
            }
        };
        socket.connect(&backend.into())?;
        let answer = Self::exchange(&UdpSocket::from(socket), query);
        self.upstreams.forget_datagrams(self.endpoint, upstream, backend)?;
        answer
    }

    fn exchange(socket: &UdpSocket, query: &[u8]) -> io::Result<Vec<u8>> {
        socket.set_read_timeout(Some(HANG))?;
        socket.send(query)?;
        let mut answer = vec![0; 1024];
        let length = uninterrupted(|| socket.recv(&mut answer))?;
        answer.truncate(length);
        Ok(answer)
    }
}

/// Sends a datagram from any address and port, in a packet of our own making: no port is taken from an application.
fn answer_from(server: SocketAddr, client: SocketAddr, payload: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(client), Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram: Vec<u8> =
        [server.port(), client.port(), length, 0].iter().flat_map(|n| n.to_be_bytes()).collect();
    datagram.extend_from_slice(payload);
    let (header, pseudo) = match (server.ip(), client.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let both = [from.octets(), to.octets()].concat();
            let total = (20 + length).to_be_bytes();
            let fixed = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0];
            ([fixed.as_slice(), &both].concat(), both)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let both = [from.octets(), to.octets()].concat();
            let size = length.to_be_bytes();
            ([[0x60, 0, 0, 0, size[0], size[1], 17, 64].as_slice(), &both].concat(), both)
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let sum = checksum(&[pseudo, vec![0, 17], length.to_be_bytes().to_vec(), datagram.clone()].concat());
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    socket.send_to(&[header, datagram].concat(), &SocketAddr::new(client.ip(), 0).into()).map(|_| ())
}

/// The Internet checksum (RFC 1071) as UDP has it: never 0 (RFC 768).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}
