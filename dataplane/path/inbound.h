/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Tunnel -> host, LAN or another peer.
 */
#ifndef DATAPLANE_PATH_INBOUND_H
#define DATAPLANE_PATH_INBOUND_H

#include "dataplane/path/worker.h"

/* Run a burst of UDP payloads through all stages.  The burst is empty afterwards. */
void inbound_run(struct worker *w, struct burst *b);

#endif
