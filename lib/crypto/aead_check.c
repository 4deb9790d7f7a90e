/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Known answers.  The first back end, the oracle, is held against digests that another
 * implementation made; the others against the bytes that the oracle made.  All packets lie end to
 * end, so that none is aligned and a byte too many spoils a neighbour.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead_answers.h"
#include "lib/crypto/aead_backend.h"
#include "lib/crypto/hash.h"

#define DATA_LEN (ANSWER_TOTAL_LEN + ANSWER_COUNT * AEAD_TAG_LEN)

struct aead_check {
	struct aead_job jobs[ANSWER_COUNT];
	uint8_t keys[ANSWER_COUNT][AEAD_KEY_LEN];
	uint8_t plain[DATA_LEN];
	uint8_t sealed[DATA_LEN]; /* right, once the oracle passed */
	uint8_t wanted[DATA_LEN]; /* after opening */
	uint8_t data[DATA_LEN];
	bool has_sealed;
};

/*
 * How the packets are cut into bursts: whole vectors of lanes and more, less, and a bit of each;
 * the last number goes on.  Small enough that a wrong carry from one group of packets to the next
 * shows.
 */
static const uint8_t cuts[][6] = {
	{ ANSWER_COUNT },
	{ 1, 2, 3, 5, 7, 1 },
	{ 17, 16, 15, 8, 9, 4 },
};
#define N_CUTS (sizeof(cuts) / sizeof(cuts[0]))

// The same in tests/vectors/aead_known_answers.py: every fifth packet has its neighbour's key.
static void
fill_key(size_t i, uint8_t key[static AEAD_KEY_LEN])
{
	size_t k = i - (i % 5 == 4);

	for (size_t j = 0; j < AEAD_KEY_LEN; j++)
		key[j] = (uint8_t)(k * 37 + j * 11 + 5);
}

static void
fill_plain(size_t i, uint8_t *plain)
{
	for (size_t j = 0; j < answers[i].len; j++)
		plain[j] = (uint8_t)(i * 59 + j * 7 + (j >> 8) * 13 + 1);
}

struct aead_check *
aead_check_create(void)
{
	struct aead_check *c = calloc(1, sizeof(*c));
	size_t at = 0;

	if (c == NULL)
		return NULL;
	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		fill_key(i, c->keys[i]);
		fill_plain(i, c->plain + at);
		c->jobs[i] = (struct aead_job){
			.data = c->data + at,
			.key = i % 5 == 4 ? c->keys[i - 1] : c->keys[i],
			.counter = UINT64_C(0x0123456789abcdef) * (i + 1),
			.len = answers[i].len,
		};
		at += answers[i].len + AEAD_TAG_LEN;
	}
	return c;
}

void
aead_check_destroy(struct aead_check *c)
{
	free(c);
}

static void
run_in_bursts(struct aead_check *c, void (*run)(struct aead_job *, size_t), const uint8_t cut[6])
{
	size_t done = 0, step = 0;

	while (done < ANSWER_COUNT) {
		size_t n = cut[step];

		if (n > ANSWER_COUNT - done)
			n = ANSWER_COUNT - done;
		run(c->jobs + done, n);
		done += n;
		if (step + 1 < sizeof(cuts[0]) && cut[step + 1] != 0)
			step++;
	}
}

static bool
digests_right(const struct aead_check *c)
{
	uint8_t digest[HASH_LEN];

	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		struct bytes_ref sealed = { c->jobs[i].data, answers[i].len + AEAD_TAG_LEN };

		hash_blake2s(digest, &sealed, 1);
		if (memcmp(digest, answers[i].digest, sizeof(digest)) != 0)
			return false;
	}
	return true;
}

static bool
seals_right(struct aead_check *c, const struct aead_backend *backend, const uint8_t cut[6])
{
	memcpy(c->data, c->plain, sizeof(c->data));
	run_in_bursts(c, backend->seal, cut);
	if (!c->has_sealed) {
		if (!digests_right(c))
			return false;
		memcpy(c->sealed, c->data, sizeof(c->sealed));
		c->has_sealed = true;
	}
	return memcmp(c->data, c->sealed, sizeof(c->data)) == 0;
}

// Every third packet has a wrong bit, in its tag (in another byte each) or in its data's last byte.
static bool
forge(struct aead_check *c, size_t i, size_t turn)
{
	uint8_t *tag = c->jobs[i].data + c->jobs[i].len;

	if ((i + turn) % 3 != 0)
		return false;
	if (i % 2 == 0 || c->jobs[i].len == 0)
		tag[i / 2 % AEAD_TAG_LEN] ^= 0x80;
	else
		tag[-1] ^= 0x80;
	return true;
}

static bool
opens_right(struct aead_check *c,
	const struct aead_backend *backend,
	const uint8_t cut[6],
	size_t turn)
{
	bool forged[ANSWER_COUNT];

	memcpy(c->data, c->sealed, sizeof(c->data));
	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		forged[i] = forge(c, i, turn);
		c->jobs[i].ok = forged[i]; // the wrong answer, lest it be left as it was
	}
	memcpy(c->wanted, c->data, sizeof(c->wanted));
	for (size_t i = 0; i < ANSWER_COUNT; i++) {
		size_t at = (size_t)(c->jobs[i].data - c->data);

		if (!forged[i])
			memcpy(c->wanted + at, c->plain + at, answers[i].len);
	}
	run_in_bursts(c, backend->open, cut);
	for (size_t i = 0; i < ANSWER_COUNT; i++)
		if (c->jobs[i].ok == forged[i])
			return false;
	return memcmp(c->data, c->wanted, sizeof(c->data)) == 0;
}

bool
aead_check_passes(struct aead_check *c, const struct aead_backend *backend)
{
	for (size_t i = 0; i < N_CUTS; i++)
		if (!seals_right(c, backend, cuts[i]) || !opens_right(c, backend, cuts[i], i))
			return false;
	return true;
}
