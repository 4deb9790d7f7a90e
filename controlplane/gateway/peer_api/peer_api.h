/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The HTTP server on our own tailnet addresses, by which members talk to each other's daemons: it
 * says hello (which is what `tailscale ping --peerapi` asks for) and refuses all else as the
 * reference does.
 *
 * Source: ../shared/protocol/peer.md 6.1 and 6.2; RFC 9112 for the syntax.
 * Owner:  one, made by coord.  Thread: coord.
 *
 * Every member can connect, whatever the packet filter says, so all of it is bounded: clients,
 * clients from one address, bytes and seconds.  Each connection serves one request.
 */
#ifndef CONTROLPLANE_GATEWAY_PEER_API_PEER_API_H
#define CONTROLPLANE_GATEWAY_PEER_API_PEER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"

#define PEER_API_MAX_CLIENTS    32
#define PEER_API_MAX_PER_SOURCE 8
#define PEER_API_NAME_LEN       256 /* with its zero */

struct peer_api;

struct peer_api_caller {              /* who asks */
	char node[PEER_API_NAME_LEN]; /* its name in the tailnet */
	char user[PEER_API_NAME_LEN]; /* its user's name for people, or of its tags */
	bool is_self;                 /* has the same user as we */
};

struct peer_api_calls {
	/* The member with that address, copied to ret_caller; false: none, its connection ends. */
	bool (*caller)(void *context,
		const struct addr *source,
		struct peer_api_caller *ret_caller);
	/* A port has changed: peer_api_port() is to be told to the server and the data plane. */
	void (*changed)(void *context);
	void *context;
};

/* calls: copied.  0, -ENOMEM, -errno. */
[[nodiscard]] int peer_api_create(const struct peer_api_calls *calls, struct peer_api **ret_api);
/* Closes all.  NULL is allowed. */
void peer_api_destroy(struct peer_api *api);

/*
 * Our own addresses; NULL or ADDR_NONE: no such one.  The interface need not have them yet.  A
 * listener whose address stays is left alone, port and connections included; calls->changed comes
 * before this returns if a port is another, and later where listening has to be tried again.
 */
void peer_api_set_addresses(struct peer_api *api,
	const struct addr *v4,
	const struct addr *v6,
	struct mono now);
/* Where we listen for that family; 0: nowhere. */
uint16_t peer_api_port(const struct peer_api *api, enum addr_family family);

/* For epoll: readable when there is something to do. */
int peer_api_fd(const struct peer_api *api);
/* Do what is ready and due; returns when to come again, or never. */
struct mono peer_api_dispatch(struct peer_api *api, struct mono now);

#endif
