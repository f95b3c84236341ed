//! The state of the packet programs: judged flows, and fragmented datagrams.

use aya_ebpf::{
    btf_maps::SkStorage,
    helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_sk_storage_get},
    bindings::__sk_buff,
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray},
};
use portcullis_redirect_common::{
    Action, ASKED_NAMED, ASKED_WRITTEN, Admitted, CachedDecision, FLOW_IN, FLOW_OUT, FLOW_OWN, FLOW_SECONDS, PacketFlowKey, FlowState, FragmentKey, MAX_ENDPOINTS, RecentFlow, Seal, Tuple,
};

use crate::{
    ENDPOINT, number,
    packet::{PacketHeaders, bytes, copy, is_address, ports},
    packet_common::{Outline, has_headers, in_one_word},
    packet_judge::is_named,
    packet_young,
    verdict::{HookFlow, verdict},
};

const BPF_F_NO_PREALLOC: u32 = 1;

/// Flows of endpoints whose packets are judged.
#[map]
pub static FLOWS: LruHashMap<PacketFlowKey, FlowState> = LruHashMap::with_max_entries(65536, 0);

/// Datagrams whose first fragment has passed.
#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, u32> = LruHashMap::with_max_entries(4096, 0);

/// The number of each endpoint's table: another one whenever it changes. Its highest bit is no part of the number.
#[map]
pub static EPOCHS: Array<u32> = Array::with_max_entries(MAX_ENDPOINTS, 0);

/// Flows to endpoints that [`FLOWS`] was asked about a moment ago. By processor, where one packet is judged at a time: a value
/// is never read while it is written.
#[map]
pub static RECENT: PerCpuArray<RecentFlow> = PerCpuArray::with_max_entries(portcullis_redirect_common::RECENT, 0);

/// What the tables said of flows when they were asked last. By processor, as above.
#[map]
static ASKED: PerCpuArray<CachedDecision> = PerCpuArray::with_max_entries(portcullis_redirect_common::ASKED, 0);

/// Whether connections go on that are older than an endpoint's programs (`openConnections: keep`).
#[map]
pub static KEEPS: Array<u32> = Array::with_max_entries(MAX_ENDPOINTS, 0);

/// Connections that peers opened before an endpoint's programs were there, and that policy lets pass.
#[map]
pub static OLDER: HashMap<PacketFlowKey, u32> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

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

/// Ticks of the kernel: 100 to 1,000 a second. One load, where a clock costs a call.
#[inline(always)]
pub fn ticks() -> u32 {
    (unsafe { bpf_jiffies64() }) as u32
}

/// The number of the endpoint's table.
#[inline(always)]
pub fn epoch() -> u32 {
    EPOCHS.get(number(&ENDPOINT)).copied().unwrap_or(0)
}

/// Whether a packet came in that this datagram would answer, and policy let it in. `sk_lookup` could not tell: it is asked for
/// errors of ICMP as if they were datagrams.
#[inline(always)]
pub fn was_let_in(asked: &HookFlow) -> bool {
    let (protocol, peer) = (asked.protocol as u16, words_of(&asked.peer));
    let (local_port, peer_port) = (asked.source_port.to_be(), asked.port.to_be());
    let key = PacketFlowKey { peer, endpoint: asked.endpoint, protocol, local_port, peer_port, padding: 0 };
    let Some(state) = (unsafe { FLOWS.get(&key) }) else { return false };
    state.kind == FLOW_IN && EPOCHS.get(asked.endpoint).is_some_and(|epoch| *epoch == state.epoch) && is_recent(state.seen)
}

#[inline(always)]
fn words_of(address: &[u8; 16]) -> [u32; 4] {
    // SAFETY: both are 16 bytes of plain data.
    unsafe { core::mem::transmute(*address) }
}

/// The flow of a packet that the endpoint sends.
#[inline(always)]
pub fn sent(tuple: &Tuple) -> PacketFlowKey {
    let b = tuple.ports.to_ne_bytes();
    flow(tuple, &tuple.destination, u16::from_ne_bytes([b[0], b[1]]), u16::from_ne_bytes([b[2], b[3]]))
}

/// The flow of a packet that comes to the endpoint.
#[inline(always)]
pub fn received(tuple: &Tuple) -> PacketFlowKey {
    let b = tuple.ports.to_ne_bytes();
    flow(tuple, &tuple.source, u16::from_ne_bytes([b[2], b[3]]), u16::from_ne_bytes([b[0], b[1]]))
}

/// The flow of an echo.
#[inline(always)]
pub fn echo(tuple: &Tuple, peer: &[u32; 4]) -> PacketFlowKey {
    let b = tuple.ports.to_ne_bytes();
    flow(tuple, peer, u16::from_ne_bytes([b[2], b[3]]), 0)
}

#[inline(always)]
fn flow(tuple: &Tuple, peer: &[u32; 4], local_port: u16, peer_port: u16) -> PacketFlowKey {
    let (endpoint, protocol) = (number(&ENDPOINT), tuple.protocol as u16);
    PacketFlowKey { peer: *peer, endpoint, protocol, local_port, peer_port, padding: 0 }
}

/// None yet.
pub const NO_SEAL: Seal = Seal { place: 0, secret: 0 };

/// Remembers a flow.
#[inline(always)]
pub fn note(key: &PacketFlowKey, kind: u32) {
    // Full: the oldest goes. Failing: its answers are judged as if they were new flows, which is the safe side.
    let _ = FLOWS.insert(key, FlowState { seen: seconds(), epoch: epoch(), kind, seal: NO_SEAL }, 0);
    packet_young::forget(key);
}

/// What is remembered of a flow.
pub struct Remembered {
    pub kind: u32,
    /// The table's number by which it was judged.
    pub epoch: u32,
    /// When that was, in seconds (of 2^30 ns) since boot.
    pub seen: u32,
}

impl Remembered {
    #[inline(always)]
    fn is_recent(&self) -> bool {
        is_recent(self.seen)
    }

    #[inline(always)]
    fn is_current(&self) -> bool {
        self.is_recent() && self.epoch == epoch()
    }
}

/// A flow stands in one of two places: [`note`] takes it out of the other.
#[inline(always)]
fn memory(key: &PacketFlowKey) -> Option<Remembered> {
    match packet_young::remembered(key) {
        None => entered(key),
        young => young,
    }
}

#[inline(always)]
fn entered(key: &PacketFlowKey) -> Option<Remembered> {
    let state = unsafe { FLOWS.get(key)? };
    Some(Remembered { kind: state.kind, epoch: state.epoch, seen: state.seen })
}

/// The kind of a flow that was judged lately by the table in force; 0 if there is none.
#[inline(always)]
pub fn known(key: &PacketFlowKey) -> u32 {
    match memory(key) {
        Some(flow) if flow.is_current() => flow.kind,
        _ => 0,
    }
}

/// The kind of a flow that was judged lately, maybe by another table.
#[inline(always)]
pub fn remembered(key: &PacketFlowKey) -> u32 {
    match memory(key) {
        Some(flow) if flow.is_recent() => flow.kind,
        _ => 0,
    }
}

/// Whether a connection is remembered as one that a peer opened, however long ago.
#[inline(never)]
pub fn came_ever(key: &PacketFlowKey) -> bool {
    matches!(memory(key), Some(flow) if flow.kind == FLOW_IN)
}

/// What is remembered of a flow that was judged within this second, and passes by the table in force.
#[inline(always)]
pub fn passing(key: &PacketFlowKey) -> Option<&'static mut FlowState> {
    let state = unsafe { &mut *FLOWS.get_ptr_mut(key)? };
    let passes = matches!(state.kind, FLOW_IN | FLOW_OUT) && state.epoch == epoch() && state.seen == seconds();
    if passes { Some(state) } else { None }
}

/// The place in [`RECENT`] of packets with these addresses, each in one word, and ports. Flows that meet at one place take it from
/// each other: that costs a look into `FLOWS`, and no more.
#[inline(always)]
fn recent(source: u32, destination: u32, ports: u32) -> Option<&'static mut RecentFlow> {
    let mixed = (ports ^ source ^ destination.rotate_left(16)).wrapping_mul(0x9e37_79b1);
    Some(unsafe { &mut *RECENT.get_ptr_mut(mixed >> 22)? })
}

/// Whether packets with the headers of this one came to the endpoint a moment ago, as a flow that is known.
#[inline(always)]
pub fn came_lately(skb: *mut __sk_buff, outline: &Outline) -> bool {
    let Some(recent) = recent(outline.source, outline.destination, outline.ports) else { return false };
    recent.asked == ticks() >> 7
        && recent.endpoint == number(&ENDPOINT)
        && has_headers(skb, &recent.tuple, false)
        && recent.epoch == epoch()
}

/// Whether a packet that comes is one of a flow that `FLOWS` knows. If so, those behind it came lately.
#[inline(always)]
pub fn is_entered(tuple: &Tuple) -> bool {
    // Its number is read first: an answer of the table before is never taken for one of the table in force.
    let epoch = epoch();
    let is_known = |flow: Remembered| flow.is_current() && matches!(flow.kind, FLOW_IN | FLOW_OUT | FLOW_OWN);
    if !entered(&received(tuple)).is_some_and(is_known) {
        return false;
    }
    let (source, destination) = (in_one_word(&tuple.source), in_one_word(&tuple.destination));
    let Some(recent) = recent(source, destination, tuple.ports) else { return true };
    copy(&mut recent.tuple, tuple);
    (recent.endpoint, recent.epoch, recent.asked) = (number(&ENDPOINT), epoch, ticks() >> 7);
    true
}

#[inline(always)]
fn is_recent(seen: u32) -> bool {
    seconds().wrapping_sub(seen) < FLOW_SECONDS
}

/// What policy says of a flow with this address on the endpoint's side, with [`ASKED_NAMED`] if the endpoint names that. What was
/// asked a moment ago costs no look into the tables.
#[inline(always)]
pub fn ask(flow: &HookFlow, own: &[u32; 4]) -> u32 {
    let (peer, port) = (words_of(&flow.peer), flow.port as u32 | (flow.protocol as u32) << 16 | (flow.direction as u32) << 24);
    let mixed = (peer[2] ^ peer[3] ^ port ^ flow.endpoint.rotate_left(16)).wrapping_mul(0x9e37_79b1);
    // Its number is read first: an answer of the table before is never taken for one of the table in force.
    let epoch = epoch();
    let Some(place) = ASKED.get_ptr_mut(mixed >> 24) else { return Action::Refuse.number() };
    let asked = unsafe { &mut *place };
    let is_this = is_address(&asked.peer, &peer) && is_address(&asked.own, own) && asked.port == port;
    if is_this && asked.endpoint == flow.endpoint && asked.epoch == epoch && asked.said != 0 {
        return asked.said & !ASKED_WRITTEN;
    }
    let said = verdict(flow).number() | if is_named(bytes(own)) { ASKED_NAMED } else { 0 };
    *asked = CachedDecision { own: *own, peer, endpoint: flow.endpoint, port, epoch, said: said | ASKED_WRITTEN };
    said
}

#[inline(always)]
fn fragment(packet: &PacketHeaders) -> FragmentKey {
    let Tuple { source, destination, protocol, .. } = packet.tuple;
    FragmentKey { source, destination, endpoint: number(&ENDPOINT), identification: packet.identification, protocol }
}

/// Remembers that a datagram's first fragment has passed.
#[inline(always)]
pub fn note_fragment(packet: &PacketHeaders) {
    if packet.first {
        let _ = FRAGMENTS.insert(fragment(packet), 1, 0);
    }
}

/// Whether the first fragment of this one's datagram has passed.
#[inline(always)]
pub fn is_known_fragment(packet: &PacketHeaders) -> bool {
    unsafe { FRAGMENTS.get(fragment(packet)) }.is_some()
}

/// The ports of a flow that the endpoint sends or gets: its own, the peer's.
#[inline(always)]
pub fn sides(tuple: &Tuple, leaving: bool) -> (u16, u16) {
    let (source, destination) = ports(tuple);
    if leaving { (source, destination) } else { (destination, source) }
}
