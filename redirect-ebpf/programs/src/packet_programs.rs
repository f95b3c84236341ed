//! The packet programs at the devices of an endpoint's namespace, and outside of it where a device has a peer there.
//!
//! Inside, `leave` knows the socket of a packet. What a hook admitted, or the tables pass, costs one lookup beside the
//! socket and gets a seal. Outside, `gate` passes what has its seal and judges everything else, so nothing depends on
//! rules, routes, translations or filters of the namespace. `arrive` judges incoming packets, outside where that is
//! possible. A program that passes a packet leaves the decision to the programs that others have attached.

use aya_ebpf::{bindings::__sk_buff, macros::classifier, programs::TcContext};
use portcullis_redirect_common::{Action, ASKED_NAMED, Admitted, EGRESS, FLOW_IN, FLOW_OUT, FLOW_OWN, INGRESS, TCP, TELL_TICKS, Tuple};

use crate::{
    ENDPOINT, WITHIN, number,
    packet::{ARP, ETHERNET, IPV4, IPV6, OWN, PacketHeaders, STREAM, SYN, answered, asks, bytes, parse, ports, scratch},
    packet_common::{has_headers, outline, quick, segment},
    packet_empty,
    packet_flows::{
        ADMITTED, NO_SEAL, ask, beside, came_lately, epoch, is_entered, is_known_fragment, known, note, note_fragment, passing, received,
        sent, ticks,
    },
    packet_judge::{ADMIT, DROP, EMPTY, arriving, is_named, leaving},
    packet_seals::{attach_seal, has_seal, put_seal, put_stamp, take_common_seal, take_seal, take_stamp},
    packet_sockets::{accepts_as_own, admit, connected, has_tuple, is_own, sender, socket, was_admitted},
    packet_young,
    verdict::{HookFlow, read},
};

/// Set by the loader: 1 where nobody but a program can write what a stamp is.
#[unsafe(no_mangle)]
static STAMPS: u32 = 0;

const NEXT: i32 = -1;
const SHOT: i32 = 2;

/// Inside, on the way out.
#[classifier]
pub fn leave(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    if is_admitted(skb) || is_young(skb) || leave_quickly(skb) || leave_slowly(skb) { NEXT } else { SHOT }
}

/// Outside, from the endpoint.
#[classifier]
pub fn gate(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    if take_common_seal(skb) || gate_slowly(skb) { NEXT } else { SHOT }
}

/// To the endpoint: outside, and once more inside for what was handed to the device past the one outside.
#[classifier]
pub fn arrive(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    let (inside, stamps) = (number(&WITHIN) == u32::MAX, number(&STAMPS) != 0);
    if inside && stamps && take_stamp(skb) {
        return NEXT;
    }
    if !is_known(skb) && !arrive_quickly(skb) && !arrive_slowly(skb) {
        return SHOT;
    }
    if !inside && stamps {
        put_stamp(skb);
    }
    NEXT
}

// The quick ways are calls of their own, so that their stack is none of the slow ones'.

#[inline(never)]
fn leave_quickly(skb: *mut __sk_buff) -> bool {
    match quick(skb) {
        Some(tuple) if tuple.protocol == TCP as u32 && leave_first(skb, &tuple) => true,
        Some(tuple) => was_just_judged(skb, &tuple),
        None => false,
    }
}

#[inline(never)]
fn is_known(skb: *mut __sk_buff) -> bool {
    match outline(skb) {
        Some(outline) if !outline.asks() => packet_young::comes(skb, &outline) || came_lately(skb, &outline),
        _ => false,
    }
}

#[inline(never)]
fn arrive_quickly(skb: *mut __sk_buff) -> bool {
    match quick(skb) {
        Some(tuple) => (tuple.protocol == TCP as u32 && arrive_first(skb, &tuple)) || is_entered(&tuple),
        None => false,
    }
}

/// Whether a packet of TCP is one of a connection that has just begun.
#[inline(never)]
fn is_young(skb: *mut __sk_buff) -> bool {
    match outline(skb) {
        // What the kernel says in place of a socket that has ended carries nothing.
        Some(outline) if !outline.asks() => packet_young::send(skb, &outline, |tuple| {
            let stands_in = outline.flags & SYN == 0 && matches!(segment(skb), Some(segment) if segment.empty);
            is_ours(skb, tuple) || stands_in
        }),
        _ => false,
    }
}

/// Whether a packet of TCP is the first one of a connection that may begin: it passes, or a socket of ours sends it.
#[inline(never)]
fn leave_first(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let Some(segment) = segment(skb) else { return false };
    let socket = read!((*skb).__bindgen_anon_2.sk);
    let kind = if segment.accepts() {
        if !is_named(bytes(&tuple.source)) || !accepts_as_own(socket, tuple, read!((*skb).protocol) == IPV6) {
            return false;
        }
        FLOW_OWN
    } else if asks(segment.flags) {
        match ask(&first(tuple, EGRESS), &tuple.source) {
            said if said & ASKED_NAMED == 0 => return false,
            _ if is_ours(skb, tuple) => FLOW_OWN,
            said if said & !ASKED_NAMED == Action::Pass.number() => FLOW_OUT,
            _ => return false,
        }
    } else {
        return false;
    };
    let mut seal = NO_SEAL;
    packet_young::begin(&mut seal, tuple, kind);
    attach_seal(skb, &seal);
    true
}

/// Whether a socket of ours sends packets with these headers, this one among them.
#[inline(always)]
fn is_ours(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    !socket.is_null() && has_tuple(socket, tuple, read!((*skb).protocol) == IPV6) && is_own(socket) != 0
}

/// Whether a packet of TCP that comes is the first one of a connection that may begin: it passes, or is for a listener of ours.
#[inline(never)]
fn arrive_first(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let Some(segment) = segment(skb) else { return false };
    if !asks(segment.flags) {
        return false;
    }
    match ask(&first(tuple, INGRESS), &tuple.destination) {
        said if said == Action::Pass.number() | ASKED_NAMED => {}
        // An address that the endpoint names is for nobody else.
        said if said == Action::Steer.number() | ASKED_NAMED => return segment.empty && !segment.broadcast,
        _ => return false,
    }
    let mut seal = NO_SEAL;
    packet_young::begin(&mut seal, &answered(tuple), FLOW_IN);
    true
}

/// The flow that a packet of TCP opens.
#[inline(always)]
fn first(tuple: &Tuple, direction: u8) -> HookFlow {
    let (source_port, port) = ports(tuple);
    let peer = bytes(if direction == EGRESS { &tuple.destination } else { &tuple.source });
    HookFlow { endpoint: number(&ENDPOINT), direction, protocol: TCP, port, source_port, peer }
}

/// Whether the socket of a packet may send it without another look.
#[inline(never)]
fn is_admitted(skb: *mut __sk_buff) -> bool {
    let socket = read!((*skb).__bindgen_anon_2.sk);
    if socket.is_null() {
        return false;
    }
    // Of a socket that is none any more, or none yet, the helper knows nothing.
    let admitted: *mut Admitted = beside(&ADMITTED, socket);
    if admitted.is_null() {
        return false;
    }
    let admitted = unsafe { &mut *admitted };
    if !has_headers(skb, &admitted.tuple, false) || (admitted.tuple.protocol != TCP as u32 && admitted.epoch != epoch()) {
        return false;
    }
    if ticks().wrapping_sub(admitted.told) >= TELL_TICKS {
        return false;
    }
    put_seal(skb, &mut admitted.seal, &admitted.tuple);
    true
}

/// Whether a packet is one of a flow that policy let pass within this second, whichever socket sends it. Most connections are
/// gone before it is worth while to note them at their sockets, and a socket that serves many peers names another one each time.
#[inline(never)]
fn was_just_judged(skb: *mut __sk_buff, tuple: &Tuple) -> bool {
    let Some(state) = passing(&sent(tuple)) else { return false };
    if !has_seal(&state.seal, tuple) {
        if !is_named(bytes(&tuple.source)) {
            return false;
        }
        state.seal.secret = 0;
    }
    put_seal(skb, &mut state.seal, tuple);
    true
}

/// Reads a packet that is no common one. `Err` has what becomes of it.
#[inline(always)]
fn look(skb: *mut __sk_buff, packet: &mut PacketHeaders) -> Result<(), bool> {
    match read!((*skb).protocol) {
        ARP => Err(true),
        IPV4 | IPV6 if read!((*skb).vlan_present) == 0 && parse(skb, ETHERNET, packet) => Ok(()),
        // No protocol that policy knows (cilium bpf/bpf_lxc.c: DROP_UNKNOWN_L3), or one that hides where it goes.
        _ => Err(false),
    }
}

#[inline(never)]
fn leave_slowly(skb: *mut __sk_buff) -> bool {
    let Some(packet) = scratch() else { return false };
    if let Err(passes) = look(skb, packet) {
        return passes;
    }
    let mut seal = NO_SEAL;
    if packet.later {
        let passes = is_known_fragment(packet);
        if passes {
            put_seal(skb, &mut seal, &packet.tuple);
        }
        return passes;
    }
    let socket = socket(skb);
    packet.sender = sender(skb, socket, packet);
    let is_stream = !socket.is_null() && packet.protocol() == TCP && packet.sender == STREAM;
    let kind = kind_of(packet);
    let judged = if is_stream && (matches!(kind, FLOW_IN | FLOW_OUT) || was_admitted(socket, &packet.tuple)) {
        renew(packet, kind);
        ADMIT
    } else {
        leaving(skb, packet)
    };
    if judged == DROP {
        return false;
    }
    put_seal(skb, &mut seal, &packet.tuple);
    // A flow that is seen for the first time is known by its headers for a moment.
    let lasts = kind != 0 || packet.sender & OWN != 0;
    if judged == ADMIT && lasts && !socket.is_null() && !packet.first {
        admit(socket, &packet.tuple, &seal);
    }
    note_fragment(packet);
    true
}

/// What is remembered of the flow of a packet that the endpoint sends. Apart, as is the next one, because Linux 6.1 counts the
/// stack of every call in steps of 32 bytes, and has 512 for all of them.
#[inline(never)]
fn kind_of(packet: &PacketHeaders) -> u32 {
    known(&sent(&packet.tuple))
}

/// A connection lives as long as its socket: whoever means it no more cuts that.
#[inline(never)]
fn renew(packet: &PacketHeaders, kind: u32) {
    note(&sent(&packet.tuple), if kind == 0 { FLOW_OUT } else { kind });
}

#[inline(never)]
fn gate_slowly(skb: *mut __sk_buff) -> bool {
    let Some(packet) = scratch() else { return false };
    if let Err(passes) = look(skb, packet) {
        return passes;
    }
    if take_seal(skb, &packet.tuple) {
        return true;
    }
    if packet.later {
        return is_known_fragment(packet);
    }
    let passes = leaving(skb, packet) != DROP;
    if passes {
        note_fragment(packet);
    }
    passes
}

#[inline(never)]
fn arrive_slowly(skb: *mut __sk_buff) -> bool {
    let Some(packet) = scratch() else { return false };
    if let Err(passes) = look(skb, packet) {
        return passes;
    }
    if packet.later {
        return is_known_fragment(packet);
    }
    if packet.protocol() == TCP && !packet.is_bare_syn() {
        let kind = connected(skb, packet);
        if kind != 0 {
            note(&received(&packet.tuple), kind);
            return true;
        }
    }
    match arriving(skb, packet) {
        DROP => false,
        EMPTY => packet_empty::datagram(skb, packet),
        _ => {
            note_fragment(packet);
            true
        }
    }
}
