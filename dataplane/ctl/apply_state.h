/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What commands work on: sessions, tables, an open generation, and what waits to be wiped.
 *
 * Owner:  the forwarder, which fills in the first part and then calls apply_init().
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_APPLY_STATE_H
#define DATAPLANE_CTL_APPLY_STATE_H

#include <stdint.h>

#include "dataplane/quiescent.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/session.h"
#include "lib/policy/flow_table.h"
#include "lib/shm/shm_abi.h"

#define APPLY_MAX_RETIRED 1024
#define APPLY_MAX_MOVED   64

/* What apply needs done by the rest of the forwarder. */
struct apply_calls {
	void (*keepalive)(void *context, uint32_t peer);
	void (*give_up)(void *context, uint32_t peer); /* packets of this peer need not wait */
	void (*sessions_changed)(void *context);       /* workers may have something to send */
	bool (*event)(void *context, const struct shm_event *event); /* false: no room */
	void *context;
	/* May be NULL: nobody captures. */
	void (*capture)(void *context, const struct shm_cmd_capture *cmd);
};

struct network;  /* dataplane/ctl/network.h */
struct steering; /* dataplane/ctl/steering.h */

struct apply {
	struct session_table sessions;
	struct quiescent *quiescent;
	_Atomic(const struct tables *) *published;
	struct flow_table *flows;
	struct network
		*network; /* initialized; NULL: this forwarder has no ports that carry frames */
	struct steering *steering; /* NULL: no steer program */
	uint64_t table_seed[2];    /* random: set by the owner */
	uint32_t max_mtu;          /* that packet buffers have room for */
	struct apply_calls calls;

	uint32_t tables_serial; /* of the last tables published */
	uint64_t filter_serial; /* of the last packet filter; workers remember verdicts by it */

	uint64_t open_generation; /* between BEGIN and COMMIT; 0: none */
	bool open_full;
	uint32_t open_filter_total;    /* bytes, as its parts say; 0: none came */
	uint32_t open_base_prefixes;   /* rows that were there before */
	enum shm_refusal open_refusal; /* first thing wrong in the open generation; 0: none */
	uint64_t *path_seen; /* bitmap: peers whose path came inside the open generation */

	uint32_t retired[APPLY_MAX_RETIRED]; /* slots that nobody finds, not wiped yet */
	uint32_t n_retired;
	uint32_t moved[APPLY_MAX_MOVED]; /* peers whose path was set since the last quiescent point
	                                  */
	uint32_t n_moved;
};

#endif
