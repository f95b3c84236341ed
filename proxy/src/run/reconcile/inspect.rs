//! Checks that everything is still attached, and restores it.

use std::collections::BTreeMap;

use portcullis_rules::world::EndpointId;

use super::Reconciler;
use crate::run::{
    backends::{DataPlaneHandle, KernelHandle, PlaceFinder, SteeringInspection},
    fault::{SteeringReport, Unsteered, field},
};

/// Repairs that are remembered.
const REMEMBERED: usize = 5;

/// What is known beside what was tried.
#[derive(Debug, Default)]
pub(super) struct InspectionState {
    overruled: BTreeMap<EndpointId, Unsteered>,
    node: Vec<String>,
    repairs: Vec<String>,
    repaired: u64,
}

impl InspectionState {
    fn note(&mut self, repair: String) {
        tracing::error!("steering was not intact: {repair}");
        self.repaired += 1;
        self.repairs.push(repair);
        if self.repairs.len() > REMEMBERED {
            self.repairs.remove(0);
        }
    }
}

impl<K: KernelHandle, D: DataPlaneHandle, P: PlaceFinder> Reconciler<K, D, P> {
    /// Looks whether everything that was attached still is, and attaches again what is not.
    pub fn inspect(&mut self) {
        let mut found = SteeringInspection::default();
        let _ = self.resolutions.with_kernel(|kernel| {
            found = kernel.inspect();
            Ok(())
        });
        found.repaired.into_iter().for_each(|repair| self.watch.note(repair));
        for what in found.broken.iter().filter(|what| !self.watch.node.contains(*what)) {
            tracing::error!("steering is not intact: {what}");
        }
        self.watch.node = found.broken;
        self.attach_again(found.detached);
        self.tell_overruled(found.overruled);
    }

    fn attach_again(&mut self, detached: BTreeMap<EndpointId, String>) {
        for (id, what) in detached {
            let (Some(wanted), Some(held)) = (self.wanted.get(&id).cloned(), self.held.get_mut(&id)) else { continue };
            held.attached = None;
            let name = format!("{}/{}", wanted.endpoint.namespace, wanted.endpoint.name);
            match self.steer(&wanted) {
                Ok(()) => {
                    self.faults.remove(&id);
                    self.watch.note(format!("{name}: {what}; it is attached again"));
                }
                Err(fault) => {
                    tracing::error!(endpoint = name, "{what}, and it could not be attached again: {}", fault.message);
                    self.faults.insert(id, fault);
                }
            }
        }
    }

    fn tell_overruled(&mut self, found: BTreeMap<EndpointId, String>) {
        let fault = |(id, message): (EndpointId, String)| {
            let place = &self.held.get(&id)?.place;
            let remedy = "everything else of its policy is in force; it is looked at each second";
            Some((id, Unsteered { field: field(place), message, remedy, absent: false }))
        };
        let overruled: BTreeMap<_, _> = found.into_iter().filter_map(fault).collect();
        let before = std::mem::replace(&mut self.watch.overruled, overruled);
        for (id, fault) in self.watch.overruled.iter().filter(|(id, fault)| before.get(*id) != Some(*fault)) {
            let name = self.wanted.get(id).map_or_else(String::new, |local| local.endpoint.name.to_string());
            tracing::error!(endpoint = name, remedy = fault.remedy, "{}", fault.message);
        }
    }

    /// Everything that is known of the steering.
    pub fn report(&self) -> SteeringReport {
        let mut endpoints = self.faults.clone();
        for (id, fault) in self.watch.overruled.iter().chain(self.tries.faults()) {
            endpoints.entry(*id).or_insert_with(|| fault.clone());
        }
        SteeringReport {
            locals: self.wanted.iter().map(|(id, local)| (*id, local.endpoint.clone())).collect(),
            endpoints,
            node: self.watch.node.clone(),
            repairs: self.watch.repairs.clone(),
        }
    }

    /// How often something was put back.
    pub fn repairs(&self) -> u64 {
        self.watch.repaired
    }
}
