/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ChaCha20-Poly1305 that fills the vector unit with blocks of different packets.
 */

#include <assert.h>
#include <string.h>

#include "lib/crypto/aead_backend.h"
#include "lib/crypto/chacha20_avx512.h"
#include "lib/crypto/kernel_avx512.h"
#include "lib/crypto/poly1305_avx512.h"
#include "lib/crypto/poly1305_one_avx512.h"

#define PIECE_BYTES (24 << 10) /* of data from cipher to sums: stays in the nearest cache */
#define LANES_MAX   1088       /* of a piece: more than the longest packet has */
#define RUN_LEN     (CHACHA20_LANES * CHACHA20_BLOCK_LEN)
#define SHORT_LEN   128 /* up to here sums are made of sixteen packets at once */

/* A piece of a burst: what is worked on together. */
struct piece {
	struct packets packets;
	struct aead_job *job[PACKETS_MAX];
	size_t n;
	struct chacha20_lanes lanes;
	_Alignas(64) struct lane lane[LANES_MAX + 2 * CHACHA20_LANES];
	uint8_t *lane_data[LANES_MAX + 2 * CHACHA20_LANES];
	// Secret: wiped at the end.
	struct chacha20_state of_keys[PACKETS_MAX / CHACHA20_LANES]; // input of the one-time keys
	struct chacha20_state state[2];
	struct poly1305_keys keys[PACKETS_MAX / POLY1305_LANES];
	struct poly1305_tags tags[2]; // expected ones: of a forged packet the one that it lacks
};

static bool
avx512_is_available(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi") &&
	       __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
}

/* ---- preparation ---- */

static uint32_t
blocks_of(uint32_t len)
{
	return (len + CHACHA20_BLOCK_LEN - 1) / CHACHA20_BLOCK_LEN;
}

// How many of n jobs make the next piece: whole groups of sixteen until the cache is full.
static size_t
piece_take(const struct aead_job *jobs, size_t n)
{
	size_t taken = 0, bytes = 0, lanes = 0;

	while (taken < n && taken < PACKETS_MAX && (taken % 16 != 0 || bytes < PIECE_BYTES)) {
		lanes += blocks_of(jobs[taken].len);
		if (lanes > LANES_MAX)
			break;
		bytes += jobs[taken].len;
		taken++;
	}
	return taken;
}

static void
piece_put(struct piece *x, size_t at, struct aead_job *job)
{
	struct packets *p = &x->packets;

	x->job[at] = job;
	p->key[at] = job->key;
	p->data[at] = job->data;
	p->nonce_lo[at] = (uint32_t)job->counter;
	p->nonce_hi[at] = (uint32_t)(job->counter >> 32);
	p->len[at] = job->len;
}

/*
 * The place of each packet when the longest come first: how many are longer, or as long and before
 * it.  Counted with masks, since comparing one by one would be guessed wrongly.
 */
static void
rank(const uint16_t len[static 64], size_t n, uint8_t place[static 64])
{
	__m512i low = _mm512_load_si512(len), high = _mm512_load_si512(len + 32);

	for (size_t i = 0; i < n; i++) {
		__m512i mine = _mm512_set1_epi16((short)len[i]);
		uint64_t longer = (uint64_t)_mm512_cmpgt_epu16_mask(high, mine) << 32 |
		                  _mm512_cmpgt_epu16_mask(low, mine);
		uint64_t not_shorter = (uint64_t)_mm512_cmpge_epu16_mask(high, mine) << 32 |
		                       _mm512_cmpge_epu16_mask(low, mine);
		uint64_t before = low_bits((uint32_t)i);

		place[i] =
			(uint8_t)__builtin_popcountll((longer & ~before) | (not_shorter & before));
	}
}

static void
piece_sort(struct piece *x, struct aead_job *jobs, size_t n)
{
	static uint8_t nobody[AEAD_KEY_LEN];
	struct aead_job empty = { .data = nobody, .key = nobody };
	_Alignas(64) uint16_t len[PACKETS_MAX] = { 0 };
	uint8_t place[PACKETS_MAX];
	bool sorted = true;

	x->n = n;
	for (size_t i = 0; i < n; i++) {
		len[i] = (uint16_t)jobs[i].len;
		sorted &= i == 0 || jobs[i].len <= jobs[i - 1].len;
	}
	if (sorted) {
		for (size_t i = 0; i < n; i++)
			piece_put(x, i, &jobs[i]);
	} else {
		rank(len, n, place);
		for (size_t i = 0; i < n; i++)
			piece_put(x, place[i], &jobs[i]);
	}
	for (size_t i = n; i % CHACHA20_LANES != 0; i++)
		piece_put(x, i, &empty);
}

// The lanes of all packets' data, or without those of packets whose bit in `skip` is set.
KERNEL void
lanes_list(struct piece *x, uint64_t skip)
{
	const uint32_t *len = x->packets.len;
	uint8_t *const *data = x->packets.data;
	struct chacha20_lanes *l = &x->lanes;
	size_t n = 0;

	l->lane = x->lane;
	l->data = x->lane_data;
	for (uint32_t i = 0; i < x->n && len[i] >= RUN_LEN; i++) {
		uint32_t runs = skip >> i & 1 ? 0 : len[i] / RUN_LEN;

		for (uint32_t r = 0; r < runs; r++, n += 16)
			lanes_write(l, n, i, 16 * r + 1, data[i] + (size_t)r * RUN_LEN, 16);
	}
	l->n_runs = n;
	for (uint32_t i = 0; i < x->n; i++) {
		uint32_t whole = len[i] / CHACHA20_BLOCK_LEN, in_runs = whole & ~15u;

		lanes_write(l, n, i, in_runs + 1, data[i] + in_runs * CHACHA20_BLOCK_LEN,
			whole - in_runs);
		n += skip >> i & 1 ? 0 : whole - in_runs;
	}
	l->n_whole = n / 16 * 16;
	for (uint32_t i = 0; i < x->n; i++) {
		uint32_t whole = len[i] / CHACHA20_BLOCK_LEN;
		bool has_rest = len[i] % CHACHA20_BLOCK_LEN != 0;

		lane_write(l, n, i, whole + 1, data[i] + whole * CHACHA20_BLOCK_LEN);
		n += has_rest && !(skip >> i & 1);
	}
	while (n % 16 != 0)
		lane_write(l, n++, 0, LANE_BLOCK_MAX, data[0]); // far behind its end
	l->n = n;
}

static void
piece_lanes(struct piece *x)
{
	lanes_list(x, 0); // a constant: most bursts have no forgery in them
}

static __attribute__((noinline)) void
piece_lanes_without(struct piece *x, uint64_t forged)
{
	lanes_list(x, forged);
}

static void
keys_store(struct poly1305_keys k[static 2], const __m512i v[static 8])
{
	const __m512i low =
		_mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
	const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));

	k[0].r_lo = _mm512_permutex2var_epi32(v[0], low, v[1]);
	k[1].r_lo = _mm512_permutex2var_epi32(v[0], high, v[1]);
	k[0].r_hi = _mm512_permutex2var_epi32(v[2], low, v[3]);
	k[1].r_hi = _mm512_permutex2var_epi32(v[2], high, v[3]);
	k[0].s_lo = _mm512_permutex2var_epi32(v[4], low, v[5]);
	k[1].s_lo = _mm512_permutex2var_epi32(v[4], high, v[5]);
	k[0].s_hi = _mm512_permutex2var_epi32(v[6], low, v[7]);
	k[1].s_hi = _mm512_permutex2var_epi32(v[6], high, v[7]);
}

// Words are one packet per lane already, which is what sums want: no transposition.
static __attribute__((noinline)) void
piece_keys(struct piece *x)
{
	__m512i v[16];

	chacha20_load_keys(&x->of_keys[0], &x->packets, 0);
	for (size_t at = 0; at < x->n; at += CHACHA20_LANES) {
		size_t next = at + CHACHA20_LANES;

		if (next < x->n)
			chacha20_load_keys(&x->of_keys[next / CHACHA20_LANES], &x->packets, next);
		chacha20_columns(&x->of_keys[at / CHACHA20_LANES], v);
		keys_store(x->keys + at / POLY1305_LANES, v);
	}
}

static __attribute__((noinline)) void
piece_xor(struct piece *x)
{
	chacha20_xor(x->state, &x->packets, x->of_keys, &x->lanes);
}

/* ---- tags ---- */

static __attribute__((noinline)) void
tags_long_1(struct piece *x, size_t at)
{
	poly1305_long(&x->packets, at, x->keys + at / POLY1305_LANES, x->tags, 1);
}

static __attribute__((noinline)) void
tags_long_2(struct piece *x, size_t at)
{
	poly1305_long(&x->packets, at, x->keys + at / POLY1305_LANES, x->tags, 2);
}

static __attribute__((noinline)) void
tags_short_2(struct piece *x, size_t at)
{
	poly1305_short(&x->packets, at, x->keys + at / POLY1305_LANES, x->tags, 2);
}

// Tags of the packets from `at` on; returns of how many.
static size_t
piece_tags(struct piece *x, size_t at)
{
	const uint32_t *len = x->packets.len + at;
	size_t left = x->n - at;

	if (left <= 8) {
		tags_long_1(x, at);
		return left;
	}
	if (len[0] <= SHORT_LEN)
		tags_short_2(x, at);
	else
		tags_long_2(x, at);
	return left < 16 ? left : 16;
}

static __m128i *
tag_of(struct piece *x, size_t i)
{
	return (__m128i *)poly1305_tag(&x->tags[i / POLY1305_LANES], i % POLY1305_LANES);
}

static void
piece_init(struct piece *x)
{
	for (size_t i = 0; i < PACKETS_MAX / CHACHA20_LANES; i++)
		chacha20_init(&x->of_keys[i]);
	chacha20_init(&x->state[0]);
	chacha20_init(&x->state[1]);
}

static void
piece_begin(struct piece *x, struct aead_job *jobs, size_t n)
{
	piece_sort(x, jobs, n);
	piece_lanes(x);
	piece_keys(x);
}

static void
piece_seal(struct piece *x, struct aead_job *jobs, size_t n)
{
	piece_begin(x, jobs, n);
	piece_xor(x);
	for (size_t at = 0, done; at < n; at += done) {
		done = piece_tags(x, at);
		for (size_t i = 0; i < done; i++) {
			uint8_t *end = x->packets.data[at + i] + x->packets.len[at + i];

			_mm_storeu_si128((__m128i *)end, _mm_load_si128(tag_of(x, i)));
		}
	}
}

static void
piece_open(struct piece *x, struct aead_job *jobs, size_t n)
{
	uint64_t forged = 0;

	piece_begin(x, jobs, n);
	for (size_t at = 0, done; at < n; at += done) {
		done = piece_tags(x, at);
		for (size_t i = 0; i < done; i++) {
			const uint8_t *end = x->packets.data[at + i] + x->packets.len[at + i];
			__m128i theirs = _mm_loadu_si128((const __m128i *)end);
			__m128i differs = _mm_xor_si128(theirs, _mm_load_si128(tag_of(x, i)));
			bool ok = _mm_testz_si128(differs, differs);

			x->job[at + i]->ok = ok;
			forged |= (uint64_t)!ok << (at + i);
		}
	}
	if (forged != 0)
		piece_lanes_without(x, forged);
	piece_xor(x);
}

// Of the first n_used packets' places, the most of all pieces.
static void
piece_wipe(struct piece *x, size_t n_used)
{
	size_t sixteens = (n_used + CHACHA20_LANES - 1) / CHACHA20_LANES;

	wipe(x->of_keys, sixteens * sizeof(x->of_keys[0]));
	wipe(x->keys, sixteens * 2 * sizeof(x->keys[0]));
	wipe(x->state, sizeof(x->state));
	wipe(x->tags, sizeof(x->tags));
}

/* ---- few packets: one after the other ---- */

/* One packet; secret. */
struct single {
	__m512i key;        // block 0 of the key stream: the one-time key
	__m512i stream[16]; // the key stream from some block on
	struct chacha20_state state;
	uint32_t n_made; // blocks of stream
	uint32_t n_used; // the most that were ever made; with 16, state was used, too
};

static void
single_stream(struct single *x, const struct aead_job *job, uint32_t block, uint32_t needed)
{
	x->n_made = chacha20_stream(&x->state, job, block, needed, x->stream);
	x->n_used = x->n_used < x->n_made ? x->n_made : x->n_used;
}

// Key, and key stream of as much of the packet as comes with it.
static void
single_begin(struct single *x, const struct aead_job *job)
{
	single_stream(x, job, 0, 1 + blocks_of(job->len));
	x->key = x->stream[0];
}

static void
single_xor(struct single *x, struct aead_job *job)
{
	uint32_t block = 1, first = 1, at = 0;

	while (at < job->len) {
		for (uint32_t i = first; i < x->n_made && at < job->len; i++, block++) {
			uint32_t left = job->len - at;

			if (left >= CHACHA20_BLOCK_LEN)
				xor_block(job->data + at, x->stream[i]);
			else
				xor_part(job->data + at, x->stream[i], left);
			at += CHACHA20_BLOCK_LEN;
		}
		first = 0;
		if (at < job->len)
			single_stream(x, job, block, blocks_of(job->len - at));
	}
}

static __m128i
single_tag(const struct single *x, const struct aead_job *job)
{
	return poly1305_one(job->data, job->len, (const uint8_t *)&x->key);
}

static __attribute__((noinline)) void
single_seal(struct single *x, struct aead_job *job)
{
	single_begin(x, job);
	single_xor(x, job);
	_mm_storeu_si128((__m128i *)(job->data + job->len), single_tag(x, job));
}

static __attribute__((noinline)) void
single_open(struct single *x, struct aead_job *job)
{
	__m128i theirs = _mm_loadu_si128((const __m128i *)(job->data + job->len));
	__m128i differs;

	single_begin(x, job);
	differs = _mm_xor_si128(theirs, single_tag(x, job));
	job->ok = _mm_testz_si128(differs, differs);
	if (job->ok)
		single_xor(x, job);
}

static void
single_wipe(struct single *x)
{
	wipe(&x->key, sizeof(x->key));
	wipe(x->stream, x->n_used * sizeof(x->stream[0]));
	if (x->n_used == 16)
		wipe(&x->state, sizeof(x->state));
}

// So few are done one by one.
#define FEW 4

static void
few(struct aead_job *jobs, size_t n, void (*run)(struct single *, struct aead_job *))
{
	struct single x;

	x.n_used = 0;
	for (size_t i = 0; i < n; i++)
		run(&x, &jobs[i]);
	single_wipe(&x);
}

static void
many(struct aead_job *jobs, size_t n, void (*run)(struct piece *, struct aead_job *, size_t))
{
	struct piece x;
	size_t most = 0;

	piece_init(&x);
	for (size_t at = 0, taken; at < n; at += taken) {
		taken = piece_take(jobs + at, n - at);
		run(&x, jobs + at, taken);
		most = most < taken ? taken : most;
	}
	piece_wipe(&x, most);
}

static void
avx512_seal(struct aead_job *jobs, size_t n)
{
	if (n <= FEW)
		few(jobs, n, single_seal);
	else
		many(jobs, n, piece_seal);
	_mm256_zeroupper();
}

static void
avx512_open(struct aead_job *jobs, size_t n)
{
	if (n <= FEW)
		few(jobs, n, single_open);
	else
		many(jobs, n, piece_open);
	_mm256_zeroupper();
}

const struct aead_backend aead_avx512 = {
	.name = "avx512",
	.is_available = avx512_is_available,
	.seal = avx512_seal,
	.open = avx512_open,
};
