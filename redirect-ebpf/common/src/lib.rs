//! Types shared by the eBPF programs and their loader: keys and values of the maps, marks, numbers.
//!
//! Every type is plain data without padding. Integers are in the machine's order unless a field says "network order".
#![no_std]
#![warn(missing_docs)]

mod packets;

pub use packets::{
    ADDRESSES_TOLD, ASKED, ASKED_NAMED, ASKED_WRITTEN, Admitted, BY_ANY_DEVICE, BY_LOOPBACK, CachedDecision,
    ENDED_BY_ENDPOINT, ENDED_BY_PEER, FLOW_IN, FLOW_OUT, FLOW_OWN, FLOW_SECONDS, FLOW_TRIED, FlowState, FragmentKey,
    PacketFlowKey, Passing, RECENT, RecentFlow, SEALS, Seal, Sealed, TELL_TICKS, Tuple, YOUNG, YOUNG_TICKS,
};

/// Socket mark: this socket's packets are delivered locally. Steered client sockets and our ingress upstream connections carry it.
pub const MARK: u32 = 0x0050_4301;
/// Socket mark: this UDP socket of ours must leave the namespace.
pub const MARK_OUT: u32 = 0x0050_4302;
/// Socket mark of an endpoint's UDP sockets from birth; in the host's namespace, while any of its datagrams are steered. Only
/// the rules for steered ports look at it.
pub const MARK_UDP: u32 = 0x0050_4303;
/// Routing table with one `local default dev lo` per family.
pub const TABLE: u32 = 0x5043;
/// Preference of the rule for [`MARK_OUT`].
pub const PREF_OUT: u32 = 99;
/// Preference of the rule for [`MARK`].
pub const PREF_STEER: u32 = 100;
/// Preference of the rules for [`MARK_UDP`], one for each steered UDP port.
pub const PREF_DNS: u32 = 101;
/// Preference of the rules for what is steered where [`TABLE`] has no route: unreachable, so that nothing leaves unjudged.
pub const PREF_LOST: u32 = 102;

/// Direction of a flow: the peer opened it.
pub const INGRESS: u8 = 1;
/// Direction of a flow: the endpoint opened it.
pub const EGRESS: u8 = 2;

/// What the kernel does with a flow: by its number the value of an entry of `POLICY`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The flow is left alone.
    Pass = 0,
    /// The flow goes to our listener.
    Steer = 1,
    /// The flow is refused.
    Refuse = 2,
    /// The flow is left alone and reported, as a refused one is: policy that is only tried out denies it.
    PassAndReport = 3,
}

impl Action {
    /// The value of an entry.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The action of a value. What is none refuses.
    #[must_use]
    #[inline(always)]
    pub const fn of(number: u32) -> Self {
        match number {
            0 => Self::Pass,
            1 => Self::Steer,
            3 => Self::PassAndReport,
            _ => Self::Refuse,
        }
    }

    /// Whether the flow is left alone.
    #[must_use]
    #[inline(always)]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Pass | Self::PassAndReport)
    }
}

/// Kind of a [`KernelRefusalRecord`]: policy refuses the flow.
pub const KIND_REFUSED: u16 = 0;
/// Kind of a [`KernelRefusalRecord`]: policy wants the flow steered, and there is no listener, so that it is refused.
pub const KIND_NO_LISTENER: u16 = 1;
/// Kind of a [`KernelRefusalRecord`]: the flow passes ([`Action::PassAndReport`]).
pub const KIND_PASSED: u16 = 2;

/// Most flows that pass and are reported, a second (of 2^30 ns) and processor. Further ones are counted as lost, so that there
/// is room for what is refused.
pub const REPORTS: u32 = 1000;

/// How long a flow that was reported is not reported again, in nanoseconds: while it goes on, it is one flow.
pub const REPORTED_NS: u64 = 60_000_000_000;

/// Key of `REPORTED`: a flow that passes and was reported.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReportKey {
    /// Cookie of the endpoint's socket, or the port of the side that connected; 0 for any.
    pub source: u64,
    /// Number of the endpoint.
    pub endpoint: u32,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Port that was connected to; of ICMP, the type.
    pub port: u16,
    /// Address of the peer.
    pub peer: [u8; 16],
}

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// IP protocol number of SCTP.
pub const SCTP: u8 = 132;
/// IP protocol number of UDP-Lite (RFC 3828), which is UDP for policy.
pub const UDP_LITE: u8 = 136;

/// IP protocol number of ICMP. The type of a message stands for the port.
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub const ICMP_V6: u8 = 58;
/// Type of an echo request (RFC 792).
pub const ECHO_REQUEST: u8 = 8;
/// Type of an echo request of ICMPv6 (RFC 4443 §4.1).
pub const ECHO_REQUEST_V6: u8 = 128;

/// What an endpoint is: all of a network namespace of its own.
pub const POD: u32 = 0;
/// What an endpoint is: a cgroup's processes in the host's namespace, and the ports that it names.
pub const SERVICE: u32 = 1;
/// What an endpoint is: all of the host's namespace, which has addresses that the endpoint does not name.
pub const NODE: u32 = 2;

/// Largest number of endpoints.
pub const MAX_ENDPOINTS: u32 = 16 * 1024;

/// Most listeners of all endpoints together: four for each worker and endpoint.
pub const MAX_LISTENERS: u32 = 1 << 18;

/// Key of `LISTENERS`: the socket of one worker.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerKey {
    /// By [`slot`].
    pub slot: u32,
    /// Number of the worker, from 0.
    pub worker: u32,
}

/// The group of listeners of an endpoint, a family and a protocol.
#[must_use]
#[inline(always)]
pub const fn slot(endpoint: u32, v6: bool, udp: bool) -> u32 {
    endpoint * 4 + v6 as u32 * 2 + udp as u32
}

/// Key of `PORTS`, a longest-prefix trie: the first 48 bits are exact, the port is a prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// [`TCP`], [`UDP`], [`ICMP`] or [`ICMP_V6`].
    pub protocol: u8,
    /// Port in network order.
    pub port: [u8; 2],
}

impl PortKey {
    /// Bits before the port.
    pub const EXACT: u32 = 48;
    /// All bits.
    pub const BITS: u32 = 64;
}

/// Key of `POLICY`, a longest-prefix trie: the class is exact, the address is a prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey {
    /// Number of the port class.
    pub class: u32,
    /// Address; IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

impl PeerKey {
    /// Bits before the address.
    pub const EXACT: u32 = 32;
    /// All bits.
    pub const BITS: u32 = 160;
}

/// Key of `LOCALS`: an endpoint's own address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalKey {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Address; IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

/// Key of `OWN_UPSTREAMS`: an upstream connection of ours whose first packet is on its way to a socket of this namespace. It has all that a
/// packet shows, so that no other flow is taken for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamKey {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// [`TCP`] or [`UDP`].
    pub protocol: u32,
    /// Port of the upstream connection.
    pub upstream_port: u16,
    /// Port that it connects to.
    pub port: u16,
    /// Address of the upstream connection (the client's).
    pub upstream: [u8; 16],
    /// Address that it connects to.
    pub address: [u8; 16],
}

/// Value of `OWN_UPSTREAMS`: the upstream connection is bound to the loopback device, by which no client can come.
pub const UPSTREAM_BY_LOOPBACK: u32 = 1;
/// Value of `OWN_UPSTREAMS`: the upstream connection is bound to no device.
pub const UPSTREAM_BY_ANY_DEVICE: u32 = 2;
/// Value of `OWN_UPSTREAMS`: an egress upstream connection, noted by the connect program. It is asked for only where the destination turns out
/// to be in this namespace.
pub const UPSTREAM_OUT: u32 = 3;

/// Key of `REPLIES`: a datagram that an unconnected UDP socket of the endpoint sent, so its answer may come in.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyKey {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Port of the peer.
    pub peer_port: u16,
    /// Port of the endpoint's socket.
    pub local_port: u16,
    /// Address of the peer.
    pub peer: [u8; 16],
}

/// Value of `REPLIES`: how long the answer may come, and to whom.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedReply {
    /// Cookie of the socket that asked last: it has to be open.
    pub asker: u64,
    /// Until when, in nanoseconds since boot.
    pub until: u64,
}

/// Key of `OWNERS`: a port of the host that is an endpoint's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnerKey {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// [`TCP`] or [`UDP`].
    pub protocol: u16,
    /// Port.
    pub port: u16,
}

/// Key of `STUBS`: a resolver on a loopback address of a pod that policy names, so that what is sent to it is steered.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StubKey {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// [`TCP`] or [`UDP`].
    pub protocol: u16,
    /// Port.
    pub port: u16,
    /// Address; IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
}

/// Value of `SERVICES`: an endpoint of the host, by its cgroup and each one below.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostService {
    /// Cookie of the network namespace whose sockets are meant.
    pub home: u64,
    /// Number of the endpoint.
    pub endpoint: u32,
    /// 0.
    pub reserved: u32,
}

/// A flow that was refused in the kernel, or passed and is reported.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRefusalRecord {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// [`TCP`], [`UDP`], [`ICMP`] or [`ICMP_V6`].
    pub protocol: u8,
    /// Port that was connected to; of ICMP, the type.
    pub port: u16,
    /// Port of the side that connected; 0 when not known yet.
    pub source_port: u16,
    /// [`KIND_REFUSED`], [`KIND_NO_LISTENER`] or [`KIND_PASSED`].
    pub kind: u16,
    /// Address of the peer.
    pub peer: [u8; 16],
}

/// The types may be handed to the kernel as they are.
#[cfg(feature = "loader")]
mod plain {
    macro_rules! plain {
        ($($name:ident),*) => {
            $(
                // SAFETY: `repr(C)`, only integers, no padding (asserted below), `Copy` and `'static`.
                unsafe impl aya::Pod for super::$name {}
            )*
        };
    }
    plain!(
        PacketFlowKey,
        PortKey,
        PeerKey,
        LocalKey,
        ListenerKey,
        UpstreamKey,
        ReplyKey,
        OwnerKey,
        StubKey,
        HostService,
        KernelRefusalRecord
    );
}

const _: () = {
    assert!(size_of::<PortKey>() == 8);
    assert!(size_of::<PeerKey>() == 20);
    assert!(size_of::<LocalKey>() == 20);
    assert!(size_of::<ListenerKey>() == 8);
    assert!(size_of::<UpstreamKey>() == 44);
    assert!(size_of::<ReplyKey>() == 24);
    assert!(size_of::<ExpectedReply>() == 16);
    assert!(size_of::<OwnerKey>() == 8);
    assert!(size_of::<StubKey>() == 24);
    assert!(size_of::<HostService>() == 16);
    assert!(size_of::<KernelRefusalRecord>() == 28);
    assert!(size_of::<ReportKey>() == 32);
};
