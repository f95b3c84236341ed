//! The maps. The programs of every namespace share them by pinning.

use aya_ebpf::{
    bindings::bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    btf_maps::SkStorage,
    helpers::generated::bpf_sk_storage_get,
    macros::{btf_map, map},
    maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, SockHash},
    programs::SockAddrContext,
};
use portcullis_redirect_common::{
    UpstreamKey, ListenerKey, LocalKey, MAX_ENDPOINTS, MAX_LISTENERS, OwnerKey, PeerKey, PortKey, ExpectedReply, ReplyKey,
    ReportKey, HostService, StubKey,
};

const BPF_F_NO_PREALLOC: u32 = 1;
/// A socket that is accepted has what its listener has (linux/bpf.h).
const BPF_F_CLONE: u32 = 1 << 9;

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

/// Addresses of the namespace of endpoints that share it, whether or not they name them; and none at all, which says that they
/// are told.
#[map]
pub static HOSTS: HashMap<LocalKey, u32> = HashMap::with_max_entries(4 * MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

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

/// Upstream connections of ours.
#[map]
pub static OWN_UPSTREAMS: LruHashMap<UpstreamKey, u32> = LruHashMap::with_max_entries(65536, 0);

/// Answers that unconnected UDP sockets wait for.
#[map]
pub static REPLIES: LruHashMap<ReplyKey, ExpectedReply> = LruHashMap::with_max_entries(65536, 0);

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

/// Flows that pass and were reported, with the time of their last look in nanoseconds since boot.
#[map]
pub static REPORTED: LruHashMap<ReportKey, u64> = LruHashMap::with_max_entries(65536, 0);

/// How many flows were reported that pass, in this second.
#[map]
pub static REPORTS_NOW: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Sockets of our own, and those that they accept: connect programs let them alone, and nobody cuts them. Only the holder of
/// the descriptor can enter one.
#[btf_map]
pub static OWN_SOCKETS: OwnSockets = OwnSockets::new();

/// When a UDP socket older than the programs got its mark, in nanoseconds since boot.
#[btf_map]
pub static MARKED: SkStorage<u64> = SkStorage::new();

/// Sockets of TCP that are steered, or were when they connected.
#[btf_map]
pub static STEERED: SkStorage<u32> = SkStorage::new();

/// Endpoints by cgroup, for sockets that were made elsewhere and handed in. 0 is there while any other cgroup is.
#[map]
pub static SERVICES: HashMap<u64, HostService> = HashMap::with_max_entries(MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// The socket that a program of a cgroup has judged last on this processor: those above all run after it.
#[map]
pub static JUDGED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Old values of the sysctls we set, by network-namespace cookie. No program reads it: it lives here because it has to
/// outlive the process that set them.
#[map]
pub static SYSCTLS: HashMap<u64, u32> = HashMap::with_max_entries(MAX_ENDPOINTS, BPF_F_NO_PREALLOC);

/// A socket storage with a flag that [`SkStorage`] does not take. The loader reads the types of its fields.
#[repr(C)]
pub struct OwnSockets {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const u32,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the fields are never read; the loader puts a map in its place.
unsafe impl Sync for OwnSockets {}

impl OwnSockets {
    const fn new() -> Self {
        use core::ptr::null;
        Self { r#type: null(), key: null(), value: null(), max_entries: null(), map_flags: null() }
    }

    /// What is noted of the context's socket; null if nothing is.
    ///
    /// # Safety
    /// What it points to may be gone when the program ends.
    #[inline(always)]
    pub unsafe fn get_ptr_mut(&self, ctx: &SockAddrContext) -> *mut u32 {
        let sk = unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk };
        let map = core::ptr::from_ref(self).cast_mut().cast();
        unsafe { bpf_sk_storage_get(map, sk.cast(), core::ptr::null_mut(), 0) }.cast()
    }
}
