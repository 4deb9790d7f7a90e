/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Handshakes with all peers: what a datagram, an event of the data plane or the passing of time
 * leads to.  Reads and writes the shared memory through publish/dataplane.h; sends datagrams and
 * asks for the wall clock through the caller, so that tests run it with a fake clock and no socket.
 *
 *     datagram       -> receive.c -> respond.c (initiation), initiate.c (response, cookie reply)
 *     event          -> events.c
 *     time           -> step.c    -> initiate.c
 *     configuration  -> wanted.c
 *
 * Source: WireGuard whitepaper sections 5.4 and 6; docs/shm-abi.md, "Sessions", "Activity".
 * Owner:  embedded in the wire thread's state.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_HANDSHAKE_ENGINE_H
#define CONTROLPLANE_GATEWAY_HANDSHAKE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/handshake/deadlines.h"
#include "controlplane/gateway/handshake/load.h"
#include "controlplane/gateway/handshake/slots.h"
#include "controlplane/gateway/peers.h"
#include "controlplane/gateway/publish/dataplane.h"
#include "controlplane/gateway/publish/desired.h"
#include "controlplane/gateway/publish/rows.h"

/* A UDP payload, or what a relay brought; borrowed for the call, which may write into it. */
struct datagram {
	struct endpoint remote; /* through a relay: 127.3.3.40 and the region as port */
	struct addr local;      /* which of our addresses it came to; ADDR_NONE: not known */
	const struct public_key *relayed_from; /* who sent it, as the relay says; NULL: by UDP */
	uint8_t *data;
	size_t len;
};

struct engine_calls {
	/* local ADDR_NONE: any of our addresses.  relayed_to: through the relay that remote names,
	   to this node; NULL: by UDP. */
	void (*send)(void *context,
		const struct endpoint *remote,
		const struct addr *local,
		const struct public_key *relayed_to,
		const uint8_t *data,
		size_t len);
	/* To a member of the tailnet, by the ways that disco has found.  May be NULL without
	 * members. */
	void (*send_to_member)(void *context, uint32_t peer, const uint8_t *data, size_t len);
	/* The last packet to a member left then; said about once a second while packets leave. */
	void (*member_active)(void *context, uint32_t peer, struct mono last_tx);
	/* A peer whose endpoint is a name does not answer, or its name is not resolved yet. */
	void (*resolve)(void *context, const struct public_key *key);
	uint64_t (*wall_ns)(void *context); /* Unix time */
	void *context;
};

struct engine_counters {
	uint64_t initiations_in, initiations_out; /* accepted; sent */
	uint64_t responses_in, responses_out;
	uint64_t cookies_in, cookies_out;
	uint64_t malformed, bad_mac1, rate_limited;
	uint64_t not_authentic, unknown_peer, replayed, too_fast, unknown_index;
	uint64_t no_slot, refused, injected;
};

struct engine {
	struct wg_identity *identity; /* secret memory */
	struct peers peers;
	struct slots slots;
	struct load load;
	struct deadlines deadlines;
	struct wg_cookie_secret cookie_secret;
	struct secret_pool pendings;
	struct dataplane *dp; /* borrowed */
	struct engine_calls calls;
	struct engine_counters counters;
	uint64_t random_state; /* of the jitter: not a secret */
	bool has_identity;
	bool stamps_changed;  /* since engine_stamps() */
	uint32_t scan_at;     /* the scan that is under way goes on here */
	struct mono scan_due; /* next scan of the stamps begins */
	uint32_t n_scans;
	uint64_t known_boot; /* of the keeper that `slots` is about; 0: none yet */
};

/* 0 or -ENOMEM.  dp is borrowed until engine_fini(). */
[[nodiscard]] int
engine_init(struct engine *e, struct dataplane *dp, const struct engine_calls *calls);
void engine_fini(struct engine *e);

/*
 * A data plane was joined.  The first time, what its memory says is taken over: numbers of peers,
 * slots in use, notes.  With another keeper than before all sessions are forgotten, and peers that
 * had one in the last 180 s will be asked for a new one as soon as they are published.
 * Returns how many sessions were lost.
 */
size_t engine_attached(struct engine *e, struct mono now);

/*
 * Take over what shall be (borrowed for the call).  After engine_attached(), for peers to get the
 * numbers that the data plane knows them by.  Peers that are not mentioned are LEAVING.
 * Returns 0; ERR_FULL or -ENOMEM if some could not be added.
 */
[[nodiscard]] int
engine_take_desired(struct engine *e, const struct desired *desired, struct mono now);
/* The rows that say this, with the prefixes that belong to the host.  NULL: no memory. */
struct rows *engine_rows(const struct engine *e,
	const struct desired *desired,
	const struct prefix *exceptions,
	size_t n_exceptions);
/* The data plane has these rows: peers in them may shake hands, others that were leaving are gone.
 */
void engine_published(struct engine *e, const struct rows *rows, struct mono now);
/* The path of a peer, for its row; false: none. */
bool engine_path(const struct engine *e, uint32_t peer, struct shm_path *ret_path);

/* Where packets of a member go from now on: remote ADDR_NONE: nowhere directly; by relay (also). */
void engine_set_member_path(struct engine *e,
	uint32_t peer,
	const struct endpoint *remote,
	const struct addr *local,
	bool relay);
/*
 * Forget the sessions with a member, which has started anew.  One that was just heard may have made
 * its session before the map told that it is another now: it is asked for one more, else it goes on
 * with that for a while.
 */
void engine_reset_sessions(struct engine *e, uint32_t peer, struct mono now);

/* A configured name was resolved; ADDR_NONE: it could not be. */
void engine_endpoint_resolved(struct engine *e,
	const struct public_key *key,
	const struct endpoint *endpoint,
	struct mono now);

void engine_datagram(struct engine *e, const struct datagram *d, struct mono now);
/* SHM_EV_SESSION and what follows in the enumeration; others are ignored.  Any content is allowed.
 */
void engine_event(struct engine *e, const struct shm_event *event, struct mono now);
/* Do what is due; returns when to come again at the latest. */
struct mono engine_tick(struct engine *e, struct mono now);

/* All timestamps, for the state file; malloc, the caller's.  NULL with 0: none, or no memory. */
struct peer_stamps *engine_stamps(struct engine *e, size_t *ret_n);

#endif
