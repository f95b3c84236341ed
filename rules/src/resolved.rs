//! The names of an address, and the endpoints for which they count.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    compile::{identities::Addresses, selectors::SelectorId, trust::TrustId},
    learning::AddressLearner,
    names,
    world::LearnedFrom,
};

/// A name of an address, and the answers that gave it.
#[derive(Clone, Copy, Debug)]
pub struct KnownName<'a> {
    /// The name.
    pub name: &'a str,
    /// Where the answers came from; none: it is known for all.
    pub origins: &'a [LearnedFrom],
}

/// A name of an address that is selected somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SelectedName {
    /// In normal form.
    pub(crate) name: Arc<str>,
    /// In order.
    pub(crate) origins: Box<[LearnedFrom]>,
    pub(crate) selectors: Box<[SelectorId]>,
}

/// The names of an address that are selected somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) names: Box<[SelectedName]>,
    /// All that select one of them, in order.
    pub(crate) selectors: Box<[SelectorId]>,
    /// Those that do for whom not all names count. Whoever is missing has none of the selectors.
    trusted: Box<[(TrustId, Box<[SelectorId]>)]>,
}

impl Resolved {
    /// The selectors of the names that count, in order.
    pub(crate) fn selectors(&self, trust: Option<TrustId>) -> &[SelectorId] {
        let Some(trust) = trust else { return &self.selectors };
        let place = self.trusted.binary_search_by_key(&trust, |(trust, _)| *trust);
        place.map_or(&[], |place| &self.trusted[place].1)
    }
}

impl AddressLearner {
    /// What is to be known of an address that has these names; nothing if none of them is selected.
    pub(crate) fn resolve(&self, names: &[KnownName<'_>], addresses: &Addresses) -> Option<Arc<Resolved>> {
        let mut known: Vec<SelectedName> = Vec::new();
        for KnownName { name, origins } in names {
            let name = names::normal(name);
            let mut selectors: Vec<SelectorId> = self.selectors.matching(&name).collect();
            if selectors.is_empty() {
                continue;
            }
            selectors.sort_unstable();
            let mut origins = origins.to_vec();
            origins.sort_unstable();
            origins.dedup();
            known.push(SelectedName { name: name.into(), origins: origins.into(), selectors: selectors.into() });
        }
        known.sort_unstable_by(|a, b| (&a.name, &a.origins).cmp(&(&b.name, &b.origins)));
        known.dedup_by(|a, b| a.name == b.name && a.origins == b.origins);
        if known.is_empty() {
            return None;
        }
        let selectors = union(known.iter());
        let counting = |trust: TrustId| {
            let counts = |one: &&SelectedName| self.trusts.counts(Some(trust), &one.name, &one.origins, addresses);
            (trust, union(known.iter().filter(counts)))
        };
        let trusts = self.trusts_of(&selectors);
        let trusted = trusts.into_iter().map(counting).filter(|(_, selectors)| !selectors.is_empty()).collect();
        Some(Arc::new(Resolved { names: known.into(), selectors, trusted }))
    }
}

/// The selectors of some names, in order.
fn union<'a>(names: impl Iterator<Item = &'a SelectedName>) -> Box<[SelectorId]> {
    let all: BTreeSet<SelectorId> = names.flat_map(|known| known.selectors.iter().copied()).collect();
    all.into_iter().collect()
}
