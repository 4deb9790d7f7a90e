/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A worker: one thread that polls its queue of every port and runs the paths.
 *
 * Owner:  the forwarder's main thread makes the workers before they start and joins them.
 * Thread: worker_run() is the thread; the other functions are the main thread's.
 */
#ifndef DATAPLANE_WORKER_H
#define DATAPLANE_WORKER_H

#include "dataplane/io/pkt_ring.h"
#include "dataplane/path/event_ring.h"
#include "dataplane/path/worker.h"
#include "dataplane/quiescent.h"

#define WORKER_MAX_IO 2

struct nat;       /* lib/nat/nat.h */
struct net_table; /* dataplane/table/net.h */

struct worker_setup {
	unsigned id;
	int core;   /* pinned to this core and never asleep; -1: adaptive */
	bool spins; /* adaptive: looks for packets a while before it sleeps, on a core of its own */
	bool is_alone; /* there is no other worker */
	struct shm_state *state;
	struct shm_sessions *keys;
	struct pool *pool;
	struct port *wire;
	struct port *host;
	struct flow_table *flows;  /* of all workers */
	struct nat *nat;           /* the same; NULL: no translation */
	struct capture *capture;   /* of all workers; NULL: nobody captures */
	uint32_t max_flow_buckets; /* a power of two: how large its flow cache may become; 0: none
	                            */
	uint64_t cache_seed[2];    /* random: of what it remembers of flows */
	struct doorbell *main_bell;
	_Atomic uint64_t *quiescent;
	_Atomic(const struct tables *) *tables; /* what the main thread has published */
	_Atomic(const struct net_table *) *net; /* the same; never NULL itself */
	_Atomic uint64_t *sessions_epoch;       /* raised when a session was installed */
	/*
	 * I/O that this worker, which must be alone and adaptive, does itself instead of threads:
	 * where all would share one core, waking one another would cost more than the packets.
	 */
	struct io_thread *io[WORKER_MAX_IO];
	unsigned n_io;
};

struct worker_thread {
	struct worker w;
	struct worker_setup setup;
	struct doorbell bell;       /* rung by I/O threads and the main thread */
	struct pkt_ring inject;     /* from the main thread: keepalives, injected packets */
	struct pkt_ring punt;       /* to the main thread */
	struct event_ring events;   /* to the main thread */
	struct event_ring requests; /* from the main thread: peers whose packets need not wait */
	_Atomic bool stop;
	uint64_t epoch_seen;
	uint64_t swept_ns;   /* waiting packets were looked at */
	uint64_t mark_tsc;   /* end of the last round */
	uint64_t worked_tsc; /* last round that brought packets */
	/* A larger flow cache, from the main thread; the smaller one, back to it. */
	_Atomic(struct flow_cache *) larger, smaller;
	struct flow_cache *tended, *offered; /* the main thread's: what the worker has, and gets */
	uint64_t n_pushed_out;               /* the same: when it looked last */
	bool is_dense;     /* packets come fast enough to be waited for together */
	uint32_t n_window; /* packets since */
	uint64_t window_ns;
	bool has_io[WORKER_MAX_IO]; /* with I/O of its own: there may be something to receive */
};

/* Allocate and prepare; nothing runs yet.  0, -ENOMEM, or -errno of the eventfd. */
[[nodiscard]] int worker_create(const struct worker_setup *setup,
	struct worker_thread **ret_worker);
void worker_destroy(struct worker_thread *t);

/* Ask the worker to give up what waits for a peer.  False: too many such requests are pending. */
bool worker_give_up(struct worker_thread *t, uint32_t peer);

/* Main thread, about once a second: a flow cache that has become too small gets a larger one. */
void worker_tend(struct worker_thread *t);

/* One round: poll, classify, run the paths.  Returns the number of packets.  For tests and bench.
 */
uint32_t worker_round(struct worker_thread *t);

/* The thread: rounds until worker_stop().  `arg` is the struct worker_thread. */
void *worker_run(void *arg);
void worker_stop(struct worker_thread *t);

#endif
