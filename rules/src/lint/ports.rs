//! Checks the ports of one element.

use crate::{
    lint::{LintReport, cover, element::Element},
    policy::{PortRef, PortSpec},
    world::{Direction, Transport},
};

/// Where clients speak TLS: its own port, and those of its habit.
const TLS_PORTS: [u16; 4] = [443, 6443, 8443, 9443];
const DNS_PORT: u16 = 53;

/// Looks at the ports of one element.
pub(super) fn element(element: &Element<'_>, report: &mut LintReport<'_>) {
    for (path, rule) in element.ports() {
        if rule.ports.is_empty() {
            let message = "an empty list of ports selects nothing, so this never matches";
            report.add("PL102", element.policy, format!("{path}.ports"), message).remedy =
                "name ports, or remove toPorts for all".to_owned();
        }
        let Some(l7) = &rule.l7 else { continue };
        let tls = rule.ports.iter().position(speaks_tls).filter(|_| l7.schema.nature.web && !rule.terminates_tls);
        if let Some(number) = tls {
            let port = match &rule.ports[number].port {
                PortRef::Range(first, last) if first == last => first.to_string(),
                PortRef::Range(first, last) => format!("{first}-{last}"),
                PortRef::Named(name) => name.clone(),
            };
            let message =
                format!("HTTP rules on port {port} meet TLS, which they cannot read: such a connection is refused");
            report.add("PL205", element.policy, format!("{path}.ports[{number}].port"), message);
        }
        if let Some(message) = l7.schema.nature.retired {
            report.add("PL003", element.policy, format!("{path}.rules.{}", l7.schema.protocol), message);
        }
    }
}

/// Looks for DNS that is allowed over UDP, and by no element for these endpoints and servers over TCP.
pub(super) fn dns(elements: &[Element<'_>], report: &mut LintReport<'_>) {
    let over = |spec: &PortSpec, wanted: Transport| {
        spec.port == PortRef::Range(DNS_PORT, DNS_PORT) && spec.transport == Some(wanted)
    };
    let egress = |element: &&Element<'_>| element.direction == Direction::Egress && !element.deny;
    let takes_tcp = |spec: &PortSpec| {
        let tcp = PortSpec { port: PortRef::Range(DNS_PORT, DNS_PORT), transport: Some(Transport::Tcp) };
        cover::port(spec, &tcp)
    };
    for element in elements.iter().filter(egress) {
        let named = element.ports().find_map(|(path, rule)| {
            let number = rule.ports.iter().position(|spec| over(spec, Transport::Udp))?;
            Some(format!("{path}.ports[{number}].protocol"))
        });
        let Some(path) = named else { continue };
        let tcp = elements.iter().filter(egress).any(|other| {
            cover::may_meet(&other.subject, &element.subject)
                && (other.every_port() || other.specs().any(takes_tcp))
                && (cover::peers(&other.peers, &element.peers) || cover::peers(&element.peers, &other.peers))
        });
        if !tcp {
            report.add("PL113", element.policy, path, "allows DNS over UDP, and nothing allows it over TCP");
        }
    }
}

fn speaks_tls(spec: &PortSpec) -> bool {
    match &spec.port {
        PortRef::Range(0, 0) => false,
        PortRef::Range(first, last) => TLS_PORTS.iter().any(|port| (first..=last).contains(&port)),
        PortRef::Named(name) => name == "https",
    }
}
