//! The context that a worker lends to the pair that it advances.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hasher},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use portcullis_codecs::{
    datagram::DatagramSession,
    relay::{Relay, RelayOutput, Side},
    resolution::LearnedAddresses,
};
use portcullis_rules::{schema::Schema, snapshot::Snapshot, world::EndpointId};
use socket2::Socket;

use crate::{
    dial::{ConnectingUpstream, UpstreamConnector},
    event::{
        mailbox::{Mailbox, PendingRelease, ReleaseTarget},
        shared::WorkersShared,
        slots::SlotToken,
    },
    judge::{AuthorizationContext, FlowAuthorizer},
    options::DataPlaneOptions,
    share::{EndpointShares, ShareExhausted, ShareGuard},
    telemetry::TelemetrySink,
};

/// Capacity of a relay's own words that is kept for the next pair, in bytes.
const KEPT_OUTPUT: usize = 64 * 1024;

/// A worker without its connections.
pub(crate) struct WorkerContext {
    pub(crate) shared: Arc<WorkersShared>,
    mailbox: Arc<Mailbox>,
    pub(crate) epoll: Epoll,
    pub(crate) exit: TelemetrySink,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// Number of the publication that the snapshot is of, or of an earlier one.
    pub(crate) epoch: u64,
    /// Milliseconds since the data plane began, as of its last wake-up.
    pub(crate) now: u64,
    pub(crate) output: RelayOutput,
    pub(crate) dials: HashMap<EndpointId, Box<dyn UpstreamConnector>>,
    /// What each endpoint has of what is shared, on all workers.
    pub(crate) shares: HashMap<EndpointId, EndpointShares>,
    buffer: Vec<u8>,
    random: u64,
}

impl WorkerContext {
    pub(crate) fn new(shared: Arc<WorkersShared>, mailbox: Arc<Mailbox>, epoll: Epoll) -> Self {
        Self {
            exit: TelemetrySink::new(&shared.telemetry),
            mailbox,
            epoll,
            snapshot: None,
            epoch: 0,
            now: 0,
            output: RelayOutput::default(),
            dials: HashMap::new(),
            shares: HashMap::new(),
            buffer: Vec::new(),
            random: RandomState::new().build_hasher().finish() | 1,
            shared,
        }
    }

    /// What judging needs.
    pub(crate) fn context(&mut self) -> AuthorizationContext<'_> {
        AuthorizationContext { snapshot: self.snapshot.as_deref(), exit: &mut self.exit, now: self.now }
    }

    pub(crate) fn options(&self) -> &DataPlaneOptions {
        &self.shared.options
    }

    /// The relay of a connection whose requests are judged, and the most bytes that may be held of one side where it does not
    /// ask for more: what one of the protocol holds back, and one read. The codecs refuse before.
    pub(crate) fn relay(&self, schema: &Schema, judge: &FlowAuthorizer) -> Option<(Box<dyn Relay>, usize)> {
        let (limits, server) = (&judge.params().limits, judge.destination);
        let relay = self.shared.protocols.relay(schema, limits, server, self.now)?;
        Some((relay, self.shared.protocols.held(schema, limits) + self.options().buffer))
    }

    /// The state of a flow of datagrams whose requests are judged.
    pub(crate) fn session(
        &self,
        schema: &Schema,
        judge: &FlowAuthorizer,
        server: SocketAddr,
    ) -> Option<Box<dyn DatagramSession>> {
        self.shared.protocols.session(schema, &judge.params().limits, server, self.now)
    }

    /// The read buffer, for the time of one read. One that was lost to a panic is made anew.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(self.options().buffer.max(1), 0);
        buffer
    }

    pub(crate) fn put_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
        if self.output.downstream.capacity() > KEPT_OUTPUT {
            self.output.downstream = Vec::new();
        }
        if self.output.upstream.capacity() > KEPT_OUTPUT {
            self.output.upstream = Vec::new();
        }
    }

    /// A random number (xorshift): which backend, nothing secret.
    pub(crate) fn draw(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 32).unwrap_or(0)
    }

    pub(crate) fn dial(&mut self, judge: &FlowAuthorizer) -> io::Result<ConnectingUpstream> {
        let dial = self.dials.get_mut(&judge.key.endpoint).ok_or(io::ErrorKind::NotFound)?;
        dial.dial(&judge.way(), &self.exit)
    }

    pub(crate) fn dial_datagrams(&mut self, judge: &FlowAuthorizer) -> io::Result<ConnectingUpstream> {
        self.dials.get_mut(&judge.key.endpoint).ok_or(io::ErrorKind::NotFound)?.datagrams(&judge.way())
    }

    /// A socket from which datagrams leave as those of any server.
    pub(crate) fn answers(&mut self, endpoint: EndpointId, v6: bool) -> io::Result<Socket> {
        self.dials.get_mut(&endpoint).ok_or(io::ErrorKind::NotFound)?.answers(v6)
    }

    /// A connection to an address begins; if it was learnt, it is kept until [`WorkerContext::end_use`].
    pub(crate) fn begin_use(&self, address: IpAddr) -> Option<IpAddr> {
        let (names, snapshot) = (self.shared.names.as_ref()?, self.snapshot.as_ref()?);
        snapshot.has_names(address).then(|| {
            names.opened(address);
            address
        })
    }

    pub(crate) fn end_use(&self, address: Option<IpAddr>) {
        if let (Some(names), Some(address)) = (&self.shared.names, address) {
            names.closed(address);
        }
    }

    /// Whether somebody learns names from answers.
    pub(crate) fn learns(&self) -> bool {
        self.shared.names.is_some()
    }

    /// Installs the addresses of an answer. Returns `true` if they are in force already; otherwise the holder of the
    /// answer is notified later.
    pub(crate) fn learn(&self, judge: &FlowAuthorizer, resolution: LearnedAddresses, holder: ReleaseTarget) -> bool {
        let Some(names) = &self.shared.names else { return true };
        let snapshot = self.snapshot.as_deref();
        names.learn(
            judge.origin(snapshot),
            resolution,
            snapshot,
            PendingRelease::new(Arc::clone(&self.mailbox), holder),
        )
    }

    pub(crate) fn forget(&mut self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) {
        if let Some(dial) = self.dials.get_mut(&endpoint) {
            dial.forget(upstream, to);
        }
    }

    pub(crate) fn forget_datagrams(&mut self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) {
        if let Some(dial) = self.dials.get_mut(&endpoint) {
            dial.forget_datagrams(upstream, to);
        }
    }

    /// Most file descriptors of the node, and of one endpoint.
    fn files(&self) -> (usize, Option<usize>) {
        let capacity = &self.options().capacity;
        (capacity.open_files.unwrap_or(usize::MAX), capacity.open_files_per_endpoint)
    }

    /// Whether there is one more file descriptor for an endpoint.
    pub(crate) fn has_file(&self, id: EndpointId) -> Result<(), ShareExhausted> {
        let (most, most_own) = self.files();
        let room = |shares: &EndpointShares| shares.files.has_room(most, most_own);
        self.shares.get(&id).map_or(Ok(()), room)
    }

    /// Takes file descriptors for an endpoint. None: it has its share, or the node has all; that is counted.
    pub(crate) fn take_files(&self, id: EndpointId, count: usize) -> Option<ShareGuard> {
        let (most, most_own) = self.files();
        match self.shares.get(&id)?.files.take(count, most, most_own) {
            Ok(taken) => return Some(taken),
            Err(ShareExhausted::Node) => self.exit.limit("open_files"),
            Err(ShareExhausted::Endpoint) => self.endpoint_limit("openFilesPerEndpoint", id),
        }
        None
    }

    /// Takes memory for bytes of an endpoint's connection that have to be held. None: it has its share, or all is taken; that is
    /// counted.
    pub(crate) fn take_buffered(&self, id: EndpointId, bytes: usize) -> Option<ShareGuard> {
        let capacity = &self.options().capacity;
        let most = capacity.buffered_bytes.saturating_mul(self.options().workers.max(1));
        match self.shares.get(&id)?.buffered.take(bytes, most, capacity.buffered_bytes_per_endpoint) {
            Ok(taken) => return Some(taken),
            Err(ShareExhausted::Node) => self.exit.limit("buffered_bytes"),
            Err(ShareExhausted::Endpoint) => self.endpoint_limit("bufferedBytesPerEndpoint", id),
        }
        None
    }

    /// An endpoint has reached a limit of its own.
    pub(crate) fn endpoint_limit(&self, limit: &'static str, id: EndpointId) {
        let endpoint = self.snapshot.as_deref().and_then(|snapshot| snapshot.endpoint(id));
        self.exit.endpoint_limit(limit, endpoint.map(|endpoint| &**endpoint));
    }

    /// Registers a socket once for both directions, edge-triggered.
    pub(crate) fn register(&self, socket: &Socket, token: SlotToken, side: Side) -> nix::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(socket, EpollEvent::new(flags, token.event(side)))
    }

    /// Takes the newest snapshot, if there is one that was not seen yet. Whatever is read after this is judged by what
    /// was published before.
    pub(crate) fn renew(&mut self) {
        let published = self.shared.published.load(Ordering::Acquire);
        if published != self.epoch {
            self.epoch = published;
            self.snapshot = self.shared.snapshot.load_full();
        }
    }
}
