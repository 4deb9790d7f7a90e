#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Prints lib/crypto/aead_answers.h: what every AEAD back end must answer before it is used.

ChaCha20-Poly1305 written down once more, from RFC 8439 alone and without any library, and checked
with the RFC's own example of section 2.8.2.  BLAKE2s is that of hashlib.

    python3 tests/vectors/aead_known_answers.py > lib/crypto/aead_answers.h
"""

import hashlib
import struct

# What libraries get wrong at block ends, in order; then a burst as it comes, of lengths that do not
# follow each other, among them runs of one length and packets of less than a block between long
# ones, so that code that mixes blocks of different packets meets each of its cases.
LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 255, 256, 257, 352, 511, 512, 513, 1023, 1024,
           1025, 1420, 4096, 9216,
           64, 1420, 64, 352, 0, 1500, 16, 576, 1, 1088, 2049, 32, 1280, 48, 960, 1025, 1472, 80,
           64, 64, 64, 64, 64, 64, 64, 64, 64, 352, 352, 352, 352, 352, 352, 352,
           193, 2112, 3, 770, 1985, 129, 449, 1216, 321, 31, 833, 704, 2176, 1345, 5, 1424, 1424,
           1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424, 1424,
           1437, 65, 47, 1151, 608, 3000, 7]


def rotate(v, n):
    return ((v << n) | (v >> (32 - n))) & 0xffffffff


def quarter_round(x, a, b, c, d):
    for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[p] = (x[p] + x[q]) & 0xffffffff
        x[r] = rotate(x[r] ^ x[p], n)


def chacha20_block(key, counter, nonce):
    start = list(struct.unpack('<4I8I', b'expand 32-byte k' + key)) + [counter]
    start += struct.unpack('<3I', nonce)
    x = start[:]
    for _ in range(10):
        for i in range(4):
            quarter_round(x, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter_round(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack('<16I', *((a + b) & 0xffffffff for a, b in zip(x, start)))


def chacha20(key, counter, nonce, text):
    out = bytearray()
    for i in range(0, len(text), 64):
        block = chacha20_block(key, counter + i // 64, nonce)
        out += bytes(a ^ b for a, b in zip(text[i:i + 64], block))
    return bytes(out)


def poly1305(key, text):
    r = int.from_bytes(key[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    a = 0
    for i in range(0, len(text), 16):
        a = (a + int.from_bytes(text[i:i + 16] + b'\1', 'little')) * r % (2**130 - 5)
    return ((a + int.from_bytes(key[16:], 'little')) % 2**128).to_bytes(16, 'little')


def pad16(text):
    return text + bytes(-len(text) % 16)


def seal(key, nonce, plain, ad):
    cipher = chacha20(key, 1, nonce, plain)
    lengths = struct.pack('<QQ', len(ad), len(cipher))
    tag = poly1305(chacha20_block(key, 0, nonce)[:32], pad16(ad) + pad16(cipher) + lengths)
    return cipher + tag


def check_rfc():
    plain = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the"
             b" future, sunscreen would be it.")
    sealed = seal(bytes(range(0x80, 0xa0)), bytes.fromhex('070000004041424344454647'), plain,
                  bytes.fromhex('50515253c0c1c2c3c4c5c6c7'))
    assert sealed[-16:].hex() == '1ae10b594f09e26a7e902ecbd0600691'
    assert sealed[:16].hex() == 'd31a8d34648e60db7b86afbc53ef7ec2'


# The same in lib/crypto/aead_check.c: keys, counters and plaintexts of row i.
def row(i, length):
    k = i - (i % 5 == 4)
    key = bytes((k * 37 + j * 11 + 5) & 255 for j in range(32))
    plain = bytes((i * 59 + j * 7 + (j >> 8) * 13 + 1) & 255 for j in range(length))
    counter = (0x0123456789abcdef * (i + 1)) & 0xffffffffffffffff
    sealed = seal(key, bytes(4) + struct.pack('<Q', counter), plain, b'')
    return hashlib.blake2s(sealed).digest()


def main():
    check_rfc()
    print('/* SPDX-License-Identifier: BSD-3-Clause\n *')
    print(' * Made by tests/vectors/aead_known_answers.py, a second implementation of RFC 8439.')
    print(' * The keys, counters and plaintexts are those of aead_check.c.')
    print(' */\n#ifndef LIB_CRYPTO_AEAD_ANSWERS_H\n#define LIB_CRYPTO_AEAD_ANSWERS_H\n')
    print('#include <stdint.h>\n\n#include "lib/crypto/hash.h"\n')
    print('// clang-format off')
    print(f'#define ANSWER_COUNT     {len(LENGTHS)}')
    print(f'#define ANSWER_TOTAL_LEN {sum(LENGTHS)} /* bytes of plaintext */\n')
    print('static const struct {')
    print('\tuint32_t len; /* bytes of plaintext */')
    print('\tuint8_t digest[HASH_LEN]; /* BLAKE2s of ciphertext and tag */')
    print('} answers[ANSWER_COUNT] = {')
    for i, length in enumerate(LENGTHS):
        digest = row(i, length)
        print(f'\t{{ {length}, {{')
        for j in (0, 16):
            print('\t\t' + ' '.join(f'0x{b:02x},' for b in digest[j:j + 16]))
        print('\t} },')
    print('};\n// clang-format on\n\n#endif')


if __name__ == "__main__":
    main()
