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
 * whole one, otherwise on a spare block of ours.
 *
 * Sealing, the cipher runs ahead and Poly1305 follows it.  Opening, Poly1305 runs ahead, and only
 * packets that it found authentic are deciphered.
 */

#include <immintrin.h>
#include <string.h>

#include "lib/base/secret.h"
#include "lib/crypto/aead_avx2_pass.h"
#include "lib/crypto/aead_avx2_poly.h"
#include "lib/crypto/aead_backend.h"

#define GROUP 8 /* packets whose keys are made at once: a pass of them */

/* What a spare block is for. */
enum use {
	USE_NONE, /* the pass has lanes left over */
	USE_KEY,  /* block 0 */
	USE_END,  /* the last block of the data, not a whole one */
};

struct spare {
	uint8_t lane;
	uint8_t use;
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

	size_t n_lanes, n_spares; /* of the pass being prepared */
	struct spare spares[PASS_LANES];
	uint8_t n_ahead[AEAD_BURST]; /* blocks of key stream made ahead, of each packet */
	size_t n_ahead_used;

	/* What is wiped at the end. */
	struct pass pass;
	_Alignas(32) uint8_t blocks[PASS_LANES][CHACHA_BLOCK]; /* zero between passes */
	_Alignas(32) uint8_t ahead[PASS_LANES][CHACHA_BLOCK];
	struct poly polys[AEAD_BURST];
};

/* ---- lanes ---- */

static void
set_lane(struct burst *b, uint8_t *data, const struct aead_job *job, size_t block)
{
	struct lane *lane = &b->pass.lanes[b->n_lanes++];

	lane->key = job->key;
	lane->data = data;
	lane->tail = _mm_set_epi64x((int64_t)job->counter, (int64_t)block);
}

static void
set_spare_lane(struct burst *b, enum use use, size_t packet, size_t block)
{
	b->spares[b->n_spares++] = (struct spare){
		.lane = (uint8_t)b->n_lanes, .use = use, .packet = (uint8_t)packet
	};
	set_lane(b, b->blocks[b->n_lanes], &b->jobs[packet], block);
}

static void
add_keys(struct burst *b, size_t end)
{
	while (b->n_lanes < PASS_LANES && b->n_keyed < end)
		set_spare_lane(b, USE_KEY, b->n_keyed++, 0);
}

// Lanes for what is left of one packet; false if the pass is full before its end.
static bool
add_packet(struct burst *b, const struct aead_job *job)
{
	size_t whole = job->len / CHACHA_BLOCK;

	while (b->cipher_block < whole) {
		if (b->n_lanes == PASS_LANES)
			return false;
		set_lane(b, job->data + b->cipher_block * CHACHA_BLOCK, job, b->cipher_block + 1);
		b->cipher_block++;
	}
	if (b->cipher_block * CHACHA_BLOCK < job->len) {
		if (b->n_lanes == PASS_LANES)
			return false;
		set_spare_lane(b, USE_END, b->cipher_packet, whole + 1);
	}
	return true;
}

static void
next_packet(struct burst *b)
{
	b->cipher_packet++;
	b->cipher_block = 0;
}

/* ---- the pass ---- */

static void
clear_block(uint8_t block[static CHACHA_BLOCK])
{
	_mm256_store_si256((__m256i *)block, _mm256_setzero_si256());
	_mm256_store_si256((__m256i *)(block + 32), _mm256_setzero_si256());
}

// The data's last block, or what there is of it.  Whole vectors: at the very end they reach into
// the tag, which is behind the data, and leave it as it is.
static void
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
use_spare(struct burst *b, const struct spare *spare)
{
	uint8_t *block = b->blocks[spare->lane];
	const struct aead_job *job = &b->jobs[spare->packet];
	size_t part = job->len % CHACHA_BLOCK;

	if (spare->use == USE_KEY)
		poly_init(&b->polys[spare->packet], block);
	else if (spare->use == USE_END)
		crypt_block(job->data + job->len - part, block, part);
	clear_block(block);
}

static void
run_pass(struct burst *b)
{
	while (b->n_lanes < PASS_LANES)
		set_spare_lane(b, USE_NONE, 0, 0);
	aead_avx2_pass(&b->pass);
	for (size_t i = 0; i < b->n_spares; i++)
		use_spare(b, &b->spares[i]);
	b->n_lanes = 0;
	b->n_spares = 0;
}

/* ---- sums ---- */

/*
 * Give the pass what it can sum: packets before `packet`, and n_units of that one.  Returns how
 * many of the units of a pass are used.
 */
static size_t
add_work(struct burst *b, size_t packet, size_t n_units)
{
	struct poly_work *work = b->pass.work;
	size_t room = PASS_UNITS;

	while (b->sum_packet <= packet && b->sum_packet < b->n) {
		const struct aead_job *job = &b->jobs[b->sum_packet];
		size_t whole = job->len / POLY_UNIT;
		size_t there = b->sum_packet < packet ? whole : n_units;
		size_t take = there - b->sum_unit < room ? there - b->sum_unit : room;

		if (take > 0) {
			work->poly = &b->polys[b->sum_packet];
			work->data = job->data + b->sum_unit * POLY_UNIT;
			work->n_units = take;
			work++;
			b->sum_unit += take;
			room -= take;
		}
		if (b->sum_packet == packet || b->sum_unit < whole)
			break;
		b->sum_packet++;
		b->sum_unit = 0;
	}
	work->n_units = 0;
	return PASS_UNITS - room;
}

// Sum up the rest of the packet at the cursor, alone, up to its last whole unit.
static void
sum_alone(struct burst *b)
{
	const struct aead_job *job = &b->jobs[b->sum_packet];
	size_t n_units = job->len / POLY_UNIT - b->sum_unit;

	aead_avx2_poly(&b->polys[b->sum_packet], job->data + b->sum_unit * POLY_UNIT, n_units);
	b->sum_packet++;
	b->sum_unit = 0;
}

static __m128i
tag_of(const struct burst *b, size_t packet)
{
	const struct aead_job *job = &b->jobs[packet];
	size_t left = job->len % POLY_UNIT;

	return poly_finish(&b->polys[packet], job->data + job->len - left, left, job->len);
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
	b->n_lanes = b->n_spares = 0;
	b->pass.work[0].n_units = 0;
	b->n_ahead_used = 0;
	memset(b->n_ahead, 0, sizeof(b->n_ahead));
	for (size_t i = 0; i < PASS_LANES; i++)
		clear_block(b->blocks[i]);
}

static void
end(struct burst *b)
{
	secret_wipe(&b->pass, sizeof(b->pass));
	secret_wipe(b->ahead, sizeof(b->ahead));
	secret_wipe(b->polys, b->n * sizeof(b->polys[0]));
	_mm256_zeroall();
}

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- seal ---- */

// Keys of a group of packets, then their data, then the next group: a packet's key is there when
// its first block is.
static void
add_lanes_to_seal(struct burst *b, size_t *group_end)
{
	for (;;) {
		add_keys(b, *group_end);
		while (b->cipher_packet < b->n_keyed && add_packet(b, &b->jobs[b->cipher_packet]))
			next_packet(b);
		if (b->n_lanes == PASS_LANES || *group_end == b->n)
			return;
		*group_end = min_size(*group_end + GROUP, b->n);
	}
}

static void
write_tags(struct burst *b, size_t from)
{
	for (size_t i = from; i < b->sum_packet; i++)
		store_vector(b->jobs[i].data + b->jobs[i].len, tag_of(b, i));
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

static void
verify(struct burst *b, size_t from)
{
	for (size_t i = from; i < b->sum_packet; i++) {
		struct aead_job *job = &b->jobs[i];
		__m128i diff = _mm_xor_si128(tag_of(b, i), load_vector(job->data + job->len));

		job->ok = _mm_testz_si128(diff, diff);
	}
}

// A small burst leaves lanes free beside its keys: key stream for its first blocks.
static void
add_ahead(struct burst *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		size_t n_blocks = (b->jobs[i].len + CHACHA_BLOCK - 1) / CHACHA_BLOCK;

		while (b->n_ahead[i] < n_blocks && b->n_lanes < PASS_LANES) {
			clear_block(b->ahead[n]);
			set_lane(b, b->ahead[n++], &b->jobs[i], ++b->n_ahead[i]);
		}
	}
}

// The same order as add_ahead().
static void
use_ahead(struct burst *b, const struct aead_job *job)
{
	size_t n = b->n_ahead[b->cipher_packet];

	for (size_t at = 0; job->ok && at < n * CHACHA_BLOCK; at += CHACHA_BLOCK)
		crypt_block(job->data + at, b->ahead[b->n_ahead_used + at / CHACHA_BLOCK],
			min_size(job->len - at, CHACHA_BLOCK));
	b->cipher_block = n;
	b->n_ahead_used += n;
	b->n_ahead[b->cipher_packet] = 0;
}

static void
add_verified(struct burst *b)
{
	while (b->cipher_packet < b->sum_packet) {
		const struct aead_job *job = &b->jobs[b->cipher_packet];

		if (b->n_ahead[b->cipher_packet] > 0)
			use_ahead(b, job);
		if (job->ok && !add_packet(b, job))
			return;
		next_packet(b);
	}
}

// Units that wait to be summed in packets before `end`; counts no further than a pass can take.
static size_t
count_waiting(const struct burst *b, size_t end)
{
	size_t n = 0;

	for (size_t i = b->sum_packet; i < end && n < PASS_UNITS; i++)
		n += b->jobs[i].len / POLY_UNIT - (i == b->sum_packet ? b->sum_unit : 0);
	return n;
}

/*
 * Two things must not run dry: sums to go with a pass, which need keys, and data to decipher, which
 * needs sums.  Keys come first if no sums are left, and else fill up.  Where both together do not
 * fill the pass, packets are summed up alone.
 */
static void
add_lanes_to_open(struct burst *b, size_t n_keyed)
{
	size_t group_end = min_size(n_keyed + GROUP, b->n);
	size_t n_waiting = count_waiting(b, n_keyed);

	if (n_waiting == 0)
		add_keys(b, group_end);
	add_verified(b);
	if (n_waiting < PASS_UNITS)
		add_keys(b, group_end);
	if (n_keyed == 0)
		add_ahead(b);
	while (b->n_lanes < PASS_LANES && b->sum_packet < n_keyed) {
		sum_alone(b);
		verify(b, b->sum_packet - 1);
		add_verified(b);
	}
	add_keys(b, group_end);
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
