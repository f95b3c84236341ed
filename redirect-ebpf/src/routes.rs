//! Routing rules and routes of a steered namespace. Ours are those with our preference, mark and table.
//!
//! Every function works on the calling thread's namespace.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use portcullis_redirect_common::{MARK, MARK_OUT, MARK_UDP, PREF_DNS, PREF_LOST, PREF_OUT, PREF_STEER, TABLE};
use rtnetlink::{
    Handle, IpVersion, RouteMessageBuilder,
    packet_route::{
        AddressFamily, IpProtocol,
        address::{AddressAttribute, AddressMessage},
        route::{RouteAttribute, RouteMessage, RouteScope, RouteType},
        rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange},
    },
};

use crate::sysctl;

const LOOPBACK: u32 = 1;
const MAIN: u32 = 254;
/// Metric of the route through `lo`, the one that counts. IPv4 has 0 by itself, IPv6 would take 1024.
const METRIC: u32 = 1;
/// Second routes, one for each device of the endpoint: a socket bound to its device does not see routes of `lo`.
const DEVICE_METRIC: u32 = 10;

/// Addresses of a namespace.
#[derive(Debug)]
pub(crate) struct NamespaceAddresses {
    /// Those of its devices.
    pub(crate) own: Vec<IpAddr>,
    /// Those of everybody in its networks, to which no rule of ours applies.
    pub(crate) broadcasts: Vec<IpAddr>,
}

/// Makes the rules and routes of an endpoint with these addresses, whose datagrams to these ports are steered, and to others
/// find no route; those that are there already stay. Gives the addresses of the namespace.
pub(crate) fn set_up(
    addresses: &[IpAddr],
    ports: &[(u16, u16)],
    lost: &[(u16, u16)],
) -> io::Result<NamespaceAddresses> {
    with_netlink(async |netlink| {
        let held: Vec<AddressMessage> = netlink.address().get().execute().try_collect().await.map_err(other)?;
        for family in families(addresses) {
            for rule in rules(family.v6) {
                there(add_rule(&netlink, rule).await)?;
            }
            let mut wanted = vec![route(LOOPBACK, family.source, METRIC)];
            let devices = devices(&held, family.source);
            wanted.extend(devices.map(|device| route(device, family.source, DEVICE_METRIC)));
            for route in wanted {
                // In place of one with another source.
                netlink.route().add(route).replace().execute().await.map_err(other)?;
            }
        }
        change_ports(&netlink, ports, lost).await?;
        Ok(NamespaceAddresses { own: own(&held), broadcasts: broadcasts(&held) })
    })
}

/// Has datagrams to these ports steered, ranges (first, last) that do not touch, and to no others. Those to ports that are lost
/// find no route.
pub(crate) fn set_ports(ports: &[(u16, u16)], lost: &[(u16, u16)]) -> io::Result<()> {
    with_netlink(async |netlink| change_ports(&netlink, ports, lost).await)
}

/// What is wanted comes before what is not wanted goes: ranges may overlap in between, and nothing is left out.
async fn change_ports(netlink: &Handle, ports: &[(u16, u16)], lost: &[(u16, u16)]) -> io::Result<()> {
    for v6 in [false, true].into_iter().filter(|v6| !v6 || sysctl::has_ipv6()) {
        let unreachable =
            |range: &(u16, u16)| port_rules(v6, *range).into_iter().filter(|rule| has_key(rule, PREF_LOST, MARK_UDP));
        let mut wanted: Vec<RuleMessage> = ports.iter().flat_map(|range| port_rules(v6, *range)).collect();
        wanted.extend(lost.iter().flat_map(unreachable));
        let held: Vec<RuleMessage> = present(netlink, v6).await?.into_iter().filter(is_for_ports).collect();
        let has = |rules: &[RuleMessage], rule: &RuleMessage| rules.iter().any(|other| is_same(other, rule));
        for rule in wanted.iter().filter(|rule| !has(&held, rule)) {
            there(add_rule(netlink, rule.clone()).await)?;
        }
        for rule in held.iter().filter(|rule| !has(&wanted, rule)) {
            gone(netlink.rule().del(rule.clone()).execute().await)?;
        }
    }
    Ok(())
}

/// Has datagrams to steered ports find no route, until they are set again.
pub(crate) fn lose_ports() -> io::Result<()> {
    with_netlink(async |netlink| {
        for v6 in [false, true].into_iter().filter(|v6| !v6 || sysctl::has_ipv6()) {
            let steering = |rule: &RuleMessage| has_key(rule, PREF_DNS, MARK_UDP);
            for rule in present(&netlink, v6).await?.into_iter().filter(steering) {
                gone(netlink.rule().del(rule).execute().await)?;
            }
        }
        Ok(())
    })
}

async fn present(netlink: &Handle, v6: bool) -> io::Result<Vec<RuleMessage>> {
    let version = if v6 { IpVersion::V6 } else { IpVersion::V4 };
    netlink.rule().get(version).execute().try_collect().await.map_err(other)
}

/// Whether what is steered to an address is delivered in this namespace. The kernel is asked; nothing is sent.
pub(crate) fn are_delivered(to: IpAddr) -> io::Result<bool> {
    with_netlink(async |netlink| {
        let mut question = match to {
            IpAddr::V4(to) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32).build(),
            IpAddr::V6(to) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, 128).build(),
        };
        question.attributes.push(RouteAttribute::Mark(MARK));
        let answer = netlink.route().get(question).execute().try_next().await.map_err(other)?;
        Ok(answer.is_some_and(|route| route.header.kind == RouteType::Local))
    })
}

/// Removes every rule and route that is ours.
pub(crate) fn tear_down() -> io::Result<()> {
    with_netlink(async |netlink| {
        for v6 in [false, true] {
            let found = match present(&netlink, v6).await {
                Ok(found) => found,
                Err(_) if v6 => continue,
                Err(error) => return Err(error),
            };
            for rule in found.into_iter().filter(is_ours) {
                gone(netlink.rule().del(rule).execute().await)?;
            }
            let every = if v6 { empty_route::<Ipv6Addr>() } else { empty_route::<Ipv4Addr>() };
            let routes: Vec<RouteMessage> = netlink.route().get(every).execute().try_collect().await.map_err(other)?;
            for route in routes.into_iter().filter(|route| table(route) == TABLE) {
                gone(netlink.route().del(route).execute().await)?;
            }
        }
        Ok(())
    })
}

struct Family {
    v6: bool,
    /// The route's source: without one the kernel takes the destination for it.
    source: IpAddr,
}

fn families(addresses: &[IpAddr]) -> impl Iterator<Item = Family> {
    [false, true].into_iter().filter_map(|v6| {
        if v6 && !sysctl::has_ipv6() {
            return None;
        }
        let source = *addresses.iter().find(|address| address.is_ipv6() == v6)?;
        Some(Family { v6, source })
    })
}

/// The rules of every endpoint.
fn rules(v6: bool) -> [RuleMessage; 3] {
    [
        rule(v6, PREF_OUT, MAIN, &[RuleAttribute::FwMark(MARK_OUT)]),
        rule(v6, PREF_STEER, TABLE, &[RuleAttribute::FwMark(MARK)]),
        lost(v6, &[RuleAttribute::FwMark(MARK)]),
    ]
}

/// The rules that steer datagrams to a range of ports.
fn port_rules(v6: bool, (start, end): (u16, u16)) -> [RuleMessage; 2] {
    let datagrams = [
        RuleAttribute::FwMark(MARK_UDP),
        RuleAttribute::IpProtocol(IpProtocol::Udp),
        RuleAttribute::DestinationPortRange(RulePortRange { start, end }),
    ];
    [rule(v6, PREF_DNS, TABLE, &datagrams), lost(v6, &datagrams)]
}

fn rule(v6: bool, preference: u32, table: u32, selectors: &[RuleAttribute]) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![RuleAttribute::Priority(preference), RuleAttribute::Table(table)];
    rule.attributes.extend_from_slice(selectors);
    rule
}

fn lost(v6: bool, selectors: &[RuleAttribute]) -> RuleMessage {
    let mut lost = rule(v6, PREF_LOST, 0, selectors);
    lost.header.action = RuleAction::Unreachable;
    lost
}

fn is_ours(rule: &RuleMessage) -> bool {
    let ours = [(PREF_OUT, MARK_OUT), (PREF_STEER, MARK), (PREF_LOST, MARK)];
    is_for_ports(rule) || ours.into_iter().any(|(preference, mark)| has_key(rule, preference, mark))
}

fn is_for_ports(rule: &RuleMessage) -> bool {
    has_key(rule, PREF_DNS, MARK_UDP) || has_key(rule, PREF_LOST, MARK_UDP)
}

fn has_key(rule: &RuleMessage, preference: u32, mark: u32) -> bool {
    let has = |wanted: RuleAttribute| rule.attributes.contains(&wanted);
    has(RuleAttribute::Priority(preference)) && has(RuleAttribute::FwMark(mark))
}

/// Whether two rules for ports are the same one. What the kernel shows has more attributes than it was given.
fn is_same(one: &RuleMessage, other: &RuleMessage) -> bool {
    let key = |rule: &RuleMessage| {
        let of = |attribute: &RuleAttribute| match attribute {
            RuleAttribute::Priority(preference) => Some((0, *preference)),
            RuleAttribute::DestinationPortRange(range) => {
                Some((1, u32::from(range.start) << 16 | u32::from(range.end)))
            }
            _ => None,
        };
        let mut key: Vec<_> = rule.attributes.iter().filter_map(of).collect();
        key.sort_unstable();
        key
    };
    key(one) == key(other)
}

async fn add_rule(netlink: &Handle, message: RuleMessage) -> Result<(), rtnetlink::Error> {
    let mut request = netlink.rule().add();
    *request.message_mut() = message;
    request.execute().await
}

fn route(device: u32, source: IpAddr, metric: u32) -> RouteMessage {
    match source {
        IpAddr::V4(source) => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new().pref_source(source);
            local(route, device, metric).scope(RouteScope::Host).build()
        }
        IpAddr::V6(source) => {
            let route = RouteMessageBuilder::<Ipv6Addr>::new().pref_source(source);
            local(route, device, metric).scope(RouteScope::Host).build()
        }
    }
}

fn local<T>(route: RouteMessageBuilder<T>, device: u32, metric: u32) -> RouteMessageBuilder<T> {
    route.table_id(TABLE).output_interface(device).kind(RouteType::Local).priority(metric)
}

trait EmptyRoute {
    fn empty() -> RouteMessage;
}
impl EmptyRoute for Ipv4Addr {
    fn empty() -> RouteMessage {
        RouteMessageBuilder::<Self>::new().build()
    }
}
impl EmptyRoute for Ipv6Addr {
    fn empty() -> RouteMessage {
        RouteMessageBuilder::<Self>::new().build()
    }
}

fn empty_route<T: EmptyRoute>() -> RouteMessage {
    T::empty()
}

fn table(route: &RouteMessage) -> u32 {
    let long = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    long.unwrap_or_else(|| route.header.table.into())
}

/// The devices that have an address, apart from `lo`.
fn devices(held: &[AddressMessage], address: IpAddr) -> impl Iterator<Item = u32> {
    let has = move |message: &&AddressMessage| {
        message.attributes.iter().any(|attribute| match attribute {
            AddressAttribute::Address(found) | AddressAttribute::Local(found) => *found == address,
            _ => false,
        })
    };
    held.iter().filter(|message| message.header.index != LOOPBACK).filter(has).map(|message| message.header.index)
}

/// The addresses of all devices. Where the other end of a link has one too, the own one is the local one (rtnetlink(7)).
fn own(held: &[AddressMessage]) -> Vec<IpAddr> {
    let of = |message: &AddressMessage| {
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(found) => Some(*found),
            _ => None,
        });
        local.or_else(|| {
            message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(found) => Some(*found),
                _ => None,
            })
        })
    };
    held.iter().filter_map(of).collect()
}

/// The addresses that the kernel takes for broadcast (`fib_add_ifaddr`): the first and the last of each network, the first
/// before Linux 5.14 only, and the one that an address was given with.
fn broadcasts(held: &[AddressMessage]) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for message in held {
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Broadcast(broadcast) => all.push(IpAddr::V4(*broadcast)),
                AddressAttribute::Address(IpAddr::V4(address)) if message.header.prefix_len < 31 => {
                    let Ok(net) = Ipv4Net::new(*address, message.header.prefix_len) else { continue };
                    all.extend([net.network(), net.broadcast()].map(IpAddr::V4));
                }
                _ => {}
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Netlink sockets belong to the namespace of the thread that opens them, so each call has a runtime of its own.
pub(crate) fn with_netlink<T>(work: impl AsyncFnOnce(Handle) -> io::Result<T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, netlink, _) = rtnetlink::new_connection()?;
        let driver = tokio::spawn(connection);
        let result = work(netlink).await;
        driver.abort();
        result
    })
}

fn errno(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code().abs(),
        _ => 0,
    }
}

/// The system's error behind one of netlink's.
pub(crate) fn other(error: rtnetlink::Error) -> io::Error {
    match errno(&error) {
        0 => io::Error::other(error),
        number => io::Error::from_raw_os_error(number),
    }
}

fn there(result: Result<(), rtnetlink::Error>) -> io::Result<()> {
    match result {
        Err(error) if errno(&error) == libc::EEXIST => Ok(()),
        other_result => other_result.map_err(other),
    }
}

fn gone(result: Result<(), rtnetlink::Error>) -> io::Result<()> {
    match result {
        Err(error) if [libc::ENOENT, libc::ESRCH].contains(&errno(&error)) => Ok(()),
        other_result => other_result.map_err(other),
    }
}
