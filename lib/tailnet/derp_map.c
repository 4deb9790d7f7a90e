/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/derp_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/tailnet/json_span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct json_member node_members[] = {
	{ "Name", json_decode_text, offsetof(struct derp_node, name) },
	{ "RegionID", json_decode_int32, offsetof(struct derp_node, region_id) },
	{ "HostName", json_decode_text, offsetof(struct derp_node, host_name) },
	{ "CertName", json_decode_text, offsetof(struct derp_node, cert_name) },
	{ "IPv4", json_decode_text, offsetof(struct derp_node, ipv4) },
	{ "IPv6", json_decode_text, offsetof(struct derp_node, ipv6) },
	{ "STUNPort", json_decode_int32, offsetof(struct derp_node, stun_port) },
	{ "STUNOnly", json_decode_bool, offsetof(struct derp_node, is_stun_only) },
	{ "DERPPort", json_decode_int32, offsetof(struct derp_node, derp_port) },
	{ "InsecureForTests", json_decode_bool, offsetof(struct derp_node, is_insecure) },
	{ "STUNTestIP", json_decode_text, offsetof(struct derp_node, stun_test_ip) },
	{ "CanPort80", json_decode_bool, offsetof(struct derp_node, can_port80) },
};

static void
nodes_fini(struct derp_region *region)
{
	for (size_t i = 0; i < region->n_nodes; i++) {
		struct derp_node *node = &region->nodes[i];

		free(node->name);
		free(node->host_name);
		free(node->cert_name);
		free(node->ipv4);
		free(node->ipv6);
		free(node->stun_test_ip);
	}
	free(region->nodes);
	region->nodes = NULL;
	region->n_nodes = 0;
}

static int
decode_nodes(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct derp_region *region = into;
	size_t n = json_array_size(value);
	int err;

	nodes_fini(region);
	if (!json_is_array(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(n, sizeof(*region->nodes), budget, &region->nodes);
	for (size_t i = 0; i < n && err == 0; i++) {
		const json_t *element = json_array_get(value, i);

		if (!json_is_null(element))
			err = json_decode_members(element, node_members, COUNT(node_members),
				&region->nodes[region->n_nodes++], budget);
	}
	return err;
}

static const struct json_member region_members[] = {
	{ "RegionID", json_decode_int32, offsetof(struct derp_region, id) },
	{ "RegionCode", json_decode_text, offsetof(struct derp_region, code) },
	{ "RegionName", json_decode_text, offsetof(struct derp_region, name) },
	{ "Latitude", json_decode_double, offsetof(struct derp_region, latitude) },
	{ "Longitude", json_decode_double, offsetof(struct derp_region, longitude) },
	{ "Avoid", json_decode_bool, offsetof(struct derp_region, is_avoided) },
	{ "NoMeasureNoHome", json_decode_bool, offsetof(struct derp_region, is_without_measure) },
	{ "Nodes", decode_nodes, 0 },
};

static void
regions_fini(struct derp_map *map)
{
	for (size_t i = 0; i < map->n_regions; i++) {
		nodes_fini(&map->regions[i]);
		free(map->regions[i].code);
		free(map->regions[i].name);
	}
	free(map->regions);
	map->regions = NULL;
	map->n_regions = 0;
}

// The name of a member as a region's number.
static int
parse_region_id(const char *name, int32_t *ret_id)
{
	int64_t id;

	if (json_parse_id(name, &id) < 0 || id < INT32_MIN || id > INT32_MAX)
		return ERR_BAD_FORMAT;
	*ret_id = (int32_t)id;
	return 0;
}

static int
compare_regions(const void *a, const void *b)
{
	int32_t x = ((const struct derp_region *)a)->id, y = ((const struct derp_region *)b)->id;

	return (x > y) - (x < y);
}

static int
decode_regions(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct derp_map *map = into;
	json_t *region;
	const char *name;
	int err;

	regions_fini(map);
	map->has_regions = true;
	if (!json_is_object(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(json_object_size(value), sizeof(*map->regions), budget, &map->regions);
	if (err < 0)
		return err;
	json_object_foreach((json_t *)value, name, region)
	{
		struct derp_region *r = &map->regions[map->n_regions];
		int32_t id = 0;

		if (err == 0)
			err = parse_region_id(name, &id);
		if (err < 0)
			return err;
		if (json_is_null(region)) // seen from real servers
			continue;
		map->n_regions++;
		err = json_decode_members(region, region_members, COUNT(region_members), r, budget);
		r->id = id; // the name is what a look-up uses
	}
	if (err == 0 && map->n_regions > 1)
		qsort(map->regions, map->n_regions, sizeof(*map->regions), compare_regions);
	map->regions_digest = json_digest_tree(value);
	return err;
}

static int
decode_scores(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct derp_map *map = into;
	json_t *factor;
	const char *name;
	int err;

	free(map->scores);
	map->n_scores = 0;
	map->scores = NULL;
	map->has_scores = true;
	if (!json_is_object(value))
		return ERR_BAD_FORMAT;
	err = json_allocate(json_object_size(value), sizeof(*map->scores), budget, &map->scores);
	if (err < 0)
		return err;
	json_object_foreach((json_t *)value, name, factor)
	{
		struct derp_score *score = &map->scores[map->n_scores];

		err = parse_region_id(name, &score->region_id);
		if (err == 0 && !json_is_null(factor))
			err = json_decode_double(factor, &score->factor, budget);
		if (err < 0)
			return err;
		map->n_scores++;
	}
	map->scores_digest = json_object_size(value) > 0 ? json_digest_tree(value) : 0;
	return err;
}

static const struct json_member home_members[] = {
	{ "RegionScore", decode_scores, 0 },
};

static int
decode_home_params(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct derp_map *map = into;

	map->has_home_params = true;
	return json_decode_members(value, home_members, COUNT(home_members), map, budget);
}

static const struct json_member map_members[] = {
	{ "Regions", decode_regions, 0 },
	{ "HomeParams", decode_home_params, 0 },
	{ "omitDefaultRegions", json_decode_bool,
		offsetof(struct derp_map, omits_default_regions) },
};

int
derp_map_decode_new(const struct json_t *value, void *into, struct json_budget *budget)
{
	struct derp_map **map = into;
	int err;

	derp_map_destroy(*map);
	err = json_allocate(1, sizeof(**map), budget, map);
	return err < 0 ? err
	               : json_decode_members(value, map_members, COUNT(map_members), *map, budget);
}

void
derp_map_destroy(struct derp_map *map)
{
	if (map == NULL)
		return;
	regions_fini(map);
	free(map->scores);
	free(map);
}

void
derp_map_inherit(struct derp_map *next, struct derp_map *last)
{
	if (last == NULL)
		return;
	if (!next->has_regions) {
		next->regions = last->regions;
		next->n_regions = last->n_regions;
		next->has_regions = last->has_regions;
		next->regions_digest = last->regions_digest;
		next->omits_default_regions = last->omits_default_regions;
		last->regions = NULL;
		last->n_regions = 0;
	}
	if (!next->has_scores) {
		next->scores = last->scores;
		next->n_scores = last->n_scores;
		next->has_scores = last->has_scores;
		next->scores_digest = last->scores_digest;
		next->has_home_params |= last->has_home_params;
		last->scores = NULL;
		last->n_scores = 0;
	}
}

// *text is the original's and becomes our own.  False: out of memory, and *text is NULL.
static bool
own_text(char **text)
{
	if (*text == NULL)
		return true;
	*text = strdup(*text);
	return *text != NULL;
}

// As own_text() for an array that need not be there.
static bool
own_array(void *array, size_t n, size_t item_bytes)
{
	void *from, *own = NULL;

	memcpy(&from, array, sizeof(from));
	if (n > 0) {
		own = malloc(n * item_bytes);
		if (own != NULL)
			memcpy(own, from, n * item_bytes);
	}
	memcpy(array, &own, sizeof(own));
	return n == 0 || own != NULL;
}

// Every text becomes our own or NULL, so that what failed half way can be destroyed.
static bool
own_node(struct derp_node *node)
{
	bool ok = own_text(&node->name);

	ok &= own_text(&node->host_name);
	ok &= own_text(&node->cert_name);
	ok &= own_text(&node->ipv4);
	ok &= own_text(&node->ipv6);
	return ok & own_text(&node->stun_test_ip);
}

static bool
own_region(struct derp_region *region)
{
	bool ok = own_text(&region->code);

	ok &= own_text(&region->name);
	if (!own_array(&region->nodes, region->n_nodes, sizeof(*region->nodes))) {
		region->n_nodes = 0;
		return false;
	}
	for (size_t i = 0; i < region->n_nodes; i++)
		ok &= own_node(&region->nodes[i]);
	return ok;
}

int
derp_map_copy(const struct derp_map *map, struct derp_map **ret_copy)
{
	struct derp_map *copy = malloc(sizeof(*copy));
	bool ok = true;

	if (copy == NULL)
		return -ENOMEM;
	*copy = *map;
	if (!own_array(&copy->regions, copy->n_regions, sizeof(*copy->regions))) {
		copy->n_regions = 0;
		ok = false;
	}
	for (size_t i = 0; i < copy->n_regions; i++)
		ok &= own_region(&copy->regions[i]);
	if (!own_array(&copy->scores, copy->n_scores, sizeof(*copy->scores))) {
		copy->n_scores = 0;
		ok = false;
	}
	if (!ok) {
		derp_map_destroy(copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

bool
derp_map_equal(const struct derp_map *a, const struct derp_map *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->has_regions == b->has_regions && a->regions_digest == b->regions_digest &&
	       a->scores_digest == b->scores_digest &&
	       a->omits_default_regions == b->omits_default_regions;
}

static int
compare_region_id(const void *id, const void *region)
{
	int32_t x = *(const int32_t *)id, y = ((const struct derp_region *)region)->id;

	return (x > y) - (x < y);
}

const struct derp_region *
derp_map_find(const struct derp_map *map, int32_t region_id)
{
	if (map->n_regions == 0)
		return NULL;
	return bsearch(
		&region_id, map->regions, map->n_regions, sizeof(*map->regions), compare_region_id);
}

double
derp_map_score(const struct derp_map *map, int32_t region_id)
{
	for (size_t i = 0; i < map->n_scores; i++)
		if (map->scores[i].region_id == region_id && map->scores[i].factor > 0)
			return map->scores[i].factor;
	return 1;
}
