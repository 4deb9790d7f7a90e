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

#define CHACHA20_LANES_MAX 480 /* room in a list; see group_take() of aead_avx512.c */

/*
 * One column of arrays per lane, so that sixteen of them load as registers.  They are written
 * sixteen at a time too, hence room for sixteen more.
 */
struct chacha20_lanes {
	const uint8_t *key[CHACHA20_LANES_MAX + CHACHA20_LANES];
	uint8_t *data[CHACHA20_LANES_MAX + CHACHA20_LANES];
	uint32_t block[CHACHA20_LANES_MAX + CHACHA20_LANES];
	uint32_t nonce_lo[CHACHA20_LANES_MAX + CHACHA20_LANES];
	uint32_t nonce_hi[CHACHA20_LANES_MAX + CHACHA20_LANES];
	uint8_t len[CHACHA20_LANES_MAX + CHACHA20_LANES]; // bytes of data, 0 to 64
	size_t n;
};

/*
 * Append `n` <= 16 consecutive blocks.  `block` is the cipher's counter: 0 is the one-time key,
 * 1 the first 64 bytes of data.
 */
KERNEL void
chacha20_lanes_add(struct chacha20_lanes *l,
	const struct aead_job *job,
	uint32_t block,
	uint8_t *data,
	uint8_t len,
	size_t n)
{
	const __m512i count =
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	const __m512i offset = _mm512_set_epi64(448, 384, 320, 256, 192, 128, 64, 0);
	__m512i key = _mm512_set1_epi64((long long)(uintptr_t)job->key);
	__m512i at = _mm512_add_epi64(_mm512_set1_epi64((long long)(uintptr_t)data), offset);
	size_t i = l->n;

	_mm512_storeu_si512(l->key + i, key);
	_mm512_storeu_si512(l->key + i + 8, key);
	_mm512_storeu_si512(l->data + i, at);
	_mm512_storeu_si512(l->data + i + 8, _mm512_add_epi64(at, _mm512_set1_epi64(512)));
	_mm512_storeu_si512(l->block + i, _mm512_add_epi32(_mm512_set1_epi32((int)block), count));
	_mm512_storeu_si512(l->nonce_lo + i, _mm512_set1_epi32((int)(uint32_t)job->counter));
	_mm512_storeu_si512(l->nonce_hi + i, _mm512_set1_epi32((int)(job->counter >> 32)));
	_mm_storeu_si128((__m128i *)(l->len + i), _mm_set1_epi8((char)len));
	l->n += n;
}

KERNEL void
set_sigma(struct chacha20_state *s)
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

/* The input of the sixteen lanes from `at` on. */
KERNEL void
chacha20_load_lanes(struct chacha20_state *s, const struct chacha20_lanes *l, size_t at)
{
	const uint8_t *const *key = l->key + at;
	__m512i x[4], left[4], right[4];

	set_sigma(s);
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
	s->word[12] = _mm512_loadu_si512(l->block + at);
	s->word[14] = _mm512_loadu_si512(l->nonce_lo + at);
	s->word[15] = _mm512_loadu_si512(l->nonce_hi + at);
}

/* The input of sixteen consecutive blocks of one packet. */
KERNEL void
chacha20_load_packet(struct chacha20_state *s, const struct aead_job *job, uint32_t block)
{
	const __m512i count =
		_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);

	set_sigma(s);
#pragma GCC unroll 16
	for (int i = 0; i < 8; i++)
		s->word[4 + i] = _mm512_set1_epi32((int)load_le32(job->key + 4 * i));
	s->word[12] = _mm512_add_epi32(_mm512_set1_epi32((int)block), count);
	s->word[14] = _mm512_set1_epi32((int)(uint32_t)job->counter);
	s->word[15] = _mm512_set1_epi32((int)(job->counter >> 32));
}

KERNEL void
xor_block(uint8_t *data, __m512i stream)
{
	_mm512_storeu_si512(data, _mm512_xor_si512(stream, _mm512_loadu_si512(data)));
}

/* The first len <= 64 bytes only. */
KERNEL void
xor_part(uint8_t *data, __m512i stream, uint32_t len)
{
	__mmask64 mask = low_bits(len);
	__m512i text = _mm512_maskz_loadu_epi8(mask, data);

	_mm512_mask_storeu_epi8(data, mask, _mm512_xor_si512(stream, text));
}

/* Sixteen whole consecutive blocks of one packet. */
static inline void
chacha20_xor_packet(struct chacha20_state *s,
	const struct aead_job *job,
	uint32_t block,
	uint8_t *data)
{
	__m512i v[16];

	chacha20_load_packet(s, job, block);
	chacha20_columns(s, v);
	chacha20_to_blocks(v);
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		xor_block(data + 64 * i, v[i]);
}

/* Sixteen whole blocks of any packets: the lanes from `at` on. */
static inline void
chacha20_xor_lanes(struct chacha20_state *s, const struct chacha20_lanes *l, size_t at)
{
	__m512i v[16];

	chacha20_load_lanes(s, l, at);
	chacha20_columns(s, v);
	chacha20_to_blocks(v);
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		xor_block(l->data[at + (size_t)i], v[i]);
}

/* The same where blocks may be shorter: masked stores take longer, branches would be guessed. */
static inline void
chacha20_xor_short_lanes(struct chacha20_state *s, const struct chacha20_lanes *l, size_t at)
{
	__m512i v[16];

	chacha20_load_lanes(s, l, at);
	chacha20_columns(s, v);
	chacha20_to_blocks(v);
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++)
		xor_part(l->data[at + (size_t)i], v[i], l->len[at + (size_t)i]);
}

#endif
