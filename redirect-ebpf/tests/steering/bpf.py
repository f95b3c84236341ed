"""What somebody else does with bpf(2): detach a pinned link, swap its program, attach another sk_lookup program.

usage: bpf.py detach PIN | swap PIN | swap-device PIN | attach NETNS
`attach` writes "attached" and holds the link until its standard input ends.
"""

import ctypes
import os
import platform
import struct
import sys

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, OBJ_GET, LINK_CREATE, LINK_UPDATE, LINK_DETACH = 5, 7, 28, 29, 34
SK_LOOKUP_TYPE, SK_LOOKUP_ATTACH = 30, 36
SCHED_CLS_TYPE = 3
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
    program = ctypes.create_string_buffer(struct.pack("BBhiBBhi", 0xB7, 0, 0, word, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("IIQQIIQII", kind, 2, address(program), address(licence), 0, 0, 0, 0, 0)
    return bpf(PROG_LOAD, head + bytes(16) + struct.pack("II", 0, place))


what, path = sys.argv[1:]
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
    print("attached", flush=True)
    sys.stdin.read()
