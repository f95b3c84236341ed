//! The data plane on loopback, with real rules, real codecs and real TCP. Only both ends are simplified: clients
//! connect to an ordinary listener, and upstream connections go to the test's own server. No privileges are needed.

mod buffered;
mod closing;
mod datagrams;
mod descriptors;
mod headers;
mod http2;
mod policy;
pub(crate) mod records;
mod relay;
mod replies;
mod telemetry;
mod timeouts;
mod toy;
#[path = "../../codecs/tests/toy/mod.rs"]
pub(crate) mod toy_protocol;
mod transparent;

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use portcullis_codecs::http1;
use portcullis_rules::{
    labels::{LabelSet, Selector},
    params::FlowParams,
    policy::{
        HeaderAction, HeaderValueSource, L7Rule, L7Rules, Matcher, Mismatch, Policy, PolicyEntry, PortRef, PortRule,
        PortSpec, Position, Predicate, Rule,
    },
    settings::{DenyScope, DenyWith},
    snapshot::Snapshot,
    world::{Endpoint, EndpointId, Secret, Service, World},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use socket2::{Domain, Socket, Type};

use crate::{
    DataPlane, DataPlaneOptions, UpstreamRegistry,
    dial::{ConnectingUpstream, UpstreamConnector, UpstreamTarget},
    event::mailbox::WorkerListener,
    sockets,
    telemetry::{Telemetry, TelemetryOptions, TelemetrySink},
};

pub(super) const ENDPOINT: EndpointId = EndpointId(7);
/// Address of the endpoint: clients that connect to it come in.
const OWN: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Address of clients from elsewhere.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the policy of the endpoint says of its ingress.
pub(super) enum Rules<'a> {
    /// There is none.
    NotEnforced,
    /// Nobody may come in.
    DenyAll,
    /// These paths of HTTP may be asked for.
    Paths(&'a [&'a str]),
    /// Every parcel is allowed.
    Parcels,
    /// Every request is allowed, and this is done with its headers.
    Headers(&'a [(&'a str, HeaderValueSource, Mismatch)]),
}

struct NoKernel;

impl UpstreamRegistry for NoKernel {
    fn adopt(&self, _socket: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn announce(&self, _endpoint: EndpointId, _upstream: SocketAddr, _to: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    fn announce_by_any_device(&self, _endpoint: EndpointId, _upstream: SocketAddr, _to: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, _endpoint: EndpointId, _upstream: SocketAddr, _to: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    fn forget_datagrams(&self, _: EndpointId, _: SocketAddr, _: SocketAddr) -> io::Result<()> {
        Ok(())
    }
}

/// Upstream connections that go to the test's server, and a log of where they should have gone.
struct Detour {
    to: Arc<Mutex<SocketAddr>>,
    ways: Arc<Mutex<Vec<UpstreamTarget>>>,
}

impl UpstreamConnector for Detour {
    fn dial(&mut self, way: &UpstreamTarget, _exit: &TelemetrySink) -> io::Result<ConnectingUpstream> {
        self.ways.lock().unwrap().push(*way);
        let to = *self.to.lock().unwrap();
        assert_ne!(to.port(), 0, "a fault, where a test asks for one");
        let socket = sockets::upstream(to.is_ipv6())?;
        sockets::connect(&socket, to)?;
        let own = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok(ConnectingUpstream { socket, own })
    }

    fn forget(&mut self, _upstream: SocketAddr, _to: SocketAddr) {}

    fn datagrams(&mut self, _way: &UpstreamTarget) -> io::Result<ConnectingUpstream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn forget_datagrams(&mut self, _upstream: SocketAddr, _to: SocketAddr) {}

    fn answers(&mut self, _v6: bool) -> io::Result<Socket> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A data plane between clients and one server.
pub(super) struct Rig {
    pub(super) plane: DataPlane,
    pub(super) telemetry: Arc<Telemetry>,
    /// Where clients connect.
    pub(super) address: SocketAddr,
    pub(super) server: TcpListener,
    to: Arc<Mutex<SocketAddr>>,
    pub(super) ways: Arc<Mutex<Vec<UpstreamTarget>>>,
    pub(super) deny_with: DenyWith,
    pub(super) deny_scope: DenyScope,
    pub(super) services: Vec<Arc<Service>>,
    /// What flows are relayed with from the next snapshot on.
    pub(super) params: FlowParams,
    /// Address of the endpoint. Who connects to another goes out.
    pub(super) own: Ipv4Addr,
    generation: u64,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(DataPlaneOptions::default(), &TelemetryOptions::default())
    }

    pub(super) fn with(options: DataPlaneOptions, telemetry: &TelemetryOptions) -> Self {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = Arc::new(Mutex::new(server.local_addr().unwrap()));
        let ways = Arc::<Mutex<Vec<UpstreamTarget>>>::default();
        let telemetry = Arc::new(Telemetry::new(telemetry).unwrap());
        let workers = options.workers;
        let mut plane = DataPlane::start(options, Arc::new(NoKernel), None, Arc::clone(&telemetry)).unwrap();
        let address = open(&mut plane, ENDPOINT, workers, &to, &ways);
        Self {
            plane,
            telemetry,
            address,
            server,
            to,
            ways,
            deny_with: DenyWith::Reset,
            deny_scope: DenyScope::Stream,
            services: Vec::new(),
            params: FlowParams::default(),
            own: OWN,
            generation: 0,
        }
    }

    /// One more endpoint, which has a listener of its own: where clients connect to it.
    pub(super) fn open(&mut self, id: EndpointId) -> SocketAddr {
        let workers = self.plane.shared().options.workers;
        open(&mut self.plane, id, workers, &self.to, &self.ways)
    }

    /// With a policy in force.
    pub(super) fn under(rules: &Rules<'_>) -> Self {
        let mut rig = Self::new();
        rig.publish(rules);
        rig
    }

    pub(super) fn publish(&mut self, rules: &Rules<'_>) {
        let snapshot = self.snapshot(rules);
        self.plane.publish(snapshot);
    }

    pub(super) fn snapshot(&mut self, rules: &Rules<'_>) -> Arc<Snapshot> {
        self.generation += 1;
        let world = World {
            endpoints: vec![Arc::new(endpoint(self.own))],
            services: self.services.clone(),
            params: Arc::new(self.params.clone()),
            policies: policy(rules, self.deny_with, self.deny_scope).into_iter().map(Arc::new).collect(),
            secrets: vec![Secret { name: "shop/token".to_owned(), value: "hush".to_owned() }],
            ..World::default()
        };
        Arc::new(Snapshot::compile(&world, self.generation))
    }

    /// A client that has connected; the kernel takes it in, whatever the workers do.
    pub(super) fn client(&self) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((CLIENT, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        patient(socket.into())
    }

    /// The server's side of the next upstream connection.
    pub(super) fn accept(&self) -> TcpStream {
        patient(self.server.accept().unwrap().0)
    }

    /// Upstream connections go there from now on.
    pub(super) fn detour(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
    }

    pub(super) fn dials(&self) -> usize {
        self.ways.lock().unwrap().len()
    }

    /// Bytes that the connection pair takes that was advanced last.
    pub(super) fn footprint(&self) -> usize {
        self.plane.shared().footprint[0].load(Ordering::Relaxed)
    }

    /// Most bytes that a connection pair ever took.
    pub(super) fn peak(&self) -> usize {
        self.plane.shared().footprint[1].load(Ordering::Relaxed)
    }

    /// Waits until so many connections are open.
    pub(super) fn await_active(&self, count: usize) {
        let connections = &self.plane.shared().connections;
        let began = std::time::Instant::now();
        while connections.load(Ordering::Relaxed) != count {
            assert!(began.elapsed() < PATIENCE, "there never were {count} connections");
            std::thread::yield_now();
        }
    }

    pub(super) fn metrics(&self) -> String {
        let mut registry = Registry::default();
        self.telemetry.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    /// Waits until a line is among the metrics.
    pub(super) fn await_metric(&self, line: &str) {
        let began = std::time::Instant::now();
        while !self.metrics().lines().any(|other| other == line) {
            assert!(began.elapsed() < PATIENCE, "{line} never was in\n{}", self.metrics());
            std::thread::yield_now();
        }
    }
}

fn open(
    plane: &mut DataPlane,
    id: EndpointId,
    workers: usize,
    to: &Arc<Mutex<SocketAddr>>,
    ways: &Arc<Mutex<Vec<UpstreamTarget>>>,
) -> SocketAddr {
    let listeners = group(workers);
    let address = sockets::original_destination(&listeners[0]).unwrap();
    let listener = |listener| {
        let dial = Box::new(Detour { to: Arc::clone(to), ways: Arc::clone(ways) }) as Box<dyn UpstreamConnector>;
        WorkerListener { listeners: vec![listener], datagrams: Vec::new(), dial }
    };
    plane.hand_out(id, listeners.into_iter().map(listener).collect());
    address
}

fn group(workers: usize) -> Vec<Socket> {
    let mut port = 0;
    (0..workers)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
            socket.listen(1024).unwrap();
            port = sockets::original_destination(&socket).unwrap().port();
            socket
        })
        .collect()
}

fn endpoint(own: Ipv4Addr) -> Endpoint {
    Endpoint {
        local: Some(ENDPOINT),
        name: Arc::from("server-0"),
        namespace: Arc::from("shop"),
        labels: LabelSet::of_pod("shop", "", [("app".to_owned(), "server".to_owned())]),
        addresses: vec![IpAddr::V4(own)],
        ports: Vec::new(),
    }
}

fn policy(rules: &Rules<'_>, deny_with: DenyWith, deny_scope: DenyScope) -> Option<Policy> {
    let entries = match rules {
        Rules::NotEnforced => return None,
        Rules::DenyAll => vec![PolicyEntry::default()],
        Rules::Paths(paths) => {
            vec![PolicyEntry { ports: Some(vec![http(paths.iter().map(path))]), ..PolicyEntry::default() }]
        }
        Rules::Parcels => {
            let l7 = L7Rules { schema: &buffered::SCHEMA, rules: vec![L7Rule::default()] };
            vec![PolicyEntry { ports: Some(vec![PortRule { l7: Some(l7), ..http([]) }]), ..PolicyEntry::default() }]
        }
        Rules::Headers(actions) => {
            vec![PolicyEntry { ports: Some(vec![http([acting(actions)])]), ..PolicyEntry::default() }]
        }
    };
    let rule = Rule {
        path: Arc::from("spec"),
        subject: Selector::default(),
        node: false,
        ingress: Some(entries.clone()),
        egress: Some(entries),
        ingress_deny: None,
        egress_deny: None,
        default_deny_ingress: None,
        default_deny_egress: None,
        position: Position::default(),
    };
    Some(Policy {
        kind: portcullis_rules::policy::PolicyKind::Cilium,
        namespace: Some(Arc::from("shop")),
        name: Arc::from("paths"),
        rules: vec![rule],
        deny_with: Some(deny_with),
        deny_names_with: None,
        deny_scope: Some(deny_scope),
        open_connections: None,
        origin: Arc::from("test"),
    })
}

fn path(path: &&str) -> L7Rule {
    let field = http1::SCHEMA.field("path").unwrap();
    L7Rule {
        predicates: vec![Predicate { field, key: String::new(), matcher: Matcher::Regex((*path).to_owned()) }],
        ..L7Rule::default()
    }
}

fn acting(actions: &[(&str, HeaderValueSource, Mismatch)]) -> L7Rule {
    let field = http1::SCHEMA.field("headers").unwrap();
    let action = |(name, wanted, mismatch): &(&str, HeaderValueSource, Mismatch)| HeaderAction {
        field,
        name: (*name).to_owned(),
        wanted: wanted.clone(),
        mismatch: *mismatch,
    };
    L7Rule { actions: actions.iter().map(action).collect(), ..L7Rule::default() }
}

fn http(rules: impl IntoIterator<Item = L7Rule>) -> PortRule {
    PortRule {
        ports: vec![PortSpec { port: PortRef::Range(0, 0), transport: None }],
        l7: Some(L7Rules { schema: &http1::SCHEMA, rules: rules.into_iter().collect() }),
        ..PortRule::default()
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n")
}

/// An answer with a body.
pub(super) fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(super) fn expect(stream: &mut TcpStream, bytes: &str) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8_lossy(&read), bytes);
}

/// Everything up to the end of the stream.
pub(super) fn rest(stream: &mut TcpStream) -> String {
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    read
}

/// One request and its answer.
pub(super) fn exchange(client: &mut TcpStream, server: &mut TcpStream, path: &str) {
    client.write_all(get(path).as_bytes()).unwrap();
    expect(server, &get(path));
    server.write_all(answer(path).as_bytes()).unwrap();
    expect(client, &answer(path));
}

/// Asks again when it was interrupted: a wait with a limit may be, and the kernel does not take it up again (signal(7)).
pub(super) fn uninterrupted<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// What one read brings.
pub(super) fn read_once(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    uninterrupted(|| stream.read(buffer))
}

pub(super) fn assert_reset(stream: &mut TcpStream) {
    let error = read_once(stream, &mut [0; 1]).expect_err("a reset is expected");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

pub(super) fn assert_ended(stream: &mut TcpStream) {
    assert_eq!(read_once(stream, &mut [0; 1]).unwrap(), 0, "the end of the stream is expected");
}
