//! Programs of others at the devices of an endpoint, and devices that come and go: our programs run first at each
//! present device.

use std::{path::Path, time::Duration};

use nix::net::if_::if_nametoindex;
use portcullis_integration::Site;
use portcullis_redirect::{FlowDirection, PacketJudge, RedirectInspection};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    bench::{APP, Bench, ip},
    bpf,
    icmp::ping,
    packets::{SHUT, Who, able, closed, has_links, passing, pins, send},
};

/// A device by its name: number, and the names of the namespaces that `ip` takes.
fn index(site: &Site, name: &str) -> u32 {
    site.inside(|| if_nametoindex(name).unwrap())
}

fn name(site: &Site) -> String {
    site.netns.file_name().unwrap().to_string_lossy().into_owned()
}

fn both() -> Vec<portcullis_redirect::KernelPortClass> {
    [closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat()
}

#[test]
fn a_program_that_is_put_before_ours_is_told_and_ours_comes_to_the_front() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &both());
    if !has_links(&bench) {
        return;
    }
    let (node, app) = (bench.lab.node().netns.clone(), bench.app.netns.clone());
    let (outside, inside) = (index(bench.lab.node(), "v1"), index(&bench.app, "eth0"));
    let made = pins(&bench.lab);
    let sides: [(&Path, u32, &str); 4] =
        [(&node, outside, "ingress"), (&node, outside, "egress"), (&app, inside, "ingress"), (&app, inside, "egress")];
    for some in sides.iter().map(std::slice::from_ref).chain([sides.as_slice()]) {
        let others: Vec<_> =
            some.iter().map(|(netns, device, side)| bpf::Another::at_device(netns, *device, side)).collect();
        // What is inside judges where nothing outside does, and the other way round.
        assert_eq!(passing(&bench) > 0, some.len() == sides.len(), "{some:?}");
        let found = bench.redirect.inspect();
        let told = found.detached.get(&APP).unwrap();
        assert!(told.contains("were put before") && found.broken.is_empty(), "{some:?}: {found:?}");
        bench.attach_with(|listeners| listeners);
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default(), "{some:?}: ours are the first");
        assert_eq!(
            (passing(&bench), bench.redirect.guard(APP), pins(&bench.lab)),
            (0, PacketJudge::Outside, made.clone())
        );
        drop(others);
        assert_eq!((passing(&bench), bench.redirect.inspect()), (0, RedirectInspection::default()));
        // What was in force goes with the policy, and nothing of the tries stays.
        bench.redirect.set_table(APP, &[]).unwrap();
        assert!(passing(&bench) > 0 && pins(&bench.lab).is_empty());
        bench.redirect.set_table(APP, &both()).unwrap();
    }
}

#[test]
fn who_comes_before_ours_again_and_again_is_told_and_no_more_fought_each_second() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &both());
    if !has_links(&bench) {
        return;
    }
    let (node, outside) = (bench.lab.node().netns.clone(), index(bench.lab.node(), "v1"));
    let mut others = Vec::new();
    for turn in 0..5 {
        others.push(bpf::Another::at_device(&node, outside, "ingress"));
        assert!(bench.redirect.inspect().detached.contains_key(&APP), "{turn}");
        bench.attach_with(|listeners| listeners);
    }
    others.push(bpf::Another::at_device(&node, outside, "ingress"));
    let found = bench.redirect.inspect();
    assert!(found.detached.is_empty() && found.overruled[&APP].contains("again and again"), "{found:?}");
    others.clear();
    portcullis_integration::wait::until("the others gone", String::new, || {
        Ok((bench.redirect.inspect() == RedirectInspection::default()).then_some(()))
    })
    .unwrap();
    assert_eq!(passing(&bench), 0);
}

#[test]
fn a_successor_puts_its_programs_before_what_came_in_between() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &both());
    if !has_links(&bench) {
        return;
    }
    let made = pins(&bench.lab);
    let (node, outside) = (bench.lab.node().netns.clone(), index(bench.lab.node(), "v1"));
    let Bench { redirect, proxy, app, outside: other, lab } = bench;
    drop(redirect);
    let _others = [
        bpf::Another::at_device(&node, outside, "ingress"),
        bpf::Another::at_device(&app.netns, index(&app, "eth0"), "egress"),
    ];
    let mut redirect = portcullis_redirect::Redirect::open(crate::bench::options(&lab, true)).unwrap();
    redirect.set_table(APP, &both()).unwrap();
    crate::bench::attach(&mut redirect, &app, &proxy, &app.addresses());
    let mut bench = Bench { redirect, proxy, app, outside: other, lab };
    assert_eq!((passing(&bench), pins(&bench.lab)), (0, made));
    assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
}

/// What is handed to the pod's device itself never meets the programs outside.
#[test]
fn packets_that_are_handed_over_past_the_programs_outside_are_judged_inside() {
    if !able() {
        return;
    }
    let bench = Bench::with(true, &both());
    if !has_links(&bench) {
        return;
    }
    let node = bench.lab.node();
    let raw = bench.app.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(253))).unwrap());
    raw.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let to = ip(&bench.app, false).to_string();
    let arrives = || {
        assert_eq!(send(&bench.outside, Who::Root, "raw protocol", &to, SHUT, "<handed>", "253"), "sent");
        let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
        raw.recv(&mut buffer).is_ok()
    };
    assert!(!arrives());
    let handing = bpf::Another::redirecting(&node.netns, index(node, "v2"), index(node, "v1"));
    assert!(!arrives(), "by way of bpf_redirect_peer");
    // An echo is answered only if a program has seen the request come.
    assert_eq!(ping(&bench.outside, &to, "SOCK_RAW", "sendto", 8), "answered");
    drop(handing);
}

#[test]
fn a_new_device_with_the_number_of_the_old_one_is_judged_as_what_it_is() {
    if !able() {
        return;
    }
    let mut bench = Bench::with(true, &both());
    if !has_links(&bench) {
        return;
    }
    let changes = bench.redirect.watch().unwrap();
    let (outer, inner) = (index(bench.lab.node(), "v1"), index(&bench.app, "eth0"));
    let away = ["away", "beyond"].map(|name| {
        let away = bench.lab.pod(name).unwrap();
        away.ip("link del eth0\n").unwrap();
        away
    });
    // Deleted; or the same pair of devices elsewhere, where the programs still are at it.
    for moved in [false, true] {
        while changes.recv_timeout(Duration::from_millis(600)).is_ok() {}
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
        if moved {
            bench.app.ip(&format!("link set eth0 name moved0 netns {}\n", name(&away[0]))).unwrap();
            bench.lab.node().ip(&format!("link set v1 name moved1 netns {}\n", name(&away[1]))).unwrap();
            assert_eq!(
                (index(&away[0], "moved0"), index(&away[1], "moved1")),
                (inner, outer),
                "numbers go with devices"
            );
        } else {
            bench.app.ip("link del eth0\n").unwrap();
        }
        let anew =
            format!("link add eth0 index {inner} netns {} type veth peer name v1 index {outer}\n", name(&bench.app));
        bench.lab.node().ip(&anew).unwrap();
        assert_eq!((index(&bench.app, "eth0"), index(bench.lab.node(), "v1")), (inner, outer));
        bench.lab.node().ip(ADDRESSES_OUTSIDE).unwrap();
        bench.app.ip(ADDRESSES_INSIDE).unwrap();
        assert!(passing(&bench) > 0, "moved: {moved}; nobody has looked yet");
        assert!(bench.redirect.inspect().detached.contains_key(&APP), "moved: {moved}");
        assert_eq!(changes.recv_timeout(Duration::from_secs(1)), Ok(APP), "and it is noticed");
        bench.attach_with(|listeners| listeners);
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default(), "moved: {moved}");
        assert_eq!((passing(&bench), bench.redirect.guard(APP)), (0, PacketJudge::Outside), "moved: {moved}");
    }
    // The devices that went away are judged no more.
    assert_eq!(bpf::programs_at(&away[0].netns, inner) + bpf::programs_at(&away[1].netns, outer), 0);
}

const ADDRESSES_OUTSIDE: &str =
    "address add 10.77.1.1/24 dev v1\naddress add fd77:1::1/64 dev v1 nodad\nlink set v1 up\n";
const ADDRESSES_INSIDE: &str = "address add 10.77.1.2/24 dev eth0\naddress add fd77:1::2/64 dev eth0 nodad\n\
    link set eth0 up\nroute add default via 10.77.1.1\nroute add default via fd77:1::1\n";
