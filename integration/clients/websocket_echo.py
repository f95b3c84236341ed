#!/usr/bin/python3
"""A WebSocket server that sends back what it gets, and a client that checks it (Debian's python3-websockets)."""

import argparse
import asyncio
import hashlib
import json
import sys

import websockets


async def echo(socket, _path=None):
    async for message in socket:
        await socket.send(message)


async def serve(arguments):
    async with websockets.serve(echo, arguments.address, arguments.port, max_size=None):
        print("ready", flush=True)
        await asyncio.Future()


def message(number, size):
    """Text and binary in turn, each one different."""
    seed = hashlib.sha256(str(number).encode()).hexdigest()
    text = (seed * (size // len(seed) + 1))[:size]
    return text if number % 2 == 0 else text.encode()


async def talk(arguments):
    told = {"sent": 0, "echoed": 0}
    # No compression: the bytes on the wire are those of the messages.
    async with websockets.connect(arguments.url, open_timeout=arguments.timeout, max_size=None, compression=None) as socket:
        for number in range(arguments.messages):
            sent = message(number, arguments.size)
            await socket.send(sent)
            told["sent"] += 1
            answer = await asyncio.wait_for(socket.recv(), arguments.timeout)
            told["echoed"] += answer == sent
        await socket.ping()
    print(json.dumps(told))
    return 0 if told["echoed"] == arguments.messages else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    server = parts.add_parser("server", help="serve until killed; prints 'ready'")
    server.add_argument("address")
    server.add_argument("port", type=int)
    client = parts.add_parser("client", help="send messages, check the answers, print how many came back as JSON")
    client.add_argument("url", help="ws://HOST:PORT/PATH")
    client.add_argument("--messages", type=int, default=10)
    client.add_argument("--size", type=int, default=1000, help="bytes of a message (default: %(default)s)")
    client.add_argument("--timeout", type=float, default=10, help="seconds (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.part == "server":
        asyncio.run(serve(arguments))
        return 0
    try:
        return asyncio.run(talk(arguments))
    except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 1


if __name__ == "__main__":
    sys.exit(main())
