/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source translation between a tunnel and a LAN: what leaves the tunnel gets an address and a port
 * of ours, what comes back is restored.
 *
 * TCP, UDP, ICMP echo, ICMP errors both ways, IPv4 and IPv6.  Mapping and filtering are endpoint
 * independent (RFC 4787 REQ-1, REQ-8); a port is kept where it lies in the range given, else its
 * parity is.  Once a range is used up, a port is shared by flows to different remote endpoints
 * (address and port dependent mapping, against REQ-3 and REQ-11, but better than silence).
 * Flows that the LAN began are remembered, so that their answers are not translated.
 *
 * Source: RFC 4787 (UDP), RFC 5382 and 7857 (TCP), RFC 5508 (ICMP), RFC 1624 (checksums),
 *         RFC 6056 section 3.3.3 (choice of ports).
 * Owner:  struct nat is of one process; the flows are in memory that outlives it.
 * Thread: any number of workers, each with a struct nat_local of its own, without locks;
 *         nat_use(), nat_set(), nat_sweep(), nat_release() are for one main thread.
 */
#ifndef LIB_NAT_NAT_H
#define LIB_NAT_NAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/nat/nat_memory.h"
#include "lib/net/addr.h"
#include "lib/net/headers.h"

/* Of idleness, in seconds; an RFC's least where it names one. */
#define NAT_LAG_S            4   /* callers need not show packets that follow one sooner */
#define NAT_UDP_S            300 /* RFC 4787 REQ-5 */
#define NAT_UDP_UNANSWERED_S 120 /* begun by the LAN, no answer yet: no mapping, but as long */
#define NAT_TCP_S            (7440 + NAT_LAG_S) /* RFC 5382 REQ-5: 2 h 4 min */
#define NAT_TCP_TRANSITORY_S (240 + NAT_LAG_S)
#define NAT_ECHO_S           60   /* RFC 5508 REQ-2 */
#define NAT_FRAGMENT_MS      2000 /* a later fragment finds its first one for so long */

#define NAT_PORT_FIRST 61000
#define NAT_PORT_LAST  65535

enum nat_verdict {
	NAT_UNTOUCHED,  /* goes on as it is */
	NAT_TRANSLATED, /* goes on */
	NAT_HAIRPIN,    /* from the tunnel: source and destination were translated; back into it */
	NAT_HELD, /* a later fragment whose first one has not come: try again, it is unchanged */
	NAT_DROP_MALFORMED,
	NAT_DROP_PROTOCOL, /* no way to translate it, or an ICMP message that routers do not pass on
	                    */
	NAT_DROP_NO_FLOW,  /* an answer to nothing that we know */
	NAT_DROP_FULL,     /* no row, no port for this remote endpoint, no place for an address */
	NAT_DROP_BUSY,     /* other workers were quicker too many times */
};

struct nat;

/* A worker's own part; all zero at first. */
struct nat_local {
	uint32_t cursor;                                   /* where it looks for a free row */
	uint32_t n_full[NAT_MAX_ADDRESSES][NAT_N_CLASSES]; /* stamp: no port was free then */
};

/* A packet on its way through the steps below. */
struct nat_look {
	uint64_t key[5];
	uint64_t hash;
	uint32_t l4;      /* offset of the transport header */
	uint32_t row;     /* candidate, or UINT32_MAX */
	uint8_t shape;    /* of lib/nat/shape.h */
	uint8_t protocol; /* of the transport */
	uint8_t flags;    /* TCP's */
	uint8_t side;     /* enum nat_side: which keys it is looked for by */
	bool is_first_fragment;
};

/*
 * Join the memory: checks its head, raises its generation.  What a predecessor left half written is
 * out of use from then on.
 * Returns 0, ERR_VERSION (other layout: make the memory anew) or -ENOMEM.
 */
[[nodiscard]] int nat_use(struct nat_memory *m, struct nat **ret_nat);
void nat_leave(struct nat *nat); /* the memory stays; NULL is allowed */

/* The range of ports and identifiers for new mappings, first <= last, as the network says it. */
void nat_set(struct nat *nat, uint16_t port_first, uint16_t port_last);

/*
 * A packet's three steps, which a burst goes through one after the other, so that memory is fetched
 * meanwhile: read it, find its row, translate it.
 *
 * p, v:   the packet, and ip_parse() of it; total_len bytes may be written.
 * source: the address that it shall have outside, 4 or 16 bytes of the packet's family.
 */
void nat_read_from_tunnel(const struct nat *nat,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *ret_look);
void nat_read_to_tunnel(const struct nat *nat,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *ret_look);
void nat_fetch(const struct nat *nat, struct nat_look *look);
[[nodiscard]] enum nat_verdict nat_end_from_tunnel(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source,
	struct mono now);
/*
 * *ret_is_new: the packet is UNTOUCHED, goes to an address that is none of our outside ones, and
 * could be recorded; if its destination is in the tunnel, nat_record() is to follow.
 */
[[nodiscard]] enum nat_verdict nat_end_to_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	struct mono now,
	bool *ret_is_new);
/* Remember a flow that the LAN begins.  UNTOUCHED, or a drop verdict. */
[[nodiscard]] enum nat_verdict
nat_record(struct nat *nat, struct nat_local *local, const struct nat_look *look, struct mono now);

/* Of a packet that was read and fetched: it is of a live flow, and so keeps that alive. */
bool nat_is_of_flow(const struct nat *nat, const struct nat_look *look);

/*
 * Of a packet that was read and fetched towards the tunnel: whether it may be for an inside
 * endpoint.  False: it is of a flow that is not translated, of no flow, or for the box itself.
 */
bool nat_may_translate(const struct nat *nat, const struct nat_look *look, const struct ip_view *v);

/* All steps for one packet; nat_to_tunnel() records what is new. */
[[nodiscard]] enum nat_verdict nat_from_tunnel(struct nat *nat,
	struct nat_local *local,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source,
	struct mono now);
[[nodiscard]] enum nat_verdict nat_to_tunnel(struct nat *nat,
	struct nat_local *local,
	uint8_t *p,
	const struct ip_view *v,
	struct mono now);

/*
 * Whether a packet from the tunnel is for a mapping of ours: its destination is an outside address,
 * its port (identifier) is mapped.  Give it to nat_from_tunnel(), which answers NAT_HAIRPIN, with
 * that same address as the source.
 */
bool nat_is_hairpin(const struct nat *nat, const uint8_t *p, const struct ip_view *v);

/*
 * Main thread: look at up to `budget` rows, retire those that are idle for too long or belonged to
 * a dead forwarder.  Returns how many wait for nat_release().
 */
uint32_t nat_sweep(struct nat *nat, struct mono now, uint32_t budget);
/* Every worker has passed a quiescent point since nat_sweep(): the retired rows are free. */
void nat_release(struct nat *nat);

/* Live flows as of the sweep's last whole round. */
uint32_t nat_flow_count(const struct nat *nat);

/* A flow as status shows it. */
struct nat_flow_view {
	struct addr inside, outside, remote; /* PLAIN: outside is inside */
	uint16_t inside_port, outside_port, remote_port;
	uint8_t protocol;
	bool is_translated;
	const char *state; /* "new", "open", "closing" */
	int64_t age_ns, idle_ns;
};

/*
 * Call `each` for every live flow in memory that somebody else writes, until it returns false.
 * map, len: the mapped region, of which nothing is trusted.  Returns the number of flows told, or
 * ERR_VERSION, or ERR_TRUNCATED: it is shorter than its layout.
 */
int nat_foreach(const void *map,
	size_t len,
	struct mono now,
	bool (*each)(void *context, const struct nat_flow_view *flow),
	void *context);

#endif
