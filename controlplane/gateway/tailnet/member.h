/* SPDX-License-Identifier: BSD-3-Clause
 *
 * This gateway as a member of a tailnet: joining it, leaving it, and following its map.
 *
 *     coord_client/   what the server says             -> netmap (lib/tailnet)
 *     roster.h        netmap -> what shall be          -> calls.wish
 *     filter.h        netmap -> the packet filter
 *     store.h         keys and settings on disk; map_cache.h: the last map
 *     hostinfo.h      what we say of ourselves
 *     ../peer_api/    what other members ask us
 *
 * Owner:  one, made by coord when the configuration has no `wireguard:` section.  Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_MEMBER_H
#define CONTROLPLANE_GATEWAY_TAILNET_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "config/gateway.h"
#include "controlplane/gateway/api/listen.h"
#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/publish/desired.h"
#include "controlplane/gateway/snapshot.h"
#include "controlplane/gateway/state_file.h"
#include "controlplane/gateway/traversal/facts.h"
#include "lib/base/clock.h"

struct member;
struct surroundings;

struct member_calls {
	/* Another state shall be; owned by the callee.  Numbered: member_settled() follows. */
	uint64_t (*wish)(void *context, struct desired *desired);
	/* Addresses or routes of the host shall be others: member_host(). */
	void (*host)(void *context);
	/* Ask the thread `wire`: member_take_pong() and member_take_facts() follow. */
	void (*ping)(void *context, uint64_t token, const struct public_key *node, size_t size);
	/* The same by TSMP, to an address of its in the tailnet. */
	void (*ping_inside)(void *context, uint64_t token, const struct addr *to);
	void (*netcheck)(void *context);
	void (*paths)(void *context, uint64_t token); /* member_take_paths() follows */
	/* Whether packets are being moved: a data plane is attached and has what it was told. */
	bool (*is_alive)(void *context);
	void *context;
};

struct member_setup {
	const char *state_dir, *config_path;
	const struct config_gateway *config; /* until member_take_config() */
	const struct state_file *stamps;
	struct api *api; /* answers go there */
	struct member_calls calls;
};

/* All pointers are borrowed for the member's life.  Errors are said in the log.  0 or -errno. */
[[nodiscard]] int
member_create(const struct member_setup *setup, struct mono now, struct member **ret_member);
void member_destroy(struct member *m);

/* Begin: with what was last known, and with the server if we are to be connected. */
void member_start(struct member *m, struct mono now);

/* For epoll: readable when member_dispatch() has something to do. */
int member_fd(const struct member *m);
/* Do what is ready and due; returns when to come again. */
struct mono member_dispatch(struct member *m, struct mono now);

/* Another configuration is in force. */
void member_take_config(struct member *m, const struct config_gateway *config, struct mono now);
/* From the thread `wire`.  facts are owned by the callee. */
void member_take_facts(struct member *m, struct traversal_facts *facts, struct mono now);
/* peer_api_port: of who answers, as TSMP tells it; else 0. */
void member_take_pong(struct member *m,
	uint64_t token,
	const struct paths_pong *pong,
	uint16_t peer_api_port,
	struct mono now);
/* views are borrowed. */
void member_take_paths(struct member *m,
	uint64_t token,
	const struct path_view *views,
	size_t n,
	struct mono now);
/* The data plane has what that wish said (value 0), or refused it. */
void member_settled(struct member *m, uint64_t number, int value, struct mono now);

/*
 * The network around us is another: what we are connected to ourselves is not accepted from others.
 * One more reference is taken.  May call calls.wish.
 */
void member_take_network(struct member *m, struct network *network, struct mono now);

/* What the host shall be like; pointers are valid until the next call of a member_ function. */
void member_host(struct member *m, struct host_desired *ret_desired);

/* A line of a client.  True: it is about the tailnet, and answered, now or later. */
bool member_request(struct member *m, uint32_t client, const json_t *request, struct mono now);
/*
 * The node key of the machine that the request's "target" names, by address, name or key.  False:
 * there is none, and the client was told.
 */
[[nodiscard]] bool member_find_target(struct member *m,
	uint32_t client,
	const json_t *request,
	struct mono now,
	struct public_key *ret_key);
/* The object "tailnet" of the status; snapshot NULL: without peers. */
json_t *
member_status(struct member *m, const struct snapshot *snapshot, const struct surroundings *around);

#endif
