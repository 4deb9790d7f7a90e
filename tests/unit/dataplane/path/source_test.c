/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A session remembers a source that was found right: what that must never let through.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/crypto/aead.h"
#include "tests/lib/gateways.h"
#include "tests/lib/packet.h"
#include "tests/lib/tap.h"

static struct gateways g;

// A packet from near with this source: whether it comes out of far.
static bool
passes(struct in_memory *far, const char *src)
{
	struct packet_make what = { .src = src,
		.dst = strchr(src, ':') != NULL ? "fd02::5" : "10.2.0.5" };
	struct message msg, out;
	uint8_t inner[100];

	packet_make(inner, sizeof(inner), &what);
	if (!gateway_seal(g.near, inner, sizeof(inner), &msg))
		abort();
	return gateway_open(far, &msg, &out);
}

static uint64_t
remembered(void)
{
	return atomic_load(&g.far->keys->rx[FAR_SLOT].source);
}

static void
give_prefix(struct in_memory *far, uint32_t peer)
{
	in_memory_begin(far, false);
	in_memory_prefix(far, "10.1.0.0/16", peer);
	if (in_memory_commit(far) != 0)
		abort();
}

static void
test_remembers(void)
{
	uint64_t first;

	gateways_create(&g, true);
	tap_ok(remembered() == 0, "a new session knows no source");
	tap_ok(passes(g.far, "10.1.0.5"), "the first packet passes");
	first = remembered();
	tap_ok((uint32_t)first == 0x0500010au && first >> 32 != 0, "and its source is remembered");
	tap_ok(passes(g.far, "10.1.0.5"), "so does the next");
	tap_ok(passes(g.far, "10.1.0.6") && passes(g.far, "10.1.255.255"),
		"and those of other addresses of the peer");
	tap_ok(remembered() == first, "which are not written over it by each packet");
	tap_ok(!passes(g.far, "10.3.0.5") && !passes(g.far, "10.2.0.5") &&
			!passes(g.far, "8.8.8.8"),
		"another peer's, our own, nobody's address: refused");
	tap_int((long long)in_memory_drops(g.far, DROP_SOURCE), 3, "as a wrong source");
	tap_ok(passes(g.far, "fd01::5") && !passes(g.far, "fd03::5"),
		"an IPv6 source is looked up every time");
	tap_ok(!passes(g.far, "a01:5::"), "also one that begins like the IPv4 address remembered");
	tap_ok(passes(g.far, "10.1.0.5"), "and the remembered one still passes");
	gateways_destroy(&g);
}

static void
test_prefix_moves(void)
{
	gateways_create(&g, true);
	tap_ok(passes(g.far, "10.1.0.5") && remembered() != 0, "a source is remembered");
	give_prefix(g.far, 1);
	tap_ok(!passes(g.far, "10.1.0.5"), "its prefix goes to another peer: refused at once");
	give_prefix(g.far, 0);
	tap_ok(passes(g.far, "10.1.0.5") && passes(g.far, "10.1.0.5"),
		"it comes back: passes again");
	in_memory_begin(g.far, false);
	in_memory_prefix(g.far, "10.1.0.5/32", 1);
	in_memory_commit(g.far);
	tap_ok(!passes(g.far, "10.1.0.5"), "a longer prefix takes the address away: refused");
	tap_ok(passes(g.far, "10.1.0.6"), "the rest stays");
	gateways_destroy(&g);
}

// Tables are numbered from 1 by each forwarder, and sessions outlive it.
static void
test_successor(void)
{
	struct in_memory_config config = { .n_workers = 1 };
	struct in_memory *successor;
	struct shm_state *state;
	struct shm_sessions *keys;
	uint64_t before;

	gateways_create(&g, true);
	tap_ok(passes(g.far, "10.1.0.5"), "a source is remembered");
	before = remembered();
	// Memory of a forwarder that died: the same content.
	if (in_memory_regions(&state, &keys) < 0)
		abort();
	memcpy(state, g.far->state, offsetof(struct shm_state, counters));
	memcpy(keys->rx, g.far->keys->rx, 16 * sizeof(keys->rx[0]));
	memcpy(keys->tx, g.far->keys->tx, 16 * sizeof(keys->tx[0]));
	config.state = state;
	config.keys = keys;
	if (in_memory_create(&config, &successor) < 0)
		abort();
	tap_ok(atomic_load(&keys->rx[FAR_SLOT].source) == 0, "its successor knows of none");
	while (atomic_load(&successor->tables)->serial < before >> 32)
		give_prefix(successor, 1);
	tap_int(atomic_load(&successor->tables)->serial, (long long)(before >> 32),
		"tables of the same number, by which the prefix is another peer's");
	tap_ok(!passes(successor, "10.1.0.5"), "do not let the source pass");
	in_memory_destroy(successor);
	in_memory_regions_free(state, keys);
	gateways_destroy(&g);
}

static void
test_slot_again(void)
{
	struct in_memory_session s = {
		.peer = 1,
		.receiver_index = FAR_INDEX ^ 0x00100000u,
		.sender_index = 77,
		.role = SHM_ROLE_INITIATOR,
	};
	struct shm_command gone = { .kind = SHM_CMD_SESSION_GONE };

	gateways_create(&g, true);
	tap_ok(passes(g.far, "10.1.0.5") && remembered() != 0, "a source is remembered");
	gone.session_gone.peer = 0;
	gone.session_gone.receiver_index = FAR_INDEX;
	in_memory_command(g.far, &gone);
	in_memory_round(g.far);
	in_memory_install(g.far, &s);
	tap_ok(atomic_load(&g.far->keys->rx[FAR_SLOT].receiver_index) == s.receiver_index &&
			remembered() == 0,
		"the next session in its slot knows of none");
	gateways_destroy(&g);
}

int
main(void)
{
	if (aead_init(NULL) < 0)
		abort();
	test_remembers();
	test_prefix_moves();
	test_successor();
	test_slot_again();
	return tap_done();
}
