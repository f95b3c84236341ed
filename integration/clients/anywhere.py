#!/usr/bin/python3
"""A web server that answers 200 on port 80 of every address of its host, also of whole networks that are routed to it."""

import selectors
import socket

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def main():
    waiting = selectors.DefaultSelector()
    listener = socket.create_server(("::", 80), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
    listener.setblocking(False)
    waiting.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is listener:
                connection = listener.accept()[0]
                connection.setblocking(False)
                waiting.register(connection, selectors.EVENT_READ)
                continue
            try:
                head = key.fileobj.recv(65536)
                if head:
                    key.fileobj.sendall(ANSWER * head.count(b"\r\n\r\n"))
            except OSError:
                head = b""
            if not head:
                waiting.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    main()
