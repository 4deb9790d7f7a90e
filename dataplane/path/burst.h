/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packets processed together.  A stage keeps what may go on and takes the rest out: dropped with a
 * reason, handed over, or waiting.
 */
#ifndef DATAPLANE_PATH_BURST_H
#define DATAPLANE_PATH_BURST_H

#include <stdint.h>

#include "dataplane/path/pkt.h"
#include "lib/net/headers.h"

#define BURST_MAX 64

struct burst {
	uint32_t n;
	struct pkt *pkt[BURST_MAX];
	struct ip_view view[BURST_MAX]; /* of the inner packet, once a stage has parsed it */
};

/* Put a packet back at the position `kept` of a burst that is being filtered in place. */
static inline void
burst_keep(struct burst *b, uint32_t kept, uint32_t i)
{
	if (kept != i) {
		b->pkt[kept] = b->pkt[i];
		b->view[kept] = b->view[i];
	}
}

#endif
