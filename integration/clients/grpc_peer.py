#!/usr/bin/python3
"""A server and a client of grpcio. Messages are bytes as they are, so no step generates code.

Its counterpart in Go is go-grpc, with the same methods and the same stories where both tell one. It runs in the
Python environment of `deploy/setup.sh test`.

Methods, of services of any name: Say (one message comes back), Put (the number of bytes that came), Get ("COUNT SIZE"
asks for messages), Chat (each message comes back), Wait (one message comes back, and nothing more until the client
gives the call up).
"""

import argparse
import collections
import concurrent.futures
import json
import sys
import threading
import time

import environment

try:
    import grpc
except ModuleNotFoundError as missing:
    environment.enter(missing)

PATIENCE = 30
LARGE = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
# Milliseconds between two pings of a client that is told to send them.
PINGS = 50


def say(*words):
    """One line at once, also from several threads."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Methods(grpc.GenericRpcHandler):
    """Every method of every service."""

    def service(self, details):
        kind = details.method.rpartition("/")[2]
        if kind == "Say":
            return grpc.unary_unary_rpc_method_handler(self.told(details, lambda message, _: message))
        if kind == "Put":
            return grpc.stream_unary_rpc_method_handler(self.told(details, lambda all, _: b"%d" % sum(map(len, all))))
        if kind == "Get":
            return grpc.unary_stream_rpc_method_handler(self.streamed(details, self.get))
        if kind == "Chat":
            return grpc.stream_stream_rpc_method_handler(self.streamed(details, lambda all, _: all))
        if kind == "Wait":
            return grpc.unary_stream_rpc_method_handler(self.streamed(details, self.wait))
        return None

    @staticmethod
    def ended(details, context):
        """Tells of a call, and of its end whoever brings it about. What is given back notes that the answer is whole."""
        say("call", details.method, "from", context.peer())
        whole = threading.Event()
        context.add_callback(lambda: say("end", details.method, "OK" if whole.is_set() else "CANCELLED"))
        return whole.set

    @classmethod
    def told(cls, details, work):
        """A method with one message for its answer."""

        def handle(request, context):
            end = cls.ended(details, context)
            answer = work(request, context)
            end()
            return answer

        return handle

    @classmethod
    def streamed(cls, details, work):
        """A method with many."""

        def handle(request, context):
            end = cls.ended(details, context)
            yield from work(request, context)
            if context.is_active():
                end()

        return handle

    @staticmethod
    def get(request, _context):
        count, size = map(int, request.split())
        message = b"x" * size
        return (message for _ in range(count))

    @staticmethod
    def wait(request, context):
        over = threading.Event()
        if context.add_callback(over.set):
            yield request
            over.wait()


def serve(addresses):
    options = [*LARGE, ("grpc.http2.min_ping_interval_without_data_ms", 10), ("grpc.so_reuseport", 0)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(128), options=options)
    server.add_generic_rpc_handlers([Methods()])
    for address in addresses:
        if not server.add_insecure_port(address):
            sys.exit(f"{address} cannot be had")
    server.start()
    say("serving", *addresses)
    server.wait_for_termination()


class Client:
    """One channel, and stories that are told over it."""

    def __init__(self, channel):
        self.channel = channel

    @staticmethod
    def code(work):
        """What a call comes to: its code, with what the answer says of it."""
        try:
            work()
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}".removesuffix(": ")
        return "OK"

    def say(self, method, metadata=None):
        answer = self.channel.unary_unary(method)(b"hello", PATIENCE, metadata)
        assert answer == b"hello", answer

    def put(self, method, count, size):
        answer = self.channel.stream_unary(method)((b"x" * size for _ in range(count)), PATIENCE)
        assert int(answer) == count * size, answer

    def get(self, method, count, size):
        came = sum(map(len, self.channel.unary_stream(method)(b"%d %d" % (count, size), PATIENCE)))
        assert came == count * size, came

    def chat(self, method, met=lambda: None):
        """Three messages come back, one after the other; `met` is called behind the first."""
        came = threading.Semaphore(1)

        def messages():
            for number in range(3):
                came.acquire(timeout=PATIENCE)
                yield b"%d" % number

        for number, answer in enumerate(self.channel.stream_stream(method)(messages(), PATIENCE)):
            assert answer == b"%d" % number, answer
            if number == 0:
                met()
            came.release()

    def kinds(self, service):
        """A call of each kind."""
        return {
            "say": self.code(lambda: self.say(f"/{service}/Say")),
            "put": self.code(lambda: self.put(f"/{service}/Put", 100, 10_000)),
            "get": self.code(lambda: self.get(f"/{service}/Get", 100, 10_000)),
            "chat": self.code(lambda: self.chat(f"/{service}/Chat")),
        }

    def crowd(self, count):
        """Calls that are open at the same time: of even number those of a service, of odd number those of another."""
        all_open = threading.Barrier((count + 1) // 2, timeout=PATIENCE)

        def one(number):
            service, met = ("lab.Secret", lambda: None) if number % 2 else ("lab.Echo", all_open.wait)
            return f"{service} " + self.code(lambda: self.chat(f"/{service}/Chat", met)).partition(":")[0]

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return collections.Counter(pool.map(one, range(count)))

    def wait(self, seconds):
        """A call that the server has begun with and will not end."""
        call = self.channel.unary_stream("/lab.Echo/Wait")(b"x", seconds)
        next(call)
        return call

    def give_up(self):
        """One call runs into its deadline, another one is cancelled, once the server has begun with them."""

        def cancelled():
            call = self.wait(PATIENCE)
            call.cancel()
            next(call)

        return {
            "deadline": self.code(lambda: next(self.wait(1))),
            "cancel": self.code(cancelled),
            "after": self.code(lambda: self.say("/lab.Echo/Say")),
        }

    def bulk(self, count):
        """Bytes in messages of one MiB, first down, then up."""
        return {
            "get": self.code(lambda: self.get("/lab.Echo/Get", count >> 20, 1 << 20)),
            "put": self.code(lambda: self.put("/lab.Echo/Put", count >> 20, 1 << 20)),
        }

    def unread(self, count):
        """Asks for bytes in messages of one MiB, and makes calls of each kind before the second one is read."""
        messages = self.channel.unary_stream("/lab.Echo/Get")(b"%d %d" % (count >> 20, 1 << 20), PATIENCE)
        came = len(next(messages))
        codes = set(self.kinds("lab.Echo").values())
        whole = self.code(lambda: sum(map(len, messages)) + came == count or sys.exit("bytes were lost"))
        return {"others": ", ".join(sorted(codes)), "unread": whole}

    def uploads(self, count, size):
        """Sends into calls that are denied, and meanwhile makes others."""
        codes = collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for _ in range(count):
                other = pool.submit(self.code, lambda: self.say("/lab.Echo/Say"))
                denied = self.code(lambda: self.put("/lab.Secret/Put", size >> 16, 1 << 16))
                codes.update(["Put " + denied.partition(":")[0], "Say " + other.result().partition(":")[0]])
        return codes

    def watch(self, *methods):
        """Makes the same calls again and again until it is killed; says what they come to whenever that changes."""
        last = None
        while True:
            codes = ", ".join(self.code(lambda one=one: self.say(one)).partition(":")[0] for one in methods)
            if codes != last:
                say("now", codes)
            last = codes
            time.sleep(0.01)

    def idle(self, seconds):
        """A call that is open without a word, pings of the connection apart."""
        call = self.wait(PATIENCE)
        time.sleep(seconds)
        told = {"open": call.is_active()}
        call.cancel()
        return told | {"after": self.code(lambda: self.say("/lab.Echo/Say"))}

    def metadata(self, *pairs):
        """A call for each pair NAME=VALUE, and one without any."""
        sent = [None, *([tuple(pair.split("=", 1))] for pair in pairs)]
        words = ["", *pairs]
        return {word: self.code(lambda one=one: self.say("/lab.Echo/Say", one)) for word, one in zip(words, sent)}


STORIES = {
    "kinds": (Client.kinds, str),
    "crowd": (Client.crowd, int),
    "give-up": (Client.give_up, str),
    "bulk": (Client.bulk, int),
    "uploads": (Client.uploads, int),
    "unread": (Client.unread, int),
    "watch": (Client.watch, str),
    "idle": (Client.idle, float),
    "metadata": (Client.metadata, str),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    server = parts.add_parser("server", help="one line for each call, and one for its end")
    server.add_argument("addresses", nargs="+", metavar="HOST:PORT")
    client = parts.add_parser("client", help="tells a story over one channel; prints what each call came to as JSON")
    client.add_argument("address", metavar="HOST:PORT")
    client.add_argument("story", choices=STORIES)
    client.add_argument("arguments", nargs="*")
    client.add_argument("--pings", action="store_true", help=f"ping each {PINGS} ms")
    arguments = parser.parse_args()
    if arguments.part == "server":
        serve(arguments.addresses)
        return 0
    options = [*LARGE, ("grpc.max_reconnect_backoff_ms", 500)]
    if arguments.pings:
        options += [
            ("grpc.keepalive_time_ms", PINGS),
            ("grpc.keepalive_timeout_ms", 5000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    story, kind = STORIES[arguments.story]
    with grpc.insecure_channel(arguments.address, options=options) as channel:
        told = story(Client(channel), *map(kind, arguments.arguments))
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
