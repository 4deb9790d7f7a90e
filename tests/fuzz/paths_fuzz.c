/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a peer may do to the choice of paths.  The input is a story, read byte by byte: datagrams as
 * a stranger sends them, messages that a peer sealed (with any plaintext), what the map says, and
 * time that passes.  Peers 0 to 3: 0 and 1 share a disco key, 3 has no home.
 *
 * Whatever happens: what we send stays within bounds, and where packets go makes sense.
 */

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/paths/paths.h"
#include "lib/traversal/disco.h"
#include "lib/traversal/path.h"

#define N_PEERS  4
#define MAX_DATA 2048

struct story {
	const uint8_t *at, *end;
};

static struct {
	struct paths *paths;
	struct mono now, start;
	uint64_t random_state;
	struct secret_key secrets[2]; /* disco keys of the peers, and ours */
	struct public_key disco[2], nodes[N_PEERS], ours;
	struct box_key boxes[2];
	bool ready, is_set[N_PEERS];
	uint64_t allowed; /* pings beyond those that time allows */
	unsigned asked, told;
} w;

static void
must(bool right)
{
	if (!right)
		abort();
}

static uint8_t
next_byte(struct story *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static void
fake_random(void *context, void *out, size_t len)
{
	uint8_t *bytes = out;

	(void)context;
	for (size_t i = 0; i < len; i++) {
		w.random_state = w.random_state * UINT64_C(6364136223846793005) + 1442695;
		// So that inputs can hit: transaction ids are 0 to 15, repeated.
		bytes[i] = len == DISCO_TXID_LEN ? (uint8_t)(w.random_state >> 60)
		                                 : (uint8_t)(w.random_state >> 56);
		if (len == DISCO_TXID_LEN && i > 0)
			bytes[i] = bytes[0];
	}
}

static bool
send_udp(void *context,
	const struct endpoint *to,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	(void)context, (void)local;
	must(to->addr.family == ADDR_V4 || to->addr.family == ADDR_V6);
	must(to->port != 0 && len > 0 && len <= PATHS_MAX_PING_LEN && data != NULL);
	return to->port % 7 != 0;
}

static bool
send_relay(void *context,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len)
{
	(void)context, (void)data;
	must(region != 0 && len > 0);
	for (int i = 0; i < N_PEERS; i++)
		if (memcmp(to, &w.nodes[i], sizeof(*to)) == 0)
			return true;
	abort();
}

static void
chosen(void *context, uint32_t peer, const struct paths_choice *choice)
{
	(void)context;
	must(peer < N_PEERS && choice->relay == (choice->region != 0));
	must(choice->direct.addr.family == ADDR_NONE || choice->direct.port != 0);
}

static size_t
own_endpoints(void *context, struct endpoint *ret_endpoints, size_t max, bool *ret_is_fresh)
{
	(void)context;
	must(max > 0);
	ret_endpoints[0] = (struct endpoint){ .addr = { ADDR_V4, { 192, 0, 2, 1 } }, .port = 9 };
	*ret_is_fresh = (w.random_state & 1) != 0;
	return 1;
}

static void
session_reset(void *context, uint32_t peer)
{
	(void)context;
	must(peer < N_PEERS);
}

static void
pong(void *context, uint64_t token, const struct paths_pong *p)
{
	(void)context, (void)token;
	must(!p->is_answered || p->latency_ns >= 0);
	w.told++;
}

static void
make_keys(void)
{
	for (int i = 0; i < N_PEERS; i++)
		memset(w.nodes[i].bytes, 0x10 + i, KEY_LEN);
	for (int i = 0; i < 2; i++) {
		memset(w.secrets[i].bytes, 0x48 + 8 * i, KEY_LEN);
		key_public(&w.disco[i], &w.secrets[i]);
	}
}

static void
open_world(void)
{
	static const struct secret_key mine = { { 0x40, 1, 2, 3, [31] = 0x41 } };
	const struct paths_calls calls = { send_udp, send_relay, chosen, own_endpoints,
		session_reset, pong, fake_random, NULL };

	if (!w.ready) {
		make_keys();
		key_public(&w.ours, &mine);
		for (int i = 0; i < 2; i++)
			must(box_key_init(&w.boxes[i], &w.secrets[i], &w.ours) == 0);
		w.ready = true;
	}
	memset(w.is_set, 0, sizeof(w.is_set));
	w.random_state = 1;
	w.asked = w.told = 0;
	w.allowed = 0;
	w.start = w.now = (struct mono){ 1000 * NS_PER_S };
	must(paths_create(&calls, &w.paths) == 0);
	must(paths_set_self(w.paths, &w.nodes[0], &mine, w.now) == 0);
}

static void
read_endpoint(struct story *s, struct endpoint *ret_endpoint)
{
	uint8_t kind = next_byte(s);

	*ret_endpoint = (struct endpoint){ .port = next_byte(s) };
	ret_endpoint->addr.family = kind % 3 == 0 ? ADDR_V6 : ADDR_V4;
	ret_endpoint->addr.bytes[0] = kind;
	ret_endpoint->addr.bytes[1] = 0x80;
	ret_endpoint->addr.bytes[3] = next_byte(s);
	ret_endpoint->scope_id = kind == 0xfe ? next_byte(s) % 3 : 0;
}

static void
read_source(struct story *s, uint32_t peer, struct paths_source *ret_source)
{
	*ret_source = (struct paths_source){};
	if (next_byte(s) % 2 != 0) {
		ret_source->region = 1 + next_byte(s) % 3;
		ret_source->relay_key = w.nodes[peer];
		return;
	}
	read_endpoint(s, &ret_source->endpoint);
}

static void
set_peer(struct story *s, uint32_t peer)
{
	struct endpoint list[80];
	uint8_t flags = next_byte(s);
	struct paths_peer p = {
		.node_key = w.nodes[peer],
		.home_region = peer == 3 ? 0 : 1 + flags % 3,
		.endpoints = list,
		.n_endpoints = next_byte(s) % 80,
		.is_expired = (flags & 0xf0) == 0x10,
		.is_wireguard_only = (flags & 0xf0) == 0x20,
	};

	if ((flags & 0xf0) != 0x30)
		p.disco_key = w.disco[peer < 2 || (flags & 0xf0) == 0x40 ? 0 : 1];
	for (size_t i = 0; i < p.n_endpoints; i++)
		read_endpoint(s, &list[i]);
	must(paths_set_peer(w.paths, peer, &p, w.now) == 0);
	w.allowed += w.is_set[peer] ? 0 : 128;
	w.is_set[peer] = true;
}

static void
receive(struct story *s, uint32_t peer)
{
	struct paths_source source;
	size_t len = next_byte(s) * 8u;
	uint8_t *copy;

	read_source(s, peer, &source);
	if (len > (size_t)(s->end - s->at))
		len = (size_t)(s->end - s->at);
	copy = malloc(len > 0 ? len : 1);
	must(copy != NULL);
	memcpy(copy, s->at, len);
	s->at += len;
	paths_receive(w.paths, &source, copy, len, w.now);
	free(copy);
}

// Anything that a peer may say.
static void
say(struct story *s, uint32_t peer)
{
	static const uint8_t magic[DISCO_MAGIC_LEN] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	int who = peer < 2 ? 0 : 1;
	struct paths_source source;
	size_t len = next_byte(s) * 4u;
	uint8_t *data;

	read_source(s, peer, &source);
	if (len > (size_t)(s->end - s->at))
		len = (size_t)(s->end - s->at);
	data = malloc(DISCO_OVERHEAD + len);
	must(data != NULL);
	memcpy(data, magic, sizeof(magic));
	memcpy(data + DISCO_MAGIC_LEN, &w.disco[who], KEY_LEN);
	memset(data + DISCO_SENDER_END, 5, BOX_NONCE_LEN);
	box_seal(data + DISCO_HEADER_LEN, s->at, len, data + DISCO_SENDER_END, &w.boxes[who]);
	s->at += len;
	paths_receive(w.paths, &source, data, DISCO_OVERHEAD + len, w.now);
	free(data);
}

static void
pass(int64_t ns)
{
	struct mono end = mono_add_ns(w.now, ns);

	for (unsigned i = 0;; i++) {
		struct mono next = paths_next(w.paths);

		must(i < 100000);
		if (mono_is_never(next) || next.ns > end.ns)
			break;
		if (next.ns > w.now.ns)
			w.now = next;
		(void)paths_tick(w.paths, w.now);
	}
	w.now = end;
}

static void
adopt(struct story *s, uint32_t peer, bool is_trusted)
{
	struct endpoint endpoint;

	read_endpoint(s, &endpoint);
	if (is_trusted)
		paths_adopt(w.paths, peer, &endpoint, &(struct addr){}, w.now);
	else
		paths_remember(w.paths, peer, &endpoint, &(struct addr){}, w.now);
	w.allowed++;
}

static void
do_one(struct story *s)
{
	uint8_t what = next_byte(s);
	uint32_t peer = what >> 4 & 3;

	switch (what & 15) {
	case 0:
		receive(s, peer);
		break;
	case 1:
	case 2:
	case 3:
		say(s, peer);
		break;
	case 4:
		set_peer(s, peer);
		break;
	case 5:
		paths_remove_peer(w.paths, peer);
		w.is_set[peer] = false;
		break;
	case 6:
		pass(next_byte(s) * 50 * NS_PER_MS);
		break;
	case 7:
		pass(next_byte(s) * NS_PER_S);
		break;
	case 8:
		paths_sent(w.paths, peer, w.now, w.now);
		break;
	case 9:
		(void)paths_send(w.paths, peer, w.nodes[0].bytes, KEY_LEN, w.now);
		break;
	case 10:
		adopt(s, peer, true);
		break;
	case 11:
		paths_ping(w.paths, peer, w.asked++, next_byte(s) * 50u, w.now);
		w.allowed += 162;
		break;
	case 12:
		paths_network_changed(w.paths, w.now);
		w.allowed += N_PEERS;
		break;
	case 13:
		paths_endpoints_fresh(w.paths, w.now);
		break;
	case 14:
		paths_relay_heard(w.paths, peer, next_byte(s) % 4, w.now);
		break;
	default:
		adopt(s, peer, false);
		break;
	}
}

static void
check(void)
{
	uint64_t seconds = (uint64_t)mono_diff_ns(w.now, w.start) / 1000000000 + 1;
	struct paths_candidate candidates[200];
	struct paths_counters c;
	struct paths_state state;

	paths_counters(w.paths, &c);
	must(c.pongs_out <= c.pings_in);
	// A bucket for each peer (a new one whenever it is new), a heartbeat per 3 s, and what was
	// asked for or adopted.
	must(c.pings_out <= N_PEERS * seconds * 26 + w.allowed);
	for (uint32_t i = 0; i < N_PEERS; i++) {
		must(paths_state(w.paths, i, w.now, &state) == w.is_set[i]);
		must(paths_candidates(w.paths, i, candidates, 200) <= 160);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct story s = { data, data + len };

	if (len > MAX_DATA || crypto_init() != 0)
		return 0;
	open_world();
	while (s.at < s.end)
		do_one(&s);
	pass(60 * NS_PER_S);
	check();
	must(w.told == w.asked);                  // each ping that was asked for is told once
	must(mono_is_never(paths_next(w.paths))); // nobody sends: nothing is due
	paths_destroy(w.paths);
	return 0;
}
