//! Peers other than endpoints: CIDRs, entities, names.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_rules::policy::{CidrSet, Entity, FqdnSelector};

use crate::{problem::Problem, yaml::Field};

const CIDR_REMEDY: &str = "write ADDRESS/LENGTH: 192.0.2.0/24 or 2001:db8::/32";

/// An item of `fromCIDR` or `toCIDR`: a range, or an address for itself alone (the agent takes both).
pub(super) fn cidr_or_address(item: &Field<'_>, problems: &mut Vec<Problem>) -> Option<IpNet> {
    let text = item.text(problems)?;
    match text.parse::<IpAddr>() {
        Ok(address) => checked(item, IpNet::from(address), problems),
        Err(_) => parsed(item, text, problems),
    }
}

/// An item of `fromCIDRSet` or `toCIDRSet`.
pub(super) fn cidr_set(item: &Field<'_>, problems: &mut Vec<Problem>) -> Option<CidrSet> {
    let mut fields = item.fields(problems);
    let grouped = ["cidrGroupRef", "cidrGroupSelector"].iter().any(|name| item.tree.get(name).is_some());
    // With a group the fault is the group, which `finish` names.
    let cidr = if grouped { fields.get("cidr") } else { fields.require("cidr", CIDR_REMEDY, problems) };
    let cidr = cidr.and_then(|field| cidr_only(&field, problems));
    let except = fields.get("except").map(|field| field.items(problems)).unwrap_or_default();
    let except = except.iter().filter_map(|item| cidr_only(item, problems)).collect();
    fields.finish(&["cidrGroupRef", "cidrGroupSelector"], problems);
    Some(CidrSet { cidr: cidr?, except })
}

fn cidr_only(field: &Field<'_>, problems: &mut Vec<Problem>) -> Option<IpNet> {
    let text = field.text(problems)?;
    parsed(field, text, problems)
}

fn parsed(field: &Field<'_>, text: &str, problems: &mut Vec<Problem>) -> Option<IpNet> {
    let Some(net) = parse_net(text) else {
        problems.push(field.problem(format!("{text:?} is no CIDR"), CIDR_REMEDY));
        return None;
    };
    checked(field, net, problems)
}

/// As Go's `netip.ParsePrefix`. The parser of `IpNet` takes `010.0.0.0/8`, which others read as octal.
fn parse_net(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let plain = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|_| plain)?;
    IpNet::new(address.parse().ok()?, length).ok()
}

/// Host bits are dropped, as Go's `net.ParseCIDR` does. Addresses are never IPv4-mapped here, so no mapped range matches.
fn checked(field: &Field<'_>, net: IpNet, problems: &mut Vec<Problem>) -> Option<IpNet> {
    if let IpNet::V6(v6) = net
        && v6.addr().to_ipv4_mapped().is_some()
    {
        problems.push(field.problem("is an IPv4-mapped range", "write it as IPv4: 192.0.2.0/24"));
        return None;
    }
    Some(net.trunc())
}

const ENTITIES: &[(&str, Entity)] = &[
    ("all", Entity::All),
    ("world", Entity::World),
    ("world-ipv4", Entity::WorldIpv4),
    ("world-ipv6", Entity::WorldIpv6),
    ("cluster", Entity::Cluster),
    ("host", Entity::Host),
    ("remote-node", Entity::RemoteNode),
    ("kube-apiserver", Entity::KubeApiServer),
    ("ingress", Entity::Ingress),
    ("init", Entity::Init),
    ("health", Entity::Health),
    ("unmanaged", Entity::Unmanaged),
    ("none", Entity::None),
    // Refused later unless the deviation is on.
    ("kube-dns", Entity::KubeDns),
];

/// An item of `fromEntities` or `toEntities`.
pub(super) fn entity(item: &Field<'_>, problems: &mut Vec<Problem>) -> Option<Entity> {
    let text = item.text(problems)?;
    let found = ENTITIES.iter().find(|(word, _)| *word == text).map(|(_, entity)| *entity);
    if found.is_none() {
        let known = ENTITIES.iter().filter(|(_, entity)| *entity != Entity::KubeDns).map(|(word, _)| *word);
        let remedy = format!("write one of {}", known.collect::<Vec<_>>().join(", "));
        problems.push(item.problem(format!("unsupported entity: {text}"), remedy));
    }
    found
}

/// An item of `toFQDNs`.
pub(super) fn fqdn(item: &Field<'_>, problems: &mut Vec<Problem>) -> Option<FqdnSelector> {
    const REMEDY: &str = "write exactly one of matchName and matchPattern";
    let mut fields = item.fields(problems);
    let name = fields.get("matchName").and_then(|field| domain(&field, "", problems));
    let pattern = fields.get("matchPattern").and_then(|field| domain(&field, "*", problems));
    fields.finish(&[], problems);
    match (name, pattern) {
        (Some(name), None) => Some(FqdnSelector::Name(name)),
        (None, Some(pattern)) => Some(FqdnSelector::Pattern(pattern)),
        (Some(_), Some(_)) => {
            problems.push(item.problem("has both matchName and matchPattern", REMEDY));
            None
        }
        (None, None) => {
            if ["matchName", "matchPattern"].iter().all(|name| item.tree.get(name).is_none()) {
                problems.push(item.problem("has neither matchName nor matchPattern", REMEDY));
            }
            None
        }
    }
}

/// pkg/policy/api/fqdn.go: `^[-a-zA-Z0-9_.]+$`, with `*` for patterns.
fn domain(field: &Field<'_>, also: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let text = field.text(problems)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || also.contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        let stars = if also.is_empty() { "" } else { " and '*'" };
        let remedy = format!("write letters, digits, '-', '_', '.'{stars} only");
        problems.push(field.problem(format!("{text:?} is no name"), remedy));
        return None;
    }
    Some(text.to_owned())
}
