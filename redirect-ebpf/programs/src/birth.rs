//! `sock_create`: sets the mark of new UDP sockets. The kernel reads the mark of an unconnected socket before
//! `sendmsg` runs, so it must be set at creation. Only the routing rules for steered ports use it.

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
