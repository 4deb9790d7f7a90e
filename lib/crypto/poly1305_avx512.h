/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Poly1305 for AVX-512: sums of eight packets at once, one per 64-bit lane, with the 52-bit
 * multiplier (IFMA).  Private to aead_avx512.c.
 *
 * Source: RFC 8439 sections 2.5 and 2.8, without associated data; numbers modulo 2^130 - 5 are
 *         three limbs of 44, 44 and 42 bits, as in A. Moon's poly1305-donna-64.
 * Owner:  jobs are the caller's; what is secret here lies in registers or in the caller's keys.
 * Thread: any.
 *
 * Eight packets of different lengths are aligned at their ends: a shorter one begins later, and
 * its sum stays zero until then, because neither data nor the bit above each block is added.
 */
#ifndef LIB_CRYPTO_POLY1305_AVX512_H
#define LIB_CRYPTO_POLY1305_AVX512_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

#include "lib/crypto/aead.h"
#include "lib/crypto/kernel_avx512.h"

#define POLY1305_LANES 8

/* One-time keys of eight packets, one per lane: r not yet clamped, and s.  Secret. */
struct poly1305_keys {
	__m512i r_lo, r_hi, s_lo, s_hi;
};

/* Eight tags as two registers: packets 0 2 4 6, then 1 3 5 7. */
struct poly1305_tags {
	_Alignas(64) uint8_t even[4][AEAD_TAG_LEN];
	_Alignas(64) uint8_t odd[4][AEAD_TAG_LEN];
};

static inline uint8_t *
poly1305_tag(struct poly1305_tags *tags, size_t lane)
{
	return lane % 2 == 0 ? tags->even[lane / 2] : tags->odd[lane / 2];
}

/* ---- arithmetic ---- */

struct limbs {
	__m512i x0, x1, x2;
};

/* A factor: limbs below 2^45, and 20 times the upper two: 2^132 is 4 times 2^130, which is 5. */
struct power {
	struct limbs r;
	__m512i s1, s2;
};

/* A sum of products: the low 52 bits of those with weight 2^0, 2^44, 2^88, and what is above. */
struct product {
	__m512i lo0, lo1, lo2, hi0, hi1, hi2;
};

#define MASK44  _mm512_set1_epi64((INT64_C(1) << 44) - 1)
#define MASK42  _mm512_set1_epi64((INT64_C(1) << 42) - 1)
#define TOP_BIT _mm512_set1_epi64(INT64_C(1) << 40) // 2^128, in the third limb

KERNEL struct limbs
limbs_zero(void)
{
	return (struct limbs){ _mm512_setzero_si512(), _mm512_setzero_si512(),
		_mm512_setzero_si512() };
}

KERNEL struct product
product_zero(void)
{
	__m512i zero = _mm512_setzero_si512();

	return (struct product){ zero, zero, zero, zero, zero, zero };
}

/* 128-bit numbers to limbs; the third has room for the bit above. */
KERNEL struct limbs
limbs_split(__m512i lo, __m512i hi)
{
	return (struct limbs){
		_mm512_and_si512(lo, MASK44),
		_mm512_and_si512(_mm512_shrdi_epi64(lo, hi, 44), MASK44),
		_mm512_srli_epi64(hi, 24),
	};
}

KERNEL struct limbs
limbs_add(struct limbs a, struct limbs b)
{
	return (struct limbs){ _mm512_add_epi64(a.x0, b.x0), _mm512_add_epi64(a.x1, b.x1),
		_mm512_add_epi64(a.x2, b.x2) };
}

KERNEL __m512i
times_20(__m512i x)
{
	return _mm512_slli_epi64(_mm512_add_epi64(x, _mm512_slli_epi64(x, 2)), 2);
}

KERNEL struct power
power_of(struct limbs r)
{
	return (struct power){ r, times_20(r.x1), times_20(r.x2) };
}

/* d += a * p.  Limbs of a below 2^47: 20 r fits 52 bits, and the sums of 64 bits have room. */
KERNEL void
multiply_add(struct product *d, struct limbs a, const struct power *p)
{
	d->lo0 = _mm512_madd52lo_epu64(d->lo0, a.x2, p->s1);
	d->hi0 = _mm512_madd52hi_epu64(d->hi0, a.x2, p->s1);
	d->lo1 = _mm512_madd52lo_epu64(d->lo1, a.x2, p->s2);
	d->hi1 = _mm512_madd52hi_epu64(d->hi1, a.x2, p->s2);
	d->lo2 = _mm512_madd52lo_epu64(d->lo2, a.x2, p->r.x0);
	d->hi2 = _mm512_madd52hi_epu64(d->hi2, a.x2, p->r.x0);
	d->lo0 = _mm512_madd52lo_epu64(d->lo0, a.x0, p->r.x0);
	d->hi0 = _mm512_madd52hi_epu64(d->hi0, a.x0, p->r.x0);
	d->lo1 = _mm512_madd52lo_epu64(d->lo1, a.x0, p->r.x1);
	d->hi1 = _mm512_madd52hi_epu64(d->hi1, a.x0, p->r.x1);
	d->lo2 = _mm512_madd52lo_epu64(d->lo2, a.x0, p->r.x2);
	d->hi2 = _mm512_madd52hi_epu64(d->hi2, a.x0, p->r.x2);
	d->lo0 = _mm512_madd52lo_epu64(d->lo0, a.x1, p->s2);
	d->hi0 = _mm512_madd52hi_epu64(d->hi0, a.x1, p->s2);
	d->lo1 = _mm512_madd52lo_epu64(d->lo1, a.x1, p->r.x0);
	d->hi1 = _mm512_madd52hi_epu64(d->hi1, a.x1, p->r.x0);
	d->lo2 = _mm512_madd52lo_epu64(d->lo2, a.x1, p->r.x1);
	d->hi2 = _mm512_madd52hi_epu64(d->hi2, a.x1, p->r.x1);
}

/* Back to limbs below 2^44, 2^44 + 2^20 and 2^42; weights 2^52 and 2^96 become 2^44 and 2^88. */
KERNEL struct limbs
product_carry(const struct product *d)
{
	struct limbs h;
	__m512i carry, t0, t1, t2;

	carry = _mm512_add_epi64(_mm512_srli_epi64(d->lo0, 44), _mm512_slli_epi64(d->hi0, 8));
	t1 = _mm512_add_epi64(d->lo1, carry);
	carry = _mm512_add_epi64(_mm512_srli_epi64(t1, 44), _mm512_slli_epi64(d->hi1, 8));
	t2 = _mm512_add_epi64(d->lo2, carry);
	carry = _mm512_add_epi64(_mm512_srli_epi64(t2, 42), _mm512_slli_epi64(d->hi2, 10));
	carry = _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2)); // 2^130 is 5
	t0 = _mm512_add_epi64(_mm512_and_si512(d->lo0, MASK44), carry);
	h.x0 = _mm512_and_si512(t0, MASK44);
	h.x1 = _mm512_add_epi64(_mm512_and_si512(t1, MASK44), _mm512_srli_epi64(t0, 44));
	h.x2 = _mm512_and_si512(t2, MASK42);
	return h;
}

KERNEL struct limbs
multiply(struct limbs a, const struct power *p)
{
	struct product d = product_zero();

	multiply_add(&d, a, p);
	return product_carry(&d);
}

KERNEL struct power
power_first(const struct poly1305_keys *k)
{
	// RFC 8439 section 2.5: some bits of r are zero.
	__m512i lo = _mm512_and_si512(k->r_lo, _mm512_set1_epi64(0x0ffffffc0fffffff));
	__m512i hi = _mm512_and_si512(k->r_hi, _mm512_set1_epi64(0x0ffffffc0ffffffc));

	return power_of(limbs_split(lo, hi));
}

/* The lowest 128 bits of h modulo 2^130 - 5, plus s. */
KERNEL void
poly1305_finish(struct limbs h, const struct poly1305_keys *k, struct poly1305_tags *tags)
{
	struct limbs g;
	__m512i carry, lo, hi, tag_lo, tag_hi;
	__mmask8 above, over;

	// Carry until every limb is whole ...
	carry = _mm512_srli_epi64(h.x1, 44);
	h.x1 = _mm512_and_si512(h.x1, MASK44);
	h.x2 = _mm512_add_epi64(h.x2, carry);
	carry = _mm512_srli_epi64(h.x2, 42);
	h.x2 = _mm512_and_si512(h.x2, MASK42);
	h.x0 = _mm512_add_epi64(h.x0, _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2)));
	h.x1 = _mm512_add_epi64(h.x1, _mm512_srli_epi64(h.x0, 44));
	h.x0 = _mm512_and_si512(h.x0, MASK44);
	h.x2 = _mm512_add_epi64(h.x2, _mm512_srli_epi64(h.x1, 44));
	h.x1 = _mm512_and_si512(h.x1, MASK44);
	// ... and where h + 5 reaches 2^130, that is the remainder.
	g.x0 = _mm512_add_epi64(h.x0, _mm512_set1_epi64(5));
	g.x1 = _mm512_add_epi64(h.x1, _mm512_srli_epi64(g.x0, 44));
	g.x2 = _mm512_add_epi64(h.x2, _mm512_srli_epi64(g.x1, 44));
	above = _mm512_test_epi64_mask(g.x2, _mm512_set1_epi64(INT64_C(1) << 42));
	h.x0 = _mm512_mask_and_epi64(h.x0, above, g.x0, MASK44);
	h.x1 = _mm512_mask_and_epi64(h.x1, above, g.x1, MASK44);
	h.x2 = _mm512_mask_mov_epi64(h.x2, above, g.x2);

	lo = _mm512_or_si512(h.x0, _mm512_slli_epi64(h.x1, 44));
	hi = _mm512_or_si512(_mm512_srli_epi64(h.x1, 20), _mm512_slli_epi64(h.x2, 24));
	tag_lo = _mm512_add_epi64(lo, k->s_lo);
	over = _mm512_cmplt_epu64_mask(tag_lo, lo);
	tag_hi = _mm512_add_epi64(hi, k->s_hi);
	tag_hi = _mm512_mask_add_epi64(tag_hi, over, tag_hi, _mm512_set1_epi64(1));
	_mm512_store_si512(tags->even, _mm512_unpacklo_epi64(tag_lo, tag_hi));
	_mm512_store_si512(tags->odd, _mm512_unpackhi_epi64(tag_lo, tag_hi));
}

/* ---- eight packets ---- */

#define CHUNK_LEN    64 /* bytes of each packet that are loaded at once */
#define CHUNK_BLOCKS 4

/* Where eight packets lie, aligned at their ends, in chunks. */
struct spread {
	_Alignas(64) uint64_t begin[POLY1305_LANES]; // of chunk 0; may lie before the data
	uint64_t skip[POLY1305_LANES];               // bytes of nothing from there to the data
	uint64_t end[POLY1305_LANES];                // bytes from there to the end of the data
	__m512i skip_blocks;                         // skip / 16
	__m512i len;
	uint32_t n_chunks;
	uint32_t whole_from, whole_to; // these chunks are whole in every lane
	bool with_lengths;             // the last chunk ends with the block of lengths
};

/* Chunks of a packet, with the block of lengths or without. */
KERNEL uint32_t
chunks_of(uint32_t len, bool with_lengths)
{
	return ((len + 15) / 16 + with_lengths + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
}

/* Eight packets from `at` on, the longest first, whose chunks are n_chunks or fewer. */
KERNEL void
spread_init(struct spread *s,
	const struct packets *p,
	size_t at,
	uint32_t n_chunks,
	bool with_lengths)
{
	uint32_t least = (p->len[at + POLY1305_LANES - 1] + 15) / 16 + with_lengths;
	__m512i data = _mm512_load_si512(p->data + at);
	__m512i blocks, skip;
	bool ragged;

	s->n_chunks = n_chunks;
	s->with_lengths = with_lengths;
	s->len = _mm512_cvtepu32_epi64(_mm256_load_si256((const __m256i *)(p->len + at)));
	blocks = _mm512_srli_epi64(_mm512_add_epi64(s->len, _mm512_set1_epi64(15)), 4);
	s->skip_blocks = _mm512_sub_epi64(
		_mm512_set1_epi64((long long)n_chunks * CHUNK_BLOCKS - with_lengths), blocks);
	skip = _mm512_slli_epi64(s->skip_blocks, 4);
	// Stored as vectors and read as words; the other way round would be slow.
	_mm512_store_si512(s->skip, skip);
	_mm512_store_si512(s->end, _mm512_add_epi64(skip, s->len));
	_mm512_store_si512(s->begin, _mm512_sub_epi64(data, skip));
	ragged = _mm512_test_epi64_mask(s->len, _mm512_set1_epi64(15)) != 0;
	s->whole_from = n_chunks - least / CHUNK_BLOCKS;
	s->whole_to = n_chunks - (ragged || with_lengths);
}

/* A chunk of eight packets as numbers, with the bit above each block. */
struct chunk {
	struct limbs m[CHUNK_BLOCKS];
};

/* Sixty-four bytes of eight packets to four blocks of eight lanes. */
KERNEL void
chunk_transpose(const __m512i z[static 8], __m512i lo[static 4], __m512i hi[static 4])
{
	__m512i even[4], odd[4];

#pragma GCC unroll 16
	for (int i = 0; i < 4; i++) {
		even[i] = _mm512_unpacklo_epi64(z[2 * i], z[2 * i + 1]);
		odd[i] = _mm512_unpackhi_epi64(z[2 * i], z[2 * i + 1]);
	}
	transpose_128(even, lo);
	transpose_128(odd, hi);
}

KERNEL struct chunk
chunk_load_whole(const struct spread *s, uint32_t at)
{
	__m512i z[8], lo[CHUNK_BLOCKS], hi[CHUNK_BLOCKS];
	struct chunk c;

#pragma GCC unroll 16
	for (int i = 0; i < 8; i++)
		z[i] = _mm512_loadu_si512((const uint8_t *)s->begin[i] + (size_t)at * CHUNK_LEN);
	chunk_transpose(z, lo, hi);
#pragma GCC unroll 16
	for (int b = 0; b < CHUNK_BLOCKS; b++) {
		c.m[b] = limbs_split(lo[b], hi[b]);
		c.m[b].x2 = _mm512_or_si512(c.m[b].x2, TOP_BIT);
	}
	return c;
}

/* Bytes outside the packets are not read and count as zeros. */
KERNEL struct chunk
chunk_load_masked(const struct spread *s, uint32_t at)
{
	static const uint8_t nothing[CHUNK_LEN];
	uint64_t from = (uint64_t)at * CHUNK_LEN;
	__mmask8 lengths = s->with_lengths && at + 1 == s->n_chunks ? 0xff : 0;
	__m512i z[8], lo[CHUNK_BLOCKS], hi[CHUNK_BLOCKS];
	struct chunk c;

#pragma GCC unroll 16
	for (int i = 0; i < 8; i++) {
		uint64_t skip = s->skip[i] > from ? s->skip[i] - from : 0;
		uint64_t end = s->end[i] > from ? s->end[i] - from : 0;
		uint64_t mask;

		skip = skip < CHUNK_LEN ? skip : CHUNK_LEN;
		end = end < CHUNK_LEN ? end : CHUNK_LEN;
		mask = low_bits((uint32_t)end) & ~low_bits((uint32_t)skip);
		// A load of nothing from a page that is not there works, slowly.
		z[i] = _mm512_maskz_loadu_epi8(
			mask, mask != 0 ? (const uint8_t *)s->begin[i] + from : nothing);
	}
	chunk_transpose(z, lo, hi);
	// Eight bytes for the length of the associated data, which is 0, and eight for ours.
	hi[3] = _mm512_mask_mov_epi64(hi[3], lengths, s->len);
#pragma GCC unroll 16
	for (int b = 0; b < CHUNK_BLOCKS; b++) {
		__m512i number = _mm512_set1_epi64((long long)at * CHUNK_BLOCKS + b);
		__mmask8 begun = _mm512_cmple_epu64_mask(s->skip_blocks, number);

		c.m[b] = limbs_split(lo[b], hi[b]);
		c.m[b].x2 = _mm512_mask_or_epi64(c.m[b].x2, begun, c.m[b].x2, TOP_BIT);
	}
	return c;
}

KERNEL struct chunk
chunk_load(const struct spread *s, uint32_t at)
{
	if (at >= s->whole_from && at < s->whole_to)
		return chunk_load_whole(s, at);
	return chunk_load_masked(s, at);
}

/* ---- long packets ---- */

/* One or two groups of eight; of short ones two side by side, for one would wait for itself. */
#define GROUPS_MAX 2

struct long_sum {
	struct power p[CHUNK_BLOCKS]; // r, r^2, r^3, r^4
	struct limbs h;
	struct spread s;
};

/* What of a chunk does not wait for the sum so far: m1 r^3 + m2 r^2 + m3 r. */
KERNEL struct product
long_begin(const struct chunk *c, const struct power p[static 4])
{
	struct product d = product_zero();

	multiply_add(&d, c->m[1], &p[2]);
	multiply_add(&d, c->m[2], &p[1]);
	multiply_add(&d, c->m[3], &p[0]);
	return d;
}

/* The rest: + (h + m0) r^4, and one carry for four blocks. */
KERNEL struct limbs
long_end(struct product d, struct limbs m0, struct limbs h, const struct power p[static 4])
{
	multiply_add(&d, limbs_add(m0, h), &p[3]);
	return product_carry(&d);
}

/*
 * All chunks of eight packets.  The next chunk is loaded before the one at hand is ended, and begun
 * after that: of the orders that were tried, assembly among them, this keeps the multipliers
 * busiest.
 */
static inline void
long_fold(struct long_sum *u)
{
	const struct spread *s = &u->s;
	struct chunk c = chunk_load_masked(s, 0);
	struct limbs h = limbs_zero(), m0 = c.m[0];
	struct product d = long_begin(&c, u->p);
	uint32_t at = 1;

	for (; at < s->n_chunks && at < s->whole_from; at++) {
		c = chunk_load_masked(s, at);
		h = long_end(d, m0, h, u->p);
		d = long_begin(&c, u->p);
		m0 = c.m[0];
	}
	for (; at < s->whole_to; at++) {
		c = chunk_load_whole(s, at);
		h = long_end(d, m0, h, u->p);
		d = long_begin(&c, u->p);
		m0 = c.m[0];
	}
	for (; at < s->n_chunks; at++) {
		c = chunk_load_masked(s, at);
		h = long_end(d, m0, h, u->p);
		d = long_begin(&c, u->p);
		m0 = c.m[0];
	}
	u->h = long_end(d, m0, h, u->p);
}

/* Tags of `groups` times eight packets from `first` on. */
KERNEL void
poly1305_long(const struct packets *packets,
	size_t first,
	const struct poly1305_keys *k,
	struct poly1305_tags *tags,
	const int groups)
{
	struct long_sum u[GROUPS_MAX];

#pragma GCC unroll 16
	for (int g = 0; g < groups; g++) {
		size_t at = first + (size_t)g * POLY1305_LANES;
		uint32_t n_chunks = chunks_of(packets->len[at], true);

		spread_init(&u[g].s, packets, at, n_chunks, true);
		u[g].p[0] = power_first(&k[g]);
	}
#pragma GCC unroll 16
	for (int g = 0; g < groups; g++)
		u[g].p[1] = power_of(multiply(u[g].p[0].r, &u[g].p[0]));
#pragma GCC unroll 16
	for (int g = 0; g < groups; g++) {
		u[g].p[2] = power_of(multiply(u[g].p[1].r, &u[g].p[0]));
		u[g].p[3] = power_of(multiply(u[g].p[1].r, &u[g].p[1]));
	}
	for (int g = 0; g < groups; g++)
		long_fold(&u[g]);
#pragma GCC unroll 16
	for (int g = 0; g < groups; g++)
		poly1305_finish(u[g].h, &k[g], &tags[g]);
}

/* ---- short packets ---- */

struct short_sum {
	struct spread s;
	struct power r, r2;
	struct limbs h;
};

/* h = (h + a) r^2 + b r */
KERNEL void
short_pair(struct short_sum *u, struct limbs a, struct limbs b)
{
	struct product d = product_zero();

	multiply_add(&d, b, &u->r);
	multiply_add(&d, limbs_add(u->h, a), &u->r2);
	u->h = product_carry(&d);
}

KERNEL void
short_lengths(struct short_sum *u)
{
	struct limbs m = limbs_split(_mm512_setzero_si512(), u->s.len);

	m.x2 = _mm512_or_si512(m.x2, TOP_BIT);
	u->h = multiply(limbs_add(u->h, m), &u->r);
}

/* As poly1305_long(); higher powers do not pay here. */
KERNEL void
poly1305_short(const struct packets *packets,
	size_t first,
	const struct poly1305_keys *k,
	struct poly1305_tags *tags,
	const int groups)
{
	uint32_t n_chunks = chunks_of(packets->len[first], false);
	struct short_sum u[GROUPS_MAX];

#pragma GCC unroll 16
	for (int g = 0; g < groups; g++) {
		size_t at = first + (size_t)g * POLY1305_LANES;

		spread_init(&u[g].s, packets, at, n_chunks, false);
		u[g].h = limbs_zero();
		u[g].r = power_first(&k[g]);
	}
#pragma GCC unroll 16
	for (int g = 0; g < groups; g++)
		u[g].r2 = power_of(multiply(u[g].r.r, &u[g].r));
	for (uint32_t at = 0; at < n_chunks; at++) {
		struct chunk c[GROUPS_MAX];

#pragma GCC unroll 16
		for (int g = 0; g < groups; g++) {
			c[g] = chunk_load(&u[g].s, at);
			short_pair(&u[g], c[g].m[0], c[g].m[1]);
		}
#pragma GCC unroll 16
		for (int g = 0; g < groups; g++)
			short_pair(&u[g], c[g].m[2], c[g].m[3]);
	}
#pragma GCC unroll 16
	for (int g = 0; g < groups; g++)
		short_lengths(&u[g]);
#pragma GCC unroll 16
	for (int g = 0; g < groups; g++)
		poly1305_finish(u[g].h, &k[g], &tags[g]);
}

#endif
