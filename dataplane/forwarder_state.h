/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the forwarder consists of, for its own files: forwarder.c makes it, forwarder_describe.c
 * says what it is, forwarder_serve.c is its main thread's loop.
 *
 * Thread: everything here is the main thread's.
 */
#ifndef DATAPLANE_FORWARDER_STATE_H
#define DATAPLANE_FORWARDER_STATE_H

#include <pthread.h>

#include "dataplane/ctl/apply.h"
#include "dataplane/ctl/network.h"
#include "dataplane/ctl/report.h"
#include "dataplane/ctl/steering_maps.h"
#include "dataplane/forwarder.h"
#include "dataplane/link_ports.h"
#include "dataplane/path/capture.h"
#include "dataplane/worker.h"
#include "lib/nat/nat.h"

#define N_IO_THREADS 2

struct forwarder {
	const struct forwarder_setup *setup;
	struct shm_state *state;
	struct shm_sessions *keys;
	struct flow_memory *flow_memory;
	struct flow_table flows;
	struct capture capture;
	struct nat *nat;
	uint32_t nat_pages;          /* huge pages of its rows; 0: nothing was translated yet */
	struct frame_ledger *ledger; /* NULL: no ports that carry frames */
	void *packets;
	struct pool *pool;
	struct pool_cache cache; /* the main thread's */
	struct port *wire, *host;
	struct port_counters port_counters[2];
	struct io_thread *io[N_IO_THREADS];
	pthread_t io_ids[N_IO_THREADS];
	struct worker_thread *workers[SHM_MAX_WORKERS];
	pthread_t worker_ids[SHM_MAX_WORKERS];
	unsigned n_workers;
	bool is_one_thread; /* the worker does the I/O itself */
	struct quiescent quiescent;
	_Atomic(const struct tables *) tables;
	_Atomic(const struct net_table *) net;
	_Atomic uint64_t sessions_epoch;
	struct doorbell bell; /* rung by workers */
	struct apply apply;
	struct network network;
	struct steering_maps steering_maps;
	struct link_ports links;
	struct rings rings;
	uint64_t swept_ns, counted_ns, nat_swept_ns;
};

/* Fill in what status shows of this process: names, ciphers, ports. */
void forwarder_describe(struct forwarder *f);

/* Map the rings of a control plane that has come, and take over this side of them.  0 or -errno. */
[[nodiscard]] int forwarder_join(struct forwarder *f, int to_dp_fd, int to_cp_fd);

/* SIGTERM and SIGINT end forwarder_serve(). */
void forwarder_catch_signals(void);

/* The loop.  0: a signal ended it; -EPIPE: the keeper is gone; or -errno of the link. */
[[nodiscard]] int forwarder_serve(struct forwarder *f);

#endif
