/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What aead_avx2_pass.S computes, and the memory it works in.  Private to the AVX2 back end.
 *
 * Source: RFC 8439 sections 2.3 (the block function) and 2.5 (Poly1305).
 * Owner:  all of it lies on the stack of the back end, which wipes it.
 */
#ifndef LIB_CRYPTO_AEAD_AVX2_PASS_H
#define LIB_CRYPTO_AEAD_AVX2_PASS_H

#define CHACHA_BLOCK 64 /* bytes */

#define PASS_LANES 8  /* ChaCha20 blocks of a pass */
#define PASS_UNITS 10 /* units of Poly1305 that fit into its rounds */
#define POLY_UNIT  64 /* bytes: four steps of Poly1305, what is stitched into one double round */

/* Offsets for the assembler; the assertions below hold them to the structures. */
#define POLY_H     0
#define POLY_R     24
#define POLY_5R1   40
#define LANE_KEY   0
#define LANE_DATA  8
#define LANE_TAIL  16
#define LANE_SIZE  32
#define WORK_POLY  0
#define WORK_DATA  8
#define WORK_UNITS 16
#define WORK_SIZE  24
#define PASS_WORK  (PASS_LANES * LANE_SIZE)
#define PASS_AT    (PASS_WORK + (PASS_UNITS + 1) * WORK_SIZE)
#define PASS_STATE 544

#ifndef __ASSEMBLER__

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

/* A sum under way.  h is below 2^130 + a little; r is clamped; r1_5 is r[1] * 5 / 4. */
struct poly {
	uint64_t h[3];
	uint64_t r[2];
	uint64_t r1_5;
	uint64_t s[2]; /* added at the end */
};

/* One block of the cipher: 64 bytes of key stream are added (XOR) to what data points at. */
struct lane {
	const uint8_t *key;
	uint8_t *data;
	__m128i tail; /* the state's last four words: number of the block, zero, counter */
};

/* Whole units of one packet's ciphertext. */
struct poly_work {
	struct poly *poly;
	const uint8_t *data;
	uint64_t n_units; /* 0 ends the list */
};

struct pass {
	struct lane lanes[PASS_LANES];
	struct poly_work work[PASS_UNITS + 1]; /* at most PASS_UNITS units in all */
	/* Scratch of the assembler; holds keys afterwards. */
	const struct poly_work *at;
	_Alignas(32) uint8_t state[16][32];
};

static_assert(offsetof(struct poly, h) == POLY_H, "as in the assembler");
static_assert(offsetof(struct poly, r) == POLY_R, "as in the assembler");
static_assert(offsetof(struct poly, r1_5) == POLY_5R1, "as in the assembler");
static_assert(offsetof(struct lane, key) == LANE_KEY, "as in the assembler");
static_assert(offsetof(struct lane, data) == LANE_DATA, "as in the assembler");
static_assert(offsetof(struct lane, tail) == LANE_TAIL, "as in the assembler");
static_assert(sizeof(struct lane) == LANE_SIZE, "as in the assembler");
static_assert(offsetof(struct poly_work, poly) == WORK_POLY, "as in the assembler");
static_assert(offsetof(struct poly_work, data) == WORK_DATA, "as in the assembler");
static_assert(offsetof(struct poly_work, n_units) == WORK_UNITS, "as in the assembler");
static_assert(sizeof(struct poly_work) == WORK_SIZE, "as in the assembler");
static_assert(offsetof(struct pass, work) == PASS_WORK, "as in the assembler");
static_assert(offsetof(struct pass, at) == PASS_AT, "as in the assembler");
static_assert(offsetof(struct pass, state) == PASS_STATE, "as in the assembler");

/*
 * Eight blocks of ChaCha20, with the Poly1305 work of `work` between their rounds.  The work may
 * not lie in memory that a lane of the same pass writes.  Every lane needs a key and 64 bytes to
 * write to.
 */
void aead_avx2_pass(struct pass *pass);

/* n_units of Poly1305 alone. */
void aead_avx2_poly(struct poly *poly, const uint8_t *data, size_t n_units);

#endif
#endif
