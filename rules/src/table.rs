//! Computes the kernel's table from the verdicts of [`Snapshot::flow`].

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;

use crate::{
    compile::{
        PolicySubject,
        class::CompiledClass,
        identities::{Addresses, IdentityAddresses},
        peers::Who,
    },
    services::Vips,
    snapshot::Flow,
    steering::{PortClass, SteeringAction},
    verdict::Outcome,
    world::{Direction, Endpoint, Transport},
};

/// The types of requests, for a transport that has them: what an endpoint asks of its own accord. Errors, answers and what
/// keeps a link going (neighbour discovery, listener discovery) are none.
///
/// ICMP: echo, time stamp, information, address mask (RFC 792, RFC 950), extended echo (RFC 8335). `ICMPv6`: echo (RFC 4443
/// §4.1), node information (RFC 4620), home agent discovery and mobile prefixes (RFC 6275 §6.5, §6.7), extended echo.
pub fn requests(transport: Transport) -> &'static [u16] {
    match transport {
        Transport::Icmp => &[8, 13, 15, 17, 42],
        Transport::IcmpV6 => &[128, 139, 144, 146, 160],
        _ => &[],
    }
}

/// Decisions by prefix. In order, so that a prefix follows those that contain it.
type Prefixes = BTreeMap<IpNet, SteeringAction>;

/// What the kernel is told of the endpoints of a subject, with the number of resolutions that it takes in.
#[derive(Debug, Default)]
pub(crate) struct SubjectTable(Mutex<Option<(u64, Vec<PortClass>)>>);

impl SubjectTable {
    fn get_or(&self, resolutions: u64, compute: impl FnOnce() -> Vec<PortClass>) -> Vec<PortClass> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*told {
            Some((known, classes)) if *known == resolutions => classes.clone(),
            _ => told.insert((resolutions, compute())).1.clone(),
        }
    }
}

/// What the kernel's tables are computed from.
pub(crate) struct Sources<'a> {
    /// How many resolutions there were.
    pub(crate) resolutions: u64,
    pub(crate) addresses: &'a Addresses,
    pub(crate) places: &'a IdentityAddresses,
    pub(crate) vips: &'a Vips,
}

impl From<&Flow> for SteeringAction {
    fn from(flow: &Flow) -> Self {
        match flow.outcome {
            Outcome::Allow if flow.plan.is_empty() => Self::Pass,
            Outcome::Allow => Self::Steer,
            Outcome::Audit => Self::PassAndReport,
            Outcome::Deny => Self::Refuse,
        }
    }
}

fn action(flow: &Flow) -> SteeringAction {
    SteeringAction::from(flow)
}

impl Sources<'_> {
    /// The classes of all endpoints that a subject stands for; where they hold for one endpoint only, of that one.
    pub(crate) fn classes(&self, subject: &PolicySubject, endpoint: &Endpoint) -> Vec<PortClass> {
        if self.stands_behind_a_vip(endpoint) {
            return self.compute(subject, &endpoint.addresses);
        }
        let resolutions = if subject.learns() { self.resolutions } else { 0 };
        subject.steering.get_or(resolutions, || self.compute(subject, &[]))
    }

    /// Such an endpoint may be sent to itself, which is never refused.
    fn stands_behind_a_vip(&self, endpoint: &Endpoint) -> bool {
        let behind = |transport| self.vips.of(transport).flat_map(|(.., backends)| backends);
        [Transport::Tcp, Transport::Udp]
            .into_iter()
            .flat_map(behind)
            .any(|backend| endpoint.addresses.contains(&backend.ip()))
    }

    fn compute(&self, subject: &PolicySubject, own: &[IpAddr]) -> Vec<PortClass> {
        let mut classes = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            for transport in [Transport::Tcp, Transport::Udp, Transport::Sctp] {
                self.transport(subject, own, direction, transport, &mut classes);
            }
        }
        self.echo(subject, &mut classes);
        classes
    }

    fn transport(
        &self,
        subject: &PolicySubject,
        own: &[IpAddr],
        direction: Direction,
        transport: Transport,
        classes: &mut Vec<PortClass>,
    ) {
        let Some(side) = subject.side(direction) else { return };
        let vips = match direction {
            Direction::Ingress => BTreeMap::new(),
            Direction::Egress => self.vips(subject, own, transport),
        };
        // One class may serve several ranges of ports.
        let mut bases: HashMap<*const CompiledClass, Prefixes> = HashMap::new();
        for (first, last, class) in side.classes(transport) {
            let base = bases.entry(Arc::as_ptr(class)).or_insert_with(|| self.base(class));
            let mut add = |first: u16, last: u16, prefixes: &Prefixes, learns: bool| {
                let prefixes = prefixes.iter().map(|(net, action)| (*net, *action)).collect();
                push(classes, PortClass { direction, transport, ports: first..=last, prefixes, learns });
            };
            let learns = class.learns();
            let mut next = Some(first);
            for (port, actions) in vips.range(first..=last) {
                if let Some(start) = next.filter(|start| start < port) {
                    add(start, port - 1, base, learns);
                }
                let mut prefixes = base.clone();
                prefixes.extend(actions.iter().map(|vip| (IpNet::from(vip.address), vip.action)));
                add(*port, *port, &without_redundant(prefixes), learns || actions.iter().any(|vip| vip.learns));
                next = port.checked_add(1);
            }
            if let Some(start) = next.filter(|start| *start <= last) {
                add(start, last, base, learns);
            }
        }
        classes
            .retain(|class| class.learns || class.prefixes.iter().any(|(_, action)| *action != SteeringAction::Pass));
    }

    /// Of ICMP the kernel judges requests on their way out, where rules speak of ICMP: looking at each packet costs
    /// something.
    fn echo(&self, subject: &PolicySubject, classes: &mut Vec<PortClass>) {
        let direction = Direction::Egress;
        let Some(side) = subject.side(direction).filter(|side| side.speaks_of_icmp) else { return };
        for transport in [Transport::Icmp, Transport::IcmpV6] {
            for request in requests(transport).iter().copied() {
                let class = side.class(transport, request);
                let (prefixes, learns): (Vec<_>, _) = (self.base(class).into_iter().collect(), class.learns());
                if learns || prefixes.iter().any(|(_, action)| *action != SteeringAction::Pass) {
                    classes.push(PortClass { direction, transport, ports: request..=request, prefixes, learns });
                }
            }
        }
    }

    /// The decisions of a class without regard to services.
    fn base(&self, class: &CompiledClass) -> Prefixes {
        let mut prefixes: Prefixes = class.prefixes().map(|(net, flow)| (net, action(flow))).collect();
        let other = action(class.other());
        // Where those that no rule selects fare as the rest of the world does, only the others have to be named.
        if prefixes.values().any(|outside| *outside != other) {
            prefixes.extend(self.addresses.keys().map(|address| (IpNet::from(*address), other)));
        }
        for (identity, flow) in class.known() {
            prefixes.extend(self.places.of(identity).iter().map(|address| (IpNet::from(*address), action(flow))));
        }
        prefixes.extend(class.all_learnt().iter().map(|(address, flow)| (IpNet::from(*address), action(flow))));
        without_redundant(prefixes)
    }

    /// What becomes of each VIP, by port.
    fn vips(&self, subject: &PolicySubject, own: &[IpAddr], transport: Transport) -> BTreeMap<u16, Vec<Vip>> {
        let mut vips: BTreeMap<u16, Vec<Vip>> = BTreeMap::new();
        for (port, address, backends) in self.vips.of(transport) {
            let action = self.vip(subject, own, transport, backends);
            let learns = |backend: &SocketAddr| {
                let side = subject.side(Direction::Egress);
                side.is_some_and(|side| side.class(transport, backend.port()).learns())
                    && may_be_learnt(self.addresses, backend.ip())
            };
            vips.entry(port).or_default().push(Vip { address, action, learns: backends.iter().any(learns) });
        }
        vips
    }

    /// What becomes of a VIP: the verdict that all its backends share, else the relay's draw. Datagrams have a relay only
    /// where one of them is judged at layer 7, so without that one is refused of which some are.
    pub(crate) fn vip(
        &self,
        subject: &PolicySubject,
        own: &[IpAddr],
        transport: Transport,
        backends: &[SocketAddr],
    ) -> SteeringAction {
        let actions = backends.iter().map(|backend| {
            let judged = subject.side(Direction::Egress).filter(|_| !own.contains(&backend.ip()));
            judged.map_or(SteeringAction::Pass, |side| {
                let class = side.class(transport, backend.port());
                action(&class.answer(who(self.addresses, backend.ip()), backend.ip()))
            })
        });
        let has_relay = |action: SteeringAction| transport == Transport::Tcp || action == SteeringAction::Steer;
        let mixed = |one: SteeringAction, other: SteeringAction| {
            if one == other {
                one
            } else if has_relay(one) || has_relay(other) {
                SteeringAction::Steer
            } else if [one, other].contains(&SteeringAction::Refuse) {
                SteeringAction::Refuse
            } else {
                SteeringAction::PassAndReport
            }
        };
        actions.reduce(mixed).unwrap_or(SteeringAction::Refuse)
    }
}

/// One VIP at one port.
struct Vip {
    address: IpAddr,
    action: SteeringAction,
    /// What becomes of it depends on an address that may be learnt.
    learns: bool,
}

/// Whether names can select an address: one that belongs to no known endpoint, or to one outside the cluster.
pub(crate) fn may_be_learnt(addresses: &Addresses, address: IpAddr) -> bool {
    addresses.get(&address).is_none_or(|known| known.endpoint.labels.has_world())
}

/// Who has an address.
pub(crate) fn who(addresses: &Addresses, address: IpAddr) -> Who {
    addresses.get(&address).map_or(Who::Unknown(address), |known| Who::Known(known.identity))
}

/// Adds a class, or its ports to the one before it if that decides alike and neither learns.
fn push(classes: &mut Vec<PortClass>, class: PortClass) {
    if let Some(last) = classes.last_mut()
        && !(last.learns || class.learns)
        && (last.direction, last.transport) == (class.direction, class.transport)
        && last.ports.end().checked_add(1) == Some(*class.ports.start())
        && last.prefixes == class.prefixes
    {
        last.ports = *last.ports.start()..=*class.ports.end();
        return;
    }
    classes.push(class);
}

/// Drops every prefix that decides as the one that contains it. Those of length 0 stay, and single loopback addresses: what
/// goes to them is judged only where they are named.
fn without_redundant(prefixes: Prefixes) -> Prefixes {
    let mut open: Vec<(IpNet, SteeringAction)> = Vec::new();
    let mut kept = Prefixes::new();
    for (net, action) in prefixes {
        while open.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
            open.pop();
        }
        let named = net.prefix_len() == net.max_prefix_len() && net.addr().is_loopback();
        if named || open.last().is_none_or(|(_, outer)| *outer != action) {
            open.push((net, action));
            kept.insert(net, action);
        }
    }
    kept
}
