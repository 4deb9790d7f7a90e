/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A relay map and its copy, which outlives it.
 */

#include "lib/tailnet/derp_map.h"

#include <string.h>

#include <jansson.h>

#include "tests/lib/tap.h"

static const char text[] =
	"{\"Regions\":{"
	"\"900\":{\"RegionID\":900,\"RegionCode\":\"lab\",\"RegionName\":\"Lab\",\"Latitude\":1.5,"
	"\"Nodes\":[{\"Name\":\"900a\",\"RegionID\":900,\"HostName\":\"derp.example\",\"CertName\":"
	"\"sha256-raw:00\",\"IPv4\":\"192.0.2.1\",\"IPv6\":\"none\",\"STUNPort\":-1,\"DERPPort\":"
        "8443,"
	"\"InsecureForTests\":true,\"STUNTestIP\":\"192.0.2.2\",\"CanPort80\":true},"
	"{\"Name\":\"900b\",\"HostName\":\"b.example\",\"STUNOnly\":true}]},"
	"\"7\":{\"RegionCode\":\"bare\",\"NoMeasureNoHome\":true}},"
	"\"HomeParams\":{\"RegionScore\":{\"900\":0.5}},\"omitDefaultRegions\":true}";

static struct derp_map *
decode(const char *json)
{
	struct json_budget budget = { JSON_MESSAGE_BUDGET };
	struct derp_map *map = NULL;
	json_t *tree = json_loads(json, 0, NULL);

	if (tree == NULL || derp_map_decode_new(tree, &map, &budget) < 0)
		tap_ok(false, "the map of this test is read");
	json_decref(tree);
	return map;
}

static void
check_full_copy(void)
{
	struct derp_map *map = decode(text), *copy = NULL;
	const struct derp_region *region;
	const struct derp_node *node;

	tap_int(derp_map_copy(map, &copy), 0, "a map is copied");
	tap_ok(derp_map_equal(map, copy), "the copy is equal");
	tap_ok(map->regions != copy->regions &&
			map->regions[1].nodes[0].host_name != copy->regions[1].nodes[0].host_name,
		"and shares no memory with it");
	derp_map_destroy(map);

	tap_int((long long)copy->n_regions, 2, "regions");
	region = derp_map_find(copy, 7);
	tap_ok(region != NULL && region->n_nodes == 0 && region->nodes == NULL &&
			region->name == NULL && region->is_without_measure,
		"a region without nodes has none in the copy");
	tap_text(region != NULL ? region->code : "", "bare", "its code");
	region = derp_map_find(copy, 900);
	if (!tap_ok(region != NULL && region->n_nodes == 2, "the region with two nodes"))
		return;
	tap_text(region->name, "Lab", "its name");
	tap_ok(region->latitude == 1.5, "its place");
	node = &region->nodes[0];
	tap_text(node->name, "900a", "node");
	tap_text(node->host_name, "derp.example", "host name");
	tap_text(node->cert_name, "sha256-raw:00", "certificate's name");
	tap_text(node->ipv4, "192.0.2.1", "IPv4");
	tap_text(node->ipv6, "none", "IPv6");
	tap_text(node->stun_test_ip, "192.0.2.2", "test address");
	tap_ok(node->is_insecure && node->can_port80 && node->derp_port == 8443 &&
			node->stun_port == -1,
		"what is no text");
	tap_ok(region->nodes[1].is_stun_only && region->nodes[1].cert_name == NULL,
		"the second node");
	tap_ok(derp_map_score(copy, 900) == 0.5, "the factor of a region");
	derp_map_destroy(copy);
}

static void
check_empty_copy(void)
{
	struct derp_map *map = decode("{}"), *copy = NULL;

	tap_int(derp_map_copy(map, &copy), 0, "an empty map is copied");
	tap_ok(derp_map_equal(map, copy) && copy->n_regions == 0 && copy->regions == NULL,
		"and is empty");
	derp_map_destroy(map);
	derp_map_destroy(copy);
}

int
main(void)
{
	check_full_copy();
	check_empty_copy();
	return tap_done();
}
