/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asking a router for a port by NAT-PMP and PCP, and keeping it.
 *
 * Source: RFC 6886 sections 3.1 to 3.8, RFC 6887 sections 8 and 11; ../shared/protocol/peer.md 5.5.
 * Owner:  embedded in port_mapping.  Thread: its.  Pure: what it sends leaves by a call, the clock
 *         is given.
 *
 * NAT-PMP is taken where both are spoken, as the reference does.  A mapping is renewed at half of
 * its life.  In between the router is asked for its address now and then: the answer's epoch tells
 * whether it has forgotten its mappings, and the address whether it has another one.
 *
 * Anyone on the LAN may forge answers: then we tell others a wrong endpoint, which disco finds to
 * be dead.  How often that can make us speak is limited.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_ROUTER_CLIENT_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_ROUTER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/tailnet/json_decode.h"
#include "lib/traversal/portmap.h"

#define ROUTER_TRY_NS       (250 * NS_PER_MS) /* the first pause; each is twice the one before */
#define ROUTER_TRIES        3
#define ROUTER_CHECK_NS     (120 * NS_PER_S)
#define ROUTER_MIN_RENEW_NS (30 * NS_PER_S) /* whatever life the router grants */
#define ROUTER_MIN_ASK_NS   (10 * NS_PER_S) /* between mappings lost by epoch */
#define ROUTER_MAX_LIFE_S   86400

enum router_state {
	ROUTER_PROBING, /* what does it speak? */
	ROUTER_ASKING,  /* for a mapping, or to renew it */
	ROUTER_MAPPED,
	ROUTER_FAILED, /* it maps no port, by neither protocol; until router_start() */
};

struct router_client_calls {
	void (*send)(void *context, const uint8_t *data, size_t len);
	void (*random)(void *context, void *out, size_t len);
	void *context;
};

struct router_epoch {
	bool is_known;
	uint32_t epoch_s;
	struct mono at;
};

struct router_client {
	struct router_client_calls calls;
	enum router_state state;
	enum tri pmp, pcp; /* TRI_UNKNOWN: not heard yet */
	enum portmap_protocol protocol;
	bool pmp_failed, pcp_failed; /* in asking */
	struct portmap_request request;
	struct addr address;  /* the router's external one by NAT-PMP; ADDR_NONE: not known */
	bool awaits_address;  /* it was asked for that */
	bool awaits_announce; /* or, by PCP, whether it is there */
	unsigned tries;       /* sent since the state began */
	struct mono next;     /* something is due */
	struct mono asked;    /* the state ASKING began */
	bool is_mapped;       /* `external` is, until `expires` */
	struct endpoint external;
	struct mono renew_at, expires;
	struct router_epoch epochs[2]; /* NAT-PMP, PCP */
};

/* Begin; a mapping of before is forgotten here, but asked for again.  calls: copied. */
void router_start(struct router_client *r,
	const struct router_client_calls *calls,
	const struct addr *client,
	uint16_t local_port,
	struct mono now);
/* Ask for the mapping that there is again: the network may have changed. */
void router_renew(struct router_client *r, struct mono now);
/* Give the mapping back, if there is one. */
void router_stop(struct router_client *r);

/* A datagram from the router's port 5351. */
void router_receive(struct router_client *r, const uint8_t *data, size_t len, struct mono now);
/* Do what is due; returns when to come again, or never. */
struct mono router_tick(struct router_client *r, struct mono now);

/* What leads to us, or NULL. */
const struct endpoint *router_mapping(const struct router_client *r);

#endif
