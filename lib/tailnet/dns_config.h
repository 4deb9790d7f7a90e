/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a tailnet says about names.
 *
 * Source: ../shared/protocol/control.md 5.10.
 * Owner:  dns_config_destroy() frees all of it.
 */
#ifndef LIB_TAILNET_DNS_CONFIG_H
#define LIB_TAILNET_DNS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tailnet/json_decode.h"
#include "lib/tailnet/lists.h"

struct dns_route {
	char *suffix;               /* with or without a trailing dot */
	struct resolvers resolvers; /* none: answer from the map, or say that it does not exist */
};

struct dns_record { /* "" and A or AAAA are types that mean something; the value is an address */
	char *name, *type, *value;
};

struct dns_config {
	struct resolvers resolvers;          /* for everything not routed */
	struct resolvers fallback_resolvers; /* only if we must be the host's resolver */
	struct dns_route *routes;
	size_t n_routes;
	struct texts search_domains; /* "Domains" */
	bool is_magic;               /* "Proxied": MagicDNS is on */
	struct dns_record *records;  /* "ExtraRecords" */
	size_t n_records;
	struct texts cert_domains;
	struct texts exit_node_filtered; /* names that an exit node must refuse */
	uint64_t digest;                 /* equal: the same; 0: an empty one */
};

json_decoder dns_config_decode_new;              /* struct dns_config * */
void dns_config_destroy(struct dns_config *dns); /* NULL is allowed */

#endif
