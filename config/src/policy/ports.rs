//! One element of `toPorts`.

use portcullis_rules::{
    policy::{PortRef, PortRule, PortSpec},
    world::Transport,
};

use super::{Language, entry::Kind, l7};
use crate::{problem::Problem, yaml::Field};

/// Known to Cilium only.
const UNSUPPORTED: &[&str] = &["terminatingTLS", "originatingTLS", "serverNames", "listener"];

/// Reads one element.
pub(super) fn read(item: &Field<'_>, kind: Kind, language: Language<'_>, problems: &mut Vec<Problem>) -> PortRule {
    let mut fields = item.fields(problems);
    let ports = fields.get("ports").map(|field| field.items(problems)).unwrap_or_default();
    let ports = ports.iter().filter_map(|item| port(item, problems)).collect();
    let rules = fields.get("rules");
    let l7 = match rules {
        Some(rules) if kind.deny => {
            let remedy = "remove it: what is denied is denied whatever it says";
            problems.push(rules.problem("deny rules have no L7 rules", remedy));
            None
        }
        Some(rules) => l7::read(&rules, language, problems),
        None => None,
    };
    fields.finish(UNSUPPORTED, problems);
    PortRule { ports, l7 }
}

fn port(item: &Field<'_>, problems: &mut Vec<Problem>) -> Option<PortSpec> {
    let mut fields = item.fields(problems);
    let field = fields.require("port", "write port: \"80\", or \"0\" for every port", problems);
    let port = field.and_then(|field| {
        let text = field.text(problems)?;
        let port = parse_port(text);
        if port.is_none() {
            let remedy = "write a number from 0 to 65535 in quotes, or the name of a port";
            problems.push(field.problem(format!("unable to parse port {text:?}"), remedy));
        }
        port
    });
    let end = fields.get("endPort").and_then(|field| field.number(0, u64::from(u16::MAX), problems));
    let transport = fields.get("protocol").and_then(|field| protocol(&field, problems));
    fields.finish(&[], problems);
    let port = match (port?, end.and_then(|end| u16::try_from(end).ok())) {
        (PortRef::Range(first, _), Some(last)) if last != 0 => PortRef::Range(first, last),
        (port, _) => port,
    };
    Some(PortSpec { port, transport: transport.flatten() })
}

/// A number, or else a name. Cilium reads numbers with base 0, so that `017` is 15; here it is refused.
fn parse_port(text: &str) -> Option<PortRef> {
    if is_service_name(text) {
        return Some(PortRef::Named(text.to_owned()));
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|_| plain)?;
    Some(PortRef::Range(number, number))
}

/// An IANA service name (RFC 6335 §5.1) in lower case.
fn is_service_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=15).contains(&text.len())
        && text.bytes().all(fits)
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// `Some(None)` is `ANY`. The agent takes lower case too.
fn protocol(field: &Field<'_>, problems: &mut Vec<Problem>) -> Option<Option<Transport>> {
    let text = field.text(problems)?;
    match text.to_ascii_uppercase().as_str() {
        "" | "ANY" => Some(None),
        "TCP" => Some(Some(Transport::Tcp)),
        "UDP" => Some(Some(Transport::Udp)),
        "SCTP" => Some(Some(Transport::Sctp)),
        "VRRP" | "IGMP" | "GRE" | "IPIP" | "IPV6" | "ESP" | "AH" | "ICMP" | "ICMPV6" => {
            problems
                .push(field.problem(format!("{text} is not supported by this version"), "write TCP, UDP, SCTP or ANY"));
            None
        }
        _ => {
            problems.push(field.problem(format!("unknown protocol {text:?}"), "write TCP, UDP, SCTP or ANY"));
            None
        }
    }
}
