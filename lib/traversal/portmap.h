/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asking the router for a port: requests and responses of NAT-PMP and of PCP, for UDP and IPv4.
 * Both are spoken to port 5351 of the router from one socket, so one function reads both.
 *
 * Source: RFC 6886 section 3 (NAT-PMP); RFC 6887 sections 7, 11 and 14 (PCP);
 *         ../shared/protocol/peer.md 5.5.
 * Thread: any; no hidden state.
 *
 * A router forgets its mappings when it restarts, and says so by an epoch that is lower than the
 * one it told before.
 */
#ifndef LIB_TRAVERSAL_PORTMAP_H
#define LIB_TRAVERSAL_PORTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define PORTMAP_PORT       5351
#define PORTMAP_LIFETIME_S 7200 /* to ask for; 0 deletes */

#define NATPMP_ADDRESS_REQUEST_LEN 2
#define NATPMP_MAP_REQUEST_LEN     12
#define PCP_ANNOUNCE_LEN           24
#define PCP_MAP_LEN                60 /* request and response */
#define PCP_NONCE_LEN              12
#define PCP_MAX_LEN                1100

enum portmap_protocol {
	PORTMAP_NATPMP = 0, /* the version byte */
	PORTMAP_PCP = 2,
};

enum portmap_kind {
	PORTMAP_ADDRESS,  /* NAT-PMP: the router's external address */
	PORTMAP_MAPPING,  /* both */
	PORTMAP_ANNOUNCE, /* PCP: it is there */
};

enum portmap_result { /* the two protocols number them differently */
	PORTMAP_OK,
	PORTMAP_BAD_VERSION,      /* it speaks the other one, if any */
	PORTMAP_NOT_AUTHORIZED,   /* it can, but it is switched off */
	PORTMAP_NETWORK_FAILURE,  /* for instance it has no address itself yet */
	PORTMAP_NO_RESOURCES,     /* too many mappings */
	PORTMAP_UNSUPPORTED,      /* opcode, option or protocol */
	PORTMAP_ADDRESS_MISMATCH, /* PCP: another NAT lies between us and it */
	PORTMAP_OTHER_FAILURE,
};

struct portmap_request { /* a mapping to make, to renew or to delete */
	uint16_t internal_port;
	uint32_t lifetime_s;          /* PORTMAP_LIFETIME_S; 0 deletes */
	struct endpoint external;     /* suggested: what was granted before, or zeros */
	struct addr client;           /* PCP: our address towards the router, IPv4 */
	uint8_t nonce[PCP_NONCE_LEN]; /* PCP: random, and the same for a mapping's whole life */
};

struct portmap_response {
	enum portmap_protocol protocol;
	enum portmap_kind kind;
	enum portmap_result result;
	uint32_t epoch_s;
	/* The following only if the result is OK. */
	struct endpoint
		external; /* PORTMAP_ADDRESS: without port; NAT-PMP mappings: without address */
	uint16_t internal_port;       /* of mappings */
	uint32_t lifetime_s;          /* of mappings: granted; renew at half of it */
	uint8_t nonce[PCP_NONCE_LEN]; /* of PCP mappings */
};

void natpmp_address_request_write(uint8_t out[static NATPMP_ADDRESS_REQUEST_LEN]);
void natpmp_map_request_write(uint8_t out[static NATPMP_MAP_REQUEST_LEN],
	const struct portmap_request *request);
void pcp_announce_write(uint8_t out[static PCP_ANNOUNCE_LEN], const struct addr *client);
void pcp_map_request_write(uint8_t out[static PCP_MAP_LEN], const struct portmap_request *request);

/*
 * Read what came from the router.  0, or
 *   ERR_TRUNCATED  shorter than its kind demands;
 *   ERR_VERSION    neither NAT-PMP nor PCP version 2;
 *   ERR_BAD_FORMAT a request, an opcode we never send, TCP, or a wrong length.
 * Failures need no more than the fixed header, as routers send no more.  The external address may
 * be one that is of no use: see portmap_address_is_usable().
 */
[[nodiscard]] int
portmap_response_read(const uint8_t *data, size_t len, struct portmap_response *ret_response);

/*
 * Whether a response (result OK) grants what was asked for: its internal port, and with PCP the
 * nonce, without which everyone on the LAN could answer.  Unless it was to be deleted, there must
 * be an external port and a lifetime.
 */
bool portmap_answers(const struct portmap_response *response,
	const struct portmap_request *request);

/* Not to be told to others: unspecified, loopback, multicast, or not IPv4. */
bool portmap_address_is_usable(const struct addr *addr);

#endif
