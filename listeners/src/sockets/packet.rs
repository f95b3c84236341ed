//! Writes a datagram as a whole IP packet, so that it can have any source address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

const UDP: u8 = 17;
/// Bytes of the header of UDP (RFC 768).
const UDP_HEADER: usize = 8;
/// Bytes of the header of IPv4 without options (RFC 791 §3.1).
const V4_HEADER: usize = 20;
/// Bytes of the header of IPv6 (RFC 8200 §3).
const V6_HEADER: usize = 40;
/// Routers that a packet may pass: it passes none.
const HOPS: u8 = 64;

/// The headers of IP and UDP.
#[derive(Debug)]
pub(super) struct DatagramHeader {
    bytes: [u8; V6_HEADER + UDP_HEADER],
    length: usize,
}

impl std::ops::Deref for DatagramHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What stands before a payload on its way; `None` where the families differ or the payload is too long.
pub(super) fn header(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<DatagramHeader> {
    let length = u16::try_from(UDP_HEADER + payload.len()).ok()?;
    let mut bytes = [0; V6_HEADER + UDP_HEADER];
    let (ip_header, pseudo) = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => v4(&mut bytes, *from.ip(), *to.ip(), length)?,
        (SocketAddr::V6(from), SocketAddr::V6(to)) => v6(&mut bytes, *from.ip(), *to.ip(), length),
        _ => return None,
    };
    let udp = &mut bytes[ip_header..];
    udp[..2].copy_from_slice(&from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&length.to_be_bytes());
    let sum = pseudo + sum(&udp[..UDP_HEADER]) + sum(payload);
    // Zero would say that there is no checksum (RFC 768).
    let checksum = match fold(sum + u64::from(UDP) + u64::from(length)) {
        0 => u16::MAX,
        other => other,
    };
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    Some(DatagramHeader { bytes, length: ip_header + UDP_HEADER })
}

/// The header of IPv4; identification and checksum are the kernel's to fill in (raw(7)).
fn v4(bytes: &mut [u8], from: Ipv4Addr, to: Ipv4Addr, length: u16) -> Option<(usize, u64)> {
    let total = length.checked_add(u16::try_from(V4_HEADER).ok()?)?;
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[8] = HOPS;
    bytes[9] = UDP;
    bytes[12..16].copy_from_slice(&from.octets());
    bytes[16..20].copy_from_slice(&to.octets());
    Some((V4_HEADER, sum(&bytes[12..20])))
}

fn v6(bytes: &mut [u8], from: Ipv6Addr, to: Ipv6Addr, length: u16) -> (usize, u64) {
    bytes[0] = 0x60;
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    bytes[6] = UDP;
    bytes[7] = HOPS;
    bytes[8..24].copy_from_slice(&from.octets());
    bytes[24..40].copy_from_slice(&to.octets());
    (V6_HEADER, sum(&bytes[8..40]))
}

/// The sum of all words of 16 bits, the last one filled up with zeros (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let sum: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    sum + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

/// The complement of a sum in ones' complement (RFC 1071).
fn fold(mut sum: u64) -> u16 {
    while sum > u64::from(u16::MAX) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum over pseudo header, header and payload of a right packet is zero.
    fn check(header: &[u8], payload: &[u8], addresses: std::ops::Range<usize>, ip_header: usize) {
        let udp = &header[ip_header..];
        let length = u64::from(u16::from_be_bytes([udp[4], udp[5]]));
        assert_eq!(usize::try_from(length).unwrap(), UDP_HEADER + payload.len());
        assert_eq!(fold(sum(&header[addresses]) + u64::from(UDP) + length + sum(udp) + sum(payload)), 0);
    }

    #[test]
    fn checksums_are_right_for_even_odd_and_empty_payloads() {
        for payload in [&b""[..], b"a", b"ab", b"\xff\xff\xff", &[0xff; 1401]] {
            let v4 = header("10.0.0.1:53".parse().unwrap(), "10.0.0.2:40000".parse().unwrap(), payload).unwrap();
            check(&v4, payload, 12..20, V4_HEADER);
            let v6 = header("[fd00::1]:53".parse().unwrap(), "[fd00::2]:40000".parse().unwrap(), payload).unwrap();
            check(&v6, payload, 8..40, V6_HEADER);
        }
    }

    #[test]
    fn what_is_no_packet_is_none() {
        assert!(header("10.0.0.1:53".parse().unwrap(), "[fd00::2]:1".parse().unwrap(), b"").is_none());
        assert!(header("10.0.0.1:53".parse().unwrap(), "10.0.0.2:1".parse().unwrap(), &[0; 65_520]).is_none());
    }
}
