//! Packet programs as filters, for kernels without links at devices: they are verified, restored, outlive their
//! process, and are removed when no longer wanted.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use portcullis_integration::{Lab, Pod, Site};
use portcullis_redirect::{FlowDirection, PacketJudge, Redirect, RedirectInspection, RedirectOptions};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{
    bench::{APP, Bench, attach, options},
    bpf,
    packets::{DONE, OPEN, WAYS, Who, Wire, able, by, closed, has, passing, pins, send},
};

fn both() -> Vec<portcullis_redirect::KernelPortClass> {
    [closed(FlowDirection::Egress), closed(FlowDirection::Ingress)].concat()
}

fn tc(site: &Site, words: &str) {
    let words: Vec<&str> = ["tc"].into_iter().chain(words.split(' ')).collect();
    // A program in words of four numbers.
    let words: Vec<String> = words.iter().map(|word| word.replace('_', " ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    site.run(&words).unwrap().ok().unwrap();
}

/// Filters at both sides of a device.
fn filters(site: &Site, device: &str) -> String {
    let show = |side| site.run(&["tc", "filter", "show", "dev", device, side]).unwrap().stdout;
    show("ingress") + &show("egress")
}

#[test]
fn filters_that_somebody_takes_away_swaps_or_comes_before_are_seen_and_made_again() {
    if !able() {
        return;
    }
    let mut bench = by(false, &both());
    let pass = bench.lab.bpffs().join("pass");
    bpf::pin_pass(&pass);
    let made = pins(&bench.lab);
    assert_eq!((made.len(), passing(&bench)), (4, 0), "{made:?}");
    let (node, app) = (bench.lab.node().clone(), Site::clone(&bench.app));
    let program = format!("bpf direct-action pinned {}", pass.display());
    let before = |side: &str, device: &str| format!("filter add dev {device} {side} prio 1 handle 77 {program}");
    let swap = |side: &str, device: &str| format!("filter replace dev {device} {side} prio 1 handle 1 {program}");
    for [outside, inside] in [
        ["qdisc del dev v1 clsact".to_owned(), "qdisc del dev eth0 clsact".to_owned()],
        ["filter del dev v1 ingress".to_owned(), "filter del dev eth0 egress".to_owned()],
        [before("ingress", "v1"), before("egress", "eth0")],
        [swap("ingress", "v1"), swap("egress", "eth0")],
    ] {
        for (sites, opens) in [
            (vec![(&node, &outside)], false),
            (vec![(&app, &inside)], false),
            (vec![(&node, &outside), (&app, &inside)], true),
        ] {
            // From the beginning, where handles are known.
            bench.redirect.set_table(APP, &[]).unwrap();
            for (site, device) in [(&node, "v1"), (&app, "eth0")] {
                let _ = site.run(&["tc", "qdisc", "del", "dev", device, "clsact"]).unwrap();
            }
            bench.redirect.set_table(APP, &both()).unwrap();
            sites.iter().for_each(|(site, words)| tc(site, words));
            assert_eq!(passing(&bench) > 0, opens, "{sites:?}");
            let found = bench.redirect.inspect();
            assert!(found.detached.keys().eq([&APP]) && found.broken.is_empty(), "{sites:?}: {found:?}");
            bench.attach_with(|listeners| listeners);
            assert_eq!(bench.redirect.inspect(), RedirectInspection::default(), "{sites:?}");
            assert_eq!(
                (passing(&bench), bench.redirect.guard(APP), pins(&bench.lab)),
                (0, PacketJudge::Outside, made.clone())
            );
        }
    }
    fs::remove_file(pass).unwrap();
}

#[test]
fn filters_stay_when_their_process_ends_and_go_when_they_are_released() {
    if !able() {
        return;
    }
    let bench = by(false, &both());
    let made = pins(&bench.lab);
    let Bench { redirect, proxy, app, outside, lab } = bench;
    drop(redirect);
    let options = |lab: &Lab| RedirectOptions { device_links: false, ..options(lab, true) };
    let mut bench = Bench { redirect: Redirect::open(options(&lab)).unwrap(), proxy, app, outside, lab };
    assert_eq!((passing(&bench), pins(&bench.lab)), (0, made.clone()), "as after a crash");
    // A node that knows nothing of the endpoint.
    bench.redirect.retain(&[]).unwrap();
    assert!(passing(&bench) > 0 && pins(&bench.lab).is_empty());
    for (site, device) in [(bench.lab.node(), "v1"), (&*bench.app, "eth0")] {
        assert_eq!(filters(site, device), "");
    }
    // One that ends for good.
    bench.redirect.set_table(APP, &both()).unwrap();
    attach(&mut bench.redirect, &bench.app, &bench.proxy, &bench.app.addresses());
    assert_eq!((passing(&bench), pins(&bench.lab)), (0, made));
    assert!(filters(bench.lab.node(), "v1").contains("direct-action"));
    let Bench { redirect, app, lab, proxy, outside } = bench;
    drop(redirect);
    assert!(Redirect::release(options(&lab)).unwrap());
    for (site, device) in [(lab.node(), "v1"), (&*app, "eth0")] {
        assert_eq!(filters(site, device), "");
    }
    drop((proxy, outside));
}

#[test]
fn nothing_passes_while_one_process_takes_over_from_another() {
    if !able() {
        return;
    }
    for links in WAYS {
        let bench = by(links, &both());
        let (wire, over) = (Wire::tap(&bench.outside), AtomicBool::new(false));
        let Bench { mut redirect, proxy, app, outside, lab } = bench;
        let flooded = std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood(&app, &outside, &over));
            for _ in 0..4 {
                drop(redirect);
                redirect = Redirect::open(RedirectOptions { device_links: links, ..options(&lab, true) }).unwrap();
                redirect.set_table(APP, &both()).unwrap();
                attach(&mut redirect, &app, &proxy, &app.addresses());
                assert_eq!(redirect.inspect(), RedirectInspection::default());
            }
            over.store(true, Ordering::Relaxed);
            flood.join().unwrap()
        });
        assert_eq!(send(&app, Who::Root, "udp", &outside.v4.to_string(), OPEN, DONE, ""), "sent");
        let passed = wire.until(DONE).iter().filter(|packet| has(packet, "<flood>")).count();
        assert!(passed == 0 && flooded > 1000, "links: {links}: {passed} of {flooded}");
    }
}

/// Sends raw packets until it is over; how many.
fn flood(from: &Pod, to: &Pod, over: &AtomicBool) -> usize {
    let socket = from.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(253))).unwrap());
    let to = SockAddr::from(std::net::SocketAddr::from((to.v4, 0)));
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        // The device refuses what is dropped there.
        let _ = socket.send_to(b"<flood>", &to);
        sent += 1;
    }
    sent
}

#[test]
fn a_filter_that_ours_cannot_come_before_is_told() {
    if !able() {
        return;
    }
    let mut bench = by(false, &[]);
    tc(bench.lab.node(), "qdisc add dev v1 clsact");
    tc(bench.lab.node(), "filter add dev v1 ingress prio 1 protocol ip bpf bytecode 1,6_0_0_0,");
    bench.redirect.set_table(APP, &both()).unwrap();
    assert_eq!(passing(&bench), 0, "it lets packets go on to the next one");
    for _ in 0..5 {
        assert!(bench.redirect.inspect().detached.contains_key(&APP));
        bench.attach_with(|listeners| listeners);
    }
    assert!(bench.redirect.inspect().overruled.contains_key(&APP));
    tc(bench.lab.node(), "filter del dev v1 ingress prio 1");
    assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
    // A device whose qdisc has no side for what leaves is told as well.
    bench.redirect.set_table(APP, &[]).unwrap();
    tc(bench.lab.node(), "qdisc del dev v1 clsact");
    tc(bench.lab.node(), "qdisc add dev v1 ingress");
    let error = bench.redirect.set_table(APP, &both()).unwrap_err().to_string();
    assert!(error.contains("ingress qdisc"), "{error}");
}
