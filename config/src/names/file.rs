//! The name cache as text: a header line, then one JSON object for each name, endpoint and server.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use portcullis_rules::{
    names::{LONGEST, normal},
    world::{EndpointId, LearnedFrom, Transport},
};
use serde::{Deserialize, Serialize};

use super::{
    NameLimits,
    cache::{CacheLine, NameCache},
};

/// The version that is written. That before it did not know where answers came from, so nobody can tell for whom they count.
const VERSION: u32 = 2;
/// The kind that is written.
const KIND: &str = "portcullis names";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NamesFileHeader {
    kind: String,
    version: u32,
}

/// What an endpoint was told of a name by a server: when the TTL of each address is over, in seconds.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NamesFileLine {
    name: String,
    endpoint: u32,
    server: IpAddr,
    port: u16,
    transport: String,
    known: bool,
    addresses: BTreeMap<IpAddr, u64>,
}

/// Why a text is no name cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}; the node starts without it, and learns names again from new queries")]
pub struct DamagedNamesFile {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl NameCache {
    /// What an endpoint learnt of one name, as lines of [`NameCache::to_text`]: appended there, they add to what stands before.
    #[must_use]
    pub fn lines(&self, name: &str, endpoint: EndpointId) -> String {
        lines(self.learnt_by(&normal(name), endpoint))
    }

    /// The name cache as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let head = NamesFileHeader { kind: KIND.to_owned(), version: VERSION };
        // Text, numbers and addresses always have a JSON form.
        let mut text = serde_json::to_string(&head).unwrap_or_default() + "\n";
        text.push_str(&lines(self.list()));
        text
    }

    /// Reads what [`NameCache::to_text`] wrote. What has had its time by `now` is left out, what is over the limits evicted.
    ///
    /// # Errors
    /// Some line is not what was written; nothing of the text counts then.
    pub fn from_text(text: &str, limits: NameLimits, now: u64) -> Result<Self, DamagedNamesFile> {
        let damaged = |line, message: String| DamagedNamesFile { line, message };
        let mut lines = text.lines().zip(1..);
        let head = lines.next().ok_or_else(|| damaged(1, "the file is empty".to_owned()))?;
        let head: NamesFileHeader = serde_json::from_str(head.0).map_err(|error| damaged(1, error.to_string()))?;
        if (head.kind.as_str(), head.version) != (KIND, VERSION) {
            let message =
                format!("it is {:?} of version {}, not {KIND:?} of version {VERSION}", head.kind, head.version);
            return Err(damaged(1, message));
        }
        let mut cache = Self::new(limits);
        for (text, number) in lines {
            let line: NamesFileLine = serde_json::from_str(text).map_err(|error| damaged(number, error.to_string()))?;
            if line.name.len() > LONGEST + 1 || line.name != normal(&line.name) {
                return Err(damaged(
                    number,
                    "the name is not in lower case with a dot at its end, or too long".to_owned(),
                ));
            }
            let transport = Transport::ALL.into_iter().find(|transport| transport.as_str() == line.transport);
            let Some(transport) = transport.filter(|transport| matches!(transport, Transport::Tcp | Transport::Udp))
            else {
                return Err(damaged(number, format!("{:?} is no transport of DNS", line.transport)));
            };
            let (endpoint, server) = (EndpointId(line.endpoint), line.server.to_canonical());
            let origin = LearnedFrom { endpoint, server, port: line.port, transport, known: line.known };
            let name: Arc<str> = line.name.into();
            for (address, expires) in line.addresses {
                let listed = CacheLine { name: Arc::clone(&name), address: address.to_canonical(), expires, origin };
                cache.restore(&listed, now);
            }
        }
        Ok(cache)
    }
}

/// A line for each name and origin.
fn lines(listed: impl Iterator<Item = CacheLine>) -> String {
    let (mut text, mut name) = (String::new(), None);
    let mut by_origin: BTreeMap<LearnedFrom, BTreeMap<IpAddr, u64>> = BTreeMap::new();
    for CacheLine { name: next, address, expires, origin } in listed {
        if name.as_ref() != Some(&next) {
            write(&mut text, name.replace(next).as_deref(), std::mem::take(&mut by_origin));
        }
        by_origin.entry(origin).or_default().insert(address, expires);
    }
    write(&mut text, name.as_deref(), by_origin);
    text
}

fn write(text: &mut String, name: Option<&str>, by_origin: BTreeMap<LearnedFrom, BTreeMap<IpAddr, u64>>) {
    let Some(name) = name else { return };
    for (LearnedFrom { endpoint, server, port, transport, known }, addresses) in by_origin {
        let (name, transport) = (name.to_owned(), transport.as_str().to_owned());
        let line = NamesFileLine { name, endpoint: endpoint.0, server, port, transport, known, addresses };
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
}
