//! The fast path for common packets: TCP or UDP without options, extension headers or fragments. They are read in
//! place, because this path must cost next to nothing.

use aya_ebpf::bindings::__sk_buff;
use portcullis_redirect_common::{TCP, Tuple, UDP};

use crate::{
    packet::{ACK, ETHERNET, IPV4, IPV6, RST, SYN, asks, words},
    verdict::read,
};

/// The tuple of a common packet. The context starts with an Ethernet header.
#[inline(always)]
pub fn quick(skb: *mut __sk_buff) -> Option<Tuple> {
    // With a tag the peer may read another packet than is judged here.
    if read!((*skb).vlan_present) != 0 {
        return None;
    }
    quick_at(skb, ETHERNET as usize)
}

/// The same where the IP header begins at `base`.
#[inline(always)]
pub fn quick_at(skb: *mut __sk_buff, base: usize) -> Option<Tuple> {
    let (data, end) = (read!((*skb).data) as usize, read!((*skb).data_end) as usize);
    let protocol = read!((*skb).protocol);
    let ip = data + base;
    let at = |offset: usize| (ip + offset) as *const u32;
    if protocol == IPV4 {
        if ip + 24 > end {
            return None;
        }
        let (first, fragment) = unsafe { (core::ptr::read_volatile(ip as *const u8), core::ptr::read_volatile((ip + 6) as *const u16)) };
        let next = unsafe { core::ptr::read_volatile((ip + 9) as *const u8) };
        if first != 0x45 || fragment & 0xbfff_u16.to_be() != 0 || (next != TCP && next != UDP) {
            return None;
        }
        let (source, destination, ports) = unsafe { (*at(12), *at(16), *at(20)) };
        return Some(Tuple { source: words(source), destination: words(destination), ports, protocol: next as u32 });
    }
    if protocol != IPV6 || ip + 44 > end {
        return None;
    }
    let next = unsafe { core::ptr::read_volatile((ip + 6) as *const u8) };
    if next != TCP && next != UDP {
        return None;
    }
    let source = unsafe { [*at(8), *at(12), *at(16), *at(20)] };
    let destination = unsafe { [*at(24), *at(28), *at(32), *at(36)] };
    Some(Tuple { source, destination, ports: unsafe { *at(40) }, protocol: next as u32 })
}

/// What finds the flow of a packet in a table.
pub struct Outline {
    /// The addresses, each in one word.
    pub source: u32,
    pub destination: u32,
    pub ports: u32,
    /// It is one of TCP; with these flags.
    pub tcp: bool,
    pub flags: u8,
}

impl Outline {
    /// Whether it asks for a connection.
    #[inline(always)]
    pub fn asks(&self) -> bool {
        self.tcp && asks(self.flags)
    }
}

/// The same of a packet that [`quick`] reads, without a place on the stack.
#[inline(always)]
pub fn outline(skb: *mut __sk_buff) -> Option<Outline> {
    let (data, end) = (read!((*skb).data) as usize, read!((*skb).data_end) as usize);
    let ip = data + ETHERNET as usize;
    let at = |offset: usize| unsafe { core::ptr::read_volatile((ip + offset) as *const u32) };
    let byte = |offset: usize| unsafe { core::ptr::read_volatile((ip + offset) as *const u8) };
    let protocol = read!((*skb).protocol);
    if protocol == IPV4 {
        if ip + 34 > end {
            return None;
        }
        let (source, destination) = (in_one_word(&words(at(12))), in_one_word(&words(at(16))));
        return Some(Outline { source, destination, ports: at(20), tcp: byte(9) == TCP, flags: byte(33) });
    }
    if protocol != IPV6 || ip + 54 > end {
        return None;
    }
    let source = at(8) ^ at(12) ^ at(16) ^ at(20);
    let destination = at(24) ^ at(28) ^ at(32) ^ at(36);
    Some(Outline { source, destination, ports: at(40), tcp: byte(6) == TCP, flags: byte(53) })
}

/// An address in one word, for a place in a table.
#[inline(always)]
pub fn in_one_word(address: &[u32; 4]) -> u32 {
    address[0] ^ address[1] ^ address[2] ^ address[3]
}

/// Whether a packet is one that [`quick`] reads, with just this tuple; `turned`: it answers one with that. Compared where it is,
/// because a copy costs more than the rest.
#[inline(always)]
pub fn has_headers(skb: *mut __sk_buff, tuple: &Tuple, turned: bool) -> bool {
    if read!((*skb).vlan_present) != 0 {
        return false;
    }
    let (data, end) = (read!((*skb).data) as usize, read!((*skb).data_end) as usize);
    let ip = data + ETHERNET as usize;
    let at = |offset: usize| unsafe { core::ptr::read_volatile((ip + offset) as *const u32) };
    let byte = |offset: usize| unsafe { core::ptr::read_volatile((ip + offset) as *const u8) };
    let (from, to) = if turned { (&tuple.destination, &tuple.source) } else { (&tuple.source, &tuple.destination) };
    let ports = if turned { tuple.ports.rotate_left(16) } else { tuple.ports };
    let protocol = read!((*skb).protocol);
    if protocol == IPV4 {
        if ip + 24 > end || byte(0) != 0x45 {
            return false;
        }
        let fragment = unsafe { core::ptr::read_volatile((ip + 6) as *const u16) } & 0xbfff_u16.to_be();
        let mapped = |address: &[u32; 4]| address[0] | address[1] | (address[2] ^ words(0)[2]);
        let other = (at(12) ^ from[3]) | (at(16) ^ to[3]) | (at(20) ^ ports) | mapped(from) | mapped(to);
        return other | fragment as u32 | (byte(9) as u32 ^ tuple.protocol) == 0 && has_ports_here(byte(9));
    }
    if protocol != IPV6 || ip + 44 > end {
        return false;
    }
    let sources = (at(8) ^ from[0]) | (at(12) ^ from[1]) | (at(16) ^ from[2]) | (at(20) ^ from[3]);
    let destinations = (at(24) ^ to[0]) | (at(28) ^ to[1]) | (at(32) ^ to[2]) | (at(36) ^ to[3]);
    let next = byte(6);
    sources | destinations | (at(40) ^ ports) | (next as u32 ^ tuple.protocol) == 0 && has_ports_here(next)
}

/// Whether a protocol is one whose ports stand right behind the header of IP, for those who read no more.
#[inline(always)]
fn has_ports_here(protocol: u8) -> bool {
    protocol == TCP || protocol == UDP
}

/// What the header of a packet of TCP says that [`quick`] has read.
#[derive(Clone, Copy)]
pub struct Segment {
    pub flags: u8,
    /// Nothing is behind the header.
    pub empty: bool,
    /// The frame is for many.
    pub broadcast: bool,
}

/// None if the header is not where it is read.
#[inline(always)]
pub fn segment(skb: *mut __sk_buff) -> Option<Segment> {
    let (data, end) = (read!((*skb).data) as usize, read!((*skb).data_end) as usize);
    let header = ETHERNET as usize + if read!((*skb).protocol) == IPV4 { 20 } else { 40 };
    let at = data + header;
    if at + 14 > end {
        return None;
    }
    let byte = |at: usize| unsafe { core::ptr::read_volatile(at as *const u8) };
    let behind = header as u32 + (byte(at + 12) >> 4) as u32 * 4;
    Some(Segment { flags: byte(at + 13), empty: read!((*skb).len) <= behind, broadcast: byte(data) & 1 != 0 })
}

impl Segment {
    /// Whether it accepts one.
    #[inline(always)]
    pub fn accepts(&self) -> bool {
        self.flags & (SYN | ACK | RST) == SYN | ACK
    }
}
