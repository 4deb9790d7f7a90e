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
#define PASS_WORKS 16 /* packets that they can be of, at most */
#define POLY_UNIT  64 /* bytes: four steps of Poly1305, what is stitched into one double round */

/* Kinds of passes, beside 0. */
#define PASS_IS_RUN  1 /* all lanes are of one packet, in order, and only the first is filled in */
#define PASS_IS_KEYS 2 /* only the first 32 bytes of each block are wanted */

/* Offsets for the assembler; the assertions below hold them to the structures. */
#define POLY_R     0
#define POLY_S     16
#define POLY_TAG   32
#define POLY_H     64
#define LANE_KEY   0
#define LANE_DATA  8
#define LANE_TAIL  16
#define LANE_SIZE  32
#define WORK_POLY  0
#define WORK_DATA  8
#define WORK_UNITS 16
#define WORK_END   24
#define WORK_SIZE  32
#define PASS_KIND  (PASS_LANES * LANE_SIZE)
#define PASS_AT    (PASS_KIND + 8)
#define PASS_WORK  (PASS_AT + 8)
#define PASS_STATE 832

#ifndef __ASSEMBLER__

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <immintrin.h>

/*
 * A sum under way.  The first 64 bytes, zero at the beginning, are what a lane makes the one-time
 * key in: r (not clamped yet) and s are block 0 of the key stream.
 */
struct poly {
	uint64_t r[2], s[2];
	uint64_t tag[2]; /* the result */
	uint64_t unused[2];
	uint64_t h[3]; /* zero at the beginning, then below 2^130 + a little */
	uint64_t unused_too;
};

/* One block of the cipher: 64 bytes of key stream are added (XOR) to what data points at. */
struct lane {
	const uint8_t *key;
	uint8_t *data;
	__m128i tail; /* the state's last four words: number of the block, zero, counter */
};

/* Some units of one packet's ciphertext, perhaps its last; then also what follows them. */
struct poly_work {
	struct poly *poly; /* NULL ends the list */
	const uint8_t *data;
	uint64_t n_units;
	uint64_t end; /* 0: not the last; otherwise 1 + the packet's length in bytes */
};

struct pass {
	struct lane lanes[PASS_LANES];
	uint64_t kind;              /* PASS_IS_..., or 0 */
	const struct poly_work *at; /* the assembler's */
	struct poly_work work[PASS_WORKS + 1];
	uint64_t unused[2];
	_Alignas(32) uint8_t state[16][32]; /* the assembler's; holds keys afterwards */
};

static_assert(offsetof(struct poly, r) == POLY_R, "as in the assembler");
static_assert(offsetof(struct poly, s) == POLY_S, "as in the assembler");
static_assert(offsetof(struct poly, tag) == POLY_TAG, "as in the assembler");
static_assert(offsetof(struct poly, h) == POLY_H, "as in the assembler");
static_assert(offsetof(struct lane, key) == LANE_KEY, "as in the assembler");
static_assert(offsetof(struct lane, data) == LANE_DATA, "as in the assembler");
static_assert(offsetof(struct lane, tail) == LANE_TAIL, "as in the assembler");
static_assert(sizeof(struct lane) == LANE_SIZE, "as in the assembler");
static_assert(offsetof(struct poly_work, poly) == WORK_POLY, "as in the assembler");
static_assert(offsetof(struct poly_work, data) == WORK_DATA, "as in the assembler");
static_assert(offsetof(struct poly_work, n_units) == WORK_UNITS, "as in the assembler");
static_assert(offsetof(struct poly_work, end) == WORK_END, "as in the assembler");
static_assert(sizeof(struct poly_work) == WORK_SIZE, "as in the assembler");
static_assert(offsetof(struct pass, kind) == PASS_KIND, "as in the assembler");
static_assert(offsetof(struct pass, at) == PASS_AT, "as in the assembler");
static_assert(offsetof(struct pass, work) == PASS_WORK, "as in the assembler");
static_assert(offsetof(struct pass, state) == PASS_STATE, "as in the assembler");

/*
 * Eight blocks of ChaCha20, with the Poly1305 work of the list between their rounds.  The work may
 * not lie in memory that a lane of the same pass writes.  Every lane has a key and 64 bytes to
 * write to.  A packet's last work reads up to 15 bytes behind the packet.
 */
void aead_avx2_pass(struct pass *pass);

/* The Poly1305 work alone. */
void aead_avx2_sum(struct pass *pass);

#endif
#endif
