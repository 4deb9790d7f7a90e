/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Three gateways in memory with sessions between them:
 *
 *      near ------------ far ------------ third
 *   10.1.0.0/16      10.2.0.0/16       10.3.0.0/16
 *   fd01::/16        fd02::/16         fd03::/16
 *
 * `far` is peer 0 of near and of third; near is peer 0 and third peer 1 of far.  Each has .1 and
 * ::1 of its networks and sends ICMP errors from there.  One worker each, run by the caller.  With
 * GATEWAYS_SHARED in the environment it works as if there were others.
 */
#ifndef TESTS_LIB_GATEWAYS_H
#define TESTS_LIB_GATEWAYS_H

#include "dataplane/in_memory.h"

#define NEAR_INDEX      0x00100001u /* near's index for the session with far */
#define FAR_INDEX       0x7ff00001u /* far's for that */
#define FAR_THIRD_INDEX 0x00300002u
#define THIRD_INDEX     0x00400001u
#define FAR_SLOT        1u

struct gateways {
	struct in_memory *near, *far, *third;
};

/* A datagram or an inner packet, out of its buffer. */
struct message {
	size_t len;
	uint8_t ecn;
	struct pkt_outer outer;
	uint8_t data[4096];
};

void gateways_create(struct gateways *g, bool with_sessions);
/* The session between near and far; near is its initiator. */
void gateways_connect_far(struct gateways *g);
void gateways_connect_third(struct gateways *g);
/* Also checks that no packet buffer is lost, and that nothing waits.  Reports to tap. */
void gateways_destroy(struct gateways *g);

/* Take what a gateway sent.  False: nothing. */
bool gateway_take_wire(struct in_memory *m, struct message *ret_msg);
bool gateway_take_host(struct in_memory *m, struct message *ret_msg);

/* A packet from the host; one round.  True if a message left for the wire. */
bool gateway_seal(struct in_memory *m, const void *inner, size_t len, struct message *ret_msg);
/* A message arrives; one round. */
void gateway_receive(struct in_memory *m, const struct message *msg);
/* A message arrives; one round; True if a packet went to the host. */
bool gateway_open(struct in_memory *m, const struct message *msg, struct message *ret_inner);
/* Hand on everything that one gateway sent, as it is; one round if there was any.  Their number. */
unsigned gateway_carry(struct in_memory *from, struct in_memory *to);

/* A transport message for far's session with near, with any plaintext. */
void gateway_seal_raw(struct in_memory *far,
	uint64_t counter,
	const void *plaintext,
	size_t len,
	struct message *ret_msg);

#endif
