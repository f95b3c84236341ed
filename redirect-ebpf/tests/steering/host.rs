//! Processes of the host, by cgroup. The laboratory's node takes the host's place.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};

use portcullis_integration::{Lab, Pod, Site};
use portcullis_redirect::{AttachPoint, KernelAttachment, Redirect, RedirectError};

use crate::{
    bench::{FAMILIES, REFUSED, STEERED, TCP, UNSTEERED, able, options, table},
    proxy::Proxy,
    sockets::{Outcome, Server, get},
};

const SERVICE: u32 = 7;

struct Host {
    redirect: Redirect,
    proxy: Proxy,
    outside: Pod,
    service: Site,
    other: Site,
    addresses: [IpAddr; 2],
    lab: Lab,
}

/// A node with a service in a cgroup that owns port 80 (steered) and 82 (refused).
fn host() -> Host {
    let mut lab = Lab::new().unwrap();
    let outside = lab.pod("outside").unwrap();
    let [service, other] = ["service", "other"].map(|name| lab.node().in_cgroup(&lab.make_cgroup(name).unwrap()));
    let addresses = ["10.77.1.1".parse().unwrap(), "fd77:1::1".parse().unwrap()];
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(lab.node(), SERVICE, &addresses, redirect.upstreams());
    redirect.set_table(SERVICE, &table()).unwrap();
    attach(&mut redirect, SERVICE, &service, &proxy, &addresses).unwrap();
    Host { redirect, proxy, outside, service, other, addresses, lab }
}

fn attach(
    redirect: &mut Redirect,
    id: u32,
    site: &Site,
    proxy: &Proxy,
    addresses: &[IpAddr],
) -> Result<(), RedirectError> {
    let netns = Redirect::open_netns(&site.netns).unwrap();
    let ports = [(TCP, STEERED), (TCP, REFUSED)];
    let place = AttachPoint::Host { netns: netns.as_fd(), cgroup: &site.cgroup, ports: &ports };
    redirect.attach(&KernelAttachment { id, place, addresses, listeners: proxy.listeners() })
}

/// What a process in that cgroup reads from an address.
pub(crate) fn read(site: &Site, to: SocketAddr) -> Result<String, String> {
    let script = format!("exec 3<>/dev/tcp/{}/{} && cat <&3", to.ip(), to.port());
    let finished = site.run(&["bash", "-c", &script]).unwrap();
    if finished.code == Some(0) { Ok(finished.stdout) } else { Err(finished.stderr) }
}

#[test]
fn egress_of_the_services_processes_is_steered_and_nobody_elses() {
    if !able() {
        return;
    }
    let host = host();
    let _servers = FAMILIES.map(|v6| {
        [STEERED, UNSTEERED, REFUSED].map(|port| Server::start(&host.outside, host.outside.address(v6, port)))
    });
    for v6 in FAMILIES {
        let there = |port| host.outside.address(v6, port);
        let steered = read(&host.service, there(STEERED)).unwrap();
        assert!(steered.starts_with("steered "), "{steered}");
        assert!(read(&host.service, there(REFUSED)).unwrap_err().contains("refused"));
        let direct = read(&host.service, there(UNSTEERED)).unwrap();
        assert!(!direct.starts_with("steered "), "{direct}");
        for port in [STEERED, REFUSED] {
            let direct = read(&host.other, there(port)).unwrap();
            assert!(!direct.starts_with("steered "), "another process of the host: {direct}");
        }
    }
}

#[test]
fn ingress_goes_by_the_ports_that_are_the_services() {
    if !able() {
        return;
    }
    let host = host();
    let _servers = host
        .addresses
        .map(|ip| [STEERED, UNSTEERED, REFUSED].map(|port| Server::start(host.lab.node(), SocketAddr::new(ip, port))));
    for (ip, v6) in host.addresses.into_iter().zip(FAMILIES) {
        let from_outside = |port| get(&host.outside, SocketAddr::new(ip, port));
        let client = host.outside.address(v6, 0).ip();
        let steered = from_outside(STEERED);
        assert!(steered.is_steered_from(client), "{steered:?}");
        assert!(from_outside(REFUSED).is_refused());
        assert!(from_outside(UNSTEERED).is_direct_from(client), "a port of somebody else on the host");
        assert!(matches!(get(host.lab.node(), SocketAddr::new(ip, STEERED)), Outcome::Direct(_)), "the host to itself");
    }
}

#[test]
fn other_addresses_of_the_host_are_not_in_the_way() {
    if !able() {
        return;
    }
    let mut host = host();
    let second = host.lab.pod("second").unwrap();
    host.lab.node().ip("address add 10.99.0.1/32 dev lo\naddress add fd99::1/128 dev lo nodad\n").unwrap();
    let unnamed = ["10.77.2.1", "fd77:2::1", "10.99.0.1", "fd99::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    for ip in unnamed {
        let at = |port| SocketAddr::new(ip, port);
        let _servers = [STEERED, UNSTEERED].map(|port| Server::start(host.lab.node(), at(port)));
        for from in [&*second, host.lab.node()] {
            let outcome = get(from, at(UNSTEERED));
            assert!(matches!(outcome, Outcome::Direct(_)), "{ip} from {}: {outcome:?}", from.name);
        }
        assert!(get(&second, at(STEERED)).is_refused(), "the service's port, at an address it does not name");
    }
}

#[test]
fn a_process_of_the_service_in_another_namespace_is_refused_where_policy_wants_it_steered() {
    if !able() {
        return;
    }
    let mut host = host();
    let server = host.lab.pod("server").unwrap();
    let _servers =
        FAMILIES.map(|v6| [STEERED, UNSTEERED, REFUSED].map(|port| Server::start(&server, server.address(v6, port))));
    // A container of the service: its cgroup, but a namespace where no rule of ours leads to the listener.
    let inside = host.outside.in_cgroup(&host.service.cgroup);
    for v6 in FAMILIES {
        for port in [STEERED, REFUSED] {
            assert!(read(&inside, server.address(v6, port)).unwrap_err().contains("refused"), "{port}");
        }
        assert!(!read(&inside, server.address(v6, UNSTEERED)).unwrap().starts_with("steered "));
    }
}

#[test]
fn a_second_cgroup_of_one_namespace_is_refused_by_name() {
    if !able() {
        return;
    }
    let mut host = host();
    let error = attach(&mut host.redirect, 8, &host.other, &host.proxy, &host.addresses).unwrap_err();
    assert!(matches!(error, RedirectError::SecondHost { other: SERVICE }), "{error}");
}

#[test]
fn a_detached_service_is_let_alone() {
    if !able() {
        return;
    }
    let mut host = host();
    let _server = Server::start(&host.outside, host.outside.address(false, STEERED));
    host.redirect.detach(SERVICE).unwrap();
    let direct = read(&host.service, host.outside.address(false, STEERED)).unwrap();
    assert!(!direct.starts_with("steered "), "{direct}");
    attach(&mut host.redirect, 8, &host.other, &host.proxy, &host.addresses).unwrap();
}
