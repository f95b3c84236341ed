//! The map entries of the packet programs.

/// Addresses, ports and protocol of a packet, as the fields of the packet. Aligned so that two are compared by five words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// Source; IPv4 as `::ffff:a.b.c.d`.
    pub source: [u32; 4],
    /// Destination.
    pub destination: [u32; 4],
    /// The first four bytes behind the IP headers: both ports; of a later fragment, its identification.
    pub ports: u32,
    /// IP protocol number.
    pub protocol: u32,
}

/// Value of `PASSING`, beside a socket of the host: the packets that pass without another look.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// What such a packet has in its headers.
    pub tuple: Tuple,
    /// [`BY_ANY_DEVICE`] or [`BY_LOOPBACK`].
    pub way: u64,
    /// The table's number when it was let pass. Only datagrams are judged again when the table has changed.
    pub epoch: u32,
    /// When `FLOWS` was told last, in seconds (of 2^30 ns) since boot.
    pub told: u32,
}

/// Such a packet passes by any device.
pub const BY_ANY_DEVICE: u64 = 0;
/// Such a packet passes by the loopback device only.
pub const BY_LOOPBACK: u64 = 1;

/// Value of `ADMITTED`, beside a socket: the packets that the second line lets pass without another look.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// What such a packet has in its headers.
    pub tuple: Tuple,
    /// The seal that such a packet carries outside.
    pub seal: Seal,
    /// The table's number when it was admitted. Only datagrams are judged again when the table has changed.
    pub epoch: u32,
    /// When `FLOWS` was told last, in ticks of the kernel.
    pub told: u32,
}

/// What a packet carries outside that was judged inside: two words that go with it from one end of a veth to the other.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Place in `SEALS`, from 1 on; 0 is no seal.
    pub place: u32,
    /// A random number, never 0: what has the place by now may be another flow.
    pub secret: u32,
}

/// Value of `SEALS`: what a packet with such a seal has in its headers; and of a connection that has just begun, what `FLOWS`
/// says of others.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// Its headers.
    pub tuple: Tuple,
    /// Number of the endpoint that sent it.
    pub endpoint: u32,
    /// As in its seal; 0 while the value is written.
    pub secret: u32,
    /// The table's number by which the connection was judged.
    pub epoch: u32,
    /// When it began, in ticks of the kernel.
    pub began: u32,
    /// The same in seconds (of 2^30 ns) since boot.
    pub seen: u32,
    /// [`FLOW_IN`], [`FLOW_OUT`] or [`FLOW_OWN`]; 0 if it is no connection that has just begun.
    pub kind: u16,
    /// [`ENDED_BY_ENDPOINT`] and [`ENDED_BY_PEER`], as far as they are so. With both nothing more comes of it.
    pub ended: u16,
}

/// The endpoint has sent its last byte.
pub const ENDED_BY_ENDPOINT: u16 = 1;
/// The peer has sent its last byte.
pub const ENDED_BY_PEER: u16 = 2;

/// Value of `ASKED`: what the tables said of a flow when they were asked last.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CachedDecision {
    /// The address of the endpoint's side.
    pub own: [u32; 4],
    /// Address of the peer.
    pub peer: [u32; 4],
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Direction, protocol and port.
    pub port: u32,
    /// The table's number.
    pub epoch: u32,
    /// What policy says of it, and [`ASKED_WRITTEN`] and maybe [`ASKED_NAMED`].
    pub said: u32,
}

/// Bit of what was said: something was. All of an empty value is zero.
pub const ASKED_WRITTEN: u32 = 1 << 8;
/// Bit of what was said: the endpoint names its address.
pub const ASKED_NAMED: u32 = 1 << 9;

/// Value of `RECENT`: a flow to an endpoint that `FLOWS` was asked about a moment ago.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RecentFlow {
    /// Its packets' headers.
    pub tuple: Tuple,
    /// Number of the endpoint.
    pub endpoint: u32,
    /// The table's number at that time.
    pub epoch: u32,
    /// That time, in 128 ticks of the kernel.
    pub asked: u32,
    /// Zero.
    pub padding: u32,
}

/// Values of `SEALS`: few enough to stay in the caches of a processor.
pub const SEALS: u32 = 1 << 14;
/// Values of `YOUNG`.
pub const YOUNG: u32 = 1 << 14;
/// Values of `RECENT` on each processor.
pub const RECENT: u32 = 1 << 10;
/// Values of `ASKED` on each processor.
pub const ASKED: u32 = 1 << 8;

/// Key of `FLOWS`: a flow of an endpoint as its packets show it outside of the namespace.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketFlowKey {
    /// Address of the peer.
    pub peer: [u32; 4],
    /// Number of the endpoint.
    pub endpoint: u32,
    /// IP protocol number.
    pub protocol: u16,
    /// Port of the endpoint, network order; of an echo, its identifier.
    pub local_port: u16,
    /// Port of the peer, network order; of an echo, 0.
    pub peer_port: u16,
    /// Zero.
    pub padding: u16,
}

/// Value of `FLOWS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowState {
    /// When a packet of it was judged last, in seconds (of 2^30 ns) since boot.
    pub seen: u32,
    /// The table's number by which it was judged.
    pub epoch: u32,
    /// [`FLOW_IN`], [`FLOW_OUT`], [`FLOW_OWN`] or [`FLOW_TRIED`].
    pub kind: u32,
    /// The seal of the packets that the endpoint sends, whichever socket does.
    pub seal: Seal,
}

/// Kind of a flow: the peer opened it, and policy lets it pass.
pub const FLOW_IN: u32 = 1;
/// Kind of a flow: the endpoint opened it, and policy lets it pass.
pub const FLOW_OUT: u32 = 2;
/// Kind of a flow: a socket of ours sends it.
pub const FLOW_OWN: u32 = 3;
/// Kind of a flow: the peer asked for it in vain, at an address that the endpoint does not name. It may be told so.
pub const FLOW_TRIED: u32 = 4;

/// Bit of a value of `EPOCHS`: the endpoint's own addresses are told, so that other sources are not its own.
pub const ADDRESSES_TOLD: u32 = 1 << 31;

/// Seconds after which a flow that was not judged again is not known any more.
pub const FLOW_SECONDS: u32 = 120;
/// Ticks of the kernel within which a connection has just begun: a third of a second where there are 100 ticks in one, less where there
/// are more. What lasts longer is worth a note at its socket.
pub const YOUNG_TICKS: u32 = 32;
/// Ticks of the kernel after which a socket that sends has `FLOWS` told again: 82 seconds where there are 100 ticks in one,
/// fewer where there are more; always less than [`FLOW_SECONDS`].
pub const TELL_TICKS: u32 = 8192;

/// Key of `FRAGMENTS`: a datagram of which the first fragment, the one with the ports, has passed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentKey {
    /// Source.
    pub source: [u32; 4],
    /// Destination.
    pub destination: [u32; 4],
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Identification.
    pub identification: u32,
    /// IP protocol number.
    pub protocol: u32,
}

const _: () = {
    assert!(size_of::<Tuple>() == 40);
    assert!(size_of::<Admitted>() == 56);
    assert!(size_of::<PacketFlowKey>() == 28);
    assert!(size_of::<FlowState>() == 20);
    assert!(size_of::<Sealed>() == 64);
    assert!(size_of::<CachedDecision>() == 48);
    assert!(size_of::<RecentFlow>() == 56);
    assert!(size_of::<FragmentKey>() == 44);
};
