//! Small servers and clients, and the outcome of a connection.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread::{self, JoinHandle},
    time::Duration,
};

use portcullis_integration::{Site, wait::uninterrupted};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Far longer than anything takes here. What times out hangs.
pub(crate) const HANG: Duration = Duration::from_secs(5);

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server answered, nobody in between. The address is the client's as the server saw it.
    Direct(SocketAddr),
    /// The proxy handed it on.
    Steered(SocketAddr),
    /// It failed.
    Failed(ErrorKind),
}

impl Outcome {
    /// Whether it was steered and the server saw this client.
    pub(crate) fn is_steered_from(&self, client: std::net::IpAddr) -> bool {
        matches!(self, Self::Steered(peer) if peer.ip().to_canonical() == client)
    }

    /// Whether it was let alone and the server saw this client.
    pub(crate) fn is_direct_from(&self, client: std::net::IpAddr) -> bool {
        matches!(self, Self::Direct(peer) if peer.ip().to_canonical() == client)
    }

    pub(crate) fn is_refused(&self) -> bool {
        *self == Self::Failed(ErrorKind::ConnectionRefused)
    }

    /// Nothing came back at all.
    pub(crate) fn is_silence(&self) -> bool {
        *self == Self::Failed(ErrorKind::TimedOut)
    }

    pub(crate) fn of(text: &str) -> Self {
        let (steered, peer) = text.strip_prefix("steered ").map_or((false, text), |peer| (true, peer));
        match peer.parse() {
            Ok(peer) if steered => Self::Steered(peer),
            Ok(peer) => Self::Direct(peer),
            Err(_) => Self::Failed(ErrorKind::InvalidData),
        }
    }
}

/// A server that tells every client its address and hangs up. Ends when dropped.
pub(crate) struct Server {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(site: &Site, address: SocketAddr) -> Self {
        Self::on(site.inside(|| TcpListener::bind(address).unwrap()))
    }

    /// Serves on a socket that is bound to its device.
    pub(crate) fn start_on_device(site: &Site, address: SocketAddr, device: &str) -> Self {
        let listener = site.inside(|| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind_device(Some(device.as_bytes())).unwrap();
            socket.bind(&address.into()).unwrap();
            socket.listen(16).unwrap();
            socket
        });
        Self::on(listener.into())
    }

    fn on(listener: TcpListener) -> Self {
        let accepting = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            while let Ok((mut stream, peer)) = accepting.accept() {
                let _ = stream.write_all(peer.to_string().as_bytes());
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes the thread: a listener that is shut down accepts no more.
        let _ = SockRef::from(&self.listener).shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Connects from a place and reads what comes.
pub(crate) fn get(from: &Site, to: SocketAddr) -> Outcome {
    from.inside(|| match TcpStream::connect_timeout(&to, HANG) {
        Ok(stream) => read(stream),
        Err(error) => Outcome::Failed(error.kind()),
    })
}

/// Connects with a socket of its own making: of another family or protocol than the address suggests, or bound.
pub(crate) fn get_with(
    from: &Site,
    domain: Domain,
    protocol: Protocol,
    bound: Option<SocketAddr>,
    to: SocketAddr,
) -> Outcome {
    from.inside(|| {
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(domain, Type::STREAM, Some(protocol))?;
            if let Some(bound) = bound {
                socket.set_reuse_address(true)?;
                socket.bind(&bound.into())?;
            }
            socket.connect_timeout(&to.into(), HANG)?;
            Ok(socket.into())
        };
        match connect() {
            Ok(stream) => read(stream),
            Err(error) => Outcome::Failed(error.kind()),
        }
    })
}

/// Connects through a device.
pub(crate) fn get_bound_to_device(from: &Site, device: &str, to: SocketAddr) -> Outcome {
    from.inside(|| {
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind_device(Some(device.as_bytes()))?;
            socket.connect_timeout(&to.into(), HANG)?;
            Ok(socket.into())
        };
        connect().map_or_else(|error| Outcome::Failed(error.kind()), read)
    })
}

/// Connects to one destination and, when that fails, with the same socket to another. Tells whether it failed, the mark
/// that was left, and what became of it.
pub(crate) fn retry(from: &Site, first: SocketAddr, second: SocketAddr) -> (bool, u32, Outcome) {
    from.inside(|| {
        let socket = Socket::new(Domain::for_address(first), Type::STREAM, None).unwrap();
        let failed = socket.connect_timeout(&first.into(), HANG).is_err();
        let mark = socket.mark().unwrap();
        let outcome = match socket.connect_timeout(&second.into(), HANG) {
            Ok(()) => read(socket.into()),
            Err(error) => Outcome::Failed(error.kind()),
        };
        (failed, mark, outcome)
    })
}

/// Connects with the first bytes, without a call of `connect`.
pub(crate) fn fast_open(from: &Site, to: SocketAddr) -> Outcome {
    from.inside(|| {
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.set_write_timeout(Some(HANG))?;
            socket.send_to_with_flags(b"", &to.into(), libc::MSG_FASTOPEN)?;
            Ok(socket.into())
        };
        connect().map_or_else(|error| Outcome::Failed(error.kind()), read)
    })
}

fn read(mut stream: TcpStream) -> Outcome {
    let mut text = String::new();
    stream.set_read_timeout(Some(HANG)).unwrap();
    match stream.read_to_string(&mut text) {
        Ok(_) => Outcome::of(&text),
        Err(error) => Outcome::Failed(error.kind()),
    }
}

/// An IPv4 address as an IPv6 socket names it.
pub(crate) fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => address,
    }
}

/// How a datagram is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datagram {
    Connected,
    Unconnected,
}

/// Sends a datagram and waits for its echo.
pub(crate) fn ask(from: &Site, how: Datagram, to: SocketAddr) -> Result<(), ErrorKind> {
    from.inside(|| {
        let any: SocketAddr = if to.is_ipv6() { "[::]:0".parse().unwrap() } else { "0.0.0.0:0".parse().unwrap() };
        let exchange = || -> std::io::Result<()> {
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(HANG))?;
            match how {
                Datagram::Connected => {
                    socket.connect(to)?;
                    socket.send(b"hello")?;
                }
                Datagram::Unconnected => {
                    socket.send_to(b"hello", to)?;
                }
            }
            let mut buffer = [0; 16];
            uninterrupted(|| socket.recv(&mut buffer)).map(|_| ())
        };
        exchange().map_err(|error| error.kind())
    })
}

/// A server that sends every datagram back. Ends when dropped.
pub(crate) struct Echo {
    socket: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(site: &Site, address: SocketAddr) -> Self {
        let socket = site.inside(|| UdpSocket::bind(address).unwrap());
        let receiving = socket.try_clone().unwrap();
        let thread = thread::spawn(move || {
            let mut buffer = [0; 64];
            // An empty datagram is what a socket reads that was shut down.
            while let Ok((length @ 1.., peer)) = uninterrupted(|| receiving.recv_from(&mut buffer)) {
                let _ = receiving.send_to(&buffer[..length], peer);
            }
        });
        Self { socket, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
