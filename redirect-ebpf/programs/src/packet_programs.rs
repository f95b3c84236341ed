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
use portcullis_redirect_common::{Admitted, EGRESS, FLOW_IN, FLOW_OUT, FLOW_OWN, INGRESS, PASS, Seal, TCP, TELL_TICKS, Tuple};

use crate::{
    ENDPOINT,
    maps::{OWN_SOCKETS, STEERED},
    number,
    packet::{
        ACK, ARP, ETHERNET, IPV4, IPV6, KERNEL, LISTEN, OWN, Packet, RST, STREAM, SYN, answered, bytes, copy, is_stream, load, parse, ports, quick,
        quick_flags, read_header, same, scratch,
    },
    packet_empty,
    packet_flows::{
        ADMITTED, NO_SEAL, beside, came_lately, epoch, is_entered, is_known_fragment, note, note_fragment, passes, passing, received,
        remembered, sent, ticks,
    },
    packet_judge::{ADMIT, DROP, EMPTY, arriving, is_named, keeps_open, leaving, opened},
    packet_seals::{attach_seal, has_seal, put_seal, put_stamp, take_seal, take_stamp},
    packet_young,
    verdict::{Flow, read, read6, verdict},
};

/// Set by the loader: the identifier of the endpoint's namespace, as the one of the program knows it; -1 is the same one.
#[unsafe(no_mangle)]
static WITHIN: u32 = u32::MAX;

/// Set by the loader: 1 where nobody but a program can write what a stamp is.
#[unsafe(no_mangle)]
static STAMPS: u32 = 0;

const NEXT: i32 = -1;
const SHOT: i32 = 2;
const CREATE: u64 = 1;

/// Inside, on the way out.
#[classifier]
pub fn leave(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    if leave_quickly(skb) || leave_slowly(skb) { NEXT } else { SHOT }
}

/// Outside, from the endpoint.
#[classifier]
pub fn gate(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    if gate_quickly(skb) || gate_slowly(skb) { NEXT } else { SHOT }
}

/// To the endpoint: outside, and once more inside for what was handed to the device past the one outside.
#[classifier]
pub fn arrive(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let (inside, stamps) = (number(&WITHIN) == u32::MAX, number(&STAMPS) != 0);
    if inside && stamps && take_stamp(skb) {
        return NEXT;
    }
    if !arrive_quickly(skb) && !arrive_slowly(skb) {
        return SHOT;
    }
    if !inside && stamps {
        put_stamp(skb);
    }
    NEXT
}

// The quick ways are calls of their own, so that their stack is none of the slow ones'.

#[inline(never)]
fn leave_quickly(skb: *mut __sk_buff) -> bool {
    match quick(skb) {
        Some(tuple) if is_admitted(skb, &tuple) => true,
        Some(tuple) if tuple.protocol == TCP as u32 => leave_young(skb, &tuple),
        Some(tuple) => is_young(skb, &tuple),
        None => false,
    }
}

#[inline(never)]
fn gate_quickly(skb: *mut __sk_buff) -> bool {
    match quick(skb) {
        Some(tuple) => take_seal(skb, &tuple),
        None => false,
    }
}

#[inline(never)]
fn arrive_quickly(skb: *mut __sk_buff) -> bool {
    match quick(skb) {
        Some(tuple) if tuple.protocol == TCP as u32 && arrive_young(skb, &tuple) => true,
        Some(tuple) if came_lately(&tuple) => true,
        Some(tuple) => is_entered(&tuple),
        None => false,
    }
}

/// Whether a packet of TCP is one of a connection that begins, or has begun within this second.
#[inline(never)]
fn leave_young(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let Some(flags) = quick_flags(skb) else { return false };
    let socket = read!((*skb).__bindgen_anon_2.sk);
    let is_ours = || !socket.is_null() && has_tuple(socket, tuple, read!((*skb).protocol) == IPV6) && is_own(socket) != 0;
    if flags & (SYN | ACK | RST) != SYN {
        return packet_young::send(skb, tuple, flags, is_ours);
    }
    let (own, theirs) = ports(tuple);
    let peer = bytes(&tuple.destination);
    let flow = Flow { endpoint: number(&ENDPOINT), direction: EGRESS, protocol: TCP, port: theirs, source_port: own, peer };
    let kind = if is_ours() && is_named(bytes(&tuple.source)) {
        FLOW_OWN
    } else if passes(&flow, &tuple.source) {
        FLOW_OUT
    } else {
        return false;
    };
    let mut seal = NO_SEAL;
    packet_young::begin(&mut seal, tuple, kind);
    attach_seal(skb, &seal);
    true
}

/// The same of a packet that comes.
#[inline(never)]
fn arrive_young(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let Some(flags) = quick_flags(skb) else { return false };
    if flags & (SYN | ACK | RST) != SYN {
        return packet_young::comes(tuple, flags);
    }
    let (theirs, own) = ports(tuple);
    let peer = bytes(&tuple.source);
    let flow = Flow { endpoint: number(&ENDPOINT), direction: INGRESS, protocol: TCP, port: own, source_port: theirs, peer };
    if !passes(&flow, &tuple.destination) {
        return false;
    }
    let mut seal = NO_SEAL;
    packet_young::begin(&mut seal, &answered(tuple), FLOW_IN);
    true
}

#[inline(always)]
fn socket(skb: *mut __sk_buff) -> *mut bpf_sock {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() { socket } else { unsafe { bpf_sk_fullsock(socket) } }
}

/// Whether the socket of a packet may send it without another look.
#[inline(always)]
fn is_admitted(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() {
        return false;
    }
    // Of a socket that is none any more, or none yet, the helper knows nothing.
    let admitted: *mut Admitted = beside(&ADMITTED, socket);
    if admitted.is_null() {
        return false;
    }
    let admitted = unsafe { &mut *admitted };
    if !same(&admitted.tuple, tuple) || (tuple.protocol != TCP as u32 && admitted.epoch != epoch()) {
        return false;
    }
    if ticks().wrapping_sub(admitted.told) >= TELL_TICKS {
        return false;
    }
    put_seal(skb, &mut admitted.seal, tuple);
    true
}

/// Whether a packet is one of a flow that policy let pass within this second, whichever socket sends it. Most connections are
/// gone before it is worth while to note them at their sockets, and a socket that serves many peers names another one each time.
#[inline(never)]
fn is_young(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let Some(state) = passing(&sent(tuple)) else { return false };
    if !has_seal(&state.seal, tuple) {
        if !is_named(bytes(&tuple.source)) {
            return false;
        }
        state.seal.secret = 0;
    }
    put_seal(skb, &mut state.seal, tuple);
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
    let mut seal = NO_SEAL;
    if packet.later {
        let passes = is_known_fragment(packet);
        if passes {
            put_seal(skb, &mut seal, &packet.tuple);
        }
        return passes;
    }
    let socket = socket(skb);
    packet.sender = sender(skb, socket, packet);
    let kind = kind_of(packet);
    let is_stream = !socket.is_null() && packet.protocol() == TCP && packet.sender == STREAM;
    let judged = if is_stream && (matches!(kind, FLOW_IN | FLOW_OUT) || was_admitted(socket, &packet.tuple)) {
        renew(packet, kind);
        ADMIT
    } else {
        leaving(skb, packet)
    };
    if judged == DROP {
        return false;
    }
    put_seal(skb, &mut seal, &packet.tuple);
    // A flow that is seen for the first time is known by its headers for a second.
    let lasts = kind != 0 || packet.sender & OWN != 0;
    if judged == ADMIT && lasts && !socket.is_null() && !packet.first {
        admit(socket, &packet.tuple, &seal);
    }
    note_fragment(packet);
    true
}

#[inline(always)]
fn was_admitted(socket: *mut bpf_sock, tuple: &Tuple) -> bool {
    let admitted: *mut Admitted = beside(&ADMITTED, socket);
    !admitted.is_null() && same(unsafe { &(*admitted).tuple }, tuple)
}

/// What is remembered of the flow of a packet that the endpoint sends. Apart, as are the next two, because Linux 6.1 counts the
/// stack of every call in steps of 32 bytes, and has 512 for all of them.
#[inline(never)]
fn kind_of(packet: &Packet) -> u32 {
    remembered(&sent(&packet.tuple))
}

/// A connection lives as long as its socket: whoever means it no more cuts that.
#[inline(never)]
fn renew(packet: &Packet, kind: u32) {
    note(&sent(&packet.tuple), if kind == 0 { FLOW_OUT } else { kind });
}

#[inline(never)]
fn admit(socket: *mut bpf_sock, tuple: &Tuple, seal: &Seal) {
    let map = (&raw const ADMITTED).cast_mut().cast();
    let held: *mut Admitted =
        unsafe { bpf_sk_storage_get(map, socket.cast(), core::ptr::null_mut(), CREATE) }.cast();
    if !held.is_null() {
        let held = unsafe { &mut *held };
        copy(&mut held.tuple, tuple);
        (held.seal, held.epoch, held.told) = (*seal, epoch(), ticks());
    }
}

/// Who sends a packet. A socket answers only for packets with its own addresses and ports: whoever administers the namespace may
/// have others made of them before they come here.
#[inline(never)]
fn sender(skb: *mut __sk_buff, socket: *mut bpf_sock, packet: &Packet) -> u32 {
    let any = read!((*skb).__bindgen_anon_2.sk);
    if any.is_null() {
        return KERNEL;
    }
    if !has_tuple(any, &packet.tuple, packet.v6) {
        return 0;
    }
    if !socket.is_null() {
        return is_own(socket) | if is_stream(socket) && !was_steered(socket) { STREAM } else { 0 };
    }
    // What is not accepted yet belongs to its listener.
    let listener = unsafe { bpf_get_listener_sock(any) };
    if listener.is_null() { 0 } else { is_own(listener) | STREAM }
}

/// Whether a socket, of whatever state, has the addresses and ports of a packet that it sends. A listener has no peer.
#[inline(always)]
fn has_tuple(socket: *mut bpf_sock, tuple: &Tuple, v6: bool) -> bool {
    let (source, destination) = ports(tuple);
    let listens = read!((*socket).state) == LISTEN;
    if read!((*socket).src_port) != source as u32 {
        return false;
    }
    if listens {
        return true;
    }
    if u16::from_be(read!((*socket).dst_port)) != destination {
        return false;
    }
    let (from, to) = (&tuple.source, &tuple.destination);
    if v6 { read6!((*socket).src_ip6) == *from && read6!((*socket).dst_ip6) == *to } else { read!((*socket).src_ip4) == from[3] && read!((*socket).dst_ip4) == to[3] }
}

/// Whether a socket was connected to be steered: its packets have no business at a device, whatever becomes of its mark.
#[inline(always)]
fn was_steered(socket: *mut bpf_sock) -> bool {
    let steered: *mut u32 = beside(&STEERED, socket);
    !steered.is_null()
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
    if take_seal(skb, &packet.tuple) {
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
    if packet.protocol() == TCP && !packet.is_bare_syn() {
        let kind = connected(skb, packet);
        if kind != 0 {
            note(&received(&packet.tuple), kind);
            return true;
        }
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

/// The kind of a connection that was admitted and is there, in the namespace of the endpoint: what was remembered of it may be
/// gone. 0 if there is none.
#[inline(never)]
fn connected(skb: *mut __sk_buff, packet: &mut Packet) -> u32 {
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
        return 0;
    }
    let answered = answered(&packet.tuple);
    let own = is_own(socket) != 0;
    let kind = if read!((*socket).state) == LISTEN {
        if own && has_cookie(skb, packet, socket) { FLOW_OWN } else { 0 }
    } else if own {
        FLOW_OWN
    } else if was_admitted(socket, &answered) || keeps_open() || verdict(&opened(packet, false, EGRESS)) == PASS {
        // What is older than the programs is judged by the table: by the other direction it is asked elsewhere.
        FLOW_OUT
    } else {
        0
    };
    unsafe { bpf_sk_release(socket.cast()) };
    kind
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
