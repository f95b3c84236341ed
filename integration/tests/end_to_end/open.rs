//! Connections that are already open when a policy arrives, or when the node starts.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use portcullis_integration::{
    Site,
    curl::{RESET, curl},
    documents::policy,
    wait::{self, uninterrupted},
};
use serde_json::{Value, json};

use crate::scene::{FAMILIES, SHOP, Scene, able};

/// Far longer than anything takes here.
const HANG: Duration = Duration::from_secs(20);
/// A server's port, as of a database.
const DATABASE: u16 = 5432;

/// Both ends of a connection.
struct Open {
    what: String,
    client: TcpStream,
    server: TcpStream,
}

impl Open {
    fn new(from: &Site, to: SocketAddr, listener: &TcpListener) -> Self {
        let client = from.inside(|| TcpStream::connect_timeout(&to, HANG).unwrap());
        let open = Self { what: format!("{} to {to}", from.name), client, server: listener.accept().unwrap().0 };
        for end in [&open.client, &open.server] {
            end.set_read_timeout(Some(HANG)).unwrap();
        }
        open
    }

    fn goes_on(&mut self) {
        for (mut from, mut into) in [(&self.client, &self.server), (&self.server, &self.client)] {
            from.write_all(b"x").unwrap_or_else(|error| panic!("{}: {error}", self.what));
            uninterrupted(|| into.read_exact(&mut [0])).unwrap_or_else(|error| panic!("{}: {error}", self.what));
        }
    }

    /// Both ends are told that it was cut, and that without asking.
    fn is_cut(&mut self) {
        let mut kinds = [&mut self.client, &mut self.server]
            .map(|end| uninterrupted(|| end.read(&mut [0])).expect_err(&self.what).kind());
        kinds.sort_by_key(|kind| *kind == ErrorKind::ConnectionReset);
        assert_eq!(kinds, [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset], "{}", self.what);
    }
}

/// Whether an end that does not block is at its end.
fn is_dead(mut end: &TcpStream) -> bool {
    !matches!(end.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn listen(site: &Site, address: SocketAddr) -> TcpListener {
    site.inside(|| TcpListener::bind(address).unwrap())
}

fn pods(name: &str) -> Value {
    json!([{ "matchLabels": { "app": name } }])
}

fn port(number: u16) -> Value {
    json!({ "port": number.to_string(), "protocol": "TCP" })
}

/// Lets the client come to the database and make one request over HTTP; lets the application go to the client alone.
fn closing() -> Value {
    policy(
        SHOP,
        "closing",
        &json!({
            "endpointSelector": { "matchLabels": { "app": "app" } },
            "ingress": [
                { "fromEndpoints": pods("client"), "toPorts": [{ "ports": [port(DATABASE)] }] },
                {
                    "fromEndpoints": pods("client"),
                    "toPorts": [{ "ports": [port(80)], "rules": { "http": [{ "path": "/get" }] } }],
                },
            ],
            "egress": [{ "toEndpoints": pods("client") }],
        }),
    )
}

/// What is open before anything is enforced, of both families.
struct Before {
    allowed: Vec<Open>,
    denied: Vec<Open>,
    /// Connected UDP sockets of the application: to the client, and to somebody else.
    datagrams: [Vec<UdpSocket>; 2],
    /// Whom those send to.
    _heard: Vec<UdpSocket>,
    /// To the web server, over which nothing was said yet.
    http: Vec<TcpStream>,
}

impl Before {
    fn new(scene: &Scene) -> Self {
        let Scene { client, other, app, .. } = scene;
        let (mut allowed, mut denied, mut http) = (Vec::new(), Vec::new(), Vec::new());
        let (mut datagrams, mut heard) = ([Vec::new(), Vec::new()], Vec::new());
        for v6 in FAMILIES {
            let (at, to_client, to_other) =
                (app.address(v6, DATABASE), client.address(v6, DATABASE), other.address(v6, DATABASE));
            let [server, client_server, other_server] =
                [(&**app, at), (client, to_client), (other, to_other)].map(|(site, at)| listen(site, at));
            allowed.push(Open::new(client, at, &server));
            allowed.push(Open::new(app, to_client, &client_server));
            denied.push(Open::new(other, at, &server));
            denied.push(Open::new(app, to_other, &other_server));
            let web = client.inside(|| TcpStream::connect_timeout(&app.address(v6, 80), HANG).unwrap());
            web.set_read_timeout(Some(HANG)).unwrap();
            http.push(web);
            for (sockets, (site, to)) in datagrams.iter_mut().zip([(client, to_client), (other, to_other)]) {
                heard.push(site.inside(|| UdpSocket::bind(to).unwrap()));
                let socket = app.inside(|| UdpSocket::bind(app.address(v6, 0)).unwrap());
                socket.connect(to).unwrap();
                socket.set_read_timeout(Some(HANG)).unwrap();
                sockets.push(socket);
            }
        }
        Self { allowed, denied, datagrams, _heard: heard, http }
    }

    fn all_go_on(&mut self) {
        self.allowed.iter_mut().chain(&mut self.denied).for_each(Open::goes_on);
        for socket in self.datagrams.iter().flatten() {
            socket.send(b"x").unwrap();
        }
    }
}

/// What was cut, for a reason.
fn cut(scene: &Scene, reason: &str) -> f64 {
    scene.node.metric("portcullis_open_connections_cut_total", &[&format!("reason=\"{reason}\"")]).unwrap()
}

#[test]
fn what_a_policy_denies_or_wants_judged_is_cut_at_both_ends_once_it_is_in_force_and_nothing_else() {
    if !able() {
        return;
    }
    let mut scene = Scene::new();
    let mut before = Before::new(&scene);
    before.all_go_on();
    scene.apply(&[closing()]);
    before.denied.iter_mut().for_each(Open::is_cut);
    before.allowed.iter_mut().for_each(Open::goes_on);
    for web in &mut before.http {
        assert_eq!(web.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset, "older than its judge");
    }
    for (socket, (allowed, _)) in before.datagrams[0].iter().zip(before.allowed.iter().zip(FAMILIES)) {
        socket.send(b"x").unwrap_or_else(|error| panic!("{}: {error}", allowed.what));
    }
    for socket in &before.datagrams[1] {
        assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    }
    let denied = before.denied.len() + before.datagrams[1].len();
    assert_eq!((cut(&scene, "denied"), cut(&scene, "unjudged")), (denied as f64, 2.0), "{}", scene.node.process.log());
    // And it stays so, whatever happens to the node.
    scene.node.crash().unwrap();
    scene.node.start_again().unwrap();
    before.allowed.iter_mut().for_each(Open::goes_on);
    assert_eq!(scene.httpbin.requests().len(), 0, "{:?}", scene.httpbin.requests());
}

#[test]
fn a_setting_keeps_what_is_open_and_a_policy_may_say_otherwise() {
    if !able() {
        return;
    }
    let scene = Scene::new();
    let annotated = |word: &str| {
        let mut policy = closing();
        policy["metadata"]["annotations"] = json!({ "portcullis.io/open-connections": word });
        policy
    };
    let mut before = Before::new(&scene);
    scene.apply(&[annotated("keep")]);
    before.all_go_on();
    assert_eq!(curl(&scene.client, &[], &scene.url(false, "/uuid")).unwrap().exit, RESET, "new ones are judged");
    // Who keeps it no more cuts it.
    scene.apply(&[annotated("cut")]);
    before.denied.iter_mut().for_each(Open::is_cut);
    before.allowed.iter_mut().for_each(Open::goes_on);
    drop(scene);

    let scene = Scene::with(&json!({ "openConnections": "keep" }));
    let mut before = Before::new(&scene);
    scene.apply(&[closing()]);
    before.all_go_on();
    // A second policy does not let go what the first one keeps; one that cuts does.
    let mut second = annotated("cut");
    second["metadata"]["name"] = json!("second");
    scene.apply(&[second]);
    before.denied.iter_mut().for_each(Open::is_cut);
    before.allowed.iter_mut().for_each(Open::goes_on);
}

#[test]
fn what_was_opened_while_no_node_judged_is_cut_when_one_does() {
    if !able() {
        return;
    }
    let mut scene = Scene::with(&json!({ "onProxyDown": "pass" }));
    scene.apply(&[closing()]);
    scene.node.crash().unwrap();
    let unjudged = |v6| {
        let open = || curl(&scene.client, &[], &scene.url(v6, "/uuid")).unwrap().status == 200;
        wait::until("an unjudged request", String::new, || Ok(open().then_some(()))).unwrap();
        let listener = listen(&scene.app, scene.app.address(v6, DATABASE));
        let database = Open::new(&scene.other, scene.app.address(v6, DATABASE), &listener);
        let web = scene.client.inside(|| TcpStream::connect_timeout(&scene.app.address(v6, 80), HANG).unwrap());
        web.set_read_timeout(Some(HANG)).unwrap();
        (database, web)
    };
    let opened = FAMILIES.map(unjudged);
    let answered = scene.httpbin.arrived("/uuid");
    scene.node.start_again().unwrap();
    for (mut database, mut web) in opened {
        database.is_cut();
        assert!(web.read(&mut [0]).is_err(), "an HTTP connection that nobody judges");
    }
    assert_eq!(scene.httpbin.arrived("/uuid"), answered);
}

/// Processor time of a process so far, in milliseconds (proc(5): fields 14 and 15, in hundredths of a second).
fn processor(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

/// Holds connections to two ports of both families, sends back what comes, and tells when as many have failed as it was told.
const HOLDER: &str = r#"
import resource, select, socket, sys
wanted, ports = int(sys.argv[1]), [int(port) for port in sys.argv[2:]]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
poll, listeners, held, failed, taken = select.epoll(), {}, {}, dict.fromkeys(ports, 0), 0
for port in ports:
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)
    listeners[listener.fileno()] = (listener, port)
    poll.register(listener, select.EPOLLIN)
print("listening", flush=True)
while True:
    for fd, _ in poll.poll():
        if fd in listeners:
            listener, port = listeners[fd]
            connection = listener.accept()[0]
            held[connection.fileno()] = (connection, port)
            poll.register(connection, select.EPOLLIN)
            taken += 1
            if taken == wanted * len(ports):
                print("holding all", flush=True)
            continue
        connection, port = held[fd]
        try:
            connection.sendall(connection.recv(64))
        except ConnectionAbortedError:
            failed[port] += 1
            poll.unregister(fd)
            if failed[port] == wanted:
                print("failed on", port, failed, flush=True)
"#;

#[test]
fn of_ten_thousand_connections_exactly_the_half_is_cut_that_a_policy_denies() {
    const HALF: usize = 5_000;
    const DENIED: u16 = 7001;
    if !able() {
        return;
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let scene = Scene::new();
    let (half, ports) = (HALF.to_string(), [DATABASE, DENIED].map(|port| port.to_string()));
    let words = ["/usr/bin/python3", "-c", HOLDER, &half, &ports[0], &ports[1]];
    let mut holder = scene.app.spawn("holder", &words).unwrap();
    holder.wait_for_line("listening").unwrap();
    let [allowed, denied] = [DATABASE, DENIED].map(|port| {
        let open = |number: usize| {
            let to = scene.app.address(number.is_multiple_of(2), port);
            scene.client.inside(|| TcpStream::connect_timeout(&to, HANG).unwrap())
        };
        (0..HALF).map(open).collect::<Vec<TcpStream>>()
    });
    holder.wait_for_line("holding all").unwrap();
    for client in &denied {
        client.set_nonblocking(true).unwrap();
    }
    let (spent, began) = (processor(scene.node.process.pid()), Instant::now());
    let spec = json!({
        "endpointSelector": { "matchLabels": { "app": "app" } },
        "ingress": [{ "fromEndpoints": pods("client"), "toPorts": [{ "ports": [port(DATABASE)] }] }],
    });
    scene.apply(&[policy(SHOP, "half", &spec)]);
    let applied = began.elapsed();
    let dead = denied.iter().filter(|client| is_dead(client)).count();
    let looked = began.elapsed();
    let told = holder.wait_for_line("failed on").unwrap();
    let (all, spent) = (began.elapsed(), processor(scene.node.process.pid()) - spent);
    assert_eq!(dead, HALF, "when `apply` comes back all is done");
    assert!(told.contains(&format!("{DATABASE}: 0")) && told.contains(&format!("{DENIED}: {HALF}")), "{told}");
    let log = scene.node.process.log();
    let walk = log.lines().filter(|line| line.contains("open connections were cut")).collect::<Vec<_>>().join("\n");
    println!(
        "10,000 open, 5,000 denied: `apply` came back after {applied:?} and all clients were cut ({looked:?} with looking); \
         the servers had heard of all after {all:?}; the node took {spent} ms of processor time\n{walk}"
    );
    for mut client in &allowed {
        client.set_read_timeout(Some(HANG)).unwrap();
        client.write_all(b"x").unwrap();
        uninterrupted(|| client.read_exact(&mut [0])).unwrap();
    }
    assert_eq!((cut(&scene, "denied"), cut(&scene, "unjudged")), (HALF as f64, 0.0));
}
