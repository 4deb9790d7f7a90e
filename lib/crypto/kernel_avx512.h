/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the AVX-512 kernels share: packets as columns of arrays, and small steps of both.
 * Private to aead_avx512.c and its headers.
 *
 * Owner:  keys and data are the caller's, borrowed for one call of the back end.
 */
#ifndef LIB_CRYPTO_KERNEL_AVX512_H
#define LIB_CRYPTO_KERNEL_AVX512_H

#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

/*
 * Arrays of registers stay registers only where functions are inlined and loops unrolled, hence
 * this and the pragmas.
 */
#define KERNEL static inline __attribute__((always_inline))

#define PACKETS_MAX 64

/*
 * Packets that are worked on together, the longest first.  Sixteen of them are loaded at once, so
 * behind the last one the arrays are filled up with empty packets to the next multiple of 16.
 */
struct packets {
	_Alignas(64) const uint8_t *key[PACKETS_MAX];
	uint8_t *data[PACKETS_MAX];
	uint32_t nonce_lo[PACKETS_MAX], nonce_hi[PACKETS_MAX];
	uint32_t len[PACKETS_MAX];
};

/* The lowest n <= 64 bits. */
KERNEL uint64_t
low_bits(uint32_t n)
{
	return _bzhi_u64(UINT64_MAX, n);
}

/* Overwrite whole registers' worth of memory with zeros; the compiler may not leave it out. */
KERNEL void
wipe(void *p, size_t len)
{
	for (size_t at = 0; at < len; at += sizeof(__m512i))
		_mm512_storeu_si512((uint8_t *)p + at, _mm512_setzero_si512());
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* 4 x 4 quarters of registers: out[i] is quarter i of each. */
KERNEL void
transpose_128(const __m512i in[static 4], __m512i out[static 4])
{
	__m512i a = _mm512_shuffle_i32x4(in[0], in[1], 0x44);
	__m512i b = _mm512_shuffle_i32x4(in[0], in[1], 0xee);
	__m512i c = _mm512_shuffle_i32x4(in[2], in[3], 0x44);
	__m512i d = _mm512_shuffle_i32x4(in[2], in[3], 0xee);

	out[0] = _mm512_shuffle_i32x4(a, c, 0x88);
	out[1] = _mm512_shuffle_i32x4(a, c, 0xdd);
	out[2] = _mm512_shuffle_i32x4(b, d, 0x88);
	out[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

#endif
