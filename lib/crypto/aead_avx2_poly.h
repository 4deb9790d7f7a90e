/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Beginning and end of a Poly1305 sum; what lies between is in aead_avx2_pass.S.  Private to the
 * AVX2 back end.
 *
 * Source: RFC 8439 section 2.5.
 */
#ifndef LIB_CRYPTO_AEAD_AVX2_POLY_H
#define LIB_CRYPTO_AEAD_AVX2_POLY_H

#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

#include "lib/base/bytes.h"
#include "lib/crypto/aead_avx2_pass.h"

__extension__ typedef unsigned __int128 uint128;

static inline __m128i
load_vector(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline void
store_vector(uint8_t *p, __m128i v)
{
	_mm_storeu_si128((__m128i *)(void *)p, v);
}

/* All ones in the first len bytes, zero in the others; len <= 16. */
static inline __m128i
first_bytes(size_t len)
{
	static const uint8_t ones_then_zeros[32] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return load_vector(ones_then_zeros + 16 - len);
}

/* key: 32 bytes of key stream, block 0. */
static inline void
poly_init(struct poly *poly, const uint8_t *key)
{
	uint64_t r0 = load_le64(key) & UINT64_C(0x0ffffffc0fffffff);
	uint64_t r1 = load_le64(key + 8) & UINT64_C(0x0ffffffc0ffffffc);

	poly->h[0] = poly->h[1] = poly->h[2] = 0;
	poly->r[0] = r0;
	poly->r[1] = r1;
	poly->r1_5 = r1 + (r1 >> 2);
	poly->s[0] = load_le64(key + 16);
	poly->s[1] = load_le64(key + 24);
}

/* One step, as in the assembler: see there. */
static inline __attribute__((always_inline)) void
poly_step(uint64_t h[static 3], const struct poly *poly, uint64_t m0, uint64_t m1)
{
	uint64_t r0 = poly->r[0], r1 = poly->r[1], r1_5 = poly->r1_5;
	uint128 a, d0, d1;
	uint64_t h0, h1, h2, d2;

	a = (uint128)h[0] + m0;
	h0 = (uint64_t)a;
	a = (uint128)h[1] + m1 + (uint64_t)(a >> 64);
	h1 = (uint64_t)a;
	h2 = h[2] + 1 + (uint64_t)(a >> 64);

	d0 = (uint128)h0 * r0 + (uint128)h1 * r1_5;
	d1 = (uint128)h0 * r1 + (uint128)h1 * r0 + h2 * r1_5 + (uint64_t)(d0 >> 64);
	d2 = h2 * r0 + (uint64_t)(d1 >> 64);

	a = (uint128)(uint64_t)d0 + (d2 >> 2) + (d2 & ~UINT64_C(3));
	h[0] = (uint64_t)a;
	a = (uint128)(uint64_t)d1 + (uint64_t)(a >> 64);
	h[1] = (uint64_t)a;
	h[2] = (d2 & 3) + (uint64_t)(a >> 64);
}

/*
 * The tag of a packet of len bytes, whose last `left` bytes are at data and not yet in the sum.
 * Reads whole vectors, up to 15 bytes behind the data.
 */
static inline __m128i
poly_finish(const struct poly *poly, const uint8_t *data, size_t left, uint64_t len)
{
	uint64_t h[3] = { poly->h[0], poly->h[1], poly->h[2] };
	uint64_t is_over;
	uint128 a, b;

	for (; left >= 16; left -= 16, data += 16)
		poly_step(h, poly, load_le64(data), load_le64(data + 8));
	if (left > 0) {
		__m128i padded = _mm_and_si128(load_vector(data), first_bytes(left));

		poly_step(h, poly, (uint64_t)_mm_extract_epi64(padded, 0),
			(uint64_t)_mm_extract_epi64(padded, 1));
	}
	poly_step(
		h, poly, 0, len); // length of the associated data, which there is none of, and ours

	// h is below 2 p.  If h + 5 reaches 2^130, h is p or more.
	a = (uint128)h[0] + 5;
	b = (uint128)h[1] + (uint64_t)(a >> 64);
	is_over = -((h[2] + (uint64_t)(b >> 64)) >> 2);
	__asm__("" : "+r"(is_over)); // keeps the compiler from making it a branch
	h[0] ^= (h[0] ^ (uint64_t)a) & is_over;
	h[1] ^= (h[1] ^ (uint64_t)b) & is_over;

	a = (uint128)h[0] + poly->s[0];
	b = (uint128)h[1] + poly->s[1] + (uint64_t)(a >> 64);
	return _mm_set_epi64x((int64_t)(uint64_t)b, (int64_t)(uint64_t)a);
}

#endif
