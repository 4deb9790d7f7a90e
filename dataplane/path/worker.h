/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the stages see of the worker that runs them.
 *
 * Thread: everything here belongs to one worker, unless the field says otherwise.
 */
#ifndef DATAPLANE_PATH_WORKER_H
#define DATAPLANE_PATH_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/io/io.h"
#include "dataplane/path/burst.h"
#include "dataplane/path/drop.h"
#include "dataplane/path/steps.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/net.h"
#include "dataplane/table/session.h"
#include "lib/net/icmp.h"
#include "lib/policy/acl_burst.h"
#include "lib/shm/shm_abi.h"

/* Packets of one peer that wait for a session, and when this worker last told about the peer. */
struct waiting {
	struct pkt *first;
	struct pkt *last;
	uint32_t n;
	uint32_t listed;   /* is in worker.waiting_peers */
	uint64_t asked_ns; /* WANT_SESSION or WANT_REKEY was raised */
	uint64_t seen_ns;  /* SEEN_FROM was raised */
};

#define WAITING_MAX_PER_PEER 64
#define WAITING_ASK_NS       NS_PER_S /* the control plane is asked again after this */
#define WAITING_SEEN_NS      (100 * NS_PER_MS)
#define WAITING_MAX_AGE_NS   (95 * NS_PER_S) /* the control plane gives up after 90 s */

/* When neighbours were last asked for: often enough, and no flood of the control plane. */
#define WANTS         256 /* a power of two */
#define WANT_NS       (100 * NS_PER_MS)
#define WANT_RATE_PPS 500
#define WANT_BURST    100
struct neighbour_wants {
	struct {
		uint32_t hash;
		uint64_t asked_ns;
	} slots[WANTS];
	struct icmp_limiter limit;
};

/* Where the outer packets of a path go, remembered: dataplane/stage/outer.c. */
#define OUTER_WAYS 512 /* a power of two */
struct outer_way;

struct flow_cache; /* dataplane/table/flow_cache.h */
struct nat_worker;
struct capture;    /* copies of packets: dataplane/path/capture.h */
struct event_ring; /* events to the main thread: dataplane/path/event_ring.h */

struct worker {
	unsigned id;        /* queue of every port */
	bool is_alone;      /* the only worker: nobody else takes counters or moves windows */
	uint32_t n_relayed; /* of the burst sealed last: packets with a relay in their path */
	uint32_t n_to_cut;  /* of the burst of a link port: packets too long for the tunnel */
	uint64_t now_ns;    /* CLOCK_BOOTTIME, read once per burst */
	const struct tables *tables;          /* valid until the next quiescent point */
	const struct net_table *net;          /* the same */
	struct session_table sessions;        /* pointers into the keeper's memory */
	struct shm_worker_counters *counters; /* read by the control plane */
	struct shm_peer_counters *peers;      /* by peer number; read by the control plane */
	struct pool_cache pool;
	struct port *wire;
	struct port *host;

	/* Made on the way inbound, to go outbound in the same round: peer to peer, ICMP errors. */
	struct burst to_peers;
	/* From the tunnel, to leave by link ports in the same round. */
	struct burst to_links;
	uint32_t n_known; /* of them, in front: of known flows, ready to leave */

	struct waiting *waiting; /* by peer number */
	uint32_t *waiting_peers; /* those with n > 0 */
	uint32_t n_waiting_peers;
	uint32_t n_waiting; /* packets, all peers */
	uint32_t max_waiting;

	struct flow_table *flows;      /* of all workers, in the keeper's memory */
	struct flow_cache *flow_cache; /* NULL: every packet takes the long way */
	struct nat_worker *nat;        /* dataplane/table/nat_worker.h; NULL: no translation */
	struct verdict_cache *verdicts;

	struct outer_way *ways; /* OUTER_WAYS of them */
	uint16_t outer_id;      /* identification of the last outer IPv4 packet */
	struct neighbour_wants wants;

	struct icmp_limiter icmp_limit;
	struct icmp_limiter tsmp_limit; /* of what goes to the control plane */
	struct event_ring *events;      /* consumer: the main thread */
	struct pkt_ring *punt;          /* consumer: the main thread */
	struct doorbell *main_bell;

	struct capture *capture;  /* NULL: nobody captures */
	struct path_ticks *ticks; /* NULL: nobody measures */
};

/* Count and free a packet.  Cold, so that the stages' loops keep their registers for what goes on.
 */
[[gnu::cold]] void drop(struct worker *w, struct pkt *p, enum drop_reason reason);

/* Raise an event for the control plane.  False: no room; raise it again with a later packet. */
bool worker_event(struct worker *w,
	enum shm_event_kind kind,
	uint32_t peer,
	uint32_t index,
	uint32_t value,
	const struct pkt_outer *from);

/* Hand a datagram to the control plane.  Takes ownership. */
void worker_punt(struct worker *w, struct pkt *p);
/* The same for many, with one bell; `reason`: of dropping those for which there is no room. */
void
worker_punt_all(struct worker *w, struct pkt *const *pkts, uint32_t n, enum drop_reason reason);

#endif
