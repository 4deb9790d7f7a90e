/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The relays of a tailnet, by region.
 *
 * Source: ../shared/protocol/control.md 5.9, and 5.6 for what an omitted member keeps.
 * Owner:  derp_map_destroy() frees all of it.
 */
#ifndef LIB_TAILNET_DERP_MAP_H
#define LIB_TAILNET_DERP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tailnet/json_decode.h"

#define DERP_DEFAULT_STUN_PORT 3478
#define DERP_DEFAULT_DERP_PORT 443

struct derp_node {
	char *name;
	int32_t region_id;
	char *host_name;
	char *cert_name; /* NULL or "": host_name; may be "sha256-raw:" and hex */
	char *ipv4;      /* NULL or "": by DNS; no address: this family is not to be used */
	char *ipv6;
	int32_t stun_port; /* 0: DERP_DEFAULT_STUN_PORT; below: no STUN */
	int32_t derp_port; /* 0: DERP_DEFAULT_DERP_PORT */
	bool is_stun_only;
	bool can_port80;
	bool is_insecure; /* InsecureForTests: no certificate check */
	char *stun_test_ip;
};

struct derp_region {
	int32_t id;
	char *code, *name;
	double latitude, longitude;
	bool is_avoided;         /* deprecated: do not choose as home */
	bool is_without_measure; /* NoMeasureNoHome */
	struct derp_node *nodes;
	size_t n_nodes;
};

struct derp_score { /* factor for a region's latency, above 0 */
	int32_t region_id;
	double factor;
};

struct derp_map {
	struct derp_region *regions; /* ascending by id */
	size_t n_regions;
	bool has_regions; /* "Regions" was there, perhaps empty: it replaces the known ones */
	struct derp_score *scores;
	size_t n_scores;
	bool has_home_params, has_scores; /* likewise */
	bool omits_default_regions;
	uint64_t regions_digest, scores_digest; /* equal: the same */
};

json_decoder derp_map_decode_new;            /* struct derp_map * */
void derp_map_destroy(struct derp_map *map); /* NULL is allowed */

/*
 * What `next` says after `last` (NULL: nothing is known): members that next omits are moved over
 * from last, which may then only be destroyed.  Cannot fail.
 */
void derp_map_inherit(struct derp_map *next, struct derp_map *last);

/* A map of its own with the same content.  0, or -ENOMEM. */
[[nodiscard]] int derp_map_copy(const struct derp_map *map, struct derp_map **ret_copy);

/* Both may be NULL. */
bool derp_map_equal(const struct derp_map *a, const struct derp_map *b);

/* The region of that number, or NULL. */
const struct derp_region *derp_map_find(const struct derp_map *map, int32_t region_id);

/* The factor of a region's latency: 1 unless the map says otherwise. */
double derp_map_score(const struct derp_map *map, int32_t region_id);

#endif
