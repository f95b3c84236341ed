"""What somebody else does with bpf(2): detach a pinned link, swap its program, attach another sk_lookup program, or one at a device before
those of others.

usage: bpf.py detach PIN | swap PIN | swap-device PIN | attach NETNS
       | pin-pass PATH | attach-device NETNS DEVICE SIDE | redirect-device NETNS DEVICE SIDE PEER | count NETNS DEVICE
`attach` and those with a side write "attached" and hold the link until standard input ends. `redirect-device` hands every packet to
the peer of a device. `pin-pass` pins a program that lets everything pass. `count` writes how many programs are at both sides of a device.
"""

import ctypes
import os
import platform
import struct
import sys

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_QUERY, LINK_CREATE, LINK_UPDATE, LINK_DETACH = 5, 6, 7, 16, 28, 29, 34
SK_LOOKUP_TYPE, SK_LOOKUP_ATTACH = 30, 36
SCHED_CLS_TYPE = 3
TCX_SIDES = {"ingress": 46, "egress": 47}
BEFORE = 8
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


def lets_everything_pass(kind=SK_LOOKUP_TYPE, place=SK_LOOKUP_ATTACH, word=1):
    """r0 = SK_PASS, or another word; exit."""
    return load(kind, place, struct.pack("BBhiBBhi", 0xB7, 0, 0, word, 0x95, 0, 0, 0))


def hands_to_the_peer_of(device):
    """return bpf_redirect_peer(device, 0)"""
    number, flags, call, end = (0xB7, 1, 0, device), (0xB7, 2, 0, 0), (0x85, 0, 0, 155), (0x95, 0, 0, 0)
    return load(SCHED_CLS_TYPE, 0, b"".join(struct.pack("BBhi", *each) for each in (number, flags, call, end)))


def load(kind, place, code):
    program = ctypes.create_string_buffer(code)
    licence = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("IIQQIIQII", kind, len(code) // 8, address(program), address(licence), 0, 0, 0, 0, 0)
    return bpf(PROG_LOAD, head + bytes(16) + struct.pack("II", 0, place))


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
elif what == "attach":
    netns = os.open(path, os.O_RDONLY)
    bpf(LINK_CREATE, struct.pack("IIII", lets_everything_pass(), netns, SK_LOOKUP_ATTACH, 0))
elif what in ("attach-device", "redirect-device"):
    enter(path)
    device, side = more[:2]
    program = lets_everything_pass(SCHED_CLS_TYPE, 0, 0) if len(more) == 2 else hands_to_the_peer_of(int(more[2]))
    bpf(LINK_CREATE, struct.pack("IIIIQQ", program, int(device), TCX_SIDES[side], BEFORE, 0, 0))
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
if what in ("attach", "attach-device", "redirect-device"):
    print("attached", flush=True)
    sys.stdin.read()
