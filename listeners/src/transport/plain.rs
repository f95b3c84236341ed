//! TCP without anything in between.

use std::{io, net::Shutdown};

use nix::sys::epoll::EpollFlags;
use socket2::Socket;

use super::ReadOutcome;
use crate::sockets;

/// A TCP socket, and what the kernel said of it last.
#[derive(Debug)]
pub(crate) struct Plain {
    socket: Socket,
    readable: bool,
    writable: bool,
    /// The last bytes may be there already: a short read does not mean that an edge will come.
    hangup: bool,
}

impl Plain {
    /// An accepted socket. The first event says whether it is readable.
    pub(crate) fn accepted(socket: Socket) -> Self {
        Self { socket, readable: false, writable: true, hangup: false }
    }

    /// A socket that is not connected yet.
    pub(crate) fn connecting(socket: Socket) -> Self {
        Self { socket, readable: false, writable: false, hangup: false }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn connected(&mut self) {
        self.writable = true;
    }

    pub(super) fn note(&mut self, flags: EpollFlags) {
        let over = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        self.hangup |= over;
        self.readable |= over || flags.contains(EpollFlags::EPOLLIN);
        self.writable |= over || flags.contains(EpollFlags::EPOLLOUT);
    }

    pub(super) fn may_read(&self) -> bool {
        self.readable
    }

    pub(super) fn may_write(&self) -> bool {
        self.writable
    }

    /// A short read means that nothing more is there, unless the end has been seen coming: a FIN that came with the data gives
    /// no second edge.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<ReadOutcome> {
        match sockets::receive(&self.socket, into) {
            Ok(0) => Ok(ReadOutcome::Eof),
            Ok(bytes) => {
                self.readable = bytes == into.len() || self.hangup;
                Ok(ReadOutcome::Bytes(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(ReadOutcome::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// A short write means that the socket's buffer is full: an edge comes when there is room again.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.writable || bytes.is_empty() {
            return Ok(0);
        }
        match sockets::send(&self.socket, bytes) {
            Ok(count) => {
                self.writable = count == bytes.len();
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => {
                // What the peer said before, or that it is gone, is there to be read.
                self.readable = true;
                self.hangup = true;
                Err(error)
            }
        }
    }

    pub(super) fn finish(&self) {
        // It fails only when the connection is gone, which the next read tells.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(super) fn all_sent(&self) -> bool {
        sockets::all_sent(&self.socket)
    }

    pub(super) fn close(self, reset: bool) {
        if reset {
            sockets::reset(self.socket);
        }
    }
}
