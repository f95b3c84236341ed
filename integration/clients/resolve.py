#!/usr/bin/python3
"""A DNS client made by hand: one that connects in the tick it gets an answer, and others that do what is unusual."""

import argparse
import json
import random
import selectors
import signal
import socket
import struct
import sys
import time

A, AAAA = 1, 28
PATIENCE = 10
MARK = 250


def question(name, kind, number):
    """A query. The case of letters is random (0x20): the answer has to have the same."""
    name = "".join(random.choice((letter.lower(), letter.upper())) for letter in name.rstrip("."))
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def addresses(message):
    """Answer code, and the addresses."""
    flags, questions, answers = struct.unpack_from(">HHH", message, 2)
    at = 12
    for _ in range(questions):
        at = skip_name(message, at) + 4
    found = []
    for _ in range(answers):
        at = skip_name(message, at)
        kind, _, _, length = struct.unpack_from(">HHIH", message, at)
        at += 10
        if kind in (A, AAAA):
            family = socket.AF_INET if kind == A else socket.AF_INET6
            found.append(socket.inet_ntop(family, message[at : at + length]))
        at += length
    return flags & 15, found


def udp(server):
    asker = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    asker.connect((server, 53))
    asker.settimeout(PATIENCE)
    return asker


def ask(asker, name, kind):
    """Gives what `addresses` gives, or None when no answer comes. The question has to come back letter by letter."""
    query = question(name, kind, random.getrandbits(16))
    asker.send(query)
    while True:
        try:
            answer = asker.recv(65535)
        except TimeoutError:
            return None
        if answer[:2] == query[:2] and answer[12 : len(query)] == query[12:]:
            return addresses(answer)


def get(connection, name):
    connection.sendall(f"GET /get HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    return connection.recv(65535).startswith(b"HTTP/1.1 200")


def race(arguments):
    """Names FIRST to FIRST+COUNT, each asked for once and connected to at once."""
    asker, kind = udp(arguments.server), AAAA if arguments.v6 else A
    told = {"connected": 0, "silent": [], "unresolved": [], "refused": [], "failed": []}
    for number in range(arguments.first, arguments.first + arguments.count):
        name = arguments.pattern.replace("#", str(number))
        answer = ask(asker, name, kind)
        if answer is None:
            told["silent"].append(name)
            continue
        if answer[0] or not answer[1]:
            told["unresolved"].append([name, answer[0]])
            continue
        connection = socket.socket(socket.AF_INET6 if arguments.v6 else socket.AF_INET)
        connection.settimeout(PATIENCE)
        # No port is kept waiting afterwards.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            connection.connect((answer[1][0], 80))
            if arguments.http and not get(connection, name):
                raise OSError("no 200")
            told["connected"] += 1
        except ConnectionRefusedError:
            told["refused"].append(name)
        except OSError as error:
            told["failed"].append([name, str(error)])
        connection.close()
        if (number + 1 - arguments.first) % MARK == 0:
            print(number + 1 - arguments.first, "done", flush=True)
    print(json.dumps(told), flush=True)


def steady(arguments):
    """Asks until it is told to stop (SIGTERM), for one name after the other."""
    told = {"asked": 0, "answered": 0, "denied": 0, "failed": 0, "unsent": 0, "silent": 0, "errors": {}}
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    kind = AAAA if arguments.v6 else A
    asker = None
    print("asking", flush=True)
    while not ending:
        told["asked"] += 1
        name = arguments.pattern.replace("#", str(told["asked"] % arguments.count))
        try:
            # As resolvers do: another try has another socket.
            if asker is None:
                asker = udp(arguments.server)
                asker.settimeout(arguments.wait)
            answer = ask(asker, name, kind)
            what = "silent" if answer is None else {0: "answered", 5: "denied"}.get(answer[0], "failed")
        except OSError as error:
            what = "unsent"
            told["errors"][str(error)] = told["errors"].get(str(error), 0) + 1
            asker = None
            time.sleep(0.01)
        told[what] += 1
        if what != "answered" or told[what] % MARK == 0:
            print(json.dumps(told | {"at": time.time()}), flush=True)
    print(json.dumps(told | {"ended": True}), flush=True)


class Asker:
    """A socket of its own, connected or not, that has one question in the air."""

    def __init__(self, server, connected):
        self.server, self.connected, self.socket = (server, 53), connected, None

    def ask(self, name, kind):
        if self.socket is None:
            self.socket = socket.socket(socket.AF_INET6 if ":" in self.server[0] else socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setblocking(False)
            if self.connected:
                self.socket.connect(self.server)
        self.query = question(name, kind, random.getrandbits(16))
        self.until = time.monotonic() + PATIENCE
        if self.connected:
            self.socket.send(self.query)
        else:
            self.socket.sendto(self.query, self.server)

    def hear(self):
        """What `addresses` gives, or None for what answers nothing."""
        answer = self.socket.recv(65535)
        fits = answer[:2] == self.query[:2] and answer[12 : len(self.query)] == self.query[12:]
        return addresses(answer) if fits else None

    def close(self):
        self.socket, closed = None, self.socket
        if closed is not None:
            closed.close()


def flood(arguments):
    """Keeps so many questions in the air until it is told to stop (SIGTERM), and then waits for what is in the air."""
    told = {"asked": 0, "answered": 0, "denied": 0, "failed": 0, "refused": 0, "silent": 0, "errors": {}}
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    kind = AAAA if arguments.v6 else A
    idle = [Asker(arguments.server, number % 2 == 0) for number in range(arguments.count)]
    rested, heard, shown = [], selectors.DefaultSelector(), 0.0
    print("asking", flush=True)

    def over(asker, what, error=None):
        told[what] += 1
        if asker.socket is not None and asker.socket in heard.get_map():
            heard.unregister(asker.socket)
        if error is None:
            idle.append(asker)
        else:
            # As resolvers do: another try, a little later, has another socket.
            told["errors"][str(error)] = told["errors"].get(str(error), 0) + 1
            asker.close()
            rested.append((time.monotonic() + 0.01, asker))

    while not ending or heard.get_map():
        while idle and not ending:
            asker = idle.pop()
            told["asked"] += 1
            try:
                asker.ask(arguments.pattern.replace("#", str(told["asked"] % 50)), kind)
                heard.register(asker.socket, selectors.EVENT_READ, asker)
            except OSError as error:
                over(asker, "refused", error)
        for key, _ in heard.select(0.01):
            try:
                answer = key.data.hear()
            except OSError as error:
                over(key.data, "refused", error)
                continue
            if answer is not None:
                over(key.data, {0: "answered", 5: "denied"}.get(answer[0], "failed"))
        now = time.monotonic()
        for asker in [key.data for key in heard.get_map().values() if key.data.until < now]:
            over(asker, "silent", "no answer to a socket that is " + ("connected" if asker.connected else "not connected"))
        while rested and rested[0][0] < now:
            idle.append(rested.pop(0)[1])
        if now > shown + 0.05:
            shown = now
            print(json.dumps(told | {"at": time.time()}), flush=True)
    print(json.dumps(told | {"ended": True}), flush=True)


def read_exactly(connection, length):
    read = b""
    while len(read) < length:
        more = connection.recv(length - len(read))
        if not more:
            raise EOFError
        read += more
    return read


def tcp(server):
    connection = socket.create_connection((server, 53), PATIENCE)
    connection.settimeout(PATIENCE)
    return connection


def read_message(connection):
    return read_exactly(connection, struct.unpack(">H", read_exactly(connection, 2))[0])


def pipeline(arguments):
    """Writes all queries over one connection before it reads anything. Answers come in any order."""
    connection, expected, written = tcp(arguments.server), {}, b""
    for number in range(arguments.count):
        query = question(arguments.pattern.replace("#", str(number)), A, number)
        expected[number] = query
        written += struct.pack(">H", len(query)) + query
    connection.sendall(written)
    found = {}
    while expected:
        answer = read_message(connection)
        number = struct.unpack_from(">H", answer)[0]
        query = expected.pop(number)
        assert answer[12 : len(query)] == query[12:], (query, answer)
        found[number] = addresses(answer)
    print(json.dumps(found))


def raw(arguments):
    """Sends messages as they are, each from its own socket; prints answers as they are, null for silence."""
    answers = []
    for message in arguments.messages:
        message = bytes.fromhex(message)
        try:
            if arguments.tcp:
                with tcp(arguments.server) as connection:
                    connection.sendall(struct.pack(">H", len(message)) + message)
                    answers.append(read_message(connection).hex())
            else:
                with udp(arguments.server) as asker:
                    asker.settimeout(arguments.wait)
                    asker.send(message)
                    answers.append(asker.recv(65535).hex())
        except (OSError, EOFError):
            answers.append(None)
    print(json.dumps(answers))


def refused(address, tries):
    """Whether new connections come to be refused."""
    for _ in range(tries):
        try:
            socket.create_connection((address, 80), PATIENCE).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.2)
    return False


def hold(arguments):
    """Keeps one connection open beyond the time of its address, then closes it."""
    code, found = ask(udp(arguments.server), arguments.pattern, AAAA if arguments.v6 else A)
    if code or not found:
        sys.exit(f"not resolved: {code}")
    kept = socket.create_connection((found[0], 80), PATIENCE)
    told = {"first": get(kept, arguments.pattern), "refused_meanwhile": refused(found[0], arguments.count)}
    told["kept"] = get(kept, arguments.pattern)
    kept.close()
    print(json.dumps(told | {"refused_after": refused(found[0], arguments.after)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["race", "steady", "flood", "pipeline", "raw", "hold"])
    parser.add_argument("server", help="its address")
    parser.add_argument("pattern", nargs="?", default="", help="a name; # stands for a number")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--after", type=int, default=150, help="looks, five a second, after all is closed")
    parser.add_argument("--v6", action="store_true", help="AAAA instead of A")
    parser.add_argument("--http", action="store_true", help="make a request over each connection")
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--wait", type=float, default=2, help="seconds until an answer counts as lost")
    parser.add_argument("--messages", nargs="*", default=[], help="in hexadecimal")
    arguments = parser.parse_args()
    {"race": race, "steady": steady, "flood": flood, "pipeline": pipeline, "raw": raw, "hold": hold}[arguments.what](arguments)


if __name__ == "__main__":
    main()
