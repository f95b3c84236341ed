//! Finds L7 rules that restrict nothing, because the same rule allows the same peers and ports without L7 rules.

use std::cell::Cell;

use crate::{
    bounds::{Effort, of_entry},
    compile::peers::names_nobody,
    policy::{Entity, PolicyEntry, PortRef, PortRule, PortSpec},
};

/// What to do about it.
pub(super) const REMEDY: &str = "remove the wider element, or switch on deviations.l7BindsBesideL4";

/// Most steps that are taken for one list. Elements are compared with each other, and all that comes of it is a warning.
const MOST: usize = 1_000_000;
/// Bytes of an element that are compared in about one step.
const COMPARED: usize = 64;

/// The fields with L7 rules that certainly restrict nothing, and why. Of a list that is too long for that, some may be
/// missing.
pub(super) fn shadowed(entries: &[PolicyEntry], path: &str, effort: &Effort) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let sizes: Vec<usize> = entries.iter().map(|entry| 1 + of_entry(entry) / COMPARED).collect();
    let spent = Cell::new(0_usize);
    let spend = |steps: usize| {
        spent.set(spent.get().saturating_add(steps));
        spent.get() <= MOST && effort.take(steps)
    };
    for (number, position, entry, rule) in elements(entries).filter(|(.., rule)| rule.l7.is_some()) {
        let wider = entries.iter().zip(&sizes).position(|(other, size)| {
            if !spend(*size.min(&sizes[number])) {
                return false;
            }
            let same_peers = everybody(other) || (named(other) && peers(other) == peers(entry));
            let plain = || {
                other
                    .ports
                    .iter()
                    .flatten()
                    .filter(|ports| ports.l7.is_none() && ports.server_names.is_none())
                    .flat_map(|ports| &ports.ports)
            };
            let portless = named(other) && other.icmps.is_none() && other.ports.as_ref().is_none_or(Vec::is_empty);
            same_peers
                && spend(rule.ports.len() * other.ports.iter().flatten().map(|ports| ports.ports.len()).sum::<usize>())
                && (portless || rule.ports.iter().all(|spec| plain().any(|wider| covers(wider, spec))))
        });
        if let Some(by) = wider {
            found.push((
                format!("{path}[{number}].toPorts[{position}].rules"),
                format!("{path}[{by}] allows the same peers and ports without L7 rules, so these restrict nothing"),
            ));
        }
    }
    found
}

/// The peers of an element.
fn peers(entry: &PolicyEntry) -> impl PartialEq + '_ {
    let ranges = (&entry.cidrs, &entry.cidr_sets, &entry.cidr_groups);
    (&entry.endpoints, ranges, &entry.entities, &entry.nodes, &entry.services, &entry.fqdns)
}

/// Whether an element names peers.
fn named(entry: &PolicyEntry) -> bool {
    !names_nobody(entry)
}

/// All `toPorts` elements with the numbers of their elements and their own.
fn elements(entries: &[PolicyEntry]) -> impl Iterator<Item = (usize, usize, &PolicyEntry, &PortRule)> {
    entries.iter().enumerate().flat_map(|(number, entry)| {
        let rules = entry.ports.iter().flatten().enumerate();
        rules.map(move |(position, rule)| (number, position, entry, rule))
    })
}

/// Whether an element means every peer.
fn everybody(entry: &PolicyEntry) -> bool {
    let ports = entry.ports.as_ref().is_some_and(|ports| !ports.is_empty());
    (ports && !named(entry)) || entry.entities.as_ref().is_some_and(|entities| entities.contains(&Entity::All))
}

/// Whether one port's meaning includes another's.
fn covers(wider: &PortSpec, spec: &PortSpec) -> bool {
    let transports = wider.transport.is_none() || wider.transport == spec.transport;
    let ports = match (&wider.port, &spec.port) {
        (PortRef::Range(0, 0), _) => true,
        (PortRef::Range(first, last), PortRef::Range(from, to)) => first <= from && to <= last,
        (wider, spec) => wider == spec,
    };
    transports && ports
}
