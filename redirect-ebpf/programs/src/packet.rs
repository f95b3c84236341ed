//! A parsed packet: addresses, ports and the other header fields that decide its treatment, whatever sent it.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock}, helpers::generated::bpf_skb_load_bytes, macros::map, maps::PerCpuArray,
};
use portcullis_redirect_common::{ICMP, ICMP_V6, SCTP, TCP, Tuple, UDP, UDP_LITE};

use crate::verdict::read;

/// Ethernet protocol numbers in network order, as a context has them.
pub const IPV4: u32 = 0x0800_u16.to_be() as u32;
pub const IPV6: u32 = 0x86dd_u16.to_be() as u32;
pub const ARP: u32 = 0x0806_u16.to_be() as u32;
/// Length of an Ethernet header.
pub const ETHERNET: u32 = 14;

/// States of sockets (net/tcp_states.h).
const SYN_SENT: u32 = 2;
const CLOSE: u32 = 7;
pub const LISTEN: u32 = 10;
/// Type of a socket (linux/net.h).
pub const SOCK_STREAM: u32 = 1;

/// TCP flags.
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// Most extension headers that are looked behind, and most options of an IPv4 header. Packets with more are refused.
const HEADERS: u32 = 6;
const OPTIONS: u32 = 12;
/// Loose and strict source routes (RFC 791 §3.1).
const LSRR: u8 = 131;
const SSRR: u8 = 137;
/// Length of a destination options header without room for a home address (RFC 6275 §6.3), in units after the first.
const SHORT: u8 = 0;

/// What is known of a packet.
#[derive(Clone, Copy)]
pub struct PacketHeaders {
    pub tuple: Tuple,
    /// Where the IP header begins: behind a header of Ethernet, or at the start of what a program of a cgroup sees.
    pub base: u32,
    /// Where the header behind the IP headers begins, and where the packet ends.
    pub at: u32,
    pub end: u32,
    pub v6: bool,
    /// More fragments follow this first one.
    pub first: bool,
    /// A fragment without ports.
    pub later: bool,
    /// Of IPv4 the time to live, of IPv6 the hop limit.
    pub hops: u8,
    /// Flags of TCP; type of ICMP.
    pub flags: u8,
    /// Nothing is behind the header of TCP or UDP.
    pub empty: bool,
    /// Identification of a fragment.
    pub identification: u32,
    /// Who sends it, as far as that is known: [`OWN`], [`STREAM`], [`KERNEL`].
    pub sender: u32,
    /// Of an error message: what the packet that it is about has in its headers.
    pub about: Tuple,
    /// A header that is being read. Here because the stack has no room for it.
    pub header: [u32; 10],
}

/// Of a sender: a socket of ours, or what one of our listeners accepted.
pub const OWN: u32 = 1;
/// Of a sender: a socket of TCP that is connected or listens. The kernel has made the packet by the rules of TCP.
pub const STREAM: u32 = 2;
/// Of a sender: none. The kernel answers without a socket, or the packet was forwarded.
pub const KERNEL: u32 = 4;
/// Of a sender: a socket of TCP in any state.
pub const STREAM_SOCKET: u32 = 8;

/// Where a packet is read to. On the stack the verifier would follow what it knows of each field through all that is decided
/// by it, which takes it seconds; programs at devices run one at a time on a CPU.
#[map]
static SCRATCH: PerCpuArray<PacketHeaders> = PerCpuArray::with_max_entries(1, 0);

/// The place for a packet, with nothing of the one before that is not written before it is read.
#[inline(always)]
pub fn scratch() -> Option<&'static mut PacketHeaders> {
    let packet = unsafe { &mut *SCRATCH.get_ptr_mut(0)? };
    clear(packet);
    Some(packet)
}

/// Leaves nothing of a packet that is not written before it is read.
#[inline(always)]
pub fn clear(packet: &mut PacketHeaders) {
    packet.tuple.ports = 0;
    (packet.v6, packet.first, packet.later, packet.empty) = (false, false, false, false);
    (packet.flags, packet.identification, packet.sender) = (0, 0, 0);
}

/// Whether two addresses are the same.
#[inline(always)]
pub fn is_address(one: &[u32; 4], other: &[u32; 4]) -> bool {
    (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3]) == 0
}

/// Whether two tuples are the same.
#[inline(always)]
pub fn same(one: &Tuple, other: &Tuple) -> bool {
    let words = |tuple: &Tuple| core::ptr::from_ref(tuple).cast::<[u64; 5]>();
    let ([a, b, c, d, e], [v, w, x, y, z]) = unsafe { (*words(one), *words(other)) };
    (a ^ v) | (b ^ w) | (c ^ x) | (d ^ y) | (e ^ z) == 0
}

/// What the answer to a packet has in its headers.
#[inline(always)]
pub fn answered(tuple: &Tuple) -> Tuple {
    let Tuple { source, destination, ports, protocol } = *tuple;
    Tuple { source: destination, destination: source, ports: ports.rotate_left(16), protocol }
}

/// Whether a socket is one of TCP that is connected or listens: the kernel makes its packets by the rules of TCP.
#[inline(always)]
pub fn is_stream(socket: *mut bpf_sock) -> bool {
    let state = read!((*socket).state);
    read!((*socket).type_) == SOCK_STREAM && state != SYN_SENT && state != CLOSE
}

/// Copies a tuple, word by word: to a map's value a plain assignment is a call that goes byte by byte.
#[inline(always)]
pub fn copy(to: &mut Tuple, from: &Tuple) {
    let (to, from) = (core::ptr::from_mut(to).cast::<u64>(), core::ptr::from_ref(from).cast::<u64>());
    let mut word = 0;
    while word < 5 {
        unsafe { core::ptr::write_volatile(to.add(word), *from.add(word)) };
        word += 1;
    }
}

impl PacketHeaders {
    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        self.tuple.protocol as u8
    }

    /// Whether it asks for a connection.
    #[inline(always)]
    pub fn is_bare_syn(&self) -> bool {
        self.protocol() == TCP && asks(self.flags)
    }
}

/// Whether a segment of TCP with these flags asks for a connection.
#[inline(always)]
pub fn asks(flags: u8) -> bool {
    flags & (SYN | ACK | RST) == SYN
}

/// Ports of a tuple, in the machine's order: source, destination.
#[inline(always)]
pub fn ports(tuple: &Tuple) -> (u16, u16) {
    let b = tuple.ports.to_ne_bytes();
    (u16::from_be_bytes([b[0], b[1]]), u16::from_be_bytes([b[2], b[3]]))
}

/// Words of an IPv4 address in the form of the maps.
#[inline(always)]
pub fn words(address: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), address]
}

/// The form of the maps.
#[inline(always)]
pub fn bytes(words: &[u32; 4]) -> [u8; 16] {
    // SAFETY: both are 16 bytes of plain data.
    unsafe { core::mem::transmute(*words) }
}

#[inline(always)]
pub fn load<T: Copy + Default>(skb: *mut __sk_buff, at: u32) -> Option<T> {
    let mut value = T::default();
    let to = (&raw mut value).cast();
    if unsafe { bpf_skb_load_bytes(skb.cast(), at, to, size_of::<T>() as u32) } == 0 { Some(value) } else { None }
}

/// Reads the first `size` bytes of a header, 40 at most.
#[inline(always)]
pub fn read_header(skb: *mut __sk_buff, at: u32, size: u32, header: &mut [u32; 10]) -> bool {
    unsafe { bpf_skb_load_bytes(skb.cast(), at, header.as_mut_ptr().cast(), size) == 0 }
}

/// Reads any packet of IP whose header begins at `base`. False: it cannot be judged, or asks to be sent by way of somebody
/// else, or as somebody else; whoever has a policy sends and gets no such packet.
#[inline(never)]
pub fn parse(skb: *mut __sk_buff, base: u32, packet: &mut PacketHeaders) -> bool {
    packet.base = base;
    packet.end = read!((*skb).len);
    let known = if read!((*skb).protocol) == IPV4 { parse_v4(skb, base, packet) } else { parse_v6(skb, base, packet) };
    if !known {
        return false;
    }
    if packet.later {
        packet.tuple.ports = packet.identification;
        return true;
    }
    transport(skb, packet)
}

#[inline(always)]
fn parse_v4(skb: *mut __sk_buff, base: u32, packet: &mut PacketHeaders) -> bool {
    let Some(header) = load::<[u32; 5]>(skb, base) else { return false };
    let first = header[0].to_ne_bytes();
    let length = (first[0] & 0xf) as u32 * 4;
    if first[0] >> 4 != 4 || length < 20 {
        return false;
    }
    let fragment = u16::from_be_bytes([header[1].to_ne_bytes()[2], header[1].to_ne_bytes()[3]]);
    packet.identification = header[1] & 0xffff;
    packet.first = fragment & 0x3fff == 0x2000;
    packet.later = fragment & 0x1fff != 0;
    packet.hops = header[2].to_ne_bytes()[0];
    packet.tuple.protocol = header[2].to_ne_bytes()[1] as u32;
    packet.tuple.source = words(header[3]);
    packet.tuple.destination = words(header[4]);
    packet.at = base + length;
    length == 20 || !has_source_route(skb, base, length)
}

#[inline(always)]
fn has_source_route(skb: *mut __sk_buff, base: u32, length: u32) -> bool {
    let (mut at, mut option) = (20, 0);
    while option < OPTIONS {
        if at >= length {
            return false;
        }
        let Some(kind) = load::<u8>(skb, base + at) else { return true };
        match kind {
            0 => return false,
            1 => at += 1,
            LSRR | SSRR => return true,
            _ => {
                let Some(size @ 2..) = load::<u8>(skb, base + at + 1) else { return true };
                at += size as u32;
            }
        }
        option += 1;
    }
    true
}

/// Looks behind extension headers (RFC 8200 §4): options of hops and of the destination, routing, fragment.
#[inline(always)]
fn parse_v6(skb: *mut __sk_buff, base: u32, packet: &mut PacketHeaders) -> bool {
    let Some(header) = load::<[u32; 10]>(skb, base) else { return false };
    if header[0].to_ne_bytes()[0] >> 4 != 6 {
        return false;
    }
    packet.v6 = true;
    packet.hops = header[1].to_ne_bytes()[3];
    packet.tuple.source = [header[2], header[3], header[4], header[5]];
    packet.tuple.destination = [header[6], header[7], header[8], header[9]];
    let (mut next, mut at) = (header[1].to_ne_bytes()[2], base + 40);
    let mut count = 0;
    while count < HEADERS {
        if next != 0 && next != 43 && next != 44 && next != 60 {
            packet.tuple.protocol = next as u32;
            packet.at = at;
            return true;
        }
        let Some(extension) = load::<[u8; 8]>(skb, at) else { return false };
        match next {
            // Segments that are left: it goes to somebody else first (RFC 8200 §4.4, RFC 8754).
            43 if extension[3] != 0 => return false,
            // Room for a home address, by which the receiver takes it for somebody else's.
            60 if extension[1] != SHORT => return false,
            44 => {
                let offset = u16::from_be_bytes([extension[2], extension[3]]);
                packet.identification = u32::from_ne_bytes([extension[4], extension[5], extension[6], extension[7]]);
                packet.first = offset & 0xfff8 == 0 && offset & 1 != 0;
                packet.later = offset & 0xfff8 != 0;
                if packet.later {
                    packet.tuple.protocol = extension[0] as u32;
                    packet.at = at + 8;
                    return true;
                }
                at += 8;
            }
            _ => at += (extension[1] as u32 + 1) * 8,
        }
        next = extension[0];
        count += 1;
    }
    false
}

/// Reads ports, types and flags.
#[inline(always)]
fn transport(skb: *mut __sk_buff, packet: &mut PacketHeaders) -> bool {
    let at = packet.at;
    let room = packet.end - if at < packet.end { at } else { packet.end };
    match packet.protocol() {
        TCP => {
            let Some(header) = load::<[u32; 5]>(skb, at) else { return false };
            let [offset, flags, ..] = header[3].to_ne_bytes();
            packet.tuple.ports = header[0];
            packet.flags = flags;
            packet.empty = room <= (offset >> 4) as u32 * 4;
        }
        UDP | UDP_LITE => {
            let Some(header) = load::<[u32; 2]>(skb, at) else { return false };
            packet.tuple.ports = header[0];
            packet.empty = room <= 8;
        }
        SCTP => {
            let Some(header) = load::<u32>(skb, at) else { return false };
            packet.tuple.ports = header;
        }
        ICMP | ICMP_V6 => {
            let Some(header) = load::<[u8; 8]>(skb, at) else { return false };
            packet.flags = header[0];
            // The identifier of an echo.
            packet.tuple.ports = u32::from_ne_bytes([header[0], header[1], header[4], header[5]]);
        }
        _ => {}
    }
    true
}
