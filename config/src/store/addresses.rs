//! Ensures that an address belongs to one endpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    incoming::Candidate,
    key::{ResourceKind, StoreKey},
    table::{AcceptedResource, ResourceBody, ResourceTable},
};
use crate::problem::DocumentProblem;

/// Refuses endpoints whose addresses others have. `gone` are names that the update removes.
///
/// Addresses may wander within one update, so all new versions are looked at together. When one is refused its last good
/// version keeps its addresses, which may be another one's now: so it is looked again until nothing is refused any more.
pub(crate) fn refuse_conflicts(candidates: &mut [Candidate], table: &ResourceTable, gone: &BTreeSet<StoreKey>) {
    if candidates.iter().all(|candidate| candidate.unchanged || candidate.kind != Some(ResourceKind::Endpoint)) {
        return;
    }
    while refuse_some(candidates, table, gone) {}
}

fn refuse_some(candidates: &mut [Candidate], table: &ResourceTable, gone: &BTreeSet<StoreKey>) -> bool {
    let renewed: BTreeSet<StoreKey> =
        candidates.iter().filter(|one| one.good.is_some()).filter_map(|one| one.key.clone()).collect();
    let mut owners: BTreeMap<IpAddr, StoreKey> = BTreeMap::new();
    for (key, good) in table.goods().filter(|(key, _)| !renewed.contains(*key) && !gone.contains(*key)) {
        owners.extend(addresses(good).iter().map(|address| (*address, key.clone())));
    }
    let mut refused = false;
    for candidate in candidates {
        let (Some(key), Some(good)) = (candidate.key.clone(), candidate.good.clone()) else { continue };
        let taken = addresses(&good).iter().enumerate().find_map(|(index, address)| {
            let owner = owners.get(address).filter(|owner| **owner != key)?;
            let message = format!("{address} belongs to {owner}");
            let remedy = "an address has one endpoint: correct one of the two, or delete the other first";
            Some(DocumentProblem::new(format!("spec.addresses[{index}]"), message, remedy))
        });
        match taken {
            Some(problem) => {
                candidate.refuse(problem);
                refused = true;
            }
            None => owners.extend(addresses(&good).iter().map(|address| (*address, key.clone()))),
        }
    }
    refused
}

fn addresses(good: &AcceptedResource) -> &[IpAddr] {
    match &good.body {
        ResourceBody::Endpoint(endpoint, _) => &endpoint.addresses,
        _ => &[],
    }
}
