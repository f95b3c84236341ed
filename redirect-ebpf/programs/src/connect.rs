//! `connect4|6` and `sendmsg4|6`: judge egress when a socket names its destination.

use aya_ebpf::{
    bindings::bpf_sock,
    helpers::{
        bpf_get_netns_cookie, bpf_set_retval,
        generated::{
            bpf_get_current_ancestor_cgroup_id, bpf_get_socket_cookie, bpf_ktime_get_ns, bpf_map_lookup_elem,
            bpf_setsockopt, bpf_sk_release,
        },
    },
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use portcullis_redirect_common::{
    Action, EGRESS, UPSTREAM_OUT, UpstreamKey, ListenerKey, LocalKey, MARK, MARK_UDP, UDP, slot,
};

use crate::{
    ENDPOINT, HOME, cookie,
    maps::{BROADCASTS, DNS, JUDGED, LISTENERS, LOCALS, MARKED, OWN_UPSTREAMS, OWN_SOCKETS, PODS, SERVICES, STEERED},
    number,
    packet_flows::was_let_in,
    replies::{expect, expect_at_device, expect_reply},
    source::{bound4, bound6, connected_to, is_forged},
    verdict::{HookFlow, is_loopback, is_multicast, is_unset, is_v4, mapped, note_seen, plain, protocol, read, read6, report, tell, verdict},
};

const REFUSED: i32 = 0;
const ALLOWED: i32 = 1;
const SOL_SOCKET: i32 = 1;
const SO_MARK: i32 = 36;
const ECONNREFUSED: i32 = 111;
const EAGAIN: i32 = 11;
/// State of a socket that is connected, of UDP too.
const ESTABLISHED: u32 = 1;
/// How long a socket's new mark is not trusted, in nanoseconds: longer than any datagram is on its way from where the
/// kernel reads the mark to the program.
const UNSETTLED: u64 = 1_000_000_000;
/// Cgroups above a process that are looked at.
const DEPTH: i32 = 12;

/// IPv4 TCP and connected UDP.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    let peer = mapped(read!((*ctx.sock_addr).user_ip4));
    let source = bound4(&ctx);
    connect(&ctx, peer, source)
}

/// IPv6 TCP and connected UDP; v4-mapped destinations come here too.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    let peer = plain(read6!((*ctx.sock_addr).user_ip6));
    let source = bound6(&ctx);
    connect(&ctx, peer, source)
}

/// IPv4 datagrams of unconnected sockets; v4-mapped destinations come here too.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    let peer = mapped(read!((*ctx.sock_addr).user_ip4));
    let source = mapped(read!((*ctx.sock_addr).msg_src_ip4));
    sendmsg(&ctx, peer, source)
}

/// IPv6 datagrams of unconnected sockets, and of connected ones that name a destination all the same.
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    let peer = plain(read6!((*ctx.sock_addr).user_ip6));
    let source = plain(read6!((*ctx.sock_addr).msg_src_ip6));
    sendmsg(&ctx, peer, source)
}

/// Who sends what where, as far as it is judged.
enum Sent {
    /// By nobody of interest, or by us.
    Other,
    /// To the endpoint itself.
    Inside(HookFlow),
    /// From an address that is not the endpoint's.
    Forged(HookFlow),
    Outside(HookFlow),
}

#[inline(always)]
fn connect(ctx: &SockAddrContext, peer: [u8; 16], source: [u8; 16]) -> i32 {
    let flow = match sent(ctx, peer, source) {
        Sent::Other => return ALLOWED,
        Sent::Inside(flow) => {
            if flow.protocol == UDP && !is_v4(&flow.peer) {
                expect(ctx, &flow, u64::MAX);
            }
            return ALLOWED;
        }
        Sent::Forged(flow) => return refuse(&flow, ECONNREFUSED, false),
        Sent::Outside(flow) => flow,
    };
    match verdict(&flow) {
        action @ (Action::Pass | Action::PassAndReport) => {
            if action == Action::PassAndReport {
                report_socket(ctx, &flow);
            }
            unmark(ctx);
            ALLOWED
        }
        Action::Steer if can_be_steered(ctx, &flow) => {
            // A UDP socket may send elsewhere later: the rule for its mark looks at the port as well.
            let wanted = if flow.protocol == UDP { MARK_UDP } else { MARK };
            if note_steered(ctx, &flow) && (mark(ctx) == wanted || (note_mark(ctx, &flow) && set_mark(ctx, wanted))) {
                expect_at_device(ctx, &flow);
                ALLOWED
            } else {
                refuse(&flow, ECONNREFUSED, true)
            }
        }
        Action::Steer => refuse(&flow, ECONNREFUSED, true),
        _ if is_answer(&flow) => {
            unmark(ctx);
            ALLOWED
        }
        _ => refuse(&flow, ECONNREFUSED, false),
    }
}

/// Reports a flow of a socket. What the socket sends is not reported again when its packets are judged.
#[inline(always)]
fn report_socket(ctx: &SockAddrContext, flow: &HookFlow) {
    note_seen(flow);
    report(flow, unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) });
}

/// Whether a datagram answers one that was let in.
#[inline(always)]
fn is_answer(flow: &HookFlow) -> bool {
    flow.protocol == UDP && flow.source_port != 0 && was_let_in(flow)
}

#[inline(always)]
fn sendmsg(ctx: &SockAddrContext, peer: [u8; 16], source: [u8; 16]) -> i32 {
    let flow = match sent(ctx, peer, source) {
        Sent::Other => return ALLOWED,
        Sent::Inside(flow) => {
            expect_reply(ctx, &flow);
            return ALLOWED;
        }
        Sent::Forged(flow) => return refuse(&flow, ECONNREFUSED, false),
        Sent::Outside(flow) => flow,
    };
    if !is_v4(&flow.peer) && is_connected(ctx) && !is_unset(&peer) {
        forget_route(ctx);
    }
    match verdict(&flow) {
        action @ (Action::Pass | Action::PassAndReport) => {
            if action == Action::PassAndReport {
                report_socket(ctx, &flow);
            }
            expect_reply(ctx, &flow);
            ALLOWED
        }
        Action::Steer if can_be_steered(ctx, &flow) => {
            if mark(ctx) == MARK_UDP && is_settled(ctx) {
                expect_reply(ctx, &flow);
                return ALLOWED;
            }
            // A socket older than the programs has no mark from birth. Later datagrams have one; this one must not escape,
            // and neither must those of other threads that are on their way.
            if mark(ctx) != MARK_UDP {
                note_mark(ctx, &flow);
                set_mark(ctx, MARK_UDP);
            }
            unsafe { bpf_set_retval(-EAGAIN) };
            REFUSED
        }
        Action::Steer => refuse(&flow, ECONNREFUSED, true),
        _ if is_answer(&flow) => ALLOWED,
        _ => refuse(&flow, ECONNREFUSED, false),
    }
}

#[inline(always)]
fn sent(ctx: &SockAddrContext, peer: [u8; 16], source: [u8; 16]) -> Sent {
    let Some(endpoint) = endpoint(ctx) else { return Sent::Other };
    let c = ctx.sock_addr;
    let protocol = protocol(read!((*c).protocol));
    let port = u16::from_be(read!((*c).user_port) as u16);
    // A connected socket that sends with control messages names nobody.
    let (peer, port) = if port == 0 && is_unset(&peer) && is_connected(ctx) { connected_to(ctx) } else { (peer, port) };
    let flow = HookFlow { endpoint, direction: EGRESS, protocol, port, source_port: source_port(ctx), peer };
    let inside = unsafe { LOCALS.get(LocalKey { endpoint, address: peer }) }.is_some();
    if !unsafe { OWN_SOCKETS.get_ptr_mut(ctx) }.is_null() {
        if !inside {
            // Its destination may be a stub, or an address of this namespace that the endpoint does not name: it would
            // come back.
            let (protocol, upstream_port) = (protocol as u32, flow.source_port);
            let key = UpstreamKey { endpoint, protocol, upstream_port, port, upstream: source, address: peer };
            let _ = OWN_UPSTREAMS.insert(key, UPSTREAM_OUT, 0);
        }
        return Sent::Other;
    }
    if is_forged(endpoint, &source, &peer) {
        Sent::Forged(flow)
    } else if inside {
        Sent::Inside(flow)
    } else if is_loopback(&peer) {
        Sent::Other
    } else {
        Sent::Outside(flow)
    }
}

/// Whether what is to be steered comes to our listener: it has to be there, and the way has to lead to it. Datagrams to
/// many leave by the table of local addresses, before any rule is asked.
#[inline(always)]
fn can_be_steered(ctx: &SockAddrContext, flow: &HookFlow) -> bool {
    let key = LocalKey { endpoint: flow.endpoint, address: flow.peer };
    let to_many = flow.protocol == UDP && (is_multicast(&flow.peer) || unsafe { BROADCASTS.get(key) }.is_some());
    !to_many && is_at_home(ctx) && has_listener(flow)
}

/// The programs of a cgroup know their endpoint; those above all pods ask by network namespace.
#[inline(always)]
fn endpoint(ctx: &SockAddrContext) -> Option<u32> {
    let fixed = number(&ENDPOINT);
    if fixed != 0 {
        if let Some(judged) = JUDGED.get_ptr_mut(0) {
            unsafe { *judged = bpf_get_socket_cookie(ctx.sock_addr.cast()) };
        }
        return Some(fixed);
    }
    let cookie = unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) };
    match unsafe { PODS.get(cookie) } {
        Some(endpoint) => Some(*endpoint),
        None => service(ctx, cookie),
    }
}

/// A socket stays in the cgroup that it was made in, so one that is handed to a service of the host meets none of the
/// service's programs. Here it is judged by the process that uses it.
#[inline(always)]
fn service(ctx: &SockAddrContext, home: u64) -> Option<u32> {
    unsafe { SERVICES.get(0) }?;
    let mut level = 0;
    while level < DEPTH {
        let cgroup = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
        if cgroup == 0 {
            return None;
        }
        if let Some(service) = unsafe { SERVICES.get(cgroup) } {
            let judged = JUDGED.get_ptr_mut(0).map_or(0, |judged| unsafe { *judged });
            let is_judged = judged == unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
            return if service.home == home && !is_judged { Some(service.endpoint) } else { None };
        }
        level += 1;
    }
    None
}

/// Whether the socket is in the endpoint's network namespace. A process of a service may run in another one, where no
/// rule of ours leads to the listener: what is marked there would leave unjudged.
#[inline(always)]
fn is_at_home(ctx: &SockAddrContext) -> bool {
    number(&ENDPOINT) == 0 || unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) } == cookie(&HOME)
}

#[inline(always)]
pub fn socket(ctx: &SockAddrContext) -> *mut bpf_sock {
    unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk }
}

#[inline(always)]
fn mark(ctx: &SockAddrContext) -> u32 {
    let socket = socket(ctx);
    if socket.is_null() { 0 } else { read!((*socket).mark) }
}

#[inline(always)]
fn is_connected(ctx: &SockAddrContext) -> bool {
    let socket = socket(ctx);
    !socket.is_null() && read!((*socket).state) == ESTABLISHED
}

/// A connected IPv6 socket keeps its route for every datagram to the same address, whatever the port: a question to a
/// steered port would leave by the route of another one. Setting another mark makes the kernel look again. Where a thread
/// sends in between, its datagram comes to the listener.
#[inline(always)]
fn forget_route(ctx: &SockAddrContext) {
    let mark = mark(ctx);
    if mark != MARK {
        set_mark(ctx, MARK);
        set_mark(ctx, mark);
    }
}

/// Notes that the mark of a UDP socket changes now. False: there is no memory for it.
#[inline(always)]
fn note_mark(ctx: &SockAddrContext, flow: &HookFlow) -> bool {
    if flow.protocol != UDP {
        return true;
    }
    let mut now = unsafe { bpf_ktime_get_ns() };
    let noted = unsafe { MARKED.get_or_insert_ptr_mut(ctx, Some(&mut now)) };
    if noted.is_null() {
        return false;
    }
    unsafe { *noted = now };
    true
}

/// Notes at a socket of TCP that it is steered: whoever takes its mark off again does not lead it past the judge. False: there
/// is no memory for it.
#[inline(always)]
fn note_steered(ctx: &SockAddrContext, flow: &HookFlow) -> bool {
    let mut steered = 1;
    flow.protocol == UDP || !unsafe { STEERED.get_or_insert_ptr_mut(ctx, Some(&mut steered)) }.is_null()
}

/// Whether every datagram of a socket has the mark that it has now: from birth, or for long enough.
#[inline(always)]
fn is_settled(ctx: &SockAddrContext) -> bool {
    let noted = unsafe { MARKED.get_ptr_mut(ctx) };
    noted.is_null() || unsafe { bpf_ktime_get_ns() - *noted } >= UNSETTLED
}

#[inline(always)]
fn source_port(ctx: &SockAddrContext) -> u16 {
    let socket = socket(ctx);
    if socket.is_null() { 0 } else { read!((*socket).src_port) as u16 }
}

#[inline(always)]
fn set_mark(ctx: &SockAddrContext, mut mark: u32) -> bool {
    let value = (&raw mut mark).cast();
    unsafe { bpf_setsockopt(ctx.sock_addr.cast(), SOL_SOCKET, SO_MARK, value, 4) == 0 }
}

/// A socket may connect twice (AF_UNSPEC, or the first try failed): takes our mark off again and leaves every other mark
/// alone.
#[inline(always)]
fn unmark(ctx: &SockAddrContext) {
    if mark(ctx) == MARK {
        set_mark(ctx, 0);
    }
}

/// Looks for the listener before steering: the kernel sends no RST from a foreign IPv4 address, so without this a dead
/// proxy would mean timeouts.
#[inline(always)]
fn has_listener(flow: &HookFlow) -> bool {
    let slot = slot(flow.endpoint, !is_v4(&flow.peer), flow.protocol == UDP);
    let key = ListenerKey { slot, worker: 0 };
    unsafe {
        let listener = bpf_map_lookup_elem((&raw const LISTENERS).cast_mut().cast(), (&raw const key).cast());
        if listener.is_null() {
            return false;
        }
        bpf_sk_release(listener);
    }
    true
}

/// Without the return value the application would see EPERM.
#[inline(always)]
fn refuse(flow: &HookFlow, errno: i32, no_listener: bool) -> i32 {
    tell(flow, no_listener);
    unsafe { bpf_set_retval(-errno) };
    REFUSED
}

/// Whether the UDP sockets of an endpoint are marked at birth.
#[inline(always)]
pub fn wants_birth_mark(cookie: u64) -> bool {
    let fixed = number(&ENDPOINT);
    let endpoint = if fixed != 0 { Some(fixed) } else { unsafe { PODS.get(cookie) }.copied() };
    match endpoint {
        Some(endpoint) => unsafe { DNS.get(endpoint) }.is_some(),
        None => false,
    }
}
