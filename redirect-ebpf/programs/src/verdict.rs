//! The one decision that all hooks share, and how a refusal is reported.

use aya_ebpf::{helpers::generated::bpf_ktime_get_ns, maps::lpm_trie::Key};
use portcullis_redirect_common::{
    Action, KIND_NO_LISTENER, KIND_PASSED, KIND_REFUSED, PeerKey, PortKey, REPORTED_NS, REPORTS, KernelRefusalRecord, ReportKey, TCP, UDP,
};

use crate::maps::{LOST, POLICY, PORTS, REFUSALS, REPORTED, REPORTS_NOW};

/// Reads a field of a context. Volatile, because the verifier refuses loads that LLVM merges behind a computed pointer.
macro_rules! read {
    ($place:expr) => {
        unsafe { core::ptr::read_volatile(core::ptr::addr_of!($place)) }
    };
}
/// Reads an IPv6 address of a context word by word.
macro_rules! read6 {
    ($place:expr) => {
        [
            $crate::verdict::read!($place[0]),
            $crate::verdict::read!($place[1]),
            $crate::verdict::read!($place[2]),
            $crate::verdict::read!($place[3]),
        ]
    };
}
pub(crate) use {read, read6};

/// A port that rules for some ports hardly ever name; port 0 is the self-check's.
const NO_PORT: u16 = 1;
/// IP protocol number of MPTCP sockets, which are TCP for policy.
const MPTCP: u32 = 262;

/// One flow as a hook sees it.
#[derive(Clone, Copy)]
pub struct HookFlow {
    pub endpoint: u32,
    pub direction: u8,
    pub protocol: u8,
    /// The port connected to.
    pub port: u16,
    pub source_port: u16,
    pub peer: [u8; 16],
}

/// What policy says of a flow. An endpoint without policy costs one lookup.
#[inline(always)]
pub fn verdict(flow: &HookFlow) -> Action {
    let port = PortKey {
        endpoint: flow.endpoint,
        direction: flow.direction,
        protocol: flow.protocol,
        port: flow.port.to_be_bytes(),
    };
    let Some(class) = PORTS.get(Key::new(PortKey::BITS, port)) else { return Action::Pass };
    let peer = PeerKey { class: *class, address: flow.peer };
    // A class always has an entry for every address; without one something is wrong, and wrong is refused.
    POLICY.get(Key::new(PeerKey::BITS, peer)).map_or(Action::Refuse, |number| Action::of(*number))
}

/// What policy says of a protocol that has no ports: what it says of every port of TCP and UDP, as rules do that name none.
/// A rule for some ports does not speak of it.
#[inline(never)]
pub fn whole(flow: &HookFlow) -> bool {
    let port = |protocol| HookFlow { protocol, port: NO_PORT, ..*flow };
    let (tcp, udp) = (verdict(&port(TCP)), verdict(&port(UDP)));
    let passes = tcp.passes() && udp.passes();
    if passes && (tcp == Action::PassAndReport || udp == Action::PassAndReport) {
        report_unseen(flow);
    }
    passes
}

/// Whether a flow is left alone; reported, if it has to be.
#[inline(always)]
pub fn passes(flow: &HookFlow) -> bool {
    let action = verdict(flow);
    if action == Action::PassAndReport {
        report_unseen(flow);
    }
    action.passes()
}

/// Tells user space of a refused flow.
#[inline(always)]
pub fn tell(flow: &HookFlow, no_listener: bool) {
    put(flow, if no_listener { KIND_NO_LISTENER } else { KIND_REFUSED });
}

/// Reports a flow that passes although policy denies it, once while it goes on. `source` tells it from others to the same port
/// of the same peer.
#[inline(always)]
pub fn report(flow: &HookFlow, source: u64) {
    if is_new(flow, source) {
        report_new(flow);
    }
}

/// The same of a packet whose sender the hooks at sockets may have seen: they have reported it then.
#[inline(never)]
pub fn report_unseen(flow: &HookFlow) {
    report(flow, 0);
}

/// Notes a flow for [`report_unseen`].
#[inline(always)]
pub fn note_seen(flow: &HookFlow) {
    let _ = is_new(flow, 0);
}

/// Whether a flow has not been noted for a while. It is noted now.
#[inline(always)]
fn is_new(flow: &HookFlow, source: u64) -> bool {
    let key = ReportKey {
        source,
        endpoint: flow.endpoint,
        direction: flow.direction,
        protocol: flow.protocol,
        port: flow.port,
        peer: flow.peer,
    };
    let now = unsafe { bpf_ktime_get_ns() };
    let before = unsafe { REPORTED.get(key) }.copied();
    let _ = REPORTED.insert(key, now, 0);
    !matches!(before, Some(before) if now.wrapping_sub(before) < REPORTED_NS)
}

/// Reports a flow if that is within this second's budget. What is above is counted as lost.
#[inline(always)]
fn report_new(flow: &HookFlow) {
    let second = unsafe { bpf_ktime_get_ns() } >> 30;
    let Some(now) = REPORTS_NOW.get_ptr_mut(0) else { return };
    // The second in the upper half, how many it has had in the lower.
    let now = unsafe { &mut *now };
    let had = if *now >> 32 == second { *now as u32 } else { 0 };
    if had >= REPORTS {
        return lose();
    }
    *now = second << 32 | (had + 1) as u64;
    put(flow, KIND_PASSED);
}

#[inline(always)]
fn lose() {
    if let Some(lost) = LOST.get_ptr_mut(0) {
        unsafe { *lost += 1 };
    }
}

#[inline(always)]
fn put(flow: &HookFlow, kind: u16) {
    let refusal = KernelRefusalRecord {
        endpoint: flow.endpoint,
        direction: flow.direction,
        protocol: flow.protocol,
        port: flow.port,
        source_port: flow.source_port,
        kind,
        peer: flow.peer,
    };
    if REFUSALS.output::<KernelRefusalRecord>(&refusal, 0).is_err() {
        lose();
    }
}

/// The protocol for policy.
#[inline(always)]
pub fn protocol(number: u32) -> u8 {
    if number == MPTCP { portcullis_redirect_common::TCP } else { number as u8 }
}

/// An IPv4 address, as in a context, in the form of the maps.
#[inline(always)]
pub fn mapped(address: u32) -> [u8; 16] {
    let b = address.to_ne_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]]
}

/// An IPv6 address, as in a context, in the form of the maps.
#[inline(always)]
pub fn plain(words: [u32; 4]) -> [u8; 16] {
    let mut out = [0u8; 16];
    let mut i = 0;
    while i < 4 {
        let b = words[i].to_ne_bytes();
        out[i * 4] = b[0];
        out[i * 4 + 1] = b[1];
        out[i * 4 + 2] = b[2];
        out[i * 4 + 3] = b[3];
        i += 1;
    }
    out
}

/// Whether an address in the form of the maps is IPv4: all twelve bytes before it count.
#[inline(always)]
pub fn is_v4(address: &[u8; 16]) -> bool {
    let mut before = 0;
    let mut i = 0;
    while i < 10 {
        before |= address[i];
        i += 1;
    }
    before == 0 && address[10] == 0xff && address[11] == 0xff
}

/// Whether an address is none at all, of either family.
#[inline(always)]
pub fn is_unset(address: &[u8; 16]) -> bool {
    *address == ANY4 || *address == ANY6
}

/// Whether many hear an address: multicast of either family, or the broadcast of every network.
#[inline(always)]
pub fn is_multicast(address: &[u8; 16]) -> bool {
    const BROADCAST: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    if is_v4(address) { address[12] & 0xf0 == 0xe0 || *address == BROADCAST } else { address[0] == 0xff }
}

/// Whether an address is IPv6 and of one link only.
#[inline(always)]
pub fn is_link_local(address: &[u8; 16]) -> bool {
    address[0] == 0xfe && address[1] & 0xc0 == 0x80
}

const ANY4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
const ANY6: [u8; 16] = [0; 16];

/// Whether an address stays inside the machine: loopback, or none at all, which `connect` takes for loopback.
#[inline(always)]
pub fn is_loopback(address: &[u8; 16]) -> bool {
    const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    (is_v4(address) && address[12] == 127) || *address == LOOPBACK6 || is_unset(address)
}
