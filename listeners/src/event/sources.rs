//! The sockets of a worker that accept connections and receive datagrams, by index.

use nix::sys::epoll::{EpollEvent, EpollFlags};
use portcullis_rules::world::EndpointId;
use socket2::Socket;

use crate::event::{context::WorkerContext, slots::EventSource};

/// A listener of an endpoint.
#[derive(Debug)]
pub(crate) struct EndpointListener {
    pub(crate) id: EndpointId,
    pub(crate) socket: Socket,
}

/// The listeners of one kind. A place is had again when its listener is gone.
#[derive(Debug)]
pub(crate) struct ListenerSlots {
    doors: Vec<Option<EndpointListener>>,
    /// What the kernel's events at a place belong to.
    source: fn(usize) -> EventSource,
}

impl ListenerSlots {
    pub(crate) fn new(source: fn(usize) -> EventSource) -> Self {
        Self { doors: Vec::new(), source }
    }

    /// Hears a listener from now on.
    ///
    /// # Errors
    /// The kernel refuses; the listener is closed.
    pub(crate) fn open(&mut self, id: EndpointId, socket: Socket, core: &WorkerContext) -> nix::Result<()> {
        let place = self.doors.iter().position(Option::is_none).unwrap_or_else(|| {
            self.doors.push(None);
            self.doors.len() - 1
        });
        core.epoll.add(&socket, self.event(place, EpollFlags::EPOLLIN))?;
        self.doors[place] = Some(EndpointListener { id, socket });
        Ok(())
    }

    pub(crate) fn close(&mut self, id: EndpointId) {
        for door in &mut self.doors {
            if door.as_ref().is_some_and(|door| door.id == id) {
                *door = None;
            }
        }
    }

    pub(crate) fn close_all(&mut self) {
        self.doors.clear();
    }

    /// Places there are, those without a listener too.
    pub(crate) fn places(&self) -> usize {
        self.doors.len()
    }

    pub(crate) fn at(&self, place: usize) -> Option<&EndpointListener> {
        self.doors.get(place)?.as_ref()
    }

    /// Hears all listeners of these events only.
    pub(crate) fn listen_for(&self, flags: EpollFlags, core: &WorkerContext) {
        for (place, door) in self.doors.iter().enumerate() {
            let Some(door) = door else { continue };
            if let Err(error) = core.epoll.modify(&door.socket, &mut self.event(place, flags)) {
                tracing::error!(%error, endpoint = door.id.0, "a listener cannot be rested or woken");
            }
        }
    }

    fn event(&self, place: usize, flags: EpollFlags) -> EpollEvent {
        EpollEvent::new(flags, (self.source)(place).to_event())
    }
}
