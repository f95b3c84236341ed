"""What somebody else does with bpf(2): detach a pinned link, swap its program, attach another sk_lookup program, or one at a device:
before those of others, or behind them.

usage: bpf.py detach PIN | swap PIN | swap-device PIN | swap-sent PIN | swap-received PIN | attach NETNS
       | pin-pass PATH | attach-device NETNS DEVICE SIDE | redirect-device NETNS DEVICE SIDE PEER | rewrite NETNS
       | count NETNS DEVICE
`attach`, `rewrite` and those with a side write "attached" and hold the link until standard input ends. `redirect-device` hands every
packet to the peer of a device. `rewrite` sends datagrams of IPv6 elsewhere, at eth0. `pin-pass` pins a program that lets everything
pass. `count` writes how many programs are at both sides of a device.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_QUERY, LINK_CREATE, LINK_UPDATE, LINK_DETACH = 5, 6, 7, 16, 28, 29, 34
SK_LOOKUP_TYPE, SK_LOOKUP_ATTACH = 30, 36
SCHED_CLS_TYPE = 3
TCX_SIDES = {"ingress": 46, "egress": 47}
BEFORE = 8
CGROUP_SKB_TYPE, CGROUP_INGRESS, CGROUP_EGRESS = 8, 0, 1
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result = libc.syscall(NUMBER, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), command)
    return result


def address(buffer):
    return ctypes.cast(buffer, ctypes.c_void_p).value


def pinned(path):
    name = ctypes.create_string_buffer(path.encode())
    return bpf(OBJ_GET, struct.pack("QII", address(name), 0, 0))


def load(kind, place, *instructions):
    program = ctypes.create_string_buffer(b"".join(struct.pack("BBhi", *one) for one in instructions))
    licence = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("IIQQIIQII", kind, len(instructions), address(program), address(licence), 0, 0, 0, 0, 0)
    return bpf(PROG_LOAD, head + bytes(16) + struct.pack("II", 0, place))


def lets_everything_pass(kind=SK_LOOKUP_TYPE, place=SK_LOOKUP_ATTACH, word=1):
    """r0 = SK_PASS, or another word; exit."""
    return load(kind, place, (0xB7, 0, 0, word), (0x95, 0, 0, 0))


def sends_elsewhere():
    """Changes three bits of the destination of each datagram of IPv6."""
    change = []
    for at, bit in ((7, 0x80), (12, 0x04), (15, 0x80)):
        at += 38
        # r0 = packet[at] ^ bit; stack = r0; bpf_skb_store_bytes(r6, at, stack, 1, 0)
        change += [(0x30, 0, 0, at), (0xA7, 0, 0, bit), (0x73, 0x0A, -1, 0)]
        change += [(0xBF, 0x61, 0, 0), (0xB7, 2, 0, at), (0xBF, 0xA3, 0, 0), (0x07, 3, 0, -1), (0xB7, 4, 0, 1)]
        change += [(0xB7, 5, 0, 0), (0x85, 0, 0, 9)]
    end = [(0xB7, 0, 0, -1), (0x95, 0, 0, 0)]
    # r6 = r1; unless packet[12..14] is IPv6 and packet[20] is UDP, to the end
    start = [(0xBF, 0x16, 0, 0), (0x28, 0, 0, 12), (0x55, 0, len(change) + 2, 0x86DD)]
    start += [(0x30, 0, 0, 20), (0x55, 0, len(change), 17)]
    return load(SCHED_CLS_TYPE, 0, *start, *change, *end)


def hands_to_the_peer_of(device):
    """return bpf_redirect_peer(device, 0)"""
    return load(SCHED_CLS_TYPE, 0, (0xB7, 1, 0, device), (0xB7, 2, 0, 0), (0x85, 0, 0, 155), (0x95, 0, 0, 0))


def enter(netns):
    opened = os.open(netns, os.O_RDONLY)
    if libc.setns(opened, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


what, path, *more = sys.argv[1:]
if what == "detach":
    bpf(LINK_DETACH, struct.pack("I", pinned(path)))
elif what == "swap":
    bpf(LINK_UPDATE, struct.pack("IIII", pinned(path), lets_everything_pass(), 0, 0))
elif what == "swap-device":
    # TCX_PASS is 0 (linux/bpf.h).
    bpf(LINK_UPDATE, struct.pack("IIII", pinned(path), lets_everything_pass(SCHED_CLS_TYPE, 0, 0), 0, 0))
elif what in ("swap-sent", "swap-received"):
    place = CGROUP_EGRESS if what == "swap-sent" else CGROUP_INGRESS
    bpf(LINK_UPDATE, struct.pack("IIII", pinned(path), lets_everything_pass(CGROUP_SKB_TYPE, place), 0, 0))
elif what == "attach":
    netns = os.open(path, os.O_RDONLY)
    bpf(LINK_CREATE, struct.pack("IIII", lets_everything_pass(), netns, SK_LOOKUP_ATTACH, 0))
elif what in ("attach-device", "redirect-device"):
    enter(path)
    device, side = more[:2]
    program = lets_everything_pass(SCHED_CLS_TYPE, 0, 0) if len(more) == 2 else hands_to_the_peer_of(int(more[2]))
    bpf(LINK_CREATE, struct.pack("IIIIQQ", program, int(device), TCX_SIDES[side], BEFORE, 0, 0))
elif what == "rewrite":
    enter(path)
    device = socket.if_nametoindex("eth0")
    bpf(LINK_CREATE, struct.pack("IIIIQQ", sends_elsewhere(), device, TCX_SIDES["egress"], 0, 0, 0))
elif what == "pin-pass":
    name = ctypes.create_string_buffer(path.encode())
    bpf(OBJ_PIN, struct.pack("QII", address(name), lets_everything_pass(SCHED_CLS_TYPE, 0, 0), 0))
elif what == "count":
    enter(path)
    count = 0
    for side in TCX_SIDES.values():
        query = ctypes.create_string_buffer(struct.pack("IIIIQIIQQQQ", int(more[0]), side, *[0] * 9), 64)
        assert libc.syscall(NUMBER, PROG_QUERY, query, 64) == 0, os.strerror(ctypes.get_errno())
        count += struct.unpack_from("I", query, 24)[0]
    print(count)
if what in ("attach", "attach-device", "redirect-device", "rewrite"):
    print("attached", flush=True)
    sys.stdin.read()
