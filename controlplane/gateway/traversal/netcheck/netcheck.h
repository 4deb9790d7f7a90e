/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What kind of network we are in: rounds of STUN to the relays' servers, and what follows from the
 * answers: our addresses as others see them, whether a NAT changes with the destination, how far
 * each region is, and which one is to be our home.
 *
 * Source: ../shared/protocol/peer.md 5.1 to 5.3; the reference's net/netcheck for what is silent
 *         there.
 * Owner:  one, made by own_endpoints.h, which most callers want instead.
 * Thread: that of the stream set (wire).
 *
 * No socket but by streams; the clock is given.  Probes leave by a call, from the socket that
 * WireGuard uses, so that the addresses found are WireGuard's.  From within the calls nothing of
 * this header may be called but the questions.
 *
 * STUN is not authentic: whoever sees our request can answer.  What comes back decides where
 * others look for us and which relay we use, never what is believed of a peer.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_NETCHECK_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_NETCHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/tailnet/derp_map.h"
#include "lib/tailnet/json_decode.h"
#include "lib/tailnet/own_hostinfo.h"

#define NETCHECK_MAX_REGIONS   256 /* of a map; more are not measured */
#define NETCHECK_MAX_LATENCIES (2 * NETCHECK_MAX_REGIONS)
#define NETCHECK_MAX_GLOBALS   6 /* distinct addresses per family that are told apart */

struct netcheck; /* opaque */
struct stream_set;

struct netcheck_region {
	int32_t region_id;
	int64_t v4_us, v6_us; /* the best round trip by STUN; 0: no answer */
	int64_t https_us;     /* only if no STUN came through; 0: no answer */
};

struct netcheck_global { /* where an answer says that we are */
	struct endpoint endpoint;
	uint32_t n_seen; /* by how many answers of this round */
};

struct netcheck_report { /* a plain value */
	struct mono at;  /* when it was finished */
	bool is_full;    /* every region was asked, not only the nearest ones */
	bool udp;        /* some STUN answer came */
	bool ipv4, ipv6; /* an answer came over it */
	bool ipv4_can_send, ipv6_can_send;
	bool os_has_ipv6;
	enum tri icmpv4;           /* never tried: TRI_UNKNOWN */
	enum tri mapping_varies;   /* the NAT's mapping depends on the destination */
	struct endpoint global_v4; /* ADDR_NONE: not known */
	struct endpoint global_v6;
	struct netcheck_global globals_v4[NETCHECK_MAX_GLOBALS], globals_v6[NETCHECK_MAX_GLOBALS];
	size_t n_globals_v4, n_globals_v6;
	enum tri upnp, pmp, pcp;  /* what the router offers; TRI_UNKNOWN: not asked yet */
	struct endpoint mapped;   /* the port that the router gave us; ADDR_NONE: none */
	int32_t preferred_region; /* the home: kept from before where nothing better is known; 0:
	                             none */
	struct netcheck_region regions[NETCHECK_MAX_REGIONS]; /* those that answered, ascending */
	size_t n_regions;
};

struct netcheck_calls {
	/* Send from the WireGuard port of that family.  false: it cannot leave. */
	bool (*send)(void *context, const struct endpoint *to, const uint8_t *data, size_t len);
	/* A round has ended; the report is complete but for what the router offers, and may be
	 * changed. */
	void (*done)(void *context, struct netcheck_report *report);
	/* When the relay of a region was last heard (a frame of DERP); never: no.  May be NULL. */
	struct mono (*relay_heard)(void *context, int32_t region_id);
	void (*random)(void *context, void *out, size_t len);
	void *context;
};

/* What the host can do, asked at the start of a round. */
struct netcheck_host {
	bool has_v4, has_v6; /* addresses beyond loopback and link-local */
};

/* set: borrowed, for names and https.  calls: copied.  0 or -ENOMEM. */
[[nodiscard]] int netcheck_create(struct stream_set *set,
	const struct netcheck_calls *calls,
	struct netcheck **ret_netcheck);
/* Before the stream set's end.  NULL is allowed. */
void netcheck_destroy(struct netcheck *n);

/* The relays, copied; NULL: none.  Ends a round that is under way, without done().  0 or -ENOMEM,
 * and the old map stays. */
[[nodiscard]] int netcheck_set_map(struct netcheck *n, const struct derp_map *map);
bool netcheck_has_map(const struct netcheck *n, const struct derp_map *map); /* an equal one */
/* The home of before, for instance a predecessor's: it is only left for one that is clearly
 * better. */
void netcheck_set_home(struct netcheck *n, int32_t region_id);
/* Whether the coordination server could be told of another home: if not, the home stays (5.3). */
void netcheck_set_connected(struct netcheck *n, bool is_connected);
/* For tests and for looking for faults: https without TLS. */
void netcheck_set_plain_http(struct netcheck *n, bool plain);

/*
 * Begin a round: full, or of the regions that were the nearest; the first one and those 5 min after
 * a full one are full.  There is one at a time.  false: no map, or one is under way.
 */
bool
netcheck_start(struct netcheck *n, bool full, const struct netcheck_host *host, struct mono now);
/* Forget what was measured: the network is another one.  A round under way ends without done(). */
void netcheck_reset(struct netcheck *n);
bool netcheck_is_running(const struct netcheck *n);

/* A STUN datagram; true: it answers a probe of the round under way. */
bool netcheck_datagram(struct netcheck *n,
	const uint8_t *data,
	size_t len,
	const struct endpoint *from,
	struct mono now);

/* Do what is due; returns when to come again, or never. */
struct mono netcheck_tick(struct netcheck *n, struct mono now);

/* The last one, or NULL. */
const struct netcheck_report *netcheck_report(const struct netcheck *n);

/* --- of a report --- */

/* For Hostinfo.  latencies: room for them, which ret_info then points to. */
void netcheck_net_info(const struct netcheck_report *report,
	struct net_info *ret_info,
	struct region_latency latencies[static NETCHECK_MAX_LATENCIES]);
/*
 * Whether the difference is worth telling the server: everything but latencies (5.2).
 */
bool netcheck_is_same_place(const struct netcheck_report *a, const struct netcheck_report *b);
/*
 * "netcheck" as gateway_api.h describes it, but for "age_s", and as "report" the same with the
 * reference's names and units ("PreferredDERP", latencies in ns); map (NULL: none) gives the names
 * of regions.  The caller's; NULL: no memory.
 */
json_t *netcheck_report_json(const struct netcheck_report *report, const struct derp_map *map);

#endif
