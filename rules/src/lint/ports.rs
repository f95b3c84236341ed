//! Checks the ports of one element.

use crate::{
    lint::{Report, element::Element},
    policy::{PortRef, PortSpec},
};

/// Where clients speak TLS.
const TLS_PORT: u16 = 443;

/// Looks at the ports of one element.
pub(super) fn element(element: &Element<'_>, report: &mut Report<'_>) {
    for (path, rule) in element.ports() {
        if rule.ports.is_empty() {
            let message = "an empty list of ports selects nothing, so this never matches";
            report.add("PL102", element.policy, format!("{path}.ports"), message).remedy =
                "name ports, or remove toPorts for all".to_owned();
        }
        let Some(l7) = &rule.l7 else { continue };
        let tls = rule.ports.iter().position(speaks_tls).filter(|_| l7.schema.nature.web && !rule.terminates_tls);
        if let Some(number) = tls {
            let message = "HTTP rules on port 443 meet TLS, which they cannot read: every connection is refused";
            report.add("PL205", element.policy, format!("{path}.ports[{number}].port"), message);
        }
        if let Some(message) = l7.schema.nature.retired {
            report.add("PL003", element.policy, format!("{path}.rules.{}", l7.schema.protocol), message);
        }
    }
}

fn speaks_tls(spec: &PortSpec) -> bool {
    match &spec.port {
        PortRef::Range(first, last) => first == last && *first == TLS_PORT,
        PortRef::Named(name) => name == "https",
    }
}
