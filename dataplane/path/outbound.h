/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Host, LAN or another peer -> tunnel.
 */
#ifndef DATAPLANE_PATH_OUTBOUND_H
#define DATAPLANE_PATH_OUTBOUND_H

#include "dataplane/path/worker.h"

/* Run a burst of inner packets from the host through all stages.  Empty afterwards. */
void outbound_run(struct worker *w, struct burst *b);

/* The same for IP packets that link_unwrap() left, of this port. */
void outbound_run_from_link(struct worker *w, const struct net_port *port, struct burst *b);

/* The same for what inbound packets have left in w->to_peers, ICMP errors included. */
void outbound_run_to_peers(struct worker *w);

/* The rest of the way for packets whose peer is known: keepalives, packets that waited. */
void outbound_run_with_peer(struct worker *w, struct burst *b);

#endif
