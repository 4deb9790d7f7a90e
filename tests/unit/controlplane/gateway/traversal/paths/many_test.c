/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Ten thousand peers: what they cost while nothing is said, and that no round takes long.
 */

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/paths/paths.h"
#include "tests/lib/tap.h"

#define N_PEERS     10000
#define N_ENDPOINTS 6
#define MAX_BYTES   1600 /* of memory for each, with its endpoints */

static struct mono now = { 1000 * NS_PER_S };
static struct public_key base;
static uint64_t random_state = 1;
static unsigned n_udp, n_relay, n_chosen;

static bool
send_udp(void *context,
	const struct endpoint *to,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	(void)context, (void)to, (void)local, (void)data, (void)len;
	n_udp++;
	return true;
}

static bool
send_relay(void *context,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len)
{
	(void)context, (void)region, (void)to, (void)data, (void)len;
	n_relay++;
	return true;
}

static void
chosen(void *context, uint32_t peer, const struct paths_choice *choice)
{
	(void)context, (void)peer, (void)choice;
	n_chosen++;
}

static size_t
own_endpoints(void *context, struct endpoint *ret_endpoints, size_t max, bool *ret_is_fresh)
{
	(void)context, (void)ret_endpoints, (void)max;
	*ret_is_fresh = true;
	return 0;
}

static void
session_reset(void *context, uint32_t peer)
{
	(void)context, (void)peer;
}

static void
on_pong(void *context, uint64_t token, const struct paths_pong *pong)
{
	(void)context, (void)token, (void)pong;
}

static void
fake_random(void *context, void *out, size_t len)
{
	uint8_t *bytes = out;

	(void)context;
	for (size_t i = 0; i < len; i++) {
		random_state = random_state * UINT64_C(6364136223846793005) + 1442695;
		bytes[i] = (uint8_t)(random_state >> 56);
	}
}

// changed: one endpoint is another one than before.
static void
set_peer(struct paths *paths, uint32_t number, bool changed)
{
	struct endpoint endpoints[N_ENDPOINTS] = {};
	struct paths_peer peer = {
		.node_key = base,
		.disco_key = base,
		.home_region = 1,
		.endpoints = endpoints,
		.n_endpoints = N_ENDPOINTS,
	};

	// A point on the curve less a few bits is as good as any for a key that nobody has.
	memcpy(peer.node_key.bytes + 4, &number, sizeof(number));
	memcpy(peer.disco_key.bytes + 8, &number, sizeof(number));
	for (int i = 0; i < N_ENDPOINTS; i++)
		endpoints[i] = (struct endpoint){
			.addr = { ADDR_V4,
				{ 10, (uint8_t)i, (uint8_t)(number >> 8), (uint8_t)number } },
			.port = changed && i == 0 ? 4242 : 41641,
		};
	if (paths_set_peer(paths, number, &peer, now) < 0)
		abort();
}

static unsigned
tick_all(struct paths *paths)
{
	unsigned most = 0, before;

	for (int i = 0; i < N_PEERS; i++) {
		struct mono next;

		before = n_udp;
		next = paths_tick(paths, now);
		if (n_udp - before > most)
			most = n_udp - before;
		if (mono_is_never(next) || next.ns > now.ns)
			break;
	}
	return most;
}

static void
idle(struct paths *paths)
{
	size_t before = mallinfo2().uordblks, bytes;

	for (uint32_t i = 0; i < N_PEERS; i++)
		set_peer(paths, i, false);
	(void)tick_all(paths);
	bytes = (mallinfo2().uordblks - before) / N_PEERS;
	tap_int(n_chosen, N_PEERS, "choices told: the relay of each");
	tap_ok(bytes <= MAX_BYTES, "%zu bytes for each of 10,000 peers", bytes);
	tap_ok(mono_is_never(paths_next(paths)), "nothing is due");
	for (uint32_t i = 0; i < N_PEERS; i++)
		set_peer(paths, i, false);
	tap_int(n_chosen, N_PEERS, "choices told after the same map once more");
	set_peer(paths, 77, true);
	tap_ok(n_udp + n_relay == 0 && mono_is_never(paths_next(paths)),
		"a change of an idle peer makes nobody talk");
}

// After a restart of the control plane: 10,000 keys to compute and pings to send.
static void
adopt_all(struct paths *paths)
{
	const struct endpoint endpoint = { .addr = { ADDR_V4, { 192, 0, 2, 7 } }, .port = 7 };
	unsigned most;

	for (uint32_t i = 0; i < N_PEERS; i++)
		paths_adopt(paths, i, &endpoint, &(struct addr){}, now);
	tap_int(n_udp, 0, "pings from adopting as such");
	most = tick_all(paths);
	tap_ok(most <= 64, "at most 64 pings in a round (%u)", most);
	tap_int(n_udp, N_PEERS, "pings, one to each");
}

int
main(void)
{
	const struct paths_calls calls = { send_udp, send_relay, chosen, own_endpoints,
		session_reset, on_pong, fake_random, NULL };
	struct secret_key secret;
	struct paths *paths;

	if (crypto_init() != 0 || paths_create(&calls, &paths) < 0)
		return 1;
	key_generate(&secret);
	key_public(&base, &secret);
	if (paths_set_self(paths, &base, &secret, now) < 0)
		return 1;
	idle(paths);
	adopt_all(paths);
	paths_destroy(paths);
	return tap_done();
}
