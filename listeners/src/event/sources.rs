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
    listeners: Vec<Option<EndpointListener>>,
    /// What the kernel's events at a place belong to.
    source: fn(usize) -> EventSource,
}

impl ListenerSlots {
    pub(crate) fn new(source: fn(usize) -> EventSource) -> Self {
        Self { listeners: Vec::new(), source }
    }

    /// Hears a listener from now on.
    ///
    /// # Errors
    /// The kernel refuses; the listener is closed.
    pub(crate) fn open(&mut self, id: EndpointId, socket: Socket, core: &WorkerContext) -> nix::Result<()> {
        let place = self.listeners.iter().position(Option::is_none).unwrap_or_else(|| {
            self.listeners.push(None);
            self.listeners.len() - 1
        });
        core.epoll.add(&socket, self.event(place, EpollFlags::EPOLLIN))?;
        self.listeners[place] = Some(EndpointListener { id, socket });
        Ok(())
    }

    pub(crate) fn close(&mut self, id: EndpointId) {
        for listener in &mut self.listeners {
            if listener.as_ref().is_some_and(|listener| listener.id == id) {
                *listener = None;
            }
        }
    }

    pub(crate) fn close_all(&mut self) {
        self.listeners.clear();
    }

    /// Places there are, those without a listener too.
    pub(crate) fn places(&self) -> usize {
        self.listeners.len()
    }

    pub(crate) fn at(&self, place: usize) -> Option<&EndpointListener> {
        self.listeners.get(place)?.as_ref()
    }

    /// Hears all listeners of these events only.
    pub(crate) fn listen_for(&self, flags: EpollFlags, core: &WorkerContext) {
        for (place, listener) in self.listeners.iter().enumerate() {
            let Some(listener) = listener else { continue };
            if let Err(error) = core.epoll.modify(&listener.socket, &mut self.event(place, flags)) {
                tracing::error!(%error, endpoint = listener.id.0, "a listener cannot be rested or woken");
            }
        }
    }

    fn event(&self, place: usize, flags: EpollFlags) -> EpollEvent {
        EpollEvent::new(flags, (self.source)(place).to_event())
    }
}
