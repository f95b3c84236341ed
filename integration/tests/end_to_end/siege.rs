//! Everything at once: the node is killed and replaced, endpoints come and go, a neighbour is hostile, and clients
//! keep working. Nothing that policy denies arrives; nothing that it allows is lost except while no node runs.

use std::{
    env,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use portcullis_integration::{
    Pod, Site,
    documents::{endpoint, policy},
    node::Node,
    wait::uninterrupted,
};
use serde_json::json;

use crate::scene::{FAMILIES, SHOP, Scene, able, ingress};

/// How long, in seconds; a few by default.
const SECONDS: &str = "PORTCULLIS_SIEGE_SECONDS";
/// Longer than any answer takes. What takes longer hangs.
const HANG: Duration = Duration::from_secs(20);
/// Between two disturbances of one kind.
const PAUSE: Duration = Duration::from_millis(700);
/// Silent connections that the neighbour holds at a time.
const SILENT: usize = 64;

/// How one request ended, and when it was on its way.
struct Ended {
    from: Instant,
    to: Instant,
    status: Result<u16, ErrorKind>,
}

/// Times at which no node was running.
type Gaps = Mutex<Vec<(Instant, Instant)>>;

/// Asks once, on a connection of its own.
fn ask(to: SocketAddr, path: &str) -> Ended {
    let from = Instant::now();
    let exchange = || -> std::io::Result<u16> {
        let mut stream = TcpStream::connect_timeout(&to, HANG)?;
        stream.set_read_timeout(Some(HANG))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        uninterrupted(|| stream.read_to_end(&mut answer))?;
        let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        status.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    };
    let status = exchange().map_err(|error| error.kind());
    Ended { from, to: Instant::now(), status }
}

/// Asks again and again until it is over.
fn load<'scope>(
    scope: &'scope Scope<'scope, '_>,
    site: &'scope Site,
    over: &'scope AtomicBool,
    to: SocketAddr,
    path: &'static str,
) -> ScopedJoinHandle<'scope, Vec<Ended>> {
    scope.spawn(move || {
        site.inside(|| {
            let mut all = Vec::new();
            while !over.load(Ordering::Relaxed) {
                all.push(ask(to, path));
                thread::park_timeout(Duration::from_millis(5));
            }
            all
        })
    })
}

/// A neighbour without any right: silent connections, connections to closed ports, datagrams, as fast as it can.
fn hostile(site: &Site, over: &AtomicBool, app: [SocketAddr; 2]) {
    site.inside(|| {
        let mut silent = Vec::new();
        let datagrams = UdpSocket::bind("[::]:0").unwrap();
        for turn in 0_usize.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let mut to = app[turn % 2];
            silent.extend(TcpStream::connect_timeout(&to, HANG));
            if silent.len() > SILENT {
                silent.remove(0);
            }
            to.set_port(u16::try_from(1024 + turn % 50_000).unwrap());
            let _ = TcpStream::connect_timeout(&to, HANG);
            let _ = datagrams.send_to(b"unasked", app[1]);
            thread::park_timeout(Duration::from_millis(2));
        }
    });
}

/// An endpoint that comes and goes, with a policy of its own that changes.
fn churn(node: &Mutex<Node>, other: &Pod, over: &AtomicBool) {
    let spec = |port: u32| {
        json!({
            "endpointSelector": { "matchLabels": { "app": "other" } },
            "egress": [{ "toPorts": [{ "ports": [{ "port": port.to_string(), "protocol": "TCP" }] }] }],
        })
    };
    for turn in 0_u32.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        {
            let node = node.lock().unwrap();
            node.apply(&[endpoint(SHOP, other, &[("app", "other")]), policy(SHOP, "other", &spec(1024 + turn % 1000))])
                .unwrap();
            node.cli(&["delete", "endpoint", "other", "-n", SHOP]).unwrap().ok().unwrap();
        }
        thread::park_timeout(PAUSE);
    }
}

/// Kills the node, and exchanges its program, in turn, until the time is over.
fn disturb(node: &Mutex<Node>, gaps: &Gaps, end: Instant) {
    for turn in 0_usize.. {
        thread::park_timeout(PAUSE);
        if Instant::now() > end {
            return;
        }
        let mut node = node.lock().unwrap();
        let from = Instant::now();
        if turn % 2 == 0 {
            node.crash().unwrap();
            node.start_again().unwrap();
        } else {
            node.upgrade().unwrap();
        }
        gaps.lock().unwrap().push((from, Instant::now()));
    }
}

/// Requests of these that were answered; those that were lost while a node was running; those that hung.
fn counts(all: &[Ended], gaps: &[(Instant, Instant)]) -> (usize, usize, usize) {
    let answered = all.iter().filter(|ended| ended.status.is_ok()).count();
    let in_a_gap = |ended: &&Ended| gaps.iter().any(|(from, to)| ended.from <= *to && ended.to >= *from);
    let lost = all.iter().filter(|ended| ended.status.is_err()).filter(|ended| !in_a_gap(ended)).count();
    let hung = all.iter().filter(|ended| ended.to - ended.from >= HANG).count();
    (answered, lost, hung)
}

#[test]
fn under_siege_nothing_denied_arrives_and_nothing_allowed_is_lost_while_a_node_runs() {
    if !able() {
        return;
    }
    let seconds = env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let Scene { node, httpbin, client, other, app, lab } = Scene::new();
    // Clients are threads of this test, which is in no pod's cgroup: what they send is judged where it arrives.
    node.apply(&[ingress(&json!([{ "path": "/get" }]))]).unwrap();
    let (node, gaps, over) = (Mutex::new(node), Gaps::default(), AtomicBool::new(false));
    let to = FAMILIES.map(|v6| app.address(v6, 80));
    let (allowed, denied) = thread::scope(|scope| {
        let allowed = to.map(|to| load(scope, &client, &over, to, "/get"));
        let denied = [(&*client, "/uuid"), (&*other, "/get?other")];
        let denied = denied.map(|(site, path)| to.map(|to| load(scope, site, &over, to, path)));
        scope.spawn(|| hostile(&other, &over, to));
        scope.spawn(|| churn(&node, &other, &over));
        disturb(&node, &gaps, Instant::now() + Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        let join = |all: Vec<ScopedJoinHandle<'_, Vec<Ended>>>| -> Vec<Ended> {
            all.into_iter().flat_map(|load| load.join().unwrap()).collect()
        };
        (join(allowed.into()), join(denied.into_iter().flatten().collect()))
    });
    let gaps = gaps.into_inner().unwrap();
    let (answered, lost, hung) = counts(&allowed, &gaps);
    let (passed, _, denied_hung) = counts(&denied, &gaps);
    let down: Duration = gaps.iter().map(|(from, to)| *to - *from).sum();
    eprintln!(
        "siege of {seconds} s: {} exchanges of the node ({down:.1?} down); allowed: {} asked, {answered} answered, {lost} lost \
         while a node ran, {hung} hung; denied: {} asked, {passed} answered",
        gaps.len(),
        allowed.len(),
        denied.len()
    );
    let log = node.lock().unwrap().process.log();
    assert_eq!((passed, httpbin.arrived("/uuid"), httpbin.arrived("/get?other")), (0, 0, 0), "{log}");
    assert_eq!((lost, hung, denied_hung), (0, 0, 0), "{log}");
    assert!(gaps.len() > 1 && answered > 0 && denied.len() > gaps.len(), "it was no siege: {log}");
    drop(lab);
}
