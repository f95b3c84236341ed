//! Port ranges, split where the grants that cover them change.

use std::collections::BTreeSet;

use super::grants::GrantId;

/// Makes a port a range of its own.
pub(super) fn set_apart(mut ranges: Vec<(u16, Vec<GrantId>)>, port: u16) -> Vec<(u16, Vec<GrantId>)> {
    for first in [Some(port), port.checked_add(1)].into_iter().flatten() {
        let after = ranges.partition_point(|(start, _)| *start <= first);
        if let Some((start, grants)) = after.checked_sub(1).and_then(|place| ranges.get(place))
            && *start < first
        {
            let grants = grants.clone();
            ranges.insert(after, (first, grants));
        }
    }
    ranges
}

/// Cuts overlapping ranges of ports into disjoint ones that cover every port: the first port of each and the grants
/// that cover it, in order. Neighbours differ. `fits` is asked before each list: whose range begins or ends there, and how
/// long the list is. It ends where one does not fit.
pub(super) fn cut(
    ranges: impl Iterator<Item = (u16, u16, GrantId)>,
    mut fits: impl FnMut(GrantId, usize) -> bool,
) -> Vec<(u16, Vec<GrantId>)> {
    let mut edges: Vec<(u16, bool, GrantId)> = Vec::new();
    for (first, last, id) in ranges {
        edges.push((first, true, id));
        if let Some(after) = last.checked_add(1) {
            edges.push((after, false, id));
        }
    }
    // What ends comes before what starts: the ranges of one grant may touch.
    edges.sort_unstable();
    let mut cut: Vec<(u16, Vec<GrantId>)> = Vec::new();
    let mut covering = BTreeSet::new();
    let mut edges = edges.into_iter().peekable();
    if edges.peek().is_none_or(|(first, ..)| *first > 0) {
        cut.push((0, Vec::new()));
    }
    while let Some((port, starts, id)) = edges.next() {
        if starts {
            covering.insert(id)
        } else {
            covering.remove(&id)
        };
        if edges.peek().is_none_or(|(next, ..)| *next > port) {
            if !fits(id, covering.len()) {
                break;
            }
            let grants: Vec<GrantId> = covering.iter().copied().collect();
            if cut.last().is_none_or(|(_, last)| *last != grants) {
                cut.push((port, grants));
            }
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_set_apart_from_its_neighbours_once() {
        let wanted = vec![(0, vec![1]), (53, vec![1]), (54, vec![1])];
        let once = set_apart(vec![(0, vec![1])], 53);
        assert_eq!(once, wanted);
        assert_eq!(set_apart(once, 53), wanted);
        assert_eq!(set_apart(vec![(0, vec![]), (53, vec![1])], 53), [(0, vec![]), (53, vec![1]), (54, vec![1])]);
        assert_eq!(set_apart(vec![(0, vec![])], u16::MAX), [(0, vec![]), (u16::MAX, vec![])]);
    }

    #[test]
    fn ranges_are_cut_where_one_starts_or_ends() {
        let all = u16::MAX;
        for (ranges, wanted) in [
            (vec![], vec![(0, vec![])]),
            (vec![(0, all, 1)], vec![(0, vec![1])]),
            (vec![(80, 80, 1)], vec![(0, vec![]), (80, vec![1]), (81, vec![])]),
            (vec![(80, 90, 1), (85, all, 2)], vec![(0, vec![]), (80, vec![1]), (85, vec![1, 2]), (91, vec![2])]),
            (vec![(80, 80, 1), (81, 81, 1)], vec![(0, vec![]), (80, vec![1]), (82, vec![])]),
        ] {
            assert_eq!(cut(ranges.clone().into_iter(), |_, _| true), wanted, "{ranges:?}");
        }
    }
}
