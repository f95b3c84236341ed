//! Judges a packet by the same tables as the hooks at sockets.

use portcullis_redirect_common::{
    ADDRESSES_TOLD, Action, ECHO_REQUEST, ECHO_REQUEST_V6, EGRESS, FLOW_IN, FLOW_OUT, FLOW_OWN, FLOW_TRIED, PacketFlowKey, ICMP, ICMP_V6, INGRESS, LocalKey, POD, SCTP,
    TCP, UDP, UDP_LITE,
};

use aya_ebpf::bindings::__sk_buff;

use crate::{
    ENDPOINT, SITE,
    maps::{HOSTS, LOCALS},
    number,
    packet::{ACK, KERNEL, OWN, PacketHeaders, RST, STREAM, STREAM_SOCKET, SYN, bytes, load, read_header, words},
    packet_flows::{KEEPS, OLDER, came_ever, echo, epoch, known, note, received, remembered, sent, sides},
    verdict::{HookFlow, is_v4, passes, read, report_unseen, tell, verdict, whole},
};

/// The packet goes no further.
pub const DROP: u32 = 0;
/// The packet passes.
pub const LET: u32 = 1;
/// The packet passes, and so do all with the same headers from the same socket.
pub const ADMIT: u32 = 2;
/// A datagram that is refused: what it carries goes no further, and its sender is told.
pub const EMPTY: u32 = 3;

/// Type of a packet that is for this host (linux/if_packet.h).
const PACKET_HOST: u32 = 0;
const IGMP: u8 = 2;
/// Replies to echo requests.
const ECHO_REPLY: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;
/// Port of a DHCP server, whose clients have no address yet.
const DHCP: u16 = 67;
/// Longest ICMP errors, from the IP header on, about packets that carry nothing (a TCP header with options at most).
const SHORT_ERROR: u32 = 20 + 8 + 20 + 60;
const SHORT_ERROR_V6: u32 = 40 + 8 + 40 + 60;

/// The protocol for policy.
#[inline(always)]
fn policy_protocol(protocol: u8) -> u8 {
    if protocol == UDP_LITE { UDP } else { protocol }
}

#[inline(always)]
pub fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | UDP_LITE | SCTP)
}

/// The flow that a packet would open.
#[inline(always)]
pub fn opened(packet: &PacketHeaders, leaving: bool, direction: u8) -> HookFlow {
    let (own, theirs) = sides(&packet.tuple, leaving);
    let peer = if leaving { &packet.tuple.destination } else { &packet.tuple.source };
    let (port, source_port) = if direction == EGRESS { (theirs, own) } else { (own, theirs) };
    let protocol = policy_protocol(packet.protocol());
    HookFlow { endpoint: number(&ENDPOINT), direction, protocol, port, source_port, peer: bytes(peer) }
}

/// Whether a packet keeps the link going and goes no further: neighbours (RFC 4861), groups (RFC 2710, RFC 3376).
#[inline(never)]
fn is_control(packet: &PacketHeaders) -> bool {
    let to = bytes(&packet.tuple.destination);
    match packet.protocol() {
        IGMP => !packet.v6 && packet.hops == 1 && to[12] & 0xf0 == 0xe0,
        ICMP_V6 => match packet.flags {
            133..=137 => packet.hops == 255,
            130..=132 | 143 => packet.hops == 1 && to[0] == 0xff,
            _ => false,
        },
        _ => false,
    }
}

/// Whether a packet is an error message of ICMP.
#[inline(always)]
pub fn is_error(packet: &PacketHeaders) -> bool {
    match packet.protocol() {
        ICMP => matches!(packet.flags, 3 | 4 | 11 | 12),
        _ => packet.flags < 128,
    }
}

/// Whether connections of the endpoint go on that are older than its programs, whatever the table says of them.
#[inline(always)]
pub fn keeps_open() -> bool {
    KEEPS.get(number(&ENDPOINT)).is_some_and(|keeps| *keeps != 0)
}

/// Whether a connection was opened by its peer before the programs were there, or that is not known yet. Whoever may administer
/// the host needs no such way.
#[inline(never)]
fn is_older(key: &PacketFlowKey) -> bool {
    if number(&SITE) != POD || unsafe { OLDER.get(key) }.is_some() {
        return true;
    }
    // Nobody has this one: it says that all are noted (src/connections/judge.rs).
    let all = PacketFlowKey { peer: [0; 4], endpoint: key.endpoint, protocol: TCP as u16, local_port: 0, peer_port: 0, padding: 0 };
    unsafe { OLDER.get(&all) }.is_none()
}

/// Whether an address is one that the endpoint names.
#[inline(always)]
pub fn is_named(address: [u8; 16]) -> bool {
    unsafe { LOCALS.get(LocalKey { endpoint: number(&ENDPOINT), address }) }.is_some()
}

/// Whether a packet answers one that came to an address that the endpoint has and does not name.
#[inline(never)]
fn is_answer(skb: *mut __sk_buff, packet: &mut PacketHeaders) -> bool {
    match packet.protocol() {
        TCP => {
            let kind = known(&sent(&packet.tuple));
            (packet.sender & STREAM != 0 && kind == FLOW_IN) || (kind != 0 && packet.empty && packet.flags & (SYN | RST) == RST)
        }
        ICMP | ICMP_V6 => is_error(packet) && about(skb, packet, false),
        _ => false,
    }
}

/// Whether a source is the endpoint's own, or none yet. Where endpoints share a namespace all of its addresses are; and of a
/// socket of TCP any is: nobody answers a source that is not routed to the host, and transparent proxies live on that.
#[inline(never)]
fn is_own_source(packet: &PacketHeaders) -> bool {
    let address = bytes(&packet.tuple.source);
    if is_named(address) {
        return true;
    }
    if number(&SITE) == POD {
        if epoch() & ADDRESSES_TOLD == 0 {
            return true;
        }
    } else if packet.sender & STREAM_SOCKET != 0 || is_hosts(address) || !is_hosts([0; 16]) {
        return true;
    }
    if packet.v6 {
        return address[0] == 0xfe && address[1] & 0xc0 == 0x80;
    }
    let (_, to) = sides(&packet.tuple, true);
    packet.tuple.source[3] == 0 && (packet.protocol() == IGMP || packet.protocol() == UDP && !packet.later && to == DHCP)
}

/// Whether an address is one of the namespace that the endpoint shares; of none at all, whether these are told.
#[inline(never)]
fn is_hosts(address: [u8; 16]) -> bool {
    unsafe { HOSTS.get(LocalKey { endpoint: number(&ENDPOINT), address }) }.is_some()
}

/// Whether a packet goes to a group or to everybody on the link; `sk_lookup` is not asked for such ones. Of IPv4 the kernel
/// tells by the Ethernet address, and remembers it for those who see the packet without it.
#[inline(always)]
pub fn is_for_many(skb: *mut __sk_buff, packet: &PacketHeaders) -> bool {
    let to = bytes(&packet.tuple.destination);
    let broadcast = match packet.base {
        0 => read!((*skb).pkt_type) != PACKET_HOST,
        _ => matches!(load::<u8>(skb, 0), Some(first) if first & 1 != 0),
    };
    broadcast || if is_v4(&to) { to[12] >= 0xe0 } else { to[0] == 0xff }
}

/// Judges what the endpoint sends.
#[inline(never)]
pub fn leaving(skb: *mut __sk_buff, packet: &mut PacketHeaders) -> u32 {
    if is_control(packet) {
        return LET;
    }
    let flow = opened(packet, true, EGRESS);
    if !is_own_source(packet) && !is_answer(skb, packet) {
        tell(&flow, false);
        return DROP;
    }
    if packet.sender & OWN != 0 {
        note(&sent(&packet.tuple), FLOW_OWN);
        return ADMIT;
    }
    let protocol = packet.protocol();
    let judged = if has_ports(protocol) {
        leaving_ports(packet, &flow)
    } else if protocol == ICMP || protocol == ICMP_V6 {
        leaving_message(skb, packet, &flow)
    } else if whole(&flow) {
        note(&sent(&packet.tuple), FLOW_OUT);
        LET
    } else if known(&sent(&packet.tuple)) == FLOW_IN {
        LET
    } else {
        DROP
    };
    if judged == DROP {
        tell(&flow, false);
    }
    judged
}

#[inline(always)]
fn leaving_ports(packet: &PacketHeaders, flow: &HookFlow) -> u32 {
    let key = sent(&packet.tuple);
    let kind = known(&key);
    let tcp = packet.protocol() == TCP;
    let asks = packet.is_bare_syn();
    let accepts = tcp && packet.flags & (SYN | ACK) == SYN | ACK;
    // What the peer opened is judged as that. A socket alone does not tell: the hooks do not see each subflow of MPTCP.
    // It may be silent for days, and then it may be the endpoint that speaks: its socket answers for what is remembered.
    let opened_in = kind == FLOW_IN || (tcp && packet.sender & STREAM != 0 && (is_older(&key) || came_ever(&key)));
    if kind == FLOW_IN || accepts {
        let action = verdict(&opened(packet, true, INGRESS));
        if opened_in && !asks && action.passes() {
            note(&key, FLOW_IN);
            return ADMIT;
        }
        if accepts {
            // One with a SYN cookie has no socket. It carries nothing, and what answers it comes in only with the cookie of
            // a listener of ours.
            let cookie = action == Action::Steer && packet.empty && packet.sender & KERNEL != 0;
            return if cookie { LET } else { DROP };
        }
    }
    if passes(flow) {
        note(&key, FLOW_OUT);
        return ADMIT;
    }
    if asks {
        return DROP;
    }
    if opened_in && verdict(&opened(packet, true, INGRESS)).passes() {
        note(&key, FLOW_IN);
        return ADMIT;
    }
    // It was opened before the programs were there: who opens one now meets them with its first packet.
    if tcp && packet.sender & STREAM != 0 && keeps_open() {
        note(&key, FLOW_OUT);
        return ADMIT;
    }
    // What the kernel sends without a socket of the flow: that there is none, or that a connection has ended.
    if tcp && packet.empty && (packet.flags & (SYN | RST) == RST || (packet.flags & SYN == 0 && kind != 0)) {
        return LET;
    }
    DROP
}

#[inline(always)]
fn leaving_message(skb: *mut __sk_buff, packet: &mut PacketHeaders, flow: &HookFlow) -> u32 {
    let kind = packet.flags;
    let message = HookFlow { port: kind as u16, source_port: 0, ..*flow };
    let key = echo(&packet.tuple, &packet.tuple.destination);
    match kind {
        ECHO_REQUEST if !packet.v6 => request(&message, &key),
        ECHO_REQUEST_V6 if packet.v6 => request(&message, &key),
        ECHO_REPLY if !packet.v6 && known(&key) == FLOW_IN => LET,
        ECHO_REPLY_V6 if packet.v6 && known(&key) == FLOW_IN => LET,
        _ if is_error(packet) && is_short(packet) => LET,
        _ if is_error(packet) && about(skb, packet, false) => LET,
        _ if passes(&message) && whole(&message) => LET,
        _ => DROP,
    }
}

#[inline(always)]
fn request(message: &HookFlow, key: &PacketFlowKey) -> u32 {
    if !passes(message) {
        return DROP;
    }
    note(key, if message.direction == EGRESS { FLOW_OUT } else { FLOW_IN });
    LET
}

/// Whether an error carries nothing of the packet that it is about but headers.
#[inline(always)]
fn is_short(packet: &PacketHeaders) -> bool {
    packet.end <= packet.base + if packet.v6 { SHORT_ERROR_V6 } else { SHORT_ERROR }
}

/// Whether an error of ICMP is about a flow that is known. What it is about was sent by the endpoint if it comes in.
#[inline(never)]
fn about(skb: *mut __sk_buff, packet: &mut PacketHeaders, arriving: bool) -> bool {
    let at = packet.at + 8;
    let size = if packet.v6 { 40 } else { 20 };
    if !read_header(skb, at, size, &mut packet.header) {
        return false;
    }
    let header = &packet.header;
    let behind = if packet.v6 {
        packet.about.source = [header[2], header[3], header[4], header[5]];
        packet.about.destination = [header[6], header[7], header[8], header[9]];
        packet.about.protocol = header[1].to_ne_bytes()[2] as u32;
        at + 40
    } else {
        packet.about.source = words(header[3]);
        packet.about.destination = words(header[4]);
        packet.about.protocol = header[2].to_ne_bytes()[1] as u32;
        at + (header[0].to_ne_bytes()[0] & 0xf) as u32 * 4
    };
    let peer = if arriving { packet.about.destination } else { packet.about.source };
    if !arriving && peer != packet.tuple.destination {
        return false;
    }
    let message = matches!(packet.about.protocol as u8, ICMP | ICMP_V6);
    packet.about.ports = if message {
        (load::<u16>(skb, behind + 4).unwrap_or(0) as u32) << 16
    } else {
        load::<u32>(skb, behind).unwrap_or(0)
    };
    let key = match (message, arriving) {
        (true, _) => echo(&packet.about, &peer),
        (_, true) => sent(&packet.about),
        _ => received(&packet.about),
    };
    known(&key) != 0
}

/// Judges what comes to the endpoint.
#[inline(never)]
pub fn arriving(skb: *mut __sk_buff, packet: &mut PacketHeaders) -> u32 {
    if is_control(packet) {
        return LET;
    }
    let flow = opened(packet, false, INGRESS);
    let key = received(&packet.tuple);
    let protocol = packet.protocol();
    let judged = if has_ports(protocol) {
        arriving_ports(skb, packet, &flow)
    } else if protocol == ICMP || protocol == ICMP_V6 {
        arriving_message(skb, packet, &flow)
    } else if whole(&flow) {
        note(&key, FLOW_IN);
        LET
    } else if known(&key) == FLOW_OUT {
        LET
    } else {
        DROP
    };
    if judged == DROP {
        tell(&flow, false);
    }
    judged
}

#[inline(always)]
fn arriving_ports(skb: *mut __sk_buff, packet: &PacketHeaders, flow: &HookFlow) -> u32 {
    let key = received(&packet.tuple);
    let action = verdict(flow);
    if action.passes() {
        // What a socket takes, `sk_lookup` reports.
        if action == Action::PassAndReport && (!matches!(packet.protocol(), TCP | UDP) || is_for_many(skb, packet)) {
            report_unseen(flow);
        }
        note(&key, FLOW_IN);
        return LET;
    }
    let kind = known(&key);
    if kind == FLOW_OUT || kind == FLOW_OWN {
        return LET;
    }
    // The table has changed since: what the endpoint opened is judged by the new one.
    match remembered(&key) {
        FLOW_OUT if verdict(&opened(packet, false, EGRESS)).passes() => {
            note(&key, FLOW_OUT);
            return LET;
        }
        FLOW_OWN => return LET,
        _ => {}
    }
    if is_for_many(skb, packet) {
        return DROP;
    }
    if !is_named(bytes(&packet.tuple.destination)) {
        note(&key, FLOW_TRIED);
    }
    if packet.protocol() == TCP {
        // `sk_lookup` hands it to our listener, or answers that nobody listens.
        return if packet.is_bare_syn() && packet.empty { LET } else { DROP };
    }
    if packet.protocol() == UDP && !packet.first { EMPTY } else { DROP }
}

#[inline(always)]
fn arriving_message(skb: *mut __sk_buff, packet: &mut PacketHeaders, flow: &HookFlow) -> u32 {
    let kind = packet.flags;
    let message = HookFlow { port: kind as u16, source_port: 0, ..*flow };
    let key = echo(&packet.tuple, &packet.tuple.source);
    match kind {
        ECHO_REQUEST if !packet.v6 => request(&message, &key),
        ECHO_REQUEST_V6 if packet.v6 => request(&message, &key),
        ECHO_REPLY if !packet.v6 && known(&key) == FLOW_OUT => LET,
        ECHO_REPLY_V6 if packet.v6 && known(&key) == FLOW_OUT => LET,
        _ if is_error(packet) && about(skb, packet, true) => LET,
        _ if passes(&message) && whole(&message) => LET,
        _ => DROP,
    }
}
