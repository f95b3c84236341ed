//! Ports of services in rules about the endpoints behind them.

use std::sync::Arc;

use crate::{
    lint::{
        LintReport, cover,
        element::{Element, LintPeer, LintPeers},
    },
    policy::{PortRef, PortSpec, ServiceName, ServiceSelector},
    world::{Direction, Endpoint, Service, World},
};

/// Looks for egress rules that name the port of a service and none of those that its endpoints listen on.
pub(super) fn elements(elements: &[Element<'_>], world: &World, report: &mut LintReport<'_>) {
    let egress = |element: &&Element<'_>| element.direction == Direction::Egress;
    for element in elements.iter().filter(egress) {
        let reached: Vec<&Arc<Service>> =
            world.services.iter().filter(|service| reaches(element, service, &world.endpoints)).collect();
        for (path, rule) in element.ports() {
            for (number, spec) in rule.ports.iter().enumerate() {
                if let Some((service, target)) = misses(spec, &rule.ports, &reached) {
                    let message = format!(
                        "is a port of the service {}/{}, whose endpoints listen on {target}",
                        service.namespace, service.name
                    );
                    report.add("PL208", element.policy, format!("{path}.ports[{number}].port"), message).remedy =
                        format!("write port: \"{target}\"");
                }
            }
        }
    }
}

/// Whether an element certainly means the endpoints behind a service.
fn reaches(element: &Element<'_>, service: &Service, endpoints: &[Arc<Endpoint>]) -> bool {
    let LintPeers::Listed(peers) = &element.peers else { return false };
    let behind: Vec<&Arc<Endpoint>> = endpoints
        .iter()
        .filter(|endpoint| endpoint.addresses.iter().any(|address| service.backends.contains(address)))
        .collect();
    peers.iter().any(|peer| match peer {
        LintPeer::Service(selector) => names(selector, service),
        LintPeer::Endpoints(selector) => {
            !behind.is_empty() && behind.iter().all(|endpoint| selector.matches(&endpoint.labels))
        }
        _ => false,
    })
}

fn names(selector: &ServiceSelector, service: &Service) -> bool {
    selector.namespace.as_deref().is_none_or(|namespace| namespace == &*service.namespace)
        && match &selector.services {
            ServiceName::Name(name) => **name == *service.name,
            ServiceName::Labels(labels) => labels.matches(&service.labels),
        }
}

/// The service whose port a rule names, and the port of its endpoints, unless the rule names that as well, or the port is also
/// one that endpoints listen on.
fn misses<'s>(spec: &PortSpec, listed: &[PortSpec], reached: &[&'s Arc<Service>]) -> Option<(&'s Arc<Service>, u16)> {
    let PortRef::Range(first, last) = spec.port else { return None };
    if first != last || first == 0 {
        return None;
    }
    let ports = || reached.iter().flat_map(|service| service.ports.iter().map(move |port| (*service, port)));
    let of = |port: u16, transport| PortSpec { port: PortRef::Range(port, port), transport: Some(transport) };
    if ports().any(|(_, port)| port.target_port == first) {
        return None;
    }
    let (service, port) = ports()
        .find(|(_, port)| port.port == first && spec.transport.is_none_or(|transport| transport == port.transport))?;
    let covered = listed.iter().any(|other| cover::port(other, &of(port.target_port, port.transport)));
    (!covered).then_some((service, port.target_port))
}
