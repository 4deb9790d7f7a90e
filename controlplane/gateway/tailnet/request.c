/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Questions of clients about the tailnet; gateway_api.h documents them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/api/answer.h"
#include "controlplane/gateway/tailnet/filter.h"
#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/tailnet/derp_map.h"

#define NETCHECK_MAX_NS (10 * NS_PER_S)

static void
answer_warned(struct member *m, uint32_t client, json_t *warnings)
{
	answer_object(m->setup.api, client, json_pack("{s:b, s:o}", "ok", 1, "warnings", warnings),
		m->now);
}

static void
answer_ok(struct member *m, uint32_t client)
{
	answer_warned(m, client, json_array());
}

// What was asked for is done; perhaps it does not lead where people think.
static void
answer_settings(struct member *m, uint32_t client, const json_t *request)
{
	json_t *warnings = json_array();

	if (json_object_get(json_object_get(request, "prefs"), "advertise_routes") != NULL)
		member_warn_unreached(m, warnings);
	answer_warned(m, client, warnings);
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
		member_refuse(
			m, client, "the settings cannot be taken", "out of memory", "try again");
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
		member_refuse(m, client, error.what, error.why, error.what_to_do);
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
	member_refuse(m, client, "the settings cannot be kept", err_str(err),
		"see that the state directory can be written to");
	return false;
}

static void
on_set(struct member *m, uint32_t client, const json_t *request)
{
	if (!take_prefs(m, client, request) || !save(m, client))
		return;
	member_settings_changed(m);
	answer_settings(m, client, request);
}

/* --- up and down --- */

static void
on_up(struct member *m, uint32_t client, const json_t *request, bool force)
{
	const char *key = json_string_value(json_object_get(request, "auth_key"));

	force |= json_is_true(json_object_get(request, "force_reauth"));
	if (key != NULL && strlen(key) >= CONFIG_AUTH_KEY_LEN) {
		member_refuse(m, client, "the auth key is too long",
			"no server makes keys of this length",
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
	answer_settings(m, client, request);
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

static void
on_whois(struct member *m, uint32_t client, const json_t *request)
{
	const struct node *node = member_find_node(m, client, request);
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
		member_refuse(m, client, "the network cannot be checked",
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
	if (!mono_is_never(m->netcheck_until) && mono_diff_ns(m->now, m->netcheck_until) >= 0) {
		answer_netchecks(m);
		m->netcheck_until = (struct mono){};
	}
	return member_pings_due(m);
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
	return json_pack("{s:i, s:s?, s:s?, s:s, s:s, s:I, s:I, s:I, s:f, s:o}", "id", (int)r->id,
		"code", r->code, "name", r->name, "state",
		relay != NULL ? relay_state_name(relay->state) : "", "node",
		relay != NULL ? relay->host : "", "rx_bytes",
		(json_int_t)(relay != NULL ? relay->rx_bytes : 0), "tx_bytes",
		(json_int_t)(relay != NULL ? relay->tx_bytes : 0), "tx_dropped",
		(json_int_t)(relay != NULL ? relay->n_dropped : 0), "latency_ms",
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
	member_refuse(m, client, "this needs more rights",
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
		member_on_ping(m, client, request);
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
