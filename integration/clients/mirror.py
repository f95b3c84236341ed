#!/usr/bin/python3
"""A DNS server that sends every message back as its own answer, and prints it: what really arrives."""

import selectors
import socket
import struct
import sys


def mirrored(message, way):
    print(way, message.hex(), flush=True)
    # QR: it is an answer. All else is the client's.
    return message[:2] + bytes([message[2] | 0x80]) + message[3:] if len(message) > 2 else b""


def main():
    waiting = selectors.DefaultSelector()
    for ip in sys.argv[1:]:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for one in (datagrams, listener):
            one.bind((ip, 53))
        listener.listen()
        waiting.register(datagrams, selectors.EVENT_READ, "udp")
        waiting.register(listener, selectors.EVENT_READ, "listener")
    while True:
        for key, _ in waiting.select():
            if key.data == "udp":
                message, client = key.fileobj.recvfrom(65535)
                key.fileobj.sendto(mirrored(message, "udp"), client)
            elif key.data == "listener":
                waiting.register(key.fileobj.accept()[0], selectors.EVENT_READ, "tcp")
            else:
                # Messages of a test are small and come whole.
                frame = key.fileobj.recv(65537)
                if not frame:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
                    continue
                answer = mirrored(frame[2:], "tcp")
                key.fileobj.sendall(struct.pack(">H", len(answer)) + answer)


if __name__ == "__main__":
    main()
