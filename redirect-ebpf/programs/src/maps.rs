//! The maps. All are shared between the programs of every namespace by pinning.

use aya_ebpf::{
    btf_maps::SkStorage,
    macros::{btf_map, map},
    maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, SockHash},
};
use portcullis_redirect_common::{
    LegKey, ListenerKey, LocalKey, MAX_ENDPOINTS, MAX_LISTENERS, OwnerKey, PeerKey, PortKey, Reply, ReplyKey, StubKey,
};

const BPF_F_NO_PREALLOC: u32 = 1;

/// Port class of (endpoint, direction, protocol, port). No entry: not enforced.
#[map]
pub static PORTS: LpmTrie<PortKey, u32> = LpmTrie::with_max_entries(1 << 18, BPF_F_NO_PREALLOC);

/// Action for a peer in a port class.
#[map]
pub static POLICY: LpmTrie<PeerKey, u32> = LpmTrie::with_max_entries(1 << 22, BPF_F_NO_PREALLOC);

/// Endpoint of a network-namespace cookie. Entered last: egress starts here.
#[map]
pub static PODS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// Own addresses of endpoints.
#[map]
pub static LOCALS: HashMap<LocalKey, u32> = HashMap::with_max_entries(4 * MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// Ports that are an endpoint's in a namespace it shares with the host.
#[map]
pub static OWNERS: HashMap<OwnerKey, u32> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// Broadcast addresses of the networks that a namespace is in.
#[map]
pub static BROADCASTS: HashMap<LocalKey, u32> = HashMap::with_max_entries(8 * MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// Endpoints that are not all of a namespace of their own: it has addresses that they do not name.
#[map]
pub static SHARED: HashMap<u32, u32> = HashMap::with_max_entries(MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// Our listeners: each worker's by itself. In a group of `SO_REUSEPORT` the kernel would choose among them, and among
/// those of whoever else joins the group.
#[map]
pub static LISTENERS: SockHash<ListenerKey> = SockHash::with_max_entries(MAX_LISTENERS, 0);

/// Legs of ours.
#[map]
pub static OWN_LEGS: LruHashMap<LegKey, u32> = LruHashMap::with_max_entries(65536, 0);

/// Answers that unconnected UDP sockets wait for.
#[map]
pub static REPLIES: LruHashMap<ReplyKey, Reply> = LruHashMap::with_max_entries(65536, 0);

/// Sockets that wait for such answers and are open, by cookie.
#[map]
pub static ASKERS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(65536, 0);

/// Endpoints whose UDP sockets are marked at birth.
#[map]
pub static DNS: HashMap<u32, u32> = HashMap::with_max_entries(MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// Resolvers on loopback addresses that policy names.
#[map]
pub static STUBS: HashMap<StubKey, u32> = HashMap::with_max_entries(4 * MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// Refused flows, for user space to count and show.
#[map]
pub static REFUSALS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

/// Refusals that did not fit into the ring.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Sockets of our own: connect programs let them alone. Only the holder of the descriptor can enter one.
#[btf_map]
pub static OWN_SOCKETS: SkStorage<u32> = SkStorage::new();

/// Old values of the sysctls we set, by network-namespace cookie. No program reads it: it lives here because it has to
/// outlive the process that set them.
#[map]
pub static SYSCTLS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_ENDPOINTS, BPF_F_NO_PREALLOC);
