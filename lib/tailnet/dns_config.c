/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/dns_config.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/json_span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
routes_fini(struct dns_config *dns)
{
	for (size_t i = 0; i < dns->n_routes; i++) {
		free(dns->routes[i].suffix);
		resolvers_fini(&dns->routes[i].resolvers);
	}
	free(dns->routes);
	dns->routes = NULL;
	dns->n_routes = 0;
}

static int
decode_routes(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct dns_config *dns = into;
	json_t *resolvers;
	const char *suffix;
	int err;

	routes_fini(dns);
	if (!json_is_object(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(json_object_size(value), sizeof(*dns->routes), budget, &dns->routes);
	if (err < 0)
		return err;
	json_object_foreach((json_t *)value, suffix, resolvers)
	{
		struct dns_route *route = &dns->routes[dns->n_routes];

		if (err == 0)
			err = json_allocate(strlen(suffix) + 1, 1, budget, &route->suffix);
		if (err < 0)
			return err;
		memcpy(route->suffix, suffix, strlen(suffix) + 1);
		dns->n_routes++;
		if (!json_is_null(resolvers))
			err = json_decode_resolvers(resolvers, &route->resolvers, budget);
	}
	return err;
}

static const struct json_member record_members[] = {
	{ "Name", json_decode_text, offsetof(struct dns_record, name) },
	{ "Type", json_decode_text, offsetof(struct dns_record, type) },
	{ "Value", json_decode_text, offsetof(struct dns_record, value) },
};

static void
records_fini(struct dns_config *dns)
{
	for (size_t i = 0; i < dns->n_records; i++) {
		free(dns->records[i].name);
		free(dns->records[i].type);
		free(dns->records[i].value);
	}
	free(dns->records);
	dns->records = NULL;
	dns->n_records = 0;
}

static int
decode_records(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct dns_config *dns = into;
	size_t n = json_array_size(value);
	int err;

	records_fini(dns);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*dns->records), budget, &dns->records);
	for (size_t i = 0; i < n && err == 0; i++)
		err = json_decode_members(json_array_get(value, i), record_members,
			COUNT(record_members), &dns->records[dns->n_records++], budget);
	return err;
}

static const struct json_member members[] = {
	{ "Resolvers", json_decode_resolvers, offsetof(struct dns_config, resolvers) },
	{ "FallbackResolvers", json_decode_resolvers,
		offsetof(struct dns_config, fallback_resolvers) },
	{ "Routes", decode_routes, 0 },
	{ "Domains", json_decode_texts, offsetof(struct dns_config, search_domains) },
	{ "Proxied", json_decode_bool, offsetof(struct dns_config, is_magic) },
	{ "CertDomains", json_decode_texts, offsetof(struct dns_config, cert_domains) },
	{ "ExtraRecords", decode_records, 0 },
	{ "ExitNodeFilteredSet", json_decode_texts,
		offsetof(struct dns_config, exit_node_filtered) },
};

int
dns_config_decode_new(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct dns_config **dns = into;
	int err;

	dns_config_destroy(*dns);
	err = json_allocate(1, sizeof(**dns), budget, dns);
	if (err < 0)
		return err;
	(*dns)->digest = json_object_size(value) > 0 ? json_digest_tree(value) : 0;
	return json_decode_members(value, members, COUNT(members), *dns, budget);
}

void
dns_config_destroy(struct dns_config *dns)
{
	if (dns == NULL)
		return;
	resolvers_fini(&dns->resolvers);
	resolvers_fini(&dns->fallback_resolvers);
	routes_fini(dns);
	texts_fini(&dns->search_domains);
	records_fini(dns);
	texts_fini(&dns->cert_domains);
	texts_fini(&dns->exit_node_filtered);
	free(dns);
}
