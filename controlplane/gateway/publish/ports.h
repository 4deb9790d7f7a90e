/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which interfaces the data plane shall open as ports that carry frames, which of them it has, and
 * why not the others.  Asks, hears the answer, asks again.  Pure: messages are the caller's to
 * send.
 *
 * Source: docs/shm-abi.md, "Ports".
 * Owner:  embedded in the wire thread's state.  Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_PORTS_H
#define CONTROLPLANE_GATEWAY_PUBLISH_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/network.h"
#include "lib/base/clock.h"
#include "lib/shm/shm_abi.h"

#define PORTS_RETRY_NS     (5 * NS_PER_S) /* after a refusal; doubled up to: */
#define PORTS_MAX_RETRY_NS (60 * NS_PER_S)
#define PORTS_PATIENCE_NS  (10 * NS_PER_S) /* for an answer */
#define PORTS_WHY_LEN      184             /* as in struct shm_attach */

/* A port as people and the host want to know it. */
struct ports_view {
	uint32_t ifindex;
	char name[NETWORK_NAME_LEN];
	bool is_wanted, is_open;
	uint32_t mode;           /* enum shm_port_mode, while it is open */
	char why[PORTS_WHY_LEN]; /* printable: why no better mode, or why it is not open; or "" */
};

struct ports_row {
	struct ports_view view;
	bool is_asked; /* an answer is on its way */
	bool was_up;
	struct mono due; /* when it is asked (again) */
	int64_t pause_ns;
};

#define PORTS_MAX                                                                      \
	(2 * SHM_MAX_PORTS) /* wanted ones, and open ones that are not wanted any more \
	                     */

struct ports {
	struct ports_row rows[PORTS_MAX];
	size_t n;
	bool has_wish;   /* the host has said what it wants: others may be closed */
	bool is_changed; /* ports_view() is another; the caller clears it */
};

void ports_init(struct ports *p);

/* What the host wants.  What was refused is asked for again if the interface has come up since. */
void ports_wish(struct ports *p, const struct network *network, struct mono now);

/* A data plane was joined (rows of its state.ports: what is open already). */
void ports_joined(struct ports *p, const struct shm_state *state, struct mono now);
/* SHM_EV_PORTS: something was opened or closed; what is gone is asked for again. */
void ports_look(struct ports *p, const struct shm_state *state, struct mono now);
/* The data plane is gone, and with it every port. */
void ports_detached(struct ports *p);

/* The next message to the keeper, if one is due; it counts as sent. */
bool ports_next(struct ports *p, struct mono now, struct shm_attach *ret_message);
/* SHM_ATTACH_PORT. */
void ports_answered(struct ports *p, const struct shm_attach *answer, struct mono now);
/* When to come again; never: there is nothing to ask. */
struct mono ports_due(const struct ports *p);

#endif
