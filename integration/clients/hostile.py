#!/usr/bin/python3
"""A pod that is no good neighbour: a DNS server that answers what it likes, and clients that take all they can get.

hostile.py serve ADDRESS...          a DNS server on port 53 (UDP): at-A-B-C-D.* has that address for seven days, many-N.* has a
                                     thousand, silent-N.* gets no answer
hostile.py ask SERVER NAME...        asks one after the other; tells [[code, [address, ...]] or null, ...]
hostile.py flood SERVER PREFIX COUNT asks for PREFIX-0.evil.test and so on, each from a socket of its own; tells how many were answered
hostile.py hold ADDRESS COUNT        opens connections to port 80 and says nothing; tells how many are open, again and again
"""

import json
import selectors
import socket
import struct
import sys
import time

TTL = 7 * 24 * 3600


def encoded(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def name_of(message):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels), at + 5


def addresses(name):
    kind, _, rest = name.split(".")[0].lower().partition("-")
    if kind == "at":
        return [rest.replace("-", ".")]
    if kind == "many":
        number = int(rest)
        return [f"198.{19 + (number >> 6)}.{(number << 2 & 255) + (each >> 8)}.{each & 255}" for each in range(1000)]
    return None


def serve(own):
    waiting = selectors.DefaultSelector()
    for address in own:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_DGRAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        server.bind((address, 53))
        waiting.register(server, selectors.EVENT_READ)
    print("serving", flush=True)
    while True:
        for key, _ in waiting.select():
            query, client = key.fileobj.recvfrom(65536)
            name, end = name_of(query)
            known = addresses(name)
            if known is None:
                continue
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(known), 0, 0)
            records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, TTL, 4) + socket.inet_aton(each) for each in known)
            key.fileobj.sendto(head + query[12:end] + records, client)


def query(number, name):
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + encoded(name) + struct.pack("!HH", 1, 1)


def answer(message):
    code, count, at = message[3] & 15, struct.unpack("!H", message[6:8])[0], name_of(message)[1]
    found = []
    for _ in range(count):
        while message[at] and message[at] < 0xC0:
            at += 1 + message[at]
        at += 2 if message[at] else 1
        kind, _, _, length = struct.unpack("!HHIH", message[at : at + 10])
        if kind == 1:
            found.append(socket.inet_ntoa(message[at + 10 : at + 14]))
        at += 10 + length
    return [code, found]


def client(server):
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    asking = socket.socket(family, socket.SOCK_DGRAM)
    asking.connect((server, 53))
    return asking


def ask(server, names):
    told = []
    for number, name in enumerate(names):
        with client(server) as asking:
            asking.settimeout(4)
            asking.send(query(number, name))
            try:
                told.append(answer(asking.recv(65536)))
            except OSError:
                told.append(None)
    print(json.dumps(told), flush=True)


def flood(server, prefix, count):
    # As many sockets at a time as a process may have.
    answered = 0
    for first in range(0, count, 500):
        sockets = [client(server) for _ in range(first, min(first + 500, count))]
        for number, asking in enumerate(sockets, first):
            asking.setblocking(False)
            asking.send(query(number, f"{prefix}-{number}.evil.test"))
        end = time.monotonic() + (0.3 if prefix == "silent" else 3)
        due = set(sockets)
        while due and time.monotonic() < end:
            for asking in list(due):
                try:
                    asking.recv(65536)
                    answered += 1
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                due.discard(asking)
            time.sleep(0.001)
        for asking in sockets:
            asking.close()
    print(json.dumps({"answered": answered}), flush=True)


def hold(address, count):
    held = []
    for _ in range(count):
        try:
            held.append(socket.create_connection((address, 80), timeout=4))
            held[-1].setblocking(False)
        except OSError:
            pass
    while True:
        still = []
        for connection in held:
            try:
                connection.recv(1)
                connection.close()
            except BlockingIOError:
                still.append(connection)
            except OSError:
                connection.close()
        held = still
        print(json.dumps({"open": len(held)}), flush=True)
        time.sleep(0.2)


def main(what, *words):
    match what:
        case "serve":
            serve(words)
        case "ask":
            ask(words[0], words[1:])
        case "flood":
            flood(words[0], words[1], int(words[2]))
        case "hold":
            hold(words[0], int(words[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
