//! What remains when the proxy dies, and how the next one takes over.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use portcullis_integration::{Lab, Pod, wait};
use portcullis_redirect::{Claim, Redirect};

use crate::{
    bench::{APP, Bench, FAMILIES, STEERED, UNSTEERED, able, attach, ip, options, table},
    proxy::Proxy,
    sockets::{Outcome, Server, get},
};

fn servers(bench: &Bench) -> Vec<[Server; 2]> {
    let pods = [&bench.app, &bench.outside];
    pods.into_iter().flat_map(|pod| [STEERED, UNSTEERED].map(|port| Bench::serve(pod, port))).collect()
}

fn pins(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_dead_proxy_means_refused_for_steered_flows_and_nothing_for_all_others() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = servers(&bench);
    let Bench { redirect, proxy, app, outside, lab } = bench;
    // As a crash does: the links are pinned, the listeners leave the SOCKMAP by themselves.
    drop((redirect, proxy));
    until_nobody_listens(&app, &outside);
    for v6 in FAMILIES {
        let (to_app, to_outside) = (|port| app.address(v6, port), |port| outside.address(v6, port));
        for (direction, from, to) in [("ingress", &outside, to_app(STEERED)), ("egress", &app, to_outside(STEERED))] {
            let outcome = get(from, to);
            assert!(outcome.is_refused(), "{direction} to {to}: {outcome:?}");
        }
        assert!(get(&outside, to_app(UNSTEERED)).is_direct_from(ip(&outside, v6)));
        assert!(get(&app, to_outside(UNSTEERED)).is_direct_from(ip(&app, v6)));
    }
    drop(lab);
}

/// Waits until the listeners of a proxy of this process are gone: a child that another test is about to start may hold copies.
pub(crate) fn until_nobody_listens(app: &Pod, outside: &Pod) {
    for v6 in FAMILIES {
        let gone = || Ok(get(app, outside.address(v6, STEERED)).is_refused().then_some(()));
        wait::until("a refused connection", String::new, gone).unwrap();
    }
}

#[test]
fn a_dead_listener_alone_is_enough_to_be_refused() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = servers(&bench);
    let Bench { redirect, proxy, app, outside, lab } = bench;
    drop(proxy);
    until_nobody_listens(&app, &outside);
    for v6 in FAMILIES {
        for (from, to) in [(&outside, app.address(v6, STEERED)), (&app, outside.address(v6, STEERED))] {
            let outcome = get(from, to);
            assert!(outcome.is_refused(), "to {to}: {outcome:?}");
        }
    }
    drop((redirect, lab));
}

#[test]
fn where_links_are_not_pinned_a_dead_proxy_lets_everything_pass() {
    if !able() {
        return;
    }
    let bench = Bench::with(false, &table());
    let _servers = servers(&bench);
    for v6 in FAMILIES {
        assert!(bench.ingress(v6, STEERED).is_steered_from(ip(&bench.outside, v6)));
        assert!(bench.egress(v6, STEERED).is_steered_from(ip(&bench.app, v6)));
    }
    let Bench { redirect, proxy, app, outside, lab } = bench;
    drop((redirect, proxy));
    for v6 in FAMILIES {
        passes(&outside, &app, v6);
        passes(&app, &outside, v6);
    }
    drop(lab);
}

/// Waits until a steered port is let alone: the kernel detaches a link that nobody holds when it gets round to it.
fn passes(from: &Pod, to: &Pod, v6: bool) {
    let passed = || Ok(get(from, to.address(v6, STEERED)).is_direct_from(ip(from, v6)).then_some(()));
    wait::until("an unjudged connection", String::new, passed).unwrap();
}

/// Connects in both directions and families, again and again, while `work` goes on.
fn meanwhile(app: &Pod, outside: &Pod, work: impl FnOnce()) -> Vec<Outcome> {
    let done = AtomicBool::new(false);
    let ways = FAMILIES.map(|v6| [(v6, true), (v6, false)]).concat();
    thread::scope(|scope| {
        let hammers: Vec<_> = ways
            .into_iter()
            .map(|(v6, ingress)| {
                let done = &done;
                let (from, to) = if ingress { (outside, app) } else { (app, outside) };
                scope.spawn(move || {
                    let mut seen = vec![get(from, to.address(v6, STEERED))];
                    while !done.load(Ordering::Relaxed) {
                        seen.push(get(from, to.address(v6, STEERED)));
                    }
                    seen
                })
            })
            .collect();
        work();
        done.store(true, Ordering::Relaxed);
        hammers.into_iter().flat_map(|hammer| hammer.join().unwrap()).collect()
    })
}

/// The process after this one; beside one that goes on, it has that one's claim.
fn successor(lab: &Lab, app: &Pod, pin: bool, claim: Option<Claim>) -> (Redirect, Proxy) {
    let opened = match claim {
        Some(claim) => Redirect::succeed(options(lab, pin), claim),
        None => Redirect::open(options(lab, pin)),
    };
    let mut redirect = opened.unwrap();
    let proxy = Proxy::start(app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &table()).unwrap();
    attach(&mut redirect, app, &proxy, &app.addresses());
    redirect.retain(&[APP]).unwrap();
    (redirect, proxy)
}

#[test]
fn the_next_process_takes_pinned_links_over_without_a_gap_and_without_doubling_them() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = servers(&bench);
    let before = pins(&bench.lab);
    let mut generations = Vec::new();
    let outcomes = meanwhile(&bench.app, &bench.outside, || {
        for _ in 0..5 {
            // The old proxies still accept what is in their queues.
            generations.push(successor(&bench.lab, &bench.app, true, Some(bench.redirect.claim())));
        }
    });
    let others: Vec<_> = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Steered(_))).collect();
    assert!(others.is_empty(), "{} of {} were not steered: {others:?}", others.len(), outcomes.len());
    assert_eq!(pins(&bench.lab), before);
    assert!(generations.iter().any(|(_, proxy)| !proxy.met().is_empty()), "the successors were in use");
}

#[test]
fn between_a_crash_and_the_next_process_nothing_passes_unjudged() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = servers(&bench);
    let Bench { redirect, proxy, app, outside, lab } = bench;
    let before = pins(&lab);
    let mut current = Some((redirect, proxy));
    let outcomes = meanwhile(&app, &outside, || {
        for _ in 0..5 {
            drop(current.take());
            current = Some(successor(&lab, &app, true, None));
        }
    });
    let direct = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Direct(_))).count();
    assert_eq!(direct, 0, "of {}", outcomes.len());
    assert_eq!(pins(&lab), before);
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_steered_from(ip(&outside, v6)), "and it works again");
    }
}

#[test]
fn a_process_that_does_not_pin_takes_away_the_pins_of_the_one_before() {
    if !able() {
        return;
    }
    let bench = Bench::new();
    let _servers = servers(&bench);
    let (redirect, proxy) = successor(&bench.lab, &bench.app, false, Some(bench.redirect.claim()));
    assert!(!pins(&bench.lab).iter().any(|name| name.contains("connect") || name.contains("lookup")));
    for v6 in FAMILIES {
        assert!(bench.ingress(v6, STEERED).is_steered_from(ip(&bench.outside, v6)));
    }
    drop((redirect, proxy));
    for v6 in FAMILIES {
        passes(&bench.outside, &bench.app, v6);
        passes(&bench.app, &bench.outside, v6);
    }
}
