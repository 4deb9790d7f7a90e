/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Poly1305 of one packet alone: in the integer unit if it is short, else eight blocks at once in
 * the lanes of poly1305_avx512.h.  Private to aead_avx512.c.
 *
 * Source: RFC 8439 sections 2.5 and 2.8, without associated data.
 * Owner:  data and key are the caller's.
 * Thread: any.
 */
#ifndef LIB_CRYPTO_POLY1305_ONE_AVX512_H
#define LIB_CRYPTO_POLY1305_ONE_AVX512_H

#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

#include "lib/base/bytes.h"
#include "lib/crypto/kernel_avx512.h"
#include "lib/crypto/poly1305_avx512.h"

/* Up to here the integer unit is done before the powers of r would be there. */
#define POLY1305_ONE_SHORT 256

/* RFC 8439 section 2.5: some bits of r are zero. */
#define R_MASK_LO UINT64_C(0x0ffffffc0fffffff)
#define R_MASK_HI UINT64_C(0x0ffffffc0ffffffc)

/* A number below 2^131 or so, least word first. */
struct wide {
	uint64_t x0, x1, x2;
};

/* ---- integer unit ---- */

/* h = (h + m) r.  The lower two bits of r1 are zero: 2^128 r1 is 5/4 r1. */
KERNEL struct wide
wide_step(struct wide h, uint64_t m0, uint64_t m1, uint64_t r0, uint64_t r1)
{
	uint64_t s1 = r1 + (r1 >> 2), x2;
	unsigned __int128 d0, d1, sum;

	sum = (unsigned __int128)h.x0 + m0;
	h.x0 = (uint64_t)sum;
	sum = (unsigned __int128)h.x1 + m1 + (uint64_t)(sum >> 64);
	h.x1 = (uint64_t)sum;
	h.x2 += 1 + (uint64_t)(sum >> 64);

	d0 = (unsigned __int128)h.x0 * r0 + (unsigned __int128)h.x1 * s1;
	d1 = (unsigned __int128)h.x0 * r1 + (unsigned __int128)h.x1 * r0 + h.x2 * s1;
	d1 += (uint64_t)(d0 >> 64);
	x2 = h.x2 * r0 + (uint64_t)(d1 >> 64);

	// What is above 2^130, five times.
	sum = (unsigned __int128)(uint64_t)d0 + (x2 >> 2) + (x2 & ~UINT64_C(3));
	h.x0 = (uint64_t)sum;
	sum = (unsigned __int128)(uint64_t)d1 + (uint64_t)(sum >> 64);
	h.x1 = (uint64_t)sum;
	h.x2 = (x2 & 3) + (uint64_t)(sum >> 64);
	return h;
}

/* The lowest 128 bits of h modulo 2^130 - 5, plus s; x2 may be anything below 2^60. */
KERNEL __m128i
wide_finish(struct wide h, uint64_t s0, uint64_t s1)
{
	unsigned __int128 low = (unsigned __int128)h.x1 << 64 | h.x0, reduced, sum;
	uint64_t above, is_above;

	above = h.x2 >> 2;
	h.x2 &= 3;
	sum = low + above * 5;
	h.x2 += sum < low;
	low = sum;
	// h + 5 reaches 2^130 where h is not below the modulus.
	reduced = low + 5;
	is_above = (h.x2 + (reduced < low)) >> 2;
	low ^= (low ^ reduced) & -(unsigned __int128)is_above;
	low += (unsigned __int128)s1 << 64 | s0;
	return _mm_set_epi64x((long long)(uint64_t)(low >> 64), (long long)(uint64_t)low);
}

KERNEL struct wide
wide_sum(const uint8_t *data, uint32_t len, uint64_t r0, uint64_t r1)
{
	struct wide h = { 0, 0, 0 };
	uint32_t at = 0;

	for (; at + 16 <= len; at += 16)
		h = wide_step(h, load_le64(data + at), load_le64(data + at + 8), r0, r1);
	if (at < len) {
		__m128i last = _mm_maskz_loadu_epi8((__mmask16)low_bits(len - at), data + at);

		h = wide_step(h, (uint64_t)_mm_cvtsi128_si64(last),
			(uint64_t)_mm_extract_epi64(last, 1), r0, r1);
	}
	return wide_step(h, 0, len, r0, r1);
}

/* ---- eight lanes ---- */

#define UNIT_LEN    256 /* bytes of a step: two times eight blocks */
#define UNIT_BLOCKS 16

struct lone {
	const uint8_t *begin; // of the first unit; may lie before the data
	uint32_t skip, end;   // bytes from there to the data and to its end
	uint32_t len;
	uint32_t n_units;
};

/* Sixty-four bytes, `at` from the beginning of the first unit; zeros outside the data. */
KERNEL __m512i
lone_load(const struct lone *u, uint32_t at)
{
	uint32_t skip = u->skip > at ? u->skip - at : 0;
	uint32_t end = u->end > at ? u->end - at : 0;
	uint32_t from = skip < CHUNK_LEN ? at : u->skip; // not from another page if nothing is read

	skip = skip < CHUNK_LEN ? skip : CHUNK_LEN;
	end = end < CHUNK_LEN ? end : CHUNK_LEN;
	return _mm512_maskz_loadu_epi8(low_bits(end) & ~low_bits(skip), u->begin + from);
}

/* Eight blocks; the lanes hold blocks 0 4 1 5 2 6 3 7 of them. */
KERNEL struct limbs
lone_blocks(const struct lone *u, uint32_t at)
{
	const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
	__m512i low = lone_load(u, at), high = lone_load(u, at + CHUNK_LEN);
	__mmask8 is_last = at + UNIT_LEN / 2 == u->n_units * UNIT_LEN ? 0x80 : 0;
	__m512i number = _mm512_add_epi64(order, _mm512_set1_epi64(at / 16));
	__mmask8 begun = _mm512_cmpge_epu64_mask(number, _mm512_set1_epi64(u->skip / 16));
	struct limbs m;

	high = _mm512_mask_set1_epi64(high, is_last, u->len); // the block of lengths
	m = limbs_split(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
	m.x2 = _mm512_mask_or_epi64(m.x2, begun, m.x2, TOP_BIT);
	return m;
}

/* The same where nothing is missing. */
KERNEL struct limbs
lone_blocks_whole(const struct lone *u, uint32_t at)
{
	__m512i low = _mm512_loadu_si512(u->begin + at);
	__m512i high = _mm512_loadu_si512(u->begin + at + CHUNK_LEN);
	struct limbs m;

	m = limbs_split(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
	m.x2 = _mm512_or_si512(m.x2, TOP_BIT);
	return m;
}

KERNEL struct limbs
limbs_select(__mmask8 mask, struct limbs a, struct limbs b)
{
	return (struct limbs){ _mm512_mask_mov_epi64(b.x0, mask, a.x0),
		_mm512_mask_mov_epi64(b.x1, mask, a.x1), _mm512_mask_mov_epi64(b.x2, mask, a.x2) };
}

KERNEL struct limbs
limbs_first(struct limbs a)
{
	return (struct limbs){ _mm512_broadcastq_epi64(_mm512_castsi512_si128(a.x0)),
		_mm512_broadcastq_epi64(_mm512_castsi512_si128(a.x1)),
		_mm512_broadcastq_epi64(_mm512_castsi512_si128(a.x2)) };
}

/* The sum of all lanes as one number. */
KERNEL struct wide
limbs_join(struct limbs h)
{
	uint64_t x0 = (uint64_t)_mm512_reduce_add_epi64(h.x0);
	uint64_t x1 = (uint64_t)_mm512_reduce_add_epi64(h.x1);
	uint64_t x2 = (uint64_t)_mm512_reduce_add_epi64(h.x2);
	unsigned __int128 low = (unsigned __int128)x1 << 44, sum;
	struct wide w;

	sum = low + x0;
	w.x0 = (uint64_t)sum;
	sum = (sum >> 64) + ((unsigned __int128)x2 << 24);
	w.x1 = (uint64_t)sum;
	w.x2 = (uint64_t)(sum >> 64);
	return w;
}

static inline struct wide
lone_sum(const uint8_t *data, uint32_t len, uint64_t r0, uint64_t r1)
{
	uint32_t blocks = (len + 15) / 16 + 1;
	uint32_t n_units = (blocks + UNIT_BLOCKS - 1) / UNIT_BLOCKS;
	uint32_t skip = n_units * UNIT_LEN - blocks * 16;
	struct lone u = { data - skip, skip, skip + len, len, n_units };
	struct limbs one = { _mm512_set1_epi64(1), _mm512_setzero_si512(), _mm512_setzero_si512() };
	struct limbs r, r2, r4, x, a = limbs_zero(), b = limbs_zero(), sum;
	struct power p, p2, p8, p16, first, second;
	struct product d = product_zero();

	// Block 0 of eight needs r^8, block 7 r: lane by lane 8 4 7 3 6 2 5 1, one bit at a time.
	r = limbs_split(_mm512_set1_epi64((long long)r0), _mm512_set1_epi64((long long)r1));
	p = power_of(r);
	r2 = multiply(r, &p);
	p2 = power_of(r2);
	r4 = multiply(r2, &p2);
	p = power_of(limbs_select(0x0f, r2, one));
	x = multiply(limbs_select(0x33, r2, r), &p);
	p = power_of(limbs_select(0x55, r4, one));
	x = multiply(x, &p);
	second = power_of(x);
	p8 = power_of(limbs_first(x));
	p16 = power_of(multiply(p8.r, &p8));
	first = power_of(multiply(x, &p8));
	if (n_units > 1) {
		a = multiply(lone_blocks(&u, 0), &p16);
		b = multiply(lone_blocks(&u, UNIT_LEN / 2), &p16);
	}
	for (uint32_t at = UNIT_LEN; at + UNIT_LEN < n_units * UNIT_LEN; at += UNIT_LEN) {
		a = multiply(limbs_add(a, lone_blocks_whole(&u, at)), &p16);
		b = multiply(limbs_add(b, lone_blocks_whole(&u, at + UNIT_LEN / 2)), &p16);
	}
	a = limbs_add(a, lone_blocks(&u, (n_units - 1) * UNIT_LEN));
	b = limbs_add(b, lone_blocks(&u, (n_units - 1) * UNIT_LEN + UNIT_LEN / 2));
	multiply_add(&d, a, &first);
	multiply_add(&d, b, &second);
	sum = product_carry(&d);
	return limbs_join(sum);
}

/* The tag of one packet; the key is the first half of the cipher's block 0. */
static inline __m128i
poly1305_one(const uint8_t *data, uint32_t len, const uint8_t key[static 32])
{
	uint64_t r0 = load_le64(key) & R_MASK_LO, r1 = load_le64(key + 8) & R_MASK_HI;
	struct wide h = len <= POLY1305_ONE_SHORT ? wide_sum(data, len, r0, r1)
	                                          : lone_sum(data, len, r0, r1);

	return wide_finish(h, load_le64(key + 16), load_le64(key + 24));
}

#endif
