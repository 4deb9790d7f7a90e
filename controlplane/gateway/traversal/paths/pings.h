/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Pings to one peer that wait for their pong, oldest first.
 *
 * Owner:  embedded in a peer; takes no memory while none waits.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_PINGS_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PATHS_PINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/net/addr.h"
#include "lib/traversal/disco.h"

#define PINGS_MAX 512

struct ping {
	uint8_t txid[DISCO_TXID_LEN];
	struct endpoint to; /* ADDR_NONE: through the relay */
	uint16_t region;    /* of that relay */
	uint32_t payload_len;
	bool is_asked; /* somebody waits for the answer: */
	uint64_t token;
	struct mono sent;
};

struct pings { /* starts zeroed */
	struct ping *items;
	uint16_t n, room;
};

void pings_fini(struct pings *p);
/* 0, ERR_FULL or -ENOMEM. */
[[nodiscard]] int pings_add(struct pings *p, const struct ping *ping);
/* Take out the one that was added last, which there is. */
void pings_drop_last(struct pings *p);
/* Take out the one with this transaction id; false: there is none. */
bool pings_take(struct pings *p, const uint8_t txid[static DISCO_TXID_LEN], struct ping *ret_ping);
/* Take out the oldest if it waits too long; false: none does. */
bool pings_take_expired(struct pings *p, struct mono now, struct ping *ret_ping);
/* When the oldest has waited too long, or never. */
struct mono pings_next(const struct pings *p);
/* Whether one with this token still waits. */
bool pings_is_asked(const struct pings *p, uint64_t token);
/* Nobody waits for this token any more. */
void pings_forget_token(struct pings *p, uint64_t token);

#endif
