//! Datagrams over a real kernel, in a network namespace of the test's own. Needs root and `ip`.

use std::{
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_codecs::dns;
use portcullis_rules::{
    labels::LabelSet,
    limits::Capacity,
    params::FlowParams,
    policy::{L7Rule, L7Rules, PolicyEntry, PortRef, PortRule, PortSpec},
    settings::{DenyScope, DenyWith},
    snapshot::Snapshot,
    world::{Service, ServicePort, Transport, World},
};

use crate::{
    DataPlane, DataPlaneOptions, NameInstaller, UpstreamRegistry,
    telemetry::{Telemetry, TelemetryOptions},
    tests::{
        ENDPOINT, PATIENCE, Rules, endpoint, policy,
        transparent::{Kernel, POD, SERVER, in_namespace},
        uninterrupted,
    },
};

/// A data plane whose listener is a service's address, and the server behind it.
pub(super) struct Site {
    plane: DataPlane,
    pub(super) vip: SocketAddr,
    pub(super) server: UdpSocket,
    pub(super) telemetry: Arc<Telemetry>,
    /// What flows are relayed with from the next snapshot on.
    params: FlowParams,
}

impl Site {
    fn new(options: DataPlaneOptions, namespace: OwnedFd) -> Self {
        Self::with(options, namespace, None, &TelemetryOptions::default())
    }

    /// With somebody who learns names, and other telemetry.
    pub(super) fn with(
        options: DataPlaneOptions,
        namespace: OwnedFd,
        names: Option<Arc<dyn NameInstaller>>,
        telemetry: &TelemetryOptions,
    ) -> Self {
        let server = patient(UdpSocket::bind((SERVER, 0)).unwrap());
        let telemetry = Arc::new(Telemetry::new(telemetry).unwrap());
        let upstreams = Arc::new(Kernel::default()) as Arc<dyn UpstreamRegistry>;
        let mut plane = DataPlane::start(options, upstreams, names, Arc::clone(&telemetry)).unwrap();
        let sockets = plane.open(ENDPOINT, namespace).unwrap();
        let vip = UdpSocket::from(sockets.udp4.into_iter().next().unwrap()).local_addr().unwrap();
        let mut site = Self { plane, vip, server, telemetry, params: FlowParams::default() };
        site.plane.publish(Arc::new(Snapshot::compile(&site.world(), 1)));
        site
    }

    fn world(&self) -> World {
        let port = ServicePort {
            name: String::new(),
            port: self.vip.port(),
            transport: Transport::Udp,
            target_port: self.server.local_addr().unwrap().port(),
        };
        let service = Service {
            namespace: Arc::from("shop"),
            name: Arc::from("server"),
            labels: LabelSet::default(),
            vips: vec![self.vip.ip()],
            ports: vec![port],
            backends: vec![SERVER.into()],
        };
        let (endpoints, services) = (vec![Arc::new(endpoint(POD))], vec![Arc::new(service)]);
        World { endpoints, services, params: Arc::new(self.params.clone()), ..World::default() }
    }

    /// Has every question judged, and allowed.
    pub(super) fn ask_by_name(&mut self) {
        let port = self.server.local_addr().unwrap().port();
        let ports = vec![PortSpec { port: PortRef::Range(port, port), transport: Some(Transport::Udp) }];
        let l7 = L7Rules { schema: &dns::SCHEMA, rules: vec![L7Rule::default()] };
        let rule = PortRule { ports, l7: Some(l7), ..PortRule::default() };
        let mut policy = policy(&Rules::DenyAll, DenyWith::Respond, DenyScope::Stream).unwrap();
        policy.rules[0].egress = Some(vec![PolicyEntry { ports: Some(vec![rule]), ..PolicyEntry::default() }]);
        let world = World { policies: vec![Arc::new(policy)], ..self.world() };
        self.plane.publish(Arc::new(Snapshot::compile(&world, 2)));
    }

    /// The next datagram at the server, and who sent it.
    pub(super) fn arrived(&self) -> (Vec<u8>, SocketAddr) {
        receive(&self.server)
    }
}

/// Asks for the address of `a.test` (RFC 1035 §4.1).
pub(super) fn question(id: u8) -> Vec<u8> {
    [&[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x01a\x04test\0", &[0, 1, 0, 1]].concat()
}

fn patient(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(super) fn client() -> UdpSocket {
    patient(UdpSocket::bind((POD, 0)).unwrap())
}

pub(super) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (bytes, from) = uninterrupted(|| socket.recv_from(&mut buffer)).unwrap();
    buffer.truncate(bytes);
    (buffer, from)
}

#[test]
fn datagrams_go_on_from_the_clients_address_and_answers_come_from_the_one_that_was_asked() {
    in_namespace(|namespace| {
        let site = Site::new(DataPlaneOptions { workers: 2, ..DataPlaneOptions::default() }, namespace);
        for number in 0..20_u8 {
            let client = client();
            client.send_to(&[number; 700], site.vip).unwrap();
            let (query, upstream) = site.arrived();
            assert_eq!((query, upstream.ip()), (vec![number; 700], POD.into()));
            assert!(DataPlaneOptions::default().upstream_ports.contains(&upstream.port()), "{upstream}");
            for size in [0, 1, 512, 4096, 60_000] {
                site.server.send_to(&vec![number; size], upstream).unwrap();
                assert_eq!(receive(&client), (vec![number; size], site.vip), "{size} bytes");
            }
        }
    });
}

#[test]
fn one_socket_that_asks_often_has_one_upstream_and_strangers_who_guess_its_port_are_not_heard() {
    in_namespace(|namespace| {
        let site = Site::new(DataPlaneOptions::default(), namespace);
        let client = client();
        client.send_to(b"one", site.vip).unwrap();
        let (_, upstream) = site.arrived();
        client.send_to(b"two", site.vip).unwrap();
        assert_eq!(site.arrived(), (b"two".to_vec(), upstream));
        let stranger = UdpSocket::bind((SERVER, 0)).unwrap();
        stranger.send_to(b"wrong", upstream).unwrap();
        site.server.send_to(b"right", upstream).unwrap();
        assert_eq!(receive(&client), (b"right".to_vec(), site.vip));
    });
}

#[test]
fn a_connected_client_hears_its_answer() {
    in_namespace(|namespace| {
        let site = Site::new(DataPlaneOptions::default(), namespace);
        let client = client();
        client.connect(site.vip).unwrap();
        client.send(b"hello").unwrap();
        let (_, upstream) = site.arrived();
        site.server.send_to(b"world", upstream).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(uninterrupted(|| client.recv(&mut buffer)).unwrap(), 5);
    });
}

#[test]
fn more_flows_than_allowed_are_counted_and_those_that_are_done_make_room() {
    in_namespace(|namespace| {
        let options =
            DataPlaneOptions { capacity: Capacity { flows: 2, ..Capacity::default() }, ..DataPlaneOptions::default() };
        let site = Site::new(options, namespace);
        let clients: Vec<_> = (0..3).map(|_| client()).collect();
        for client in &clients {
            client.send_to(b"hello", site.vip).unwrap();
        }
        site.arrived();
        site.arrived();
        let hit =
            site.telemetry.metrics.limits.get_or_create(&crate::telemetry::metrics::LimitLabels { limit: "flows" });
        let began = Instant::now();
        while hit.get() == 0 {
            assert!(began.elapsed() < PATIENCE, "the limit was never hit");
            std::thread::yield_now();
        }
    });
}

#[test]
fn an_endpoint_has_no_more_flows_than_its_own_limit_although_the_worker_has_room() {
    for (limit, flows_per_endpoint, open_files_per_endpoint) in
        [("flowsPerEndpoint", Some(2), None), ("openFilesPerEndpoint", None, Some(2))]
    {
        let options = DataPlaneOptions {
            capacity: Capacity { flows: 100, flows_per_endpoint, open_files_per_endpoint, ..Capacity::default() },
            ..DataPlaneOptions::default()
        };
        has_two_flows(limit, options);
    }
}

fn has_two_flows(limit: &'static str, options: DataPlaneOptions) {
    in_namespace(|namespace| {
        let mut site = Site::new(options, namespace);
        site.ask_by_name();
        let clients: Vec<_> = (0..3).map(|_| client()).collect();
        for client in &clients {
            client.send_to(&question(1), site.vip).unwrap();
        }
        let (mut answer, upstream) = site.arrived();
        site.arrived();
        let labels = crate::telemetry::metrics::LimitLabels { limit };
        let hit = site.telemetry.metrics.limits.get_or_create(&labels).clone();
        let began = Instant::now();
        while hit.get() == 0 {
            assert!(began.elapsed() < PATIENCE, "the limit was never hit");
            std::thread::yield_now();
        }
        // One that was answered makes room.
        answer[2] |= 0x80;
        site.server.send_to(&answer, upstream).unwrap();
        let last = client();
        last.send_to(&question(7), site.vip).unwrap();
        while site.arrived().0 != question(7) {}
    });
}

#[test]
fn an_end_waits_for_the_answers_to_what_has_come() {
    in_namespace(|namespace| {
        let mut site = Site::new(DataPlaneOptions::default(), namespace);
        site.ask_by_name();
        let client = client();
        client.send_to(&question(1), site.vip).unwrap();
        site.plane.begin_stop(Duration::ZERO);
        site.plane.finish(PATIENCE);
        let (mut answer, upstream) = site.arrived();
        assert!(!site.plane.has_stopped());
        answer[2] |= 0x80;
        site.server.send_to(&answer, upstream).unwrap();
        assert_eq!(receive(&client), (answer, site.vip));
        let began = Instant::now();
        while !site.plane.has_stopped() {
            assert!(began.elapsed() < PATIENCE, "nothing is due any more");
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_flow_that_waits_for_its_answer_does_not_keep_one_that_only_lingers_from_making_room() {
    in_namespace(|namespace| {
        // Less than a flow lingers: the one that waits comes first among the deadlines.
        let waits = Duration::from_millis(400);
        let capacity = Capacity { flows: 2, ..Capacity::default() };
        let mut site = Site::new(DataPlaneOptions { capacity, ..DataPlaneOptions::default() }, namespace);
        site.params.timeouts.answer = waits;
        site.ask_by_name();
        let (waiting, answered, late) = (client(), client(), client());
        waiting.send_to(&question(1), site.vip).unwrap();
        site.arrived();
        answered.send_to(&question(2), site.vip).unwrap();
        let (mut answer, upstream) = site.arrived();
        answer[2] |= 0x80;
        site.server.send_to(&answer, upstream).unwrap();
        assert_eq!(receive(&answered), (answer, site.vip));
        late.send_to(&question(3), site.vip).unwrap();
        assert_eq!(site.arrived().0, question(3));
    });
}

#[test]
fn a_flow_whose_queries_are_answered_makes_room_for_the_next_client_at_once() {
    in_namespace(|namespace| {
        let options =
            DataPlaneOptions { capacity: Capacity { flows: 2, ..Capacity::default() }, ..DataPlaneOptions::default() };
        let mut site = Site::new(options, namespace);
        site.ask_by_name();
        let ask = |client: &UdpSocket, id: u8| {
            client.send_to(&question(id), site.vip).unwrap();
            site.arrived()
        };
        let answer = |(mut query, upstream): (Vec<u8>, SocketAddr)| {
            query[2] |= 0x80;
            site.server.send_to(&query, upstream).unwrap();
        };
        // This one waits all the time, and keeps its place.
        let waiting = client();
        let due = ask(&waiting, 1);
        for id in 2..50 {
            let client = client();
            answer(ask(&client, id));
            receive(&client);
        }
        answer(due);
        receive(&waiting);
        let hit =
            site.telemetry.metrics.limits.get_or_create(&crate::telemetry::metrics::LimitLabels { limit: "flows" });
        assert_eq!(hit.get(), 0, "nobody had to ask again");
    });
}
