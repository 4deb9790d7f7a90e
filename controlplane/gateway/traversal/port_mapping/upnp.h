/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A port of a UPnP router, by miniupnpc, which blocks: so a thread of its own does it.
 *
 * Source: UPnP IGD, WANIPConnection:1 and :2; ../shared/protocol/peer.md 5.5, last item.
 * Owner:  port_mapping.
 * Thread: wire; the work is done by the thread that the first question starts.
 *
 * Only a device with the router's own address is believed, and only what it says of itself is
 * called.  The router can make the thread wait for long: nothing else waits with it.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_UPNP_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_UPNP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define UPNP_LIFETIME_S 7200
#define UPNP_END_MS     2000 /* that upnp_destroy() waits for the thread at most */

struct upnp; /* opaque */

struct upnp_question {
	struct addr router, self;
	uint16_t local_port;
	uint16_t external_port; /* suggested; 0: any */
};

struct upnp_answer {
	bool has_device;          /* a UPnP router is there */
	bool is_mapped;           /* and gave a port: */
	struct endpoint external; /* this one, */
	uint32_t lifetime_s;      /* for so long; 0: until it is deleted */
};

/* 0, -ENOMEM or -errno. */
[[nodiscard]] int upnp_create(struct upnp **ret_upnp);
/* Gives a mapping back, within UPNP_END_MS.  A thread that does not return is left behind.  NULL is
 * allowed. */
void upnp_destroy(struct upnp *u);

/* For epoll: readable when there is an answer. */
int upnp_fd(const struct upnp *u);

/* Make or renew a mapping.  false: the thread has not answered the last question yet, or there is
 * none. */
bool upnp_ask(struct upnp *u, const struct upnp_question *question);
/* Give the mapping back; there is no answer.  Nothing happens if there is none. */
void upnp_delete(struct upnp *u);
/* The answer that came, once; false: none has. */
bool upnp_take_answer(struct upnp *u, struct upnp_answer *ret_answer);

#endif
