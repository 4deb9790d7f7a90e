#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints tests/vectors/poly1305_edges.json: sealed packets that bring Poly1305's accumulator to its edges.

A ciphertext may be anything, so one that is chosen leads the accumulator to any value: block c makes it T where
c = T - (what it was) is a number that a block can be, which one of four is.  Kernels that take every m-th block together
have an accumulator for each, with r^m; these are led there too.  ChaCha20 and Poly1305 are those of
aead_known_answers.py, from RFC 8439 alone.

    python3 tests/vectors/poly1305_edges.py > tests/vectors/poly1305_edges.json
"""

import json
import os
import random
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from aead_known_answers import chacha20_block, poly1305

P = 2**130 - 5
ONE = 2**128  # what a whole block has above its 16 bytes
random = random.Random(1305)

# Zero and its neighbours, both halves of a carry between limbs of 26, 44, 52 and 64 bits, and the ends.
TARGETS = {
    "0": 0, "1": 1, "4, as 2^130 - 1 is": 4, "5": 5, "p - 1": P - 1, "p - 2": P - 2, "p - 6": P - 6,
    "2^26 - 1": 2**26 - 1, "2^44 - 1": 2**44 - 1, "2^52 - 1": 2**52 - 1, "2^64 - 1": 2**64 - 1, "2^88 - 1": 2**88 - 1,
    "2^104 - 1": 2**104 - 1, "2^104": 2**104, "2^128 - 1": 2**128 - 1, "2^128": 2**128, "2^129 - 1": 2**129 - 1,
    "2^129": 2**129, "all limbs of 26 bits but the lowest full": P - 1 - (2**26 - 1) + 5,
    "all limbs of 44 bits but the highest full": 2**88 - 1 + 2**128,
}


class Packet:
    """A key, a counter, and what follows from them."""

    def __init__(self, key, counter):
        self.key, self.counter = key, counter
        self.one_time = chacha20_block(key, 0, bytes(4) + struct.pack('<Q', counter))[:32]
        self.r = int.from_bytes(self.one_time[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
        self.s = int.from_bytes(self.one_time[16:], 'little')

    def row(self, name, text):
        lengths = struct.pack('<QQ', 0, len(text))
        tag = poly1305(self.one_time, text + bytes(-len(text) % 16) + lengths)
        return {"name": name, "key": self.key.hex(), "counter": f"{self.counter:016x}", "ct": text.hex(), "tag": tag.hex()}


def random_packet():
    return Packet(random.randbytes(32), random.getrandbits(64))


def accumulate(packet, blocks, stride, begin=0):
    """Of every stride-th block from `begin` on, after the last multiplication."""
    h = 0
    for block in blocks[begin::stride]:
        h = (h + int.from_bytes(block, 'little') + ONE) * pow(packet.r, stride, P) % P
    return h


def as_block(value):
    value %= P
    return (value - ONE).to_bytes(16, 'little') if ONE <= value < 2 * ONE else None


def led_to(packet, target, lane, step, stride, more):
    """Blocks after which the accumulator of this lane is `target`, before it is multiplied."""
    while True:
        blocks = [random.randbytes(16) for _ in range(lane + step * stride)]
        block = as_block(target - accumulate(packet, blocks, stride, lane))
        if block is not None:
            return blocks + [block] + [random.randbytes(16) for _ in range(more)]


def ends_with(packet, target, n):
    """n blocks after which the accumulator is `target` at the very end, before s is added."""
    inverse = pow(packet.r, -1, P)
    lengths = ONE + int.from_bytes(struct.pack('<QQ', 0, 16 * n), 'little')
    before = (target * inverse - lengths) * inverse % P
    while True:
        blocks = [random.randbytes(16) for _ in range(n - 1)]
        block = as_block(before - accumulate(packet, blocks, 1))
        if block is not None:
            return blocks + [block]


def keys_at_edges():
    """Of many, the keys with the largest and the smallest r, and with the largest limbs."""
    many = [random_packet() for _ in range(3000)]
    yield "the largest r of many", max(many, key=lambda p: p.r)
    yield "the smallest r of many", min(many, key=lambda p: p.r)
    for limb in range(5):
        yield f"the largest limb {limb} of r", max(many, key=lambda p: p.r >> (26 * limb) & 0x3ffffff)
    yield "the largest s", max(many, key=lambda p: p.s)
    yield "the smallest s", min(many, key=lambda p: p.s)


def rows():
    for stride in (1, 2, 4, 8, 16):
        for i, (what, target) in enumerate(TARGETS.items()):
            lane, step = i % stride, 1 + i % 3
            packet = random_packet()
            blocks = led_to(packet, target, lane, step, stride, i % 7)
            yield packet.row(f"lane {lane} of {stride}, step {step}: {what}", b''.join(blocks))
    for i, (what, target) in enumerate(TARGETS.items()):
        packet = random_packet()
        yield packet.row(f"at the end: {what}", b''.join(ends_with(packet, target, 2 + i * 3)))
    for i in range(4):
        for what, low in (("tag of zeros", 0), ("tag of ones", 2**128 - 1), ("tag of 1", 1)):
            packet = random_packet()
            target = (low - packet.s) % 2**128 + i * 2**128
            if target < P:
                yield packet.row(f"{what}, accumulator above {i} * 2^128", b''.join(ends_with(packet, target, 5 + i)))
    for what, packet in keys_at_edges():
        for fill in (0xff, 0):
            yield packet.row(f"{what}, data of 0x{fill:02x}", bytes([fill]) * 560)
    for n in (1, 15, 16, 17, 63, 64, 65, 128, 255, 256, 257, 1024, 1424):
        yield random_packet().row(f"{n} bytes of 0xff", b'\xff' * n)


def main():
    print(json.dumps({"source": "tests/vectors/poly1305_edges.py", "tests": list(rows())}, indent=0))


main()
