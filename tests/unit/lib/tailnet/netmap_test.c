/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sessions of map responses and the map after each, as the reference client has it (argv[1]:
 * tests/vectors/mapsession.json, a copy of ../shared/vectors/mapsession.json); what was reported as
 * changed is compared with what differs between two maps of the reference.
 */

#include "lib/tailnet/netmap.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/json_writer.h"
#include "lib/tailnet/netmap_write.h"
#include "tests/lib/tap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---------- our map as the reference writes its own ----------

static void
write_key(struct json_writer *w, const char *name, enum tailkey_kind kind, const uint8_t *bytes)
{
	char text[TAILKEY_TEXT_SIZE];

	if (!tailkey_is_zero(bytes))
		json_write_text(w, name, tailkey_format(kind, bytes, text));
}

static void
write_instant(struct json_writer *w, const char *name, struct instant t)
{
	char text[INSTANT_TEXT_SIZE];

	if (!instant_is_unset(t))
		json_write_text(w, name, instant_format(t, text));
}

static void
write_text(struct json_writer *w, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_write_text(w, name, text);
}

static void
write_int(struct json_writer *w, const char *name, int64_t number)
{
	if (number != 0)
		json_write_int(w, name, number);
}

static void
write_prefixes(struct json_writer *w, const char *name, const struct prefixes *p)
{
	char text[ADDR_TEXT_LEN];

	json_write_open(w, name, '[');
	for (size_t i = 0; i < p->n; i++)
		json_write_text(w, NULL, prefix_format(&p->at[i], text));
	json_write_close(w, ']');
}

static void
write_lists(struct json_writer *w, const struct node *node)
{
	char text[ADDR_TEXT_LEN];

	write_prefixes(w, "Addresses", &node->addresses);
	write_prefixes(w, "AllowedIPs", &node->allowed_ips);
	write_prefixes(w, "PrimaryRoutes", &node->primary_routes);
	json_write_open(w, "Endpoints", '[');
	for (size_t i = 0; i < node->endpoints.n; i++)
		json_write_text(w, NULL, endpoint_format(&node->endpoints.at[i], text));
	json_write_close(w, ']');
	json_write_open(w, "Tags", '[');
	for (size_t i = 0; i < node->tags.n; i++)
		json_write_text(w, NULL, node->tags.at[i]);
	json_write_close(w, ']');
	json_write_open(w, "CapMap", '{');
	for (size_t i = 0; i < node->capabilities.n; i++)
		json_write_null(w, node->capabilities.at[i].name);
	json_write_close(w, '}');
}

static void
write_node(struct json_writer *w, const struct node *node)
{
	json_write_open(w, NULL, '{');
	write_int(w, "ID", node->id);
	write_text(w, "StableID", node->stable_id);
	write_text(w, "Name", node->name);
	write_int(w, "User", node->user);
	write_int(w, "Sharer", node->sharer);
	write_key(w, "Key", TAILKEY_NODE, node->key.bytes);
	write_instant(w, "KeyExpiry", node->key_expiry);
	if (node->key_signature.len > 0)
		json_write_octets(w, "KeySignature", &node->key_signature);
	write_key(w, "Machine", TAILKEY_MACHINE, node->machine.bytes);
	write_key(w, "DiscoKey", TAILKEY_DISCO, node->disco_key.bytes);
	write_lists(w, node);
	write_int(w, "HomeDERP", node->home_region);
	if (node->hostinfo != NULL) {
		json_write_open(w, "Hostinfo", '{');
		write_text(w, "OS", node->hostinfo->os);
		write_text(w, "Hostname", node->hostinfo->hostname);
		json_write_close(w, '}');
	}
	write_instant(w, "Created", node->created);
	write_int(w, "Cap", node->capver);
	if (node->has_last_seen)
		write_instant(w, "LastSeen", node->last_seen);
	if (node->online != TRI_UNKNOWN)
		json_write_bool(w, "Online", node->online == TRI_TRUE);
	if (node->is_machine_authorized)
		json_write_bool(w, "MachineAuthorized", true);
	if (node->is_expired)
		json_write_bool(w, "Expired", true);
	json_write_close(w, '}');
}

static json_t *
as_json(struct json_writer *w)
{
	const char *text = "";
	size_t len = 0;
	json_t *value;

	if (json_writer_finish(w, &text, &len) != 0)
		abort();
	value = json_loads(text, 0, NULL);
	json_writer_fini(w);
	return value;
}

static json_t *
node_json(const struct node *node)
{
	struct json_writer w = {};

	write_node(&w, node);
	return as_json(&w);
}

// What does not count: names made up for display, empty lists, values of capabilities without any.
static void
simplify_node(json_t *node)
{
	static const char *const lists[] = { "Addresses", "AllowedIPs", "PrimaryRoutes",
		"Endpoints", "Tags", "CapMap" };
	json_t *caps = json_object_get(node, "CapMap"), *value;
	const char *name;

	json_object_del(node, "ComputedName");
	json_object_del(node, "ComputedNameWithHost");
	json_object_del(node, "Capabilities");
	json_object_foreach(
		caps, name, value) if (json_is_array(value) && json_array_size(value) == 0)
		json_object_set_new(caps, name, json_null());
	for (size_t i = 0; i < COUNT(lists); i++) {
		value = json_object_get(node, lists[i]);
		if (json_array_size(value) + json_object_size(value) == 0)
			json_object_del(node, lists[i]);
	}
}

static void
simplify(json_t *netmap)
{
	json_t *peers = json_object_get(netmap, "Peers"), *peer;
	size_t i;

	simplify_node(json_object_get(netmap, "SelfNode"));
	json_array_foreach(peers, i, peer) simplify_node(peer);
}

static void
check_json(json_t *got, const json_t *wanted, const char *what)
{
	char *got_text = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	char *wanted_text = json_dumps(wanted, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	tap_text(got_text != NULL ? got_text : "", wanted_text != NULL ? wanted_text : "", what);
	free(got_text);
	free(wanted_text);
	json_decref(got);
}

static void
check_node(const struct node *node, const json_t *wanted, const char *what)
{
	json_t *got = node_json(node);

	simplify_node(got);
	check_json(got, wanted, what);
}

static void
check_peers(const struct netmap *m, const json_t *wanted)
{
	size_t i;
	const json_t *peer;

	tap_int((long long)netmap_n_peers(m), (long long)json_array_size(wanted), "peers");
	json_array_foreach(wanted, i, peer)
	{
		const struct node *node =
			netmap_find_id(m, json_integer_value(json_object_get(peer, "ID")));

		if (!tap_ok(node != NULL, "a peer is there"))
			continue;
		check_node(node, peer, "peer");
		tap_ok(netmap_find_key(m, &node->key) == node, "and is found by its key");
	}
}

static void
write_resolvers(struct json_writer *w, const char *name, const struct resolvers *r)
{
	json_write_open(w, name, '[');
	for (size_t i = 0; i < r->n; i++) {
		json_write_open(w, NULL, '{');
		json_write_text(w, "Addr", r->at[i].addr);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static void
write_records(struct json_writer *w, const struct dns_config *dns)
{
	json_write_open(w, "ExtraRecords", '[');
	for (size_t i = 0; i < dns->n_records; i++) {
		json_write_open(w, NULL, '{');
		json_write_text(w, "Name", dns->records[i].name);
		write_text(w, "Type", dns->records[i].type);
		json_write_text(w, "Value", dns->records[i].value);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static void
check_dns(const struct dns_config *dns, const json_t *wanted)
{
	struct json_writer w = {};

	json_write_open(&w, NULL, '{');
	if (dns != NULL && dns->n_routes > 0) {
		json_write_open(&w, "Routes", '{');
		for (size_t i = 0; i < dns->n_routes; i++)
			write_resolvers(&w, dns->routes[i].suffix, &dns->routes[i].resolvers);
		json_write_close(&w, '}');
	}
	if (dns != NULL && dns->search_domains.n > 0) {
		json_write_open(&w, "Domains", '[');
		for (size_t i = 0; i < dns->search_domains.n; i++)
			json_write_text(&w, NULL, dns->search_domains.at[i]);
		json_write_close(&w, ']');
	}
	if (dns != NULL && dns->resolvers.n > 0)
		write_resolvers(&w, "Resolvers", &dns->resolvers);
	if (dns != NULL && dns->n_records > 0)
		write_records(&w, dns);
	if (dns != NULL && dns->is_magic)
		json_write_bool(&w, "Proxied", true);
	json_write_close(&w, '}');
	check_json(as_json(&w), wanted, "DNS");
}

static void
write_region(struct json_writer *w, const struct derp_region *r)
{
	char id[16];

	snprintf(id, sizeof(id), "%d", r->id);
	json_write_open(w, id, '{');
	json_write_int(w, "RegionID", r->id);
	json_write_text(w, "RegionCode", r->code);
	json_write_text(w, "RegionName", r->name);
	json_write_open(w, "Nodes", '[');
	for (size_t k = 0; k < r->n_nodes; k++) {
		json_write_open(w, NULL, '{');
		json_write_text(w, "Name", r->nodes[k].name);
		json_write_int(w, "RegionID", r->nodes[k].region_id);
		json_write_text(w, "HostName", r->nodes[k].host_name);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
	json_write_close(w, '}');
}

static void
write_scores(struct json_writer *w, const struct derp_map *map)
{
	char id[16];

	json_write_open(w, "HomeParams", '{');
	if (map->n_scores > 0) {
		json_write_open(w, "RegionScore", '{');
		for (size_t i = 0; i < map->n_scores; i++) {
			snprintf(id, sizeof(id), "%d", map->scores[i].region_id);
			json_write_micros(w, id, (int64_t)(map->scores[i].factor * 1e6));
		}
		json_write_close(w, '}');
	}
	json_write_close(w, '}');
}

static void
check_derp_map(const struct derp_map *map, const json_t *wanted)
{
	struct json_writer w = {};

	if (map == NULL) {
		tap_ok(json_is_null(wanted), "no DERP map");
		return;
	}
	json_write_open(&w, NULL, '{');
	if (map->has_home_params)
		write_scores(&w, map);
	json_write_open(&w, "Regions", '{');
	for (size_t i = 0; i < map->n_regions; i++)
		write_region(&w, &map->regions[i]);
	json_write_close(&w, '}');
	if (map->omits_default_regions)
		json_write_bool(&w, "omitDefaultRegions", true);
	json_write_close(&w, '}');
	check_json(as_json(&w), wanted, "DERP map");
	for (size_t i = 0; i < map->n_regions; i++)
		if (derp_map_find(map, map->regions[i].id) != &map->regions[i])
			tap_ok(false, "a region is found by its number");
}

// The reference shows the profiles of users that it needs.
static void
add_user(json_t *users, const struct netmap *m, int64_t id)
{
	const struct user_profile *user = netmap_find_user(m, id);
	char name[24];

	if (id == 0 || user == NULL)
		return;
	snprintf(name, sizeof(name), "%lld", (long long)id);
	json_object_set_new(users, name,
		json_pack("{s:I, s:s, s:s}", "ID", (json_int_t)id, "LoginName", user->login_name,
			"DisplayName", user->display_name));
}

static void
check_users(const struct netmap *m, const json_t *wanted)
{
	json_t *users = json_object();

	add_user(users, m, m->self->user);
	for (size_t i = 0; i < netmap_n_peers(m); i++) {
		add_user(users, m, netmap_peer(m, i)->user);
		add_user(users, m, netmap_peer(m, i)->sharer);
	}
	check_json(users, wanted, "user profiles");
}

static bool
has_message(const struct netmap *m, const json_t *wanted)
{
	const char *text = json_string_value(json_object_get(wanted, "Text"));
	const char *title = json_string_value(json_object_get(wanted, "Title"));
	const char *severity = json_string_value(json_object_get(wanted, "Severity"));
	const char *colon = strchr(text, ':');

	for (size_t i = 0; i < m->n_messages; i++)
		if (text_equal(m->messages[i].text, text) &&
			text_equal(m->messages[i].title, title) &&
			text_equal(m->messages[i].severity, severity))
			return true;
	// Without messages the old list, which the reference dresses up.
	for (size_t i = 0; m->n_messages == 0 && colon != NULL && i < m->health.n; i++)
		if (strcmp(m->health.at[i], colon + 2) == 0)
			return true;
	return false;
}

static void
check_messages(const struct netmap *m, const json_t *wanted)
{
	size_t n = m->n_messages > 0 ? m->n_messages : m->health.n;
	json_t *message;
	const char *id;

	tap_int((long long)n, (long long)json_object_size(wanted), "messages");
	json_object_foreach((json_t *)wanted, id, message)
		tap_ok(has_message(m, message), "message %s", id);
}

static bool
ranges_equal(const struct filter_range *a, const struct filter_range *b)
{
	return addr_equal(&a->first, &b->first) && addr_equal(&a->last, &b->last);
}

static bool
grants_equal(const struct filter_rule *a, const struct filter_rule *b)
{
	if (a->n_grants != b->n_grants)
		return false;
	for (size_t i = 0; i < a->n_grants; i++) {
		const struct filter_grant *x = &a->grants[i], *y = &b->grants[i];

		if (x->n_dsts != y->n_dsts || x->n_caps != y->n_caps ||
			(x->n_caps > 0 && strcmp(x->caps[0].name, y->caps[0].name) != 0))
			return false;
	}
	return true;
}

static bool
rules_equal(const struct filter_rule *a, const struct filter_rule *b)
{
	if (a->n_srcs != b->n_srcs || a->n_dsts != b->n_dsts || a->n_src_caps != b->n_src_caps ||
		memcmp(a->protocols, b->protocols, sizeof(a->protocols)) != 0)
		return false;
	for (size_t i = 0; i < a->n_srcs; i++)
		if (!ranges_equal(&a->srcs[i], &b->srcs[i]))
			return false;
	for (size_t i = 0; i < a->n_dsts; i++)
		if (!ranges_equal(&a->dsts[i].addrs, &b->dsts[i].addrs) ||
			a->dsts[i].first_port != b->dsts[i].first_port ||
			a->dsts[i].last_port != b->dsts[i].last_port)
			return false;
	return grants_equal(a, b);
}

static void
check_filter(const struct netmap *m, const json_t *wanted)
{
	struct filter_rules joined = {}, rules = {};
	size_t same = 0;

	if (filter_chunks_join(&m->filter, &joined) != 0 ||
		filter_rules_parse(wanted, &rules) != 0) {
		tap_ok(false, "rules of the filter");
		return;
	}
	for (size_t i = 0; i < joined.n && i < rules.n; i++)
		same += rules_equal(&joined.rules[i], &rules.rules[i]);
	tap_ok(joined.n == rules.n && same == rules.n, "%zu rules, %zu wanted, %zu equal", joined.n,
		rules.n, same);
	filter_chunks_release(&joined);
	filter_rules_fini(&rules);
}

static void
check_map(const struct netmap *m, const json_t *wanted)
{
	check_node(m->self, json_object_get(wanted, "SelfNode"), "self");
	check_peers(m, json_object_get(wanted, "Peers"));
	check_derp_map(m->derp_map, json_object_get(wanted, "DERPMap"));
	check_dns(m->dns, json_object_get(wanted, "DNS"));
	check_users(m, json_object_get(wanted, "UserProfiles"));
	check_messages(m, json_object_get(wanted, "DisplayMessages"));
	check_filter(m, json_object_get(wanted, "PacketFilterRules"));
	tap_text(m->domain != NULL ? m->domain : "",
		json_string_value(json_object_get(wanted, "Domain")), "domain");
	tap_int(m->collects_services, json_is_true(json_object_get(wanted, "CollectServices")),
		"services are collected");
	tap_int(netmap_is_locked(m), json_is_true(json_object_get(wanted, "TKAEnabled")), "lock");
}

// ---------- what was reported as changed ----------

static const struct {
	const char *member;
	uint32_t field;
} node_fields[] = {
	{ "StableID", NODE_STABLE_ID },
	{ "Name", NODE_NAME },
	{ "User", NODE_USER },
	{ "Key", NODE_KEY },
	{ "KeyExpiry", NODE_KEY_EXPIRY },
	{ "KeySignature", NODE_KEY_SIGNATURE },
	{ "DiscoKey", NODE_DISCO_KEY },
	{ "Addresses", NODE_ADDRESSES },
	{ "AllowedIPs", NODE_ALLOWED_IPS },
	{ "Endpoints", NODE_ENDPOINTS },
	{ "HomeDERP", NODE_HOME_REGION },
	{ "Hostinfo", NODE_HOSTINFO },
	{ "Created", NODE_CREATED },
	{ "Cap", NODE_CAPVER },
	{ "Tags", NODE_TAGS },
	{ "PrimaryRoutes", NODE_PRIMARY_ROUTES },
	{ "LastSeen", NODE_LAST_SEEN },
	{ "Online", NODE_ONLINE },
	{ "MachineAuthorized", NODE_AUTHORIZED },
	{ "CapMap", NODE_CAPABILITIES },
};

static bool
differs(const json_t *a, const json_t *b, const char *member)
{
	const json_t *x = json_object_get(a, member), *y = json_object_get(b, member);

	return x == NULL || y == NULL ? x != y : !json_equal(x, y);
}

static uint32_t
fields_of(const json_t *before, const json_t *after)
{
	uint32_t fields = 0;

	for (size_t i = 0; i < COUNT(node_fields); i++)
		if (differs(before, after, node_fields[i].member))
			fields |= node_fields[i].field;
	return fields;
}

static const json_t *
peer_of(const json_t *netmap, int64_t id)
{
	const json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(netmap, "Peers"), i,
		peer) if (json_integer_value(json_object_get(peer, "ID")) == id) return peer;
	return NULL;
}

static const struct peer_change *
change_of(const struct netmap_changes *c, int64_t id)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].node->id == id)
			return &c->peers[i];
	return NULL;
}

static void
check_gone(const json_t *before, const json_t *after, const struct netmap_changes *c)
{
	const json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(before, "Peers"), i, peer)
	{
		int64_t id = json_integer_value(json_object_get(peer, "ID"));
		const struct peer_change *change = change_of(c, id);

		if (peer_of(after, id) != NULL)
			continue;
		if (tap_ok(change != NULL && change->fate == PEER_REMOVED, "removed"))
			check_node(change->node, peer, "as it last was");
	}
}

// Returns the number of changes that there should be.
static size_t
check_present(const json_t *before, const json_t *after, const struct netmap_changes *c)
{
	const json_t *peer;
	size_t i, n = 0;

	json_array_foreach(json_object_get(after, "Peers"), i, peer)
	{
		int64_t id = json_integer_value(json_object_get(peer, "ID"));
		const json_t *known = peer_of(before, id);
		const struct peer_change *change = change_of(c, id);
		uint32_t fields = known != NULL ? fields_of(known, peer) : NODE_ALL;

		if (known == NULL)
			tap_ok(change != NULL && change->fate == PEER_ADDED, "added");
		else if (fields == 0)
			tap_ok(change == NULL, "not changed, and not reported");
		else
			tap_ok(change != NULL && change->fate == PEER_CHANGED, "changed");
		if (change != NULL)
			tap_int(change->fields, fields, "in these fields");
		n += fields != 0;
	}
	return n;
}

static void
check_changes(const json_t *before, const json_t *after, const struct netmap_changes *c)
{
	static const struct {
		const char *member;
		uint32_t field;
	} fields[] = {
		{ "SelfNode", NETMAP_SELF },
		{ "DERPMap", NETMAP_DERP_MAP },
		{ "DNS", NETMAP_DNS },
		{ "PacketFilterRules", NETMAP_FILTER },
		{ "Domain", NETMAP_DOMAIN },
		{ "CollectServices", NETMAP_COLLECT_SERVICES },
		{ "TKAEnabled", NETMAP_LOCK },
	};
	size_t n = check_present(before, after, c);
	size_t gone = json_array_size(json_object_get(before, "Peers"));

	check_gone(before, after, c);
	for (size_t i = 0; i < json_array_size(json_object_get(after, "Peers")); i++) {
		const json_t *peer = json_array_get(json_object_get(after, "Peers"), i);

		gone -= peer_of(before, json_integer_value(json_object_get(peer, "ID"))) != NULL;
	}
	tap_int((long long)c->n_peers, (long long)(n + gone), "changes of peers");
	// A filter that is set to what it was is reported: it is not compared.
	for (size_t i = 0; i < COUNT(fields) && before != NULL; i++)
		if (differs(before, after, fields[i].member))
			tap_ok((c->fields & fields[i].field) != 0, "%s changed", fields[i].member);
		else if (fields[i].field != NETMAP_FILTER)
			tap_ok((c->fields & fields[i].field) == 0, "%s not", fields[i].member);
}

// ---------- sessions ----------

static struct instant now;

static int
apply_text(struct netmap *m, const char *text, struct netmap_changes *ret_changes)
{
	struct map_response r;
	int err = map_response_parse(text, strlen(text), &r);

	if (err < 0)
		return err;
	err = netmap_apply(m, &r, now, ret_changes);
	map_response_fini(&r);
	return err;
}

static int
append_text(void *context, const char *text, size_t len)
{
	return fwrite(text, 1, len, context) == len ? 0 : -EIO;
}

// The map written down and read again is the same map.
static void
check_written(const struct netmap *m, const json_t *wanted)
{
	struct netmap_changes changes = {};
	struct netmap again;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	netmap_init(&again, 2);
	tap_int(netmap_write(m, append_text, f), 0, "the map is written");
	fclose(f);
	if (tap_ok(apply_text(&again, text, &changes) == 0, "and read again"))
		check_map(&again, wanted);
	netmap_changes_fini(&changes);
	netmap_fini(&again);
	free(text);
}

static void
apply_step(struct netmap *m, const json_t *step, const json_t *before)
{
	char *text = json_dumps(json_object_get(step, "response"), JSON_COMPACT);
	const json_t *wanted = json_object_get(step, "netmap");
	struct netmap_changes changes = {};

	if (tap_ok(apply_text(m, text, &changes) == 0, "%s",
		    json_string_value(json_object_get(step, "note")))) {
		check_map(m, wanted);
		check_changes(before, wanted, &changes);
		check_written(m, wanted);
	}
	netmap_changes_fini(&changes);
	free(text);
}

static void
test_session(const json_t *session)
{
	const json_t *steps = json_object_get(session, "steps"), *before = NULL;
	struct netmap m;
	size_t i;
	json_t *step;

	netmap_init(&m, 1);
	json_array_foreach(steps, i, step)
	{
		simplify(json_object_get(step, "netmap"));
		apply_step(&m, step, before);
		before = json_object_get(step, "netmap");
	}
	// A new stream with the same first message, against what is left of the old one.
	netmap_begin_stream(&m);
	apply_step(&m, json_array_get(steps, 0), before);
	netmap_begin_stream(&m);
	apply_step(
		&m, json_array_get(steps, 0), json_object_get(json_array_get(steps, 0), "netmap"));
	netmap_fini(&m);
}

// ---------- what the sessions do not show ----------

#define SELF   "\"Node\":{\"ID\":1}"
#define KEY(x) "nodekey:" x "000000000000000000000000000000000000000000000000000000000000000"

static void
expect(struct netmap *m, const char *text, uint32_t fields, size_t n_peers, const char *what)
{
	struct netmap_changes c = {};

	tap_int(apply_text(m, text, &c), 0, what);
	tap_int(c.fields, fields, "fields of the map");
	tap_int((long long)c.n_peers, (long long)n_peers, "peers");
	netmap_changes_fini(&c);
}

static void
test_streams(void)
{
	static const char first[] = "{" SELF ",\"Peers\":[{\"ID\":2,\"Key\":\"" KEY(
		"2") "\"},{\"ID\":3}],"
		     "\"PacketFilters\":{\"base\":[]},\"DNSConfig\":{\"Proxied\":true},\"Domain\":"
		     "\"d\","
		     "\"UserProfiles\":[{\"ID\":5,\"LoginName\":\"x\"}]}";
	struct netmap_changes c = {};
	struct netmap m;

	netmap_init(&m, 7);
	tap_int(apply_text(&m, "{\"Peers\":[{\"ID\":2}]}", &c), ERR_BAD_FORMAT,
		"the first message has no Node");
	tap_int((long long)netmap_n_peers(&m), 0, "and changes nothing");
	tap_int(apply_text(&m, "{\"KeepAlive\":true}", &c), 0, "a keep-alive before it is fine");
	tap_ok(m.is_new_stream && !m.filter.has_any, "and is not the first message");
	expect(&m, first, NETMAP_SELF | NETMAP_FILTER | NETMAP_DNS | NETMAP_DOMAIN | NETMAP_USERS,
		2, "the first message");
	expect(&m, "{\"PacketFilters\":{\"base\":[]}}", 0, 0, "its filter, word for word");
	expect(&m, "{\"PacketFilters\":{\"x\":[]}}", NETMAP_FILTER, 0, "another filter");
	expect(&m, "{\"PacketFilters\":{\"x\":[]}}", 0, 0, "repeated word for word");
	netmap_begin_stream(&m);
	expect(&m, "{" SELF ",\"PacketFilters\":{\"x\":[]}}",
		NETMAP_FILTER | NETMAP_DNS | NETMAP_DOMAIN | NETMAP_USERS, 2,
		"the last filter begins a new stream");
	tap_int((long long)m.filter.n, 1, "what came before it is gone");
	netmap_begin_stream(&m);
	expect(&m, first, NETMAP_FILTER | NETMAP_DNS | NETMAP_DOMAIN | NETMAP_USERS, 2,
		"a new stream");
	netmap_begin_stream(&m);
	expect(&m, first, NETMAP_USERS, 0, "and another");
	netmap_begin_stream(&m);
	tap_int(apply_text(&m, "{}", &c), ERR_BAD_FORMAT, "a new stream without Node");
	tap_int((long long)netmap_n_peers(&m), 2, "leaves the map");
	expect(&m, "{" SELF "}", NETMAP_FILTER | NETMAP_DNS | NETMAP_DOMAIN | NETMAP_USERS, 2,
		"a new stream with nothing but Node");
	tap_ok(netmap_n_peers(&m) == 0 && !m.filter.has_any && m.dns == NULL, "empties the map");
	netmap_fini(&m);
}

static void
test_bad_filter(void)
{
	struct netmap_changes c = {};
	struct netmap m;

	netmap_init(&m, 7);
	expect(&m, "{" SELF ",\"Peers\":[{\"ID\":2}],\"PacketFilters\":{\"base\":[]}}",
		NETMAP_SELF | NETMAP_FILTER, 1, "a map");
	tap_int(apply_text(&m,
			"{\"PeersRemoved\":[2],\"Domain\":\"x\",\"PacketFilters\":{\"a\":5}}", &c),
		ERR_BAD_FORMAT, "a filter that is none");
	tap_ok(netmap_n_peers(&m) == 1 && netmap_find_id(&m, 2) != NULL && m.domain == NULL,
		"and nothing of its message is applied");
	netmap_begin_stream(&m);
	tap_int(apply_text(&m, "{" SELF ",\"PacketFilter\":{}}", &c), ERR_BAD_FORMAT, "nor here");
	tap_ok(netmap_n_peers(&m) == 1 && m.filter.has_any, "the map stays");
	netmap_fini(&m);
}

static void
test_keys(void)
{
	struct node_key one, two, zero = {};
	struct netmap_changes c = {};
	struct netmap m;

	netmap_init(&m, 3);
	memset(&one, 0, sizeof(one));
	one.bytes[0] = 0x10;
	two = one;
	two.bytes[0] = 0x20;
	expect(&m, "{" SELF ",\"Peers\":[{\"ID\":2,\"Key\":\"" KEY("1") "\"},{\"ID\":3}]}",
		NETMAP_SELF, 2, "two peers");
	tap_ok(netmap_find_key(&m, &one)->id == 2, "found by key");
	tap_ok(netmap_find_key(&m, &zero) == NULL, "zeros are nobody's key");
	tap_int(apply_text(&m, "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Key\":\"" KEY("2") "\"}]}",
			&c),
		0, "another key");
	tap_ok(c.n_peers == 1 && node_key_equal(&c.peers[0].old_key, &one) &&
			c.peers[0].fields == NODE_KEY,
		"the old one is reported");
	netmap_changes_fini(&c);
	tap_ok(netmap_find_key(&m, &one) == NULL && netmap_find_key(&m, &two)->id == 2,
		"and not found any more");
	expect(&m, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Key\":\"" KEY("1") "\"}]}", 0, 1,
		"a peer gets its first key by a patch");
	tap_ok(netmap_find_key(&m, &one)->id == 3, "found");
	expect(&m, "{\"PeersRemoved\":[3],\"PeersChanged\":[{\"ID\":4,\"Key\":\"" KEY("1") "\"}]}",
		0, 2, "a key moves from a removed peer to a new one");
	tap_ok(netmap_find_key(&m, &one)->id == 4, "found there");
	expect(&m, "{\"PeersChanged\":[{\"ID\":5,\"Key\":\"" KEY("1") "\"}]}", 0, 1,
		"two peers claim one key");
	tap_ok(netmap_find_key(&m, &one)->id == 5, "the latest has it");
	expect(&m, "{\"PeersRemoved\":[4]}", 0, 1, "the other one goes");
	tap_ok(netmap_find_key(&m, &one)->id == 5, "the latest still has it");
	netmap_fini(&m);
}

static void
test_removed_and_added(void)
{
	struct netmap_changes c = {};
	struct netmap m;

	netmap_init(&m, 3);
	expect(&m, "{" SELF ",\"Peers\":[{\"ID\":2,\"Name\":\"a\"},{\"ID\":2,\"Name\":\"b\"}]}",
		NETMAP_SELF, 1, "a peer twice in a list");
	tap_text(netmap_find_id(&m, 2)->name, "b", "the last counts");
	tap_int(apply_text(&m,
			"{\"PeersRemoved\":[2,2],\"PeersChanged\":[{\"ID\":2,\"Name\":\"c\"}]}",
			&c),
		0, "removed, and there again with another name");
	tap_ok(c.n_peers == 1 && c.peers[0].fate == PEER_CHANGED && c.peers[0].fields == NODE_NAME,
		"is a change of its name");
	netmap_changes_fini(&c);
	expect(&m, "{\"PeersChanged\":[{\"ID\":2,\"Name\":\"c\"}]}", 0, 0,
		"the same node again is no change");
	expect(&m, "{\"PeersRemoved\":[2],\"PeersChanged\":[{\"ID\":2,\"Name\":\"c\"}]}", 0, 1,
		"removed, and there again as it was: lost, as with the reference");
	tap_int((long long)netmap_n_peers(&m), 0, "nobody left");
	netmap_fini(&m);
}

// An empty list in a changed entry is not the same as none.
static void
test_clearing_endpoints(void)
{
	struct netmap m;

	netmap_init(&m, 3);
	expect(&m, "{" SELF ",\"Peers\":[{\"ID\":2,\"Endpoints\":[\"192.0.2.1:5\"]}]}", NETMAP_SELF,
		1, "an endpoint");
	expect(&m, "{\"PeersChanged\":[{\"ID\":2}]}", 0, 0, "omitted: no change");
	tap_int((long long)netmap_find_id(&m, 2)->endpoints.n, 1, "it stays");
	expect(&m, "{\"PeersChanged\":[{\"ID\":2,\"Endpoints\":[]}]}", 0, 1, "empty");
	tap_int((long long)netmap_find_id(&m, 2)->endpoints.n, 0, "it goes");
	netmap_fini(&m);
}

static void
test_limits(void)
{
	size_t room = 64 + (NETMAP_MAX_MESSAGES + 1) * 16;
	char *text = malloc(room);
	struct netmap_changes c = {};
	struct netmap m;
	size_t at;

	netmap_init(&m, 3);
	expect(&m, "{" SELF "}", NETMAP_SELF, 0, "a map");
	at = (size_t)snprintf(text, room, "{\"DisplayMessages\":{");
	for (int i = 0; i <= NETMAP_MAX_MESSAGES; i++)
		at += (size_t)snprintf(text + at, room - at, "%s\"%d\":{}", i > 0 ? "," : "", i);
	snprintf(text + at, room - at, "}}");
	tap_int(apply_text(&m, text, &c), -E2BIG, "too many messages");
	tap_int((long long)m.n_messages, 0, "none is kept");
	netmap_fini(&m);
	free(text);
}

#define SEEN(x) "\"LastSeen\":\"2026-03-01T00:00:0" x "Z\""
#define DISCO(x)                     \
	"\"DiscoKey\":\"discokey:" x \
	"000000000000000000000000000000000000000000000000000000000000000\""

// Rows on one peer; `fields`: what each changes in it.
static void
test_quirks(void)
{
	static const struct {
		const char *text;
		uint32_t fields;
		const char *what;
	} rows[] = {
		{ "{\"PeersChanged\":[{\"ID\":2," DISCO("1") ",\"Online\":true," SEEN("1") "}]}",
			NODE_DISCO_KEY, "Online and LastSeen that were unknown stay so" },
		{ "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Online\":true," SEEN("5") "}]}",
			NODE_ONLINE | NODE_LAST_SEEN, "unless a patch says them" },
		{ "{\"PeersChanged\":[{\"ID\":2," DISCO("1") "}]}", 0, "they do not get unknown" },
		{ "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Online\":false," SEEN("5") "," DISCO(
			  "2") "}]}",
			0, "a disco key from when the peer was last seen is stale" },
		{ "{\"PeersChangedPatch\":[{\"NodeID\":2,\"Online\":false," SEEN("6") "," DISCO(
			  "2") "}]}",
			NODE_DISCO_KEY | NODE_ONLINE | NODE_LAST_SEEN, "a second later it is not" },
		{ "{\"Peers\":[{\"ID\":2," DISCO("3") "," SEEN("6") "}]}", NODE_ONLINE,
			"in a full list only the key is refused" },
		{ "{\"Peers\":[{\"ID\":2," DISCO("3") "," SEEN("7") "}]}",
			NODE_DISCO_KEY | NODE_LAST_SEEN, "unless it is later" },
		{ "{\"Peers\":[{\"ID\":2," DISCO("4") ",\"Online\":true}]}",
			NODE_DISCO_KEY | NODE_ONLINE | NODE_LAST_SEEN, "or the peer online" },
	};
	struct netmap m;

	netmap_init(&m, 3);
	expect(&m, "{" SELF ",\"Peers\":[{\"ID\":2}]}", NETMAP_SELF, 1, "a peer");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct netmap_changes c = {};

		tap_int(apply_text(&m, rows[i].text, &c), 0, rows[i].what);
		tap_int(c.n_peers > 0 ? c.peers[0].fields : 0, rows[i].fields, "its fields");
		netmap_changes_fini(&c);
	}
	netmap_fini(&m);
}

// Peers that get their keys later than themselves: there is room for all of them.
static void
test_late_keys(void)
{
	char text[256];
	struct netmap m;
	size_t found = 0;

	netmap_init(&m, 3);
	expect(&m, "{" SELF "}", NETMAP_SELF, 0, "a map");
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "{\"PeersChanged\":[{\"ID\":%u}]}", i);
		expect(&m, text, 0, 1, "a peer without a key");
	}
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text),
			"{\"PeersChangedPatch\":[{\"NodeID\":%u,\"Key\":\"nodekey:%064x\"}]}", i,
			i + 1);
		expect(&m, text, 0, 1, "gets one");
	}
	for (size_t i = 0; i < netmap_n_peers(&m); i++)
		found += netmap_find_key(&m, &netmap_peer(&m, i)->key) == netmap_peer(&m, i);
	tap_int((long long)found, 100, "all are found");
	netmap_fini(&m);
}

static char *
read_file(const char *folder, const char *name)
{
	char path[4096], *text = calloc(1, 256 * 1024);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "r");
	if (file == NULL || text == NULL || fread(text, 1, 256 * 1024 - 1, file) == 0)
		tap_ok(false, "%s can be read", name);
	if (file != NULL)
		fclose(file);
	return text;
}

// What a real server said to a gateway: the map from its first message, and what each one changes.
static void
test_recorded(const char *folder)
{
	static const struct {
		const char *name;
		uint32_t fields;
		size_t n_peers;
		uint32_t node_fields; // of the first peer that changed
	} rows[] = {
		{ "10-gw-full-map-under-strict-policy.gw.03.response.json",
			NETMAP_SELF | NETMAP_DERP_MAP | NETMAP_DNS | NETMAP_FILTER | NETMAP_USERS |
				NETMAP_DOMAIN,
			2, NODE_ALL },
		{ "10-gw-full-map-under-strict-policy.gw.07.response.json", 0, 0, 0 },
		{ "12-dns-records-change.gw.01.response.json", NETMAP_DNS, 0, 0 },
		{ "13-c2-is-renamed.gw.01.response.json", 0, 1, NODE_NAME | NODE_USER | NODE_TAGS },
		{ "15-c2-is-deleted.gw.01.response.json", NETMAP_FILTER, 1, 0 },
		{ "16-keep-alive.gw.01.response.json", 0, 0, 0 },
		{ "17-c1-expires.gw.01.response.json", 0, 1,
			NODE_EXPIRED | NODE_AUTHORIZED | NODE_KEY_EXPIRY },
		{ "17-c1-expires.gw.02.response.json", 0, 0, 0 },
	};
	struct netmap m;

	netmap_init(&m, 9);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct netmap_changes c = {};
		char *text = read_file(folder, rows[i].name);

		tap_int(apply_text(&m, text, &c), 0, rows[i].name);
		tap_int(c.fields, rows[i].fields, "fields of the map");
		tap_int((long long)c.n_peers, (long long)rows[i].n_peers, "peers");
		tap_int(c.n_peers > 0 ? c.peers[0].fields : 0, rows[i].node_fields, "its fields");
		netmap_changes_fini(&c);
		free(text);
	}
	netmap_fini(&m);
}

// ---------- ten thousand peers ----------

#define MANY 10000

static size_t
write_peer(char *at, size_t room, unsigned id)
{
	return (size_t)snprintf(at, room,
		"{\"ID\":%u,\"StableID\":\"nSw%08uCNTRL\",\"Name\":\"host-%u.tail1234.ts.net.\","
		"\"User\":%u,\"Key\":\"nodekey:%064x\",\"DiscoKey\":\"discokey:%064x\","
		"\"Addresses\":[\"100.%u.%u.%u/32\",\"fd7a:115c:a1e0::%x/128\"],"
		"\"Endpoints\":[\"198.51.100.%u:41641\",\"192.168.1.%u:41641\","
		"\"[2001:db8::%x]:41641\"],\"HomeDERP\":%u,\"Hostinfo\":{\"OS\":\"linux\","
		"\"Hostname\":\"host-%u\",\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":40001},"
		"{\"Proto\":\"peerapi6\",\"Port\":40001}]},\"Created\":\"2026-01-01T00:00:00Z\","
		"\"Cap\":138,\"Online\":true,\"Tags\":[\"tag:server\"],\"CapMap\":{"
		"\"https://tailscale.com/cap/file-sharing-target\":null}},",
		id, id, id, id % 100 + 1, id, id + 100000, 64 + (id >> 16 & 63), id >> 8 & 255,
		id & 255, id & 0xffff, id & 255, id & 255, id & 0xffff, id % 20 + 1, id);
}

static char *
make_full(unsigned n)
{
	size_t room = 256 + n * (size_t)1200, at;
	char *text = malloc(room);

	at = (size_t)snprintf(text, room, "{" SELF ",\"Peers\":[");
	for (unsigned i = 0; i < n; i++)
		at += write_peer(text + at, room - at, i + 2);
	snprintf(text + at - 1, room - at + 1, "]}");
	return text;
}

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

// The shortest time of one delta: a patch of one peer, or a peer that goes and comes.
static int64_t
time_delta(struct netmap *m, unsigned n, bool is_patch)
{
	int64_t best = INT64_MAX;
	char text[2048];

	for (unsigned i = 0; i < 400; i++) {
		unsigned id = 2 + i * 7919 % n;
		struct netmap_changes c = {};
		int64_t begin;
		size_t len = 0;

		if (is_patch)
			snprintf(text, sizeof(text),
				"{\"PeersChangedPatch\":[{\"NodeID\":%u,\"DERPRegion\":%u}]}", id,
				30 + i);
		else
			len = (size_t)snprintf(text, sizeof(text),
				"{\"PeersRemoved\":[%u],\"PeersChanged\":[", id);
		if (!is_patch) {
			// Another ID each time: one peer goes, a new one comes.
			len += write_peer(text + len, sizeof(text) - len, 1000000 + i);
			snprintf(text + len - 1, sizeof(text) - len + 1, "]}");
		}
		begin = cpu_ns();
		if (apply_text(m, text, &c) != 0)
			tap_ok(false, "a delta");
		best = cpu_ns() - begin < best ? cpu_ns() - begin : best;
		netmap_changes_fini(&c);
	}
	return best;
}

static void
measure(unsigned n, int64_t ret_delta_ns[2])
{
	char *text = make_full(n);
	struct netmap_changes c = {};
	size_t before = mallinfo2().uordblks;
	int64_t begin = cpu_ns(), full_ns;
	struct netmap m;

	netmap_init(&m, 42);
	tap_int(apply_text(&m, text, &c), 0, "a full map");
	full_ns = cpu_ns() - begin;
	netmap_changes_fini(&c);
	tap_int((long long)netmap_n_peers(&m), n, "of that many peers");
	printf("# %u peers: %.0f bytes of JSON, %.0f of memory each; full map %.1f ms\n", n,
		(double)strlen(text) / n, (double)(mallinfo2().uordblks - before) / n,
		(double)full_ns / 1e6);
	netmap_begin_stream(&m);
	begin = cpu_ns();
	tap_int(apply_text(&m, text, &c), 0, "the same again on a new stream");
	tap_int((long long)c.n_peers, 0, "changes nothing");
	printf("# the same as a new stream: %.1f ms\n", (double)(cpu_ns() - begin) / 1e6);
	netmap_changes_fini(&c);
	ret_delta_ns[0] = time_delta(&m, n, true);
	ret_delta_ns[1] = time_delta(&m, n, false);
	printf("# a patch %.1f us, a peer for another %.1f us\n", (double)ret_delta_ns[0] / 1e3,
		(double)ret_delta_ns[1] / 1e3);
	netmap_fini(&m);
	free(text);
}

static void
test_many(void)
{
	int64_t few[2], many[2];

	measure(1000, few);
	measure(MANY, many);
	// Caches make some difference; a walk over all peers would make one of ten.
	tap_ok(many[0] < 4 * few[0] + 2000, "a patch costs the same among ten times as many peers");
	tap_ok(many[1] < 4 * few[1] + 2000, "and so does a peer for another");
}

int
main(int argc, char **argv)
{
	json_t *root = argc > 1 ? json_load_file(argv[1], 0, NULL) : NULL;
	const json_t *sessions = json_object_get(root, "sessions");
	const char *time_text = json_string_value(json_object_get(root, "now"));

	tap_int((long long)json_array_size(sessions), 5, "sessions");
	if (time_text == NULL || instant_parse(time_text, strlen(time_text), &now) != 0)
		tap_ok(false, "the time of the sessions");
	for (size_t i = 0; i < json_array_size(sessions); i++)
		test_session(json_array_get(sessions, i));
	json_decref(root);
	if (argc > 2)
		test_recorded(argv[2]);
	test_streams();
	test_bad_filter();
	test_keys();
	test_removed_and_added();
	test_clearing_endpoints();
	test_quirks();
	test_late_keys();
	test_limits();
	test_many();
	return tap_done();
}
