/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Questions of clients about the tailnet; gateway_api.h documents them.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controlplane/gateway/api/answer.h"
#include "controlplane/gateway/tailnet/filter.h"
#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/tailnet/derp_map.h"

#define PING_DEFAULT_MS 5000
#define PING_MAX_MS     60000
#define NETCHECK_MAX_NS (10 * NS_PER_S)

static void
answer_ok(struct member *m, uint32_t client)
{
	answer_object(m->setup.api, client, json_pack("{s:b, s:[]}", "ok", 1, "warnings"), m->now);
}

static void
refuse(struct member *m, uint32_t client, const char *what, const char *why, const char *what_to_do)
{
	answer_error(m->setup.api, client, what, why, what_to_do, m->now);
}

/* --- settings --- */

// Take settings over, as far as they are right and the file does not fix them.
static bool
take_prefs(struct member *m, uint32_t client, const json_t *request)
{
	const json_t *wanted = json_object_get(request, "prefs");
	struct tailnet_prefs *changes, *all;
	struct prefs_error error;
	int err = 0;

	if (wanted == NULL)
		return true;
	changes = malloc(2 * sizeof(*changes));
	if (changes == NULL) {
		refuse(m, client, "the settings cannot be taken", "out of memory", "try again");
		return false;
	}
	all = changes + 1;
	err = prefs_parse(wanted, changes, &error);
	if (err == 0)
		err = prefs_check_file(
			changes, &m->setup.config->tailnet, m->setup.config_path, &error);
	if (err == 0) {
		if (json_is_true(json_object_get(request, "reset")))
			prefs_default(all);
		else
			*all = *store_prefs(m->store);
		prefs_apply(all, changes);
		store_set_prefs(m->store, all);
	} else {
		refuse(m, client, error.what, error.why, error.what_to_do);
	}
	free(changes);
	return err == 0;
}

static bool
save(struct member *m, uint32_t client)
{
	int err = store_save(m->store);

	if (err == 0)
		return true;
	refuse(m, client, "the settings cannot be kept", err_str(err),
		"see that the state directory can be written to");
	return false;
}

static void
on_set(struct member *m, uint32_t client, const json_t *request)
{
	if (!take_prefs(m, client, request) || !save(m, client))
		return;
	member_settings_changed(m);
	answer_ok(m, client);
}

/* --- up and down --- */

static void
on_up(struct member *m, uint32_t client, const json_t *request, bool force)
{
	const char *key = json_string_value(json_object_get(request, "auth_key"));

	force |= json_is_true(json_object_get(request, "force_reauth"));
	if (key != NULL && strlen(key) >= CONFIG_AUTH_KEY_LEN) {
		refuse(m, client, "the auth key is too long", "no server makes keys of this length",
			"check that the key, and not something else, was given");
		return;
	}
	if (!take_prefs(m, client, request))
		return;
	member_end_logout(m);
	store_set_wanted(m->store, true);
	store_set_logged_out(m->store, false);
	if (!save(m, client))
		return;
	if (key != NULL)
		snprintf(m->auth_key, CONFIG_AUTH_KEY_LEN, "%s", key);
	m->has_failure = false;
	member_settings_changed(m);
	if (force || m->login != LOGIN_DONE || m->self_expired)
		member_connect(m, force);
	m->wish_due = true;
	answer_ok(m, client);
}

static void
on_down(struct member *m, uint32_t client)
{
	store_set_wanted(m->store, false);
	if (!save(m, client))
		return;
	member_disconnect(m);
	answer_ok(m, client);
}

static void
on_logout(struct member *m, uint32_t client)
{
	store_set_wanted(m->store, false);
	store_set_logged_out(m->store, true);
	if (!save(m, client))
		return;
	member_log_out(m);
	answer_ok(m, client);
}

/* --- who is it --- */

static bool
has_address(const struct node *node, const struct addr *a)
{
	for (size_t i = 0; i < node->addresses.n; i++)
		if (addr_equal(&node->addresses.at[i].addr, a))
			return true;
	return false;
}

// The first label, or the whole name, with or without the last dot; case does not count.
static bool
has_name(const struct node *node, const char *name)
{
	size_t len = strlen(name), first;

	if (node->name == NULL || len == 0)
		return false;
	first = strcspn(node->name, ".");
	if (len == first && strncasecmp(node->name, name, len) == 0)
		return true;
	return strncasecmp(node->name, name, len) == 0 &&
	       (node->name[len] == '\0' || strcmp(node->name + len, ".") == 0);
}

static bool
is_called(const struct node *node, const char *target)
{
	uint8_t key[TAILKEY_LEN];
	struct endpoint e;
	struct addr a;

	if (addr_parse(target, &a) == 0)
		return has_address(node, &a);
	if (endpoint_parse(target, &e) == 0)
		return has_address(node, &e.addr);
	if (tailkey_parse(TAILKEY_NODE, target, strlen(target), key) == 0)
		return memcmp(node->key.bytes, key, sizeof(key)) == 0;
	return has_name(node, target);
}

static const struct node *
find_node(struct member *m, uint32_t client, const json_t *request)
{
	const char *target = json_string_value(json_object_get(request, "target"));

	if (m->map.self == NULL) {
		refuse(m, client, "this machine is in no tailnet", "it has no map of one",
			"join one with `sluice up`");
		return NULL;
	}
	if (target != NULL && is_called(m->map.self, target))
		return m->map.self;
	for (size_t i = 0; target != NULL && i < netmap_n_peers(&m->map); i++)
		if (is_called(netmap_peer(&m->map, i), target))
			return netmap_peer(&m->map, i);
	refuse(m, client, "there is no such machine in the tailnet",
		"neither an address nor a name of a peer", "`sluice status` lists them");
	return NULL;
}

static void
on_whois(struct member *m, uint32_t client, const json_t *request)
{
	const struct node *node = find_node(m, client, request);
	const struct user_profile *user;
	json_t *who = NULL;

	if (node == NULL)
		return;
	user = netmap_find_user(&m->map, node->user);
	if (user != NULL)
		who = json_pack("{s:I, s:s, s:s}", "id", (json_int_t)user->id, "login_name",
			user->login_name != NULL ? user->login_name : "", "display_name",
			user->display_name != NULL ? user->display_name : "");
	answer_object(m->setup.api, client,
		json_pack("{s:b, s:o, s:o, s:o}", "ok", 1, "node", member_node_json(m, node),
			"user", who != NULL ? who : json_null(), "capabilities",
			tailnet_capabilities(&m->map, node)),
		m->now);
}

/* --- ping --- */

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
		refuse(m, client, "too many pings at a time", "others wait for their answers",
			"try again in a few seconds");
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

static void
on_ping(struct member *m, uint32_t client, const json_t *request)
{
	static const char *const kinds[] = { "disco", "tsmp", "peerapi" };
	const char *type = json_string_value(json_object_get(request, "type"));
	enum ping_kind kind = PING_DISCO;
	const struct node *node;

	while (type != NULL && kind <= PING_PEER_API && strcmp(type, kinds[kind]) != 0)
		kind++;
	if (kind > PING_PEER_API) {
		refuse(m, client, "this kind of ping cannot be sent",
			"the daemon sends disco, tsmp and peerapi", "use one of these");
		return;
	}
	node = find_node(m, client, request);
	if (node == NULL)
		return;
	if (node == m->map.self) {
		answer_object(m->setup.api, client,
			json_pack("{s:b, s:{s:b}}", "ok", 1, "pong", "is_self", 1), m->now);
		return;
	}
	start_ping(m, client, request, node, kind);
}

/* --- the network --- */

static void
answer_netchecks(struct member *m)
{
	for (size_t i = 0; i < API_MAX_CLIENTS; i++) {
		if (m->netchecks[i] == 0)
			continue;
		answer_object(m->setup.api, m->netchecks[i],
			json_pack("{s:b, s:o}", "ok", 1, "netcheck", member_netcheck_json(m)),
			m->now);
		m->netchecks[i] = 0;
	}
}

void
member_netcheck_arrived(struct member *m)
{
	answer_netchecks(m);
}

static void
on_netcheck(struct member *m, uint32_t client)
{
	if (m->map.derp_map == NULL) {
		refuse(m, client, "the network cannot be checked",
			"the servers to ask are in the tailnet's map, and there is none yet",
			"join a tailnet with `sluice up`");
		return;
	}
	for (size_t i = 0; i < API_MAX_CLIENTS; i++) {
		if (m->netchecks[i] != 0)
			continue;
		m->netchecks[i] = client;
		break;
	}
	m->netcheck_until = mono_add_ns(m->now, NETCHECK_MAX_NS);
	m->setup.calls.netcheck(m->setup.calls.context);
}

struct mono
member_requests_due(struct member *m)
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
	if (!mono_is_never(m->netcheck_until) && mono_diff_ns(m->now, m->netcheck_until) >= 0) {
		answer_netchecks(m);
		m->netcheck_until = (struct mono){};
	}
	return next;
}

/* --- debug --- */

static json_t *
derp_node_json(const struct derp_node *n)
{
	return json_pack("{s:s?, s:s?, s:s?, s:s?, s:i, s:i, s:b}", "name", n->name, "host_name",
		n->host_name, "ipv4", n->ipv4, "ipv6", n->ipv6, "derp_port", (int)n->derp_port,
		"stun_port", (int)n->stun_port, "stun_only", (int)n->is_stun_only);
}

static const struct relay_facts *
relay_of(const struct member *m, int32_t region)
{
	for (size_t i = 0; m->facts != NULL && i < m->facts->n_relays; i++)
		if (m->facts->relays[i].region == region)
			return &m->facts->relays[i];
	return NULL;
}

static json_t *
region_json(const struct member *m, const struct derp_region *r)
{
	const struct relay_facts *relay = relay_of(m, r->id);
	json_t *nodes = json_array();

	for (size_t i = 0; i < r->n_nodes; i++)
		json_array_append_new(nodes, derp_node_json(&r->nodes[i]));
	return json_pack("{s:i, s:s?, s:s?, s:s, s:s, s:I, s:I, s:f, s:o}", "id", (int)r->id,
		"code", r->code, "name", r->name, "state",
		relay != NULL ? relay_state_name(relay->state) : "", "node",
		relay != NULL ? relay->host : "", "rx_bytes",
		(json_int_t)(relay != NULL ? relay->rx_bytes : 0), "tx_bytes",
		(json_int_t)(relay != NULL ? relay->tx_bytes : 0), "latency_ms",
		relay != NULL ? (double)relay->ping_ns / 1e6 : 0.0, "nodes", nodes);
}

static void
on_derp(struct member *m, uint32_t client)
{
	json_t *regions = json_array();

	for (size_t i = 0; m->map.derp_map != NULL && i < m->map.derp_map->n_regions; i++)
		json_array_append_new(regions, region_json(m, &m->map.derp_map->regions[i]));
	answer_object(m->setup.api, client,
		json_pack("{s:b, s:i, s:o}", "ok", 1, "home_region",
			m->facts != NULL ? (int)m->facts->home_region : 0, "regions", regions),
		m->now);
}

static json_t *
ms_or_null(int64_t ns)
{
	return ns > 0 ? json_real((double)ns / 1e6) : json_null();
}

static json_t *
age_ms(struct mono now, struct mono then)
{
	return mono_is_never(then) ? json_null()
	                           : json_integer(mono_diff_ns(now, then) / NS_PER_MS);
}

static json_t *
candidate_json(const struct path_view *v, const struct paths_candidate *c)
{
	json_t *sources = json_array();
	char endpoint[ADDR_TEXT_LEN];

	if (c->is_from_map)
		json_array_append_new(sources, json_string("map"));
	if (c->is_from_peer)
		json_array_append_new(sources, json_string("call-me-maybe"));
	if (c->is_heard)
		json_array_append_new(sources, json_string("ping"));
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "endpoint",
		endpoint_format(&c->endpoint, endpoint), "sources", sources, "latency_ms",
		ms_or_null(c->latency_ns), "ping_age_ms", age_ms(v->taken, c->last_ping),
		"pong_age_ms", age_ms(v->taken, c->last_pong));
}

static json_t *
view_json(const struct member *m, const struct path_view *v)
{
	const struct paths_choice *choice = &v->state.choice;
	char key[TAILKEY_TEXT_SIZE], direct[ADDR_TEXT_LEN] = "", local[ADDR_TEXT_LEN] = "";
	json_t *candidates = json_array();
	const struct node *node;
	struct node_key nk;

	memcpy(nk.bytes, v->node_key.bytes, sizeof(nk.bytes));
	node = netmap_find_key(&m->map, &nk);
	for (size_t i = 0; i < v->n_candidates; i++)
		json_array_append_new(candidates, candidate_json(v, &v->candidates[i]));
	if (choice->direct.addr.family != ADDR_NONE)
		endpoint_format(&choice->direct, direct);
	if (choice->local.family != ADDR_NONE)
		addr_format(&choice->local, local);
	return json_pack("{s:s, s:s, s:i, s:s?, s:s?, s:o, s:o, s:b, s:i, s:b, s:o}", "name",
		node != NULL && node->name != NULL ? node->name : "", "node_key",
		tailkey_format(TAILKEY_NODE, nk.bytes, key), "home_region",
		(int)v->state.home_region, "direct", direct[0] != '\0' ? direct : NULL, "local",
		local[0] != '\0' ? local : NULL, "latency_ms", ms_or_null(v->state.latency_ns),
		"trusted_ms",
		v->state.is_trusted ? age_ms(v->state.trusted_until, v->taken) : json_null(),
		"relay", (int)choice->relay, "region", (int)choice->region, "active",
		(int)v->state.is_active, "candidates", candidates);
}

void
member_take_paths(struct member *m,
	uint64_t token,
	const struct path_view *views,
	size_t n,
	struct mono now)
{
	json_t *list = json_array();

	m->now = now;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, view_json(m, &views[i]));
	answer_object(m->setup.api, (uint32_t)token,
		json_pack("{s:b, s:o}", "ok", 1, "peers", list), now);
}

static void
on_map(struct member *m, uint32_t client)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < netmap_n_peers(&m->map); i++)
		json_array_append_new(nodes, member_node_json(m, netmap_peer(&m->map, i)));
	answer_object(m->setup.api, client,
		json_pack("{s:b, s:{s:o, s:o, s:I, s:b}}", "ok", 1, "map", "self",
			m->map.self != NULL ? member_node_json(m, m->map.self) : json_null(),
			"peers", nodes, "filter_lists", (json_int_t)m->map.filter.n, "from_disk",
			(int)m->from_disk),
		m->now);
}

/* --- which --- */

enum right {
	MAY_ALL,
	MAY_ROOT
};

static bool
may(struct member *m, uint32_t client, enum right right)
{
	if (right == MAY_ALL || api_may_change(m->setup.api, client))
		return true;
	refuse(m, client, "this needs more rights",
		"only root, and the user that the daemon runs as, may change something",
		"try again with sudo");
	return false;
}

bool
member_request(struct member *m, uint32_t client, const json_t *request, struct mono now)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd"));

	m->now = now;
	if (strcmp(cmd, "up") == 0 || strcmp(cmd, "login") == 0) {
		if (may(m, client, MAY_ROOT))
			on_up(m, client, request, cmd[0] == 'l');
	} else if (strcmp(cmd, "set") == 0) {
		if (may(m, client, MAY_ROOT))
			on_set(m, client, request);
	} else if (strcmp(cmd, "down") == 0) {
		if (may(m, client, MAY_ROOT))
			on_down(m, client);
	} else if (strcmp(cmd, "logout") == 0) {
		if (may(m, client, MAY_ROOT))
			on_logout(m, client);
	} else if (strcmp(cmd, "ping") == 0) {
		on_ping(m, client, request);
	} else if (strcmp(cmd, "netcheck") == 0) {
		on_netcheck(m, client);
	} else if (strcmp(cmd, "whois") == 0) {
		on_whois(m, client, request);
	} else if (strcmp(cmd, "derp") == 0) {
		on_derp(m, client);
	} else if (strcmp(cmd, "paths") == 0) {
		m->setup.calls.paths(m->setup.calls.context, client);
	} else if (strcmp(cmd, "map") == 0) {
		on_map(m, client);
	} else {
		return false;
	}
	return true;
}
