//! `setsockopt`: refuses options that send packets by another way than the hooks judge. A packet with a routing header
//! (RFC 8200 §4.4) carries its first stop as the destination and the judged address last; so does one with an IPv4
//! source route (RFC 791 §3.1). Some kernels require no capability for either, so no endpoint may set them.
//!
//! The hook sees neither control messages nor 32-bit system calls.

use aya_ebpf::{helpers::bpf_get_netns_cookie, macros::cgroup_sockopt, programs::SockoptContext};

use crate::{ENDPOINT, maps::PODS, number, verdict::read};

const REFUSED: i32 = 0;
const ALLOWED: i32 = 1;
const SOL_IP: i32 = 0;
const SOL_IPV6: i32 = 41;
const IP_OPTIONS: i32 = 4;
const IPV6_RTHDR: i32 = 57;
/// Control messages that stay (RFC 2292 §4.4), a routing header among them.
const IPV6_2292PKTOPTIONS: i32 = 6;
/// A flow label may bring options with it.
const IPV6_FLOWLABEL_MGR: i32 = 32;
/// Bytes of a request for a flow label without options: `struct in6_flowlabel_req`.
const FLOW_LABEL: i32 = 32;
/// Most bytes of options in a header of IPv4.
const MOST_OPTIONS: usize = 40;
/// Types of options: end, padding, and both source routes.
const END: u8 = 0;
const PADDING: u8 = 1;
const LOOSE: u8 = 131;
const STRICT: u8 = 137;

/// Refuses them with EPERM.
#[cgroup_sockopt(setsockopt)]
pub fn options(ctx: SockoptContext) -> i32 {
    let c = ctx.sockopt;
    let (level, name, length) = (read!((*c).level), read!((*c).optname), read!((*c).optlen));
    let reroutes = match (level, name) {
        (SOL_IPV6, IPV6_RTHDR | IPV6_2292PKTOPTIONS) => length > 0,
        (SOL_IPV6, IPV6_FLOWLABEL_MGR) => length > FLOW_LABEL,
        (SOL_IP, IP_OPTIONS) => has_source_route(&ctx),
        _ => {
            // The caller's own memory counts, of any length: the kernel need not take the copy that was made for us.
            unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*c).optlen), 0) };
            return ALLOWED;
        }
    };
    if reroutes && is_ours(&ctx) { REFUSED } else { ALLOWED }
}

/// Whether the socket is an endpoint's.
#[inline(always)]
fn is_ours(ctx: &SockoptContext) -> bool {
    number(&ENDPOINT) != 0 || unsafe { PODS.get(bpf_get_netns_cookie(ctx.sockopt.cast())) }.is_some()
}

/// Goes from option to option as the kernel does. What cannot be read it refuses itself. Byte by byte at fixed places: with
/// steps of any length the verifier takes a second.
#[inline(always)]
fn has_source_route(ctx: &SockoptContext) -> bool {
    let c = ctx.sockopt;
    let start = unsafe { (*c).__bindgen_anon_2.optval } as usize;
    let end = unsafe { (*c).__bindgen_anon_3.optval_end } as usize;
    // Bytes until the next option; in between, whether the length of this one comes next.
    let (mut left, mut length_next) = (0_u8, false);
    let mut at = 0;
    while at < MOST_OPTIONS {
        if start + at + 1 > end {
            return false;
        }
        let byte = unsafe { *((start + at) as *const u8) };
        if length_next {
            length_next = false;
            if byte < 2 {
                return false;
            }
            left = byte - 2;
        } else if left > 0 {
            left -= 1;
        } else if byte == LOOSE || byte == STRICT {
            return true;
        } else if byte == END {
            return false;
        } else {
            length_next = byte != PADDING;
        }
        at += 1;
    }
    false
}
