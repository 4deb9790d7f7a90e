/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ChaCha20 for AVX-512: blocks of many packets at once.  Private to aead_avx512.c.
 *
 * Source: RFC 8439 sections 2.1 to 2.4; the nonce is WireGuard's (aead.h).
 * Owner:  what a lane points to is the caller's.
 * Thread: any.
 *
 * Two layouts.  In columns, a register holds one word of sixteen blocks, which fills the vector
 * unit and costs a transposition at both ends.  In rows, a register holds four words of four
 * blocks: only four or eight blocks at once, but they are ready in half the time, which counts when
 * there are no more.
 */
#ifndef LIB_CRYPTO_CHACHA20_AVX512_H
#define LIB_CRYPTO_CHACHA20_AVX512_H

#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/kernel_avx512.h"

#define CHACHA20_BLOCK_LEN 64
#define CHACHA20_LANES     16 /* blocks in one call, in columns */

/* The cipher's input, one register for each of its sixteen words: secret, its owner wipes it. */
struct chacha20_state {
	__m512i word[16];
};

/* "expa" "nd 3" "2-by" "te k" */
#define CHACHA20_SIGMA 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574

/* ---- rounds ---- */

/*
 * The rounds are the one place where the order of instructions is ours.  A core with two 512-bit
 * ports of which one rotates needs 480 cycles for the 960 instructions of ten double rounds.
 * Column after column, as below, comes to 500; the order that compilers choose, all four additions,
 * then all four exclusive ors, then all four rotations, to 540, because rotations then arrive in
 * heaps at the one port.
 *
 * Operands 0 to 15 are the words of the state.
 */
#define STEP(a, b, d, bits)                    \
	"vpaddd %" #b ", %" #a ", %" #a "\n\t" \
	"vpxord %" #a ", %" #d ", %" #d "\n\t" \
	"vprold $" #bits ", %" #d ", %" #d "\n\t"

#define FOUR_STEPS(a0, b0, d0, a1, b1, d1, a2, b2, d2, a3, b3, d3, bits) \
	STEP(a0, b0, d0, bits) STEP(a1, b1, d1, bits) STEP(a2, b2, d2, bits) STEP(a3, b3, d3, bits)

#define DOUBLE_ROUND                                             \
	FOUR_STEPS(0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15, 16)   \
	FOUR_STEPS(8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7, 12) \
	FOUR_STEPS(0, 4, 12, 1, 5, 13, 2, 6, 14, 3, 7, 15, 8)    \
	FOUR_STEPS(8, 12, 4, 9, 13, 5, 10, 14, 6, 11, 15, 7, 7)  \
	FOUR_STEPS(0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14, 16)   \
	FOUR_STEPS(10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4, 12) \
	FOUR_STEPS(0, 5, 15, 1, 6, 12, 2, 7, 13, 3, 4, 14, 8)    \
	FOUR_STEPS(10, 15, 5, 11, 12, 6, 8, 13, 7, 9, 14, 4, 7)

#define LOAD_WORD(i, at) "vmovdqa64 " #at "(%[in]), %" #i "\n\t"
#define ADD_WORD(i, at)  "vpaddd " #at "(%[in]), %" #i ", %" #i "\n\t"
#define EACH_WORD(WORD) \
	WORD(0, 0)      \
	WORD(1, 64)     \
	WORD(2, 128)    \
	WORD(3, 192)    \
	WORD(4, 256)    \
	WORD(5, 320)    \
	WORD(6, 384)    \
	WORD(7, 448)    \
	WORD(8, 512)    \
	WORD(9, 576)    \
	WORD(10, 640)   \
	WORD(11, 704)   \
	WORD(12, 768)   \
	WORD(13, 832)   \
	WORD(14, 896)   \
	WORD(15, 960)

/* Sixteen blocks of key stream, still in columns. */
KERNEL void
chacha20_columns(const struct chacha20_state *in, __m512i v[static 16])
{
	int rounds;

	// clang-format off
	__asm__(EACH_WORD(LOAD_WORD)
		"mov $10, %[rounds]\n\t"
		".p2align 6\n"
		"1:\n\t"
		DOUBLE_ROUND
		"dec %[rounds]\n\t"
		"jnz 1b\n\t"
		EACH_WORD(ADD_WORD)
		: "=&v"(v[0]), "=&v"(v[1]), "=&v"(v[2]), "=&v"(v[3]), "=&v"(v[4]), "=&v"(v[5]),
		"=&v"(v[6]), "=&v"(v[7]), "=&v"(v[8]), "=&v"(v[9]), "=&v"(v[10]), "=&v"(v[11]),
		"=&v"(v[12]), "=&v"(v[13]), "=&v"(v[14]), "=&v"(v[15]), [rounds] "=&r"(rounds)
		: [in] "r"(in), "m"(*in)
		: "cc");
	// clang-format on
}

#undef STEP
#undef FOUR_STEPS
#undef DOUBLE_ROUND
#undef LOAD_WORD
#undef ADD_WORD
#undef EACH_WORD

/* ---- transpositions ---- */

/* 4 x 4 words within each 128-bit quarter. */
KERNEL void
transpose_quarters(const __m512i in[static 4], __m512i out[static 4])
{
	__m512i a = _mm512_unpacklo_epi32(in[0], in[1]);
	__m512i b = _mm512_unpackhi_epi32(in[0], in[1]);
	__m512i c = _mm512_unpacklo_epi32(in[2], in[3]);
	__m512i d = _mm512_unpackhi_epi32(in[2], in[3]);

	out[0] = _mm512_unpacklo_epi64(a, c);
	out[1] = _mm512_unpackhi_epi64(a, c);
	out[2] = _mm512_unpacklo_epi64(b, d);
	out[3] = _mm512_unpackhi_epi64(b, d);
}

/* Sixteen words of sixteen blocks to sixteen blocks of sixteen words, in place. */
KERNEL void
chacha20_to_blocks(__m512i v[static 16])
{
	__m512i x[4][4], column[4], row[4];

#pragma GCC unroll 16
	for (int i = 0; i < 4; i++)
		transpose_quarters(v + 4 * i, x[i]);
#pragma GCC unroll 16
	for (int j = 0; j < 4; j++) {
#pragma GCC unroll 16
		for (int i = 0; i < 4; i++)
			column[i] = x[i][j];
		transpose_128(column, row);
#pragma GCC unroll 16
		for (int i = 0; i < 4; i++)
			v[4 * i + j] = row[i];
	}
}

/* ---- lanes: blocks of any packets ---- */

/*
 * A block is its counter in the cipher: 0 is the one-time key, 1 the first 64 bytes of data.  Two
 * halves, so that compilers read them as such and do not fetch them out of vectors.
 */
struct lane {
	uint16_t block, packet;
};

#define LANE_BLOCK_MAX UINT16_MAX

KERNEL __m512i
lanes_load(const struct lane *lane)
{
	return _mm512_loadu_si512(lane);
}

KERNEL __m512i
lanes_packet(__m512i lanes)
{
	return _mm512_srli_epi32(lanes, 16);
}

KERNEL __m512i
lanes_block(__m512i lanes)
{
	return _mm512_and_si512(lanes, _mm512_set1_epi32(LANE_BLOCK_MAX));
}

/*
 * Lists of lanes for chacha20_xor(): first those that are runs of sixteen blocks of one packet,
 * then whole blocks of any packets, then any blocks; the bounds are multiples of 16.
 *
 * They are written some time before they are read: a load that spans stores still on their way
 * waits for them, and with it everything behind it.  Addresses are computed here and not between
 * the rounds, where each instruction for the integer unit may take a turn of the vector unit.
 */
struct chacha20_lanes {
	struct lane *lane;
	uint8_t **data;            // of the lane's block
	size_t n_runs, n_whole, n; // each includes those before
};

/* Up to sixteen lanes: consecutive blocks of a packet.  Lists have room for all sixteen. */
KERNEL void
lanes_write(const struct chacha20_lanes *l,
	size_t at,
	uint32_t packet,
	uint32_t block,
	uint8_t *data,
	uint32_t n)
{
	const __m512i count =
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	const __m512i offset = _mm512_set_epi64(448, 384, 320, 256, 192, 128, 64, 0);
	__m512i lane = _mm512_set1_epi32((int)(packet << 16 | block));
	__m512i first = _mm512_set1_epi64((long long)(uintptr_t)data);

	first = _mm512_add_epi64(first, offset);
	_mm512_storeu_si512(l->lane + at, _mm512_add_epi32(lane, count));
	_mm512_storeu_si512(l->data + at, first);
	if (n > 8)
		_mm512_storeu_si512(
			l->data + at + 8, _mm512_add_epi64(first, _mm512_set1_epi64(512)));
}

/* One lane. */
KERNEL void
lane_write(const struct chacha20_lanes *l,
	size_t at,
	uint32_t packet,
	uint32_t block,
	uint8_t *data)
{
	l->lane[at] = (struct lane){ (uint16_t)block, (uint16_t)packet };
	l->data[at] = data;
}

/* ---- input ---- */

/* The words that are the same for all.  Once; the others are loaded for each call. */
KERNEL void
chacha20_init(struct chacha20_state *s)
{
	static const int sigma[4] = { CHACHA20_SIGMA };

#pragma GCC unroll 16
	for (int i = 0; i < 4; i++)
		s->word[i] = _mm512_set1_epi32(sigma[i]);
	s->word[13] = _mm512_setzero_si512(); // the nonce's first four bytes
}

/* Two keys in one register. */
KERNEL __m512i
load_two_keys(const uint8_t *a, const uint8_t *b)
{
	__m256i low = _mm256_loadu_si256((const __m256i *)a);
	__m256i high = _mm256_loadu_si256((const __m256i *)b);

	return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* Sixteen keys. */
KERNEL void
set_keys(struct chacha20_state *s, const uint8_t *const key[static 16])
{
	__m512i x[4], left[4], right[4];

	// Lanes 0 to 7 as (0 4) (1 5) (2 6) (3 7), each half of a key a quarter; then 8 to 15.
#pragma GCC unroll 16
	for (int i = 0; i < 4; i++)
		x[i] = load_two_keys(key[i], key[4 + i]);
	transpose_quarters(x, left);
#pragma GCC unroll 16
	for (int i = 0; i < 4; i++)
		x[i] = load_two_keys(key[8 + i], key[12 + i]);
	transpose_quarters(x, right);
#pragma GCC unroll 16
	for (int i = 0; i < 4; i++) {
		s->word[4 + i] = _mm512_shuffle_i32x4(left[i], right[i], 0x88);
		s->word[8 + i] = _mm512_shuffle_i32x4(left[i], right[i], 0xdd);
	}
}

/* The input of the one-time keys of sixteen packets from `at` on. */
KERNEL void
chacha20_load_keys(struct chacha20_state *s, const struct packets *p, size_t at)
{
	set_keys(s, p->key + at);
	s->word[12] = _mm512_setzero_si512();
	s->word[14] = _mm512_load_si512(p->nonce_lo + at);
	s->word[15] = _mm512_load_si512(p->nonce_hi + at);
}

/*
 * The input of sixteen lanes: words of the packets' one-time keys' input, which are transposed
 * already, by number.  Mostly all numbers are below 32, or none.
 */
KERNEL void
chacha20_load_lanes(struct chacha20_state *s,
	const struct chacha20_state of_keys[static 4],
	const struct lane *lane)
{
	static const uint8_t words[] = { 4, 5, 6, 7, 8, 9, 10, 11, 14, 15 };
	__m512i lanes = lanes_load(lane), number = lanes_packet(lanes);
	__mmask16 upper = _mm512_test_epi32_mask(number, _mm512_set1_epi32(32));
	const struct chacha20_state *half = upper == 0 ? of_keys : of_keys + 2;

#pragma GCC unroll 16
	for (int i = 0; i < 10; i++) {
		int w = words[i];

		s->word[w] = _mm512_permutex2var_epi32(half[0].word[w], number, half[1].word[w]);
	}
	s->word[12] = lanes_block(lanes);
	if (upper == 0 || upper == 0xffff)
		return;
#pragma GCC unroll 16
	for (int i = 0; i < 10; i++) {
		int w = words[i];
		__m512i low =
			_mm512_permutex2var_epi32(of_keys[0].word[w], number, of_keys[1].word[w]);

		s->word[w] = _mm512_mask_mov_epi32(low, upper, s->word[w]);
	}
}

/* The input of sixteen lanes that are consecutive blocks of one packet. */
KERNEL void
chacha20_load_run(struct chacha20_state *s, const struct packets *p, const struct lane *lane)
{
	uint32_t packet = lane[0].packet;
	const uint8_t *key = p->key[packet];

#pragma GCC unroll 16
	for (int i = 0; i < 8; i++)
		s->word[4 + i] = _mm512_set1_epi32((int)load_le32(key + 4 * i));
	s->word[12] = lanes_block(lanes_load(lane));
	s->word[14] = _mm512_set1_epi32((int)p->nonce_lo[packet]);
	s->word[15] = _mm512_set1_epi32((int)p->nonce_hi[packet]);
}

/* ---- output ---- */

KERNEL void
xor_block(uint8_t *data, __m512i stream)
{
	_mm512_storeu_si512(data, _mm512_xor_si512(stream, _mm512_loadu_si512(data)));
}

/* The first len <= 64 bytes of a block. */
KERNEL void
xor_part(uint8_t *data, __m512i stream, uint32_t len)
{
	__mmask64 mask = low_bits(len);
	__m512i text = _mm512_maskz_loadu_epi8(mask, data);

	_mm512_mask_storeu_epi8(data, mask, _mm512_xor_si512(stream, text));
}

/* Sixteen consecutive blocks. */
KERNEL void
xor_run(uint8_t *data, const __m512i v[static 16])
{
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		xor_block(data + i * CHACHA20_BLOCK_LEN, v[i]);
}

/* Sixteen whole blocks. */
KERNEL void
xor_whole(uint8_t *const data[static 16], const __m512i v[static 16])
{
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		xor_block(data[i], v[i]);
}

/* Sixteen words of a table of 64, by number. */
KERNEL __m512i
look_up(const uint32_t table[static 64], __m512i number)
{
	__mmask16 upper = _mm512_test_epi32_mask(number, _mm512_set1_epi32(32));
	__m512i low = _mm512_permutex2var_epi32(
		_mm512_load_si512(table), number, _mm512_load_si512(table + 16));
	__m512i high = _mm512_permutex2var_epi32(
		_mm512_load_si512(table + 32), number, _mm512_load_si512(table + 48));

	return _mm512_mask_mov_epi32(low, upper, high);
}

/*
 * Sixteen blocks of which some end early or lie behind the end.  Masked stores take longer, but
 * branches by length would be guessed wrongly.
 */
KERNEL void
xor_short(const struct packets *p,
	const struct lane *lane,
	uint8_t *const data[static 16],
	const __m512i v[static 16])
{
	_Alignas(64) uint32_t left[16];
	__m512i lanes = lanes_load(lane);
	__m512i before = _mm512_sub_epi32(lanes_block(lanes), _mm512_set1_epi32(1));
	__m512i offset = _mm512_slli_epi32(before, 6);
	__m512i len = look_up(p->len, lanes_packet(lanes));
	__m512i rest = _mm512_sub_epi32(_mm512_max_epu32(len, offset), offset);

	_mm512_store_si512(left, _mm512_min_epu32(rest, _mm512_set1_epi32(CHACHA20_BLOCK_LEN)));
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++) {
		xor_part(data[i], v[i], left[i]);
	}
}

KERNEL void
load_at(struct chacha20_state *s,
	const struct packets *p,
	const struct chacha20_state of_keys[static 4],
	const struct chacha20_lanes *l,
	size_t at)
{
	if (at < l->n_runs)
		chacha20_load_run(s, p, l->lane + at);
	else
		chacha20_load_lanes(s, of_keys, l->lane + at);
}

/*
 * Encrypt or decrypt all lanes.  The input of the next sixteen is prepared before the rounds of
 * these: a core looks ahead a hundred instructions or so, not a thousand.
 */
static inline void
chacha20_xor(struct chacha20_state s[static 2],
	const struct packets *p,
	const struct chacha20_state of_keys[static 4],
	const struct chacha20_lanes *l)
{
	__m512i v[16];

	if (l->n == 0)
		return;
	load_at(&s[0], p, of_keys, l, 0);
	for (size_t at = 0; at < l->n; at += CHACHA20_LANES) {
		size_t turn = at / CHACHA20_LANES % 2;

		if (at + CHACHA20_LANES < l->n)
			load_at(&s[turn ^ 1], p, of_keys, l, at + CHACHA20_LANES);
		chacha20_columns(&s[turn], v);
		chacha20_to_blocks(v);
		if (at < l->n_runs)
			xor_run(l->data[at], v);
		else if (at < l->n_whole)
			xor_whole(l->data + at, v);
		else
			xor_short(p, l->lane + at, l->data + at, v);
	}
}

/* ---- rows: a few blocks of one packet ---- */

KERNEL __m512i
each_quarter(__m128i x)
{
	return _mm512_broadcast_i32x4(x);
}

/* Four blocks: a register for each row of RFC 8439 section 2.3, a quarter for each block. */
struct rows {
	__m512i a, b, c, d;
};

KERNEL struct rows
rows_quarter_round(struct rows r)
{
	r.a = _mm512_add_epi32(r.a, r.b);
	r.d = _mm512_rol_epi32(_mm512_xor_si512(r.d, r.a), 16);
	r.c = _mm512_add_epi32(r.c, r.d);
	r.b = _mm512_rol_epi32(_mm512_xor_si512(r.b, r.c), 12);
	r.a = _mm512_add_epi32(r.a, r.b);
	r.d = _mm512_rol_epi32(_mm512_xor_si512(r.d, r.a), 8);
	r.c = _mm512_add_epi32(r.c, r.d);
	r.b = _mm512_rol_epi32(_mm512_xor_si512(r.b, r.c), 7);
	return r;
}

/* Columns, then diagonals: rows turn within each block, there and back. */
KERNEL struct rows
rows_double_round(struct rows r)
{
	r = rows_quarter_round(r);
	r.b = _mm512_shuffle_epi32(r.b, 0x39);
	r.c = _mm512_shuffle_epi32(r.c, 0x4e);
	r.d = _mm512_shuffle_epi32(r.d, 0x93);
	r = rows_quarter_round(r);
	r.b = _mm512_shuffle_epi32(r.b, 0x93);
	r.c = _mm512_shuffle_epi32(r.c, 0x4e);
	r.d = _mm512_shuffle_epi32(r.d, 0x39);
	return r;
}

KERNEL struct rows
rows_add(struct rows r, struct rows x)
{
	return (struct rows){ _mm512_add_epi32(r.a, x.a), _mm512_add_epi32(r.b, x.b),
		_mm512_add_epi32(r.c, x.c), _mm512_add_epi32(r.d, x.d) };
}

KERNEL void
rows_store(struct rows r, __m512i stream[static 4])
{
	const __m512i in[4] = { r.a, r.b, r.c, r.d };
	__m512i out[4];

	transpose_128(in, out);
#pragma GCC unroll 16
	for (int i = 0; i < 4; i++)
		stream[i] = out[i];
}

/* The input of blocks `block` to block + 3 of one packet. */
KERNEL struct rows
rows_load(const struct aead_job *job, uint32_t block)
{
	const __m512i number = _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0);
	__m128i last = _mm_set_epi64x((long long)job->counter, block);

	return (struct rows){
		each_quarter(_mm_setr_epi32(CHACHA20_SIGMA)),
		each_quarter(_mm_loadu_si128((const __m128i *)job->key)),
		each_quarter(_mm_loadu_si128((const __m128i *)(job->key + 16))),
		_mm512_add_epi32(each_quarter(last), number),
	};
}

KERNEL void
chacha20_rows_4(const struct aead_job *job, uint32_t block, __m512i stream[static 4])
{
	struct rows in = rows_load(job, block), r = in;

	for (int i = 0; i < 10; i++)
		r = rows_double_round(r);
	rows_store(rows_add(r, in), stream);
}

KERNEL void
chacha20_rows_8(const struct aead_job *job, uint32_t block, __m512i stream[static 8])
{
	struct rows in = rows_load(job, block), in4 = rows_load(job, block + 4);
	struct rows r = in, r4 = in4;

	for (int i = 0; i < 10; i++) {
		r = rows_double_round(r);
		r4 = rows_double_round(r4);
	}
	rows_store(rows_add(r, in), stream);
	rows_store(rows_add(r4, in4), stream + 4);
}

/* As many blocks from `block` on as are needed, up to sixteen; returns how many were made. */
static inline uint32_t
chacha20_stream(struct chacha20_state *s,
	const struct aead_job *job,
	uint32_t block,
	uint32_t needed,
	__m512i stream[static 16])
{
	const __m512i count =
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	__m512i v[16];

	if (needed <= 4) {
		chacha20_rows_4(job, block, stream);
		return 4;
	}
	if (needed <= 8) {
		chacha20_rows_8(job, block, stream);
		return 8;
	}
	chacha20_init(s);
#pragma GCC unroll 16
	for (int i = 0; i < 8; i++)
		s->word[4 + i] = _mm512_set1_epi32((int)load_le32(job->key + 4 * i));
	s->word[12] = _mm512_add_epi32(_mm512_set1_epi32((int)block), count);
	s->word[14] = _mm512_set1_epi32((int)(uint32_t)job->counter);
	s->word[15] = _mm512_set1_epi32((int)(job->counter >> 32));
	chacha20_columns(s, v);
	chacha20_to_blocks(v);
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		stream[i] = v[i];
	return 16;
}

#endif
