/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One `struct paths` on a stage: what it sends is opened and kept for the test to look at, the
 * clock stands still until the test moves it, and the test speaks disco in the roles of its peers.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_STAGE_H
#define TESTS_UNIT_CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_STAGE_H

#include "controlplane/gateway/traversal/paths/paths.h"
#include "lib/traversal/disco.h"
#include "lib/traversal/path.h"

#define STAGE_MAX_SENT 4096
#define STAGE_HOME     7 /* home region of the peers */

struct sent { /* what left, and what it says if it is disco for an actor of ours */
	bool relayed;
	struct endpoint to;
	struct addr local;
	uint16_t region;
	struct public_key to_node;
	size_t len;
	bool is_disco;
	enum disco_type type;
	uint8_t txid[DISCO_TXID_LEN];
	struct public_key node_key;
	struct endpoint source; /* of a pong */
	size_t n_endpoints;
};

struct actor { /* a peer that the test plays */
	struct public_key node_key;
	struct secret_key disco_secret;
	struct public_key disco_key;
	struct box_key box; /* shared with the stage's own key */
};

struct stage {
	struct paths *paths;
	struct mono now;
	struct public_key node_key, disco_key;
	struct secret_key disco_secret;
	struct actor *actors; /* whose boxes can be opened */
	size_t n_actors;
	struct sent sent[STAGE_MAX_SENT];
	size_t n_sent;
	struct paths_choice choice; /* told last */
	uint32_t chosen_peer;
	unsigned n_chosen, n_reset, n_pong;
	struct paths_pong pong;
	uint64_t token;
	struct endpoint own[4];
	size_t n_own;
	bool own_stale, udp_broken;
	unsigned n_own_asked;
	uint64_t random_state;
};

extern struct stage stage;

/* Begin with nobody.  secret: our disco key, NULL: any. */
void stage_open(const struct secret_key *secret);
void stage_close(void);
void stage_actor(
	struct actor *actor); /* fresh keys; known from now on, valid until stage_close() */
struct endpoint stage_endpoint(const char *text);

/* The actor as a peer with this number: disco, home STAGE_HOME, endpoints as texts up to NULL. */
void stage_set(uint32_t number, const struct actor *actor, const char *const *endpoints);
/* The actor speaks. from NULL: through the relay `STAGE_HOME`. */
void stage_say(const struct actor *actor, const struct disco_message *m, const char *from);
void stage_ping(const struct actor *actor, uint8_t txid, const char *from);
/* It answers a ping of ours, over UDP from where it was sent, or over the relay. */
void stage_answer(const struct actor *actor, const struct sent *ping);
void stage_call_me_maybe(const struct actor *actor, const char *const *endpoints);
/* Let time pass, with all that is due in it. */
void stage_pass(int64_t ns);
/* Forget what was sent. */
void stage_clear(void);
/* The first sent of a kind since; NULL: none.  to NULL: anywhere. */
const struct sent *stage_find(enum disco_type type, const char *to);
unsigned stage_count(enum disco_type type, const char *to);

/* --- what was chosen --- */

bool stage_is_direct(const char *to); /* only */
bool stage_is_both(const char *to);   /* directly and by the relay STAGE_HOME */
bool stage_is_relayed(void);          /* only */
bool stage_is_nowhere(void);

/* --- what often happens --- */

/* A packet left for the peer just now. */
void stage_traffic(uint32_t peer);
struct paths_counters stage_counters(void);
/* Open, with the actor as peer 1, and a direct path by the first of its endpoints, of 20 ms. */
void stage_open_direct(struct actor *actor, const char *const *endpoints);

#endif
