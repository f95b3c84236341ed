//! A minimal proxy: transparent listeners, and upstream connections as the data plane makes them.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::RangeInclusive,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use portcullis_integration::Site;
use portcullis_redirect::{Listeners, MARK, UpstreamHandle};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{bench::WORKERS, datagrams::Datagrams, sockets::HANG};

/// Addresses that nobody has, as of the product.
pub(crate) const NOBODY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 67)), IpAddr::V6(Ipv6Addr::new(0xfd50, 0x4354, 0, 0, 0, 0, 0, 1))];

/// Ports of upstream connections: none that clients draw.
pub(crate) const UPSTREAM_PORTS: RangeInclusive<u16> = 10000..=32767;

/// A steered connection as the proxy met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) client: SocketAddr,
    /// Where the client wanted to go.
    pub(crate) original: SocketAddr,
    /// Our side of the connection to the server.
    pub(crate) upstream: SocketAddr,
}

/// Listeners in the endpoint's namespace; each connection is answered with `steered ` and what the server says.
pub(crate) struct Proxy {
    /// By family, one for each worker.
    listeners: [Vec<OwnedFd>; 2],
    threads: Vec<JoinHandle<()>>,
    met: Arc<Mutex<Vec<Met>>>,
    pub(crate) datagrams: Datagrams,
}

/// What a connection is relayed with.
#[derive(Clone)]
struct Relay {
    site: Site,
    endpoint: u32,
    addresses: Vec<IpAddr>,
    upstreams: UpstreamHandle,
    ports: Arc<AtomicU16>,
    met: Arc<Mutex<Vec<Met>>>,
}

impl Proxy {
    /// Opens the listeners and serves.
    pub(crate) fn start(site: &Site, endpoint: u32, addresses: &[IpAddr], upstreams: UpstreamHandle) -> Self {
        let has_ipv6 = site.inside(|| {
            std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6").is_ok_and(|text| text.trim() == "0")
        });
        let families = if has_ipv6 { 2 } else { 1 };
        let opened: Vec<Vec<TcpListener>> =
            NOBODY[..families].iter().map(|nobody| (0..WORKERS).map(|_| listener(site, *nobody)).collect()).collect();
        let datagrams = Datagrams::start(site, endpoint, families, upstreams.clone());
        let met = Arc::new(Mutex::new(Vec::new()));
        // Not always the same ones: those of the test before may still be in use.
        let first = UPSTREAM_PORTS.start() + (std::process::id() % 20000) as u16;
        let relay = Relay {
            site: site.clone(),
            endpoint,
            addresses: addresses.to_vec(),
            upstreams,
            ports: Arc::new(AtomicU16::new(first)),
            met: Arc::clone(&met),
        };
        let held =
            opened.iter().map(|group| group.iter().map(|one| one.as_fd().try_clone_to_owned().unwrap()).collect());
        let mut held: Vec<Vec<OwnedFd>> = held.collect();
        let listeners = [std::mem::take(&mut held[0]), held.pop().unwrap_or_default()];
        let threads = opened.into_iter().flatten().map(|listener| serve(listener, relay.clone())).collect();
        Self { listeners, threads, met, datagrams }
    }

    pub(crate) fn listeners(&self) -> Listeners<'_> {
        let [tcp4, tcp6] = &self.listeners;
        let [udp4, udp6] = self.datagrams.listeners();
        Listeners { tcp4, tcp6, udp4, udp6 }
    }

    /// What it has met so far.
    pub(crate) fn met(&self) -> Vec<Met> {
        self.met.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for listener in self.listeners.iter().flatten() {
            let _ = SockRef::from(listener).shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn listener(site: &Site, nobody: IpAddr) -> TcpListener {
    site.inside(|| {
        let address = SocketAddr::new(nobody, 0);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        transparent(&socket, nobody.is_ipv6()).unwrap();
        // What is accepted has the application's port: without this the application could not bind it any more.
        socket.set_reuse_address(true).unwrap();
        // The product's do not share their port. These do, so that others can be in their group.
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        socket.into()
    })
}

pub(crate) fn transparent(socket: &Socket, v6: bool) -> io::Result<()> {
    if v6 { socket.set_ip_transparent_v6(true) } else { socket.set_ip_transparent_v4(true) }
}

fn serve(listener: TcpListener, relay: Relay) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut running = Vec::new();
        while let Ok((down, client)) = listener.accept() {
            let relay = relay.clone();
            running.push(thread::spawn(move || {
                if relay.run(&down, client).is_err() {
                    // The client sees a reset, as it would from the server.
                    let _ = SockRef::from(&down).set_linger(Some(Duration::ZERO));
                }
            }));
        }
        running.into_iter().for_each(|thread| thread.join().unwrap());
    })
}

impl Relay {
    fn run(&self, mut down: &TcpStream, client: SocketAddr) -> io::Result<()> {
        let original = down.local_addr()?;
        let mut up = self.site.inside(|| self.upstream(client, original))?;
        let mut answer = Vec::new();
        up.set_read_timeout(Some(HANG))?;
        up.read_to_end(&mut answer)?;
        down.write_all(b"steered ")?;
        down.write_all(&answer)
    }

    fn upstream(&self, client: SocketAddr, original: SocketAddr) -> io::Result<TcpStream> {
        if !self.addresses.contains(&original.ip()) {
            let socket = self.socket(original)?;
            let upstream = self.bind(&socket, client.ip())?;
            self.met.lock().unwrap().push(Met { client, original, upstream });
            let connected = socket.connect_timeout(&original.into(), HANG);
            self.upstreams.forget(self.endpoint, upstream, original)?;
            return connected.map(|()| socket.into());
        }
        match self.ingress_upstream(client, original, true) {
            // Nobody listens, or somebody who is bound to another device.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.ingress_upstream(client, original, false)
            }
            other => other,
        }
    }

    fn socket(&self, original: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(original), Type::STREAM, None)?;
        self.upstreams.adopt(socket.as_fd())?;
        Ok(socket)
    }

    fn ingress_upstream(&self, client: SocketAddr, original: SocketAddr, loopback: bool) -> io::Result<TcpStream> {
        let socket = self.socket(original)?;
        transparent(&socket, original.is_ipv6())?;
        socket.set_mark(MARK)?;
        if loopback {
            socket.bind_device(Some(b"lo"))?;
        }
        let upstream = self.bind(&socket, client.ip())?;
        if loopback {
            self.met.lock().unwrap().push(Met { client, original, upstream });
            self.upstreams.announce(self.endpoint, upstream, original)?;
        } else {
            self.upstreams.announce_by_any_device(self.endpoint, upstream, original)?;
        }
        let connected = socket.connect_timeout(&original.into(), HANG);
        self.upstreams.forget(self.endpoint, upstream, original)?;
        connected.map(|()| socket.into())
    }

    fn bind(&self, socket: &Socket, ip: IpAddr) -> io::Result<SocketAddr> {
        loop {
            let port = self.ports.fetch_add(1, Ordering::Relaxed);
            if !UPSTREAM_PORTS.contains(&port) {
                self.ports.store(*UPSTREAM_PORTS.start(), Ordering::Relaxed);
                continue;
            }
            let address = SocketAddr::new(ip, port);
            match socket.bind(&address.into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other.map(|()| address),
            }
        }
    }
}
