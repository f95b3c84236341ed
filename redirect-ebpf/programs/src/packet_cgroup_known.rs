//! Decides about packets of the host's sockets that are known before the tables are consulted. These are separate
//! functions, so that their stack space is free again by then.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_sock_tuple},
    helpers::generated::{bpf_sk_lookup_tcp, bpf_sk_release, bpf_skb_ancestor_cgroup_id},
};
use portcullis_redirect_common::{
    Passing, BY_LOOPBACK, ECHO_REQUEST, ECHO_REQUEST_V6, EGRESS, FLOW_IN, FLOW_OUT, FLOW_OWN, ICMP, ICMP_V6, INGRESS,
    Action, NODE, OwnerKey, SERVICE, TCP, Tuple, UDP, UDP_LITE,
};

use crate::{
    SITE,
    maps::OWNERS,
    number,
    packet::{LISTEN, PacketHeaders, SOCK_STREAM, STREAM, STREAM_SOCKET, SYN, answered, bytes, is_stream},
    packet_cgroup::{PASSING, is_inside},
    packet_flows::{beside, known, note, received, remembered, sent},
    packet_judge::{ADMIT, DROP, LET, has_ports, is_error, is_named, keeps_open, opened},
    replies::is_expected,
    verdict::{HookFlow, is_loopback, read, tell, verdict},
};

/// A judgement that is left to the tables.
pub const OPEN: u32 = 4;
/// A judgement: the packet passes, and so do all with the same headers from the same socket that stay in the namespace.
pub const STAY: u32 = 5;

/// `BPF_F_CURRENT_NETNS` (linux/bpf.h).
const CURRENT_NAMESPACE: u64 = u64::MAX;
/// State of a socket that is connected, of UDP too (net/tcp_states.h).
const ESTABLISHED: u32 = 1;
const SOCK_DGRAM: u32 = 2;

/// Of what goes out by the loopback device, what the hooks let pass there: to the endpoint itself; what is steered, to our
/// listener; and what belongs to a connection, which somebody in this namespace has accepted.
#[inline(always)]
fn stays(packet: &PacketHeaders) -> bool {
    let to = bytes(&packet.tuple.destination);
    if is_loopback(&to) || is_named(to) {
        return true;
    }
    match packet.protocol() {
        TCP if packet.sender & STREAM != 0 && !packet.is_bare_syn() => true,
        TCP | UDP => verdict(&opened(packet, true, EGRESS)) == Action::Steer,
        _ => false,
    }
}

/// What becomes of a packet whatever the tables say. A function of its own, so that its room on the stack is free again when
/// the tables are asked.
#[inline(never)]
pub fn sends_what_is_known(skb: *mut __sk_buff, socket: *mut bpf_sock, packet: &mut PacketHeaders) -> u32 {
    let protocol = packet.protocol();
    if is_inside(skb) && stays(packet) {
        return if has_ports(protocol) { STAY } else { LET };
    }
    // What it says in place of a connection's socket, which has ended or was never there.
    let stands_in = protocol == TCP && packet.sender & STREAM_SOCKET == 0;
    if stands_in && packet.empty && packet.flags & SYN == 0 && is_kernels(skb) {
        return LET;
    }
    if protocol == TCP && !packet.is_bare_syn() {
        match admission(socket, &packet.tuple) {
            Admission::Out => {
                // A connection lives as long as its socket: whoever means it no more cuts that.
                let key = sent(&packet.tuple);
                let kind = remembered(&key);
                note(&key, if kind == 0 { FLOW_OUT } else { kind });
                return ADMIT;
            }
            // It was steered, and has another way now.
            Admission::Inside => return DROP,
            // Accepted at a port that is not the service's. What a socket of the service connects is admitted with its first packet,
            // unless it is older than that.
            Admission::None
                if packet.sender & STREAM != 0 && is_foreign(packet, true) && is_served(skb, packet, true) =>
            {
                return ADMIT;
            }
            _ => {}
        }
    } else if is_foreign(packet, true) && remembered(&sent(&packet.tuple)) == FLOW_IN {
        return LET;
    } else if (protocol == ICMP || protocol == ICMP_V6) && is_kernels(skb) {
        return message_of_the_kernel(packet);
    }
    OPEN
}

/// What is noted beside a socket about a packet of its.
enum Admission {
    None,
    /// It passes, by any device.
    Out,
    /// It passes by the loopback device.
    Inside,
    /// Something else passes.
    Other,
}

#[inline(always)]
fn admission(socket: *mut bpf_sock, tuple: &Tuple) -> Admission {
    let admitted: *mut Passing = beside(&PASSING, socket);
    if admitted.is_null() {
        return Admission::None;
    }
    let admitted = unsafe { &*admitted };
    if admitted.tuple != *tuple {
        Admission::Other
    } else if admitted.way == BY_LOOPBACK {
        Admission::Inside
    } else {
        Admission::Out
    }
}

/// Whether a packet is for a port of this namespace that is not the service's: what comes in there is not judged.
#[inline(always)]
fn is_foreign(packet: &PacketHeaders, leaving: bool) -> bool {
    if number(&SITE) != SERVICE || !has_ports(packet.protocol()) {
        return false;
    }
    let flow = opened(packet, leaving, INGRESS);
    let key = OwnerKey { endpoint: flow.endpoint, protocol: flow.protocol as u16, port: flow.port };
    unsafe { OWNERS.get(key) }.is_none()
}

/// Whether somebody listens on a packet's port of this namespace, so that its connection came in.
#[inline(always)]
fn is_served(skb: *mut __sk_buff, packet: &PacketHeaders, leaving: bool) -> bool {
    let own = if leaving { packet.tuple.source } else { packet.tuple.destination };
    let port = opened(packet, leaving, INGRESS).port.to_be();
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    // From nobody: the connection itself is not to be found.
    let size = unsafe {
        if packet.v6 {
            let v6 = &mut tuple.__bindgen_anon_1.ipv6;
            (v6.daddr, v6.dport) = (own, port);
            36
        } else {
            let v4 = &mut tuple.__bindgen_anon_1.ipv4;
            (v4.daddr, v4.dport) = (own[3], port);
            12
        }
    };
    let found = unsafe { bpf_sk_lookup_tcp(skb.cast(), &raw mut tuple, size, CURRENT_NAMESPACE, 0) };
    if found.is_null() {
        return false;
    }
    unsafe { bpf_sk_release(found.cast()) };
    true
}

/// Whether a packet comes from a socket of the root cgroup: those of the kernel are there, which answer for no process and for
/// what the host forwards.
#[inline(always)]
fn is_kernels(skb: *mut __sk_buff) -> bool {
    number(&SITE) == NODE && unsafe { bpf_skb_ancestor_cgroup_id(skb, 1) } == 0
}

/// The kernel's own messages pass. No program sees an echo request that it answers, so the answer is judged in place of it.
#[inline(always)]
fn message_of_the_kernel(packet: &PacketHeaders) -> u32 {
    let request = match packet.flags {
        0 if !packet.v6 => ECHO_REQUEST,
        129 if packet.v6 => ECHO_REQUEST_V6,
        _ if is_error(packet) => return LET,
        _ => packet.flags,
    };
    let flow = HookFlow { port: request as u16, source_port: 0, ..opened(packet, true, INGRESS) };
    if verdict(&flow) == Action::Refuse {
        tell(&flow, false);
        return DROP;
    }
    LET
}

#[inline(never)]
pub fn receives_what_is_known(skb: *mut __sk_buff, socket: *mut bpf_sock, packet: &PacketHeaders) -> u32 {
    let from = bytes(&packet.tuple.source);
    let inside = is_inside(skb);
    let connected = read!((*socket).type_) == SOCK_STREAM && read!((*socket).state) != LISTEN;
    if inside || (is_foreign(packet, false) && (!connected || is_served(skb, packet, false))) {
        if !inside || (!is_loopback(&from) && !is_named(from)) {
            note_in(socket, packet);
        }
        return LET;
    }
    match packet.protocol() {
        TCP if read!((*socket).type_) == SOCK_STREAM => receives_segment(socket, packet),
        UDP | UDP_LITE if read!((*socket).type_) == SOCK_DGRAM && is_awaited(socket, packet) => LET,
        _ => OPEN,
    }
}

/// Remembers that a datagram came in, so that it may be answered. A raw socket gets what is for others as well.
#[inline(always)]
fn note_in(socket: *mut bpf_sock, packet: &PacketHeaders) {
    let key = received(&packet.tuple);
    if matches!(packet.protocol(), UDP | UDP_LITE) && read!((*socket).type_) == SOCK_DGRAM && known(&key) == 0 {
        note(&key, FLOW_IN);
    }
}

/// A segment that the kernel has found a socket of TCP for: it belongs to a connection, or asks a listener for one.
#[inline(always)]
fn receives_segment(socket: *mut bpf_sock, packet: &PacketHeaders) -> u32 {
    let flow = opened(packet, false, INGRESS);
    let key = received(&packet.tuple);
    if verdict(&flow).passes() {
        note(&key, FLOW_IN);
        return LET;
    }
    if matches!(known(&key), FLOW_IN | FLOW_OUT | FLOW_OWN) {
        return LET;
    }
    // Whoever connected it was judged then; what is older than these programs is judged by the table.
    let may_be_older = matches!(admission(socket, &answered(&packet.tuple)), Admission::None);
    if is_stream(socket) && read!((*socket).state) != LISTEN && may_be_older {
        if verdict(&opened(packet, false, EGRESS)).passes() || keeps_open() {
            note(&key, FLOW_OUT);
            return LET;
        }
    }
    tell(&flow, false);
    DROP
}

/// Whether a datagram answers what its socket asked before these programs were there.
#[inline(always)]
fn is_awaited(socket: *mut bpf_sock, packet: &PacketHeaders) -> bool {
    let asked = opened(packet, false, EGRESS);
    let connected = read!((*socket).state) == ESTABLISHED;
    if connected { verdict(&asked).passes() } else { is_expected(&asked) && verdict(&asked) != Action::Refuse }
}
