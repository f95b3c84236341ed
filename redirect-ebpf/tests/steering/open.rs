//! TCP connections that are open when a policy arrives.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    thread,
    time::Instant,
};

use portcullis_integration::{Lab, Pod, Site, wait::uninterrupted};
use portcullis_redirect::{
    Action, AttachPoint, CutConnections, FlowDirection, Keep, KernelAttachment, KernelPortClass, Redirect,
};
use socket2::{Domain, Socket, Type};

use crate::{
    bench::{APP, Bench, FAMILIES, REFUSED, STEERED, TCP, UNSTEERED, able, attach, class, options, table},
    proxy::Proxy,
    sockets::{HANG, mapped},
};

/// Both ends of a connection.
struct Open {
    what: String,
    client: TcpStream,
    server: TcpStream,
}

/// What an end reads.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Heard,
    Failed(ErrorKind),
}

impl Open {
    fn new(from: &Site, to: SocketAddr, listener: &TcpListener) -> Self {
        Self::with(from, Domain::for_address(to), to, listener)
    }

    fn with(from: &Site, domain: Domain, to: SocketAddr, listener: &TcpListener) -> Self {
        let socket = from.inside(|| {
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            socket.connect_timeout(&to.into(), HANG).unwrap();
            socket
        });
        let (client, server) = (TcpStream::from(socket), uninterrupted(|| listener.accept()).unwrap().0);
        let open = Self { what: format!("{} to {to}", from.name), client, server };
        open.set_patience();
        open
    }

    fn set_patience(&self) {
        for end in [&self.client, &self.server] {
            end.set_read_timeout(Some(HANG)).unwrap();
        }
    }

    /// Whether something said at one end is heard at the other, both ways.
    fn ends(&mut self) -> [End; 2] {
        let _ = (self.client.write_all(b"x"), self.server.write_all(b"y"));
        [&mut self.server, &mut self.client].map(|end| match uninterrupted(|| end.read(&mut [0])) {
            Ok(1) => End::Heard,
            Ok(_) => End::Failed(ErrorKind::UnexpectedEof),
            Err(error) => End::Failed(error.kind()),
        })
    }

    fn goes_on(&mut self) {
        assert_eq!(self.ends(), [End::Heard, End::Heard], "{}", self.what);
    }

    /// Neither end hears anything any more, and both know at once.
    fn is_cut(&mut self) {
        let began = Instant::now();
        let errors = [&mut self.server, &mut self.client].map(|end| uninterrupted(|| end.read(&mut [0])).unwrap_err());
        let mut kinds = errors.map(|error| error.kind());
        kinds.sort_by_key(|kind| *kind == ErrorKind::ConnectionReset);
        assert_eq!(kinds, [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset], "{}", self.what);
        assert!(began.elapsed() < HANG / 2, "{}: the ends were told late", self.what);
    }
}

fn listen(site: &Site, address: SocketAddr) -> TcpListener {
    site.inside(|| TcpListener::bind(address).unwrap())
}

/// A loader and a proxy, and an endpoint that is not attached yet.
struct Late {
    redirect: Redirect,
    proxy: Proxy,
    app: Pod,
    outside: Pod,
    _lab: Lab,
}

impl Late {
    fn new() -> Self {
        let mut lab = Lab::new().unwrap();
        let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
        let redirect = Redirect::open(options(&lab, true)).unwrap();
        let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
        Self { redirect, proxy, app, outside, _lab: lab }
    }

    /// Connections in both directions, of both families and an IPv4-mapped one, to a port.
    fn connections(&self, port: u16) -> Vec<Open> {
        let mut all = Vec::new();
        for v6 in FAMILIES {
            for (from, to) in [(&self.app, &self.outside), (&self.outside, &self.app)] {
                let to = to.address(v6, port);
                let listener = listen(if from.name == self.app.name { &self.outside } else { &self.app }, to);
                all.push(Open::new(from, to, &listener));
                if !v6 {
                    all.push(Open::with(from, Domain::IPV6, mapped(to), &listener));
                }
            }
        }
        all
    }

    fn attach(&mut self, table: &[KernelPortClass]) {
        self.redirect.set_table(APP, table).unwrap();
        attach(&mut self.redirect, &self.app, &self.proxy, &self.app.addresses());
    }

    fn cut(&self, keep: Keep) -> CutConnections {
        cut(&self.redirect, keep)
    }
}

fn cut(redirect: &Redirect, keep: Keep) -> CutConnections {
    redirect.connections(APP).unwrap().unwrap().cut(keep).unwrap()
}

#[test]
fn connections_older_than_the_endpoint_are_cut_where_they_are_denied_or_unjudged_and_no_others() {
    if !able() {
        return;
    }
    let mut late = Late::new();
    let [mut steered, mut unsteered, mut refused] = [STEERED, UNSTEERED, REFUSED].map(|port| late.connections(port));
    late.attach(&table());
    assert_eq!(late.redirect.take_changed().into_iter().collect::<Vec<_>>(), [APP]);
    let told = late.cut(Keep::default());
    assert_eq!((told.denied, told.unjudged), (6, 6), "{told:?}");
    assert!(told.unlisted.is_none(), "{told:?}");
    steered.iter_mut().chain(&mut refused).for_each(Open::is_cut);
    unsteered.iter_mut().for_each(Open::goes_on);
    let again = late.cut(Keep::default());
    assert_eq!((again.denied, again.unjudged), (0, 0), "{again:?}");
}

#[test]
fn connections_older_than_the_policy_are_cut_by_what_it_says_and_a_setting_keeps_them() {
    if !able() {
        return;
    }
    let mut late = Late::new();
    late.attach(&[class(FlowDirection::Ingress, TCP, 1..=1, Action::Refuse)]);
    let mut open = late.connections(REFUSED);
    late.redirect.set_table(APP, &table()).unwrap();
    let told = late.cut(Keep::ALL);
    assert_eq!((told.denied, told.unjudged), (0, 0), "{told:?}");
    open.iter_mut().for_each(Open::goes_on);
    let told = late.cut(Keep { egress: true, ..Keep::default() });
    assert_eq!((told.denied, told.unjudged), (3, 0), "{told:?}");
    let (mut kept, mut ended): (Vec<Open>, Vec<Open>) = open.into_iter().partition(|open| open.what.starts_with("app"));
    assert_eq!((kept.len(), ended.len()), (3, 3));
    kept.iter_mut().for_each(Open::goes_on);
    ended.iter_mut().for_each(Open::is_cut);
}

#[test]
fn who_opened_a_connection_is_known_without_a_listener_and_in_spite_of_one() {
    if !able() {
        return;
    }
    let mut late = Late::new();
    let all = |direction, action| class(direction, TCP, 0..=65535, action);
    for (v6, port) in FAMILIES.into_iter().zip([7001, 7002]) {
        // Its listener is gone, as of a server that takes one connection.
        let (there, here) = (late.outside.address(v6, 5432), late.app.address(v6, port));
        let mut came = Open::new(&late.outside, here, &listen(&late.app, here));
        // And one that went out from a port on which somebody listens later.
        let listener = listen(&late.outside, there);
        let own = late.app.address(v6, port + 10);
        let reusing = || {
            let socket = Socket::new(Domain::for_address(own), Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&own.into()).unwrap();
            socket
        };
        let client = late.app.inside(|| {
            let socket = reusing();
            socket.connect_timeout(&there.into(), HANG).unwrap();
            TcpStream::from(socket)
        });
        let mut went = Open { what: "app, which listens there".into(), client, server: listener.accept().unwrap().0 };
        went.set_patience();
        let listening = late.app.inside(|| {
            let socket = reusing();
            // Refused on some kernels while the port is in use.
            socket.listen(1).ok().map(|()| socket)
        });
        // With data of both sides, acknowledged and not.
        went.goes_on();
        came.goes_on();
        late.attach(&[all(FlowDirection::Egress, Action::Refuse), all(FlowDirection::Ingress, Action::Pass)]);
        let told = late.cut(Keep::default());
        assert_eq!((told.denied, told.unjudged), (1, 0), "{told:?}");
        went.is_cut();
        came.goes_on();
        late.attach(&[all(FlowDirection::Egress, Action::Pass), all(FlowDirection::Ingress, Action::Refuse)]);
        assert_eq!(late.cut(Keep::default()).denied, 1);
        came.is_cut();
        late.attach(&[]);
        drop(listening);
    }
}

#[test]
fn a_busy_connection_is_told_by_who_opened_it_while_bytes_fly() {
    if !able() {
        return;
    }
    let mut late = Late::new();
    let all = |direction, action| class(direction, TCP, 0..=65535, action);
    let to = late.app.address(true, 7003);
    let open = Open::new(&late.outside, to, &listen(&late.app, to));
    late.attach(&[all(FlowDirection::Egress, Action::Refuse), all(FlowDirection::Ingress, Action::Pass)]);
    thread::scope(|scope| {
        let (mut from, mut into) = (&open.server, &open.client);
        let writing = scope
            .spawn(move || std::iter::repeat_with(|| from.write_all(&[7; 4096])).take(3000).all(|one| one.is_ok()));
        let reading = scope.spawn(move || {
            let mut left = 4096 * 3000;
            while left > 0 {
                match into.read(&mut [0; 8192]) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => left -= read,
                }
            }
            left
        });
        for _ in 0..200 {
            let told = late.cut(Keep::default());
            assert_eq!((told.denied, told.unjudged), (0, 0), "a download by a client of ours was cut");
        }
        assert!(writing.join().unwrap());
        assert_eq!(reading.join().unwrap(), 0);
    });
}

#[test]
fn what_is_relayed_is_not_taken_for_unjudged() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    for v6 in FAMILIES {
        for (from, to) in [(&bench.app, &bench.outside), (&bench.outside, &bench.app)] {
            let at = to.address(v6, STEERED);
            let listener = listen(to, at);
            let mut client = from.inside(|| TcpStream::connect_timeout(&at, HANG).unwrap());
            client.set_read_timeout(Some(HANG)).unwrap();
            let (mut server, seen) = listener.accept().unwrap();
            let told = cut(&bench.redirect, Keep::default());
            assert_eq!((told.denied, told.unjudged), (0, 0), "{} to {at}: {told:?}", from.name);
            server.write_all(seen.to_string().as_bytes()).unwrap();
            drop(server);
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text, format!("steered {seen}"));
        }
    }
}

#[test]
fn of_the_host_only_what_is_the_services_is_cut() {
    if !able() {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let outside = lab.pod("outside").unwrap();
    let service = lab.node().in_cgroup(&lab.make_cgroup("service").unwrap());
    let addresses = ["10.77.1.1".parse().unwrap(), "fd77:1::1".parse().unwrap()];
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(lab.node(), APP, &addresses, redirect.upstreams());
    let mut open = Vec::new();
    for (ip, v6) in addresses.into_iter().zip(FAMILIES) {
        let at = |port| SocketAddr::new(ip, port);
        // What comes in goes by port; what goes out, by cgroup: this process is in none of the service.
        for (port, is_cut) in [(REFUSED, true), (STEERED, true), (UNSTEERED, false), (7001, false)] {
            open.push((Open::new(&outside, at(port), &listen(lab.node(), at(port))), is_cut));
        }
        open.push((Open::new(lab.node(), at(REFUSED), &listen(lab.node(), at(REFUSED))), false));
        let there = outside.address(v6, REFUSED);
        open.push((Open::new(lab.node(), there, &listen(&outside, there)), false));
    }
    let refuse = class(FlowDirection::Ingress, TCP, 7001..=7001, Action::Refuse);
    redirect.set_table(APP, &[table(), vec![refuse]].concat()).unwrap();
    let netns = Redirect::open_netns(&service.netns).unwrap();
    let place =
        AttachPoint::Host { netns: netns.as_fd(), cgroup: &service.cgroup, ports: &[(TCP, STEERED), (TCP, REFUSED)] };
    let listeners = proxy.listeners();
    redirect.attach(&KernelAttachment { id: APP, place, addresses: &addresses, listeners }).unwrap();
    let told = cut(&redirect, Keep::default());
    assert_eq!((told.denied, told.unjudged), (2, 2), "{told:?}");
    for (mut open, is_cut) in open {
        if is_cut { open.is_cut() } else { open.goes_on() }
    }
}

#[test]
fn the_other_sides_of_what_is_open_are_told() {
    if !able() {
        return;
    }
    let mut late = Late::new();
    late.attach(&table());
    let connections = || late.redirect.connections(APP).unwrap().unwrap();
    assert!(connections().peers().unwrap().is_empty());
    let there = late.outside.address(true, UNSTEERED);
    let open = Open::new(&late.app, there, &listen(&late.outside, there));
    let asked = late.app.inside(|| std::net::UdpSocket::bind(late.app.address(false, 0)).unwrap());
    asked.connect(late.outside.address(false, 53)).unwrap();
    assert_eq!(connections().peers().unwrap(), late.outside.addresses().into());
    drop((open, asked));
}
