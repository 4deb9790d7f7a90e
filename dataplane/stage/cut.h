/* SPDX-License-Identifier: BSD-3-Clause
 *
 * IPv4 packets that are too long and may be cut: one by one the fragments, each a packet of its
 * own that goes where the whole one would.
 *
 * Thread: a worker, on its stack.
 */
#ifndef DATAPLANE_STAGE_CUT_H
#define DATAPLANE_STAGE_CUT_H

#include "dataplane/path/worker.h"

struct cut {
	struct pkt *whole;
	struct ip_view view;
	uint32_t mtu;
	uint32_t at, count; /* fragments */
};

/* Whether a packet longer than `mtu` may be cut. */
bool cut_is_possible(const struct ip_view *v, uint32_t mtu);

/* v: of p, which is cut into packets of `mtu` bytes at most.  p is the cutter's from here on. */
void cut_begin(struct cut *cut, struct pkt *p, const struct ip_view *v, uint32_t mtu);
/* NULL: there are no more, or no buffer was free, which is counted. */
struct pkt *cut_next(struct worker *w, struct cut *cut);
/* The whole is freed. */
void cut_end(struct worker *w, struct cut *cut);

#endif
