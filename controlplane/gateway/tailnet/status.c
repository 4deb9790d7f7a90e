/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The object "tailnet" of the status; its keys are documented in gateway_api.h.
 */

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/tailnet/derp_map.h"

#define ACTIVE_NS (120 * NS_PER_S)

static void
put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value); // out of memory: a key that is missing
}

// Text of the server's: anything may be in it.
static json_t *
text(const char *s)
{
	json_t *value = json_string(s != NULL ? s : "");

	return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *
text_or_null(const char *s)
{
	return s != NULL && s[0] != '\0' ? text(s) : json_null();
}

static json_t *
endpoint_or_null(const struct endpoint *e)
{
	char line[ADDR_TEXT_LEN];

	return e->addr.family != ADDR_NONE ? json_string(endpoint_format(e, line)) : json_null();
}

static json_t *
ms_or_null(int64_t ns)
{
	return ns > 0 ? json_real((double)ns / 1e6) : json_null();
}

static json_t *
seconds_since(struct mono now, struct mono then)
{
	return mono_is_never(then) ? json_null() : json_integer(mono_diff_ns(now, then) / NS_PER_S);
}

static json_t *
time_or_null(struct instant t)
{
	char line[INSTANT_TEXT_SIZE];

	return instant_is_unset(t) ? json_null() : json_string(instant_format(t, line));
}

static json_t *
tri(enum tri t)
{
	return t == TRI_UNKNOWN ? json_null() : json_boolean(t == TRI_TRUE);
}

static json_t *
addresses_of(const struct prefixes *list)
{
	json_t *array = json_array();
	char line[ADDR_TEXT_LEN];

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, json_string(addr_format(&list->at[i].addr, line)));
	return array;
}

static json_t *
texts(const struct texts *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, text(list->at[i]));
	return array;
}

static json_t *
node_key(const struct node_key *key)
{
	char line[TAILKEY_TEXT_SIZE];

	return json_string(tailkey_format(TAILKEY_NODE, key->bytes, line));
}

// "gw.tailnet.example." without its last dot.
static json_t *
full_name(const char *name)
{
	size_t len = name != NULL ? strlen(name) : 0;
	json_t *value;

	if (len > 0 && name[len - 1] == '.')
		len--;
	value = json_stringn(len > 0 ? name : "", len);
	return value != NULL ? value : json_string("");
}

static json_t *
region_code(const struct member *m, int32_t region)
{
	const struct derp_region *r =
		m->map.derp_map != NULL ? derp_map_find(m->map.derp_map, region) : NULL;

	return text(r != NULL ? r->code : "");
}

static json_t *
user_name(const struct member *m, int64_t id)
{
	const struct user_profile *user = netmap_find_user(&m->map, id);

	return text(user != NULL ? user->login_name : "");
}

/* --- peers --- */

static json_t *
path_json(const struct member *m, const struct snapshot_peer *s)
{
	const struct paths_choice *choice = &s->path.choice;
	bool is_direct = s->is_member && choice->direct.addr.family != ADDR_NONE;
	bool is_relayed = s->is_member && choice->relay;
	json_t *o = json_object();

	put(o, "kind",
		json_string(is_direct && is_relayed ? "both"
			    : is_direct             ? "direct"
			    : is_relayed            ? "relay"
						    : "none"));
	put(o, "endpoint", is_direct ? endpoint_or_null(&choice->direct) : json_null());
	put(o, "region", json_integer(is_relayed ? choice->region : 0));
	put(o, "region_code", is_relayed ? region_code(m, choice->region) : json_string(""));
	put(o, "latency_ms", is_direct ? ms_or_null(s->path.latency_ns) : json_null());
	return o;
}

static json_t *
routes_of(const struct roster_view *view, const struct node *node)
{
	json_t *array = json_array();
	char line[ADDR_TEXT_LEN];

	for (size_t i = 0; i < node->allowed_ips.n; i++) {
		const struct prefix *p = &node->allowed_ips.at[i];
		bool is_own = false;

		for (size_t k = 0; k < node->addresses.n; k++)
			is_own |= prefix_equal(&node->addresses.at[k], p);
		if (!is_own && roster_admits_prefix(view, node, p))
			json_array_append_new(array, json_string(prefix_format(p, line)));
	}
	return array;
}

json_t *
member_node_json(const struct member *m, const struct node *node)
{
	struct roster_view view = member_view(m);
	const struct hostinfo *h = node->hostinfo;
	json_t *o = json_object();

	put(o, "name", full_name(node->name));
	put(o, "host_name", text(h != NULL ? h->hostname : ""));
	put(o, "addresses", addresses_of(&node->addresses));
	put(o, "node_key", node_key(&node->key));
	put(o, "stable_id", text(node->stable_id));
	put(o, "os", text(h != NULL ? h->os : ""));
	put(o, "user", user_name(m, node->user));
	put(o, "tags", texts(&node->tags));
	put(o, "online", tri(node->online));
	put(o, "last_seen", node->has_last_seen ? time_or_null(node->last_seen) : json_null());
	put(o, "key_expiry", time_or_null(node->key_expiry));
	put(o, "expired", json_boolean(node_is_expired(node, view.now)));
	put(o, "routes", routes_of(&view, node));
	put(o, "home_region", json_integer(node->home_region));
	put(o, "home_region_code", region_code(m, node->home_region));
	put(o, "note", json_string(roster_reason(roster_judge(&view, node))));
	return o;
}

static int
compare_keys(const void *a, const void *b)
{
	const struct snapshot_peer *const *x = a, *const *y = b;

	return memcmp((*x)->key.bytes, (*y)->key.bytes, KEY_LEN);
}

static const struct snapshot_peer *
find(const struct snapshot_peer **sorted, size_t n, const struct node_key *key)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int by = memcmp(sorted[mid]->key.bytes, key->bytes, KEY_LEN);

		if (by == 0)
			return sorted[mid];
		if (by < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool
is_active(const struct snapshot *s, const struct snapshot_peer *p)
{
	struct mono last = p->last_tx.ns > p->last_rx.ns ? p->last_tx : p->last_rx;

	return p->handshake == SNAPSHOT_HANDSHAKE_WAITING ||
	       (!mono_is_never(last) && mono_diff_ns(s->taken, last) < ACTIVE_NS);
}

static json_t *
peer_json(const struct member *m,
	const struct node *node,
	const struct snapshot *s,
	const struct snapshot_peer *p)
{
	static const struct snapshot_peer none;
	json_t *o = member_node_json(m, node);

	if (p == NULL)
		p = &none;
	put(o, "path", path_json(m, p));
	put(o, "active", json_boolean(is_active(s, p)));
	put(o, "rx_bytes", json_integer((json_int_t)p->rx_bytes));
	put(o, "tx_bytes", json_integer((json_int_t)p->tx_bytes));
	put(o, "last_handshake_age_s", seconds_since(s->taken, p->last_handshake));
	return o;
}

static json_t *
peers_json(const struct member *m, const struct snapshot *s)
{
	const struct snapshot_peer **sorted = calloc(s->n_peers + 1, sizeof(sorted[0]));
	json_t *array = json_array();
	size_t n = 0;

	for (; sorted != NULL && n < s->n_peers; n++)
		sorted[n] = &s->peers[n];
	if (n > 0)
		qsort(sorted, n, sizeof(sorted[0]), compare_keys);
	for (size_t i = 0; i < netmap_n_peers(&m->map); i++) {
		const struct node *node = netmap_peer(&m->map, i);

		json_array_append_new(array, peer_json(m, node, s, find(sorted, n, &node->key)));
	}
	free(sorted);
	return array;
}

/* --- ourselves --- */

static json_t *
own_endpoints(const struct member *m)
{
	json_t *array = json_array();

	for (size_t i = 0; m->facts != NULL && i < m->facts->n_endpoints; i++)
		json_array_append_new(array, endpoint_or_null(&m->facts->endpoints[i].endpoint));
	return array;
}

static json_t *
self_json(const struct member *m)
{
	const struct node *self = m->map.self;
	int32_t home = m->facts != NULL ? m->facts->home_region : 0;
	json_t *o;

	if (self == NULL)
		return json_null();
	o = json_object();
	put(o, "name", full_name(self->name));
	put(o, "host_name", text(own_facts_hostinfo(m->own)->hostname));
	put(o, "addresses", addresses_of(&self->addresses));
	put(o, "node_key", node_key(&self->key));
	put(o, "key_expiry", time_or_null(self->key_expiry));
	put(o, "tags", texts(&self->tags));
	put(o, "home_region", json_integer(home));
	put(o, "home_region_code", region_code(m, home));
	put(o, "endpoints", own_endpoints(m));
	return o;
}

json_t *
member_netcheck_json(const struct member *m)
{
	json_t *o;

	if (m->facts == NULL || !m->facts->has_report)
		return json_null();
	o = netcheck_report_json(&m->facts->report, m->map.derp_map);
	put(o, "age_s", seconds_since(m->now, m->facts_at));
	return o;
}

const char *
member_state_name(const struct member *m)
{
	if (store_is_logged_out(m->store))
		return "NeedsLogin";
	if (!store_is_wanted(m->store))
		return member_is_registered(m) ? "Stopped" : "NeedsLogin";
	if (m->self_expired || m->login == LOGIN_WAITING)
		return "NeedsLogin";
	if (m->login == LOGIN_NONE && !(m->map.self != NULL && m->from_disk))
		return "NeedsLogin";
	if (m->map.self != NULL && !m->map.self->is_machine_authorized)
		return "NeedsMachineAuth";
	if (m->login == LOGIN_TRYING || !member_is_running(m) || m->settled < m->wished ||
		m->settled == 0)
		return "Starting";
	return "Running";
}

static json_t *
error_json(const struct member *m)
{
	if (m->self_expired && !m->has_failure && m->login != LOGIN_TRYING)
		return json_pack("{s:s, s:s, s:s, s:b}", "what", "this machine's key has expired",
			"why", "the server gives keys a limited life", "do",
			"log in again: `sluice up --force-reauth`, perhaps with --auth-key",
			"final", 1);
	if (!m->has_failure)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:b}", "what", text(m->failure.what), "why",
		text(m->failure.why), "do", text(m->failure.what_to_do), "final",
		(int)(m->login == LOGIN_NONE));
}

static json_t *
warnings_json(const struct member *m)
{
	json_t *array = json_array();

	if (m->from_disk && m->map.self != NULL)
		json_array_append_new(array,
			json_string("the map is the last one known: the coordination server has "
				    "not been reached since the start"));
	if (netmap_is_locked(&m->map))
		json_array_append_new(
			array, json_string("the tailnet is locked, and signatures of nodes are not "
					   "checked by this version"));
	if (m->filter == NULL && member_is_running(m))
		json_array_append_new(
			array, json_string("no packet filter has arrived: nothing is let in"));
	for (size_t i = 0; i < m->map.n_messages; i++)
		json_array_append_new(array, text(m->map.messages[i].text));
	for (size_t i = 0; m->map.n_messages == 0 && i < m->map.health.n; i++)
		json_array_append_new(array, text(m->map.health.at[i]));
	return array;
}

static json_t *
lines_json(const struct config_tailnet *file)
{
	json_t *o = json_object();

	for (int i = 0; i < CONFIG_TAILNET_N_OPTIONS; i++)
		if ((PREFS_ALL & UINT32_C(1) << i) != 0 && config_tailnet_has(file, i))
			put(o, config_tailnet_name(i), json_integer(file->lines[i]));
	return o;
}

static const char *
magic_suffix(const struct member *m)
{
	const char *dot = m->map.self != NULL && m->map.self->name != NULL
	                          ? strchr(m->map.self->name, '.')
	                          : NULL;

	return dot != NULL ? dot + 1 : "";
}

json_t *
member_status(struct member *m, const struct snapshot *snapshot, const struct surroundings *around)
{
	json_t *o = json_object();
	struct coord_facts facts = {};

	if (m->client != NULL)
		coord_client_facts(m->client, &facts);
	put(o, "state", json_string(member_state_name(m)));
	put(o, "auth_url", text_or_null(m->auth_url));
	put(o, "server", text_or_null(m->prefs.login_server));
	put(o, "connected", json_boolean(facts.connected));
	put(o, "phase", json_string(m->client != NULL ? coord_phase_name(m->phase) : "idle"));
	put(o, "from_disk", json_boolean(m->from_disk));
	put(o, "error", error_json(m));
	put(o, "warnings", warnings_json(m));
	put(o, "domain", text(m->map.domain));
	put(o, "magic_dns_suffix", full_name(magic_suffix(m)));
	put(o, "user", text(store_login_name(m->store)));
	put(o, "prefs", prefs_json(&m->prefs, PREFS_ALL));
	put(o, "prefs_from_file", lines_json(&m->setup.config->tailnet));
	put(o, "self", self_json(m));
	put(o, "routes", member_routes_json(m, around));
	put(o, "accepted_routes", member_accepted_json(m));
	put(o, "netcheck", member_netcheck_json(m));
	if (snapshot != NULL)
		put(o, "peers", peers_json(m, snapshot));
	return o;
}
