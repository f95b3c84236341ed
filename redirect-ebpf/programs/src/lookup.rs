//! `sk_lookup`: runs for packets that are delivered in a namespace and match no established socket. It judges ingress,
//! and hands flows that our routing rule delivered to their listener.

use aya_ebpf::{macros::sk_lookup, programs::SkLookupContext};
use portcullis_redirect_common::{
    Action, EGRESS, INGRESS, UPSTREAM_BY_ANY_DEVICE, UPSTREAM_BY_LOOPBACK, UPSTREAM_OUT, UpstreamKey, ListenerKey, LocalKey, OwnerKey, POD, SERVICE,
    StubKey, UDP, slot,
};

use crate::{
    SEED, SITE, WORKERS,
    maps::{LISTENERS, LOCALS, OWN_UPSTREAMS, OWNERS, STUBS},
    number,
    replies::is_expected,
    verdict::{HookFlow, is_loopback, mapped, plain, protocol, read, read6, report, tell, verdict},
};

const AF_INET: u32 = 2;
const SK_DROP: u32 = 0;
const SK_PASS: u32 = 1;
const LOOPBACK: u32 = 1;
/// `BPF_SK_LOOKUP_F_NO_REUSEPORT`: the socket that was chosen, and no other of a group that it may be in.
const NO_REUSEPORT: u64 = 2;

/// What arrived.
struct LookupPacket {
    v6: bool,
    protocol: u8,
    local: [u8; 16],
    remote: [u8; 16],
    local_port: u16,
    remote_port: u16,
    /// The interface it came by; for what this namespace sends to itself, the one that has the address.
    interface: u32,
}

/// Reads every field before the first branch: in branches LLVM merges the loads behind a computed pointer. The fields
/// of the other family read as 0.
#[inline(always)]
fn packet(ctx: &SkLookupContext) -> LookupPacket {
    let c = ctx.lookup;
    let protocol = protocol(read!((*c).protocol));
    let (local4, remote4) = (read!((*c).local_ip4), read!((*c).remote_ip4));
    let (local6, remote6) = (read6!((*c).local_ip6), read6!((*c).remote_ip6));
    let local_port = read!((*c).local_port) as u16;
    let remote_port = u16::from_be(read!((*c).remote_port));
    let interface = read!((*c).ingress_ifindex);
    let v6 = read!((*c).family) != AF_INET;
    let (local, remote) = if v6 { (plain(local6), plain(remote6)) } else { (mapped(local4), mapped(remote4)) };
    LookupPacket { v6, protocol, local, remote, local_port, remote_port, interface }
}

/// Judges what is delivered.
#[sk_lookup]
pub fn lookup(ctx: SkLookupContext) -> u32 {
    let packet = packet(&ctx);
    let home = number(&crate::ENDPOINT);
    let (ours, theirs) = (is_local(home, &packet.local), is_local(home, &packet.remote));
    if is_loopback(&packet.local) {
        return inside(&ctx, &packet, home);
    }
    let itself = packet.local == packet.remote;
    if ((ours && theirs) || itself) && is_from_inside(&packet, home) {
        return SK_PASS;
    }
    let flow = HookFlow {
        endpoint: home,
        direction: INGRESS,
        protocol: packet.protocol,
        port: packet.local_port,
        source_port: packet.remote_port,
        peer: packet.remote,
    };
    if !ours && !itself && (packet.interface == LOOPBACK || (theirs && is_from_inside(&packet, home))) {
        return outgoing(&ctx, &packet, home);
    }
    if !is_owned(home, &packet) {
        return SK_PASS;
    }
    let action = verdict(&flow);
    if action == Action::Pass || is_reply(&flow) || is_own_upstream(&packet, &flow) {
        return SK_PASS;
    }
    if action == Action::PassAndReport {
        report(&flow, flow.source_port as u64);
        return SK_PASS;
    }
    // An address of this namespace that the endpoint does not name: the listener would not know whose it is.
    if action == Action::Steer && ours {
        return steer(&ctx, &packet, &flow);
    }
    tell(&flow, action == Action::Steer);
    SK_DROP
}

/// What stays on the loopback device passes, but for a resolver that policy names. For a service of the host that passes as
/// well: nothing in a packet tells which process sent it, and the resolver has a cgroup of its own.
#[inline(always)]
fn inside(ctx: &SkLookupContext, packet: &LookupPacket, home: u32) -> u32 {
    let (protocol, port) = (packet.protocol as u16, packet.local_port);
    let key = StubKey { endpoint: home, protocol, port, address: packet.local };
    if number(&SITE) == SERVICE || unsafe { STUBS.get(key) }.is_none() {
        return SK_PASS;
    }
    let flow = outbound(packet, home);
    if is_way_out(packet, &flow) { SK_PASS } else { steer(ctx, packet, &flow) }
}

#[inline(always)]
fn outbound(packet: &LookupPacket, home: u32) -> HookFlow {
    HookFlow {
        endpoint: home,
        direction: EGRESS,
        protocol: packet.protocol,
        port: packet.local_port,
        source_port: packet.remote_port,
        peer: packet.local,
    }
}

/// Whether a flow is an egress upstream connection of ours whose destination is in this namespace.
#[inline(always)]
fn is_way_out(packet: &LookupPacket, flow: &HookFlow) -> bool {
    let key = upstream_key(packet, flow);
    matches!(unsafe { OWN_UPSTREAMS.get(key) }, Some(way) if *way == UPSTREAM_OUT)
}

/// What this namespace sends to an address that is not the endpoint's. Our route has brought it, and the connect program
/// has decided; but it may also be an address that the endpoint does not name, or the host's own business.
#[inline(always)]
fn outgoing(ctx: &SkLookupContext, packet: &LookupPacket, home: u32) -> u32 {
    let flow = outbound(packet, home);
    // Asking again would hand a flow that was steered a moment before to a listener of the application's.
    let (by_loopback, host) = (packet.interface == LOOPBACK, number(&SITE) != POD);
    if by_loopback && !host {
        return steer(ctx, packet, &flow);
    }
    if host && !by_loopback {
        // The host to an address of its own that the endpoint does not name.
        return SK_PASS;
    }
    if !is_way_out(packet, &flow) && verdict(&flow) == Action::Steer { steer(ctx, packet, &flow) } else { SK_PASS }
}

#[inline(always)]
fn is_local(home: u32, address: &[u8; 16]) -> bool {
    unsafe { LOCALS.get(LocalKey { endpoint: home, address: *address }) }.is_some()
}

/// Whether the port is the endpoint's. Of a service of the host only those are that it names.
#[inline(always)]
fn is_owned(home: u32, packet: &LookupPacket) -> bool {
    if number(&SITE) != SERVICE {
        return true;
    }
    let key = OwnerKey { endpoint: home, protocol: packet.protocol as u16, port: packet.local_port };
    unsafe { OWNERS.get(key) }.is_some()
}

/// Whether what claims to come from this namespace does. Over IPv4 the kernel takes no source of its own from outside; of a
/// connection the answer goes to whom the address belongs. But anybody may send a datagram over IPv6 with any source, and the
/// interface does not tell: of what a namespace sends to itself, it is the one that has the address.
#[inline(always)]
fn is_from_inside(packet: &LookupPacket, home: u32) -> bool {
    if !packet.v6 || packet.protocol != UDP || packet.interface == LOOPBACK || number(&SITE) != POD {
        return true;
    }
    let asked = outbound(packet, home);
    // A socket that connects has no port yet when the hook sees it.
    is_expected(&asked)
        || is_expected(&HookFlow { source_port: 0, ..asked })
        || is_way_out(packet, &asked)
}

/// An answer that is waited for, from a peer that may still be asked.
#[inline(always)]
fn is_reply(flow: &HookFlow) -> bool {
    if flow.protocol != UDP {
        return false;
    }
    let asked = HookFlow { direction: EGRESS, port: flow.source_port, source_port: flow.port, ..*flow };
    is_expected(&asked) && verdict(&asked) != Action::Refuse
}

/// Asked only for flows that policy does not pass, so that unsteered ones need not pay for it. An upstream connection is bound to the
/// loopback device where that is possible: no client can come by it, whatever address and port it uses.
#[inline(always)]
fn is_own_upstream(packet: &LookupPacket, flow: &HookFlow) -> bool {
    let key = upstream_key(packet, flow);
    match unsafe { OWN_UPSTREAMS.get(key) }.copied() {
        Some(UPSTREAM_BY_LOOPBACK) => packet.interface == LOOPBACK,
        Some(UPSTREAM_BY_ANY_DEVICE) => {
            // It is for one packet: who comes next from there is somebody else.
            let _ = OWN_UPSTREAMS.remove(key);
            true
        }
        _ => false,
    }
}

/// The upstream connection that a packet would be the first of.
#[inline(always)]
fn upstream_key(packet: &LookupPacket, flow: &HookFlow) -> UpstreamKey {
    UpstreamKey {
        endpoint: flow.endpoint,
        protocol: packet.protocol as u32,
        upstream_port: packet.remote_port,
        port: packet.local_port,
        upstream: packet.remote,
        address: packet.local,
    }
}

/// Which worker meets a flow: the same one for all packets between two sockets, as their addresses and ports have it.
#[inline(always)]
fn worker(packet: &LookupPacket) -> u32 {
    let workers = number(&WORKERS);
    if workers <= 1 {
        return 0;
    }
    let mut hash = number(&SEED) ^ ((packet.remote_port as u32) << 16 | packet.local_port as u32);
    let mut i = 0;
    while i < 16 {
        hash = mix(hash ^ word(&packet.remote, i));
        hash = mix(hash ^ word(&packet.local, i));
        i += 4;
    }
    ((hash as u64 * workers as u64) >> 32) as u32
}

#[inline(always)]
fn word(address: &[u8; 16], at: usize) -> u32 {
    u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]])
}

/// The last steps of MurmurHash3 (32 bits).
#[inline(always)]
fn mix(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[inline(always)]
fn steer(ctx: &SkLookupContext, packet: &LookupPacket, flow: &HookFlow) -> u32 {
    let slot = slot(flow.endpoint, packet.v6, packet.protocol == UDP);
    let worker = worker(packet);
    let hand_over = |worker| LISTENERS.redirect_sk_lookup(ctx, ListenerKey { slot, worker }, NO_REUSEPORT);
    // While a process with fewer workers takes over, some have no listener.
    match hand_over(worker).or_else(|_| hand_over(0)) {
        Ok(()) => SK_PASS,
        Err(_) => {
            tell(flow, true);
            SK_DROP
        }
    }
}
