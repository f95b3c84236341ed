//! Namespaces that vanish, are created again, or have one address family only.

use std::{fs, os::fd::AsFd};

use portcullis_integration::Lab;
use portcullis_redirect::{AttachPoint, KernelAttachment, Listeners, Redirect, RedirectError, RedirectOptions};

use crate::{
    bench::{APP, Bench, FAMILIES, REFUSED, STEERED, UNSTEERED, able, attach, ip, options, table},
    proxy::Proxy,
    sockets::get,
};

#[test]
fn a_namespace_that_is_deleted_while_it_is_steered_is_let_go() {
    if !able() {
        return;
    }
    let Bench { mut redirect, proxy, app, outside, lab } = Bench::new();
    drop(app);
    redirect.detach(APP).unwrap();
    let pins: Vec<_> =
        fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!pins.iter().any(|name| name.to_string_lossy().starts_with("endpoint-")), "{pins:?}");
    drop((redirect, proxy, outside));
}

#[test]
fn a_namespace_that_is_made_anew_under_the_same_name_is_steered_as_a_new_one() {
    if !able() {
        return;
    }
    let Bench { mut redirect, proxy, app, outside, mut lab } = Bench::new();
    drop(app);
    let app = lab.pod("app").unwrap();
    let anew = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    // Nobody has detached the old one.
    redirect.set_table(APP, &table()).unwrap();
    attach(&mut redirect, &app, &anew, &app.addresses());
    let _servers = [Bench::serve(&app, STEERED), Bench::serve(&outside, STEERED)];
    for v6 in FAMILIES {
        assert!(get(&outside, app.address(v6, STEERED)).is_steered_from(ip(&outside, v6)));
        assert!(get(&app, outside.address(v6, STEERED)).is_steered_from(ip(&app, v6)));
        assert!(get(&app, outside.address(v6, REFUSED)).is_refused());
    }
    let pins = fs::read_dir(lab.bpffs().join(crate::bench::LAYOUT)).unwrap();
    let names: Vec<_> = pins.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("endpoint-")).count(), 1, "{names:?}");
    drop(proxy);
}

#[test]
fn a_namespace_without_ipv6_is_steered_in_ipv4() {
    if !able() {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    app.inside(|| fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    assert!(proxy.listeners().tcp6.is_empty());
    redirect.set_table(APP, &table()).unwrap();
    // The resource names an IPv6 address all the same.
    attach(&mut redirect, &app, &proxy, &app.addresses());
    let _server = crate::sockets::Server::start(&app, app.address(false, STEERED));
    let _other = crate::sockets::Server::start(&outside, outside.address(false, STEERED));
    assert!(get(&outside, app.address(false, STEERED)).is_steered_from(ip(&outside, false)));
    assert!(get(&app, outside.address(false, STEERED)).is_steered_from(ip(&app, false)));
    redirect.close(false).unwrap();
}

#[test]
fn a_family_without_an_address_of_the_endpoint_is_refused_where_policy_wants_it_steered() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, STEERED);
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &[bench.app.v4.into()]);
    assert!(bench.egress(false, STEERED).is_steered_from(ip(&bench.app, false)));
    assert!(bench.egress(true, STEERED).is_refused(), "there is no route that could bring it to the listener");
}

#[test]
fn numbers_beyond_the_kernels_tables_are_refused() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let netns = Redirect::open_netns(&bench.app.netns).unwrap();
    for id in [0, 16384] {
        let place = AttachPoint::Pod { netns: netns.as_fd() };
        let attachment = KernelAttachment { id, place, addresses: &[], listeners: Listeners::default() };
        let error = bench.redirect.attach(&attachment).unwrap_err();
        assert!(matches!(error, RedirectError::Number(number) if number == id), "{error}");
    }
}

#[test]
fn an_endpoint_that_gets_another_address_is_steered_from_there() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = Bench::serve(&bench.outside, STEERED);
    let moved = ["10.77.1.9".parse().unwrap(), "fd77:1::9".parse().unwrap()];
    let both = "address add 10.77.1.9/32 dev eth0\naddress add fd77:1::9/128 dev eth0 nodad\n";
    bench.app.ip(both).unwrap();
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &moved);
    for (v6, ip) in FAMILIES.into_iter().zip(moved) {
        let outcome = bench.egress(v6, STEERED);
        assert!(outcome.is_steered_from(ip), "{outcome:?}");
    }
}

#[test]
fn an_endpoint_that_changes_its_number_stays_steered() {
    if !able() {
        return;
    }
    let mut bench = Bench::new();
    let _servers = [Bench::serve(&bench.app, STEERED), Bench::serve(&bench.outside, STEERED)];
    let proxy = Proxy::start(&bench.app, 2, &bench.app.addresses(), bench.redirect.upstreams());
    bench.redirect.set_table(2, &table()).unwrap();
    let netns = Redirect::open_netns(&bench.app.netns).unwrap();
    let addresses = bench.app.addresses();
    let place = AttachPoint::Pod { netns: netns.as_fd() };
    let renamed = KernelAttachment { id: 2, place, addresses: &addresses, listeners: proxy.listeners() };
    // The new one comes before the old one goes.
    bench.redirect.attach(&renamed).unwrap();
    bench.redirect.detach(APP).unwrap();
    for v6 in FAMILIES {
        assert!(bench.ingress(v6, STEERED).is_steered_from(ip(&bench.outside, v6)));
        assert!(bench.egress(v6, STEERED).is_steered_from(ip(&bench.app, v6)));
    }
    assert_eq!(proxy.met().len(), 4);
}

#[test]
fn what_is_not_there_is_named_with_its_remedy() {
    if !able() {
        return;
    }
    let lab = Lab::new().unwrap();
    let no_cgroup = RedirectOptions { cgroup: Some("/nowhere".into()), ..options(&lab, true) };
    let no_bpffs = RedirectOptions { bpffs: lab.node().directory().join("pins"), ..options(&lab, true) };
    for (options, remedy) in [(no_cgroup, "is the path right?"), (no_bpffs, "steering.bpffs")] {
        let error = Redirect::open(options).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(remedy), "{error}");
    }
}

#[test]
fn where_a_namespace_cannot_be_prepared_what_policy_wants_steered_is_refused_until_it_can() {
    if !able() {
        return;
    }
    let mut lab = Lab::new().unwrap();
    let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
    let mut redirect = Redirect::open(options(&lab, true)).unwrap();
    let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
    redirect.set_table(APP, &table()).unwrap();
    let _servers = [STEERED, UNSTEERED].map(|port| [Bench::serve(&app, port), Bench::serve(&outside, port)]);
    app.ip("link set lo down\n").unwrap();

    let netns = Redirect::open_netns(&app.netns).unwrap();
    let (place, addresses) = (AttachPoint::Pod { netns: netns.as_fd() }, app.addresses());
    let attachment = KernelAttachment { id: APP, place, addresses: &addresses, listeners: proxy.listeners() };
    let error = redirect.attach(&attachment).unwrap_err().to_string();
    assert!(error.contains("is its loopback device up?"), "{error}");
    for v6 in FAMILIES {
        assert!(get(&app, outside.address(v6, STEERED)).is_refused());
        assert!(get(&outside, app.address(v6, STEERED)).is_refused());
        assert!(get(&app, outside.address(v6, UNSTEERED)).is_direct_from(ip(&app, v6)));
        assert!(get(&outside, app.address(v6, UNSTEERED)).is_direct_from(ip(&outside, v6)));
    }

    app.ip("link set lo up\n").unwrap();
    redirect.attach(&attachment).unwrap();
    for v6 in FAMILIES {
        assert!(get(&app, outside.address(v6, STEERED)).is_steered_from(ip(&app, v6)));
        assert!(get(&outside, app.address(v6, STEERED)).is_steered_from(ip(&outside, v6)));
    }
}
