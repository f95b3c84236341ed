//! Delivers a refused datagram without its payload, so that the endpoint's kernel answers with an ICMP error.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_skb_change_tail, bpf_skb_store_bytes},
};

use crate::packet::{ETHERNET, PacketHeaders, load};

const RECOMPUTE: u64 = 1;
const HEADER: u16 = 8;
/// Places of lengths and checksums in the headers of IPv4, IPv6 and UDP.
const V4_LENGTH: u32 = 2;
const V4_CHECKSUM: u32 = 10;
const V6_LENGTH: u32 = 4;
const UDP_LENGTH: u32 = 4;
const UDP_CHECKSUM: u32 = 6;

/// Cuts a datagram of UDP behind its header. False: it could not be done, so it goes nowhere.
#[inline(never)]
pub fn datagram(skb: *mut __sk_buff, packet: &PacketHeaders) -> bool {
    // Options and extension headers have no business in a packet that is refused.
    let length = if packet.v6 { 40 } else { 20 };
    if packet.at != ETHERNET + length || unsafe { bpf_skb_change_tail(skb, packet.at + HEADER as u32, 0) } != 0 {
        return false;
    }
    let checksum = if packet.v6 { checksum_v6(packet) } else { 0 };
    let whole = if packet.v6 { put(skb, ETHERNET + V6_LENGTH, HEADER.to_be()) } else { shorten_v4(skb) };
    whole && put(skb, packet.at + UDP_LENGTH, HEADER.to_be()) && put(skb, packet.at + UDP_CHECKSUM, checksum)
}

#[inline(always)]
fn put(skb: *mut __sk_buff, at: u32, value: u16) -> bool {
    unsafe { bpf_skb_store_bytes(skb.cast(), at, (&raw const value).cast(), 2, RECOMPUTE) == 0 }
}

#[inline(always)]
fn shorten_v4(skb: *mut __sk_buff) -> bool {
    if !put(skb, ETHERNET + V4_LENGTH, (20 + HEADER).to_be()) || !put(skb, ETHERNET + V4_CHECKSUM, 0) {
        return false;
    }
    let Some(header) = load::<[u32; 5]>(skb, ETHERNET) else { return false };
    let mut sum = 0;
    for word in header {
        sum += (word & 0xffff) + (word >> 16);
    }
    put(skb, ETHERNET + V4_CHECKSUM, fold(sum))
}

/// RFC 768 with the pseudo header of RFC 8200 §8.1; never 0.
#[inline(always)]
fn checksum_v6(packet: &PacketHeaders) -> u16 {
    let tuple = &packet.tuple;
    let mut sum = (HEADER.to_be() as u32) * 2 + (17_u16.to_be() as u32) + (tuple.ports & 0xffff) + (tuple.ports >> 16);
    let mut i = 0;
    while i < 4 {
        sum += (tuple.source[i] & 0xffff) + (tuple.source[i] >> 16);
        sum += (tuple.destination[i] & 0xffff) + (tuple.destination[i] >> 16);
        i += 1;
    }
    let checksum = fold(sum);
    if checksum == 0 { 0xffff } else { checksum }
}

#[inline(always)]
fn fold(mut sum: u32) -> u16 {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}
