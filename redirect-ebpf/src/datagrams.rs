//! The specifics of steering datagrams.
//!
//! Only egress is steered. The routing rule that brings a datagram to the listener knows its port and not its peer, so
//! a port is steered as a whole: the listener forwards what policy passes.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_redirect_common::{StubKey, TCP, UDP};

use crate::table::{Action, FlowDirection, KernelPortClass, key_address};

/// Ranges of ports (first, last).
pub(crate) type Ranges = Vec<(u16, u16)>;

/// A class with what can be done: datagrams that come in are refused instead of steered, and where one peer is steered
/// all are that are not refused.
pub(crate) fn feasible(class: &KernelPortClass) -> KernelPortClass {
    let mut class = class.clone();
    if class.protocol != UDP {
        return class;
    }
    let (from, to) = match class.direction {
        FlowDirection::Ingress => (Action::Steer, Action::Refuse),
        FlowDirection::Egress if is_steered(&class) => (Action::Pass, Action::Steer),
        FlowDirection::Egress => return class,
    };
    if from == Action::Pass {
        keep_multicast(&mut class);
    }
    let meant =
        |(prefix, action): &&mut (IpNet, Action)| *action == from && (from == Action::Steer || !is_multicast(prefix));
    for (_, action) in class.prefixes.iter_mut().filter(meant) {
        *action = to;
    }
    class
}

/// No rule for a port leads multicast to a listener, and the programs refuse what of it is to be steered. What policy passes
/// unjudged needs no listener.
fn keep_multicast(class: &mut KernelPortClass) {
    let groups =
        ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"].into_iter().filter_map(|net| net.parse::<IpNet>().ok());
    for group in groups {
        let around = class.prefixes.iter().filter(|(prefix, _)| prefix.contains(&group));
        if let Some((prefix, Action::Pass)) = around.max_by_key(|(prefix, _)| prefix.prefix_len()).copied()
            && prefix != group
        {
            class.prefixes.push((group, Action::Pass));
        }
    }
}

fn is_multicast(prefix: &IpNet) -> bool {
    let (address, bits) = (prefix.addr(), prefix.prefix_len());
    match address {
        IpAddr::V4(v4) => (v4.is_multicast() && bits >= 4) || (v4.is_broadcast() && bits == 32),
        IpAddr::V6(v6) => v6.is_multicast() && bits >= 8,
    }
}

fn is_steered(class: &KernelPortClass) -> bool {
    class.prefixes.iter().any(|(_, action)| *action == Action::Steer)
}

/// The classes of datagrams that are steered.
fn steered(classes: &[KernelPortClass]) -> impl Iterator<Item = &KernelPortClass> {
    classes
        .iter()
        .filter(|class| class.protocol == UDP && class.direction == FlowDirection::Egress && is_steered(class))
}

/// The ports whose datagrams are steered, as ranges (first, last) in order, each as long as can be.
pub(crate) fn ports(classes: &[KernelPortClass]) -> Vec<(u16, u16)> {
    join(steered(classes).map(|class| (*class.ports.start(), *class.ports.end())).collect())
}

/// The parts of ranges that were steered once and that nobody may send to any more. A socket that was connected then meets no
/// hook, so its datagrams may not find a route. Where a name may open an address later, nothing is lost.
pub(crate) fn lost(once: &[(u16, u16)], classes: &[KernelPortClass]) -> Ranges {
    let refuses = |class: &&KernelPortClass| {
        (class.protocol, class.direction) == (UDP, FlowDirection::Egress)
            && !class.learns
            && class.prefixes.iter().all(|(_, action)| *action == Action::Refuse)
    };
    let common = |class: &KernelPortClass, (first, last): (u16, u16)| {
        let (first, last) = (first.max(*class.ports.start()), last.min(*class.ports.end()));
        (first <= last).then_some((first, last))
    };
    let refused = classes.iter().filter(refuses);
    join(refused.flat_map(|class| once.iter().filter_map(|range| common(class, *range))).collect())
}

/// Joins ranges that overlap or touch.
pub(crate) fn join(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// The resolvers on loopback addresses that are steered by name: `0.0.0.0/0` does not mean the machine itself. DNS over
/// TCP to the same address and port goes with them.
pub(crate) fn stubs(endpoint: u32, classes: &[KernelPortClass]) -> Vec<StubKey> {
    let mut stubs = Vec::new();
    for class in steered(classes) {
        for address in class.prefixes.iter().filter(|(_, action)| *action == Action::Steer).filter_map(loopback) {
            for port in class.ports.clone() {
                let address = key_address(address);
                stubs.push(StubKey { endpoint, protocol: UDP.into(), port, address });
                if over_tcp(classes, port, address) {
                    stubs.push(StubKey { endpoint, protocol: TCP.into(), port, address });
                }
            }
        }
    }
    stubs.sort_unstable();
    stubs.dedup();
    stubs
}

/// The address of a prefix that is one loopback address.
fn loopback((prefix, _): &(IpNet, Action)) -> Option<IpAddr> {
    (prefix.prefix_len() == prefix.max_prefix_len() && prefix.addr().is_loopback()).then(|| prefix.addr())
}

/// Whether connections to a loopback address and port are steered by name.
fn over_tcp(classes: &[KernelPortClass], port: u16, address: [u8; 16]) -> bool {
    classes
        .iter()
        .filter(|class| {
            class.protocol == TCP && class.direction == FlowDirection::Egress && class.ports.contains(&port)
        })
        .flat_map(|class| &class.prefixes)
        .any(|entry| entry.1 == Action::Steer && loopback(entry).is_some_and(|found| key_address(found) == address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(
        direction: FlowDirection,
        protocol: u8,
        ports: (u16, u16),
        prefixes: &[(&str, Action)],
    ) -> KernelPortClass {
        let prefixes = prefixes.iter().map(|(prefix, action)| (prefix.parse().unwrap(), *action)).collect();
        KernelPortClass { direction, protocol, ports: ports.0..=ports.1, prefixes, learns: false }
    }

    #[test]
    fn a_port_is_steered_as_a_whole_and_what_is_refused_stays_refused() {
        use Action::{Pass, Refuse, Steer};
        let mixed = [("0.0.0.0/0", Pass), ("10.0.0.1/32", Steer), ("10.0.0.2/32", Refuse)];
        let actions = |direction, protocol, prefixes: &[(&str, Action)]| -> Vec<Action> {
            let class = feasible(&class(direction, protocol, (53, 53), prefixes));
            class.prefixes.into_iter().map(|(_, action)| action).collect()
        };
        assert_eq!(
            actions(FlowDirection::Egress, UDP, &mixed),
            [Steer, Steer, Refuse, Pass, Pass],
            "but for multicast"
        );
        assert_eq!(actions(FlowDirection::Egress, UDP, &mixed[..1]), [Pass], "nothing is steered there");
        assert_eq!(
            actions(FlowDirection::Egress, TCP, &mixed),
            [Pass, Steer, Refuse],
            "a connection is steered by its peer"
        );
        assert_eq!(actions(FlowDirection::Ingress, UDP, &mixed), [Pass, Refuse, Refuse], "nobody could read it");
    }

    #[test]
    fn multicast_that_policy_passes_is_not_steered_and_none_is_opened() {
        use Action::{Pass, Refuse, Steer};
        let told = |prefixes: &[(&str, Action)]| -> Vec<String> {
            let class = feasible(&class(FlowDirection::Egress, UDP, (53, 53), prefixes));
            class.prefixes.iter().map(|(prefix, action)| format!("{prefix} {action:?}")).collect()
        };
        let steer = ("10.0.0.1/32", Steer);
        assert_eq!(told(&[("224.0.0.251/32", Pass), ("0.0.0.0/0", Refuse), steer])[0], "224.0.0.251/32 Pass");
        assert_eq!(told(&[("ff02::fb/128", Pass), ("::/0", Refuse), steer])[0], "ff02::fb/128 Pass");
        assert_eq!(told(&[("0.0.0.0/0", Refuse), ("::/0", Steer), steer]).len(), 3);
        let inside = told(&[("0.0.0.0/0", Pass), ("224.0.0.0/4", Refuse), ("::/0", Pass), steer]);
        assert_eq!(
            inside[1..],
            ["224.0.0.0/4 Refuse", "::/0 Steer", "10.0.0.1/32 Steer", "255.255.255.255/32 Pass", "ff00::/8 Pass"]
        );
    }

    #[test]
    fn ports_with_steered_datagrams_are_told_as_few_ranges() {
        let steer = [("0.0.0.0/0", Action::Refuse), ("10.0.0.1/32", Action::Steer)];
        let refuse = [("0.0.0.0/0", Action::Refuse)];
        let classes = [
            class(FlowDirection::Egress, UDP, (5353, 5353), &steer),
            class(FlowDirection::Egress, UDP, (53, 53), &steer),
            class(FlowDirection::Egress, UDP, (54, 54), &steer),
            class(FlowDirection::Egress, UDP, (55, 80), &refuse),
            class(FlowDirection::Egress, TCP, (81, 81), &steer),
            class(FlowDirection::Ingress, UDP, (82, 82), &steer),
            class(FlowDirection::Egress, UDP, (65535, 65535), &steer),
        ];
        assert_eq!(ports(&classes), [(53, 54), (5353, 5353), (65535, 65535)]);
        assert_eq!(join(vec![(5, 9), (1, 7), (10, 12), (65535, 65535), (14, 14)]), [(1, 12), (14, 14), (65535, 65535)]);
    }

    #[test]
    fn ports_that_were_steered_are_lost_where_everybody_is_refused_now() {
        use Action::{Pass, Refuse, Steer};
        let of = |protocol, ports, actions: &[Action]| {
            let prefixes: Vec<_> = ["0.0.0.0/0", "10.0.0.1/32"].into_iter().zip(actions.iter().copied()).collect();
            class(FlowDirection::Egress, protocol, ports, &prefixes)
        };
        let once = [(53, 54), (5353, 5353)];
        let closed = [of(UDP, (0, 53), &[Refuse, Refuse]), of(UDP, (54, 65535), &[Refuse])];
        assert_eq!(lost(&once, &closed), [(53, 54), (5353, 5353)]);
        assert_eq!(lost(&once, &[of(UDP, (0, 65535), &[Refuse, Pass])]), [], "somebody may be asked without a judge");
        assert_eq!(lost(&once, &[of(UDP, (53, 53), &[Refuse, Steer]), of(TCP, (54, 54), &[Refuse])]), []);
        assert_eq!(lost(&once, &[]), [], "nothing is enforced");
        assert_eq!(lost(&[], &closed), [], "answers of a server may go to any port");
        assert_eq!(lost(&once, &[KernelPortClass { learns: true, ..closed[0].clone() }]), []);
    }

    #[test]
    fn a_resolver_on_a_loopback_address_is_steered_where_policy_names_it_and_not_by_a_prefix_around_it() {
        let named = [("127.0.0.53/32", Action::Steer), ("::1/128", Action::Pass), ("10.0.0.1/32", Action::Steer)];
        let around = [("0.0.0.0/0", Action::Steer), ("127.0.0.0/8", Action::Steer)];
        let of = |ports, prefixes: &[(&str, Action)], tcp| {
            let mut classes = vec![class(FlowDirection::Egress, UDP, ports, prefixes)];
            if tcp {
                classes.push(class(FlowDirection::Egress, TCP, (1, 100), prefixes));
            }
            stubs(7, &classes).into_iter().map(|stub| (stub.protocol, stub.port)).collect::<Vec<_>>()
        };
        assert_eq!(of((53, 53), &named, false), [(17, 53)]);
        assert_eq!(of((53, 54), &named, true), [(6, 53), (6, 54), (17, 53), (17, 54)]);
        assert_eq!(of((53, 53), &around, true), []);
        let key = stubs(7, &[class(FlowDirection::Egress, UDP, (53, 53), &named)])[0];
        assert_eq!((key.endpoint, key.address[12..].to_vec()), (7, vec![127, 0, 0, 53]));
    }
}
