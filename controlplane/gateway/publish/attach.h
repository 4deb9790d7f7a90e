/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The connection to the keeper: making it, making it again, and what it grants.
 *
 * Source: docs/shm-abi.md, "Attach".
 * Owner:  embedded in the wire thread's state.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_ATTACH_H
#define CONTROLPLANE_GATEWAY_PUBLISH_ATTACH_H

#include <stdbool.h>
#include <stddef.h>

#include "controlplane/gateway/publish/dataplane.h"
#include "lib/base/clock.h"

#define ATTACH_MIN_PAUSE_NS (10 * NS_PER_MS)
#define ATTACH_MAX_PAUSE_NS (500 * NS_PER_MS)

struct attach {
	char path[108];       /* of the keeper's socket */
	int sock;             /* -1: not connected */
	struct mono retry_at; /* when not connected */
	int64_t pause_ns;
	char refusal[256];        /* why the last try failed, said once; empty: nothing to say */
	int wire[2];              /* UDP sockets, IPv4 and IPv6; -1: none */
	int flows, capture;       /* regions to be read, the taker's to close; -1: none, or taken */
	struct shm_attach answer; /* after ATTACH_ANSWERED */
};

enum attach_outcome {
	ATTACH_NOTHING,  /* nothing has changed */
	ATTACH_JOINED,   /* dp and `wire` are ready */
	ATTACH_ANSWERED, /* `answer` is a SHM_ATTACH_PORT */
	ATTACH_LOST,     /* the connection ended: everything that was granted is gone */
};

/* 0, or -ENAMETOOLONG. */
[[nodiscard]] int attach_init(struct attach *a, const char *run_dir);
void attach_fini(struct attach *a, struct dataplane *dp);

/* Connect if it is time.  Call when retry_at has come and sock is -1. */
void attach_connect(struct attach *a, struct mono now);
/* sock is readable or has hung up. */
enum attach_outcome attach_read(struct attach *a, struct dataplane *dp, struct mono now);
/* While joined.  0, -EAGAIN (no room: try again in the next round), -errno: it will end soon. */
[[nodiscard]] int attach_send(struct attach *a, const struct shm_attach *message);
/* End it ourselves, to attach anew. */
void attach_end(struct attach *a, struct dataplane *dp, struct mono now);

#endif
