/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/handshake/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define GATEWAY_NUMBER 1

struct secret_key
site_key(uint8_t number)
{
	struct secret_key key;

	memset(key.bytes, number, KEY_LEN);
	key.bytes[0] &= 248;
	key.bytes[31] = (uint8_t)((number & 127) | 64);
	return key;
}

static void
on_send(void *context,
	const struct endpoint *remote,
	const struct addr *local,
	const struct public_key *relayed_to,
	const uint8_t *data,
	size_t len)
{
	struct gateway *g = context;
	struct sent *s = &g->sent[g->n_sent % SITE_MAX_SENT];

	*s = (struct sent){ .remote = *remote, .local = *local, .len = len };
	if (relayed_to != NULL)
		s->relayed_to = *relayed_to;
	memcpy(s->data, data, len);
	g->n_sent++;
}

static void
on_send_to_member(void *context, uint32_t peer, const uint8_t *data, size_t len)
{
	const struct endpoint nowhere = {};
	const struct addr any = {};
	struct gateway *g = context;

	on_send(g, &nowhere, &any, NULL, data, len);
	g->n_to_members++;
	g->last_member = peer;
}

static void
on_active(void *context, uint32_t peer, struct mono last_tx)
{
	struct gateway *g = context;

	(void)last_tx;
	g->n_active++;
	g->last_member = peer;
}

static void
on_resolve(void *context, const struct public_key *key)
{
	struct gateway *g = context;

	(void)key;
	g->n_resolve++;
}

static uint64_t
wall(void *context)
{
	const struct gateway *g = context;

	return g->wall;
}

static bool
path_of(void *context, uint32_t peer, struct shm_path *ret)
{
	struct gateway *g = context;

	return engine_path(&g->engine, peer, ret);
}

static void
applied_now(void *context, const struct rows *rows, uint64_t number)
{
	struct gateway *g = context;

	g->applied = number;
	engine_published(&g->engine, rows, g->now);
}

static void
refused(void *context, uint32_t reason, uint64_t number)
{
	(void)context;
	(void)reason;
	(void)number;
}

void
gateway_start(struct gateway *g, struct fake_forwarder *f)
{
	struct engine_calls calls = { .send = on_send,
		.send_to_member = on_send_to_member,
		.member_active = on_active,
		.resolve = on_resolve,
		.wall_ns = wall,
		.context = g };
	struct mono now = g->now;
	uint64_t wall_now = g->wall;

	*g = (struct gateway){ .f = f,
		.now = now.ns != 0 ? now : (struct mono){ UINT64_C(1000) * NS_PER_S },
		.wall = wall_now != 0 ? wall_now : UINT64_C(1700000000) * NS_PER_S };
	dataplane_init(&g->dp);
	publisher_init(&g->publisher, &g->dp);
	g->publisher.path = path_of;
	g->publisher.applied_now = applied_now;
	g->publisher.refused = refused;
	g->publisher.context = g;
	if (engine_init(&g->engine, &g->dp, &calls) < 0)
		exit(99);
}

void
gateway_kill(struct gateway *g)
{
	engine_fini(&g->engine);
	publisher_fini(&g->publisher);
	dataplane_fini(&g->dp);
}

size_t
gateway_attach(struct gateway *g)
{
	struct dataplane_grant grant = fake_grant(g->f);

	if (dataplane_join(&g->dp, &grant) < 0)
		exit(99);
	publisher_start_over(&g->publisher);
	return engine_attached(&g->engine, g->now);
}

struct desired *
site_desired(const struct stock_peer *peers,
	size_t n,
	bool with_endpoint,
	uint16_t keepalive_s,
	const struct state_file *state)
{
	struct config_gateway config = { .mtu = 1420, .private_key = site_key(GATEWAY_NUMBER) };
	struct prefix prefixes[64];
	struct desired *desired;

	config.n_peers = n;
	config.peers = calloc(n + 1, sizeof(config.peers[0]));
	for (size_t i = 0; i < n; i++) {
		struct config_peer *p = &config.peers[i];

		snprintf(p->name, sizeof(p->name), "peer%zu", i);
		p->public_key = peers[i].identity.static_public;
		p->has_preshared_key = peers[i].has_preshared_key;
		p->preshared_key = peers[i].preshared_key;
		p->persistent_keepalive_s = keepalive_s;
		if (with_endpoint) {
			addr_format(&peers[i].at.addr, p->endpoint_host);
			p->endpoint_port = peers[i].at.port;
		}
		prefixes[i % 64] = (struct prefix){
			.addr = { ADDR_V4, { 10, (uint8_t)(i >> 8), (uint8_t)i, 0 } }, .len = 24
		};
		p->allowed_ips = &prefixes[i % 64];
		p->n_allowed_ips = 1;
	}
	if (desired_create(&config, state, &desired) < 0)
		exit(99);
	free(config.peers);
	return desired;
}

void
gateway_talk(struct gateway *g)
{
	struct shm_event e;

	for (int i = 0; i < 20; i++) {
		publisher_pump(&g->publisher);
		dataplane_flush(&g->dp);
		fake_work(g->f);
		while (shm_ring_peek(&g->dp.events, &e)) {
			shm_ring_advance(&g->dp.events);
			if (e.kind == SHM_EV_APPLIED)
				publisher_on_applied(&g->publisher, e.generation);
			else if (e.kind == SHM_EV_REFUSED)
				publisher_on_refused(&g->publisher, e.generation, e.value);
			else if (e.kind == SHM_EV_RESYNC)
				publisher_start_over(&g->publisher);
			else
				engine_event(&g->engine, &e, g->now);
		}
	}
}

void
gateway_take(struct gateway *g, const struct desired *desired)
{
	static uint64_t number;

	if (engine_take_desired(&g->engine, desired, g->now) < 0)
		exit(99);
	publisher_wish(&g->publisher, engine_rows(&g->engine, desired, NULL, 0), ++number);
	gateway_talk(g);
}

void
gateway_run(struct gateway *g, int64_t ns)
{
	struct mono end = mono_add_ns(g->now, ns);

	for (;;) {
		struct mono due = engine_tick(&g->engine, g->now);

		gateway_talk(g);
		if (mono_diff_ns(end, g->now) <= 0)
			return;
		if (mono_diff_ns(due, g->now) <= 0)
			due = mono_add_ns(g->now, NS_PER_MS);
		if (mono_diff_ns(due, end) > 0)
			due = end;
		g->wall += (uint64_t)mono_diff_ns(due, g->now);
		g->now = due;
	}
}

const struct sent *
gateway_read(struct gateway *g)
{
	return g->n_read < g->n_sent ? &g->sent[g->n_read++ % SITE_MAX_SENT] : NULL;
}

struct peer *
gateway_peer(struct gateway *g, const struct stock_peer *p)
{
	return peers_find(&g->engine.peers, &p->identity.static_public);
}

/* --- the stock peer --- */

void
stock_init(struct stock_peer *p, uint8_t number, const char *at)
{
	struct secret_key own = site_key(number), theirs = site_key(GATEWAY_NUMBER);
	struct public_key public;

	*p = (struct stock_peer){};
	wg_identity_init(&p->identity, &own);
	key_public(&public, &theirs);
	if (wg_remote_init(&p->gateway, &p->identity, &public, NULL) < 0 ||
		endpoint_parse(at, &p->at) < 0)
		exit(99);
}

void
stock_initiate(struct stock_peer *p,
	uint64_t wall_now,
	uint32_t index,
	struct mono now,
	uint8_t message[WG_INITIATION_LEN])
{
	struct wg_tai64n clock =
		wg_tai64n_from_unix(wall_now / NS_PER_S, (uint32_t)(wall_now % NS_PER_S));
	struct secret_key ephemeral;

	key_generate(&ephemeral);
	p->timestamp = wg_tai64n_after(&p->timestamp, &clock);
	if (wg_initiation_create(&p->identity, &p->gateway, index, &p->timestamp, &ephemeral,
		    message, &p->pending) < 0)
		exit(99);
	wg_mac2_add(&p->cookie, message, WG_INITIATION_LEN, now);
}

void
stock_deliver(struct stock_peer *p, struct gateway *g, const uint8_t *message, size_t len)
{
	uint8_t copy[2048];
	struct datagram d = {
		.remote = p->at, .local = { ADDR_V4, { 198, 18, 0, 2 } }, .data = copy, .len = len
	};

	memcpy(copy, message, len);
	if (p->at.addr.family == ADDR_V6)
		d.local = (struct addr){ ADDR_V6, { 0xfd, 0x18, 2 } };
	engine_datagram(&g->engine, &d, g->now);
}

void
stock_deliver_relayed(struct stock_peer *p,
	struct gateway *g,
	const struct public_key *from,
	const uint8_t *message,
	size_t len)
{
	uint8_t copy[2048];
	struct datagram d = { .remote = { .addr = { ADDR_V4, { 127, 3, 3, 40 } }, .port = 9 },
		.relayed_from = from,
		.data = copy,
		.len = len };

	(void)p;
	memcpy(copy, message, len);
	engine_datagram(&g->engine, &d, g->now);
}

void
site_make_members(struct desired *desired)
{
	for (size_t i = 0; i < desired->n_peers; i++)
		desired->peers[i].is_member = true;
}

int
stock_consume(struct stock_peer *p, const struct sent *s)
{
	if (s == NULL || wg_message_type(s->data, s->len) != WG_MESSAGE_RESPONSE ||
		!wg_mac1_is_valid(&p->identity, s->data, s->len))
		return ERR_BAD_FORMAT;
	return wg_response_consume(&p->pending, &p->identity, &p->gateway, s->data, &p->keys);
}

int
stock_respond(struct stock_peer *p,
	const struct sent *s,
	uint32_t index,
	uint8_t response[WG_RESPONSE_LEN])
{
	struct wg_claim claim;
	struct wg_initiation initiation;
	struct secret_key ephemeral;
	int err;

	if (s == NULL || wg_message_type(s->data, s->len) != WG_MESSAGE_INITIATION ||
		!wg_mac1_is_valid(&p->identity, s->data, s->len))
		return ERR_BAD_FORMAT;
	err = wg_initiation_open(&p->identity, s->data, &claim);
	if (err == 0)
		err = wg_initiation_verify(&claim, &p->gateway, s->data, &initiation);
	if (err < 0)
		return err;
	key_generate(&ephemeral);
	return wg_response_create(&initiation, &p->gateway, index, &ephemeral, response, &p->keys);
}

bool
site_shake(struct gateway *g, struct stock_peer *p, uint32_t index)
{
	uint8_t message[WG_INITIATION_LEN];
	const struct peer *peer = gateway_peer(g, p);

	g->n_read = g->n_sent;
	stock_initiate(p, g->wall, index, g->now, message);
	stock_deliver(p, g, message, sizeof(message));
	gateway_talk(g);
	if (peer == NULL || stock_consume(p, gateway_read(g)) < 0)
		return false;
	fake_promote(g->f, peer->number);
	gateway_talk(g);
	return true;
}
