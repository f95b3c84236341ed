//! Devices without a peer outside: macvlan and ipvlan, which hand packets to another namespace without a veth.

use std::{mem::MaybeUninit, time::Duration};

use portcullis_integration::{Lab, Pod, Site};
use portcullis_redirect::{FlowDirection, PacketJudge, RedirectInspection};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    bench::{self, APP, Bench},
    packets::{DONE, OPEN, SHUT, WAYS, Who, Wire, able, by, closed, has, send},
};

const ADDRESS: &str = "10.79.0.2";
const OTHER: &str = "10.79.0.3";

fn name(site: &Site) -> String {
    site.netns.file_name().unwrap().to_string_lossy().into_owned()
}

/// Has a device of this kind be the only one of the endpoint, made of a veth whose peer is `other`, outside.
fn replace(bench: &Bench, kind: &str) {
    let (node, app, outside) = (bench.lab.node(), &bench.app, &bench.outside);
    app.ip("link del eth0\n").unwrap();
    node.ip(&format!(
        "link add parent type veth peer name other netns {}\nlink set parent up\n\
         link add link parent name eth0 netns {} type {kind}\n",
        name(outside),
        name(app)
    ))
    .unwrap();
    app.ip(&format!("address add {ADDRESS}/24 dev eth0\nlink set eth0 up\n")).unwrap();
    outside.ip(&format!("address add {OTHER}/24 dev other\nlink set other up\n")).unwrap();
    // A device of layer 3 resolves nobody: neighbours are told.
    let shown = app.run(&["ip", "-brief", "link", "show", "dev", "eth0"]).unwrap().stdout;
    let hardware = shown.split_whitespace().nth(2).unwrap();
    outside.ip(&format!("neighbour replace {ADDRESS} lladdr {hardware} dev other\n")).unwrap();
}

/// Which of some ways from one to another come to a tap.
fn seen(from: &Pod, to: &Pod, address: &str) -> Vec<&'static str> {
    const WAYS_OF_ROOT: [(&str, &str); 5] =
        [("raw udp", ""), ("raw protocol", "253"), ("frame", ""), ("raw lite", ""), ("fragments", "")];
    let wire = Wire::tap(to);
    for (number, (way, argument)) in WAYS_OF_ROOT.iter().enumerate() {
        send(from, Who::Root, way, address, SHUT, &format!("<way-{number}>"), argument);
    }
    assert_eq!(send(from, Who::Root, "udp", address, OPEN, DONE, ""), "sent");
    let packets = wire.until(DONE);
    let shown = WAYS_OF_ROOT.iter().enumerate().filter(|(number, _)| {
        let mark = format!("<way-{number}>");
        packets.iter().any(|packet| has(packet, &mark))
    });
    shown.map(|(_, (way, _))| *way).collect()
}

#[test]
fn what_policy_denies_neither_leaves_nor_arrives_by_a_macvlan() {
    if able() {
        judged(&["macvlan mode bridge"]);
    }
}

#[test]
fn what_policy_denies_neither_leaves_nor_arrives_by_an_ipvlan() {
    if !able() {
        return;
    }
    let lab = Lab::new().unwrap();
    let made = lab.node().ip("link add parent type veth\nlink add link parent type ipvlan\n");
    if let Err(error) = made {
        // No set-up gives a kernel another kind of device, so this is no lack of the machine's.
        eprintln!("SKIPPED: this kernel has no ipvlan: {error}");
        return;
    }
    // In mode l3s nothing comes in through the device itself, so that arrives unjudged: docs/security.md.
    judged(&["ipvlan mode l2", "ipvlan mode l3"]);
}

fn judged(kinds: &[&str]) {
    for (kind, links) in kinds.iter().flat_map(|kind| WAYS.map(|links| (kind, links))) {
        let mut bench = by(links, &[]);
        replace(&bench, kind);
        assert!(seen(&bench.app, &bench.outside, OTHER).len() >= 4, "{kind}: the witness sees what leaves");
        assert!(arrives(&bench), "{kind}: the witness sees what arrives");
        let own = [ADDRESS.parse().unwrap()];
        bench::attach(&mut bench.redirect, &bench.app, &bench.proxy, &own);
        bench.redirect.set_table(APP, &closed(FlowDirection::Egress)).unwrap();
        assert_eq!(bench.redirect.guard(APP), PacketJudge::Inside, "{kind}");
        assert_eq!(seen(&bench.app, &bench.outside, OTHER), [""; 0], "{kind}, links: {links}");
        bench.redirect.set_table(APP, &closed(FlowDirection::Ingress)).unwrap();
        assert!(!arrives(&bench), "{kind}, links: {links}");
        assert_eq!(bench.redirect.inspect(), RedirectInspection::default());
    }
}

/// A tap sees what comes to a device before anything judges it there, so a socket is the witness.
fn arrives(bench: &Bench) -> bool {
    let raw = bench.app.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(253))).unwrap());
    raw.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 512];
    assert_eq!(send(&bench.outside, Who::Root, "raw protocol", ADDRESS, SHUT, "<denied>", "253"), "sent");
    raw.recv(&mut buffer).is_ok()
}
