/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Brings the data plane from what it has applied to what is wanted: one generation at a time, whole
 * after an attach, as a difference after that.  A restart of either side is the same path as a
 * change.
 *
 * Source: docs/shm-abi.md, "Commands".
 * Owner:  embedded in the wire thread's state.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_PUBLISHER_H
#define CONTROLPLANE_GATEWAY_PUBLISH_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/gateway/publish/dataplane.h"
#include "controlplane/gateway/publish/rows.h"

struct publisher {
	struct dataplane *dp; /* borrowed */
	struct rows *applied; /* what the data plane has; NULL: not known */
	struct rows *sending; /* the generation that is being said or judged; NULL: none */
	struct rows *wanted;  /* the newest; NULL: nothing newer than the two above */
	uint64_t generation;  /* of `sending`, else the last one used */
	uint64_t applied_generation;
	uint64_t wanted_number; /* the caller's number of `wanted`, of `sending`, of `applied` */
	uint64_t sending_number;
	uint64_t applied_number;
	bool full;             /* `sending` is said whole */
	bool full_next;        /* the next one must be */
	bool begun, committed; /* BEGIN, COMMIT were said */
	bool has_command;      /* `command` did not fit yet */
	struct shm_command command;
	uint32_t path_of_peer; /* whose PATH comes next; SHM_NO_PEER: none */
	struct rows_walk walk;

	/* The path of a peer that has just been said; false: it has none. */
	bool (*path)(void *context, uint32_t peer, struct shm_path *ret_path);
	/* The data plane has `rows` now (valid until the next publisher_wish()). */
	void (*applied_now)(void *context, const struct rows *rows, uint64_t number);
	/* It has refused them, and keeps what it had. */
	void (*refused)(void *context, uint32_t reason, uint64_t number);
	void *context;
};

void publisher_init(struct publisher *p, struct dataplane *dp);
void publisher_fini(struct publisher *p);

/*
 * Take ownership of what is wanted from now on.  `number` is the caller's name for it.  What equals
 * the applied state is reported as applied at once.
 */
void publisher_wish(struct publisher *p, struct rows *rows, uint64_t number);

/*
 * A data plane was joined, or its forwarder is a new one: everything must be said again.
 * With a new forwarder, what was being said is lost too.
 */
void publisher_start_over(struct publisher *p);
/* The data plane is gone. */
void publisher_detached(struct publisher *p);

/* Say as much as there is room for. */
void publisher_pump(struct publisher *p);
/* Whether there is more to say as soon as there is room. */
bool publisher_is_talking(const struct publisher *p);

void publisher_on_applied(struct publisher *p, uint64_t generation);
void publisher_on_refused(struct publisher *p, uint64_t generation, uint32_t reason);

#endif
