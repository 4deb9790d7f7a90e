#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints the constants of tests/unit/lib/crypto/hash_test.c.

BLAKE2s is that of Python's hashlib (the authors' reference code), HMAC that of its hmac module.
The self-test of RFC 7693 appendix E is run first, to see that this is BLAKE2s; then its idea, one
hash over many results, with the result lengths that lib/crypto offers.
"""

import hashlib
import hmac


def sequence(length, seed):
    a, b, out = 0xDEAD4BAD * seed & 0xffffffff, 1, bytearray()
    for _ in range(length):
        t = (a + b) & 0xffffffff
        a, b = b, t
        out.append(t >> 24)
    return bytes(out)


def appendix_e():
    grand = hashlib.blake2s()
    for out_len in (16, 20, 28, 32):
        for in_len in (0, 3, 64, 65, 255, 1024):
            data = sequence(in_len, in_len)
            grand.update(hashlib.blake2s(data, digest_size=out_len).digest())
            key = sequence(out_len, out_len)
            grand.update(hashlib.blake2s(data, digest_size=out_len, key=key).digest())
    assert grand.hexdigest() == '6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe'


def main():
    appendix_e()
    hashes, macs, hmacs = hashlib.blake2s(), hashlib.blake2s(), hashlib.blake2s()
    for in_len in range(1025):
        data = sequence(in_len, in_len)
        hashes.update(hashlib.blake2s(data).digest())
        key = sequence(1 + in_len % 32, in_len)
        macs.update(hashlib.blake2s(data, digest_size=16, key=key).digest())
        hmacs.update(hmac.new(sequence(in_len % 130, in_len), data, 'blake2s').digest())
    print('hashes', hashes.hexdigest())
    print('macs  ', macs.hexdigest())
    print('hmacs ', hmacs.hexdigest())


main()
