#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends what a stranger might, with any source address: run in a network namespace with CAP_NET_RAW.

    inject.py replay FILE.pcap --to A [--to A] [--source A] [--sport N] [--types 1,2,4] [--limit N] [--rate PPS]
    inject.py junk --to A --port N [--source A] [--count N] [--seed N] [--rate PPS]

replay: the UDP packets of a recording of wgrecord (--save) that went to one of the --to addresses, byte for byte,
        from the addresses that they came from, or from --source.
junk:   random bytes of every length, a part of them with the heads of WireGuard messages.
Prints one JSON object: {"sent": N, "types": {"1": n, ...}}
"""
import argparse, ipaddress, json, random, socket, struct, sys, time


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Wire:
    """Raw sockets of both families."""

    def __init__(self):
        self.v4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.v6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, source, sport, to, dport, payload):
        source, to = ipaddress.ip_address(source), ipaddress.ip_address(to)
        head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
        if to.version == 4:
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), random.getrandbits(16), 0, 64, 17, 0,
                             source.packed, to.packed)
            self.v4.sendto(ip + head + payload, (str(to), 0))
            return
        pseudo = source.packed + to.packed + struct.pack("!II", 8 + len(payload), 17)
        # IPv6 knows no packet without a checksum.
        head = struct.pack("!HHHH", sport, dport, 8 + len(payload), checksum(pseudo + head + payload) or 0xffff)
        ip = struct.pack("!IHBB16s16s", 6 << 28, 8 + len(payload), 17, 64, source.packed, to.packed)
        self.v6.sendto(ip + head + payload, (str(to), 0))


def recorded(path):
    """(source, source port, destination, destination port, payload) of each UDP packet."""
    with open(path, "rb") as f:
        data = f.read()
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack_from("=I", data, at + 8)[0]
        ip = data[at + 16:at + 16 + size]
        at += 16 + size
        if ip[0] >> 4 == 4 and ip[9] == 17:
            head = (ip[0] & 15) * 4
            source, to = ip[12:16], ip[16:20]
        elif ip[0] >> 4 == 6 and ip[6] == 17:
            head, source, to = 40, ip[8:24], ip[24:40]
        else:
            continue
        sport, dport = struct.unpack_from("!HH", ip, head)
        yield (str(ipaddress.ip_address(source)), sport, str(ipaddress.ip_address(to)), dport, ip[head + 8:])


def junk(rng):
    kind = rng.randrange(8)
    size = rng.choice([0, 1, 3, 4, 31, 32, 33, 47, 48, 63, 64, 65, 91, 92, 93, 147, 148, 149, rng.randrange(1400)])
    data = bytearray(rng.randbytes(size))
    if kind and size >= 4:
        data[:4] = struct.pack("<I", kind if kind < 5 else 4)
    if kind == 1 and rng.random() < .5:
        data = bytearray(b"\1\0\0\0" + rng.randbytes(144))
    if kind == 2 and rng.random() < .5:
        data = bytearray(b"\2\0\0\0" + rng.randbytes(88))
    return bytes(data)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=["replay", "junk"])
    a.add_argument("file", nargs="?")
    a.add_argument("--to", action="append", required=True)
    a.add_argument("--source")
    a.add_argument("--sport", type=int)
    a.add_argument("--port", type=int, default=51820)
    a.add_argument("--types", default="1,2,3,4")
    a.add_argument("--limit", type=int, default=10000)
    a.add_argument("--count", type=int, default=1000)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--rate", type=float, default=2000)
    o = a.parse_args()
    wire, sent, types = Wire(), 0, {}
    if o.what == "junk":
        rng = random.Random(o.seed)
        packets = ((o.source, rng.randrange(1024, 65536), rng.choice(o.to), o.port, junk(rng)) for _ in range(o.count))
    else:
        chosen = {int(t) for t in o.types.split(",")}
        packets = [(o.source or p[0], o.sport or p[1], *p[2:]) for p in recorded(o.file)
                   if p[2] in o.to and p[4] and p[4][0] in chosen][:o.limit]
    for p in packets:
        # A family that the source is not of cannot be spoofed with it.
        if (":" in p[0]) != (":" in p[2]):
            continue
        wire.send(*p)
        kind = str(p[4][0]) if p[4] and p[4][0] in (1, 2, 3, 4) else "other"
        types[kind] = types.get(kind, 0) + 1
        sent += 1
        time.sleep(1 / o.rate)
    print(json.dumps({"sent": sent, "types": types}))


if __name__ == "__main__":
    sys.exit(main())
