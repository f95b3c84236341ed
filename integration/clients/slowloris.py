#!/usr/bin/python3
"""Opens connections that send a request head one byte at a time and never end it; tells what becomes of them."""

import argparse
import json
import select
import socket
import sys
import time

HEAD = b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: "


def closed(connection):
    """Whether the other side has closed: by FIN, reset, or an answer followed by one of them."""
    try:
        while connection.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between two bytes (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="end after this time (default: %(default)s)")
    arguments = parser.parse_args()

    start = time.monotonic()
    alive = {}
    ends = []
    for _ in range(arguments.connections):
        connection = socket.create_connection((arguments.host, arguments.port), timeout=10)
        connection.setblocking(False)
        alive[connection] = 0
    while alive and time.monotonic() - start < arguments.seconds:
        for connection in list(alive):
            at = alive[connection]
            try:
                connection.send(HEAD[at : at + 1] or b"x")
                alive[connection] = at + 1
            except OSError:
                pass
        # A close is seen at once, not at the next byte.
        deadline = time.monotonic() + arguments.interval
        while alive and (left := deadline - time.monotonic()) > 0:
            for connection in select.select(list(alive), [], [], left)[0]:
                if closed(connection):
                    ends.append(round(time.monotonic() - start, 3))
                    alive.pop(connection)
                    connection.close()
    print(json.dumps({"opened": arguments.connections, "closed": len(ends), "open": len(alive), "seconds": ends}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
