//! Tables: their effect, and what happens while they change.

use std::{
    net::IpAddr,
    os::fd::AsFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use aya::maps::{HashMap, LpmTrie, MapData};
use ipnet::IpNet;
use portcullis_integration::Lab;
use portcullis_redirect::{
    Action, AttachPoint, FlowDirection, KernelAttachment, KernelPortClass, LearnedAddressChange, Redirect,
    RedirectError,
};

use crate::{
    bench::{APP, Bench, FAMILIES, REFUSED, STEERED, TCP, UNSTEERED, able, attach, class, ip, options, table},
    proxy::Proxy,
    sockets::{Outcome, get},
};

/// Flag of a map that takes memory for its entries one by one.
const NO_PREALLOC: u32 = 1;

/// A pod on a node one of whose maps is another one, with less room. Its table is not set yet.
fn cramped(map: &str, pin: impl FnOnce(&Path)) -> Bench {
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    Redirect::open(options(&lab, true)).unwrap().close(true).unwrap();
    let path = lab.bpffs().join(crate::bench::LAYOUT).join(map);
    std::fs::remove_file(&path).unwrap();
    pin(&path);
    let redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    Bench { redirect, proxy, app, outside, lab }
}

#[test]
fn an_endpoint_whose_first_table_does_not_fit_is_refused_what_the_table_speaks_of_until_it_fits() {
    if !able() {
        return;
    }
    // Two entries are the self-check's.
    let small = LpmTrie::<MapData, [u8; 20], u32>::create(5, NO_PREALLOC).unwrap();
    let mut bench = cramped("POLICY", |path| small.pin(path).unwrap());
    let full = bench.redirect.set_table(APP, &table()).unwrap_err();
    assert!(matches!(full, RedirectError::Full("POLICY")), "{full}");
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
    let _servers =
        [&bench.app, &bench.outside].map(|pod| [STEERED, UNSTEERED, REFUSED].map(|port| Bench::serve(pod, port)));
    for family in FAMILIES {
        let (client, outside) = (ip(&bench.app, family), ip(&bench.outside, family));
        for port in [STEERED, REFUSED] {
            assert!(bench.ingress(family, port).is_refused() && bench.egress(family, port).is_refused(), "{port}");
        }
        assert!(bench.ingress(family, UNSTEERED).is_direct_from(outside));
        assert!(bench.egress(family, UNSTEERED).is_direct_from(client));
    }
    // This one fits, so what is shut opens, and another one that does not changes none of it.
    let fits = class(FlowDirection::Ingress, TCP, STEERED..=STEERED, Action::Steer);
    bench.redirect.set_table(APP, std::slice::from_ref(&fits)).unwrap();
    for shut in [false, true] {
        if shut {
            bench.redirect.set_table(APP, &[fits.clone(), table()[1].clone()]).unwrap_err();
        }
        for family in FAMILIES {
            assert!(bench.ingress(family, STEERED).is_steered_from(ip(&bench.outside, family)));
            assert_eq!(bench.ingress(family, REFUSED).is_refused(), shut);
            assert!(bench.egress(family, STEERED).is_direct_from(ip(&bench.app, family)));
        }
    }
}

#[test]
fn an_endpoint_whose_addresses_have_no_room_is_refused_what_its_table_speaks_of_until_they_have() {
    if !able() {
        return;
    }
    let small = HashMap::<MapData, [u8; 20], u32>::create(1, NO_PREALLOC).unwrap();
    let mut bench = cramped("LOCALS", |path| small.pin(path).unwrap());
    bench.redirect.set_table(APP, &table()).unwrap();
    let netns = Redirect::open_netns(&bench.app.netns).unwrap();
    let place = AttachPoint::Pod { netns: netns.as_fd() };
    let (addresses, listeners) = (bench.app.addresses(), bench.proxy.listeners());
    let attachment = KernelAttachment { id: APP, place, addresses: &addresses, listeners };
    bench.redirect.attach(&attachment).unwrap_err();
    let _servers = [&bench.app, &bench.outside].map(|pod| [STEERED, UNSTEERED].map(|port| Bench::serve(pod, port)));
    for family in FAMILIES {
        assert!(bench.ingress(family, STEERED).is_refused() && bench.egress(family, STEERED).is_refused());
        assert!(bench.ingress(family, UNSTEERED).is_direct_from(ip(&bench.outside, family)));
        assert!(bench.egress(family, UNSTEERED).is_direct_from(ip(&bench.app, family)));
    }
    bench.redirect.attach(&KernelAttachment { addresses: &addresses[..1], ..attachment }).unwrap();
    assert!(bench.ingress(false, STEERED).is_steered_from(ip(&bench.outside, false)));
    assert!(bench.egress(false, STEERED).is_steered_from(ip(&bench.app, false)));
}

fn ingress(ports: std::ops::RangeInclusive<u16>, prefixes: &[(&str, Action)]) -> KernelPortClass {
    let prefixes = prefixes.iter().map(|(prefix, action)| (prefix.parse().unwrap(), *action)).collect();
    KernelPortClass { direction: FlowDirection::Ingress, protocol: TCP, ports, prefixes, learns: false }
}

#[test]
fn the_longest_prefix_decides_and_an_address_without_one_is_refused() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    let others = ["passed", "refused", "uncovered"].map(|name| bench.lab.pod(name).unwrap());
    let (v4, v6) = (|index: usize| others[index].v4.to_string(), |index: usize| others[index].v6.to_string());
    let steered = [bench.outside.v4.to_string(), bench.outside.v6.to_string()];
    // The first two bytes are everybody's here: the third one tells pods apart.
    let prefixes = [
        (format!("{}/24", &steered[0]), Action::Steer),
        (format!("{}/64", &steered[1]), Action::Steer),
        (format!("{}/24", v4(0)), Action::Refuse),
        (format!("{}/32", v4(0)), Action::Pass),
        (format!("{}/64", v6(0)), Action::Refuse),
        (format!("{}/128", v6(0)), Action::Pass),
        (format!("{}/32", v4(1)), Action::Refuse),
        (format!("{}/128", v6(1)), Action::Refuse),
    ];
    let prefixes: Vec<(&str, Action)> = prefixes.iter().map(|(prefix, action)| (prefix.as_str(), *action)).collect();
    bench.redirect.set_table(APP, &[ingress(80..=80, &prefixes)]).unwrap();
    let _servers = Bench::serve(&bench.app, STEERED);
    for family in FAMILIES {
        let to = bench.app.address(family, STEERED);
        assert!(get(&bench.outside, to).is_steered_from(ip(&bench.outside, family)));
        assert!(get(&others[0], to).is_direct_from(ip(&others[0], family)));
        assert!(get(&others[1], to).is_refused());
        assert!(get(&others[2], to).is_refused(), "no prefix covers it");
    }
}

#[test]
fn ranges_of_ports_end_where_they_end() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[]);
    bench.redirect.set_table(APP, &[class(FlowDirection::Ingress, TCP, 1000..=2999, Action::Refuse)]).unwrap();
    for (port, refused) in [(999, false), (1000, true), (1777, true), (2999, true), (3000, false)] {
        let _servers = Bench::serve(&bench.app, port);
        for v6 in FAMILIES {
            let outcome = bench.ingress(v6, port);
            assert_eq!(outcome.is_refused(), refused, "port {port}: {outcome:?}");
        }
    }
}

#[test]
fn an_emptied_table_lets_everything_pass_again() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = Bench::serve(&bench.app, STEERED);
    bench.redirect.set_table(APP, &[]).unwrap();
    for v6 in FAMILIES {
        assert!(bench.ingress(v6, STEERED).is_direct_from(ip(&bench.outside, v6)));
    }
}

#[test]
fn changes_on_live_tables_are_never_more_open_than_the_old_and_the_new_one() {
    if !able() {
        return;
    }
    let Bench { mut redirect, proxy, app, outside, lab } = Bench::with(true, &[]);
    let both = |ports: std::ops::RangeInclusive<u16>, action| {
        [FlowDirection::Ingress, FlowDirection::Egress]
            .map(|direction| class(direction, TCP, ports.clone(), action))
            .to_vec()
    };
    // Each closes port 80; they differ in classes, ports and prefixes.
    let closed = [
        both(80..=80, Action::Steer),
        both(80..=80, Action::Refuse),
        both(0..=65535, Action::Steer),
        both(79..=81, Action::Refuse),
        [both(80..=80, Action::Steer), both(81..=90, Action::Refuse)].concat(),
    ];
    redirect.set_table(APP, &closed[0]).unwrap();
    let _servers = [Bench::serve(&app, STEERED), Bench::serve(&outside, STEERED)];
    let done = AtomicBool::new(false);
    let seen: Vec<Outcome> = thread::scope(|scope| {
        let hammers = FAMILIES.map(|v6| [(&outside, app.address(v6, 80)), (&app, outside.address(v6, 80))]).concat();
        let hammers: Vec<_> = hammers
            .into_iter()
            .map(|(from, to)| {
                let done = &done;
                scope.spawn(move || {
                    let mut seen = vec![get(from, to)];
                    while !done.load(Ordering::Relaxed) {
                        seen.push(get(from, to));
                    }
                    seen
                })
            })
            .collect();
        for table in closed.iter().cycle().take(300) {
            redirect.set_table(APP, table).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        hammers.into_iter().flat_map(|hammer| hammer.join().unwrap()).collect()
    });
    let direct = seen.iter().filter(|outcome| matches!(outcome, Outcome::Direct(_))).count();
    assert_eq!(direct, 0, "of {} connections", seen.len());
    drop((redirect, proxy, lab));
}

/// Egress to port 80 is refused but to some addresses, and learns.
fn learning(prefixes: &[(IpAddr, Action)]) -> KernelPortClass {
    let single = prefixes.iter().map(|(address, action)| (IpNet::from(*address), *action));
    let class = class(FlowDirection::Egress, TCP, STEERED..=STEERED, Action::Refuse);
    KernelPortClass { prefixes: class.prefixes.iter().copied().chain(single).collect(), learns: true, ..class }
}

fn resolution(address: IpAddr, action: Option<Action>) -> LearnedAddressChange {
    LearnedAddressChange { direction: FlowDirection::Egress, protocol: TCP, ports: STEERED..=STEERED, address, action }
}

#[test]
fn a_single_address_comes_changes_and_goes_without_a_new_table() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[learning(&[])]);
    let _servers = Bench::serve(&bench.outside, STEERED);
    for family in FAMILIES {
        let outside = ip(&bench.outside, family);
        let client = ip(&bench.app, family);
        assert!(bench.egress(family, STEERED).is_refused());
        assert!(bench.redirect.learn(APP, &[resolution(outside, Some(Action::Steer))]).unwrap());
        assert!(bench.egress(family, STEERED).is_steered_from(client));
        bench.redirect.set_table(APP, &[learning(&[(outside, Action::Steer)])]).unwrap();
        assert!(bench.egress(family, STEERED).is_steered_from(client));
        assert!(bench.redirect.learn(APP, &[resolution(outside, Some(Action::Pass))]).unwrap());
        assert!(bench.egress(family, STEERED).is_direct_from(client));
        assert!(bench.redirect.learn(APP, &[resolution(outside, None)]).unwrap());
        assert!(bench.egress(family, STEERED).is_refused());
    }
    let other = LearnedAddressChange { ports: 81..=81, ..resolution(ip(&bench.outside, false), Some(Action::Pass)) };
    assert!(!bench.redirect.learn(APP, &[other]).unwrap(), "no class learns there");
}

#[test]
fn an_address_that_stays_allowed_is_never_refused_while_others_come_and_go() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &[learning(&[])]);
    let _servers = Bench::serve(&bench.outside, STEERED);
    let stays = FAMILIES.map(|family| ip(&bench.outside, family));
    let allowed = stays.map(|address| (address, Action::Pass));
    bench.redirect.set_table(APP, &[learning(&allowed)]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (app, outside, done) = (&bench.app, &bench.outside, &done);
        let hammers = FAMILIES.map(|family| {
            scope.spawn(move || {
                let mut seen = vec![get(app, outside.address(family, STEERED))];
                while !done.load(Ordering::Relaxed) {
                    seen.push(get(app, outside.address(family, STEERED)));
                }
                seen
            })
        });
        for round in 0..200_u8 {
            let other = IpAddr::from([203, 0, 113, round]);
            assert!(bench.redirect.learn(APP, &[resolution(other, Some(Action::Steer))]).unwrap());
            for address in stays {
                assert!(bench.redirect.learn(APP, &[resolution(address, Some(Action::Pass))]).unwrap());
            }
            // Forgets the other one in place.
            bench.redirect.set_table(APP, &[learning(&allowed)]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for (hammer, family) in hammers.into_iter().zip(FAMILIES) {
            let seen = hammer.join().unwrap();
            let direct = seen.iter().filter(|outcome| outcome.is_direct_from(ip(app, family))).count();
            assert_eq!(direct, seen.len());
        }
    });
}
