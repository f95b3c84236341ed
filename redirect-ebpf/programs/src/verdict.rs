//! The one decision that all hooks share, and how a refusal is reported.

use aya_ebpf::maps::lpm_trie::Key;
use portcullis_redirect_common::{PASS, PeerKey, PortKey, REFUSE, KernelRefusalRecord};

use crate::maps::{LOST, POLICY, PORTS, REFUSALS};

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
pub fn verdict(flow: &HookFlow) -> u32 {
    let port = PortKey {
        endpoint: flow.endpoint,
        direction: flow.direction,
        protocol: flow.protocol,
        port: flow.port.to_be_bytes(),
    };
    let Some(class) = PORTS.get(Key::new(PortKey::BITS, port)) else { return PASS };
    let peer = PeerKey { class: *class, address: flow.peer };
    // A class always has an entry for every address; without one something is wrong, and wrong is refused.
    POLICY.get(Key::new(PeerKey::BITS, peer)).copied().unwrap_or(REFUSE)
}

/// Tells user space of a refused flow.
#[inline(always)]
pub fn tell(flow: &HookFlow, no_listener: bool) {
    let refusal = KernelRefusalRecord {
        endpoint: flow.endpoint,
        direction: flow.direction,
        protocol: flow.protocol,
        port: flow.port,
        source_port: flow.source_port,
        no_listener: no_listener as u16,
        peer: flow.peer,
    };
    if REFUSALS.output::<KernelRefusalRecord>(&refusal, 0).is_err() {
        if let Some(lost) = LOST.get_ptr_mut(0) {
            unsafe { *lost += 1 };
        }
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
