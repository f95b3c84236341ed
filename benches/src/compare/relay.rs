//! The baseline: a relay that copies bytes between two sockets and reads none.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    rc::Rc,
};

use nix::sys::epoll::{Epoll, EpollFlags};

use super::events::{Events, Moved, Slab, accept_all, connect, listen, read, watch, write};

/// Token of the listening socket. A pair has two tokens: twice its number, and the one after for the upstream.
const LISTENER: u64 = u64::MAX;
/// Bytes read in one call, into one buffer for all connections.
const BUFFER: usize = 64 << 10;

/// One direction of a pair: from a socket to the other one.
struct Way {
    from: Rc<TcpStream>,
    to: Rc<TcpStream>,
    /// Read, but not taken by the other side yet. Nothing more is read while it holds bytes.
    held: Vec<u8>,
    /// `from` has sent its FIN.
    ended: bool,
    /// The FIN was passed on.
    shut: bool,
}

struct Pair {
    up: Way,
    down: Way,
}

/// Relays what comes to `address` to `upstream` until killed. `ready` is called once the socket listens.
///
/// # Errors
/// The address cannot be used, or the system is out of descriptors.
pub fn serve(address: SocketAddr, upstream: SocketAddr, ready: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let listener = listen(address)?;
    let mut events = Events::new()?;
    let mut pairs: Slab<Option<Pair>> = Slab::default();
    events.add(&listener, LISTENER)?;
    ready()?;
    let mut buffer = vec![0; BUFFER];
    loop {
        events.wait(None, |epoll, token, flags| {
            if token == LISTENER {
                return accept_all(&listener, |client| open(epoll, &mut pairs, client, upstream));
            }
            let number = usize::try_from(token / 2).unwrap_or(usize::MAX);
            let from_upstream = token % 2 == 1;
            if let Some(Some(pair)) = pairs.get_mut(number)
                && !pair.turn(from_upstream, flags, &mut buffer)
            {
                pairs.remove(number);
            }
            Ok(())
        })?;
    }
}

fn open(epoll: &Epoll, pairs: &mut Slab<Option<Pair>>, client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    // Refused: the client's socket is dropped, which tells it.
    let Ok(server) = connect(upstream, None) else { return Ok(()) };
    let (client, server) = (Rc::new(client), Rc::new(server));
    let number = pairs.insert(None);
    watch(epoll, &*client, number as u64 * 2)?;
    watch(epoll, &*server, number as u64 * 2 + 1)?;
    if let Some(entry) = pairs.get_mut(number) {
        *entry = Some(Pair { up: Way::new(&client, &server), down: Way::new(&server, &client) });
    }
    Ok(())
}

impl Pair {
    /// Follows an event of one of the two sockets. False: the pair is over.
    fn turn(&mut self, from_upstream: bool, flags: EpollFlags, buffer: &mut [u8]) -> bool {
        if flags.intersects(EpollFlags::EPOLLERR) {
            return false;
        }
        let (reading, writing) =
            if from_upstream { (&mut self.down, &mut self.up) } else { (&mut self.up, &mut self.down) };
        let readable = flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP);
        let more = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP);
        // A socket that takes bytes again frees the other one to be read on.
        let freed = !writing.held.is_empty() && flags.intersects(EpollFlags::EPOLLOUT);
        (!readable || reading.copy(more, buffer))
            && (!freed || writing.copy(true, buffer))
            && !(self.up.shut && self.down.shut)
    }
}

impl Way {
    fn new(from: &Rc<TcpStream>, to: &Rc<TcpStream>) -> Self {
        Self { from: Rc::clone(from), to: Rc::clone(to), held: Vec::new(), ended: false, shut: false }
    }

    /// Copies what is there. A short read means that the socket is empty and an edge will come, unless `more`: a FIN
    /// that came with the data gives no second edge. False: the pair is over.
    fn copy(&mut self, more: bool, buffer: &mut [u8]) -> bool {
        if !self.flush() {
            return false;
        }
        while self.held.is_empty() && !self.ended {
            match read(&self.from, buffer) {
                Moved::Bytes(count) => {
                    if !self.send(&buffer[..count]) {
                        return false;
                    }
                    if count < buffer.len() && !more {
                        break;
                    }
                }
                Moved::NotNow => break,
                Moved::Over => self.ended = true,
            }
        }
        if self.ended && self.held.is_empty() && !self.shut {
            self.shut = true;
            return self.to.shutdown(Shutdown::Write).is_ok();
        }
        true
    }

    /// Writes what is held.
    fn flush(&mut self) -> bool {
        if self.held.is_empty() {
            return true;
        }
        let held = std::mem::take(&mut self.held);
        self.send(&held)
    }

    /// Writes, and holds what is not taken.
    fn send(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match write(&self.to, bytes) {
                Moved::Bytes(count) => bytes = &bytes[count..],
                Moved::NotNow => {
                    self.held = bytes.to_vec();
                    break;
                }
                Moved::Over => return false,
            }
        }
        true
    }
}
