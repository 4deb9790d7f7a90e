/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "lib/base/secret.h"
#include "lib/crypto/aead_backend.h"
#include "lib/crypto/chacha20_avx512.h"
#include "lib/crypto/kernel_avx512.h"
#include "lib/crypto/poly1305_avx512.h"

#define BURST_MAX   AEAD_BURST
#define GROUP_BYTES (24 << 10) /* of data from cipher to sums: stays in the nearest cache */

struct scratch {
	struct chacha20_state state;
	struct poly1305_keys keys[BURST_MAX / POLY1305_LANES];
	struct poly1305_tags tags;
	struct chacha20_lanes lanes;
	struct aead_job *order[BURST_MAX + CHACHA20_LANES];
	struct aead_job *good[BURST_MAX];
	struct aead_job nobody;
	uint8_t zeros[CHACHA20_BLOCK_LEN];
};

static bool
avx512_is_available(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi") &&
	       __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
}

static __attribute__((noinline)) void
make_keys(struct scratch *s, size_t at)
{
	static const uint8_t lane_of[16] = { 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15 };
	struct chacha20_lanes *l = &s->lanes;
	struct poly1305_keys *k = s->keys + at / POLY1305_LANES;
	__m512i v[16];

	for (size_t i = 0; i < 16; i++) {
		const struct aead_job *job = s->order[at + i];
		size_t lane = lane_of[i];

		l->key[lane] = job->key;
		l->block[lane] = 0;
		l->nonce_lo[lane] = (uint32_t)job->counter;
		l->nonce_hi[lane] = (uint32_t)(job->counter >> 32);
	}
	chacha20_load_lanes(&s->state, l, 0);
	chacha20_columns(&s->state, v);
	k[0].r_lo = _mm512_unpacklo_epi32(v[0], v[1]);
	k[0].r_hi = _mm512_unpacklo_epi32(v[2], v[3]);
	k[0].s_lo = _mm512_unpacklo_epi32(v[4], v[5]);
	k[0].s_hi = _mm512_unpacklo_epi32(v[6], v[7]);
	if (at + 8 < BURST_MAX) {
		k[1].r_lo = _mm512_unpackhi_epi32(v[0], v[1]);
		k[1].r_hi = _mm512_unpackhi_epi32(v[2], v[3]);
		k[1].s_lo = _mm512_unpackhi_epi32(v[4], v[5]);
		k[1].s_hi = _mm512_unpackhi_epi32(v[6], v[7]);
	}
}

static __attribute__((noinline)) void
run_packet(struct scratch *s, const struct aead_job *job, uint32_t block)
{
	chacha20_xor_packet(&s->state, job, block, job->data + (size_t)(block - 1) * 64);
}
static __attribute__((noinline)) void
run_lanes(struct scratch *s, size_t at)
{
	chacha20_xor_lanes(&s->state, &s->lanes, at);
}
static __attribute__((noinline)) void
run_short_lanes(struct scratch *s, size_t at)
{
	chacha20_xor_short_lanes(&s->state, &s->lanes, at);
}
static __attribute__((noinline)) void
run_long(struct scratch *s, size_t at)
{
	poly1305_long(s->order + at, s->keys + at / 8, &s->tags);
}

static void
crypt(struct scratch *s, struct aead_job *const *job, size_t n)
{
	struct chacha20_lanes *l = &s->lanes;
	size_t whole;

	l->n = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t blocks = job[i]->len / 64, block = 1;

		for (; blocks >= 16; blocks -= 16, block += 16)
			run_packet(s, job[i], block);
		chacha20_lanes_add(
			l, job[i], block, job[i]->data + (size_t)(block - 1) * 64, 64, blocks);
	}
	whole = l->n & ~(size_t)15;
	for (size_t i = 0; i < n; i++) {
		uint32_t blocks = job[i]->len / 64;
		uint32_t left = job[i]->len % 64;

		chacha20_lanes_add(l, job[i], blocks + 1, job[i]->data + (size_t)blocks * 64,
			(uint8_t)left, left != 0);
	}
	chacha20_lanes_add(l, &s->nobody, 1, s->zeros, 0, 16);
	l->n -= 16;
	for (size_t i = 0; i < whole; i += 16)
		run_lanes(s, i);
	for (size_t i = whole; i < l->n; i += 16)
		run_short_lanes(s, i);
}

static size_t
group_take(const struct scratch *s, size_t at, size_t n)
{
	size_t bytes = 0, taken = 0;

	while (at + taken < n) {
		size_t more = 0;

		for (size_t i = 0; i < 8; i++)
			more += s->order[at + taken + i]->len;
		if (taken > 0 && bytes + more > GROUP_BYTES)
			break;
		bytes += more;
		taken += 8;
	}
	return at + taken > n ? n - at : taken;
}

static void
sort(struct scratch *s, struct aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t j = i;
		for (; j > 0 && s->order[j - 1]->len < jobs[i].len; j--)
			s->order[j] = s->order[j - 1];
		s->order[j] = &jobs[i];
	}
	for (size_t i = n; i < n + 16 && i < BURST_MAX + 16; i++)
		s->order[i] = &s->nobody;
}

static void
begin(struct scratch *s, struct aead_job *jobs, size_t n)
{
	memset(s->zeros, 0, sizeof(s->zeros));
	s->nobody = (struct aead_job){ .data = s->zeros, .key = s->zeros };
	sort(s, jobs, n);
	for (size_t i = 0; i < n; i += 16)
		make_keys(s, i);
}

static void
seal_piece(struct scratch *s, struct aead_job *jobs, size_t n)
{
	begin(s, jobs, n);
	for (size_t at = 0, taken; at < n; at += taken) {
		taken = group_take(s, at, n);
		crypt(s, s->order + at, taken);
		for (size_t i = at; i < at + taken; i += 8) {
			run_long(s, i);
			for (size_t j = 0; j < 8 && i + j < n; j++) {
				struct aead_job *job = s->order[i + j];
				memcpy(job->data + job->len, poly1305_tag(&s->tags, j), 16);
			}
		}
	}
}

static void
open_piece(struct scratch *s, struct aead_job *jobs, size_t n)
{
	begin(s, jobs, n);
	for (size_t at = 0, taken; at < n; at += taken) {
		size_t n_good = 0;

		taken = group_take(s, at, n);
		for (size_t i = at; i < at + taken; i += 8) {
			run_long(s, i);
			for (size_t j = 0; j < 8 && i + j < n; j++) {
				struct aead_job *job = s->order[i + j];
				__m128i x = _mm_loadu_si128((void *)(job->data + job->len));
				__m128i y = _mm_loadu_si128((void *)poly1305_tag(&s->tags, j));

				x = _mm_xor_si128(x, y);
				job->ok = _mm_testz_si128(x, x);
				s->good[n_good] = job;
				n_good += job->ok;
			}
		}
		crypt(s, s->good, n_good);
	}
}

static void
avx512_seal(struct aead_job *jobs, size_t n)
{
	struct scratch s;

	for (size_t at = 0; at < n; at += BURST_MAX)
		seal_piece(&s, jobs + at, n - at < BURST_MAX ? n - at : BURST_MAX);
	_mm256_zeroupper();
}

static void
avx512_open(struct aead_job *jobs, size_t n)
{
	struct scratch s;

	for (size_t at = 0; at < n; at += BURST_MAX)
		open_piece(&s, jobs + at, n - at < BURST_MAX ? n - at : BURST_MAX);
	_mm256_zeroupper();
}

const struct aead_backend aead_avx512 = {
	.name = "avx512",
	.is_available = avx512_is_available,
	.seal = avx512_seal,
	.open = avx512_open,
};
