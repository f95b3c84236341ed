//! `icmps` (cilium pkg/policy/api/icmp.go).

use portcullis_rules::{policy::IcmpField, world::Transport};

use super::{Language, entry::EntryKind};
use crate::{
    problem::DocumentProblem,
    yaml::{Fields, YamlField, YamlValue},
};

/// Names of ICMP message types.
const IPV4: &[(&str, u8)] = &[
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

/// Names of ICMPv6 message types.
const IPV6: &[(&str, u8)] = &[
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

/// Most types of one item.
const MOST: usize = 40;

const REMEDY: &str = "mind that these messages pass; let the layer-3/4 network of the node judge them";

/// Reads `icmps`. An empty list counts as absent.
pub(super) fn read(
    fields: &mut Fields<'_>,
    direction: EntryKind,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> Option<Vec<IcmpField>> {
    let field = fields.get("icmps")?;
    let items = field.items(problems);
    if items.is_empty() {
        return None;
    }
    if !direction.egress {
        language.warn_live(&field, "ICMP that comes in is not judged by this node", REMEDY, problems);
    }
    let mut types = Vec::new();
    for item in &items {
        let mut inner = item.fields(problems);
        let list = inner.get("fields").map(|list| list.items(problems)).unwrap_or_default();
        inner.finish(&[], problems);
        if list.len() > MOST {
            let message = format!("too many types, the max is {MOST}");
            problems.push(item.problem(message, "split them over several items"));
        }
        for item in &list {
            let Some(field) = one(item, problems) else { continue };
            if direction.egress && !is_request(&field) {
                let message = "of ICMP that goes out only requests are judged by this node";
                language.warn_live(item, message, REMEDY, problems);
            }
            types.push(field);
        }
    }
    Some(types)
}

/// Whether the kernel judges it.
fn is_request(field: &IcmpField) -> bool {
    portcullis_rules::steering::requests(field.family).contains(&field.kind.into())
}

fn one(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<IcmpField> {
    let mut fields = item.fields(problems);
    let words = [("IPv4", Transport::Icmp), ("IPv6", Transport::IcmpV6)];
    let family = fields.get("family").map_or(Some(Transport::Icmp), |field| field.word(&words, problems));
    let kind = fields.require("type", "write type: 8, or a name such as EchoRequest", problems);
    fields.finish(&[], problems);
    let (family, kind) = (family?, kind?);
    let names = if family == Transport::Icmp { IPV4 } else { IPV6 };
    let number = match &kind.tree.value {
        YamlValue::Integer(_) => {
            kind.number(0, u64::from(u8::MAX), problems).and_then(|number| u8::try_from(number).ok())
        }
        YamlValue::Text(text) => text.parse().ok().or_else(|| {
            let found = names.iter().find(|(name, _)| name == text).map(|(_, number)| *number);
            if found.is_none() {
                let message = format!("ICMP type {text} not found in the family");
                problems.push(kind.problem(message, "write a number from 0 to 255, or a name that this family has"));
            }
            found
        }),
        _ => kind.text(problems).and(None),
    };
    Some(IcmpField { family, kind: number? })
}
