//! Packet programs for endpoints that share the host's namespace: at the cgroup of a service, or for the host itself
//! at the one above all. They see every packet that a socket of the cgroup sends or is about to receive, from its IP
//! header on, whatever sent it. They do not see packet sockets (`AF_PACKET`) and forwarded packets.
//!
//! The hooks at sockets and `sk_lookup` have judged what stays on the loopback device: steered packets there are on
//! their way to our listener, or come from our upstream connection.

use core::intrinsics::{AtomicOrdering, atomic_xchg};

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    btf_maps::SkStorage,
    helpers::{
        bpf_get_netns_cookie,
        generated::{bpf_sk_fullsock, bpf_sk_storage_get},
    },
    macros::{btf_map, cgroup_skb, map},
    maps::PerCpuArray,
    programs::SkBuffContext,
};
use portcullis_redirect_common::{Passing, BY_ANY_DEVICE, BY_LOOPBACK, NODE, TCP, Tuple};

use crate::{
    HOME, SITE, cookie,
    maps::OWN_SOCKETS,
    number,
    packet::{LISTEN, PacketHeaders, SOCK_STREAM, STREAM, STREAM_SOCKET, answered, clear, is_stream, parse},
    packet_common::quick_at,
    packet_cgroup_known::{OPEN, STAY, receives_what_is_known, sends_what_is_known},
    packet_flows::{beside, epoch, is_known_fragment, note_fragment, seconds},
    packet_judge::{ADMIT, DROP, LET, arriving, leaving},
    verdict::read,
};

const PASSED: i32 = 1;
/// Seconds after which a socket that sends datagrams has `FLOWS` told again.
const TELL_SECONDS: u32 = 30;
const LOOPBACK: u32 = 1;
const CREATE: u64 = 1;
/// Packets that may be looked at on a processor at a time. With more of them the last ones are dropped.
const ROOMS: u32 = 8;

/// Where a packet is read to. Who sends runs with interrupts on and may be put off for somebody else who sends, so one place
/// for each processor, as programs at devices have, is not enough.
#[repr(C)]
pub struct PacketBuffer {
    taken: u64,
    packet: PacketHeaders,
}

#[map]
static PLACES: PerCpuArray<PacketBuffer> = PerCpuArray::with_max_entries(ROOMS, 0);

/// What a socket of the host may send without another look.
#[btf_map]
pub static PASSING: SkStorage<Passing> = SkStorage::new();

/// Takes a place that nobody has.
#[inline(always)]
fn enter() -> Option<&'static mut PacketBuffer> {
    let mut number = 0;
    while number < ROOMS {
        let room = unsafe { &mut *PLACES.get_ptr_mut(number)? };
        if exchange(&mut room.taken, 1) == 0 {
            clear(&mut room.packet);
            return Some(room);
        }
        number += 1;
    }
    None
}

/// In one step, though somebody else may come in between on this processor. The types of `core::sync::atomic` cannot do that
/// for this target; the kernel can (Linux 5.12).
#[inline(always)]
fn exchange(place: &mut u64, value: u64) -> u64 {
    unsafe { atomic_xchg::<u64, { AtomicOrdering::AcqRel }>(place, value) }
}

/// What a socket of the cgroup sends. The sender of what is refused sees EPERM.
#[cgroup_skb(egress)]
pub fn send(ctx: SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    match look(skb, |admitted, tuple| admitted.tuple == *tuple && is_told(admitted)) {
        Look::Passes => PASSED,
        Look::Unknown => send_slowly(skb) as i32,
    }
}

/// What a socket of the cgroup is about to get.
#[cgroup_skb(ingress)]
pub fn receive(ctx: SkBuffContext) -> i32 {
    let skb = ctx.skb.skb;
    match look(skb, |admitted, tuple| admitted.tuple == answered(tuple)) {
        Look::Passes => PASSED,
        Look::Unknown => receive_slowly(skb) as i32,
    }
}

enum Look {
    Passes,
    Unknown,
}

/// One look beside the socket, which is what a packet costs that may pass.
#[inline(always)]
fn look(skb: *mut __sk_buff, is_same: impl Fn(&Passing, &Tuple) -> bool) -> Look {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() {
        return Look::Unknown;
    }
    let admitted: *mut Passing = beside(&PASSING, socket);
    if admitted.is_null() {
        return if is_judged(skb, socket) { Look::Unknown } else { Look::Passes };
    }
    let Some(tuple) = quick_at(skb, 0) else { return Look::Unknown };
    let admitted = unsafe { &*admitted };
    if is_same(admitted, &tuple) && is_admitted(skb, admitted) { Look::Passes } else { Look::Unknown }
}

/// Whether `FLOWS` was told lately of a datagram's flow, so that its answers come in. Those of a connection come by its socket.
#[inline(always)]
fn is_told(admitted: &Passing) -> bool {
    admitted.tuple.protocol == TCP as u32 || seconds().wrapping_sub(admitted.told) < TELL_SECONDS
}

#[inline(always)]
fn socket(skb: *mut __sk_buff) -> *mut bpf_sock {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() { socket } else { unsafe { bpf_sk_fullsock(socket) } }
}

/// Whether the packets of a socket are judged: not ours, and for the host none of other namespaces. Of a service all are, as
/// its hooks have it.
#[inline(always)]
fn is_judged(skb: *mut __sk_buff, socket: *mut bpf_sock) -> bool {
    if number(&SITE) == NODE && unsafe { bpf_get_netns_cookie(skb.cast()) } != cookie(&HOME) {
        return false;
    }
    let own: *mut u32 = beside(&OWN_SOCKETS, socket);
    own.is_null()
}

/// Whether what is noted beside a socket holds for a packet with the same headers.
#[inline(always)]
fn is_admitted(skb: *mut __sk_buff, admitted: &Passing) -> bool {
    (admitted.tuple.protocol == TCP as u32 || admitted.epoch == epoch())
        && (admitted.way == BY_ANY_DEVICE || is_inside(skb))
}

/// Whether a packet stays in the namespace.
#[inline(always)]
pub fn is_inside(skb: *mut __sk_buff) -> bool {
    read!((*skb).ifindex) == LOOPBACK
}

#[inline(never)]
fn send_slowly(skb: *mut __sk_buff) -> bool {
    let socket = socket(skb);
    if socket.is_null() {
        return false;
    }
    if !is_judged(skb, socket) {
        return true;
    }
    let Some(room) = enter() else { return false };
    let passes = parse(skb, 0, &mut room.packet) && sends(skb, socket, &mut room.packet);
    exchange(&mut room.taken, 0);
    passes
}

#[inline(always)]
fn sends(skb: *mut __sk_buff, socket: *mut bpf_sock, packet: &mut PacketHeaders) -> bool {
    if packet.later {
        return is_known_fragment(packet);
    }
    packet.sender = if is_stream(socket) { STREAM } else { 0 };
    if read!((*socket).type_) == SOCK_STREAM {
        packet.sender |= STREAM_SOCKET;
    }
    let mut judged = sends_what_is_known(skb, socket, packet);
    if judged == OPEN {
        judged = leaving(skb, packet);
    }
    if matches!(judged, ADMIT | STAY) && !packet.first && read!((*socket).state) != LISTEN {
        admit(socket, &packet.tuple, if judged == STAY { BY_LOOPBACK } else { BY_ANY_DEVICE });
    }
    note_fragment(packet);
    judged != DROP
}

#[inline(always)]
fn admit(socket: *mut bpf_sock, tuple: &Tuple, way: u64) {
    let mut value = Passing { tuple: *tuple, way, epoch: epoch(), told: seconds() };
    let map = (&raw const PASSING).cast_mut().cast();
    let held: *mut Passing = unsafe { bpf_sk_storage_get(map, socket.cast(), (&raw mut value).cast(), CREATE) }.cast();
    if !held.is_null() {
        unsafe { *held = value };
    }
}

#[inline(never)]
fn receive_slowly(skb: *mut __sk_buff) -> bool {
    let socket = socket(skb);
    if socket.is_null() {
        return false;
    }
    if !is_judged(skb, socket) {
        return true;
    }
    let Some(room) = enter() else { return false };
    let passes = parse(skb, 0, &mut room.packet) && receives(skb, socket, &mut room.packet);
    exchange(&mut room.taken, 0);
    passes
}

#[inline(always)]
fn receives(skb: *mut __sk_buff, socket: *mut bpf_sock, packet: &mut PacketHeaders) -> bool {
    if packet.later {
        return is_known_fragment(packet);
    }
    let mut judged = receives_what_is_known(skb, socket, packet);
    if judged == OPEN {
        judged = arriving(skb, packet);
    }
    matches!(judged, LET | ADMIT)
}
