/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source: ../shared/protocol/peer.md 2.3, 2.5, 2.6 and, of call-me-maybe, 2.7.
 */

#include <string.h>

#include "controlplane/gateway/traversal/paths/path_peer.h"

/* What is known of a datagram when it is understood. */
struct arrival {
	const struct paths_source *source;
	struct disco_key *key;     /* its sender's */
	struct path_peer *relayed; /* through a relay: who sent it; NULL: over UDP */
	struct mono now;
};

// for (struct path_peer *p = first_sharer(a, &n); p != NULL; p = next_sharer(a, p, &n))
static struct path_peer *
first_sharer(const struct arrival *a, unsigned *ret_n)
{
	*ret_n = 1;
	return a->relayed != NULL ? a->relayed : a->key->first;
}

static struct path_peer *
next_sharer(const struct arrival *a, const struct path_peer *p, unsigned *n)
{
	if (a->relayed != NULL || (*n)++ >= DISCO_MAX_SHARERS)
		return NULL;
	return p->next_sharer;
}

static struct path_peer *
sharer_with_node_key(const struct disco_key *key, const struct public_key *node_key)
{
	unsigned n = 0;

	for (struct path_peer *p = key->first; p != NULL && n < DISCO_MAX_SHARERS;
		p = p->next_sharer) {
		if (memcmp(p->node_key.bytes, node_key->bytes, KEY_LEN) == 0)
			return p;
		n++;
	}
	return NULL;
}

/* --- ping --- */

static bool
is_repeated_on_relay(struct path_peer *p, const struct disco_ping *ping)
{
	if (memcmp(p->relay_txid, ping->txid, DISCO_TXID_LEN) == 0)
		return true;
	memcpy(p->relay_txid, ping->txid, DISCO_TXID_LEN);
	return false;
}

static bool
is_repeated(const struct arrival *a, const struct disco_ping *ping)
{
	bool repeated = false;
	unsigned n;

	if (a->relayed != NULL)
		return is_repeated_on_relay(a->relayed, ping);
	for (struct path_peer *p = first_sharer(a, &n); p != NULL; p = next_sharer(a, p, &n))
		repeated |= candidates_hear(&p->candidates, &a->source->endpoint, ping->txid,
			&p->best.endpoint, a->now);
	return repeated;
}

// Over a relay the peer learns a place that cannot be reached: 127.3.3.40 and the region.
static struct endpoint
seen_source(const struct arrival *a)
{
	struct endpoint source = a->source->endpoint;

	if (a->relayed != NULL)
		source = (struct endpoint){
			.addr = { ADDR_V4, { 127, 3, 3, 40 } },
			.port = a->source->region,
		};
	return source;
}

static void
on_ping(struct paths *paths, const struct arrival *a, const struct disco_ping *ping)
{
	struct disco_message pong = { .type = DISCO_PONG };

	paths->counters.pings_in++;
	if (a->relayed == NULL && !candidate_is_usable(&a->source->endpoint)) {
		paths->counters.ignored++;
		return;
	}
	if (is_repeated(a, ping)) {
		paths->counters.duplicate++;
		return;
	}
	memcpy(pong.pong.txid, ping->txid, sizeof(pong.pong.txid));
	pong.pong.source = seen_source(a);
	paths->counters.pongs_out++;
	if (a->relayed != NULL)
		(void)send_disco_relay(paths, a->relayed, &pong, a->source->region);
	else
		(void)send_disco_udp(
			paths, a->key->first, &pong, &a->source->endpoint, &a->source->local);
}

/* --- pong --- */

// Where we sent the ping, not where the pong came from: that is known to work in both directions.
static void
take_path(struct path_peer *p, const struct arrival *a, const struct ping *ping)
{
	struct path path = { .endpoint = ping->to };
	struct candidate *c = candidates_find(&p->candidates, &ping->to);

	if (c == NULL && !endpoint_equal(&ping->to, &p->best.endpoint))
		return;
	path.latency_ns = mono_diff_ns(a->now, ping->sent);
	path.wire_mtu = PATH_SAFE_WIRE_MTU;
	if (ping->payload_len > DISCO_PING_LEN)
		path.wire_mtu = path_wire_len(&path, ping->payload_len);
	if (c != NULL) {
		c->latency_ns = path.latency_ns;
		c->last_pong = a->now;
	}
	choice_on_pong(p, &path, &a->source->local, a->now);
}

static void
tell(struct paths *paths,
	struct path_peer *p,
	const struct arrival *a,
	const struct ping *ping,
	const struct disco_pong *pong)
{
	struct paths_pong told = {
		.is_answered = true,
		.direct = ping->to,
		.region = ping->region,
		.source = pong->source,
		.latency_ns = mono_diff_ns(a->now, ping->sent),
	};

	rounds_tell_pong(paths, p, ping->token, &told);
}

static void
on_pong(struct paths *paths, const struct arrival *a, const struct disco_pong *pong)
{
	struct ping ping;
	unsigned n;

	paths->counters.pongs_in++;
	for (struct path_peer *p = first_sharer(a, &n); p != NULL; p = next_sharer(a, p, &n)) {
		if (!pings_take(&p->pings, pong->txid, &ping))
			continue;
		if (a->relayed == NULL && ping.to.addr.family != ADDR_NONE)
			take_path(p, a, &ping);
		if (ping.is_asked)
			tell(paths, p, a, &ping, pong);
		choice_settle(paths, p, a->now);
		return;
	}
	paths->counters.ignored++;
}

/* --- call-me-maybe --- */

static bool
is_listed_by_peer(const struct path_peer *p)
{
	const struct candidate *c = candidates_find(&p->candidates, &p->best.endpoint);

	return c != NULL && c->from_peer;
}

static void
on_call_me_maybe(struct paths *paths, const struct arrival *a, const struct disco_endpoints *list)
{
	struct endpoint endpoints[CANDIDATES_MAX_LISTED];
	size_t n = list->n < CANDIDATES_MAX_LISTED ? list->n : CANDIDATES_MAX_LISTED;
	struct path_peer *p = a->relayed;
	bool was_listed, changed;

	if (p == NULL) {
		paths->counters.ignored++;
		return;
	}
	paths->counters.call_me_maybes_in++;
	for (size_t i = 0; i < n; i++)
		disco_endpoint_at(list, i, &endpoints[i]);
	was_listed = is_listed_by_peer(p);
	// Without memory for all of them, some are tried.
	(void)candidates_take_list(&p->candidates, CANDIDATES_OF_PEER, endpoints, n,
		&p->best.endpoint, &changed, a->now);
	// The peer takes it back: it may be gone.  (The reference forgets it at once.)
	if (was_listed && !is_listed_by_peer(p))
		choice_distrust(p);
	candidates_forget_pings(&p->candidates);
	rounds_ping_all(paths, p, false, a->now);
	choice_settle(paths, p, a->now);
}

/* --- */

static void
on_message(struct paths *paths, const struct arrival *a, const struct disco_message *message)
{
	switch (message->type) {
	case DISCO_PING:
		on_ping(paths, a, &message->ping);
		return;
	case DISCO_PONG:
		on_pong(paths, a, &message->pong);
		return;
	case DISCO_CALL_ME_MAYBE:
		on_call_me_maybe(paths, a, &message->call_me_maybe);
		return;
	default: // peer relays
		paths->counters.ignored++;
	}
}

// False: nobody we know, or not who the relay says.
static bool
find_sender(const struct paths *paths, const struct public_key *sender, struct arrival *a)
{
	a->key = disco_keys_find(&paths->keys, sender);
	if (a->key == NULL || a->source->endpoint.addr.family != ADDR_NONE)
		return a->key != NULL;
	a->relayed = sharer_with_node_key(a->key, &a->source->relay_key);
	return a->relayed != NULL;
}

void
paths_receive(struct paths *paths,
	const struct paths_source *source,
	uint8_t *data,
	size_t len,
	struct mono now)
{
	struct arrival a = { .source = source, .now = now };
	struct disco_envelope envelope;
	struct disco_message message;
	const struct box_key *box;
	const uint8_t *plain;
	size_t plain_len;

	if (paths->self_secret == NULL || disco_envelope_read(data, len, &envelope) < 0) {
		paths->counters.ignored++;
		return;
	}
	if (!find_sender(paths, envelope.sender, &a)) {
		paths->counters.unknown_key++;
		return;
	}
	box = disco_keys_box(&paths->keys, a.key, paths->self_secret);
	if (box == NULL || disco_open(&envelope, box, &plain, &plain_len) < 0) {
		paths->counters.not_authentic++;
		return;
	}
	if (a.relayed != NULL)
		paths_relay_heard(paths, a.relayed->number, source->region, now);
	if (disco_message_read(plain, plain_len, &message) < 0)
		paths->counters.ignored++;
	else
		on_message(paths, &a, &message);
}
