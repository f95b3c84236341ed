//! The second line: programs at the devices of an endpoint's namespace, and outside of it where a device has a peer there.
//!
//! Inside, `leave` knows the socket of a packet: what a hook admitted, or the tables let pass, costs one look beside the
//! socket, and gets a seal. Outside, `gate` lets pass what has its seal and judges everything else, so that nothing depends
//! on rules, routes, translations or filters of the namespace. `arrive` judges what comes in, outside where that is possible.
//! A program that lets pass leaves the word to those that others have attached.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_sock_tuple},
    helpers::generated::{
        bpf_get_listener_sock, bpf_sk_fullsock, bpf_sk_lookup_tcp, bpf_sk_release, bpf_sk_storage_get,
        bpf_tcp_check_syncookie,
    },
    macros::classifier,
    programs::TcContext,
};
use portcullis_redirect_common::{Admitted, FLOW_IN, FLOW_OUT, FLOW_OWN, TCP, TELL_SECONDS, Tuple, UDP};

use crate::{
    maps::OWN_SOCKETS,
    number,
    packet::{ARP, ETHERNET, IPV4, IPV6, KERNEL, OWN, Packet, STREAM, bytes, load, parse, quick, read_header, scratch},
    packet_empty,
    packet_flows::{
        ADMITTED, beside, epoch, is_known_fragment, known, note, note_fragment, put_seal, received, remembered, seal,
        seconds, sent, take_seal,
    },
    packet_judge::{ADMIT, DROP, EMPTY, arriving, is_named, leaving},
    verdict::read,
};

/// Set by the loader: the identifier of the endpoint's namespace, as the one of the program knows it; -1 is the same one.
#[unsafe(no_mangle)]
static WITHIN: u32 = u32::MAX;

/// Set by the loader: 1 lets connections go on that are older than the programs.
#[unsafe(no_mangle)]
pub static KEEP_OPEN: u32 = 0;

const NEXT: i32 = -1;
const SHOT: i32 = 2;
const CREATE: u64 = 1;
/// States of sockets (net/tcp_states.h).
const SYN_SENT: u32 = 2;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;
const SOCK_STREAM: u32 = 1;

/// Inside, on the way out.
#[classifier]
pub fn leave(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let socket = socket(skb);
    if let Some(tuple) = quick(skb) {
        if is_admitted(skb, socket, &tuple) || is_known_datagram(skb, &tuple) {
            return NEXT;
        }
    }
    if leave_slowly(skb) { NEXT } else { SHOT }
}

/// Outside, from the endpoint.
#[classifier]
pub fn gate(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    if let Some(tuple) = quick(skb) {
        if take_seal(skb, seal(&tuple)) {
            return NEXT;
        }
    }
    if gate_slowly(skb) { NEXT } else { SHOT }
}

/// To the endpoint.
#[classifier]
pub fn arrive(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    if let Some(tuple) = quick(skb) {
        if matches!(known(&received(&tuple)), FLOW_IN | FLOW_OUT | FLOW_OWN) {
            return NEXT;
        }
    }
    if arrive_slowly(skb) { NEXT } else { SHOT }
}

#[inline(always)]
fn socket(skb: *mut __sk_buff) -> *mut bpf_sock {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() { socket } else { unsafe { bpf_sk_fullsock(socket) } }
}

#[inline(always)]
fn is_admitted(skb: *mut __sk_buff, socket: *mut bpf_sock, tuple: &Tuple) -> bool {
    if socket.is_null() {
        return false;
    }
    let admitted: *mut Admitted = beside(&ADMITTED, socket);
    if admitted.is_null() {
        return false;
    }
    let admitted = unsafe { &mut *admitted };
    if admitted.tuple != *tuple || (tuple.protocol != TCP as u32 && admitted.epoch != epoch()) {
        return false;
    }
    let now = seconds();
    if now.wrapping_sub(admitted.told) >= TELL_SECONDS {
        return false;
    }
    put_seal(skb, admitted.seal);
    true
}

/// Whether a datagram is one of a flow that policy lets pass, whichever socket sends it: one that serves many peers names
/// another one each time.
#[inline(never)]
fn is_known_datagram(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    if tuple.protocol != UDP as u32 || !matches!(known(&sent(tuple)), FLOW_IN | FLOW_OUT) {
        return false;
    }
    if !is_named(bytes(&tuple.source)) {
        return false;
    }
    put_seal(skb, seal(tuple));
    true
}

/// Reads a packet that is no common one. `Err` has what becomes of it.
#[inline(always)]
fn look(skb: *mut __sk_buff, packet: &mut Packet) -> Result<(), bool> {
    match read!((*skb).protocol) {
        ARP => Err(true),
        IPV4 | IPV6 if read!((*skb).vlan_present) == 0 && parse(skb, ETHERNET, packet) => Ok(()),
        // No protocol that policy knows (cilium bpf/bpf_lxc.c: DROP_UNKNOWN_L3), or one that hides where it goes.
        _ => Err(false),
    }
}

#[inline(never)]
fn leave_slowly(skb: *mut __sk_buff) -> bool {
    let Some(packet) = scratch() else { return false };
    if let Err(passes) = look(skb, packet) {
        return passes;
    }
    let mark = seal(&packet.tuple);
    if packet.later {
        let passes = is_known_fragment(packet);
        if passes {
            put_seal(skb, mark);
        }
        return passes;
    }
    let socket = socket(skb);
    let renewed = !socket.is_null() && packet.protocol() == TCP && was_admitted(socket, &packet.tuple);
    let judged = if renewed {
        renew(packet);
        ADMIT
    } else {
        packet.sender = sender(skb, socket);
        leaving(skb, packet)
    };
    if judged == DROP {
        return false;
    }
    if judged == ADMIT && !socket.is_null() && !packet.first {
        admit(socket, &packet.tuple, mark);
    }
    note_fragment(packet);
    put_seal(skb, mark);
    true
}

#[inline(always)]
fn was_admitted(socket: *mut bpf_sock, tuple: &Tuple) -> bool {
    let admitted: *mut Admitted = beside(&ADMITTED, socket);
    !admitted.is_null() && unsafe { &*admitted }.tuple == *tuple
}

/// A connection lives as long as its socket: whoever means it no more cuts that.
#[inline(never)]
fn renew(packet: &Packet) {
    let key = sent(&packet.tuple);
    let kind = remembered(&key);
    note(&key, if kind == 0 { FLOW_OUT } else { kind });
}

/// Apart, as is `renew`, because Linux 6.1 counts the stack of every call in steps of 32 bytes, and has 512 for all of them.
#[inline(never)]
fn admit(socket: *mut bpf_sock, tuple: &Tuple, seal: u64) {
    let mut value = Admitted { tuple: *tuple, seal, epoch: epoch(), told: seconds() };
    let map = (&raw const ADMITTED).cast_mut().cast();
    let held: *mut Admitted =
        unsafe { bpf_sk_storage_get(map, socket.cast(), (&raw mut value).cast(), CREATE) }.cast();
    if !held.is_null() {
        unsafe { *held = value };
    }
}

#[inline(always)]
fn sender(skb: *mut __sk_buff, socket: *mut bpf_sock) -> u32 {
    let any = read!((*skb).__bindgen_anon_2.sk);
    if any.is_null() {
        return KERNEL;
    }
    if !socket.is_null() {
        let state = read!((*socket).state);
        let stream = read!((*socket).type_) == SOCK_STREAM && state != SYN_SENT && state != CLOSE;
        return is_own(socket) | if stream { STREAM } else { 0 };
    }
    // What is not accepted yet belongs to its listener.
    let listener = unsafe { bpf_get_listener_sock(any) };
    if listener.is_null() { 0 } else { is_own(listener) | STREAM }
}

#[inline(always)]
fn is_own(socket: *mut bpf_sock) -> u32 {
    let own: *mut u32 = beside(&OWN_SOCKETS, socket);
    if own.is_null() { 0 } else { OWN }
}

#[inline(never)]
fn gate_slowly(skb: *mut __sk_buff) -> bool {
    let Some(packet) = scratch() else { return false };
    if let Err(passes) = look(skb, packet) {
        return passes;
    }
    if take_seal(skb, seal(&packet.tuple)) {
        return true;
    }
    if packet.later {
        return is_known_fragment(packet);
    }
    let passes = leaving(skb, packet) != DROP;
    if passes {
        note_fragment(packet);
    }
    passes
}

#[inline(never)]
fn arrive_slowly(skb: *mut __sk_buff) -> bool {
    let Some(packet) = scratch() else { return false };
    if let Err(passes) = look(skb, packet) {
        return passes;
    }
    if packet.later {
        return is_known_fragment(packet);
    }
    if packet.protocol() == TCP && !packet.is_bare_syn() && is_connected(skb, packet) {
        note(&received(&packet.tuple), FLOW_OUT);
        return true;
    }
    match arriving(skb, packet) {
        DROP => false,
        EMPTY => packet_empty::datagram(skb, packet),
        _ => {
            note_fragment(packet);
            true
        }
    }
}

/// Whether a connection that was admitted is there, in the namespace of the endpoint: what was remembered of it may be gone.
#[inline(never)]
fn is_connected(skb: *mut __sk_buff, packet: &mut Packet) -> bool {
    let Tuple { source, destination, ports, .. } = packet.tuple;
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let size = unsafe {
        let [a, b, c, d] = ports.to_ne_bytes();
        let (sport, dport) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        if packet.v6 {
            let v6 = &mut tuple.__bindgen_anon_1.ipv6;
            (v6.saddr, v6.daddr, v6.sport, v6.dport) = (source, destination, sport, dport);
            36
        } else {
            let v4 = &mut tuple.__bindgen_anon_1.ipv4;
            (v4.saddr, v4.daddr, v4.sport, v4.dport) = (source[3], destination[3], sport, dport);
            12
        }
    };
    let within = number(&WITHIN) as i32 as i64 as u64;
    let socket = unsafe { bpf_sk_lookup_tcp(skb.cast(), &raw mut tuple, size, within, 0) };
    if socket.is_null() {
        return false;
    }
    let answered = Tuple { source: destination, destination: source, ports: ports.rotate_left(16), protocol: TCP as u32 };
    let connected = if read!((*socket).state) == LISTEN {
        is_own(socket) != 0 && has_cookie(skb, packet, socket)
    } else {
        number(&KEEP_OPEN) != 0 || was_admitted(socket, &answered) || is_own(socket) != 0
    };
    unsafe { bpf_sk_release(socket.cast()) };
    connected
}

/// Whether a packet has the cookie that a listener has just answered a SYN with, for these very addresses and ports: it is the
/// first that the listener sees of the connection. A translation in the namespace has cookies of other ports.
#[inline(never)]
fn has_cookie(skb: *mut __sk_buff, packet: &mut Packet, socket: *mut bpf_sock) -> bool {
    let size = if packet.v6 { 40 } else { 20 };
    if !read_header(skb, ETHERNET, size, &mut packet.header) {
        return false;
    }
    let Some(mut transport) = load::<[u32; 5]>(skb, packet.at) else { return false };
    let (header, transport) = (packet.header.as_mut_ptr().cast(), transport.as_mut_ptr().cast());
    unsafe { bpf_tcp_check_syncookie(socket.cast(), header, size, transport, 20) == 0 }
}
