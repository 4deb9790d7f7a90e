/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/traversal/paths/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stage stage;

static void
must(bool right, const char *what)
{
	if (right)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

static void
fake_random(void *context, void *out, size_t len)
{
	uint8_t *bytes = out;

	(void)context;
	for (size_t i = 0; i < len; i++) {
		stage.random_state = stage.random_state * UINT64_C(6364136223846793005) + 1442695;
		bytes[i] = (uint8_t)(stage.random_state >> 56);
	}
}

static void
understand(struct sent *s, const uint8_t *data, size_t len)
{
	uint8_t copy[PATHS_MAX_PING_LEN];
	struct disco_envelope envelope;
	const uint8_t *plain = NULL;
	struct disco_message m;
	size_t plain_len = 0;
	int err = -1;

	for (size_t i = 0; i < stage.n_actors && err < 0; i++) {
		memcpy(copy, data, len);
		if (disco_envelope_read(copy, len, &envelope) == 0)
			err = disco_open(&envelope, &stage.actors[i].box, &plain, &plain_len);
	}
	if (err < 0 || disco_message_read(plain, plain_len, &m) < 0)
		return;
	must(memcmp(envelope.sender, &stage.disco_key, KEY_LEN) == 0, "it says who it is");
	s->is_disco = true;
	s->type = m.type;
	if (m.type == DISCO_PING) {
		memcpy(s->txid, m.ping.txid, sizeof(s->txid));
		s->node_key = m.ping.node_key;
	} else if (m.type == DISCO_PONG) {
		memcpy(s->txid, m.pong.txid, sizeof(s->txid));
		s->source = m.pong.source;
	} else if (m.type == DISCO_CALL_ME_MAYBE) {
		s->n_endpoints = m.call_me_maybe.n;
	}
}

static struct sent *
keep(const uint8_t *data, size_t len)
{
	struct sent *s = &stage.sent[stage.n_sent++];

	must(stage.n_sent < STAGE_MAX_SENT && len <= PATHS_MAX_PING_LEN, "room for what is sent");
	*s = (struct sent){ .len = len };
	understand(s, data, len);
	return s;
}

static bool
send_udp(void *context,
	const struct endpoint *to,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	struct sent *s;

	(void)context;
	if (stage.udp_broken)
		return false;
	s = keep(data, len);
	s->to = *to;
	s->local = *local;
	return true;
}

static bool
send_relay(void *context,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len)
{
	struct sent *s = keep(data, len);

	(void)context;
	s->relayed = true;
	s->region = region;
	s->to_node = *to;
	return true;
}

static void
chosen(void *context, uint32_t peer, const struct paths_choice *choice)
{
	(void)context;
	stage.choice = *choice;
	stage.chosen_peer = peer;
	stage.n_chosen++;
}

static size_t
own_endpoints(void *context, struct endpoint *ret_endpoints, size_t max, bool *ret_is_fresh)
{
	(void)context;
	must(max >= stage.n_own, "room for our endpoints");
	memcpy(ret_endpoints, stage.own, stage.n_own * sizeof(stage.own[0]));
	*ret_is_fresh = !stage.own_stale;
	stage.n_own_asked++;
	return stage.n_own;
}

static void
session_reset(void *context, uint32_t peer)
{
	(void)context, (void)peer;
	stage.n_reset++;
}

static void
on_pong(void *context, uint64_t token, const struct paths_pong *pong)
{
	(void)context;
	stage.token = token;
	stage.pong = *pong;
	stage.n_pong++;
}

void
stage_open(const struct secret_key *secret)
{
	const struct paths_calls calls = {
		.send_udp = send_udp,
		.send_relay = send_relay,
		.chosen = chosen,
		.own_endpoints = own_endpoints,
		.session_reset = session_reset,
		.pong = on_pong,
		.random = fake_random,
	};
	struct secret_key node;

	memset(&stage, 0, sizeof(stage));
	stage.now = (struct mono){ 1000 * NS_PER_S };
	key_generate(&node);
	key_public(&stage.node_key, &node);
	key_generate(&stage.disco_secret);
	if (secret != NULL)
		stage.disco_secret = *secret;
	key_public(&stage.disco_key, &stage.disco_secret);
	stage.own[0] = stage_endpoint("192.0.2.1:41641");
	stage.own[1] = stage_endpoint("10.0.0.1:41641");
	stage.n_own = 2;
	must(paths_create(&calls, &stage.paths) == 0, "memory");
	must(paths_set_self(stage.paths, &stage.node_key, &stage.disco_secret, stage.now) == 0,
		"memory");
}

void
stage_close(void)
{
	paths_destroy(stage.paths);
	free(stage.actors);
	stage.paths = NULL;
	stage.actors = NULL;
	stage.n_actors = 0;
}

struct endpoint
stage_endpoint(const char *text)
{
	struct endpoint endpoint;

	must(endpoint_parse(text, &endpoint) == 0, text);
	return endpoint;
}

void
stage_actor(struct actor *actor)
{
	struct secret_key node;

	key_generate(&node);
	key_public(&actor->node_key, &node);
	key_generate(&actor->disco_secret);
	key_public(&actor->disco_key, &actor->disco_secret);
	must(box_key_init(&actor->box, &actor->disco_secret, &stage.disco_key) == 0, "a box");
	stage.actors = realloc(stage.actors, (stage.n_actors + 1) * sizeof(stage.actors[0]));
	must(stage.actors != NULL, "memory");
	stage.actors[stage.n_actors++] = *actor;
}

void
stage_set(uint32_t number, const struct actor *actor, const char *const *endpoints)
{
	struct endpoint list[64];
	struct paths_peer peer = {
		.node_key = actor->node_key,
		.disco_key = actor->disco_key,
		.home_region = STAGE_HOME,
		.capver = 116,
		.endpoints = list,
	};

	for (; endpoints != NULL && *endpoints != NULL; endpoints++)
		list[peer.n_endpoints++] = stage_endpoint(*endpoints);
	must(paths_set_peer(stage.paths, number, &peer, stage.now) == 0, "memory");
	(void)paths_tick(stage.paths, stage.now);
}

void
stage_say(const struct actor *actor, const struct disco_message *m, const char *from)
{
	size_t len = disco_envelope_len(m);
	uint8_t *data = malloc(len);
	uint8_t nonce[BOX_NONCE_LEN];
	struct paths_source source = { .region = STAGE_HOME, .relay_key = actor->node_key };

	must(data != NULL, "memory");
	fake_random(NULL, nonce, sizeof(nonce));
	disco_seal(data, m, &actor->disco_key, &actor->box, nonce);
	if (from != NULL)
		source = (struct paths_source){
			.endpoint = stage_endpoint(from),
			.local = stage_endpoint("10.0.0.1:1").addr,
		};
	paths_receive(stage.paths, &source, data, len, stage.now);
	free(data);
}

void
stage_ping(const struct actor *actor, uint8_t txid, const char *from)
{
	struct disco_message m = { .type = DISCO_PING, .ping.node_key = actor->node_key };

	memset(m.ping.txid, txid, sizeof(m.ping.txid));
	stage_say(actor, &m, from);
}

void
stage_answer(const struct actor *actor, const struct sent *ping)
{
	struct disco_message m = { .type = DISCO_PONG, .pong.source = stage.own[0] };
	char text[ADDR_TEXT_LEN];

	must(ping != NULL, "a ping to answer");
	memcpy(m.pong.txid, ping->txid, sizeof(m.pong.txid));
	stage_say(actor, &m, ping->relayed ? NULL : endpoint_format(&ping->to, text));
}

void
stage_call_me_maybe(const struct actor *actor, const char *const *endpoints)
{
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };
	uint8_t bytes[100 * DISCO_ENDPOINT_LEN];
	struct endpoint list[100];
	size_t n = 0;

	for (; *endpoints != NULL; endpoints++)
		list[n++] = stage_endpoint(*endpoints);
	m.call_me_maybe = disco_endpoints_write(bytes, list, n);
	stage_say(actor, &m, NULL);
}

void
stage_pass(int64_t ns)
{
	struct mono end = mono_add_ns(stage.now, ns);

	for (;;) {
		struct mono next = paths_next(stage.paths);

		if (mono_is_never(next) || next.ns > end.ns)
			break;
		if (next.ns > stage.now.ns)
			stage.now = next;
		(void)paths_tick(stage.paths, stage.now);
	}
	stage.now = end;
}

void
stage_clear(void)
{
	stage.n_sent = 0;
}

static bool
is_wanted(const struct sent *s, enum disco_type type, const char *to)
{
	struct endpoint endpoint;

	if (!s->is_disco || s->type != type)
		return false;
	if (to == NULL)
		return true;
	endpoint = stage_endpoint(to);
	return !s->relayed && endpoint_equal(&s->to, &endpoint);
}

const struct sent *
stage_find(enum disco_type type, const char *to)
{
	for (size_t i = 0; i < stage.n_sent; i++)
		if (is_wanted(&stage.sent[i], type, to))
			return &stage.sent[i];
	return NULL;
}

unsigned
stage_count(enum disco_type type, const char *to)
{
	unsigned n = 0;

	for (size_t i = 0; i < stage.n_sent; i++)
		n += is_wanted(&stage.sent[i], type, to);
	return n;
}

/* --- what was chosen --- */

static bool
is_by(const char *to)
{
	struct endpoint endpoint = stage_endpoint(to);

	return endpoint_equal(&stage.choice.direct, &endpoint);
}

bool
stage_is_direct(const char *to)
{
	return is_by(to) && !stage.choice.relay && stage.choice.region == 0;
}

bool
stage_is_both(const char *to)
{
	return is_by(to) && stage.choice.relay && stage.choice.region == STAGE_HOME;
}

bool
stage_is_relayed(void)
{
	return stage.choice.direct.addr.family == ADDR_NONE && stage.choice.relay &&
	       stage.choice.region == STAGE_HOME;
}

bool
stage_is_nowhere(void)
{
	return stage.choice.direct.addr.family == ADDR_NONE && !stage.choice.relay;
}

/* --- what often happens --- */

void
stage_traffic(uint32_t peer)
{
	paths_sent(stage.paths, peer, stage.now, stage.now);
}

struct paths_counters
stage_counters(void)
{
	struct paths_counters c;

	paths_counters(stage.paths, &c);
	return c;
}

void
stage_open_direct(struct actor *actor, const char *const *endpoints)
{
	stage_open(NULL);
	stage_actor(actor);
	stage_set(1, actor, endpoints);
	stage_traffic(1);
	stage_pass(20 * NS_PER_MS);
	stage_answer(actor, stage_find(DISCO_PING, endpoints[0]));
	stage_clear();
}
