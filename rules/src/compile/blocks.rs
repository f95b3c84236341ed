//! Blocks of identities: identities that the same grants select are one block.
//!
//! A grant splits each block into the identities that it selects and the rest. Only the smaller part is computed, so a
//! selector that excludes one endpoint of many costs as little as one that selects one.

use std::collections::HashMap;

use super::{
    grants::{Grant, GrantId},
    identities::IdentityNumber,
};
use crate::bounds::Meter;

/// Identities that the same grants select.
#[derive(Debug)]
pub(crate) struct IdentityBlock {
    /// The grants, in order.
    pub(crate) grants: Vec<GrantId>,
    /// The identities, in order.
    pub(crate) identities: Vec<IdentityNumber>,
}

/// A grant that a block was split by. Blocks that were split from one another share what came before.
struct Split {
    grant: GrantId,
    /// Those that it selects; else those that it leaves out.
    selected: bool,
    before: Option<u32>,
}

/// About what one split takes, in bytes: itself, and its block.
const SPLIT: usize = size_of::<Split>() + size_of::<IdentityBlock>() + 16;

/// Tells of the blocks that some grant selects, and of those that are set apart, of `all` identities; `kept` says whether
/// a list of grants of a length stays in memory. Not of all once the meter is over.
pub(crate) fn split(
    grants: &[Grant],
    ids: &[GrantId],
    (apart, all): (&[IdentityNumber], usize),
    meter: &Meter,
    kept: impl Fn(usize) -> bool,
    tell: impl FnMut(IdentityBlock),
) {
    let mut splits: Vec<Split> = Vec::new();
    // The last split of each identity's block; a block is known by it.
    let mut last: Vec<Option<u32>> = vec![None; all];
    let mut nearly_all: Vec<GrantId> = Vec::new();
    for id in ids.iter().copied() {
        let grant = &grants[id as usize];
        let set = &grant.peers.identities;
        let many = set.len() > all / 2;
        let side = if many { all - set.len() } else { set.len() };
        if many {
            nearly_all.push(id);
        }
        if !meter.take_for(grant.policy, 0, side) {
            return;
        }
        let members = if many { set.others(all) } else { set.iter() };
        let mut halves: HashMap<Option<u32>, u32, foldhash::fast::RandomState> = HashMap::default();
        for identity in members {
            let Some(place) = last.get_mut(identity as usize) else { continue };
            let half = *halves.entry(*place).or_insert_with(|| {
                splits.push(Split { grant: id, selected: !many, before: *place });
                u32::try_from(splits.len() - 1).unwrap_or(u32::MAX)
            });
            *place = Some(half);
        }
        if !meter.take_for(grant.policy, halves.len() * SPLIT, halves.len()) {
            return;
        }
    }
    let made = SplitHistory { last, splits, nearly_all };
    made.gather(apart, grants, meter, kept, tell);
}

/// What identities were split by.
struct SplitHistory {
    last: Vec<Option<u32>>,
    splits: Vec<Split>,
    /// The grants that select nearly all.
    nearly_all: Vec<GrantId>,
}

impl SplitHistory {
    /// The blocks with their grants. Those that are set apart, which are in order, are blocks of their own.
    fn gather(
        &self,
        apart: &[IdentityNumber],
        grants: &[Grant],
        meter: &Meter,
        kept: impl Fn(usize) -> bool,
        mut tell: impl FnMut(IdentityBlock),
    ) {
        let mut blocks: HashMap<(Option<u32>, bool), Vec<IdentityNumber>, foldhash::fast::RandomState> =
            HashMap::default();
        for (identity, place) in (0..).zip(&self.last) {
            let set_apart = apart.binary_search(&identity).is_ok();
            if place.is_some() || set_apart || !self.nearly_all.is_empty() {
                blocks.entry((*place, set_apart)).or_default().push(identity);
            }
        }
        for ((place, set_apart), identities) in blocks {
            let selecting = self.selecting(place);
            let each = if kept(selecting.len()) { 2 * size_of::<GrantId>() } else { 0 };
            let largest = selecting.iter().max_by_key(|id| grants[**id as usize].peers.identities.len());
            let policy = largest.map_or(u32::MAX, |id| grants[*id as usize].policy);
            if !selecting.iter().all(|id| meter.take_for(grants[*id as usize].policy, each, 1))
                || !meter.take_for(policy, identities.len() * IDENTITY, identities.len())
            {
                return;
            }
            if !selecting.is_empty() || set_apart {
                tell(IdentityBlock { grants: selecting, identities });
            }
        }
    }

    /// The grants that select a block, in order.
    fn selecting(&self, place: Option<u32>) -> Vec<GrantId> {
        let (mut selecting, mut without) = (Vec::new(), Vec::new());
        let mut next = place;
        while let Some(split) = next.and_then(|at| self.splits.get(at as usize)) {
            if split.selected {
                selecting.push(split.grant)
            } else {
                without.push(split.grant)
            }
            next = split.before;
        }
        without.reverse();
        selecting.extend(self.nearly_all.iter().filter(|id| without.binary_search(id).is_err()));
        selecting.sort_unstable();
        selecting
    }
}

/// About what one identity of a block takes, in bytes, until the class is made and in it.
const IDENTITY: usize = 24;
