//! Transparent listeners and real upstream connections, in a network namespace of the test's own. Needs root and `ip`.

use std::{
    env,
    fs::File,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};
use portcullis_rules::{
    labels::LabelSet,
    snapshot::Snapshot,
    world::{Direction, EndpointId, Service, ServicePort, Transport, World},
};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    DataPlane, DataPlaneOptions, UpstreamRegistry,
    dial::{Dialer, UpstreamConnector, UpstreamPorts, UpstreamTarget},
    namespace, sockets,
    telemetry::{Telemetry, TelemetryOptions, TelemetrySink},
    tests::{ENDPOINT, assert_reset, endpoint, expect, patient},
};

pub(super) const POD: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 1);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 2);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 67);

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Adopted,
    Announced(EndpointId, SocketAddr, SocketAddr),
    AnnouncedByAny(EndpointId, SocketAddr, SocketAddr),
    Forgotten(EndpointId, SocketAddr, SocketAddr),
}

#[derive(Default)]
pub(super) struct Kernel(Mutex<Vec<Told>>);

impl UpstreamRegistry for Kernel {
    fn adopt(&self, _socket: BorrowedFd<'_>) -> io::Result<()> {
        self.0.lock().unwrap().push(Told::Adopted);
        Ok(())
    }

    fn announce(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.lock().unwrap().push(Told::Announced(endpoint, upstream, to));
        Ok(())
    }

    fn announce_by_any_device(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.lock().unwrap().push(Told::AnnouncedByAny(endpoint, upstream, to));
        Ok(())
    }

    fn forget(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.0.lock().unwrap().push(Told::Forgotten(endpoint, upstream, to));
        Ok(())
    }

    fn forget_datagrams(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.forget(endpoint, upstream, to)
    }
}

/// Runs a test on a thread inside a fresh namespace, which goes when the thread and its sockets do.
pub(super) fn in_namespace(test: impl FnOnce(OwnedFd) + Send) {
    let missing = if !geteuid().is_root() {
        Some("root")
    } else if Command::new("ip").arg("-V").output().is_err() {
        Some("ip (iproute2)")
    } else {
        None
    };
    if let Some(missing) = missing {
        assert!(env::var_os("PORTCULLIS_REQUIRE_ALL").is_none(), "this test needs {missing}");
        eprintln!("SKIPPED: this test needs {missing}; PORTCULLIS_REQUIRE_ALL=1 makes that a failure");
        return;
    }
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            ip(&format!("address add {POD}/32 dev lo"));
            ip(&format!("address add {SERVER}/32 dev lo"));
            // What sk_lookup does for every address, a route does for this one.
            ip(&format!("route add local {VIP} dev lo"));
            test(namespace::current().unwrap().into());
        });
        inside.join().unwrap();
    });
}

/// The child is in the namespace of the thread that starts it.
pub(super) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn plane(
    options: DataPlaneOptions,
    namespace: OwnedFd,
    server: SocketAddr,
) -> (DataPlane, SocketAddr, Arc<Kernel>, Arc<Telemetry>) {
    let kernel = Arc::new(Kernel::default());
    let telemetry = Arc::new(Telemetry::new(&TelemetryOptions::default()).unwrap());
    let mut plane =
        DataPlane::start(options, Arc::clone(&kernel) as Arc<dyn UpstreamRegistry>, None, Arc::clone(&telemetry))
            .unwrap();
    let sockets = plane.open(ENDPOINT, namespace).unwrap();
    let listener = TcpListener::from(sockets.tcp4.into_iter().next().unwrap());
    let vip = listener.local_addr().unwrap();
    let port =
        ServicePort { name: String::new(), port: vip.port(), transport: Transport::Tcp, target_port: server.port() };
    let service = Service {
        namespace: Arc::from("shop"),
        name: Arc::from("server"),
        labels: LabelSet::default(),
        vips: vec![vip.ip()],
        ports: vec![port],
        backends: vec![server.ip()],
    };
    let world =
        World { endpoints: vec![Arc::new(endpoint(POD))], services: vec![Arc::new(service)], ..World::default() };
    plane.publish(Arc::new(Snapshot::compile(&world, 1)));
    (plane, vip, kernel, telemetry)
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((POD, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    patient(socket.into())
}

#[test]
fn what_leaves_an_endpoint_is_met_inside_its_namespace_and_goes_on_from_its_own_address() {
    in_namespace(|namespace| {
        let server = TcpListener::bind((SERVER, 0)).unwrap();
        let options = DataPlaneOptions { workers: 2, ..DataPlaneOptions::default() };
        let ports = options.upstream_ports.clone();
        let (_plane, vip, kernel, _) = plane(options, namespace, server.local_addr().unwrap());
        assert_eq!(vip.ip(), IpAddr::V4(VIP));
        for _ in 0..20 {
            let mut client = connect(vip);
            let (server, upstream) = server.accept().unwrap();
            assert_eq!(upstream.ip(), IpAddr::V4(POD));
            assert!(ports.contains(&upstream.port()), "{upstream}");
            client.write_all(b"hello").unwrap();
            expect(&mut patient(server), "hello");
        }
        let told = kernel.0.lock().unwrap();
        let adopted = told.iter().filter(|told| **told == Told::Adopted).count();
        let forgotten = told.iter().filter(|told| matches!(told, Told::Forgotten(..))).count();
        assert_eq!((adopted, forgotten, told.len()), (20, 20, 40), "{told:?}");
    });
}

#[test]
fn nobody_joins_a_listener_not_even_its_owner() {
    in_namespace(|namespace| {
        let kernel = Arc::new(Kernel::default()) as Arc<dyn UpstreamRegistry>;
        let telemetry = Arc::new(Telemetry::new(&TelemetryOptions::default()).unwrap());
        let options = DataPlaneOptions { workers: 2, ..DataPlaneOptions::default() };
        let mut plane = DataPlane::start(options, kernel, None, telemetry).unwrap();
        let opened = plane.open(ENDPOINT, namespace).unwrap();
        for (kind, listeners) in [(Type::STREAM, opened.tcp4), (Type::DGRAM, opened.udp4)] {
            assert_eq!(listeners.len(), 2);
            for listener in listeners {
                let at = SockRef::from(&listener).local_addr().unwrap();
                let joiner = Socket::new(Domain::IPV4, kind, None).unwrap();
                joiner.set_reuse_address(true).unwrap();
                joiner.set_reuse_port(true).unwrap();
                joiner.set_freebind_v4(true).unwrap();
                let bound = joiner.bind(&at);
                assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse, "{kind:?}");
            }
        }
    });
}

#[test]
fn when_all_ports_of_upstreams_are_taken_the_client_is_reset_and_the_limit_counted() {
    in_namespace(|namespace| {
        let server = TcpListener::bind((SERVER, 0)).unwrap();
        let options = DataPlaneOptions { upstream_ports: 10_000..=10_001, ..DataPlaneOptions::default() };
        let (_plane, vip, _, telemetry) = plane(options, namespace, server.local_addr().unwrap());
        let taken: Vec<_> = (0..2).map(|_| (connect(vip), server.accept().unwrap())).collect();
        assert_reset(&mut connect(vip));
        let hit =
            telemetry.metrics.limits.get_or_create(&crate::telemetry::metrics::LimitLabels { limit: "upstream_ports" });
        assert_eq!(hit.get(), 1);
        assert!(telemetry.metrics.upstream_retries.get() >= 2);
        drop(taken);
    });
}

#[test]
fn a_upstream_into_an_endpoint_has_the_clients_address_and_is_announced_before_it_connects() {
    in_namespace(|namespace| {
        let mark = DataPlaneOptions::default().mark;
        ip(&format!("rule add fwmark {mark:#x} lookup 100"));
        ip("route add local default dev lo table 100");
        std::fs::write("/proc/sys/net/ipv4/tcp_fwmark_accept", "1").unwrap();
        let server = TcpListener::bind((SERVER, 0)).unwrap();
        let destination = server.local_addr().unwrap();
        let kernel = Arc::new(Kernel::default());
        let mut dialer = Dialer {
            endpoint: ENDPOINT,
            namespace: Arc::new(namespace),
            home: Arc::new(namespace::current().unwrap()),
            upstreams: Arc::clone(&kernel) as Arc<dyn UpstreamRegistry>,
            ports: UpstreamPorts::new(&(10_000..=10_009), 0, 1).unwrap(),
            mark,
            mark_out: DataPlaneOptions::default().mark_out,
        };
        let telemetry = Arc::new(Telemetry::new(&TelemetryOptions::default()).unwrap());
        let client = SocketAddr::from((FOREIGN, 40_000));
        let way = UpstreamTarget { direction: Direction::Ingress, client, destination, any_device: false };
        let upstream = dialer.dial(&way, &TelemetrySink::new(&telemetry)).unwrap();
        let (server, from) = server.accept().unwrap();
        assert_eq!(from.ip(), IpAddr::V4(FOREIGN));
        assert!((10_000..=10_009).contains(&from.port()));
        assert_eq!(upstream.own, from);
        dialer.forget(from, destination);
        let expected =
            [Told::Adopted, Told::Announced(ENDPOINT, from, destination), Told::Forgotten(ENDPOINT, from, destination)];
        assert_eq!(*kernel.0.lock().unwrap(), expected);
        let mut upstream = TcpStream::from(upstream.socket);
        upstream.set_nonblocking(false).unwrap();
        upstream.write_all(b"hello").unwrap();
        expect(&mut patient(server), "hello");
    });
}

#[test]
fn a_hop_into_a_namespace_comes_home_also_from_a_failure() {
    in_namespace(|namespace| {
        let there = inode(&File::from(namespace.try_clone().unwrap()));
        let other = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let home = namespace::current().unwrap();
            (home, namespace)
        });
        let (elsewhere, namespace) = other.join().unwrap();
        let home = File::from(namespace);
        let seen = namespace::hop(elsewhere.as_fd(), home.as_fd(), namespace::current).unwrap();
        assert_eq!(inode(&seen), inode(&elsewhere));
        assert_eq!(inode(&namespace::current().unwrap()), there);
        let failed = namespace::hop(elsewhere.as_fd(), home.as_fd(), || Err::<(), _>(io::ErrorKind::Other.into()));
        assert!(failed.is_err());
        assert_eq!(inode(&namespace::current().unwrap()), there);
        // Something that is no namespace changes nothing.
        let file = File::open("/dev/null").unwrap();
        assert!(namespace::hop(file.as_fd(), home.as_fd(), || sockets::upstream(false)).is_err());
        assert_eq!(inode(&namespace::current().unwrap()), there);
    });
}

fn inode(file: &File) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap())
}
