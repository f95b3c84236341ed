//! Reads CIDRs and CIDR sets.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_rules::policy::{CidrGroupSelector, CidrGroupUse, CidrSet};

use super::selector;
use crate::{problem::DocumentProblem, yaml::YamlField};

/// How a range is written.
pub(crate) const CIDR_REMEDY: &str = "write ADDRESS/LENGTH: 192.0.2.0/24 or 2001:db8::/32";
const MAPPED: &str = "is an IPv4-mapped range";

/// An item of `fromCIDR` or `toCIDR`: a range, or an address for itself alone (the agent takes both).
pub(super) fn cidr_or_address(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<IpNet> {
    let text = item.text(problems)?;
    match text.parse::<IpAddr>() {
        Ok(address) => checked(item, IpNet::from(address), problems),
        Err(_) => parsed(item, text, problems),
    }
}

/// What an item of `fromCIDRSet` or `toCIDRSet` names.
pub(super) enum CidrRule {
    /// A range.
    Set(CidrSet),
    /// Groups of ranges.
    Groups(CidrGroupUse),
}

/// An item of `fromCIDRSet` or `toCIDRSet` (cilium pkg/policy/api/rule_validation.go, `CIDRRule.sanitize`).
pub(super) fn cidr_rule(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<CidrRule> {
    const REMEDY: &str = "write exactly one of cidr, cidrGroupRef and cidrGroupSelector";
    let mut fields = item.fields(problems);
    let cidr = fields.get("cidr");
    let name = fields.get("cidrGroupRef");
    let selector = fields.get("cidrGroupSelector");
    let except = fields.get("except").map(|field| field.items(problems)).unwrap_or_default();
    let except: Vec<IpNet> = except.iter().filter_map(|item| cidr_only(item, problems)).collect();
    let before = problems.len();
    fields.finish(&[], problems);
    let groups = |groups| CidrRule::Groups(CidrGroupUse { groups, except: except.clone() });
    match (cidr, name, selector) {
        (Some(cidr), None, None) => {
            let cidr = cidr_only(&cidr, problems)?;
            Some(CidrRule::Set(CidrSet { cidr, except }))
        }
        (None, Some(name), None) => Some(groups(CidrGroupSelector::Name(name.text(problems)?.to_owned()))),
        (None, None, Some(selector)) => Some(groups(CidrGroupSelector::Labels(selector::read(&selector, problems)))),
        (None, None, None) => {
            if problems.len() == before {
                let message = "one of cidr, cidrGroupRef, or cidrGroupSelector is required";
                problems.push(item.problem(message, REMEDY));
            }
            None
        }
        _ => {
            let message = "more than one of cidr, cidrGroupRef, or cidrGroupSelector may not be set";
            problems.push(item.problem(message, REMEDY));
            None
        }
    }
}

pub(super) fn cidr_only(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<IpNet> {
    let text = field.text(problems)?;
    parsed(field, text, problems)
}

fn parsed(field: &YamlField<'_>, text: &str, problems: &mut Vec<DocumentProblem>) -> Option<IpNet> {
    let Some(net) = parse_net(text) else {
        problems.push(field.problem(unparsable(text), CIDR_REMEDY));
        return None;
    };
    checked(field, net, problems)
}

fn unparsable(text: &str) -> String {
    format!("unable to parse CIDR {text:?}")
}

/// A range of a `CiliumCIDRGroup`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_cidr(text: &str) -> Result<IpNet, String> {
    let net = parse_net(text).ok_or_else(|| unparsable(text))?;
    if is_mapped(net) { Err(format!("{text} {MAPPED}")) } else { Ok(net.trunc()) }
}

/// As Go's `netip.ParsePrefix`. The parser of `IpNet` takes `010.0.0.0/8`, which others read as octal.
fn parse_net(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let plain = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|_| plain)?;
    IpNet::new(address.parse().ok()?, length).ok()
}

fn is_mapped(net: IpNet) -> bool {
    matches!(net, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some())
}

/// Host bits are dropped, as Go's `net.ParseCIDR` does. Addresses are never IPv4-mapped here, so no mapped range matches.
fn checked(field: &YamlField<'_>, net: IpNet, problems: &mut Vec<DocumentProblem>) -> Option<IpNet> {
    if is_mapped(net) {
        problems.push(field.problem(MAPPED, "write it as IPv4: 192.0.2.0/24"));
        return None;
    }
    Some(net.trunc())
}
