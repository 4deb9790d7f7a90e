/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A gateway in memory with two link ports, and a client behind a tunnel:
 *
 *     client ===== tunnel ===== wan (link 0)  gateway  lan (link 1) ----- 192.168.77.0/24
 *     100.64.0.2                192.0.2.2     100.64.0.1   192.168.77.1   fd77::/64
 *     fd7a::2                   2001:db8::2   fd7a::1      fd77::1
 *     at 192.0.2.9:41641, or [2001:db8::9]:41641
 *
 * Behind 192.168.77.254 is 192.168.78.0/24 (a route of 1,000 bytes: 192.168.79.0/24); behind
 * 192.0.2.254 everything else.  172.16.0.0/12 is the kernel's, 198.51.100.0/24 refused.  Peer 1 has
 * 10.3.0.0/16 and no session.  100.64.0.0/10 and fd7a::/48 are otherwise nobody's.  The tunnel's
 * MTU is 1280, the links' 1500.  There is no filter and no NAT.
 *
 * Hosts' link-layer addresses are 02:00:00:00:00:XX, XX being the last byte of their address.
 */
#ifndef TESTS_LIB_LINK_WORLD_H
#define TESTS_LIB_LINK_WORLD_H

#include "dataplane/in_memory.h"

#define WAN 0u
#define LAN 1u

#define LINK_WORLD_MTU     1280
#define LINK_WORLD_CLIENT  9   /* last bytes of addresses of the link layer */
#define LINK_WORLD_HOST    5   /* 192.168.77.5, fd77::5 */
#define LINK_WORLD_ROUTER  254 /* 192.168.77.254 */
#define LINK_WORLD_GATEWAY 253 /* 192.0.2.254, the way to the rest of the world */

struct link_world {
	struct in_memory *gateway, *client;
	struct shm_net *net; /* as it was said last: change, then link_world_say() */
};

enum place {
	NOWHERE,
	BY_LAN,    /* a frame: `data` is the IP packet */
	BY_WAN,    /* the same, and no sealed message */
	TO_CLIENT, /* a sealed message by the WAN's link: `data` is what the client got out of it */
	BY_SOCKET, /* the same by the kernel's socket */
	TO_HOST,   /* the kernel's */
};

struct output {
	enum place place;
	uint8_t to_mac;         /* its last byte */
	uint8_t tos;            /* of the outer packet */
	struct pkt_outer outer; /* seen from the gateway */
	uint32_t outer_len;     /* IP packet */
	bool outer_may_be_cut;  /* its DF is clear, or IPv6 */
	size_t len;
	uint8_t data[2048];
};

void link_world_create(struct link_world *w);
/* Also checks that no packet buffer is lost.  Reports to tap. */
void link_world_destroy(struct link_world *w);
/* Say the network anew, as w->net is now. */
void link_world_say(struct link_world *w);
/* Add a route to w->net.  gateway, source: may be NULL. */
struct shm_net_route *link_world_route(struct link_world *w,
	const char *prefix,
	enum shm_route_kind kind,
	unsigned link,
	const char *gateway,
	const char *source);
/* The client is reached at this endpoint. */
void link_world_endpoint(struct link_world *w, const char *remote, const char *local);

/* Write a frame for the gateway's port: its length. */
size_t
link_world_frame(uint8_t *frame, unsigned link, uint8_t from, const void *packet, size_t len);
/* A frame, or a packet from a host there, arrives; one round. */
void link_world_push(struct link_world *w, unsigned link, const void *frame, size_t len);
void
link_world_from(struct link_world *w, unsigned link, uint8_t from, const void *packet, size_t len);
/* The client's host sends a packet, which arrives in a frame; one round. */
void
link_world_from_client(struct link_world *w, const void *packet, size_t len, uint8_t outer_ecn);
/* The sealed message that it would send, as an IP packet. */
size_t link_world_seal(struct link_world *w,
	const void *packet,
	size_t len,
	uint8_t outer_ecn,
	uint8_t *ret);

/* The oldest thing that left the gateway.  False (and NOWHERE): nothing. */
bool link_world_out(struct link_world *w, struct output *ret);

#endif
