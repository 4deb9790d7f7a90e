/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `sluice ping`: by disco, by TSMP inside the tunnel, and by a request to the peer API.
 */

#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/api/answer.h"
#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/tailnet/derp_map.h"

#define PING_DEFAULT_MS 5000
#define PING_MAX_MS     60000

struct pong {
	struct paths_pong way;
	uint16_t peer_api_port;
};

static json_t *
pong_json(const struct member *m, const struct node *node, const struct pong *pong)
{
	const struct paths_pong *way = &pong->way;
	const struct derp_region *region = way->region != 0 && m->map.derp_map != NULL
	                                           ? derp_map_find(m->map.derp_map, way->region)
	                                           : NULL;
	char endpoint[ADDR_TEXT_LEN] = "", address[ADDR_TEXT_LEN] = "";
	size_t len = node->name != NULL ? strcspn(node->name, ".") : 0;

	if (way->direct.addr.family != ADDR_NONE)
		endpoint_format(&way->direct, endpoint);
	if (node->addresses.n > 0)
		addr_format(&node->addresses.at[0].addr, address);
	return json_pack("{s:s%, s:s, s:f, s:s?, s:i, s:s, s:i, s:b}", "name",
		len > 0 ? node->name : "", len, "address", address, "latency_ms",
		(double)way->latency_ns / 1e6, "endpoint", endpoint[0] != '\0' ? endpoint : NULL,
		"region", (int)way->region, "region_code",
		region != NULL && region->code != NULL ? region->code : "", "peer_api_port",
		(int)pong->peer_api_port, "is_self", 0);
}

static void
end_ping(struct member *m, struct member_ping *p, const struct pong *pong)
{
	const struct node *node = netmap_find_key(&m->map, &p->node);
	json_t *answer = NULL;

	if (pong != NULL && pong->way.is_answered && node != NULL)
		answer = pong_json(m, node, pong);
	answer_object(m->setup.api, p->client,
		json_pack("{s:b, s:o}", "ok", 1, "pong", answer != NULL ? answer : json_null()),
		m->now);
	stream_close(p->stream);
	*p = (struct member_ping){};
}

void
member_take_pong(struct member *m,
	uint64_t token,
	const struct paths_pong *way,
	uint16_t peer_api_port,
	struct mono now)
{
	struct pong pong = { *way, peer_api_port };

	m->now = now;
	for (size_t i = 0; i < MEMBER_MAX_PINGS; i++)
		if (m->pings[i].client != 0 && m->pings[i].token == token)
			end_ping(m, &m->pings[i], &pong);
}

static struct member_ping *
free_ping(struct member *m)
{
	for (size_t i = 0; i < MEMBER_MAX_PINGS; i++)
		if (m->pings[i].client == 0)
			return &m->pings[i];
	return NULL;
}

/* --- by the peer API: a request of HTTP through the tunnel --- */

static void
ask_peer_api(void *context)
{
	struct member_ping *p = context;
	char text[ADDR_TEXT_LEN + 64], host[ADDR_TEXT_LEN];
	int len = snprintf(text, sizeof(text),
		"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		endpoint_format(&p->peer_api, host));

	(void)stream_send(p->stream, text, (size_t)len);
}

// Any answer will do; that it comes through the tunnel is what was asked.
static size_t
peer_api_answered(void *context, uint8_t *data, size_t len)
{
	struct member_ping *p = context;
	struct member *m = p->member;
	struct pong pong = { .way = { .is_answered = true,
				     .latency_ns = mono_diff_ns(
					     stream_set_now(m->tunnel_streams), p->sent) },
		.peer_api_port = p->peer_api.port };

	(void)data;
	end_ping(m, p, &pong);
	return len;
}

static void
peer_api_failed(void *context, const struct stream_failure *failure)
{
	struct member_ping *p = context;

	(void)failure;
	p->stream = NULL;
	end_ping(p->member, p, NULL);
}

static uint16_t
peer_api_port_of(const struct node *node, uint8_t family)
{
	enum service_proto wanted = family == ADDR_V4 ? SERVICE_PEERAPI4 : SERVICE_PEERAPI6;
	const struct hostinfo *h = node->hostinfo;

	for (size_t i = 0; h != NULL && i < h->n_services; i++)
		if (h->services[i].proto == wanted)
			return h->services[i].port;
	return 0;
}

static void
start_peer_api_ping(struct member *m, struct member_ping *p, const struct addr *to, uint16_t port)
{
	char host[ADDR_TEXT_LEN];
	struct stream_target target = { .host = addr_format(to, host),
		.port = port,
		.addresses = &p->peer_api,
		.n_addresses = 1,
		.direct = true };
	struct stream_calls calls = { .opened = ask_peer_api,
		.received = peer_api_answered,
		.closed = peer_api_failed,
		.context = p };

	p->member = m;
	p->sent = m->now;
	p->peer_api = (struct endpoint){ .addr = *to, .port = port };
	if (port == 0 || stream_open(m->tunnel_streams, &target, &calls, m->now, &p->stream) < 0)
		end_ping(m, p, NULL);
}

/* --- which ping --- */

enum ping_kind {
	PING_DISCO,
	PING_TSMP,
	PING_PEER_API
};

static void
start_ping(struct member *m,
	uint32_t client,
	const json_t *request,
	const struct node *node,
	enum ping_kind kind)
{
	json_int_t ms = json_integer_value(json_object_get(request, "timeout_ms"));
	json_int_t size = json_integer_value(json_object_get(request, "size"));
	struct member_ping *p = free_ping(m);
	const struct addr *to = node->addresses.n > 0 ? &node->addresses.at[0].addr : NULL;
	struct public_key key;

	if (p == NULL) {
		member_refuse(m, client, "too many pings at a time",
			"others wait for their answers", "try again in a few seconds");
		return;
	}
	if (ms <= 0 || ms > PING_MAX_MS)
		ms = PING_DEFAULT_MS;
	if (size < 0 || size > PATHS_MAX_PING_LEN)
		size = 0;
	memcpy(key.bytes, node->key.bytes, KEY_LEN);
	*p = (struct member_ping){ .client = client,
		.token = ++m->last_token,
		.until = mono_add_ns(m->now, ms * NS_PER_MS),
		.node = node->key };
	if (kind == PING_DISCO)
		m->setup.calls.ping(m->setup.calls.context, p->token, &key, (size_t)size);
	else if (to != NULL && kind == PING_TSMP)
		m->setup.calls.ping_inside(m->setup.calls.context, p->token, to);
	else if (to != NULL)
		start_peer_api_ping(m, p, to, peer_api_port_of(node, to->family));
}

void
member_on_ping(struct member *m, uint32_t client, const json_t *request)
{
	static const char *const kinds[] = { "disco", "tsmp", "peerapi" };
	const char *type = json_string_value(json_object_get(request, "type"));
	enum ping_kind kind = PING_DISCO;
	const struct node *node;

	while (type != NULL && kind <= PING_PEER_API && strcmp(type, kinds[kind]) != 0)
		kind++;
	if (kind > PING_PEER_API) {
		member_refuse(m, client, "this kind of ping cannot be sent",
			"the daemon sends disco, tsmp and peerapi", "use one of these");
		return;
	}
	node = member_find_node(m, client, request);
	if (node == NULL)
		return;
	if (node == m->map.self) {
		answer_object(m->setup.api, client,
			json_pack("{s:b, s:{s:b}}", "ok", 1, "pong", "is_self", 1), m->now);
		return;
	}
	start_ping(m, client, request, node, kind);
}

struct mono
member_pings_due(struct member *m)
{
	struct mono next = {};

	for (size_t i = 0; i < MEMBER_MAX_PINGS; i++) {
		struct member_ping *p = &m->pings[i];

		if (p->client == 0)
			continue;
		if (mono_diff_ns(m->now, p->until) >= 0)
			end_ping(m, p, NULL);
		else if (mono_is_never(next) || p->until.ns < next.ns)
			next = p->until;
	}
	return next;
}
