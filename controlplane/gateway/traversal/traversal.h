/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How packets reach the other members of the tailnet.  This is where the parts meet, none of which
 * knows another:
 *
 *     paths/         which way to each member: disco
 *     relay/         connections with relays (DERP)
 *     netcheck/      what network we are in: STUN, the home relay, our own endpoints
 *     port_mapping/  a port of the router's
 *
 * Owner:  embedded in nothing: one, made by wire.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_TRAVERSAL_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_TRAVERSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/publish/desired.h"
#include "controlplane/gateway/traversal/facts.h"
#include "controlplane/gateway/traversal/paths/paths.h"
#include "lib/base/clock.h"
#include "lib/net/addr.h"

struct traversal;

/* How a datagram came. */
struct traversal_source {
	struct endpoint remote; /* through a relay: 127.3.3.40 and the region as port */
	struct addr local;      /* ADDR_NONE: not known */
	const struct public_key *relayed_from; /* NULL: by UDP */
};

struct traversal_calls {
	/* From the WireGuard port.  False: it cannot be sent now. */
	bool (*send_udp)(void *context,
		const struct endpoint *remote,
		const struct addr *local,
		const uint8_t *data,
		size_t len);
	/* Where packets of a member go from now on; remote ADDR_NONE: nowhere directly. */
	void (*set_path)(void *context,
		uint32_t peer,
		const struct endpoint *remote,
		const struct addr *local,
		bool relay);
	void (*reset_sessions)(void *context, uint32_t peer);
	/* A relay brought a WireGuard message. */
	void (*relayed)(void *context,
		const struct traversal_source *source,
		uint8_t *data,
		size_t len);
	/* What we are to tell the server has changed; owned by the callee. */
	void (*facts)(void *context, struct traversal_facts *facts);
	/* A ping that was asked for is answered, or will not be. */
	void (*pong)(void *context, uint64_t token, const struct paths_pong *pong);
	void *context;
};

/* calls are copied.  0, -ENOMEM, -errno. */
[[nodiscard]] int traversal_create(const struct traversal_calls *calls,
	struct traversal **ret_traversal);
void traversal_destroy(struct traversal *t);

/* For epoll: readable when traversal_dispatch() has something to do. */
int traversal_fd(const struct traversal *t);

/* Who we are, and what relays there are.  NULL: not a member (any more): everything ends. */
void traversal_take_self(struct traversal *t,
	const struct desired_self *self,
	const struct secret_key *node_key,
	struct mono now);
/* A member, with the endpoints that the map knows of it. */
void traversal_take_peer(struct traversal *t,
	uint32_t number,
	const struct desired_peer *peer,
	const struct endpoint *endpoints,
	struct mono now);
void traversal_drop_peer(struct traversal *t, uint32_t number);
/* What a predecessor used; in_doubt: beside a relay. */
void traversal_adopt_path(struct traversal *t,
	uint32_t number,
	const struct endpoint *remote,
	const struct addr *local,
	bool in_doubt,
	struct mono now);

/* A datagram.  True: it was disco or STUN, and is dealt with; false: WireGuard's.  May be changed.
 */
bool traversal_datagram(struct traversal *t,
	const struct traversal_source *source,
	uint8_t *data,
	size_t len,
	struct mono now);
/* A handshake message for a member: by the ways that count now. */
void traversal_send(struct traversal *t,
	uint32_t number,
	const uint8_t *data,
	size_t len,
	struct mono now);
/* To a node through the relay of a region: an answer to what came that way. */
void traversal_send_relayed(struct traversal *t,
	uint16_t region,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now);
/* A sealed packet that the data plane wants relayed. */
void traversal_relay_packet(struct traversal *t,
	uint32_t number,
	const uint8_t *data,
	size_t len,
	struct mono now);
/* The last packet to a member left then. */
void traversal_active(struct traversal *t, uint32_t number, struct mono last_tx, struct mono now);

/* Addresses of the host have changed, or the sockets are others. */
void traversal_network_changed(struct traversal *t, struct mono now);

/* Ask a member for a pong by disco; the answer has the token. */
void
traversal_ping(struct traversal *t, uint32_t number, uint64_t token, size_t size, struct mono now);
/* Look at the network now; facts follow even if nothing has changed. */
void traversal_netcheck(struct traversal *t, struct mono now);

/* All that is known of the ways to a member; false: it is none. */
bool traversal_view(const struct traversal *t, uint32_t number, struct path_view *ret_view);
/* Of a member, for the status; false: it is none. */
bool traversal_path(const struct traversal *t, uint32_t number, struct paths_state *ret_state);

/* Do what is ready and due; returns when to come again.  Ends with traversal_flush(). */
struct mono traversal_dispatch(struct traversal *t, struct mono now);
/* What was handed to relays in this round goes out. */
void traversal_flush(struct traversal *t);

#endif
