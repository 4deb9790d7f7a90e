/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/netmap_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"

// What is being written, and where it goes.
struct writing {
	struct json_writer w;
	netmap_sink *sink;
	void *context;
	int err;
};

// Pass on what is there.
static void
flush(struct writing *writing)
{
	const char *text = "";
	size_t len = 0;
	int err = json_writer_finish(&writing->w, &text, &len);

	if (err == 0 && writing->err == 0)
		err = writing->sink(writing->context, text, len);
	if (err < 0 && writing->err == 0)
		writing->err = err;
	json_writer_continue(&writing->w);
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
write_true(struct json_writer *w, const char *name, bool value)
{
	if (value)
		json_write_bool(w, name, true);
}

static void
write_texts(struct json_writer *w, const char *name, const struct texts *t)
{
	json_write_open(w, name, '[');
	for (size_t i = 0; i < t->n; i++)
		json_write_text(w, NULL, t->at[i]);
	json_write_close(w, ']');
}

/* --- relays --- */

static void
write_derp_node(struct json_writer *w, const struct derp_node *node)
{
	json_write_open(w, NULL, '{');
	write_text(w, "Name", node->name);
	write_int(w, "RegionID", node->region_id);
	write_text(w, "HostName", node->host_name);
	write_text(w, "CertName", node->cert_name);
	write_text(w, "IPv4", node->ipv4);
	write_text(w, "IPv6", node->ipv6);
	write_int(w, "STUNPort", node->stun_port);
	write_int(w, "DERPPort", node->derp_port);
	write_true(w, "STUNOnly", node->is_stun_only);
	write_true(w, "InsecureForTests", node->is_insecure);
	write_true(w, "CanPort80", node->can_port80);
	write_text(w, "STUNTestIP", node->stun_test_ip);
	json_write_close(w, '}');
}

static void
write_region(struct json_writer *w, const struct derp_region *region)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", (int)region->id);
	json_write_open(w, name, '{');
	json_write_int(w, "RegionID", region->id);
	write_text(w, "RegionCode", region->code);
	write_text(w, "RegionName", region->name);
	json_write_double(w, "Latitude", region->latitude);
	json_write_double(w, "Longitude", region->longitude);
	write_true(w, "Avoid", region->is_avoided);
	write_true(w, "NoMeasureNoHome", region->is_without_measure);
	json_write_open(w, "Nodes", '[');
	for (size_t i = 0; i < region->n_nodes; i++)
		write_derp_node(w, &region->nodes[i]);
	json_write_close(w, ']');
	json_write_close(w, '}');
}

static void
write_home_params(struct json_writer *w, const struct derp_map *map)
{
	char name[16];

	json_write_open(w, "HomeParams", '{');
	if (map->has_scores) {
		json_write_open(w, "RegionScore", '{');
		for (size_t i = 0; i < map->n_scores; i++) {
			snprintf(name, sizeof(name), "%d", (int)map->scores[i].region_id);
			json_write_double(w, name, map->scores[i].factor);
		}
		json_write_close(w, '}');
	}
	json_write_close(w, '}');
}

static void
write_derp_map(struct json_writer *w, const struct derp_map *map)
{
	if (map == NULL)
		return;
	json_write_open(w, "DERPMap", '{');
	if (map->has_regions) {
		json_write_open(w, "Regions", '{');
		for (size_t i = 0; i < map->n_regions; i++)
			write_region(w, &map->regions[i]);
		json_write_close(w, '}');
	}
	if (map->has_home_params)
		write_home_params(w, map);
	write_true(w, "omitDefaultRegions", map->omits_default_regions);
	json_write_close(w, '}');
}

/* --- names --- */

static void
write_routes(struct json_writer *w, const struct dns_config *dns)
{
	json_write_open(w, "Routes", '{');
	for (size_t i = 0; i < dns->n_routes; i++) {
		if (dns->routes[i].resolvers.n > 0)
			resolvers_write(w, dns->routes[i].suffix, &dns->routes[i].resolvers);
		else
			json_write_null(w, dns->routes[i].suffix);
	}
	json_write_close(w, '}');
}

static void
write_records(struct json_writer *w, const struct dns_config *dns)
{
	json_write_open(w, "ExtraRecords", '[');
	for (size_t i = 0; i < dns->n_records; i++) {
		json_write_open(w, NULL, '{');
		write_text(w, "Name", dns->records[i].name);
		write_text(w, "Type", dns->records[i].type);
		write_text(w, "Value", dns->records[i].value);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static void
write_dns(struct json_writer *w, const struct dns_config *dns)
{
	if (dns == NULL)
		return;
	json_write_open(w, "DNSConfig", '{');
	resolvers_write(w, "Resolvers", &dns->resolvers);
	resolvers_write(w, "FallbackResolvers", &dns->fallback_resolvers);
	write_routes(w, dns);
	write_texts(w, "Domains", &dns->search_domains);
	write_true(w, "Proxied", dns->is_magic);
	write_texts(w, "CertDomains", &dns->cert_domains);
	write_records(w, dns);
	write_texts(w, "ExitNodeFilteredSet", &dns->exit_node_filtered);
	json_write_close(w, '}');
}

/* --- the rest --- */

static int
compare_users(const void *a, const void *b)
{
	const struct user_profile *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

// By their numbers, so that the same map is the same text.
static const struct user_profile **
sorted_users(const struct netmap *m)
{
	const struct user_profile **users = calloc(m->users.n + 1, sizeof(users[0]));
	size_t n = 0;

	if (users == NULL)
		return NULL;
	for (size_t i = 0; i < m->users.n_slots; i++)
		if (m->users.slots[i].item != NULL)
			users[n++] = m->users.slots[i].item;
	qsort(users, n, sizeof(users[0]), compare_users);
	return users;
}

static void
write_users(struct writing *writing, const struct netmap *m)
{
	const struct user_profile **users = sorted_users(m);
	struct json_writer *w = &writing->w;

	if (users == NULL) {
		writing->err = -ENOMEM;
		return;
	}
	json_write_open(w, "UserProfiles", '[');
	for (size_t i = 0; i < m->users.n; i++) {
		json_write_open(w, NULL, '{');
		json_write_int(w, "ID", users[i]->id);
		write_text(w, "LoginName", users[i]->login_name);
		write_text(w, "DisplayName", users[i]->display_name);
		json_write_close(w, '}');
		flush(writing);
	}
	json_write_close(w, ']');
	free(users);
}

static void
write_filter(struct writing *writing, const struct filter_chunks *filter)
{
	struct json_writer *w = &writing->w;

	if (!filter->has_any)
		return;
	json_write_open(w, "PacketFilters", '{');
	if (filter->n == 0)
		json_write_null(w, "*"); // all were deleted: there is a filter, and it is empty
	for (size_t i = 0; i < filter->n; i++) {
		filter_rules_write(w, filter->chunks[i].name, &filter->chunks[i].rules);
		flush(writing);
	}
	json_write_close(w, '}');
}

static void
write_health(struct json_writer *w, const struct netmap *m)
{
	if (m->health.n > 0)
		write_texts(w, "Health", &m->health);
	if (m->n_messages == 0)
		return;
	json_write_open(w, "DisplayMessages", '{');
	for (size_t i = 0; i < m->n_messages; i++) {
		const struct display_message *message = &m->messages[i];

		json_write_open(w, message->id, '{');
		write_text(w, "Title", message->title);
		write_text(w, "Text", message->text);
		write_text(w, "Severity", message->severity);
		write_true(w, "ImpactsConnectivity", message->impacts_connectivity);
		json_write_close(w, '}');
	}
	json_write_close(w, '}');
}

static void
write_lock(struct json_writer *w, const struct lock_info *lock)
{
	if (lock == NULL)
		return;
	json_write_open(w, "TKAInfo", '{');
	write_text(w, "Head", lock->head);
	write_true(w, "Disabled", lock->is_disabled);
	json_write_close(w, '}');
}

static void
write_peers(struct writing *writing, const struct netmap *m)
{
	json_write_open(&writing->w, "Peers", '[');
	for (size_t i = 0; i < netmap_n_peers(m) && writing->err == 0; i++) {
		node_write(&writing->w, NULL, netmap_peer(m, i));
		flush(writing);
	}
	json_write_close(&writing->w, ']');
}

int
netmap_write(const struct netmap *m, netmap_sink *sink, void *context)
{
	struct writing writing = { .sink = sink, .context = context };
	struct json_writer *w = &writing.w;

	if (m->self == NULL)
		return ERR_BAD_FORMAT;
	json_write_open(w, NULL, '{');
	node_write(w, "Node", m->self);
	write_derp_map(w, m->derp_map);
	write_dns(w, m->dns);
	write_text(w, "Domain", m->domain);
	json_write_bool(w, "CollectServices", m->collects_services);
	write_health(w, m);
	write_lock(w, m->lock);
	write_users(&writing, m);
	write_filter(&writing, &m->filter);
	write_peers(&writing, m);
	json_write_close(w, '}');
	flush(&writing);
	json_writer_fini(w);
	return writing.err;
}
