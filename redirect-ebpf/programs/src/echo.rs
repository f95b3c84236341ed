//! `cgroup_skb/egress`: judges ICMP messages by their type. Raw sockets and unconnected ping sockets send them past
//! every other hook. The program sees each packet, so it is attached only while a policy has rules for ICMP.

use aya_ebpf::{helpers::bpf_get_netns_cookie, macros::cgroup_skb, programs::SkBuffContext};
use portcullis_redirect_common::{Action, ECHO_REQUEST, ECHO_REQUEST_V6, EGRESS, ICMP, ICMP_V6, LocalKey};

use crate::{
    ENDPOINT,
    maps::{LOCALS, PODS},
    number,
    verdict::{HookFlow, is_loopback, mapped, plain, read, report, tell, verdict},
};

const DROP: i32 = 0;
const SEND: i32 = 1;
/// Ethernet protocol numbers in network order, as a context has them.
const IPV4: u32 = 0x0800_u16.to_be() as u32;
const IPV6: u32 = 0x86dd_u16.to_be() as u32;
/// Most extension headers that are looked behind. Whoever sends more is taken to send an echo request.
const HEADERS: u32 = 6;

/// Judges messages on their way out by their type; the sender of one that is refused sees EPERM. Of types that the tables do
/// not speak of nobody is refused.
#[cgroup_skb(egress)]
pub fn echo(ctx: SkBuffContext) -> i32 {
    let (protocol, kind, peer) = match read!((*ctx.skb.skb).protocol) {
        IPV4 => (ICMP, type_v4(&ctx), mapped(ctx.load(16).unwrap_or(0))),
        IPV6 => (ICMP_V6, type_v6(&ctx), plain(ctx.load(24).unwrap_or([0; 4]))),
        _ => return SEND,
    };
    let Some(kind) = kind else { return SEND };
    let Some(endpoint) = endpoint(&ctx) else { return SEND };
    if is_loopback(&peer) || unsafe { LOCALS.get(LocalKey { endpoint, address: peer }) }.is_some() {
        return SEND;
    }
    let flow = HookFlow { endpoint, direction: EGRESS, protocol, port: kind as u16, source_port: 0, peer };
    match verdict(&flow) {
        Action::Refuse => {
            tell(&flow, false);
            DROP
        }
        Action::PassAndReport => {
            report(&flow, 0);
            SEND
        }
        Action::Pass | Action::Steer => SEND,
    }
}

#[inline(always)]
fn byte(ctx: &SkBuffContext, at: u32) -> u8 {
    ctx.load(at as usize).unwrap_or(0)
}

/// The type, if it is a message of ICMP. A later fragment has none: it is worth nothing without the first. What is too short to
/// have one is taken for an echo request.
#[inline(always)]
fn type_v4(ctx: &SkBuffContext) -> Option<u8> {
    let fragment = (byte(ctx, 6) & 0x1f) | byte(ctx, 7);
    if byte(ctx, 9) != ICMP || fragment != 0 {
        return None;
    }
    Some(ctx.load((byte(ctx, 0) & 0xf) as usize * 4).unwrap_or(ECHO_REQUEST))
}

/// Looks behind extension headers (RFC 8200 §4): options of hops and of the destination, routing, fragment.
#[inline(always)]
fn type_v6(ctx: &SkBuffContext) -> Option<u8> {
    let (mut next, mut at) = (byte(ctx, 6), 40);
    let mut header = 0;
    while header < HEADERS {
        let length = match next {
            ICMP_V6 => return Some(ctx.load(at as usize).unwrap_or(ECHO_REQUEST_V6)),
            0 | 43 | 60 => (byte(ctx, at + 1) as u32 + 1) * 8,
            44 if byte(ctx, at + 2) | (byte(ctx, at + 3) & 0xf8) != 0 => return None,
            44 => 8,
            _ => return None,
        };
        next = byte(ctx, at);
        at += length;
        header += 1;
    }
    Some(ECHO_REQUEST_V6)
}

/// The program of a service knows its endpoint; the one above all pods asks by network namespace.
#[inline(always)]
fn endpoint(ctx: &SkBuffContext) -> Option<u32> {
    let fixed = number(&ENDPOINT);
    if fixed != 0 {
        return Some(fixed);
    }
    let cookie = unsafe { bpf_get_netns_cookie(ctx.skb.skb.cast()) };
    unsafe { PODS.get(cookie) }.copied()
}
