/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway's handshake engine between a data plane (fake) and stock peers made of lib/wg alone,
 * with a fake clock and no socket.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_HANDSHAKE_SITE_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_HANDSHAKE_SITE_H

#include "controlplane/gateway/handshake/engine.h"
#include "controlplane/gateway/publish/publisher.h"
#include "tests/unit/controlplane/gateway/fake_forwarder.h"

#define SITE_MAX_SENT 2048

struct sent {
	struct endpoint remote;
	struct addr local;
	struct public_key relayed_to; /* zeros: by UDP */
	uint8_t data[256];
	size_t len;
};

/* A control plane; `fake` outlives it. */
struct gateway {
	struct fake_forwarder *f;
	struct dataplane dp;
	struct publisher publisher;
	struct engine engine;
	struct mono now;
	uint64_t wall;
	struct sent sent[SITE_MAX_SENT];
	size_t n_sent, n_read;
	unsigned n_resolve;
	unsigned n_to_members, n_active; /* messages; times that activity was told */
	uint32_t last_member;
	uint64_t applied;
};

struct stock_peer {
	struct wg_identity identity;
	struct wg_remote gateway;
	struct wg_handshake pending;
	struct wg_tai64n timestamp;
	struct wg_held_cookie cookie;
	struct wg_session_keys keys;
	struct endpoint at;
	struct secret_key preshared_key;
	bool has_preshared_key;
};

struct secret_key site_key(uint8_t number); /* the same each time */

/* A control plane that starts: nothing is attached yet. */
void gateway_start(struct gateway *g, struct fake_forwarder *f);
/* It dies: nothing is said, memory is left as it is. */
void gateway_kill(struct gateway *g);
size_t gateway_attach(struct gateway *g);
/* What shall be: these peers, with what the state file knows (may be NULL). */
struct desired *site_desired(const struct stock_peer *peers,
	size_t n,
	bool with_endpoint,
	uint16_t keepalive_s,
	const struct state_file *state);
/* As members of a tailnet, whose paths disco finds. */
void site_make_members(struct desired *desired);
void gateway_take(struct gateway *g, const struct desired *desired);
/* Rings in both directions, without time passing. */
void gateway_talk(struct gateway *g);
/* Time passes, in steps in which everything due is done. */
void gateway_run(struct gateway *g, int64_t ns);
/* The next message that it sent, or NULL. */
const struct sent *gateway_read(struct gateway *g);
struct peer *gateway_peer(struct gateway *g, const struct stock_peer *p);

void stock_init(struct stock_peer *p, uint8_t number, const char *at);
void stock_initiate(struct stock_peer *p,
	uint64_t wall,
	uint32_t index,
	struct mono now,
	uint8_t message[WG_INITIATION_LEN]);
/* Deliver a message to the gateway, from where the peer is, to 198.18.0.2. */
void stock_deliver(struct stock_peer *p, struct gateway *g, const uint8_t *message, size_t len);
/* The same through a relay, which says that `from` has sent it. */
void stock_deliver_relayed(struct stock_peer *p,
	struct gateway *g,
	const struct public_key *from,
	const uint8_t *message,
	size_t len);
/* Take the gateway's response: 0 or the error. */
int stock_consume(struct stock_peer *p, const struct sent *s);
/* Answer the gateway's initiation; the response is written to `response`.  0 or the error. */
int stock_respond(struct stock_peer *p,
	const struct sent *s,
	uint32_t index,
	uint8_t response[WG_RESPONSE_LEN]);

/* The whole handshake, begun by the peer, up to the promoted session. */
bool site_shake(struct gateway *g, struct stock_peer *p, uint32_t index);

#endif
