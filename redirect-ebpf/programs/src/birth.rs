//! `sock_create`: a UDP socket that never connects has its mark read before `sendmsg` runs, so it gets one at birth. Only
//! the routing rules for steered ports look at it.

use aya_ebpf::{helpers::bpf_get_netns_cookie, macros::cgroup_sock, programs::SockContext};
use portcullis_redirect_common::{MARK_UDP, UDP};

use crate::{connect::wants_birth_mark, verdict::read};

/// Marks UDP sockets at birth.
#[cgroup_sock(sock_create)]
pub fn birth(ctx: SockContext) -> i32 {
    let socket = ctx.sock;
    if read!((*socket).protocol) == UDP as u32 && wants_birth_mark(unsafe { bpf_get_netns_cookie(socket.cast()) }) {
        unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*socket).mark), MARK_UDP) };
    }
    1
}
