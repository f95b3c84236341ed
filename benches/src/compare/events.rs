//! The system calls that upstream, relay and client share: edge-triggered epoll and non-blocking sockets.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Token of a listening socket; connections count from 0.
const LISTENER: u64 = u64::MAX;
/// Events taken in one call.
const BATCH: usize = 256;

/// Registered once for both directions; an edge tells that something changed.
const BOTH: EpollFlags =
    EpollFlags::EPOLLIN.union(EpollFlags::EPOLLOUT).union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);

/// An epoll instance with its buffer of events.
#[derive(Debug)]
pub struct Events {
    epoll: Epoll,
    buffer: [EpollEvent; BATCH],
}

impl Events {
    /// Makes one.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, buffer: [EpollEvent::empty(); BATCH] })
    }

    /// Watches both directions of `what`, edge-triggered. It is forgotten when it is closed.
    ///
    /// # Errors
    /// The system is out of memory or watches.
    pub fn add(&self, what: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(what, EpollEvent::new(BOTH, token))?)
    }

    /// Tells when `what` has something to read, as long as it has.
    ///
    /// # Errors
    /// As [`Events::add`].
    pub fn hear(&self, what: impl AsFd, token: u64) -> io::Result<()> {
        hear(&self.epoll, what, token)
    }

    /// Waits for events, at most `milliseconds`, or for ever; hands out each token with its flags.
    ///
    /// # Errors
    /// Never for a valid instance, but for what `visit` says.
    pub fn wait(
        &mut self,
        milliseconds: Option<u16>,
        mut visit: impl FnMut(&Epoll, u64, EpollFlags) -> io::Result<()>,
    ) -> io::Result<()> {
        let timeout = milliseconds.map_or(EpollTimeout::NONE, EpollTimeout::from);
        let count = match self.epoll.wait(&mut self.buffer, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &self.buffer[..count] {
            visit(&self.epoll, event.data(), event.events())?;
        }
        Ok(())
    }
}

/// Watches like [`Events::add`], from inside [`Events::wait`].
///
/// # Errors
/// As [`Events::add`].
pub fn watch(epoll: &Epoll, what: impl AsFd, token: u64) -> io::Result<()> {
    Ok(epoll.add(what, EpollEvent::new(BOTH, token))?)
}

/// As [`Events::hear`], from inside [`Events::wait`].
///
/// # Errors
/// As [`Events::add`].
pub fn hear(epoll: &Epoll, what: impl AsFd, token: u64) -> io::Result<()> {
    Ok(epoll.add(what, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
}

/// A listening socket that does not block.
///
/// # Errors
/// The address is taken or not here.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts everything that waits.
///
/// # Errors
/// The system is out of descriptors, or what `take` says.
pub fn accept_all(listener: &TcpListener, mut take: impl FnMut(TcpStream) -> io::Result<()>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                take(stream)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Serves on `address` until killed: each connection is made by `new`, and has its turn at each of its edges, until one says
/// that it is over. `ready` is called once the socket listens.
///
/// # Errors
/// The address cannot be used, or the system is out of descriptors.
pub fn serve<C>(
    address: SocketAddr,
    ready: impl FnOnce() -> io::Result<()>,
    mut new: impl FnMut(TcpStream) -> C,
    mut turn: impl FnMut(&mut C) -> bool,
) -> io::Result<()> {
    let listener = listen(address)?;
    let mut events = Events::new()?;
    let mut connections = Slab::default();
    events.add(&listener, LISTENER)?;
    ready()?;
    loop {
        events.wait(None, |epoll, token, _| {
            if token == LISTENER {
                return accept_all(&listener, |stream| {
                    let token = connections.insert(None);
                    watch(epoll, &stream, token as u64)?;
                    if let Some(entry) = connections.get_mut(token) {
                        *entry = Some(new(stream));
                    }
                    Ok(())
                });
            }
            let token = usize::try_from(token).unwrap_or(usize::MAX);
            if let Some(Some(connection)) = connections.get_mut(token)
                && !turn(connection)
            {
                connections.remove(token);
            }
            Ok(())
        })?;
    }
}

/// Starts a connection without waiting for it, from `source` if given.
///
/// # Errors
/// Refused at once, or no port or route is left.
pub fn connect(target: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        other => other?,
    }
    Ok(socket.into())
}

/// What a read or write that does not block came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now; an edge will tell.
    NotNow,
    /// The end of the stream, or an error: the connection is over.
    Over,
}

/// Reads once.
pub fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> Moved {
    moved(|| stream.read(buffer))
}

/// Writes once.
pub fn write(mut stream: &TcpStream, bytes: &[u8]) -> Moved {
    moved(|| stream.write(bytes))
}

fn moved(mut call: impl FnMut() -> io::Result<usize>) -> Moved {
    loop {
        return match call() {
            Ok(0) => Moved::Over,
            Ok(count) => Moved::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Moved::NotNow,
            Err(_) => Moved::Over,
        };
    }
}

/// Connections by token; tokens are used again.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Keeps `entry` and gives it a token.
    pub fn insert(&mut self, entry: T) -> usize {
        if let Some(token) = self.free.pop() {
            self.entries[token] = Some(entry);
            return token;
        }
        self.entries.push(Some(entry));
        self.entries.len() - 1
    }

    /// The entry of a token, if it is there still.
    pub fn get_mut(&mut self, token: usize) -> Option<&mut T> {
        self.entries.get_mut(token)?.as_mut()
    }

    /// Takes the entry out; the next one gets its token. An event of the same batch may still name it: to the newcomer
    /// that is a needless look, no more.
    pub fn remove(&mut self, token: usize) -> Option<T> {
        let entry = self.entries.get_mut(token)?.take()?;
        self.free.push(token);
        Some(entry)
    }
}
