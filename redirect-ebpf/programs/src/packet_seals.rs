//! Seals: how a packet that was judged inside, where its socket is known, proves that outside.
//!
//! A seal is the index of an entry in a table that only the kernel reads and writes, and a random number. It is valid
//! for packets of one endpoint with exactly the headers in that entry; a packet that is rewritten on its way out is
//! judged again. It travels in `tc_index` and the hash, which stay with a packet through a veth (net/core/skbuff.c:
//! `skb_scrub_packet` does not clear them) and which no socket option sets.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_get_prandom_u32, bpf_set_hash},
    macros::map,
    maps::{Array, PerCpuArray},
};
use portcullis_redirect_common::{SEALS as PLACES, Seal, Sealed, Tuple};

use crate::{
    ENDPOINT, number,
    packet::{copy, same},
    packet_common::has_headers,
    packet_flows::{epoch, seconds, ticks},
    packet_young,
    verdict::read,
};

/// In the place of a seal's, on the way in: the packet was judged outside. No seal has this place.
const STAMP: u32 = PLACES - 1;

/// By their places. A flow whose place another one took gets a new one with its next packet.
#[map]
static SEALS: Array<Sealed> = Array::with_max_entries(PLACES, 0);

/// The place that each processor has used last: one after the other, from anywhere.
#[map]
static PLACE: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn secret_at(place: u32) -> u32 {
    SEALS.get(place).map_or(0, |sealed| read!((*core::ptr::from_ref(sealed)).secret))
}

/// Puts the seal on a packet, if it is still one. A new one is made where it is not.
#[inline(always)]
pub fn put_seal(skb: *mut __sk_buff, seal: &mut Seal, tuple: &Tuple) {
    if seal.secret == 0 || secret_at(seal.place) != seal.secret {
        make_seal(seal, tuple, 0);
    }
    attach_seal(skb, seal);
}

/// Puts a seal on a packet that is one.
#[inline(always)]
pub fn attach_seal(skb: *mut __sk_buff, seal: &Seal) {
    let Seal { place, secret } = *seal;
    unsafe {
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*skb).tc_index), place);
        bpf_set_hash(skb, secret);
    }
}

/// Whether packets with these headers of this endpoint have a seal.
#[inline(always)]
pub fn has_seal(seal: &Seal, tuple: &Tuple) -> bool {
    let Some(sealed) = SEALS.get(seal.place) else { return false };
    let written = || secret_at(seal.place) == seal.secret;
    seal.secret != 0 && written() && sealed.endpoint == number(&ENDPOINT) && same(&sealed.tuple, tuple) && written()
}

/// What stands in the place of a seal, if it is still one.
#[inline(always)]
pub fn sealed(seal: Seal) -> Option<*mut Sealed> {
    let sealed = SEALS.get_ptr_mut(seal.place)?;
    if seal.secret != 0 && read!((*sealed).secret) == seal.secret { Some(sealed) } else { None }
}

/// Makes a new seal for packets with these headers; `kind` is that of a connection that begins with this packet, or 0.
#[inline(never)]
pub fn make_seal(seal: &mut Seal, tuple: &Tuple, kind: u32) {
    let Some(last) = PLACE.get_ptr_mut(0) else { return };
    let before = unsafe { if *last == 0 { bpf_get_prandom_u32() } else { *last } };
    let next = before.wrapping_add(1) & (PLACES - 1);
    let place = if next == 0 || next == STAMP { 1 } else { next };
    unsafe { *last = place };
    let secret = unsafe { bpf_get_prandom_u32() } | 1;
    *seal = Seal { place, secret };
    let Some(sealed) = SEALS.get_ptr_mut(place) else { return };
    packet_young::keep(sealed, place);
    // Whoever reads it meanwhile finds a number that is in no seal.
    unsafe {
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*sealed).secret), 0);
        copy(&mut (*sealed).tuple, tuple);
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*sealed).endpoint), number(&ENDPOINT));
        ((*sealed).epoch, (*sealed).began, (*sealed).seen) = (epoch(), ticks(), seconds());
        ((*sealed).kind, (*sealed).ended) = (kind as u16, 0);
        core::ptr::write_volatile(core::ptr::addr_of_mut!((*sealed).secret), secret);
    }
}

/// What stands in the place of a seal, if it is this endpoint's and has the headers of a packet, which is read where it is;
/// `turned`: of what the packet answers.
#[inline(always)]
pub fn sealed_alike(skb: *mut __sk_buff, seal: Seal, turned: bool) -> Option<&'static mut Sealed> {
    let sealed = unsafe { &mut *sealed(seal)? };
    let is_this = has_headers(skb, &sealed.tuple, turned) && sealed.endpoint == number(&ENDPOINT);
    // Another one may have taken the place meanwhile.
    if is_this && read!(sealed.secret) == seal.secret { Some(sealed) } else { None }
}

/// Takes the seal off a packet; tells whether it was the right one. The hash stays: it is one of the flow.
#[inline(always)]
pub fn take_seal(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    take_if(skb, |seal| has_seal(&seal, tuple))
}

/// The same of a packet that is read where it is.
#[inline(always)]
pub fn take_common_seal(skb: *mut __sk_buff) -> bool {
    take_if(skb, |seal| sealed_alike(skb, seal, false).is_some())
}

#[inline(always)]
fn take_if(skb: *mut __sk_buff, is_right: impl Fn(Seal) -> bool) -> bool {
    let seal = Seal { place: read!((*skb).tc_index), secret: read!((*skb).hash) };
    if seal.place == 0 || !is_right(seal) {
        return false;
    }
    unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*skb).tc_index), 0) };
    true
}

/// Puts the stamp on a packet that comes in.
#[inline(always)]
pub fn put_stamp(skb: *mut __sk_buff) {
    unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*skb).tc_index), STAMP) };
}

/// Takes the stamp off a packet; tells whether there was one.
#[inline(always)]
pub fn take_stamp(skb: *mut __sk_buff) -> bool {
    if read!((*skb).tc_index) != STAMP {
        return false;
    }
    unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*skb).tc_index), 0) };
    true
}
