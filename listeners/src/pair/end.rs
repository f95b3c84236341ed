//! One side of a connection pair: its transport, the bytes waiting to be sent, and the bytes held from it.

use std::io;

use nix::sys::epoll::EpollFlags;
use socket2::Socket;

use crate::{
    share::ShareGuard,
    transport::{Plain, ReadOutcome, RelayTransport},
};

/// One side.
#[derive(Debug, Default)]
pub(crate) struct End {
    transport: Option<RelayTransport>,
    pub(crate) connecting: bool,
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
    pub(crate) charge: Option<ShareGuard>,
    pub(crate) over_budget: bool,
    /// The other side has moved since the held bytes were shown, or the relay has to look at them again.
    pub(crate) again: bool,
    /// Bytes for it that did not fit, and how many of them are gone.
    out: Vec<u8>,
    gone: usize,
}

impl End {
    /// An accepted socket. Whether it is readable the first event says.
    pub(crate) fn accepted(socket: Socket) -> Self {
        Self { transport: Some(RelayTransport::Plain(Plain::accepted(socket))), ..Self::default() }
    }

    /// Takes a socket that is on its way.
    pub(crate) fn connecting(&mut self, socket: Socket) {
        self.transport = Some(RelayTransport::Plain(Plain::connecting(socket)));
        self.connecting = true;
    }

    pub(crate) fn connected(&mut self) {
        self.connecting = false;
        if let Some(transport) = &mut self.transport {
            transport.connected();
        }
    }

    pub(crate) fn socket(&self) -> Option<&Socket> {
        self.transport.as_ref().map(RelayTransport::socket)
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.transport.is_none()
    }

    /// Notes what the kernel says of the socket.
    pub(crate) fn note(&mut self, flags: EpollFlags) {
        if let Some(transport) = &mut self.transport {
            transport.note(flags);
        }
        self.broken |= flags.contains(EpollFlags::EPOLLERR);
    }

    pub(crate) fn may_read(&self) -> bool {
        !self.eof && !self.connecting && self.transport.as_ref().is_some_and(RelayTransport::may_read)
    }

    /// Whether bytes wait for it.
    pub(crate) fn is_full(&self) -> bool {
        self.gone < self.out.len()
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<ReadOutcome> {
        let Some(transport) = &mut self.transport else { return Ok(ReadOutcome::Nothing) };
        let read = transport.read(into)?;
        self.eof |= matches!(read, ReadOutcome::Eof);
        Ok(read)
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
        if self.is_full() && self.transport.as_ref().is_some_and(RelayTransport::may_write) {
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
        let Some(transport) = self.transport.as_mut().filter(|_| !self.connecting) else { return 0 };
        transport.write(bytes).unwrap_or_else(|_| {
            self.broken = true;
            0
        })
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
        let Some(transport) = &mut self.transport else { return false };
        transport.finish();
        self.fin_sent = true;
        true
    }

    /// Whether the kernel has sent everything it was given.
    pub(crate) fn all_sent(&self) -> bool {
        !self.is_full() && self.transport.as_ref().is_none_or(RelayTransport::all_sent)
    }

    /// Closes the socket and forgets all bytes.
    pub(crate) fn close(&mut self, reset: bool) {
        if let Some(transport) = self.transport.take() {
            transport.close(reset);
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
