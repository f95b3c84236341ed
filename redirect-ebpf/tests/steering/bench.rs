//! The set-up that most tests share.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    time::Duration,
};

use portcullis_integration::{Lab, Need, Pod, require};
use portcullis_redirect::{
    Action, AttachPoint, FlowDirection, KernelAttachment, KernelPortClass, Listeners, Redirect, RedirectOptions,
};

use crate::{
    proxy::Proxy,
    sockets::{Outcome, Server, get},
};

/// The endpoint's number.
pub(crate) const APP: u32 = 1;

/// The directory of this version's pins.
pub(crate) const LAYOUT: &str = "v5";

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// A port that policy wants steered, in both directions.
pub(crate) const STEERED: u16 = 80;
/// A port that policy says nothing of.
pub(crate) const UNSTEERED: u16 = 81;
/// A port that policy wants refused, in both directions.
pub(crate) const REFUSED: u16 = 82;

/// Listeners of a proxy for each family and protocol.
pub(crate) const WORKERS: u32 = 2;

/// How long answers to datagrams may come.
pub(crate) const ANSWERS: Duration = Duration::from_secs(60);

/// Both families.
pub(crate) const FAMILIES: [bool; 2] = [false, true];

/// Whether this machine can do it.
pub(crate) fn able() -> bool {
    require(&[Need::Root, Need::Bpf, Need::Ipv6, Need::Program("ip"), Need::Program("nft")])
}

/// A kernel with links at devices, which the tests' own programs are attached by.
pub(crate) const DEVICE_LINKS: Need<'_> = Need::Linux(6, 6);

/// Decisions for ports, whoever the peer is.
pub(crate) fn class(
    direction: FlowDirection,
    protocol: u8,
    ports: std::ops::RangeInclusive<u16>,
    action: Action,
) -> KernelPortClass {
    let prefixes = ["0.0.0.0/0", "::/0"].map(|prefix| (prefix.parse().unwrap(), action)).to_vec();
    KernelPortClass { direction, protocol, ports, prefixes, learns: false }
}

/// Steers [`STEERED`] and refuses [`REFUSED`], TCP, both directions.
pub(crate) fn table() -> Vec<KernelPortClass> {
    let both = [FlowDirection::Ingress, FlowDirection::Egress].into_iter();
    both.flat_map(|direction| {
        [
            class(direction, TCP, STEERED..=STEERED, Action::Steer),
            class(direction, TCP, REFUSED..=REFUSED, Action::Refuse),
        ]
    })
    .collect()
}

/// Two pods, a loader, and a proxy for `app`. Fields drop in this order: the loader before the laboratory.
pub(crate) struct Bench {
    pub(crate) redirect: Redirect,
    pub(crate) proxy: Proxy,
    pub(crate) app: Pod,
    pub(crate) outside: Pod,
    pub(crate) lab: Lab,
}

impl Bench {
    /// Attached by [`table`], links pinned.
    pub(crate) fn new() -> Self {
        Self::with(true, &table())
    }

    pub(crate) fn with(pin: bool, table: &[KernelPortClass]) -> Self {
        Self::by(table, |lab| options(lab, pin))
    }

    /// With other options.
    pub(crate) fn by(table: &[KernelPortClass], options: impl FnOnce(&Lab) -> RedirectOptions) -> Self {
        let mut lab = Lab::new().unwrap();
        let (app, outside) = (lab.pod("app").unwrap(), lab.pod("outside").unwrap());
        let mut redirect = Redirect::open(options(&lab)).unwrap();
        let proxy = Proxy::start(&app, APP, &app.addresses(), redirect.upstreams());
        redirect.set_table(APP, table).unwrap();
        attach(&mut redirect, &app, &proxy, &app.addresses());
        Self { redirect, proxy, app, outside, lab }
    }

    /// Attaches again with other listeners.
    pub(crate) fn attach_with(&mut self, change: impl FnOnce(Listeners<'_>) -> Listeners<'_>) {
        let netns = Redirect::open_netns(&self.app.netns).unwrap();
        let place = AttachPoint::Pod { netns: netns.as_fd() };
        let listeners = change(self.proxy.listeners());
        self.redirect
            .attach(&KernelAttachment { id: APP, place, addresses: &self.app.addresses(), listeners })
            .unwrap();
    }

    /// Servers on a port of both addresses of a pod.
    pub(crate) fn serve(pod: &Pod, port: u16) -> [Server; 2] {
        FAMILIES.map(|v6| Server::start(pod, pod.address(v6, port)))
    }

    /// A connection from outside to the endpoint.
    pub(crate) fn ingress(&self, v6: bool, port: u16) -> Outcome {
        get(&self.outside, self.app.address(v6, port))
    }

    /// A connection from the endpoint to the outside.
    pub(crate) fn egress(&self, v6: bool, port: u16) -> Outcome {
        get(&self.app, self.outside.address(v6, port))
    }

    /// Where the outside is.
    pub(crate) fn there(&self, v6: bool, port: u16) -> SocketAddr {
        self.outside.address(v6, port)
    }
}

/// Address of a pod in a family.
pub(crate) fn ip(pod: &Pod, v6: bool) -> IpAddr {
    pod.address(v6, 0).ip()
}

pub(crate) fn options(lab: &Lab, pin: bool) -> RedirectOptions {
    RedirectOptions {
        bpffs: lab.bpffs(),
        cgroup: None,
        pin,
        workers: WORKERS,
        answers: ANSWERS,
        owner: "a test".into(),
        packets: true,
        device_links: true,
    }
}

/// Attaches `app` with the listeners of a proxy.
pub(crate) fn attach(redirect: &mut Redirect, pod: &Pod, proxy: &Proxy, addresses: &[IpAddr]) {
    let netns = Redirect::open_netns(&pod.netns).unwrap();
    let place = AttachPoint::Pod { netns: netns.as_fd() };
    redirect.attach(&KernelAttachment { id: APP, place, addresses, listeners: proxy.listeners() }).unwrap();
}
