//! Which ports of a class are in the kernel's tables.

use std::ops::RangeInclusive;

use crate::{
    compile::PolicySubject,
    table::requests,
    world::{Direction, Transport},
};

/// The ports of a class that the kernel is told of, as it is told of them. Of ICMP, those are the types of requests.
pub(super) fn seen(
    subject: &PolicySubject,
    direction: Direction,
    transport: Transport,
    ports: RangeInclusive<u16>,
) -> Vec<RangeInclusive<u16>> {
    if transport.has_ports() {
        return vec![ports];
    }
    let judged = direction == Direction::Egress && subject.side(direction).is_some_and(|side| side.speaks_of_icmp);
    let requests = requests(transport).iter().copied().filter(|request| judged && ports.contains(request));
    requests.map(|request| request..=request).collect()
}

/// A range of ports without some of them.
pub(super) fn without(ports: RangeInclusive<u16>, mut taken: Vec<u16>) -> Vec<RangeInclusive<u16>> {
    taken.retain(|port| ports.contains(port));
    taken.sort_unstable();
    let mut left = Vec::with_capacity(taken.len() + 1);
    let mut next = Some(*ports.start());
    for port in taken {
        if let Some(start) = next.filter(|start| *start < port) {
            left.push(start..=port - 1);
        }
        next = port.checked_add(1);
    }
    left.extend(next.filter(|start| start <= ports.end()).map(|start| start..=*ports.end()));
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_taken_out_of_a_range() {
        for (ports, taken, left) in [
            (0..=u16::MAX, vec![], vec![0..=u16::MAX]),
            (0..=u16::MAX, vec![u16::MAX, 0], vec![1..=65534]),
            (80..=90, vec![85, 79, 86, 443], vec![80..=84, 87..=90]),
            (80..=80, vec![80], vec![]),
        ] {
            assert_eq!(without(ports.clone(), taken.clone()), left, "{ports:?} without {taken:?}");
        }
    }
}
