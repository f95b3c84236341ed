//! Everything that is ours is removed, and nothing else.

use std::{fs, path::Path};

use portcullis_integration::Site;
use portcullis_redirect::Redirect;

use crate::{
    bench::{APP, Bench, FAMILIES, STEERED, able, attach, ip, options, table},
    proxy::Proxy,
    resolver::{DNS, steered},
    sockets::get,
};

const SYSCTLS: [&str; 3] = ["net/ipv4/tcp_fwmark_accept", "net/ipv4/fwmark_reflect", "net/ipv6/fwmark_reflect"];

fn sysctl(site: &Site, name: &str) -> String {
    site.inside(|| fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap()).trim().to_owned()
}

/// Whatever steering changes in a namespace.
fn state(site: &Site) -> Vec<String> {
    let ip = |words: &[&str]| {
        let shown = site.run(words).unwrap().ok().unwrap().stdout;
        // The kernel's own routes of a new link come when they come.
        shown.lines().filter(|line| !line.contains("proto kernel")).collect::<Vec<_>>().join("\n")
    };
    let mut state = vec![
        ip(&["ip", "rule", "show"]),
        ip(&["ip", "-6", "rule", "show"]),
        ip(&["ip", "route", "show", "table", "all"]),
        ip(&["ip", "-6", "route", "show", "table", "all"]),
    ];
    state.extend(SYSCTLS.iter().map(|name| sysctl(site, name)));
    state
}

#[test]
fn closing_removes_rules_routes_links_and_maps_and_restores_sysctls() {
    if !able() {
        return;
    }
    let mut lab = portcullis_integration::Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    // Somebody else's rule with our table in it and a sysctl that was on before us: both stay.
    app.run(&["ip", "rule", "add", "pref", "100", "fwmark", "0x77", "lookup", "main"]).unwrap().ok().unwrap();
    app.inside(|| fs::write("/proc/sys/net/ipv4/fwmark_reflect", "1").unwrap());
    let before = state(&app);
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &[table(), steered(&[DNS, 5353])].concat()).unwrap();
    attach(&mut redirect, &app, &proxy, &app.addresses());
    let during = state(&app);
    assert!((0..7).filter(|index| *index != 5).all(|index| before[index] != during[index]), "{during:?}");
    assert!(lab.bpffs().exists());

    redirect.close(false).unwrap();
    assert_eq!(state(&app), before);
    assert!(!lab.bpffs().exists(), "the directory was ours");
    let _servers = [Bench::serve(&app, STEERED), Bench::serve(&outside, STEERED)];
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_direct_from(ip(&outside, v6)));
        assert!(get(&app, outside.address(v6, STEERED)).is_direct_from(ip(&app, v6)));
    }
}

#[test]
fn closing_with_keep_leaves_steered_flows_refused() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::new();
    let _servers = Bench::serve(&app, STEERED);
    redirect.close(true).unwrap();
    drop(proxy);
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_refused());
    }
    drop(lab);
}

#[test]
fn detaching_one_endpoint_leaves_the_others_steered() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let other = bench.lab.pod("other").unwrap();
    let before = state(&other);
    let proxy = Proxy::start(&other, 2, &other.addresses(), bench.redirect.upstreams());
    bench.redirect.set_table(2, &table()).unwrap();
    let netns = Redirect::open_netns(&other.netns).unwrap();
    let attachment = portcullis_redirect::KernelAttachment {
        id: 2,
        place: portcullis_redirect::AttachPoint::Pod { netns: std::os::fd::AsFd::as_fd(&netns) },
        addresses: &other.addresses(),
        listeners: proxy.listeners(),
    };
    bench.redirect.attach(&attachment).unwrap();
    let _servers = [Bench::serve(&bench.app, STEERED), Bench::serve(&other, STEERED)];
    for v6 in FAMILIES {
        assert!(get(&bench.outside, other.address(v6, STEERED)).is_steered_from(ip(&bench.outside, v6)));
    }
    bench.redirect.detach(2).unwrap();
    bench.redirect.detach(2).unwrap();
    assert_eq!(state(&other), before);
    for v6 in FAMILIES {
        assert!(get(&bench.outside, other.address(v6, STEERED)).is_direct_from(ip(&bench.outside, v6)));
        assert!(bench.ingress(v6, STEERED).is_steered_from(ip(&bench.outside, v6)));
    }
}

#[test]
fn rules_for_ports_come_and_go_with_the_table() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let without = state(&bench.app);
    let count = |bench: &Bench, port: &str| {
        let rules = state(&bench.app)[..2].concat();
        rules.lines().filter(|rule| rule.contains("0x504303") && rule.ends_with(port)).count()
    };
    // One that steers and one behind it that loses, in both families.
    let tables: [(&[u16], [usize; 3]); 5] = [
        (&[DNS], [4, 0, 0]),
        (&[DNS, 5353], [4, 4, 0]),
        (&[5353], [0, 4, 0]),
        (&[1053, 1054], [0, 0, 4]),
        (&[], [0, 0, 0]),
    ];
    for (ports, counts) in tables {
        bench.redirect.set_table(APP, &[table(), steered(ports)].concat()).unwrap();
        let shown = ["dport 53", "dport 5353", "dport 1053-1054"].map(|port| {
            let steer = format!("{port} lookup 20547");
            let lost = format!("{port} unreachable");
            count(&bench, &steer) + count(&bench, &lost)
        });
        assert_eq!(shown, counts, "{ports:?}: {:?}", &state(&bench.app)[..2]);
    }
    assert_eq!(state(&bench.app), without);
    // What somebody takes away is there again after the next attachment, and what an earlier process left is not.
    bench.redirect.set_table(APP, &steered(&[DNS])).unwrap();
    let with = state(&bench.app);
    bench.app.run(&["ip", "rule", "del", "pref", "101"]).unwrap().ok().unwrap();
    let stale =
        ["ip", "rule", "add", "pref", "101", "fwmark", "0x504303", "ipproto", "17", "dport", "99", "lookup", "20547"];
    bench.app.run(&stale).unwrap().ok().unwrap();
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
    assert_eq!(state(&bench.app), with);
}

#[test]
fn attaching_again_changes_nothing_that_is_there_already() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = Bench::serve(&bench.app, STEERED);
    let during = state(&bench.app);
    let successor = Proxy::start(&bench.app, APP, &bench.app.addresses(), bench.redirect.upstreams());
    attach(&mut bench.redirect, &bench.app, &successor, &bench.app.addresses());
    assert_eq!(state(&bench.app), during);
    assert!(bench.ingress(false, STEERED).is_steered_from(ip(&bench.outside, false)));
    assert_eq!(successor.met().len(), 1, "the new listeners are in use");
}

#[test]
fn what_a_crashed_process_left_for_an_endpoint_that_is_no_more_is_removed() {
    if !able() {
        return;
    }
    let mut lab = portcullis_integration::Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    let before = state(&app);
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &[table(), steered(&[DNS])].concat()).unwrap();
    attach(&mut redirect, &app, &proxy, &app.addresses());
    drop((redirect, proxy));
    let mut next = Redirect::open(options(&lab, true)).unwrap();
    next.retain(&[]).unwrap();
    assert_eq!(state(&app), before, "found by the pin's name, old sysctls by the map");
    let left: Vec<_> =
        fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("endpoint-")), "{left:?}");
    let _servers = Bench::serve(&app, STEERED);
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_direct_from(ip(&outside, v6)));
    }
}

#[test]
fn an_endpoint_that_cannot_be_attached_after_a_restart_stays_refused() {
    if !able() {
        return;
    }
    let Bench { redirect, proxy, app, outside, lab } = Bench::new();
    let _servers = [Bench::serve(&app, STEERED), Bench::serve(&outside, STEERED)];
    drop((redirect, proxy));
    let mut next = Redirect::open(options(&lab, true)).unwrap();
    next.set_table(APP, &table()).unwrap();
    next.retain(&[APP]).unwrap();
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_refused());
        assert!(get(&app, outside.address(v6, STEERED)).is_refused());
    }
}

#[test]
fn what_another_version_attached_refuses_until_ours_is_attached_and_is_gone_then() {
    if !able() {
        return;
    }
    let Bench { mut redirect, proxy, app, outside, lab } = Bench::new();
    let _server = Bench::serve(&outside, STEERED);
    // As another version leaves it that ends without a word: its pins, in a directory of its own.
    drop(redirect);
    drop(proxy);
    fs::rename(lab.bpffs().join(crate::bench::LAYOUT), lab.bpffs().join("v1")).unwrap();
    assert!(get(&app, outside.address(false, STEERED)).is_refused());
    redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &table()).unwrap();
    attach(&mut redirect, &app, &proxy, &app.addresses());
    assert!(get(&app, outside.address(false, STEERED)).is_refused(), "the old programs still refuse");
    redirect.retain(&[APP]).unwrap();
    for v6 in FAMILIES {
        assert!(get(&app, outside.address(v6, STEERED)).is_steered_from(ip(&app, v6)));
    }
    redirect.close(false).unwrap();
    assert!(!lab.bpffs().exists(), "nothing of either is left");
}
