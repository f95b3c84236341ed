//! Answers to datagrams. To `sk_lookup`, a datagram to an unconnected socket looks like a new flow.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_ktime_get_ns},
    macros::cgroup_sock,
    programs::{SockAddrContext, SockContext},
};
use portcullis_redirect_common::{ExpectedReply, ReplyKey, UDP};

use crate::{
    ANSWERS,
    connect::socket,
    cookie,
    maps::{ASKERS, REPLIES},
    verdict::{HookFlow, is_v4, read},
};

/// Remembers where an answer may come from.
#[inline(always)]
pub fn expect_reply(ctx: &SockAddrContext, flow: &HookFlow) {
    if flow.protocol == UDP && flow.source_port != 0 {
        expect(ctx, flow, unsafe { bpf_ktime_get_ns() } + cookie(&ANSWERS));
    }
}

/// What a connected socket sends over a device comes to our listener by that device, and no other hook sees it.
#[inline(always)]
pub fn expect_at_device(ctx: &SockAddrContext, flow: &HookFlow) {
    let socket = socket(ctx);
    if flow.protocol == UDP && !is_v4(&flow.peer) && !socket.is_null() && read!((*socket).bound_dev_if) != 0 {
        expect(ctx, flow, u64::MAX);
    }
}

/// The answer is for the socket that asked, as long as that is open: another process may get its port.
#[inline(always)]
pub fn expect(ctx: &SockAddrContext, flow: &HookFlow, until: u64) {
    let key =
        ReplyKey { endpoint: flow.endpoint, peer_port: flow.port, local_port: flow.source_port, peer: flow.peer };
    let asker = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    let reply = ExpectedReply { asker, until };
    // Full: the oldest goes. Failing: the answer is refused, which is the safe side.
    match REPLIES.get_ptr_mut(key) {
        Some(known) => unsafe { known.write_volatile(reply) },
        None => {
            let _ = REPLIES.insert(key, reply, 0);
        }
    }
    if unsafe { ASKERS.get(asker) }.is_none() {
        let _ = ASKERS.insert(asker, 1, 0);
    }
}

/// Whether an answer to what the endpoint asked may still come.
#[inline(always)]
pub fn is_expected(asked: &HookFlow) -> bool {
    let key =
        ReplyKey { endpoint: asked.endpoint, peer_port: asked.port, local_port: asked.source_port, peer: asked.peer };
    let Some(reply) = (unsafe { REPLIES.get(key) }).copied() else { return false };
    unsafe { ASKERS.get(reply.asker) }.is_some() && unsafe { bpf_ktime_get_ns() } <= reply.until
}

/// A socket is closed: nobody waits for its answers any more.
#[cgroup_sock(sock_release)]
pub fn release(ctx: SockContext) -> i32 {
    let socket = ctx.sock;
    if read!((*socket).protocol) == UDP as u32 {
        let asker = unsafe { bpf_get_socket_cookie(socket.cast()) };
        let _ = ASKERS.remove(asker);
    }
    1
}
