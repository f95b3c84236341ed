#!/usr/bin/python3
"""Large bodies up and down: a server, and a client. Each tells bytes and SHA-256 of what it sent or got."""

import argparse
import hashlib
import http.client
import http.server
import json
import socket
import sys

BLOCK = 1 << 20
# No two blocks in a row are equal, so a block that is lost, doubled or swapped changes the sum.
PATTERN = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(BLOCK // 32 + 1))


def blocks(size):
    for number, start in enumerate(range(0, size, BLOCK)):
        at = number % 32
        yield PATTERN[at : at + min(BLOCK, size - start)]


def received(read):
    """Bytes and sum of everything that `read` gives."""
    total, digest = 0, hashlib.sha256()
    while block := read(BLOCK):
        total += len(block)
        digest.update(block)
    return {"bytes": total, "sha256": digest.hexdigest()}


def expected(size):
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /down/BYTES sends so many; PUT /up takes what comes and answers with its sum."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size = self.path.removeprefix("/down/")
        if not size.isdecimal():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", size)
        self.end_headers()
        for block in blocks(int(size)):
            self.wfile.write(block)

    def do_PUT(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            told = received(Chunks(self.rfile).read)
        else:
            left = int(self.headers.get("Content-Length", 0))
            told = received(Limited(self.rfile, left).read)
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Silent: standard output has the one line 'ready'."""


class Limited:
    """So many bytes of a file."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def read(self, size):
        block = self.file.read(min(size, self.left))
        self.left -= len(block)
        return block


class Chunks:
    """A chunked body (RFC 9112 section 7.1), without trailers."""

    def __init__(self, file):
        self.file = file

    def read(self, _size):
        size = int(self.file.readline(), 16)
        block = self.file.read(size)
        self.file.readline()
        return block


def client(arguments):
    connection = http.client.HTTPConnection(arguments.host, arguments.port, timeout=arguments.timeout)
    if arguments.part == "down":
        connection.request("GET", f"/down/{arguments.bytes}")
    else:
        length = {} if arguments.chunked else {"Content-Length": str(arguments.bytes)}
        connection.request("PUT", "/up", body=blocks(arguments.bytes), headers=length, encode_chunked=arguments.chunked)
    answer = connection.getresponse()
    told = received(answer.read) if arguments.part == "down" else json.loads(answer.read())
    right = answer.status == 200 and told == expected(arguments.bytes)
    print(json.dumps({"status": answer.status, **told, "right": right}))
    return 0 if right else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, about in [("server", "serve until killed; prints 'ready'"), ("down", "get a body"), ("up", "send a body")]:
        part = parts.add_parser(name, help=about)
        part.add_argument("host")
        part.add_argument("port", type=int)
        if name != "server":
            part.add_argument("--bytes", type=int, default=1 << 30, help="default: %(default)s")
            part.add_argument("--timeout", type=float, default=60, help="seconds without progress (default: %(default)s)")
        if name == "up":
            part.add_argument("--chunked", action="store_true", help="send chunks instead of a length")
    arguments = parser.parse_args()
    if arguments.part == "server":
        http.server.ThreadingHTTPServer.request_queue_size = 128
        if ":" in arguments.host:
            http.server.ThreadingHTTPServer.address_family = socket.AF_INET6
        server = http.server.ThreadingHTTPServer((arguments.host, arguments.port), Handler)
        print("ready", flush=True)
        server.serve_forever()
    try:
        return client(arguments)
    except (OSError, http.client.HTTPException) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 1


if __name__ == "__main__":
    sys.exit(main())
