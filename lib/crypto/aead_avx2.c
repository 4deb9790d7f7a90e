/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ChaCha20-Poly1305 for AVX2 across packets: a pass computes eight blocks of the cipher, of
 * whatever packets are at hand, and meanwhile sums up packets whose ciphertext is there.
 *
 * Source: RFC 8439 section 2.8, without associated data; the design and its figures are in
 *         ../shared/design/performance.md section 1.5.
 *
 * A burst is cut into lanes, one per block.  Each packet needs block 0 for its one-time key and
 * blocks 1, 2, ... for its data.  A lane works on the packet itself, in place, if the block is a
 * whole one, otherwise on a block of ours.
 *
 * Sealing, the cipher runs ahead and Poly1305 follows it.  Opening, Poly1305 runs ahead, and only
 * packets that it found authentic are deciphered.
 *
 * The instructions here are not hidden behind the vector unit's work as those of the pass are, so
 * there should be few of them.
 */

#include <immintrin.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/crypto/aead_avx2_narrow.h"
#include "lib/crypto/aead_avx2_pass.h"
#include "lib/crypto/aead_backend.h"

#define GROUP 8 /* packets whose keys are made at once: a pass of them */

/* A lane whose block is the end of a packet, and not a whole one. */
struct end_lane {
	uint8_t lane;
	uint8_t packet;
};

/*
 * Cursors count packets of the burst and, behind the packet, blocks or units of it that are done.
 * "Done" includes what the pass being prepared will do.
 */
struct burst {
	struct aead_job *jobs;
	size_t n; /* at most AEAD_BURST */

	size_t n_keyed; /* packets whose one-time key is made */
	size_t cipher_packet, cipher_block;
	size_t sum_packet, sum_unit;

	size_t n_lanes, n_ends; /* of the pass being prepared */
	struct end_lane ends[PASS_LANES];

	uint8_t n_ahead[AEAD_BURST]; /* blocks of key stream made ahead, of each packet */
	size_t n_ahead_made, n_ahead_used;

	/* What is wiped at the end. */
	struct pass pass;
	_Alignas(32) uint8_t blocks[PASS_LANES][CHACHA_BLOCK]; /* for ends; wiped after a pass */
	_Alignas(32) uint8_t ahead[PASS_LANES][CHACHA_BLOCK];
	_Alignas(32) uint8_t idle[CHACHA_BLOCK]; /* for lanes left over */
	_Alignas(32) struct poly polys[AEAD_BURST];
};

static_assert(sizeof(struct poly) % 32 == 0, "cleared by vectors");

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static __m128i
load_vector(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static void
store_vector(uint8_t *p, __m128i v)
{
	_mm_storeu_si128((__m128i *)(void *)p, v);
}

// In steps of 32 bytes, which p must be aligned to.
static inline void
clear(void *p, size_t len)
{
	for (size_t i = 0; i < len; i += 32)
		_mm256_store_si256((__m256i *)(void *)((uint8_t *)p + i), _mm256_setzero_si256());
}

// clear() that the compiler may not leave out.
static inline void
wipe(void *p, size_t len)
{
	clear(p, len);
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- lanes ---- */

static __m128i
tail_of(const struct aead_job *job, size_t block)
{
	return _mm_set_epi64x((int64_t)job->counter, (int64_t)block);
}

static inline void
set_lane(struct lane *lane, const struct aead_job *job, uint8_t *data, size_t block)
{
	lane->key = job->key;
	lane->data = data;
	lane->tail = tail_of(job, block);
}

// n whole blocks of one packet, from `block` on.
static inline void
add_whole_blocks(struct pass *pass, size_t at, const struct aead_job *job, size_t block, size_t n)
{
	const uint8_t *key = job->key;
	uint8_t *data = job->data + block * CHACHA_BLOCK;
	__m128i tail = tail_of(job, block + 1);

	if (n == PASS_LANES) {
		pass->kind = PASS_IS_RUN;
		n = 1;
	}
	for (struct lane *lane = pass->lanes + at, *end = lane + n; lane < end; lane++) {
		lane->key = key;
		lane->data = data;
		lane->tail = tail;
		data += CHACHA_BLOCK;
		tail = _mm_add_epi64(tail, _mm_set_epi64x(0, 1));
	}
}

// Fill the pass with data, from the cursor up to packet `end`; with what was refused left out, if
// only_ok.  The cursor and so on are copied, lest each store to a lane make them be loaded again.
static inline void
add_data(struct burst *b, size_t end, bool only_ok)
{
	size_t packet = b->cipher_packet, block = b->cipher_block, n_lanes = b->n_lanes;

	while (packet < end) {
		const struct aead_job *job = &b->jobs[packet];
		size_t len = job->len, whole = len / CHACHA_BLOCK;

		if (only_ok && block == 0)
			block = b->n_ahead[packet];
		if (block * CHACHA_BLOCK < len && (!only_ok || job->ok)) {
			if (block < whole) {
				size_t n = min_size(whole - block, PASS_LANES - n_lanes);

				add_whole_blocks(&b->pass, n_lanes, job, block, n);
				n_lanes += n;
				block += n;
			}
			if (block * CHACHA_BLOCK < len) {
				if (n_lanes == PASS_LANES)
					break;
				b->ends[b->n_ends++] =
					(struct end_lane){ (uint8_t)n_lanes, (uint8_t)packet };
				clear(b->blocks[n_lanes], CHACHA_BLOCK);
				set_lane(&b->pass.lanes[n_lanes], job, b->blocks[n_lanes],
					whole + 1);
				n_lanes++;
			}
		}
		packet++;
		block = 0;
	}
	b->cipher_packet = packet;
	b->cipher_block = block;
	b->n_lanes = n_lanes;
}

static void
add_keys(struct burst *b, size_t end)
{
	size_t n = min_size(end - b->n_keyed, PASS_LANES - b->n_lanes);

	if (n == PASS_LANES)
		b->pass.kind = PASS_IS_KEYS;
	for (size_t i = 0; i < n; i++) {
		struct poly *poly = &b->polys[b->n_keyed + i];

		clear(poly, sizeof(*poly));
		set_lane(&b->pass.lanes[b->n_lanes + i], &b->jobs[b->n_keyed + i], (uint8_t *)poly,
			0);
	}
	b->n_keyed += n;
	b->n_lanes += n;
}

/* ---- the pass ---- */

/* All ones in the first len bytes, zero in the others; len <= 16. */
static __m128i
first_bytes(size_t len)
{
	static const uint8_t ones_then_zeros[32] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return load_vector(ones_then_zeros + 16 - len);
}

// What a block of key stream means for len bytes.  Whole vectors: at the packet's very end they
// reach into the tag, and leave it as it is.
static inline void
crypt_block(uint8_t *data, const uint8_t *stream, size_t len)
{
	for (; len >= 16; len -= 16, data += 16, stream += 16)
		store_vector(data, _mm_xor_si128(load_vector(data), load_vector(stream)));
	if (len > 0) {
		__m128i part = _mm_and_si128(load_vector(stream), first_bytes(len));

		store_vector(data, _mm_xor_si128(load_vector(data), part));
	}
}

static void
run_pass(struct burst *b)
{
	bool is_narrow = b->n_lanes <= NARROW_LANES && b->pass.work[0].poly == NULL;

	for (; b->n_lanes < (is_narrow ? NARROW_LANES : PASS_LANES); b->n_lanes++)
		set_lane(&b->pass.lanes[b->n_lanes], &b->jobs[0], b->idle, 0);
	if (is_narrow)
		narrow_pass(&b->pass);
	else
		aead_avx2_pass(&b->pass);
	for (size_t i = 0; i < b->n_ends; i++) {
		uint8_t *block = b->blocks[b->ends[i].lane];
		const struct aead_job *job = &b->jobs[b->ends[i].packet];
		size_t len = job->len % CHACHA_BLOCK;

		crypt_block(job->data + job->len - len, block, len);
		wipe(block, CHACHA_BLOCK);
	}
	b->pass.kind = 0;
	b->n_lanes = 0;
	b->n_ends = 0;
}

/* ---- sums ---- */

// n_units more of the packet at the cursor; its end too, if is_end.
static inline void
set_work(struct burst *b, struct poly_work *work, size_t n_units, bool is_end)
{
	const struct aead_job *job = &b->jobs[b->sum_packet];

	work->poly = &b->polys[b->sum_packet];
	work->data = job->data + b->sum_unit * POLY_UNIT;
	work->n_units = n_units;
	work->end = is_end ? job->len + 1 : 0;
	b->sum_unit += n_units;
	if (is_end) {
		b->sum_packet++;
		b->sum_unit = 0;
	}
}

// Give the pass what it can sum: whole packets before `packet`, and n_units of that one.
static void
add_work(struct burst *b, size_t packet, size_t n_units)
{
	struct poly_work *work = b->pass.work;
	size_t room = PASS_UNITS;

	for (; b->sum_packet < b->n && work < b->pass.work + PASS_WORKS; work++) {
		bool is_whole = b->sum_packet < packet;
		size_t there = is_whole ? b->jobs[b->sum_packet].len / POLY_UNIT : n_units;
		size_t take = min_size(there - b->sum_unit, room);
		bool is_end = is_whole && b->sum_unit + take == there;

		if (take == 0 && !is_end)
			break;
		set_work(b, work, take, is_end);
		room -= take;
	}
	work->poly = NULL;
}

// Sum up the packet at the cursor, what is left of it, alone.
static void
sum_alone(struct burst *b)
{
	size_t left = b->jobs[b->sum_packet].len / POLY_UNIT - b->sum_unit;

	set_work(b, b->pass.work, left, true);
	b->pass.work[1].poly = NULL;
	aead_avx2_sum(&b->pass);
}

/* ---- both directions ---- */

static void
begin(struct burst *b, struct aead_job *jobs, size_t n)
{
	b->jobs = jobs;
	b->n = n;
	b->n_keyed = 0;
	b->cipher_packet = b->cipher_block = 0;
	b->sum_packet = b->sum_unit = 0;
	b->n_lanes = b->n_ends = 0;
	b->n_ahead_made = b->n_ahead_used = 0;
	memset(b->n_ahead, 0, sizeof(b->n_ahead));
	b->pass.kind = 0;
}

static void
end(struct burst *b)
{
	wipe(b->pass.state, sizeof(b->pass.state));
	wipe(b->idle, sizeof(b->idle));
	wipe(b->ahead, b->n_ahead_made * sizeof(b->ahead[0]));
	wipe(b->polys, b->n * sizeof(b->polys[0]));
	_mm256_zeroall();
}

/* ---- seal ---- */

// Keys of a group of packets, then their data, then the next group, so that a packet's key is there
// when its first block is; all the keys first would be passes with nothing to sum up.
static void
add_lanes_to_seal(struct burst *b, size_t *group_end)
{
	for (;;) {
		add_keys(b, *group_end);
		add_data(b, b->n_keyed, false);
		if (b->n_lanes == PASS_LANES || *group_end == b->n)
			return;
		*group_end = min_size(*group_end + GROUP, b->n);
	}
}

static void
write_tags(struct burst *b, size_t from)
{
	for (size_t i = from; i < b->sum_packet; i++)
		memcpy(b->jobs[i].data + b->jobs[i].len, b->polys[i].tag, AEAD_TAG_LEN);
}

static void
seal_burst(struct burst *b)
{
	size_t group_end = 0;

	for (;;) {
		size_t packet = b->cipher_packet, block = b->cipher_block; // what is there now
		size_t from = b->sum_packet;

		add_lanes_to_seal(b, &group_end);
		if (b->n_lanes == 0)
			break;
		add_work(b, packet, block);
		run_pass(b);
		write_tags(b, from);
	}
	while (b->sum_packet < b->n) {
		sum_alone(b);
		write_tags(b, b->sum_packet - 1);
	}
}

static void
avx2_seal(struct aead_job *jobs, size_t n)
{
	struct burst b;

	while (n > 0) {
		size_t piece = min_size(n, AEAD_BURST);

		begin(&b, jobs, piece);
		seal_burst(&b);
		end(&b);
		jobs += piece;
		n -= piece;
	}
}

/* ---- open ---- */

// A small burst leaves lanes free beside its keys: key stream for its first blocks.
static void
add_ahead(struct burst *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n && b->n_lanes < PASS_LANES; i++) {
		size_t n_blocks = (b->jobs[i].len + CHACHA_BLOCK - 1) / CHACHA_BLOCK;

		for (; b->n_ahead[i] < n_blocks && b->n_lanes < PASS_LANES; b->n_lanes++) {
			clear(b->ahead[n], CHACHA_BLOCK);
			set_lane(&b->pass.lanes[b->n_lanes], &b->jobs[i], b->ahead[n++],
				++b->n_ahead[i]);
		}
	}
	b->n_ahead_made = n;
}

// Packets are verified in the order of add_ahead().
static void
use_ahead(struct burst *b, size_t packet)
{
	const struct aead_job *job = &b->jobs[packet];
	size_t n = b->n_ahead[packet];

	for (size_t at = 0; job->ok && at < n * CHACHA_BLOCK; at += CHACHA_BLOCK)
		crypt_block(job->data + at, b->ahead[b->n_ahead_used + at / CHACHA_BLOCK],
			min_size(job->len - at, CHACHA_BLOCK));
	b->n_ahead_used += n;
}

static void
verify(struct burst *b, size_t from)
{
	for (size_t i = from; i < b->sum_packet; i++) {
		struct aead_job *job = &b->jobs[i];
		const uint8_t *tag = job->data + job->len;
		uint64_t diff = (load_le64(tag) ^ b->polys[i].tag[0]) |
		                (load_le64(tag + 8) ^ b->polys[i].tag[1]);

		job->ok = diff == 0;
		if (b->n_ahead[i] > 0)
			use_ahead(b, i);
	}
}

/*
 * Two things must not run dry: sums to go with a pass, which need keys, and data to decipher, which
 * needs sums.  So keys come first if no sums are left, and fill up where data does not: at the
 * beginning, that is, when sums have to get ahead.  Where both together do not fill the pass,
 * packets are summed up alone.
 */
static void
add_lanes_to_open(struct burst *b, size_t n_keyed)
{
	if (b->sum_packet == n_keyed)
		add_keys(b, min_size(n_keyed + GROUP, b->n));
	add_data(b, b->sum_packet, true);
	add_keys(b, b->n);
	if (n_keyed == 0)
		add_ahead(b);
	while (b->n_lanes < PASS_LANES && b->sum_packet < n_keyed) {
		sum_alone(b);
		verify(b, b->sum_packet - 1);
		add_data(b, b->sum_packet, true);
	}
}

static void
open_burst(struct burst *b)
{
	for (;;) {
		size_t n_keyed = b->n_keyed; // what is there now
		size_t from;

		add_lanes_to_open(b, n_keyed);
		if (b->n_lanes == 0)
			return;
		from = b->sum_packet;
		add_work(b, n_keyed, 0);
		run_pass(b);
		verify(b, from);
	}
}

static void
avx2_open(struct aead_job *jobs, size_t n)
{
	struct burst b;

	while (n > 0) {
		size_t piece = min_size(n, AEAD_BURST);

		begin(&b, jobs, piece);
		open_burst(&b);
		end(&b);
		jobs += piece;
		n -= piece;
	}
}

static bool
avx2_is_available(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2");
}

const struct aead_backend aead_avx2 = {
	.name = "avx2",
	.is_available = avx2_is_available,
	.seal = avx2_seal,
	.open = avx2_open,
};
