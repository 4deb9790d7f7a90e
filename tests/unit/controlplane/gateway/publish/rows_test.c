/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The difference between two generations against a naive twin: applied to the one, it gives the
 * other, whatever they are.
 */

#include "controlplane/gateway/publish/rows.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

#define MAX_PEERS    12
#define MAX_PREFIXES 40

static struct acl_block *blocks[4]; // the first is none, the last two are alike

// What only publishing looks at: any bytes will do.
static struct acl_block *
make_block(uint32_t len, uint8_t byte, uint64_t generation)
{
	struct acl_table *table = malloc(len);
	struct acl_block *block;

	memset(table, byte, len);
	table->generation = generation;
	table->size_bytes = len;
	if (acl_block_create(table, &block) < 0)
		abort();
	free(table);
	return block;
}

static struct rows *
random_rows(void)
{
	struct rows *rows = rows_create(MAX_PEERS, MAX_PREFIXES);
	size_t n_prefixes = (size_t)rand() % MAX_PREFIXES;

	rows->settings.mtu = (uint16_t)(1400 + rand() % 2);
	for (uint32_t i = 0; i < MAX_PEERS; i++) {
		struct public_key key = { { (uint8_t)i, rand() % 8 == 0 } };

		if (rand() % 2 == 0)
			rows_add_peer(rows, i, &key);
	}
	for (size_t i = 0; i < n_prefixes; i++) {
		struct prefix p = {
			.addr = { .family = rand() % 2 == 0 ? ADDR_V4 : ADDR_V6,
				.bytes = { 10, (uint8_t)(rand() % 3), (uint8_t)(rand() % 2) } },
			.len = (uint8_t)(8 * (1 + rand() % 3))
		};

		rows_add_prefix(
			rows, &p, rand() % 8 == 0 ? SHM_TO_HOST : (uint32_t)rand() % MAX_PEERS);
	}
	rows_set_filter(rows, blocks[rand() % 4]);
	rows_seal(rows);
	return rows;
}

/* The naive twin: arrays that are searched from the front. */
struct naive {
	struct shm_settings settings;
	struct row_peer peers[64];
	size_t n_peers;
	struct shm_prefix_row prefixes[128];
	size_t n_prefixes;
	uint8_t filter[1024];
	size_t filter_len;
	bool wrong; /* something was taken away that was not there */
};

static void
naive_init(struct naive *n, const struct rows *rows)
{
	*n = (struct naive){};
	if (rows == NULL)
		return;
	n->settings = rows->settings;
	n->n_peers = rows->n_peers;
	memcpy(n->peers, rows->peers, rows->n_peers * sizeof(rows->peers[0]));
	n->n_prefixes = rows->n_prefixes;
	memcpy(n->prefixes, rows->prefixes, rows->n_prefixes * sizeof(rows->prefixes[0]));
	n->filter_len = rows->filter != NULL ? rows->filter->len : 0;
	if (n->filter_len > 0)
		memcpy(n->filter, rows->filter->bytes, n->filter_len);
}

static void
naive_filter(struct naive *n, const struct shm_cmd_filter *c)
{
	uint32_t left = c->total - c->offset;

	if (c->offset == 0)
		n->filter_len = 0;
	n->wrong |= c->offset != n->filter_len || c->total > sizeof(n->filter);
	if (n->wrong)
		return;
	left = left < SHM_FILTER_PART ? left : SHM_FILTER_PART;
	memcpy(n->filter + c->offset, c->bytes, left);
	n->filter_len += left;
}

static size_t
naive_prefix(const struct naive *n, const struct shm_prefix_row *row)
{
	for (size_t i = 0; i < n->n_prefixes; i++)
		if (memcmp(&n->prefixes[i].addr, &row->addr, 16) == 0 &&
			n->prefixes[i].family == row->family && n->prefixes[i].len == row->len)
			return i;
	return n->n_prefixes;
}

static size_t
naive_peer(const struct naive *n, uint32_t number)
{
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i].number == number)
			return i;
	return n->n_peers;
}

static void
naive_execute(struct naive *n, const struct shm_command *c)
{
	size_t i;

	switch (c->kind) {
	case SHM_CMD_SETTINGS:
		n->settings = c->settings;
		return;
	case SHM_CMD_PEER:
		i = naive_peer(n, c->peer.peer);
		n->peers[i].number = c->peer.peer;
		memcpy(n->peers[i].key.bytes, c->peer.public_key, KEY_LEN);
		n->n_peers += i == n->n_peers;
		return;
	case SHM_CMD_PEER_GONE:
		i = naive_peer(n, c->one.peer);
		n->wrong |= i == n->n_peers;
		n->peers[i] = n->peers[--n->n_peers];
		return;
	case SHM_CMD_PREFIX:
		i = naive_prefix(n, &c->prefix);
		n->prefixes[i] = c->prefix;
		n->n_prefixes += i == n->n_prefixes;
		return;
	case SHM_CMD_PREFIX_GONE:
		i = naive_prefix(n, &c->prefix);
		n->wrong |= i == n->n_prefixes;
		n->prefixes[i] = n->prefixes[--n->n_prefixes];
		return;
	case SHM_CMD_FILTER:
		naive_filter(n, &c->filter);
		return;
	default:
		n->wrong = true;
	}
}

static bool
same_filter(const struct naive *n, const struct acl_block *block)
{
	if (block == NULL || n->filter_len != block->len)
		return block == NULL && n->filter_len == 0;
	// The number of the table's generation may be that of one before.
	return memcmp(n->filter, block->bytes, 8) == 0 &&
	       memcmp(n->filter + 16, block->bytes + 16, block->len - 16) == 0;
}

static bool
naive_equals(const struct naive *n, const struct rows *rows)
{
	if (n->wrong || n->n_peers != rows->n_peers || n->n_prefixes != rows->n_prefixes ||
		memcmp(&n->settings, &rows->settings, sizeof(n->settings)) != 0 ||
		!same_filter(n, rows->filter))
		return false;
	for (size_t i = 0; i < rows->n_peers; i++) {
		size_t at = naive_peer(n, rows->peers[i].number);

		if (at == n->n_peers ||
			memcmp(&n->peers[at].key, &rows->peers[i].key, KEY_LEN) != 0)
			return false;
	}
	for (size_t i = 0; i < rows->n_prefixes; i++) {
		size_t at = naive_prefix(n, &rows->prefixes[i]);

		if (at == n->n_prefixes || n->prefixes[at].to != rows->prefixes[i].to)
			return false;
	}
	return true;
}

static unsigned
walk(struct naive *n, const struct rows *from, const struct rows *to)
{
	struct rows_walk walk;
	struct shm_command c;
	unsigned count = 0;

	naive_init(n, from);
	rows_walk_init(&walk, from, to);
	while (rows_walk_next(&walk, &c) && count < 1000) {
		naive_execute(n, &c);
		count++;
	}
	return count;
}

static void
test_random(void)
{
	bool all = true, quiet = true;

	srand(1);
	for (int i = 0; i < 3000; i++) {
		struct rows *a = i % 5 == 0 ? NULL : random_rows(), *b = random_rows();
		struct naive n;

		walk(&n, a, b);
		all = all && naive_equals(&n, b);
		quiet = quiet && walk(&n, b, b) == 0;
		rows_destroy(a);
		rows_destroy(b);
	}
	tap_ok(all, "the difference leads from any generation to any other");
	tap_ok(quiet, "from a generation to itself nothing is said");
}

static void
test_conflict(void)
{
	struct prefix p = { .addr = { .family = ADDR_V4, .bytes = { 10, 1, 2, 3 } }, .len = 24 };
	struct rows *rows = rows_create(1, 4);

	rows_add_prefix(rows, &p, 7);
	rows_add_prefix(rows, &p, SHM_TO_HOST);
	rows_add_prefix(rows, &p, 3);
	rows_seal(rows);
	tap_int(rows->n_prefixes, 1, "a prefix that several want is there once");
	tap_int(rows->prefixes[0].to, SHM_TO_HOST, "it is the host's");
	tap_int(rows->prefixes[0].addr.bytes[3], 0, "without its host bits");
	rows_destroy(rows);
}

static void
test_blocks(void)
{
	struct rows *a = rows_create(0, 0), *b = rows_create(0, 0);
	struct acl_table *too_long = calloc(1, sizeof(*too_long));
	struct acl_block *none = NULL;

	tap_ok(acl_block_equal(blocks[2], blocks[3]) && !acl_block_equal(blocks[1], blocks[2]) &&
			!acl_block_equal(blocks[1], NULL) && acl_block_equal(NULL, NULL),
		"filters are equal that give the same verdicts");
	rows_set_filter(a, blocks[2]);
	rows_set_filter(b, blocks[3]);
	tap_ok(rows_equal(a, b), "and so are generations with them");
	rows_set_filter(b, blocks[1]);
	tap_ok(!rows_equal(a, b), "others are not");
	tap_int(blocks[1]->refs, 2, "rows hold a reference");
	rows_destroy(a);
	rows_destroy(b);
	tap_int(blocks[1]->refs, 1, "and let it go");
	too_long->size_bytes = SHM_MAX_FILTER + 8;
	tap_ok(acl_block_create(too_long, &none) < 0 && none == NULL, "one too long is refused");
	free(too_long);
}

int
main(void)
{
	blocks[1] = make_block(sizeof(struct acl_table), 1, 1);
	blocks[2] = make_block(1000, 2, 1);
	blocks[3] = make_block(1000, 2, 2);
	test_random();
	test_conflict();
	test_blocks();
	for (unsigned i = 0; i < 4; i++)
		acl_block_unref(blocks[i]);
	return tap_done();
}
