/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Out of the worker: to the port.
 */

#include "dataplane/stage/stages.h"

static void
transmit(struct worker *w, struct port *port, struct burst *b)
{
	uint32_t taken;

	if (b->n == 0)
		return;
	taken = port->ops->tx(port, w->id, b->pkt, b->n);
	for (uint32_t i = taken; i < b->n; i++)
		drop(w, b->pkt[i], DROP_TX_FULL);
	b->n = 0;
}

void
host_transmit(struct worker *w, struct burst *b)
{
	transmit(w, w->host, b);
	step_done(w->ticks, STEP_HOST_TRANSMIT);
}

void
wire_transmit(struct worker *w, struct burst *b)
{
	transmit(w, w->wire, b);
	step_done(w->ticks, STEP_WIRE_TRANSMIT);
}
