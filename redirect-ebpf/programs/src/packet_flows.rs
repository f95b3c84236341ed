//! What the second line remembers: flows that were judged, datagrams in fragments, and the seal of what passed inside.

use aya_ebpf::{
    bindings::__sk_buff,
    btf_maps::SkStorage,
    helpers::generated::{bpf_ktime_get_coarse_ns, bpf_set_hash, bpf_sk_storage_get},
    macros::{btf_map, map},
    maps::{Array, LruHashMap},
};
use portcullis_redirect_common::{
    Admitted, FLOW_SECONDS, FlowKey, FlowState, FragmentKey, MAX_ENDPOINTS, Tuple,
};

use crate::{
    ENDPOINT, number,
    packet::{Packet, ports},
    verdict::read,
};

/// Flows of endpoints whose packets are judged.
#[map]
pub static FLOWS: LruHashMap<FlowKey, FlowState> = LruHashMap::with_max_entries(65536, 0);

/// Datagrams whose first fragment has passed.
#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, u32> = LruHashMap::with_max_entries(4096, 0);

/// The number of each endpoint's table: another one whenever it changes. Its highest bit is no part of the number.
#[map]
pub static EPOCHS: Array<u32> = Array::with_max_entries(MAX_ENDPOINTS, 0);

/// Four random numbers that seals are made of. Drawn once; nobody outside of the kernel needs them.
#[map]
pub static SECRETS: Array<[u64; 4]> = Array::with_max_entries(1, 0);

/// What a socket may send without another look.
#[btf_map]
pub static ADMITTED: SkStorage<Admitted> = SkStorage::new();

/// The value beside a socket; null if there is none.
#[inline(always)]
pub fn beside<M, T>(map: &'static M, socket: *mut aya_ebpf::bindings::bpf_sock) -> *mut T {
    let map = core::ptr::from_ref(map).cast_mut().cast();
    unsafe { bpf_sk_storage_get(map, socket.cast(), core::ptr::null_mut(), 0) }.cast()
}

/// Seconds since boot, nearly: 2^30 ns each. A division would cost as much as the rest of a look.
#[inline(always)]
pub fn seconds() -> u32 {
    (unsafe { bpf_ktime_get_coarse_ns() } >> 30) as u32
}

/// The number of the endpoint's table.
#[inline(always)]
pub fn epoch() -> u32 {
    EPOCHS.get(number(&ENDPOINT)).copied().unwrap_or(0)
}

/// The flow of a packet that the endpoint sends.
#[inline(always)]
pub fn sent(tuple: &Tuple) -> FlowKey {
    let b = tuple.ports.to_ne_bytes();
    flow(tuple, &tuple.destination, u16::from_ne_bytes([b[0], b[1]]), u16::from_ne_bytes([b[2], b[3]]))
}

/// The flow of a packet that comes to the endpoint.
#[inline(always)]
pub fn received(tuple: &Tuple) -> FlowKey {
    let b = tuple.ports.to_ne_bytes();
    flow(tuple, &tuple.source, u16::from_ne_bytes([b[2], b[3]]), u16::from_ne_bytes([b[0], b[1]]))
}

/// The flow of an echo.
#[inline(always)]
pub fn echo(tuple: &Tuple, peer: &[u32; 4]) -> FlowKey {
    let b = tuple.ports.to_ne_bytes();
    flow(tuple, peer, u16::from_ne_bytes([b[2], b[3]]), 0)
}

#[inline(always)]
fn flow(tuple: &Tuple, peer: &[u32; 4], local_port: u16, peer_port: u16) -> FlowKey {
    let (endpoint, protocol) = (number(&ENDPOINT), tuple.protocol as u16);
    FlowKey { peer: *peer, endpoint, protocol, local_port, peer_port, padding: 0 }
}

/// Remembers a flow.
#[inline(always)]
pub fn note(key: &FlowKey, kind: u32) {
    // Full: the oldest goes. Failing: its answers are judged as if they were new flows, which is the safe side.
    let _ = FLOWS.insert(key, FlowState { seen: seconds(), epoch: epoch(), kind }, 0);
}

/// The kind of a flow that was judged lately by the table in force; 0 if there is none.
#[inline(always)]
pub fn known(key: &FlowKey) -> u32 {
    match unsafe { FLOWS.get(key) } {
        Some(state) if state.epoch == epoch() && is_recent(state) => state.kind,
        _ => 0,
    }
}

/// The kind of a flow that was judged lately, maybe by another table.
#[inline(always)]
pub fn remembered(key: &FlowKey) -> u32 {
    match unsafe { FLOWS.get(key) } {
        Some(state) if is_recent(state) => state.kind,
        _ => 0,
    }
}

#[inline(always)]
fn is_recent(state: &FlowState) -> bool {
    seconds().wrapping_sub(state.seen) < FLOW_SECONDS
}

#[inline(always)]
fn fragment(packet: &Packet) -> FragmentKey {
    let Tuple { source, destination, protocol, .. } = packet.tuple;
    FragmentKey { source, destination, endpoint: number(&ENDPOINT), identification: packet.identification, protocol }
}

/// Remembers that a datagram's first fragment has passed.
#[inline(always)]
pub fn note_fragment(packet: &Packet) {
    if packet.first {
        let _ = FRAGMENTS.insert(fragment(packet), 1, 0);
    }
}

/// Whether the first fragment of this one's datagram has passed.
#[inline(always)]
pub fn is_known_fragment(packet: &Packet) -> bool {
    unsafe { FRAGMENTS.get(fragment(packet)) }.is_some()
}

/// What a packet with these headers carries outside when it was judged inside. It is made of numbers that nobody in the
/// namespace can read, and is of no use for other headers.
#[inline(always)]
pub fn seal(tuple: &Tuple) -> u64 {
    let Some(secrets) = SECRETS.get(0) else { return 0 };
    let word = |low: u32, high: u32| (high as u64) << 32 | low as u64;
    let mut sum = secrets[0];
    let (s, d) = (&tuple.source, &tuple.destination);
    for word in [word(s[0], s[1]), word(s[2], s[3]), word(d[0], d[1]), word(d[2], d[3]), word(tuple.ports, tuple.protocol)] {
        sum = (sum ^ word).wrapping_mul(secrets[1] | 1);
        sum ^= sum >> 29;
    }
    (sum ^ secrets[2]).wrapping_mul(secrets[3] | 1)
}

/// A seal has 16 bits in `tc_index`, never none, and 32 in the hash. Both go with a packet through a veth (net/core/skbuff.c:
/// `skb_scrub_packet` leaves them alone), and no socket option sets them.
#[inline(always)]
fn parts(seal: u64) -> (u32, u32) {
    let index = (seal >> 48) as u32;
    (if index == 0 { 1 } else { index }, (seal >> 16) as u32)
}

/// Puts the seal on a packet.
#[inline(always)]
pub fn put_seal(skb: *mut __sk_buff, seal: u64) {
    let (index, hash) = parts(seal);
    unsafe {
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*skb).tc_index), index);
        bpf_set_hash(skb, hash);
    }
}

/// Takes the seal off a packet; tells whether it was the right one. The hash stays: it is one of the flow.
#[inline(always)]
pub fn take_seal(skb: *mut __sk_buff, seal: u64) -> bool {
    let (index, hash) = parts(seal);
    if read!((*skb).tc_index) != index || read!((*skb).hash) != hash {
        return false;
    }
    unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*skb).tc_index), 0) };
    true
}

/// The ports of a flow that the endpoint sends or gets: its own, the peer's.
#[inline(always)]
pub fn sides(tuple: &Tuple, leaving: bool) -> (u16, u16) {
    let (source, destination) = ports(tuple);
    if leaving { (source, destination) } else { (destination, source) }
}
