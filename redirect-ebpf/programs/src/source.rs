//! The source address of a socket's packets, as its hooks see it.

use aya_ebpf::programs::SockAddrContext;
use portcullis_redirect_common::{LocalKey, SERVICE};

use crate::{
    SITE,
    connect::socket,
    maps::{LOCALS, SHARED},
    number,
    verdict::{is_link_local, is_loopback, is_multicast, is_unset, mapped, plain, read, read6},
};

const AF_INET: u32 = 2;

/// Whether a source is none of the endpoint's addresses. A socket may name any (`IPV6_FREEBIND` needs no capability, and
/// IPv6 sends it), and peers judge by it. Addresses of a link are nobody's identity; they are for that link.
#[inline(always)]
pub fn is_forged(endpoint: u32, source: &[u8; 16], peer: &[u8; 16]) -> bool {
    if is_unset(source) || unsafe { LOCALS.get(LocalKey { endpoint, address: *source }) }.is_some() {
        return false;
    }
    let on_link = is_link_local(source) && (is_link_local(peer) || is_multicast(peer));
    let shared = number(&SITE) == SERVICE || unsafe { SHARED.get(endpoint) }.is_some();
    !(is_loopback(source) || is_multicast(source) || on_link || shared)
}

/// The address that a socket is bound to, by the family of the program.
#[inline(always)]
pub fn bound4(ctx: &SockAddrContext) -> [u8; 16] {
    let socket = socket(ctx);
    mapped(if socket.is_null() { 0 } else { read!((*socket).src_ip4) })
}

#[inline(always)]
pub fn bound6(ctx: &SockAddrContext) -> [u8; 16] {
    let socket = socket(ctx);
    plain(if socket.is_null() { [0; 4] } else { read6!((*socket).src_ip6) })
}

/// Where a connected socket sends.
#[inline(always)]
pub fn connected_to(ctx: &SockAddrContext) -> ([u8; 16], u16) {
    let socket = socket(ctx);
    if socket.is_null() {
        return ([0; 16], 0);
    }
    let (v4, v6) = (mapped(read!((*socket).dst_ip4)), plain(read6!((*socket).dst_ip6)));
    let port = u16::from_be(read!((*socket).dst_port));
    (if read!((*socket).family) == AF_INET { v4 } else { v6 }, port)
}

