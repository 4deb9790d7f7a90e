/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where others may reach us: the list of our endpoints, kept fresh by rounds of STUN.
 *
 * Source: ../shared/protocol/peer.md 5.2 (when to look again), 5.4 (the list).
 * Owner:  one, made by traversal; it owns a netcheck.
 * Thread: that of the stream set (wire).
 *
 * The clock is given.  Our own tunnel's addresses are never in the list: the tunnel's interface is
 * left out, and every address of the tailnets' ranges.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_OWN_ENDPOINTS_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_OWN_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/traversal/netcheck/local_addresses.h"
#include "controlplane/gateway/traversal/netcheck/netcheck.h"
#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/tailnet/derp_map.h"
#include "lib/tailnet/map_request.h"

#define OWN_ENDPOINTS_MAX 64

struct own_endpoints; /* opaque */
struct stream_set;

/* From within any of them only the questions at the end may be asked. */
struct own_endpoints_calls {
	/* Send from the WireGuard port of that family.  false: it cannot leave. */
	bool (*send)(void *context, const struct endpoint *to, const uint8_t *data, size_t len);
	/* A look has ended (it may have failed), or the list has changed in another way.
	 * is_changed: the set of endpoints is another than at the last call; tell the server. */
	void (*changed)(void *context, bool is_changed);
	/* There is a new report; borrowed.  Comes before changed(). */
	void (*report)(void *context, const struct netcheck_report *report);
	/* When the relay of a region was last heard (a frame of DERP); never: no.  May be NULL. */
	struct mono (*relay_heard)(void *context, int32_t region_id);
	/* The host's addresses; NULL: local_addresses_read(). */
	size_t (*local_addresses)(void *context, struct local_address *ret, size_t max);
	void (*random)(void *context, void *out, size_t len);
	void *context;
};

/* set: borrowed.  calls: copied.  0 or -ENOMEM. */
[[nodiscard]] int own_endpoints_create(struct stream_set *set,
	const struct own_endpoints_calls *calls,
	struct own_endpoints **ret_own);
/* Before the stream set's end.  NULL is allowed. */
void own_endpoints_destroy(struct own_endpoints *o);

/* The interface whose addresses are not told; copied.  "sluice0" unless said. */
void own_endpoints_set_tunnel(struct own_endpoints *o, const char *interface);
/* The relays, copied; NULL: none.  Another map means a new, full look.  0 or -ENOMEM. */
[[nodiscard]] int
own_endpoints_set_map(struct own_endpoints *o, const struct derp_map *map, struct mono now);
/* The port that the router gave us; NULL: none.  Copied. */
void
own_endpoints_set_mapped(struct own_endpoints *o, const struct endpoint *external, struct mono now);
/* What the router offers: for the report. */
void
own_endpoints_set_protocols(struct own_endpoints *o, enum tri upnp, enum tri pmp, enum tri pcp);
/* See netcheck_set_home() and netcheck_set_connected(); connected unless said otherwise. */
void own_endpoints_set_home(struct own_endpoints *o, int32_t region_id);
void own_endpoints_set_connected(struct own_endpoints *o, bool is_connected);
/* Endpoints that the administrator gave (5.4, no. 8); copied, OWN_ENDPOINTS_MAX at most. */
void own_endpoints_set_explicit(struct own_endpoints *o,
	const struct endpoint *endpoints,
	size_t n,
	struct mono now);

/* Begin: the first look follows at once if there is a map.  local_port: of the WireGuard sockets.
 * Another port than before is said by another start. */
void own_endpoints_start(struct own_endpoints *o, uint16_t local_port, struct mono now);
/* Forget everything but map, router and settings; no calls until the next start. */
void own_endpoints_stop(struct own_endpoints *o, struct mono now);

/* A STUN datagram from the WireGuard port.  False: nobody asked for it. */
bool own_endpoints_datagram(struct own_endpoints *o,
	const uint8_t *data,
	size_t len,
	const struct endpoint *from,
	struct mono now);

/* Packets of users went to or from some peer: the list is kept fresh for a while. */
void own_endpoints_active(struct own_endpoints *o, struct mono now);
/* Addresses or routes of this machine have changed: what is known is doubtful, look at once. */
void own_endpoints_network_changed(struct own_endpoints *o, struct mono now);
/* Somebody asks: a full look now; report() and changed() follow. */
void own_endpoints_check(struct own_endpoints *o, struct mono now);

/* Something failed that a better home or fresher endpoints might mend (the home relay is gone,
 * say): look soon, but not again and again. */
void own_endpoints_doubt(struct own_endpoints *o, struct mono now);

/* Do what is due; returns when to come again, or never.  After stream_set_dispatch(). */
struct mono own_endpoints_tick(struct own_endpoints *o, struct mono now);
/* What own_endpoints_tick() would return: ask before sleeping, anything here may have changed it.
 */
struct mono own_endpoints_next(const struct own_endpoints *o);

/*
 * The list, best first, borrowed until the next call of anything here; returns how many.  It is
 * empty until the first look has ended.  !*ret_is_fresh: it is older than PATH_ENDPOINTS_FRESH_NS;
 * a look has begun, and changed() follows.
 */
size_t own_endpoints_get(struct own_endpoints *o,
	struct mono now,
	const struct own_endpoint **ret_endpoints,
	bool *ret_is_fresh);
/* The last report, or NULL; borrowed likewise. */
const struct netcheck_report *own_endpoints_report(const struct own_endpoints *o);

#endif
