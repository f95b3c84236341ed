//! The sockets of packets: the sender, what is stored beside it, and the receiver.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock, bpf_sock_tuple},
    helpers::generated::{
        bpf_get_listener_sock, bpf_sk_fullsock, bpf_sk_lookup_tcp, bpf_sk_release, bpf_sk_storage_get,
        bpf_tcp_check_syncookie,
    },
};
use portcullis_redirect_common::{Admitted, EGRESS, FLOW_OUT, FLOW_OWN, Seal, Tuple};

use crate::{
    WITHIN,
    maps::{OWN_SOCKETS, STEERED},
    number,
    packet::{ETHERNET, KERNEL, LISTEN, OWN, PacketHeaders, STREAM, answered, copy, is_stream, load, ports, read_header, same},
    packet_flows::{ADMITTED, beside, epoch, ticks},
    packet_judge::{keeps_open, opened},
    verdict::{read, read6, verdict},
};

const CREATE: u64 = 1;

#[inline(always)]
pub fn socket(skb: *mut __sk_buff) -> *mut bpf_sock {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() { socket } else { unsafe { bpf_sk_fullsock(socket) } }
}

#[inline(always)]
pub fn was_admitted(socket: *mut bpf_sock, tuple: &Tuple) -> bool {
    let admitted: *mut Admitted = beside(&ADMITTED, socket);
    !admitted.is_null() && same(unsafe { &(*admitted).tuple }, tuple)
}

#[inline(never)]
pub fn admit(socket: *mut bpf_sock, tuple: &Tuple, seal: &Seal) {
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
pub fn sender(skb: *mut __sk_buff, socket: *mut bpf_sock, packet: &PacketHeaders) -> u32 {
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
pub fn has_tuple(socket: *mut bpf_sock, tuple: &Tuple, v6: bool) -> bool {
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
pub fn is_own(socket: *mut bpf_sock) -> u32 {
    let own: *mut u32 = beside(&OWN_SOCKETS, socket);
    if own.is_null() { 0 } else { OWN }
}

/// Whether a listener of ours sends a packet, for a connection that is not accepted yet.
#[inline(always)]
pub fn accepts_as_own(socket: *mut bpf_sock, tuple: &Tuple, v6: bool) -> bool {
    if socket.is_null() || !has_tuple(socket, tuple, v6) {
        return false;
    }
    let listener = unsafe { bpf_get_listener_sock(socket) };
    !listener.is_null() && is_own(listener) != 0
}

/// The kind of a connection that was admitted and is there, in the namespace of the endpoint: what was remembered of it may be
/// gone. 0 if there is none.
#[inline(never)]
pub fn connected(skb: *mut __sk_buff, packet: &mut PacketHeaders) -> u32 {
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
    } else if was_admitted(socket, &answered) || keeps_open() || verdict(&opened(packet, false, EGRESS)).passes() {
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
fn has_cookie(skb: *mut __sk_buff, packet: &mut PacketHeaders, socket: *mut bpf_sock) -> bool {
    let size = if packet.v6 { 40 } else { 20 };
    if !read_header(skb, ETHERNET, size, &mut packet.header) {
        return false;
    }
    let Some(mut transport) = load::<[u32; 5]>(skb, packet.at) else { return false };
    let (header, transport) = (packet.header.as_mut_ptr().cast(), transport.as_mut_ptr().cast());
    unsafe { bpf_tcp_check_syncookie(socket.cast(), header, size, transport, 20) == 0 }
}
