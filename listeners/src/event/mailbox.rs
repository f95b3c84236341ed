//! A worker's mailbox: its commands, their queue, and the handle by which a held answer is released.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::sys::eventfd::{EfdFlags, EventFd};
use portcullis_rules::world::EndpointId;
use socket2::Socket;

use crate::{dial::UpstreamConnector, event::slots::SlotToken, share::EndpointShares};

/// How one worker meets one endpoint.
pub(crate) struct WorkerListener {
    pub(crate) listeners: Vec<Socket>,
    pub(crate) datagrams: Vec<Socket>,
    pub(crate) dial: Box<dyn UpstreamConnector>,
}

/// An endpoint that a worker must serve.
pub(crate) struct Opening {
    pub(crate) id: EndpointId,
    pub(crate) listener: WorkerListener,
    /// What it has on all workers.
    pub(crate) shares: EndpointShares,
}

/// A command to a worker.
pub(crate) enum WorkerCommand {
    /// Accept on these.
    Open(Opening),
    /// Close the listeners and connections of an endpoint.
    Close(EndpointId),
    /// Accept nothing more, let connections end for so long, then reset them. Datagrams go on.
    Stop(Duration),
    /// Take the datagrams that have come, wait for their answers at most for so long, and end when no connection is open.
    Finish(Duration),
    /// What an answer tells that is held is in force (`known`), or will not be.
    Commit { holder: ReleaseTarget, known: bool },
}

/// The way to a worker: a queue and what wakes it.
pub(crate) struct Mailbox {
    commands: Mutex<VecDeque<WorkerCommand>>,
    pub(crate) waker: EventFd,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        let waker = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { commands: Mutex::default(), waker })
    }

    pub(crate) fn put(&self, command: WorkerCommand) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.push_back(command);
        // Where others wait already it has rung, or is about to.
        let first = commands.len() == 1;
        drop(commands);
        if first {
            self.ring();
        }
    }

    /// Has the worker look up, with or without a command.
    pub(crate) fn ring(&self) {
        // It fails only when it rings already.
        let _ = self.waker.write(1);
    }

    /// Everything that was put, oldest first.
    pub(crate) fn take(&self) -> VecDeque<WorkerCommand> {
        let _ = self.waker.read();
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What waits for a pending release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReleaseTarget {
    /// A connection pair, and the number of the resolution that its relay waits for.
    Pair(SlotToken, u64),
    /// A flow of datagrams, and the number of the answer that it holds.
    Flow(SlotToken, u64),
}

/// Lets one answer go, or has it replaced by a failure. One that is dropped without a word is a failure, and so is
/// what comes too late.
pub struct PendingRelease {
    mailbox: Arc<Mailbox>,
    /// Gone once it is redeemed.
    holder: Option<ReleaseTarget>,
}

impl PendingRelease {
    pub(crate) fn new(mailbox: Arc<Mailbox>, holder: ReleaseTarget) -> Self {
        Self { mailbox, holder: Some(holder) }
    }

    /// What the answer tells is in force (`known`), or will not be.
    pub fn redeem(mut self, known: bool) {
        self.tell(known);
    }

    /// There is nothing to tell: the answer is not held.
    pub fn void(mut self) {
        self.holder = None;
    }

    fn tell(&mut self, known: bool) {
        if let Some(holder) = self.holder.take() {
            self.mailbox.put(WorkerCommand::Commit { holder, known });
        }
    }
}

impl Drop for PendingRelease {
    fn drop(&mut self) {
        self.tell(false);
    }
}
