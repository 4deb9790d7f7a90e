/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A network in process, with a fake clock: one host behind a NAT, STUN servers at some distance, a
 * line that loses and delays.  Streams are those of tests/lib/fake_stream.h; names are looked up
 * here.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_WORLD_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/own_endpoints.h"
#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/tailnet/derp_map.h"
#include "tests/lib/fake_stream.h"

#define WORLD_MAX_SERVERS 8
#define WORLD_PORT        41641 /* ours */

enum world_nat {
	WORLD_NO_NAT,
	WORLD_NAT_STABLE,    /* one outer port, whoever is asked */
	WORLD_NAT_SYMMETRIC, /* another one for each that is asked */
};

struct world_server {
	const char *name;       /* of its host */
	struct endpoint v4, v6; /* ADDR_NONE: none */
	int64_t rtt_ns;
	bool is_dead;
};

struct world_answer {
	struct mono at; /* never: the place is free */
	struct endpoint from;
	uint8_t data[64];
	size_t len;
};

struct lookup { /* as stream.h names it */
	bool is_used;
	char host[64];
	lookup_done done;
	void *context;
	struct mono at;
};

struct world {
	struct mono now;
	uint32_t random;
	struct stream_set *set;
	struct own_endpoints *own;
	struct world_server servers[WORLD_MAX_SERVERS];
	size_t n_servers;
	enum world_nat nat;
	struct addr inner_v4, inner_v6, outer_v4;
	uint16_t outer_port;
	bool blocks_udp, has_no_route_v6, is_silent_dns;
	unsigned loss_percent;
	int64_t jitter_ns;
	struct local_address local[8];
	size_t n_local;
	struct world_answer answers[1024];
	struct mono relay_heard; /* as own_endpoints asks */

	size_t n_sent, n_reports, n_changed, n_told; /* n_told: changed(true) */
	size_t sent_to[WORLD_MAX_SERVERS];
	struct netcheck_report report;
	size_t n_homes; /* how often the home was another one */
};

/* Servers are to be added, then world_map(). */
struct world *world_create(void);
void world_destroy(struct world *w);
struct world_server *
world_add(struct world *w, const char *name, const char *v4, const char *v6, int64_t rtt_ms);
/* A map with a region for each server, numbered from 1; addresses as literals or by name. */
void world_map(struct world *w, bool by_name);
void world_add_local(struct world *w, const char *interface, const char *prefix);
/* Let time pass. */
void world_run(struct world *w, int64_t ns);
/* Until a report has come, 20 s at most. */
bool world_look(struct world *w);
/* Whether the list has an endpoint with this text, and of which kind. */
enum endpoint_kind world_has(struct world *w, const char *endpoint);
size_t world_list_len(struct world *w);
struct endpoint world_endpoint(const char *text);

#endif
