//! What the kernel is told of endpoints, and the least change from one telling to the next.
//!
//! Port classes with the same content are one class in the kernel, whoever uses them. A change writes new classes in
//! full, then points ports at them, then removes what nobody points at: at every moment a port has its old or its new
//! decisions, never none.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    ops::RangeInclusive,
};

use ipnet::IpNet;
use portcullis_redirect_common::{EGRESS, INGRESS, PASS, PeerKey, PortKey, REFUSE, STEER};

/// Direction of a flow, seen from the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The peer opened it.
    Ingress,
    /// The endpoint opened it.
    Egress,
}

impl Direction {
    fn number(self) -> u8 {
        match self {
            Self::Ingress => INGRESS,
            Self::Egress => EGRESS,
        }
    }
}

/// What the kernel does with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Leaves it alone.
    Pass,
    /// Hands it to our listener.
    Steer,
    /// Refuses it.
    Refuse,
}

impl Action {
    fn number(self) -> u32 {
        match self {
            Self::Pass => PASS,
            Self::Steer => STEER,
            Self::Refuse => REFUSE,
        }
    }
}

/// The decisions for a range of ports, by the peer's address. An address that no prefix covers is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Direction.
    pub direction: Direction,
    /// IP protocol number.
    pub protocol: u8,
    /// Ports.
    pub ports: RangeInclusive<u16>,
    /// Longest prefix wins.
    pub prefixes: Vec<(IpNet, Action)>,
}

/// An entry of a longest-prefix trie: prefix length in bits and key.
pub(crate) type Port = (u32, PortKey);
/// The content of a class: prefix length in bits, address, action.
pub(crate) type Content = Vec<(u32, [u8; 16], u32)>;

/// An address in the form of the maps.
pub(crate) fn key_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn content(class: &Class) -> Content {
    let mut content: Content = class
        .prefixes
        .iter()
        .map(|(prefix, action)| {
            let bits = u32::from(prefix.prefix_len()) + if prefix.addr().is_ipv4() { 96 } else { 0 };
            (PeerKey::EXACT + bits, key_address(prefix.network()), action.number())
        })
        .collect();
    content.sort_unstable();
    content.dedup();
    content
}

/// The prefixes that cover a range of ports: (prefix length of 16, first port).
fn port_prefixes(range: &RangeInclusive<u16>) -> Vec<(u32, u16)> {
    let (mut first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    let mut prefixes = Vec::new();
    while first <= last {
        let aligned = if first == 0 { 16 } else { first.trailing_zeros().min(16) };
        let fitting = (last - first + 1).ilog2();
        let bits = aligned.min(fitting);
        prefixes.push((16 - bits, u16::try_from(first).unwrap_or(u16::MAX)));
        first += 1 << bits;
    }
    prefixes
}

fn ports(endpoint: u32, class: &Class) -> impl Iterator<Item = Port> {
    let (direction, protocol) = (class.direction.number(), class.protocol);
    port_prefixes(&class.ports).into_iter().map(move |(length, port)| {
        (PortKey::EXACT + length, PortKey { endpoint, direction, protocol, port: port.to_be_bytes() })
    })
}

/// A step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Enter a class in full.
    AddClass(u32, Content),
    /// Point ports at a class.
    Point(Port, u32),
    /// Take ports out.
    Unpoint(Port),
    /// Remove a class nobody points at.
    RemoveClass(u32, Content),
}

/// What the kernel's tables hold, as far as it is ours.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    ports: BTreeMap<Port, u32>,
    classes: HashMap<u32, Content>,
    numbers: HashMap<Content, u32>,
    next: u32,
}

impl Tables {
    /// What an earlier process left.
    pub(crate) fn taken_over(ports: BTreeMap<Port, u32>, classes: HashMap<u32, Content>) -> Self {
        let next = classes.keys().chain(ports.values()).max().map_or(0, |last| last + 1);
        let numbers = classes.iter().map(|(number, content)| (content.clone(), *number)).collect();
        Self { ports, classes, numbers, next }
    }

    /// The endpoints that have ports.
    pub(crate) fn endpoints(&self) -> BTreeSet<u32> {
        self.ports.keys().map(|(_, key)| key.endpoint).collect()
    }

    /// The steps from what is held to the classes of an endpoint. [`Tables::apply`] each one after the kernel has
    /// taken it.
    pub(crate) fn change(&self, endpoint: u32, wanted: &[Class]) -> Vec<Step> {
        let (mut steps, mut points) = (Vec::new(), BTreeMap::new());
        let mut fresh: HashMap<Content, u32> = HashMap::new();
        let mut next = self.next;
        for class in wanted {
            let content = content(class);
            let known = self.numbers.get(&content).or_else(|| fresh.get(&content)).copied();
            let number = known.unwrap_or_else(|| {
                let number = next;
                next += 1;
                steps.push(Step::AddClass(number, content.clone()));
                fresh.insert(content, number);
                number
            });
            points.extend(ports(endpoint, class).map(|port| (port, number)));
        }
        let changed = points.iter().filter(|(port, number)| self.ports.get(port) != Some(number));
        steps.extend(changed.map(|(port, number)| Step::Point(*port, *number)));
        let gone = self.ports.keys().filter(|(_, key)| key.endpoint == endpoint).filter(|p| !points.contains_key(*p));
        steps.extend(gone.map(|port| Step::Unpoint(*port)));
        steps.extend(self.unused_after(endpoint, &points));
        steps
    }

    fn unused_after<'a>(&'a self, endpoint: u32, points: &BTreeMap<Port, u32>) -> impl Iterator<Item = Step> + use<'a> {
        let others = self.ports.iter().filter(|((_, key), _)| key.endpoint != endpoint).map(|(_, number)| *number);
        let used: BTreeSet<u32> = others.chain(points.values().copied()).collect();
        self.classes
            .iter()
            .filter(move |(number, _)| !used.contains(number))
            .map(|(number, content)| Step::RemoveClass(*number, content.clone()))
    }

    /// Notes a step that the kernel has taken.
    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::AddClass(number, content) => {
                self.next = self.next.max(number + 1);
                self.numbers.insert(content.clone(), *number);
                self.classes.insert(*number, content.clone());
            }
            Step::Point(port, number) => {
                self.ports.insert(*port, *number);
            }
            Step::Unpoint(port) => {
                self.ports.remove(port);
            }
            Step::RemoveClass(number, content) => {
                self.classes.remove(number);
                if self.numbers.get(content) == Some(number) {
                    self.numbers.remove(content);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(ports: RangeInclusive<u16>, prefixes: &[(&str, Action)]) -> Class {
        let prefixes = prefixes.iter().map(|(prefix, action)| (prefix.parse().unwrap(), *action)).collect();
        Class { direction: Direction::Ingress, protocol: 6, ports, prefixes }
    }

    fn run(tables: &mut Tables, endpoint: u32, wanted: &[Class]) -> Vec<Step> {
        let steps = tables.change(endpoint, wanted);
        steps.iter().for_each(|step| tables.apply(step));
        steps
    }

    #[test]
    fn a_range_of_ports_is_a_handful_of_prefixes_that_cover_it_exactly() {
        for range in [0..=65535, 80..=80, 1..=65535, 8000..=8100, 0..=0, 65535..=65535, 1..=6] {
            let prefixes = port_prefixes(&range);
            assert!(prefixes.len() <= 30, "{range:?}: {prefixes:?}");
            let mut covered: Vec<u32> = prefixes
                .iter()
                .flat_map(|(length, port)| u32::from(*port)..u32::from(*port) + (1 << (16 - length)))
                .collect();
            covered.sort_unstable();
            assert!(covered.into_iter().eq(u32::from(*range.start())..=u32::from(*range.end())), "{range:?}");
        }
    }

    #[test]
    fn the_same_table_again_changes_nothing() {
        let mut tables = Tables::default();
        let table = [class(80..=80, &[("0.0.0.0/0", Action::Refuse), ("10.0.0.1/32", Action::Steer)])];
        assert_eq!(run(&mut tables, 1, &table).len(), 2);
        assert_eq!(run(&mut tables, 1, &table), []);
    }

    #[test]
    fn a_class_is_written_before_ports_point_at_it_and_removed_after_they_do_not() {
        let mut tables = Tables::default();
        run(&mut tables, 1, &[class(80..=80, &[("0.0.0.0/0", Action::Steer)])]);
        let steps = run(&mut tables, 1, &[class(80..=81, &[("0.0.0.0/0", Action::Refuse)])]);
        let kinds: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::AddClass(..) => "add",
                Step::Point(..) => "point",
                Step::Unpoint(..) => "unpoint",
                Step::RemoveClass(..) => "remove",
            })
            .collect();
        assert_eq!(kinds, ["add", "point", "unpoint", "remove"]);
    }

    #[test]
    fn endpoints_with_the_same_decisions_share_a_class_and_the_last_one_removes_it() {
        let mut tables = Tables::default();
        let table = [class(80..=80, &[("::/0", Action::Refuse)])];
        assert!(matches!(run(&mut tables, 1, &table)[0], Step::AddClass(..)));
        assert!(matches!(run(&mut tables, 2, &table)[..], [Step::Point(..)]));
        assert!(matches!(run(&mut tables, 1, &[])[..], [Step::Unpoint(..)]));
        assert!(matches!(run(&mut tables, 2, &[])[..], [Step::Unpoint(..), Step::RemoveClass(..)]));
        assert!(tables.endpoints().is_empty());
    }

    #[test]
    fn what_an_earlier_process_left_is_reused_and_never_overwritten() {
        let mut first = Tables::default();
        let table = [class(80..=80, &[("::/0", Action::Steer)])];
        run(&mut first, 1, &table);
        let mut second = Tables::taken_over(first.ports.clone(), first.classes.clone());
        assert_eq!(second.change(1, &table), []);
        let steps = run(&mut second, 2, &[class(81..=81, &[("::/0", Action::Refuse)])]);
        assert!(matches!(steps[0], Step::AddClass(1, _)));
    }
}
