"""Sends a marked packet to a peer by one of many ways that no socket hook sees, or sees too late.

Usage: packets.py WAY TO PORT MARKER [ARGUMENT]. Prints `sent`, or what the kernel said.
"""
import errno, os, socket, struct, subprocess, sys, time

way, to, port, marker = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
argument = sys.argv[5] if len(sys.argv) > 5 else ''
V6 = ':' in to
FAMILY = socket.AF_INET6 if V6 else socket.AF_INET
UDP, TCP, LITE, SCTP, ICMP = 17, 6, 136, 132, 58 if V6 else 1


def own():
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as probe:
        probe.connect((to, 9000))
        return probe.getsockname()[0]


def checksum(data):
    if len(data) % 2: data += b'\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff


def pseudo(source, protocol, length):
    a, b = socket.inet_pton(FAMILY, source), socket.inet_pton(FAMILY, to)
    return a + b + (struct.pack('!II', length, protocol) if V6 else struct.pack('!HH', protocol, length))


def udp(source, payload, sport=5555, protocol=UDP):
    length = 8 + len(payload)
    head = struct.pack('!HHHH', sport, port, length, 0)
    return head[:6] + struct.pack('!H', checksum(pseudo(source, protocol, length) + head + payload)) + payload


def tcp(source, payload, flags, sport=5555):
    head = struct.pack('!HHIIBBHHH', sport, port, 1000, 1000, 5 << 4, flags, 1000, 0, 0)
    sum_ = checksum(pseudo(source, TCP, 20 + len(payload)) + head + payload)
    return head[:16] + struct.pack('!H', sum_) + head[18:] + payload


def message(source, kind, payload, code=0):
    body = struct.pack('!BBHHH', kind, code, 0, 7, 1) + payload
    sum_ = checksum((pseudo(source, ICMP, len(body)) if V6 else b'') + body)
    return body[:2] + struct.pack('!H', sum_) + body[4:]


def packet(source, protocol, body, fragment=0, ident=77):
    a, b = socket.inet_pton(FAMILY, source), socket.inet_pton(FAMILY, to)
    if V6:
        if fragment or ident != 77:
            body, protocol = struct.pack('!BBHI', protocol, 0, (fragment & 0x1fff) << 3 | (fragment >> 13), ident) + body, 44
        return struct.pack('!IHBB', 6 << 28, len(body), protocol, 64) + a + b + body
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(body), ident, fragment, 64, protocol, 0) + a + b
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + body


def raw(data):
    with socket.socket(FAMILY, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        if V6: out.setsockopt(socket.IPPROTO_IPV6, 36, 1)
        out.sendto(data, (to, 0))


def frame(data, kind=None, bypass=False, tag=None):
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as warm: warm.sendto(b'warm', (to, 9000))
    route = subprocess.run(['ip', '-o', 'route', 'get', to], capture_output=True, text=True).stdout.split()
    near = route[route.index('via') + 1] if 'via' in route else to
    deadline = 50
    while True:
        shown = subprocess.run(['ip', 'neigh', 'show', near], capture_output=True, text=True).stdout.split()
        if 'lladdr' in shown: break
        deadline -= 1
        if not deadline: sys.exit('no neighbour')
    there = bytes.fromhex(shown[shown.index('lladdr') + 1].replace(':', ''))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        if bypass: out.setsockopt(263, 20, 1)
        out.bind(('eth0', 0))
        here = out.getsockname()[4]
        kind = struct.pack('!H', kind or (0x86dd if V6 else 0x800))
        out.send(there + here + (struct.pack('!HH', 0x8100, tag) if tag else b'') + kind + data)


def send():
    if way in ('udp', 'connected', 'bound'):
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            if way == 'bound': out.bind(('', int(argument)))
            if way == 'connected':
                out.connect((to, port))
                out.send(marker)
            else: out.sendto(marker, (to, port))
    elif way == 'stream mark':
        with socket.create_connection((to, port)) as out:
            out.setsockopt(socket.SOL_SOCKET, 36, 0x77)
            out.sendall(marker)
            time.sleep(0.1)
    elif way == 'lite':
        with socket.socket(FAMILY, socket.SOCK_DGRAM, LITE) as out: out.sendto(marker, (to, port))
    elif way == 'freebind':
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            out.setsockopt(socket.IPPROTO_IPV6 if V6 else 0, 78 if V6 else 15, 1)
            out.bind((argument, 5556))
            out.sendto(marker, (to, port))
    elif way == 'routing header':
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            kind = int(argument)
            hop, last = socket.inet_pton(FAMILY, to), socket.inet_pton(FAMILY, '::1')
            if kind == 4: header = struct.pack('!BBBBBBH', 0, 4, 4, 1, 1, 0, 0) + last + hop
            else: header = struct.pack('!BBBBI', 0, 2, kind, 1, 0) + hop
            out.setsockopt(socket.IPPROTO_IPV6, 57, header)
            out.sendto(marker, ('::1' if kind == 4 else to, port))
    elif way == 'raw routing header':
        inner = udp(own(), marker)
        header = struct.pack('!BBBBI', UDP, 2, int(argument), 1, 0) + socket.inet_pton(FAMILY, own())
        raw(packet(own(), 43, header + inner))
    elif way == 'home address':
        header = struct.pack('!BB', UDP, 2) + bytes([1, 2, 0, 0]) + bytes([0xc9, 16]) + socket.inet_pton(FAMILY, argument)
        raw(packet(own(), 60, header + udp(own(), marker)))
    elif way == 'source route':
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            out.setsockopt(0, socket.IP_OPTIONS, bytes([1, 131, 7, 4]) + socket.inet_aton(argument))
            out.sendto(marker, (to, port))
    elif way == 'mark':
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            out.sendmsg([marker], [(socket.SOL_SOCKET, 36, struct.pack('I', 0x77))], 0, (to, port))
    elif way == 'raw udp':
        with socket.socket(FAMILY, socket.SOCK_RAW, UDP) as out: out.sendto(udp(own(), marker), (to, 0))
    elif way == 'raw udp from': raw(packet(argument, UDP, udp(argument, marker)))
    elif way == 'raw udp port': raw(packet(own(), UDP, udp(own(), marker, int(argument))))
    elif way in ('raw syn', 'raw ack', 'raw rst'):
        flags = {'raw syn': 2, 'raw ack': 24, 'raw rst': 4}[way]
        raw(packet(own(), TCP, tcp(own(), marker, flags, int(argument or 5555))))
    elif way == 'raw lite': raw(packet(own(), LITE, udp(own(), marker, protocol=LITE)))
    elif way == 'raw sctp': raw(packet(own(), SCTP, struct.pack('!HHII', 5555, port, 0, 0) + marker))
    elif way == 'raw protocol': raw(packet(own(), int(argument), marker))
    elif way == 'message':
        with socket.socket(FAMILY, socket.SOCK_RAW, ICMP) as out: out.sendto(message(own(), int(argument), marker * 20), (to, 0))
    elif way == 'fragments':
        body = udp(own(), marker * 8)
        raw(packet(own(), UDP, body[:48], 0x2000))
        raw(packet(own(), UDP, body[48:], 6))
    elif way == 'later fragment': raw(packet(own(), UDP, marker, 6, ident=78))
    elif way == 'frame': frame(packet(own(), UDP, udp(own(), marker)))
    elif way == 'frame around queues': frame(packet(own(), UDP, udp(own(), marker)), bypass=True)
    elif way == 'ack around queues': frame(packet(own(), TCP, tcp(own(), marker, 24, int(argument or 5555))), bypass=True)
    elif way == 'frame from': frame(packet(argument, UDP, udp(argument, marker)), bypass=True)
    elif way == 'tagged': frame(packet(own(), UDP, udp(own(), marker)), tag=5)
    elif way == 'other ethertype': frame(marker * 8, kind=0x88b5)
    elif way == 'broadcast':
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            out.sendto(marker, (to, port))
    elif way == 'multicast':
        with socket.socket(FAMILY, socket.SOCK_DGRAM) as out:
            out.sendto(marker, (to, port, 0, socket.if_nametoindex(argument)) if V6 else (to, port))
    else: sys.exit('no such way: ' + way)


try:
    send()
    print('sent')
except OSError as error:
    print(errno.errorcode.get(error.errno, str(error)))
