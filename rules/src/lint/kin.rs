//! Finds, once for all comparisons, which elements apply to the same endpoints.

use std::collections::HashMap;

use crate::{
    labels::Selector,
    lint::{cover, element::Element},
    world::Direction,
};

/// Elements that concern exactly the same endpoints in one direction.
type KinKey<'a> = (Direction, bool, Option<&'a str>, &'a Selector);

/// For each element the others that it is to be compared with.
pub(super) struct RelatedElements {
    /// Group of each element.
    group: Vec<usize>,
    /// Of each group, the elements that concern all of its endpoints, in order; its own are among them.
    wider: Vec<Vec<usize>>,
    /// Of each group, the elements that concern some of its endpoints and no others, in order.
    narrower: Vec<Vec<usize>>,
}

impl RelatedElements {
    /// Compares the subjects of all elements, each different one once and with those of its namespace only.
    pub(super) fn new(elements: &[Element<'_>]) -> Self {
        let mut groups: HashMap<KinKey<'_>, usize> = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut group = Vec::with_capacity(elements.len());
        for (number, element) in elements.iter().enumerate() {
            let key = (element.direction, element.rule.node, element.written.namespace.as_deref(), &element.subject);
            let next = groups.len();
            let index = *groups.entry(key).or_insert(next);
            if index == members.len() {
                members.push(Vec::new());
            }
            members[index].push(number);
            group.push(index);
        }
        let mut spaces: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
        for ((_, _, namespace, _), index) in &groups {
            spaces.entry(*namespace).or_default().push(*index);
        }
        let mut kin = Self { group, wider: vec![Vec::new(); members.len()], narrower: vec![Vec::new(); members.len()] };
        for ((_, _, namespace, _), narrow) in &groups {
            let clusterwide = namespace.and_then(|_| spaces.get(&None));
            let others = spaces.get(namespace).into_iter().chain(clusterwide).flatten();
            for wide in others {
                let (one, other) = (&elements[members[*wide][0]], &elements[members[*narrow][0]]);
                if wide == narrow || (one.direction == other.direction && cover::subjects(one, other)) {
                    kin.wider[*narrow].extend(&members[*wide]);
                    kin.narrower[*wide].extend(&members[*narrow]);
                }
            }
        }
        kin.wider.iter_mut().chain(&mut kin.narrower).for_each(|list| list.sort_unstable());
        kin
    }

    /// The elements that concern all endpoints of this one, in its direction.
    pub(super) fn wider(&self, element: usize) -> &[usize] {
        &self.wider[self.group[element]]
    }

    /// The elements that concern all or some endpoints of this one, in its direction. Some are there twice.
    pub(super) fn all(&self, element: usize) -> impl Iterator<Item = usize> + '_ {
        self.wider(element).iter().chain(&self.narrower[self.group[element]]).copied()
    }
}
