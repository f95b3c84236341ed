//! Parts of questions: addresses for those that have none, and what entities, transports and addresses are called.

use std::net::{IpAddr, Ipv6Addr};

use portcullis_rules::{
    labels::{Label, LabelSet},
    world::Transport,
};

/// First of the addresses that are given out to those that have none (RFC 4193, a random prefix).
const FIRST: u128 = 0xfd6a_3c51_9e07_0000_0000_0000_0000_0000;

/// Addresses that nobody has, one after the other.
#[derive(Debug, Default)]
pub struct SpareAddresses {
    given: u128,
}

impl SpareAddresses {
    /// The next one.
    pub fn give(&mut self) -> IpAddr {
        self.given += 1;
        Ipv6Addr::from(FIRST + self.given).into()
    }
}

/// The labels of a peer that an entity names, if it names a single one.
#[must_use]
pub fn entity(name: &str) -> Option<LabelSet> {
    const SINGLE: &[&str] = &["host", "remote-node", "health", "init", "ingress", "unmanaged"];
    // Seen from elsewhere, the API server runs on another node.
    if name == "kube-apiserver" {
        return Some(LabelSet::new([reserved(name), reserved("remote-node")]));
    }
    SINGLE.contains(&name).then(|| LabelSet::new([reserved(name)]))
}

/// A label of the source `reserved`.
#[must_use]
pub fn reserved(key: &str) -> Label {
    Label { source: "reserved".to_owned(), key: key.to_owned(), value: String::new() }
}

/// A transport by its name in any case; TCP where it is empty.
///
/// # Errors
/// There is none of that name.
pub fn transport_of(name: &str) -> Result<Transport, String> {
    if name.is_empty() {
        return Ok(Transport::Tcp);
    }
    let found = Transport::ALL.into_iter().find(|transport| transport.as_str().eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let known = Transport::ALL.map(Transport::as_str).join(", ");
        format!("unknown protocol {name:?}: write one of {known}")
    })
}

/// An address; an IPv4-mapped one as IPv4.
///
/// # Errors
/// It is none.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| format!("{text:?} is no address"))
}
