/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Commands -> tables and sessions.  The only reader of the command ring.
 *
 * Source: docs/shm-abi.md, "Commands".
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_APPLY_H
#define DATAPLANE_CTL_APPLY_H

#include <stdint.h>

#include "dataplane/quiescent.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/session.h"
#include "lib/shm/ring.h"
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
};

struct apply {
	struct session_table sessions;
	struct quiescent *quiescent;
	_Atomic(const struct tables *) *published;
	uint64_t table_seed[2]; /* random: set by the owner */
	uint32_t max_mtu;       /* that packet buffers have room for */
	struct apply_calls calls;

	uint64_t open_generation; /* between BEGIN and COMMIT; 0: none */
	bool open_full;
	uint32_t open_base_prefixes;   /* rows that were there before */
	enum shm_refusal open_refusal; /* first thing wrong in the open generation; 0: none */
	uint64_t *path_seen; /* bitmap: peers whose path came inside the open generation */

	uint32_t retired[APPLY_MAX_RETIRED]; /* slots that nobody finds, not wiped yet */
	uint32_t n_retired;
	uint32_t moved[APPLY_MAX_MOVED]; /* peers whose path was set since the last quiescent point
	                                  */
	uint32_t n_moved;
};

/* Take over what the predecessor applied and publish it.  0, -ENOMEM, or -EINVAL (memory damaged).
 */
[[nodiscard]] int apply_init(struct apply *a);
void apply_fini(struct apply *a);

/* Execute one command, copied out of the ring.  The copy's keys are wiped. */
void apply_command(struct apply *a, struct shm_command *cmd);

/* Put a session slot on the list of those to be wiped, unless it is free or in a peer's keypairs.
 */
void apply_retire(struct apply *a, uint32_t slot);

/* Set where a peer's packets go, waiting for those under way if it was set just before. */
void apply_set_path(struct apply *a, uint32_t peer, const struct shm_path *path);

/* Let a quiescent point pass and wipe what was retired; says SESSION_FREED for each. */
void apply_flush_retired(struct apply *a);

/* Once in a while: sessions that no peer points to any more (a lost event, a death half way). */
void apply_sweep(struct apply *a);

#endif
