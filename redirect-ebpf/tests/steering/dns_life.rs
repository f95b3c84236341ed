//! Datagrams when the proxy dies and restarts, and those of processes of the host.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use portcullis_integration::{Lab, Need, Pod, Site, require, wait};
use portcullis_redirect::{AttachPoint, Keep, KernelAttachment, KernelPortClass, Redirect, RedirectOptions};

use crate::{
    bench::{self, APP, Bench, FAMILIES, attach, ip, options},
    proxy::Proxy,
    resolver::{BOTH, DNS, Resolver, query, steered},
    sockets::Outcome,
};

/// A port that nobody steers.
const OTHER: u16 = 54;

fn able() -> bool {
    bench::able() && require(&[Need::Program("python3")])
}

/// The process after this one.
fn successor(lab: &Lab, app: &Pod, ports: &[u16]) -> (Redirect, Proxy) {
    let mut redirect = Redirect::open(options(lab, true)).unwrap();
    let proxy = Proxy::start(app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &steered(ports)).unwrap();
    attach(&mut redirect, app, &proxy, &app.addresses());
    redirect.retain(&[APP]).unwrap();
    (redirect, proxy)
}

#[test]
fn a_dead_proxy_means_refused_questions_and_nothing_for_other_datagrams() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::with(true, &steered(&[DNS]));
    let _resolvers = [DNS, OTHER].map(|port| Resolver::both(&outside, port));
    let is_refused = |when| {
        for v6 in FAMILIES {
            for how in BOTH {
                let outcome = query(&app, how, outside.address(v6, DNS));
                assert!(outcome.is_refused(), "{when}, {how:?}: {outcome:?}");
                let outcome = query(&app, how, outside.address(v6, OTHER));
                assert!(outcome.is_direct_from(ip(&app, v6)), "{when}, {how:?}: {outcome:?}");
            }
        }
    };
    // The listeners leave the SOCKMAP by themselves, when the last descriptor is closed: a child that another test of this
    // process is about to start has copies until then.
    drop(proxy);
    for v6 in FAMILIES {
        let gone = || Ok(query(&app, BOTH[0], outside.address(v6, DNS)).is_refused().then_some(()));
        wait::until("a refused question", String::new, gone).unwrap();
    }
    is_refused("without listeners");
    drop(redirect);
    is_refused("without the process");
    drop(lab);
}

#[test]
fn where_links_are_not_pinned_a_dead_proxy_lets_questions_pass() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::with(false, &steered(&[DNS]));
    let _resolvers = Resolver::both(&outside, DNS);
    drop((redirect, proxy));
    for v6 in FAMILIES {
        let passed = || Ok(query(&app, BOTH[0], outside.address(v6, DNS)).is_direct_from(ip(&app, v6)).then_some(()));
        wait::until("an unjudged question", String::new, passed).unwrap();
    }
    drop(lab);
}

#[test]
fn between_a_crash_and_the_next_process_no_question_passes_unjudged() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::with(true, &steered(&[DNS]));
    let _resolvers = Resolver::both(&outside, DNS);
    let done = AtomicBool::new(false);
    let mut current = Some((redirect, proxy));
    let seen: Vec<Outcome> = thread::scope(|scope| {
        let ways = FAMILIES.map(|v6| BOTH.map(|how| (v6, how))).concat();
        let hammers: Vec<_> = ways
            .into_iter()
            .map(|(v6, how)| {
                let (done, app, to) = (&done, &app, outside.address(v6, DNS));
                scope.spawn(move || {
                    let mut seen = vec![query(app, how, to)];
                    while !done.load(Ordering::Relaxed) {
                        seen.push(query(app, how, to));
                    }
                    seen
                })
            })
            .collect();
        for _ in 0..3 {
            drop(current.take());
            current = Some(successor(&lab, &app, &[DNS]));
        }
        done.store(true, Ordering::Relaxed);
        hammers.into_iter().flat_map(|hammer| hammer.join().unwrap()).collect()
    });
    let direct = seen.iter().filter(|outcome| matches!(outcome, Outcome::Direct(_))).count();
    assert_eq!(direct, 0, "of {}", seen.len());
    for v6 in FAMILIES {
        for how in BOTH {
            let outcome = query(&app, how, outside.address(v6, DNS));
            assert!(outcome.is_steered_from(ip(&app, v6)), "and it works again: {outcome:?}");
        }
    }
}

#[test]
fn the_next_process_steers_the_ports_of_its_own_policy() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::with(true, &steered(&[DNS, 5353]));
    let _resolvers = [DNS, 1053, 5353].map(|port| Resolver::both(&outside, port));
    drop((redirect, proxy));
    let next = successor(&lab, &app, &[1053, 5353]);
    for v6 in FAMILIES {
        for how in BOTH {
            let ask = |port| query(&app, how, outside.address(v6, port));
            let [gone, new, kept] = [DNS, 1053, 5353].map(ask);
            assert!(gone.is_direct_from(ip(&app, v6)), "{gone:?}");
            assert!(new.is_steered_from(ip(&app, v6)) && kept.is_steered_from(ip(&app, v6)), "{new:?} {kept:?}");
        }
    }
    drop(next);
}

/// What a process of a site is answered.
fn asks(site: &Site, how: &str, to: SocketAddr) -> Result<String, String> {
    const SCRIPT: &str = "import socket, sys
how, ip, port = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
if how == 'connected':
    s.connect((ip, int(port)))
    s.send(b'who am I?')
else:
    s.sendto(b'who am I?', (ip, int(port)))
print(s.recv(99).decode())";
    let words = ["python3", "-c", SCRIPT, how, &to.ip().to_string(), &to.port().to_string()];
    let finished = site.run(&words).unwrap();
    if finished.code == Some(0) { Ok(finished.stdout) } else { Err(finished.stderr) }
}

struct Host {
    redirect: Redirect,
    proxy: Proxy,
    outside: Pod,
    service: Site,
    other: Site,
    addresses: [IpAddr; 2],
    lab: Lab,
}

/// A node with a service whose datagrams to [`DNS`] are steered, once it is attached.
fn host() -> Host {
    let mut lab = Lab::new().unwrap();
    let outside = lab.pod("outside").unwrap();
    let [service, other] = ["service", "other"].map(|name| lab.node().in_cgroup(&lab.make_cgroup(name).unwrap()));
    let addresses = ["10.77.1.1".parse().unwrap(), "fd77:1::1".parse().unwrap()];
    let options = RedirectOptions { cgroup: Some(lab.cgroup().to_owned()), ..options(&lab, true) };
    let redirect = Redirect::open(options).unwrap();
    let proxy = Proxy::start(lab.node(), APP, &addresses, redirect.upstreams());
    Host { redirect, proxy, outside, service, other, addresses, lab }
}

impl Host {
    fn attach(&mut self, cgroup: &std::path::Path, table: &[KernelPortClass]) {
        self.redirect.set_table(APP, table).unwrap();
        let netns = Redirect::open_netns(&self.lab.node().netns).unwrap();
        let place = AttachPoint::Host { netns: netns.as_fd(), cgroup, ports: &[] };
        let listeners = self.proxy.listeners();
        self.redirect.attach(&KernelAttachment { id: APP, place, addresses: &self.addresses, listeners }).unwrap();
    }
}

#[test]
fn questions_of_the_services_processes_are_steered_and_nobody_elses() {
    if !able() {
        return;
    }
    let mut host = host();
    let _resolvers = [DNS, OTHER].map(|port| Resolver::both(&host.outside, port));
    let cgroup = host.service.cgroup.clone();
    host.attach(&cgroup, &steered(&[DNS]));
    for v6 in FAMILIES {
        for how in ["connected", "unconnected"] {
            let ask = |site: &Site, port| asks(site, how, host.outside.address(v6, port)).unwrap();
            let answer = ask(&host.service, DNS);
            assert!(answer.starts_with("steered "), "{how}: {answer}");
            for (site, port) in [(&host.service, OTHER), (&host.other, DNS), (&host.other, OTHER)] {
                let answer = ask(site, port);
                assert!(!answer.starts_with("steered "), "{how}: {answer}");
            }
        }
    }
    drop(std::mem::replace(
        &mut host.proxy,
        Proxy::start(host.lab.node(), 2, &host.addresses, host.redirect.upstreams()),
    ));
    for v6 in FAMILIES {
        for how in ["connected", "unconnected"] {
            let to = host.outside.address(v6, DNS);
            assert!(asks(&host.service, how, to).unwrap_err().contains("refused"), "{how}");
            assert!(asks(&host.other, how, to).is_ok(), "{how}");
        }
    }
}

/// Connects, says so by a file, waits for another one, asks.
const PATIENT: &str = "import os, socket, sys, time
ip, port, ready, go = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((ip, int(port)))
open(ready, 'w').close()
while not os.path.exists(go):
    time.sleep(0.01)
s.send(b'who am I?')
print(s.recv(99).decode())";

#[test]
fn connected_sockets_of_a_service_that_are_older_than_the_programs_are_cut_and_nobody_elses() {
    if !able() {
        return;
    }
    let mut host = host();
    let _resolvers = Resolver::both(&host.outside, DNS);
    let directory = host.lab.node().directory().to_owned();
    let go = directory.join("go").display().to_string();
    let sites = [host.service.clone(), host.other.clone()];
    let there = FAMILIES.map(|v6| host.outside.address(v6, DNS));
    thread::scope(|scope| {
        let started = there.map(|to| {
            sites.each_ref().map(|site| {
                let ready = directory.join(format!("{}-{}", site.name, site.cgroup.file_name().unwrap().display()));
                let ready = ready.with_extension(if to.is_ipv6() { "6" } else { "4" });
                let (shown, go) = (ready.display().to_string(), go.clone());
                let run = scope.spawn(move || {
                    let (ip, port) = (to.ip().to_string(), to.port().to_string());
                    site.run(&["python3", "-c", PATIENT, &ip, &port, &shown, &go]).unwrap()
                });
                wait::until("a connected socket", String::new, || Ok(ready.exists().then_some(()))).unwrap();
                run
            })
        });
        let cgroup = host.service.cgroup.clone();
        host.attach(&cgroup, &steered(&[DNS]));
        let told = host.redirect.connections(APP).unwrap().unwrap().cut(Keep::default()).unwrap();
        assert_eq!((told.denied, told.unjudged), (0, 2), "{told:?}");
        std::fs::write(&go, "").unwrap();
        for [service, other] in started {
            let (cut, kept) = (service.join().unwrap(), other.join().unwrap());
            assert!(cut.code != Some(0) && cut.stderr.contains("Destination address required"), "{}", cut.stderr);
            assert!(kept.code == Some(0) && !kept.stdout.starts_with("steered "), "{}{}", kept.stdout, kept.stderr);
        }
    });
}

#[test]
fn questions_of_every_process_of_the_host_are_steered_where_it_is_the_endpoint() {
    if !able() {
        return;
    }
    let mut host = host();
    let _resolvers = [DNS, OTHER].map(|port| Resolver::both(&host.outside, port));
    let all = host.lab.cgroup().to_owned();
    host.attach(&all, &steered(&[DNS]));
    for v6 in FAMILIES {
        for how in ["connected", "unconnected"] {
            for site in [&host.service, &host.other] {
                let steered = asks(site, how, host.outside.address(v6, DNS)).unwrap();
                assert!(steered.starts_with("steered "), "{how}: {steered}");
                let direct = asks(site, how, host.outside.address(v6, OTHER)).unwrap();
                assert!(!direct.starts_with("steered "), "{how}: {direct}");
            }
        }
    }
}
