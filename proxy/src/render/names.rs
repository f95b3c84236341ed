//! Learned names, as `get` shows them.

use std::collections::BTreeSet;

use portcullis_config::proto;
use portcullis_listeners::telemetry::rfc3339;
use serde::Serialize;

use crate::{
    output::plain,
    render::{table::table, time::span},
};

/// One name, for scripts.
#[derive(Debug, Serialize)]
pub struct NameJson<'a> {
    name: &'a str,
    selected: bool,
    addresses: Vec<Address<'a>>,
}

#[derive(Debug, Serialize)]
struct Address<'a> {
    address: &'a str,
    expires: String,
    origins: Vec<NameOriginJson<'a>>,
}

/// Which server gave an address, and who asked it.
#[derive(Debug, Serialize)]
struct NameOriginJson<'a> {
    server: &'a str,
    port: u32,
    transport: &'a str,
    endpoint: &'a str,
}

/// The names for scripts; times are in RFC 3339.
#[must_use]
pub fn listed(names: &[proto::LearntName]) -> Vec<NameJson<'_>> {
    let address = |address: &'_ proto::LearntAddress| rfc3339(address.expires.saturating_mul(1_000_000_000));
    fn origin(origin: &proto::AnswerOrigin) -> NameOriginJson<'_> {
        let proto::AnswerOrigin { server, port, transport, endpoint, .. } = origin;
        NameOriginJson { server, port: *port, transport, endpoint }
    }
    names
        .iter()
        .map(|name| NameJson {
            name: &name.name,
            selected: name.selected,
            addresses: name
                .addresses
                .iter()
                .map(|learnt| Address {
                    address: &learnt.address,
                    expires: address(learnt),
                    origins: learnt.origins.iter().map(origin).collect(),
                })
                .collect(),
        })
        .collect()
}

/// The table for people: a line for each address. `now` is in seconds since 1970.
#[must_use]
pub fn text(names: &[proto::LearntName], now: u64) -> String {
    let row = |name: &proto::LearntName, address: &proto::LearntAddress| {
        let holds = match address.expires.checked_sub(now) {
            None | Some(0) => "over".to_owned(),
            Some(seconds) => span(seconds),
        };
        let selected = if name.selected { "yes" } else { "no" };
        let servers: BTreeSet<String> = address.origins.iter().map(|origin| plain(&origin.server)).collect();
        let servers = servers.into_iter().collect::<Vec<_>>().join(", ");
        [plain(&name.name), plain(&address.address), holds, selected.to_owned(), servers]
    };
    let rows: Vec<_> = names.iter().flat_map(|name| name.addresses.iter().map(move |a| row(name, a))).collect();
    table(["NAME", "ADDRESS", "HOLDS", "SELECTED", "SERVERS"], &rows)
}
