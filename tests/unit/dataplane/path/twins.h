/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two gateways in memory that are told the same and get the same packets: one remembers flows
 * (dataplane/table/flow_cache.h), the other does not and so is the judge of the first.
 *
 *     peers                                    links
 *     0  100.64.0.2, fd7a::2     gateway       0  192.168.77.1/24, fd77::1/64
 *     1  10.3.0.0/16, fd03::/16  100.64.0.1    1  192.168.87.1/24, fd87::1/64
 *     2  100.64.0.4              fd7a::1
 *
 * Behind 192.168.77.254 and fd77::fe are 192.168.78.0/24 and fd78::/64, and, by a route of 1,000
 * bytes, 192.168.79.0/24.  Known neighbours of both links are .5, .6, ::5 and ::6, with the link
 * number and that byte at the end of their link-layer address.  The tunnel's MTU is 1280, the
 * links' 1500.  There is no filter and no NAT at first.
 *
 * The time is the test's: CLOCK_BOOTTIME of the whole program stands still but for
 * twins_advance().
 */
#ifndef TESTS_UNIT_DATAPLANE_PATH_TWINS_H
#define TESTS_UNIT_DATAPLANE_PATH_TWINS_H

#include "dataplane/in_memory.h"

#define TWINS_PEERS 3u
#define TWINS_LINKS 2u
#define TWINS_MTU   1280

#define CACHED   0u /* of twins.both */
#define UNCACHED 1u

#define TWINS_MAX_OUT 1024u
#define TWINS_MAX_LEN 2048u

/* What left a gateway. */
struct twins_out {
	uint8_t place; /* 0 to 3: a link; 8 and more: a peer; TWINS_HOST */
	uint8_t mac[6];
	uint8_t ecn;   /* to a peer: of the outer header */
	uint64_t flow; /* of twins_mark(); else of all its bytes */
	uint32_t len;
	uint8_t data[TWINS_MAX_LEN]; /* an IP packet, opened if it was sealed */
};
#define TWINS_PEER 8u
#define TWINS_HOST 255u

struct twins {
	struct in_memory *both[2];
	struct shm_net *net; /* as said last: change, then twins_say() */
	struct {
		uint32_t slot;
		uint64_t counter;
	} sessions[TWINS_PEERS];
	uint32_t n_sessions; /* ever made */
	uint64_t known;      /* packets that took the short way, when it was asked last */
	uint32_t n_out[2];
	struct twins_out *out[2];
};

void twins_create(struct twins *t);
/* Also checks that no packet buffer is lost.  Reports to tap. */
void twins_destroy(struct twins *t);

/* Time passes.  Sessions stay young, and what is idle for too long is taken back. */
void twins_advance(struct twins *t, int64_t ns);
uint64_t twins_now(void);

/* --- what both are told; link_world.h has the same for one ---------------------------------- */

void twins_say(struct twins *t);
/* Add a route to t->net, or find the one of this prefix and make it this.  gateway, source: may be
 * NULL. */
struct shm_net_route *twins_route(struct twins *t,
	const char *prefix,
	enum shm_route_kind kind,
	unsigned link,
	const char *gateway,
	const char *source);
/* mac: its last byte. */
void twins_neighbour(struct twins *t,
	unsigned link,
	const char *addr,
	uint8_t mac,
	enum shm_neighbour_state state);
/* Settings and filter; rules NULL: no table. */
void twins_filter(struct twins *t, enum shm_filter filter, const char *rules, const char *local);
void twins_mtu(struct twins *t, uint16_t mtu);
/* to: a peer, or SHM_TO_...; twins_prefix_gone() where it is nobody's any more. */
void twins_prefix(struct twins *t, const char *prefix, uint32_t to);
void twins_prefix_gone(struct twins *t, const char *prefix);
void twins_peer_gone(struct twins *t, uint32_t peer);
void twins_peer_back(struct twins *t, uint32_t peer);
/* A new session takes the place of the old one. */
void twins_rekey(struct twins *t, uint32_t peer);
void twins_session_gone(struct twins *t, uint32_t peer);

/* --- packets -------------------------------------------------------------------------------- */

/* Room that twins_mark() needs behind a transport header. */
#define TWINS_MARK_LEN 16u
/* Write into a payload what its flow is, and which packet of it this is. */
void twins_mark(uint8_t *payload, uint64_t flow, uint32_t number);
/* The number; UINT32_MAX: the packet has no mark. */
uint32_t twins_number(const uint8_t *packet, uint32_t len);

/* A packet arrives at both, sealed by the peer, or in a frame. */
void twins_from_peer(struct twins *t, uint32_t peer, const void *packet, uint32_t len, uint8_t ecn);
void twins_from_link(struct twins *t, unsigned link, const void *packet, uint32_t len);
/* Rounds of both until nothing is left; what left them is in t->out. */
void twins_run(struct twins *t);
/* How many packets took the short way since this was asked last. */
uint64_t twins_known(struct twins *t);

/*
 * Whether both have done the same so far: the same packets by the same places, those of each flow
 * in the same order, drops by reason, events, what was handed to the control plane, counters of
 * peers.  If not, says what to tap as a comment.  t->out is empty then.
 */
bool twins_agree(struct twins *t);

#endif
