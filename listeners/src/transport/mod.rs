//! What carries the bytes of one side between us and the peer. A relay sees plaintext only; how that becomes bytes on a socket is
//! said here, in one file for each way.

mod plain;

use std::io;

use nix::sys::epoll::EpollFlags;
use socket2::Socket;

pub(crate) use self::plain::Plain;

/// A transport. It knows whether its socket can be read and written, because events are edge-triggered.
#[derive(Debug)]
pub(crate) enum RelayTransport {
    /// The bytes of the relay are those on the socket.
    Plain(Plain),
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum ReadOutcome {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing is there yet.
    Nothing,
    /// The peer has ended its stream in good order.
    Eof,
}

impl RelayTransport {
    /// The socket below.
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(plain) => plain.socket(),
        }
    }

    /// Notes what the kernel says of the socket.
    pub(crate) fn note(&mut self, flags: EpollFlags) {
        match self {
            Self::Plain(plain) => plain.note(flags),
        }
    }

    /// The socket is connected.
    pub(crate) fn connected(&mut self) {
        match self {
            Self::Plain(plain) => plain.connected(),
        }
    }

    /// Whether a read may bring something.
    pub(crate) fn may_read(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.may_read(),
        }
    }

    /// Whether a write may take something.
    pub(crate) fn may_write(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.may_write(),
        }
    }

    /// Reads plaintext once.
    ///
    /// # Errors
    /// The connection is gone, or ended within a message of the transport.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<ReadOutcome> {
        match self {
            Self::Plain(plain) => plain.read(into),
        }
    }

    /// Writes as much plaintext as is taken now: how many bytes.
    ///
    /// # Errors
    /// No more is taken, ever. What the peer has sent before can still be read.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write(bytes),
        }
    }

    /// Ends our stream behind what was written.
    pub(crate) fn finish(&mut self) {
        match self {
            Self::Plain(plain) => plain.finish(),
        }
    }

    /// Whether everything that was written has been sent at least once.
    pub(crate) fn all_sent(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.all_sent(),
        }
    }

    /// Closes the socket, by a reset if so wished.
    pub(crate) fn close(self, reset: bool) {
        match self {
            Self::Plain(plain) => plain.close(reset),
        }
    }
}
