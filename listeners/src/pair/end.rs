//! One side of a connection pair: its socket, the bytes waiting to be sent, and the bytes held from it.

use std::{io, net::Shutdown};

use nix::sys::epoll::EpollFlags;
use socket2::Socket;

use crate::{share::Taken, sockets};

/// One side.
#[derive(Debug, Default)]
pub(crate) struct End {
    socket: Option<Socket>,
    pub(crate) connecting: bool,
    readable: bool,
    writable: bool,
    /// The last bytes may be there already: a short read does not mean that an edge will come.
    hangup: bool,
    /// It takes no more bytes; what is written to it is dropped.
    pub(crate) broken: bool,
    /// It has ended its stream.
    pub(crate) eof: bool,
    /// Its stream is to be ended behind what waits.
    fin_due: bool,
    pub(crate) fin_sent: bool,
    /// Bytes from it that the relay has not taken.
    pub(crate) held: Vec<u8>,
    /// What these take of the budget, and whether the relay was told that it has no room for more.
    pub(crate) charge: Option<Taken>,
    pub(crate) over_budget: bool,
    /// The other side has moved since the held bytes were shown, or the relay has to look at them again.
    pub(crate) again: bool,
    /// Bytes for it that did not fit, and how many of them are gone.
    out: Vec<u8>,
    gone: usize,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum Read {
    Bytes(usize),
    Nothing,
    Eof,
}

impl End {
    /// An accepted socket. Whether it is readable the first event says.
    pub(crate) fn accepted(socket: Socket) -> Self {
        Self { socket: Some(socket), writable: true, ..Self::default() }
    }

    /// Takes a socket that is on its way.
    pub(crate) fn connecting(&mut self, socket: Socket) {
        self.socket = Some(socket);
        self.connecting = true;
    }

    pub(crate) fn connected(&mut self) {
        self.connecting = false;
        self.writable = true;
    }

    pub(crate) fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.socket.is_none()
    }

    /// Notes what the kernel says of the socket.
    pub(crate) fn note(&mut self, flags: EpollFlags) {
        let over = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        self.hangup |= over;
        self.readable |= over || flags.contains(EpollFlags::EPOLLIN);
        self.writable |= over || flags.contains(EpollFlags::EPOLLOUT);
        self.broken |= flags.contains(EpollFlags::EPOLLERR);
    }

    pub(crate) fn may_read(&self) -> bool {
        self.readable && !self.eof && !self.connecting && self.socket.is_some()
    }

    /// Whether bytes wait for it.
    pub(crate) fn is_full(&self) -> bool {
        self.gone < self.out.len()
    }

    /// Reads once. A short read means that nothing more is there, unless the end has been seen coming: a FIN that came
    /// with the data gives no second edge.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Read> {
        let Some(socket) = &self.socket else { return Ok(Read::Nothing) };
        match sockets::receive(socket, into) {
            Ok(0) => {
                self.eof = true;
                Ok(Read::Eof)
            }
            Ok(bytes) => {
                self.readable = bytes == into.len() || self.hangup;
                Ok(Read::Bytes(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(Read::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes bytes behind those that wait; what does not fit waits. A socket that takes no more is broken: what it
    /// still has to say is read, then the pair ends.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        let sent = if self.is_full() { 0 } else { self.send(bytes) };
        if !self.broken && sent < bytes.len() {
            self.out.extend_from_slice(&bytes[sent..]);
        }
    }

    /// Writes what waits, then ends the stream if that is due. Returns whether anything moved.
    pub(crate) fn flush(&mut self) -> bool {
        let mut moved = false;
        if self.is_full() && self.writable {
            let out = std::mem::take(&mut self.out);
            let sent = self.send(&out[self.gone..]);
            self.gone += sent;
            moved = sent > 0;
            if self.broken || self.gone == out.len() {
                // The memory goes with the bytes: most connections are idle.
                self.gone = 0;
            } else {
                self.out = out;
            }
        }
        self.finish() || moved
    }

    fn send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() && self.writable && !self.connecting {
            let Some(socket) = &self.socket else { break };
            match sockets::send(socket, &bytes[sent..]) {
                Ok(count) => {
                    sent += count;
                    self.writable = sent == bytes.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(_) => {
                    self.broken = true;
                    self.readable = true;
                    self.hangup = true;
                    break;
                }
            }
        }
        sent
    }

    /// Ends the stream to it behind what waits.
    pub(crate) fn end_stream(&mut self) {
        self.fin_due = true;
        self.finish();
    }

    fn finish(&mut self) -> bool {
        if !self.fin_due || self.fin_sent || self.is_full() || self.connecting {
            return false;
        }
        let Some(socket) = &self.socket else { return false };
        // It fails only when the connection is gone, which the next read tells.
        let _ = socket.shutdown(Shutdown::Write);
        self.fin_sent = true;
        true
    }

    /// Whether the kernel has sent everything it was given.
    pub(crate) fn all_sent(&self) -> bool {
        !self.is_full() && self.socket.as_ref().is_none_or(sockets::all_sent)
    }

    /// Closes the socket and forgets all bytes.
    pub(crate) fn close(&mut self, reset: bool) {
        match self.socket.take() {
            Some(socket) if reset => sockets::reset(socket),
            other => drop(other),
        }
        self.out = Vec::new();
        self.gone = 0;
        self.forget_held();
        self.connecting = false;
    }

    /// Drops what is held, and gives back what it takes of the budget.
    pub(crate) fn forget_held(&mut self) {
        self.held = Vec::new();
        self.charge = None;
        self.over_budget = false;
    }

    /// Bytes of memory that wait on the heap.
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        self.out.capacity() + self.held.capacity()
    }
}
