/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
 *
 * Steering: the words that the XDP program, its maps and the forwarder that fills them share.  The
 * decision itself is steer_verdict.h.
 *
 * Source: ../shared/design/architecture.md, sections 3.1, 3.2 and 11.
 * Both sides: compiles for BPF and for user space; types only.
 */
#ifndef LIB_NET_STEER_H
#define LIB_NET_STEER_H

#include <linux/types.h>

enum steer_verdict {
	STEER_PASS = 0,       /* the kernel's */
	STEER_PASS_OTHER_MAC, /* not for this device's address: broadcast, multicast, bridged */
	STEER_PASS_VLAN,      /* tagged: no port of ours has VLANs, so it is another network's */
	STEER_PASS_WIRE, /* for our UDP port and let through by the sieve: handshakes, disco, STUN,
	                    fragments of transport data */
	STEER_WIRE,      /* transport data: to a worker, or else to the keeper's socket */
	STEER_INNER, /* for the tunnel, or an answer to a translated flow: to a worker or nobody */
	STEER_DROP_LENGTH,       /* sieve: no WireGuard message of this type has this length */
	STEER_DROP_SOURCE_LIMIT, /* sieve: too many from this source */
	STEER_DROP_TOTAL_LIMIT,  /* sieve: too many from sources that are no peer's */
	/* Made of WIRE and INNER by the program, when no worker's socket is there. */
	STEER_PASS_UNREAD,
	STEER_DROP_CLOSED,
	STEER_N_VERDICTS,
};

/* Flags of an address. */
#define STEER_ADDRESS_LOCAL    1u /* the box's own: transport data and the sieve */
#define STEER_ADDRESS_NAT      2u /* answers to translated flows come to it */
#define STEER_ADDRESS_REDIRECT 4u /* a host prefix with this action: the longest there is */
#define STEER_ADDRESS_PASS     8u

enum steer_prefix_action {
	STEER_PREFIX_NONE = 0,
	STEER_PREFIX_REDIRECT, /* behind the tunnel, or nobody's: to a worker, never forwarded in
	                          clear */
	STEER_PREFIX_PASS,     /* an exception inside a wider REDIRECT */
};

struct steer_addr {
	__u8 bytes[16]; /* network order; an IPv4 address in the first four, the rest zero */
	__u32 family;   /* 4 or 6 */
};
_Static_assert(sizeof(struct steer_addr) == 20, "key of a map: no padding");

/* Who wrote to our port.  Port 0: any. */
struct steer_source {
	__u8 bytes[16];
	__u16 port;  /* host order */
	__u8 family; /* 4 or 6 */
	__u8 class;  /* enum steer_class: of buckets; 0 in the table of known sources */
};
_Static_assert(sizeof(struct steer_source) == 20, "key of a map: no padding");

/* What the fragments of a datagram have in common (RFC 791, RFC 8200 section 4.5). */
struct steer_fragment {
	__u8 src[16];
	__u8 dst[16];
	__u32 id;
	__u8 protocol; /* IPv6: 0 */
	__u8 family;
	__u8 pad[2];
};
_Static_assert(sizeof(struct steer_fragment) == 40, "key of a map: no padding");

/* A token bucket: at most `burst` at once, and one more each `interval_ns`.  Interval 0: no limit.
 */
struct steer_limit {
	__u32 interval_ns;
	__u32 burst;
};

/* What comes to our UDP port and is no transport data. */
enum steer_class {
	STEER_HANDSHAKE, /* WireGuard's types 1 to 3 */
	STEER_SIGNAL,    /* disco, STUN */
	STEER_OTHER,     /* port mapping answers, Geneve, junk */
	STEER_N_CLASSES,
};

struct steer_settings {
	__u16 listen_port; /* host order; 0: none, nothing is transport data */
	__u16 nat_first;   /* ports and echo identifiers of translated flows, host order */
	__u16 nat_last;    /* below nat_first: none */
	__u16 pad;
	struct steer_limit source[STEER_N_CLASSES]; /* per source */
	struct steer_limit total[STEER_N_CLASSES];  /* of all sources that are not known */
};
_Static_assert(sizeof(struct steer_settings) == 56, "value of a map");

/*
 * Limits that real peers never reach: a peer starts a handshake each 5 s at most (and is answered
 * by one message), a path is pinged a few times a second.  A source is an IPv4 address or an IPv6
 * /64; of a known source, also the port, so that peers behind one translator do not share.
 */
#define STEER_LIMITS                                             \
	.source = { { 20000000, 100 }, { 2000000, 1000 },        \
		{ 20000000, 100 } }, /* 50, 500, 50 /s */        \
		.total = { { 1000000, 1000 }, { 100000, 10000 }, \
			{ 1000000, 1000 } } /* 1k, 10k, 1k /s */

#endif
