//! New TCP connections: one table lookup decides about their packets, with or without a socket.
//!
//! Most connections end within a second. They are in the entry of their seal, found by ports and peer, and never enter
//! `FLOWS`, which would cost more. A connection that lives longer moves there when its entry is reused.

use aya_ebpf::{bindings::__sk_buff, macros::map, maps::Array};
use portcullis_redirect_common::{
    ENDED_BY_ENDPOINT, ENDED_BY_PEER, FLOW_IN, FLOW_OUT, FLOW_OWN, PacketFlowKey, FlowState, Seal, Sealed, TCP, TELL_TICKS, Tuple,
    YOUNG as PLACES, YOUNG_TICKS,
};

use crate::{
    ENDPOINT, number,
    packet::{FIN, RST, is_address, same},
    packet_common::{Outline, in_one_word},
    packet_flows::{FLOWS, NO_SEAL, Remembered, epoch, sent, ticks},
    packet_seals::{attach_seal, make_seal, sealed, sealed_alike},
    verdict::read,
};

/// Seals of such connections, in one word each: written and read at once.
#[map]
static YOUNG: Array<u64> = Array::with_max_entries(PLACES, 0);

/// Bit of a word: nothing more comes of the connection. Whoever takes the word over need not look where it points to, which is far.
const ENDED: u32 = 1 << 31;

/// Both directions of a connection have one place. Ports are taken one after the other, mostly; so are places, which keeps them in
/// the caches of a processor.
#[inline(always)]
fn place(peer: &[u32; 4], ports: u32, endpoint: u32) -> u32 {
    place_by(in_one_word(peer), ports, endpoint)
}

#[inline(always)]
fn place_by(peer: u32, ports: u32, endpoint: u32) -> u32 {
    let mixed = (peer ^ endpoint.rotate_left(16)).wrapping_mul(0x9e37_79b1) >> 18;
    let [a, b, c, d] = ports.to_ne_bytes();
    mixed + u16::from_be_bytes([a, b]) as u32 + u16::from_be_bytes([c, d]) as u32
}

#[inline(always)]
fn at(place: u32) -> Option<*mut u64> {
    YOUNG.get_ptr_mut(place & (PLACES - 1))
}

#[inline(always)]
fn seal_at(word: *mut u64) -> Seal {
    let word = read!(*word);
    Seal { place: word as u32 & !ENDED, secret: (word >> 32) as u32 }
}

/// The ports of a flow, as the packets have them that the endpoint sends.
#[inline(always)]
fn ports(key: &PacketFlowKey) -> u32 {
    let ([a, b], [c, d]) = (key.local_port.to_ne_bytes(), key.peer_port.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// What stands in a place, if it is the connection with this peer and these ports.
#[inline(always)]
fn found(seal: Seal, peer: &[u32; 4], ports: u32) -> Option<&'static mut Sealed> {
    let sealed = unsafe { &mut *sealed(seal)? };
    let same = is_address(&sealed.tuple.destination, peer) && sealed.tuple.ports == ports && sealed.endpoint == number(&ENDPOINT);
    // Another one may have taken the place meanwhile.
    if same && sealed.kind != 0 && read!(sealed.secret) == seal.secret { Some(sealed) } else { None }
}

/// Notes a connection that begins with this packet, sent by the endpoint or, with its headers turned round, by the peer.
#[inline(never)]
pub fn begin(seal: &mut Seal, tuple: &Tuple, kind: u32) {
    let Some(word) = at(place(&tuple.destination, tuple.ports, number(&ENDPOINT))) else { return };
    let before = seal_at(word);
    if before.secret != 0
        && read!(*word) as u32 & ENDED == 0
        && let Some(other) = sealed(before)
        && !same(unsafe { &(*other).tuple }, tuple)
    {
        keep(other, before.place);
    }
    make_seal(seal, tuple, kind);
    unsafe { core::ptr::write_volatile(word, seal.place as u64 | (seal.secret as u64) << 32) };
}

/// Enters a connection in `FLOWS` that has not ended and is about to lose its place.
#[inline(never)]
pub fn keep(sealed: *mut Sealed, of: u32) {
    let sealed = unsafe { &*sealed };
    if sealed.kind == 0 || sealed.ended == ENDED_BY_ENDPOINT | ENDED_BY_PEER {
        return;
    }
    let Some(word) = at(place(&sealed.tuple.destination, sealed.tuple.ports, sealed.endpoint)) else { return };
    // Not if it is there already: what is entered there is taken out here.
    if read!(*word) != of as u64 | (sealed.secret as u64) << 32 {
        return;
    }
    let key = PacketFlowKey { endpoint: sealed.endpoint, ..sent(&sealed.tuple) };
    let state = FlowState { seen: sealed.seen, epoch: sealed.epoch, kind: sealed.kind as u32, seal: NO_SEAL };
    let _ = FLOWS.insert(&key, state, 0);
    unsafe { core::ptr::write_volatile(word, 0) };
}

/// Takes a connection out that is entered in `FLOWS` anew.
#[inline(always)]
pub fn forget(key: &PacketFlowKey) {
    if key.protocol != TCP as u16 {
        return;
    }
    let Some(word) = at(place(&key.peer, ports(key), key.endpoint)) else { return };
    if found(seal_at(word), &key.peer, ports(key)).is_some() {
        unsafe { core::ptr::write_volatile(word, 0) };
    }
}

/// What is remembered of a connection of TCP that stands here.
#[inline(always)]
pub fn remembered(key: &PacketFlowKey) -> Option<Remembered> {
    if key.protocol != TCP as u16 {
        return None;
    }
    let word = at(place(&key.peer, ports(key), key.endpoint))?;
    let sealed = found(seal_at(word), &key.peer, ports(key))?;
    Some(Remembered { kind: sealed.kind as u32, epoch: sealed.epoch, seen: sealed.seen })
}

/// Puts the seal on a packet of a connection that has just begun, and passes by the table in force. `is_own` tells whether a socket of
/// ours sends packets with these headers.
#[inline(always)]
pub fn send(skb: *mut __sk_buff, outline: &Outline, is_own: impl Fn(&Tuple) -> bool) -> bool {
    if !outline.tcp {
        return false;
    }
    let Some(word) = at(place_by(outline.destination, outline.ports, number(&ENDPOINT))) else { return false };
    let seal = seal_at(word);
    let Some(sealed) = sealed_alike(skb, seal, false) else { return false };
    if sealed.epoch != epoch() || ticks().wrapping_sub(sealed.began) >= YOUNG_TICKS {
        return false;
    }
    if !matches!(sealed.kind as u32, FLOW_IN | FLOW_OUT) && !(sealed.kind as u32 == FLOW_OWN && is_own(&sealed.tuple)) {
        return false;
    }
    note_end(word, sealed, outline.flags, ENDED_BY_ENDPOINT);
    attach_seal(skb, &seal);
    true
}

/// Whether a packet to the endpoint is one of a connection that stands here, and passes by the table in force.
#[inline(always)]
pub fn comes(skb: *mut __sk_buff, outline: &Outline) -> bool {
    if !outline.tcp {
        return false;
    }
    let Some(word) = at(place_by(outline.source, outline.ports.rotate_left(16), number(&ENDPOINT))) else { return false };
    let Some(sealed) = sealed_alike(skb, seal_at(word), true) else { return false };
    // What lasts longer is judged again, and is in `FLOWS` then.
    if sealed.kind == 0 || sealed.epoch != epoch() || ticks().wrapping_sub(sealed.began) >= TELL_TICKS {
        return false;
    }
    note_end(word, sealed, outline.flags, ENDED_BY_PEER);
    true
}

#[inline(always)]
fn note_end(word: *mut u64, sealed: &mut Sealed, flags: u8, by: u16) {
    if flags & (FIN | RST) == 0 {
        return;
    }
    sealed.ended |= if flags & RST != 0 { ENDED_BY_ENDPOINT | ENDED_BY_PEER } else { by };
    if sealed.ended == ENDED_BY_ENDPOINT | ENDED_BY_PEER {
        let seal = seal_at(word);
        // Another one may have taken the place meanwhile.
        if seal.secret == sealed.secret {
            unsafe { core::ptr::write_volatile(word, (seal.place | ENDED) as u64 | (seal.secret as u64) << 32) };
        }
    }
}
