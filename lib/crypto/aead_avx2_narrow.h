/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ChaCha20 of up to four blocks, for passes that would leave the most of eight lanes empty. Private
 * to the AVX2 back end.
 *
 * Source: RFC 8439 section 2.3.
 *
 * A register holds one row of the state, four words, of two blocks.  This takes hardly more than
 * half the time of a pass, whose number of instructions is the same however few of its lanes are
 * used; but with more than four blocks it would not.
 */
#ifndef LIB_CRYPTO_AEAD_AVX2_NARROW_H
#define LIB_CRYPTO_AEAD_AVX2_NARROW_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

#include "lib/crypto/aead_avx2_pass.h"

#define NARROW_LANES 4

struct rows {
	__m256i a, b, c, d;
};

static inline __m256i
narrow_pair(const uint8_t *low, const uint8_t *high)
{
	return _mm256_loadu2_m128i(
		(const __m128i *)(const void *)high, (const __m128i *)(const void *)low);
}

static inline struct rows
narrow_state(const struct lane *lane)
{
	return (struct rows){
		.a = _mm256_setr_epi32(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 0x61707865,
			0x3320646e, 0x79622d32, 0x6b206574), // "expand 32-byte k"
		.b = narrow_pair(lane[0].key, lane[1].key),
		.c = narrow_pair(lane[0].key + 16, lane[1].key + 16),
		.d = _mm256_setr_m128i(lane[0].tail, lane[1].tail),
	};
}

static inline __m256i
narrow_rotate(__m256i v, int by)
{
	return _mm256_or_si256(_mm256_slli_epi32(v, by), _mm256_srli_epi32(v, 32 - by));
}

static inline void
narrow_round(struct rows *s)
{
	const __m256i rotate_16 = _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12,
		13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
	const __m256i rotate_8 = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13,
		14, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);

	s->a = _mm256_add_epi32(s->a, s->b);
	s->d = _mm256_shuffle_epi8(_mm256_xor_si256(s->d, s->a), rotate_16);
	s->c = _mm256_add_epi32(s->c, s->d);
	s->b = narrow_rotate(_mm256_xor_si256(s->b, s->c), 12);
	s->a = _mm256_add_epi32(s->a, s->b);
	s->d = _mm256_shuffle_epi8(_mm256_xor_si256(s->d, s->a), rotate_8);
	s->c = _mm256_add_epi32(s->c, s->d);
	s->b = narrow_rotate(_mm256_xor_si256(s->b, s->c), 7);
}

// Diagonals come below each other when row a stays and the others turn; and back.
static inline void
narrow_double_round(struct rows *s)
{
	narrow_round(s);
	s->b = _mm256_shuffle_epi32(s->b, _MM_SHUFFLE(0, 3, 2, 1));
	s->c = _mm256_shuffle_epi32(s->c, _MM_SHUFFLE(1, 0, 3, 2));
	s->d = _mm256_shuffle_epi32(s->d, _MM_SHUFFLE(2, 1, 0, 3));
	narrow_round(s);
	s->b = _mm256_shuffle_epi32(s->b, _MM_SHUFFLE(2, 1, 0, 3));
	s->c = _mm256_shuffle_epi32(s->c, _MM_SHUFFLE(1, 0, 3, 2));
	s->d = _mm256_shuffle_epi32(s->d, _MM_SHUFFLE(0, 3, 2, 1));
}

static inline void
narrow_crypt_half(uint8_t *data, __m256i stream)
{
	__m256i *p = (__m256i *)(void *)data;

	_mm256_storeu_si256(p, _mm256_xor_si256(_mm256_loadu_si256(p), stream));
}

static inline void
narrow_crypt(const struct lane *lane, const struct rows *s, const struct rows *start)
{
	__m256i a = _mm256_add_epi32(s->a, start->a), b = _mm256_add_epi32(s->b, start->b);
	__m256i c = _mm256_add_epi32(s->c, start->c), d = _mm256_add_epi32(s->d, start->d);

	narrow_crypt_half(lane[0].data, _mm256_permute2x128_si256(a, b, 0x20));
	narrow_crypt_half(lane[0].data + 32, _mm256_permute2x128_si256(c, d, 0x20));
	narrow_crypt_half(lane[1].data, _mm256_permute2x128_si256(a, b, 0x31));
	narrow_crypt_half(lane[1].data + 32, _mm256_permute2x128_si256(c, d, 0x31));
}

/* The first four lanes; otherwise as aead_avx2_pass() without work. */
static inline void
narrow_pass(struct pass *pass)
{
	struct rows *start = (struct rows *)(void *)pass->state;
	struct rows first, second;

	first = start[0] = narrow_state(pass->lanes);
	second = start[1] = narrow_state(pass->lanes + 2);
	// Not in registers meanwhile: they would go to the stack, which nobody wipes.
	__asm__ volatile("" : : "r"(start) : "memory");

	for (int i = 0; i < 10; i++) {
		narrow_double_round(&first);
		narrow_double_round(&second);
	}
	narrow_crypt(pass->lanes, &first, &start[0]);
	narrow_crypt(pass->lanes + 2, &second, &start[1]);
}

static_assert(2 * sizeof(struct rows) <= sizeof(((struct pass *)NULL)->state),
	"they fit where the assembler has its state");

#endif
