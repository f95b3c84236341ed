//! The host itself: every process in its namespace, and every port. The laboratory's node takes the host's place, and
//! the laboratory's cgroup that of the root.

use std::{
    fs,
    io::Read,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
};

use portcullis_integration::{Lab, Need, Pod, Site, require};
use portcullis_redirect::{
    Action, AttachPoint, FlowDirection, Keep, KernelAttachment, KernelPortClass, Redirect, RedirectError,
    RedirectOptions,
};

use crate::{
    bench::{self, ANSWERS, FAMILIES, REFUSED, STEERED, UDP, UNSTEERED, WORKERS, class, options, table},
    host::read,
    proxy::Proxy,
    sockets::{Echo, HANG, Server, get},
};

const NODE: u32 = 9;

struct Host {
    redirect: Redirect,
    proxy: Proxy,
    outside: Pod,
    /// Two cgroups of the host.
    programs: [Site; 2],
    addresses: [IpAddr; 2],
    lab: Lab,
}

fn able() -> bool {
    bench::able() && require(&[Need::Program("python3")])
}

/// Loaded, not attached.
fn host(table: &[KernelPortClass]) -> Host {
    let mut lab = Lab::new().unwrap();
    let outside = lab.pod("outside").unwrap();
    let programs = ["agent", "shell"].map(|name| lab.node().in_cgroup(&lab.make_cgroup(name).unwrap()));
    let addresses = ["10.77.1.1".parse().unwrap(), "fd77:1::1".parse().unwrap()];
    let mut redirect = Redirect::open(below(&lab)).unwrap();
    let proxy = Proxy::start(lab.node(), NODE, &addresses, redirect.upstreams());
    redirect.set_table(NODE, table).unwrap();
    Host { redirect, proxy, outside, programs, addresses, lab }
}

/// Never the machine's root: its own programs are none of this.
fn below(lab: &Lab) -> RedirectOptions {
    RedirectOptions { cgroup: Some(lab.cgroup().to_owned()), ..options(lab, true) }
}

impl Host {
    fn attach(&mut self, cgroup: &std::path::Path) -> Result<(), RedirectError> {
        let netns = Redirect::open_netns(&self.lab.node().netns).unwrap();
        let place = AttachPoint::Host { netns: netns.as_fd(), cgroup, ports: &[] };
        let listeners = self.proxy.listeners();
        self.redirect.attach(&KernelAttachment { id: NODE, place, addresses: &self.addresses, listeners })
    }

    fn attach_all(&mut self) {
        let all = self.lab.cgroup().to_owned();
        self.attach(&all).unwrap();
    }
}

#[test]
fn egress_of_every_process_of_the_host_is_judged_and_of_no_pod() {
    if !able() {
        return;
    }
    let mut host = host(&table());
    let pod = host.lab.pod("pod").unwrap();
    host.attach_all();
    let _servers = FAMILIES.map(|v6| {
        [STEERED, UNSTEERED, REFUSED].map(|port| Server::start(&host.outside, host.outside.address(v6, port)))
    });
    for v6 in FAMILIES {
        let there = |port| host.outside.address(v6, port);
        for program in &host.programs {
            let steered = read(program, there(STEERED)).unwrap();
            assert!(steered.starts_with("steered "), "{}: {steered}", program.cgroup.display());
            assert!(read(program, there(REFUSED)).unwrap_err().contains("refused"));
            assert!(!read(program, there(UNSTEERED)).unwrap().starts_with("steered "));
        }
        for port in [STEERED, REFUSED, UNSTEERED] {
            let direct = read(&pod, there(port)).unwrap();
            assert!(!direct.starts_with("steered "), "a pod is not the host: {direct}");
        }
    }
}

#[test]
fn ingress_is_judged_on_every_port_of_the_host_but_what_it_sends_to_itself() {
    if !able() {
        return;
    }
    let mut host = host(&table());
    host.attach_all();
    let ports = [STEERED, UNSTEERED, REFUSED];
    let _servers = host.addresses.map(|ip| ports.map(|port| Server::start(host.lab.node(), SocketAddr::new(ip, port))));
    let loopback = SocketAddr::new("127.0.0.1".parse().unwrap(), REFUSED);
    let _local = Server::start(host.lab.node(), loopback);
    for (ip, v6) in host.addresses.into_iter().zip(FAMILIES) {
        let from_outside = |port| get(&host.outside, SocketAddr::new(ip, port));
        let client = host.outside.address(v6, 0).ip();
        let steered = from_outside(STEERED);
        assert!(steered.is_steered_from(client), "{steered:?}");
        assert!(from_outside(REFUSED).is_refused());
        assert!(from_outside(UNSTEERED).is_direct_from(client), "policy says nothing of it");
        for port in ports {
            let to_itself = read(&host.programs[0], SocketAddr::new(ip, port)).unwrap();
            assert!(!to_itself.starts_with("steered "), "the host to itself: {to_itself}");
        }
    }
    assert!(read(&host.programs[0], loopback).is_ok(), "loopback is never judged");
}

#[test]
fn a_connection_that_was_open_before_is_cut_and_a_new_one_is_refused() {
    if !able() {
        return;
    }
    let mut host = host(&table());
    let address = SocketAddr::new(host.addresses[0], REFUSED);
    let listener = host.lab.node().inside(|| TcpListener::bind(address).unwrap());
    let mut client = host.outside.inside(|| TcpStream::connect_timeout(&address, HANG).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    host.attach_all();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(HANG)).unwrap();
    }
    let kept = host.lab.node().inside(|| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let told = host.redirect.connections(NODE).unwrap().unwrap().cut(Keep::default()).unwrap();
    assert_eq!((told.denied, told.unjudged), (1, 0), "not what the host has with itself: {told:?}");
    assert!(client.read(&mut [0]).is_err() && server.read(&mut [0]).is_err());
    assert!(kept.peer_addr().is_ok());
    assert!(get(&host.outside, address).is_refused());
}

#[test]
fn an_answer_to_an_unconnected_socket_comes_in_where_all_other_datagrams_are_refused() {
    if !able() {
        return;
    }
    let mut host = host(&[class(FlowDirection::Ingress, UDP, 0..=u16::MAX, Action::Refuse)]);
    host.attach_all();
    let _echo = FAMILIES.map(|v6| Echo::start(&host.outside, host.outside.address(v6, 53)));
    let unasked = host.lab.node().inside(|| std::net::UdpSocket::bind((host.addresses[0], 5353)).unwrap());
    unasked.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)\n\
                  s.settimeout(5)\ns.sendto(b'who', (sys.argv[1], 53))\nprint(s.recv(9).decode())";
    for v6 in FAMILIES {
        let server = host.outside.address(v6, 53).ip().to_string();
        let asked = host.programs[1].run(&["python3", "-c", script, &server]).unwrap();
        assert_eq!(asked.stdout, "who\n", "{}", asked.stderr);
    }
    let client = host.outside.inside(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
    client.send_to(b"hello", (host.addresses[0], 5353)).unwrap();
    assert!(unasked.recv(&mut [0; 9]).is_err(), "nobody asked for it");
}

#[test]
fn a_cgroup_that_contains_the_one_above_all_pods_is_refused_by_name() {
    if !able() {
        return;
    }
    let mut host = host(&table());
    host.redirect = {
        let pods = host.lab.make_cgroup("pods").unwrap();
        let bpffs = host.lab.bpffs().join("other");
        Redirect::open(RedirectOptions {
            bpffs,
            cgroup: Some(pods),
            pin: false,
            workers: WORKERS,
            answers: ANSWERS,
            owner: "a test".into(),
            packets: true,
            device_links: true,
        })
        .unwrap()
    };
    let all = host.lab.cgroup().to_owned();
    let error = host.attach(&all).unwrap_err();
    assert!(matches!(error, RedirectError::AboveAll { .. }), "{error}");
    assert!(error.to_string().contains("set steering.cgroup to"), "{error}");
}

#[test]
fn what_was_a_service_before_a_crash_is_the_whole_host_after_it() {
    if !able() {
        return;
    }
    let mut host = host(&table());
    let service = host.programs[0].cgroup.clone();
    host.attach(&service).unwrap();
    let programs = |lab: &Lab| {
        let pins = fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).unwrap().flatten();
        let names = pins.map(|pin| pin.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("endpoint-9-")).count()
    };
    assert_eq!(programs(&host.lab), 8, "its own programs for egress, and the lookup");
    // Dropped without an end, as a crash does.
    let whole = RedirectOptions { cgroup: Some(service.clone()), ..options(&host.lab, true) };
    host.redirect = Redirect::succeed(whole, host.redirect.claim()).unwrap();
    host.redirect.set_table(NODE, &table()).unwrap();
    host.attach(&service).unwrap();
    assert_eq!(programs(&host.lab), 1, "only the lookup");
    let _server = Server::start(&host.outside, host.outside.address(false, REFUSED));
    assert!(read(&host.programs[0], host.outside.address(false, REFUSED)).unwrap_err().contains("refused"));
    host.redirect = Redirect::succeed(below(&host.lab), host.redirect.claim()).unwrap();
    host.redirect.set_table(NODE, &table()).unwrap();
    host.attach(&service).unwrap();
    assert_eq!(programs(&host.lab), 8, "and a service again");
    assert!(read(&host.programs[0], host.outside.address(false, REFUSED)).unwrap_err().contains("refused"));
    assert!(matches!(read(&host.programs[1], host.outside.address(false, REFUSED)), Ok(text) if !text.is_empty()));
}
