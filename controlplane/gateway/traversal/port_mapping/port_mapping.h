/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A port of the router's that leads to our WireGuard port, asked for by NAT-PMP, PCP or UPnP, and
 * kept until the end.
 *
 * Source: ../shared/protocol/peer.md 5.5; RFC 6886, RFC 6887; UPnP IGD by miniupnpc.
 * Owner:  one, made by traversal.
 * Thread: wire; UPnP, whose library blocks, runs in a thread of its own (upnp.h).
 *
 * Only the default gateway is asked, and only if its address is a private one: strangers on the
 * Internet are not.  From within the calls nothing of this header may be called.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_PORT_MAPPING_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_PORT_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/tailnet/json_decode.h"

struct port_mapping; /* opaque */

enum port_mapping_by {
	PORT_MAPPING_NONE,
	PORT_MAPPING_NATPMP,
	PORT_MAPPING_PCP,
	PORT_MAPPING_UPNP,
};

struct port_mapping_calls {
	/* We have another mapping; NULL: none (any more).  Borrowed. */
	void (*mapped)(void *context, const struct endpoint *external);
	/* What the router offers is another; TRI_UNKNOWN: not known yet.  May be NULL. */
	void (*protocols)(void *context, enum tri upnp, enum tri pmp, enum tri pcp);
	void *context;
};

struct port_mapping_facts {
	enum tri upnp, pmp, pcp;
	enum port_mapping_by by; /* how the mapping was got */
	struct endpoint external;
	struct mono renew_at; /* never: not at all */
	struct addr gateway;  /* ADDR_NONE: there is none that could be asked */
};

/* calls: copied.  mark: SO_MARK of sockets, 0: none.  0, -ENOMEM or -errno. */
[[nodiscard]] int port_mapping_create(const struct port_mapping_calls *calls,
	uint32_t mark,
	struct port_mapping **ret_port_mapping);
/* As port_mapping_stop(), without calls.  NULL is allowed. */
void port_mapping_destroy(struct port_mapping *pm);

/*
 * Something that only this machine knows and that stays the same when we start anew: a router gives
 * a PCP mapping again only to who proves to be the same.  Without it, a gateway that was killed
 * gets none by PCP until the old one's life ends.  Copied; before the start.
 */
#define PORT_MAPPING_SECRET_LEN 32
void port_mapping_set_secret(struct port_mapping *pm,
	const uint8_t secret[static PORT_MAPPING_SECRET_LEN]);

/* An epoll descriptor, readable when there is something to do; borrowed. */
int port_mapping_fd(const struct port_mapping *pm);

/* Ask for a port that leads to local_port.  Another one than before ends the old mapping. */
void port_mapping_start(struct port_mapping *pm, uint16_t local_port, struct mono now);
/*
 * Tell the router that the mapping is not needed any more: one datagram, or for UPnP an exchange
 * that goes on in its thread, for which port_mapping_destroy() waits 2 s at most.
 */
void port_mapping_stop(struct port_mapping *pm);
/* Addresses or routes of this machine have changed: there may be another router. */
void port_mapping_network_changed(struct port_mapping *pm, struct mono now);

/* Do what is ready and due; returns when to come again, or never. */
struct mono port_mapping_dispatch(struct port_mapping *pm, struct mono now);

void port_mapping_facts(const struct port_mapping *pm, struct port_mapping_facts *ret_facts);

#endif
