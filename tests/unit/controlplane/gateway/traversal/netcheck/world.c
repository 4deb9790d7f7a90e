/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/traversal/netcheck/world.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/traversal/stun.h"

#define LOOKUP_NS (20 * NS_PER_MS)

static struct world *the_world; /* look-ups know their set only */
static struct lookup lookups[32];

static uint32_t
world_random(struct world *w)
{
	w->random = w->random * 1664525u + 1013904223u;
	return w->random >> 8;
}

struct endpoint
world_endpoint(const char *text)
{
	struct endpoint e = {};

	assert(endpoint_parse(text, &e) == 0);
	return e;
}

/* --- names --- */

int
lookup_start(struct stream_set *set,
	const char *host,
	lookup_done done,
	void *context,
	struct lookup **ret_lookup)
{
	(void)set;
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++) {
		struct lookup *l = &lookups[i];

		if (l->is_used)
			continue;
		*l = (struct lookup){ .is_used = true,
			.done = done,
			.context = context,
			.at = mono_add_ns(the_world->now, LOOKUP_NS) };
		snprintf(l->host, sizeof(l->host), "%s", host);
		*ret_lookup = l;
		return 0;
	}
	return -ENOMEM;
}

void
lookup_cancel(struct lookup *lookup)
{
	lookup->is_used = false;
}

static void
answer_lookups(struct world *w)
{
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++) {
		struct lookup *l = &lookups[i];
		struct addr found[2];
		size_t n = 0;

		if (!l->is_used || w->is_silent_dns || mono_diff_ns(w->now, l->at) < 0)
			continue;
		l->is_used = false;
		for (size_t j = 0; j < w->n_servers; j++) {
			if (strcmp(w->servers[j].name, l->host) != 0)
				continue;
			if (w->servers[j].v6.addr.family != ADDR_NONE)
				found[n++] = w->servers[j].v6.addr;
			if (w->servers[j].v4.addr.family != ADDR_NONE)
				found[n++] = w->servers[j].v4.addr;
		}
		l->done(l->context, found, n, n > 0 ? NULL : "no such name");
	}
}

/* --- datagrams --- */

static struct endpoint
seen_as(struct world *w, const struct endpoint *to, size_t server)
{
	struct endpoint e = { .port = WORLD_PORT };

	if (to->addr.family == ADDR_V6) {
		e.addr = w->inner_v6;
		return e;
	}
	e.addr = w->nat == WORLD_NO_NAT ? w->inner_v4 : w->outer_v4;
	if (w->nat != WORLD_NO_NAT)
		e.port = w->outer_port;
	if (w->nat == WORLD_NAT_SYMMETRIC)
		e.port = (uint16_t)(w->outer_port + 7 * server);
	return e;
}

static void
answer_later(struct world *w, const struct world_answer *answer)
{
	for (size_t i = 0; i < sizeof(w->answers) / sizeof(w->answers[0]); i++)
		if (mono_is_never(w->answers[i].at)) {
			w->answers[i] = *answer;
			return;
		}
	assert(!"room for answers");
}

static bool
on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct world *w = context;
	struct world_answer answer = { .from = *to };
	struct stun_txid txid;

	if (to->addr.family == ADDR_V6 && w->has_no_route_v6)
		return false;
	w->n_sent++;
	for (size_t i = 0; i < w->n_servers; i++) {
		struct world_server *s = &w->servers[i];
		struct endpoint source;

		if (!endpoint_equal(to, &s->v4) && !endpoint_equal(to, &s->v6))
			continue;
		w->sent_to[i]++;
		if (w->blocks_udp || s->is_dead || world_random(w) % 100 < w->loss_percent ||
			stun_request_read(data, len, &txid) < 0)
			return true;
		source = seen_as(w, to, i);
		answer.len = stun_response_write(answer.data, &txid, &source);
		answer.at = mono_add_ns(w->now,
			s->rtt_ns + (w->jitter_ns > 0 ? world_random(w) % w->jitter_ns : 0));
		answer_later(w, &answer);
	}
	return true;
}

static void
deliver(struct world *w)
{
	for (size_t i = 0; i < sizeof(w->answers) / sizeof(w->answers[0]); i++) {
		struct world_answer a = w->answers[i];

		if (mono_is_never(a.at) || mono_diff_ns(w->now, a.at) < 0)
			continue;
		w->answers[i].at = (struct mono){};
		(void)own_endpoints_datagram(w->own, a.data, a.len, &a.from, w->now);
	}
}

/* --- the other calls --- */

static void
on_changed(void *context, bool is_changed)
{
	struct world *w = context;

	w->n_changed++;
	w->n_told += is_changed;
}

static void
on_report(void *context, const struct netcheck_report *report)
{
	struct world *w = context;

	w->n_homes += w->n_reports > 0 && report->preferred_region != w->report.preferred_region;
	w->n_reports++;
	w->report = *report;
}

static struct mono
on_relay_heard(void *context, int32_t region_id)
{
	struct world *w = context;

	(void)region_id;
	return w->relay_heard;
}

static size_t
on_local_addresses(void *context, struct local_address *ret, size_t max)
{
	struct world *w = context;

	assert(max >= w->n_local);
	memcpy(ret, w->local, w->n_local * sizeof(ret[0]));
	return w->n_local;
}

static void
on_random(void *context, void *out, size_t len)
{
	struct world *w = context;
	uint8_t *bytes = out;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)world_random(w);
}

/* --- time --- */

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && (mono_is_never(*at) || candidate.ns < at->ns))
		*at = candidate;
}

static struct mono
next_event(const struct world *w)
{
	struct mono next = own_endpoints_next(w->own);

	for (size_t i = 0; i < sizeof(w->answers) / sizeof(w->answers[0]); i++)
		take_earlier(&next, w->answers[i].at);
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++)
		if (lookups[i].is_used && !w->is_silent_dns)
			take_earlier(&next, lookups[i].at);
	return next;
}

static void
step(struct world *w)
{
	w->set->now = w->now;
	answer_lookups(w);
	deliver(w);
	(void)own_endpoints_tick(w->own, w->now);
}

void
world_run(struct world *w, int64_t ns)
{
	struct mono end = mono_add_ns(w->now, ns);

	for (unsigned turns = 0; turns < 1000000; turns++) {
		struct mono next;

		step(w);
		next = next_event(w);
		if (mono_is_never(next) || next.ns > end.ns)
			break;
		if (next.ns > w->now.ns)
			w->now = next;
		else
			w->now.ns += NS_PER_US; // nothing may be due for ever
	}
	w->now = end;
	step(w);
}

bool
world_look(struct world *w)
{
	size_t before = w->n_reports;

	for (unsigned i = 0; i < 2000 && w->n_reports == before; i++)
		world_run(w, 10 * NS_PER_MS);
	return w->n_reports > before;
}

/* --- set up --- */

struct world *
world_create(void)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct own_endpoints_calls calls = { .send = on_send,
		.changed = on_changed,
		.report = on_report,
		.relay_heard = on_relay_heard,
		.local_addresses = on_local_addresses,
		.random = on_random,
		.context = w };
	int err;

	assert(w != NULL);
	the_world = w;
	w->now = (struct mono){ 1000 * NS_PER_S };
	w->random = 42;
	w->set = fake_set_create(w->now);
	w->inner_v4 = world_endpoint("192.168.1.10:1").addr;
	w->inner_v6 = world_endpoint("[2001:db8:1::10]:1").addr;
	w->outer_v4 = world_endpoint("203.0.113.7:1").addr;
	w->outer_port = 50001;
	world_add_local(w, "lo", "127.0.0.1/8");
	world_add_local(w, "eth0", "192.168.1.10/24");
	err = own_endpoints_create(w->set, &calls, &w->own);
	assert(err == 0);
	return w;
}

void
world_destroy(struct world *w)
{
	own_endpoints_destroy(w->own);
	fake_set_destroy(w->set);
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++)
		assert(!lookups[i].is_used || w->is_silent_dns);
	memset(lookups, 0, sizeof(lookups));
	free(w);
}

struct world_server *
world_add(struct world *w, const char *name, const char *v4, const char *v6, int64_t rtt_ms)
{
	struct world_server *s = &w->servers[w->n_servers++];

	*s = (struct world_server){ .name = name, .rtt_ns = rtt_ms * NS_PER_MS };
	if (v4 != NULL)
		s->v4 = world_endpoint(v4);
	if (v6 != NULL)
		s->v6 = world_endpoint(v6);
	return s;
}

void
world_map(struct world *w, bool by_name)
{
	struct derp_region regions[WORLD_MAX_SERVERS] = {};
	struct derp_node nodes[WORLD_MAX_SERVERS] = {};
	char texts[WORLD_MAX_SERVERS][2][ADDR_TEXT_LEN];
	struct derp_map map = { .regions = regions,
		.n_regions = w->n_servers,
		.regions_digest = 2 * w->n_servers + by_name }; // of the text, where there is one
	int err;

	for (size_t i = 0; i < w->n_servers; i++) {
		struct world_server *s = &w->servers[i];

		regions[i] = (struct derp_region){ .id = (int32_t)i + 1,
			.code = (char *)"r",
			.name = (char *)"Region",
			.nodes = &nodes[i],
			.n_nodes = 1 };
		nodes[i] = (struct derp_node){ .name = (char *)"n",
			.region_id = (int32_t)i + 1,
			.host_name = (char *)s->name,
			.ipv4 = by_name ? NULL : (char *)"none",
			.ipv6 = by_name ? NULL : (char *)"none" };
		if (s->v4.addr.family != ADDR_NONE && !by_name)
			nodes[i].ipv4 = addr_format(&s->v4.addr, texts[i][0]);
		if (s->v6.addr.family != ADDR_NONE && !by_name)
			nodes[i].ipv6 = addr_format(&s->v6.addr, texts[i][1]);
	}
	err = own_endpoints_set_map(w->own, &map, w->now);
	assert(err == 0);
}

void
world_add_local(struct world *w, const char *interface, const char *prefix)
{
	struct local_address *a = &w->local[w->n_local++];

	*a = (struct local_address){ .is_up = true, .is_loopback = strcmp(interface, "lo") == 0 };
	snprintf(a->interface, sizeof(a->interface), "%s", interface);
	assert(prefix_parse(prefix, &a->prefix) == 0);
}

static size_t
get(struct world *w, const struct own_endpoint **ret)
{
	bool is_fresh;

	return own_endpoints_get(w->own, w->now, ret, &is_fresh);
}

enum endpoint_kind
world_has(struct world *w, const char *text)
{
	struct endpoint wanted = world_endpoint(text);
	const struct own_endpoint *list;
	size_t n = get(w, &list);

	for (size_t i = 0; i < n; i++)
		if (endpoint_equal(&list[i].endpoint, &wanted))
			return list[i].kind;
	return ENDPOINT_UNKNOWN;
}

size_t
world_list_len(struct world *w)
{
	const struct own_endpoint *list;

	return get(w, &list);
}
