/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread `coord`: configuration, the host (kernel/), names, the state file, the local API,
 * signals.  It may take its time; packets and handshakes do not wait for it.
 *
 * Owner:  main().  Thread: the main thread.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_H
#define CONTROLPLANE_GATEWAY_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/gateway.h"
#include "controlplane/gateway/api/capture.h"
#include "controlplane/gateway/api/listen.h"
#include "controlplane/gateway/api/reload.h"
#include "controlplane/gateway/api/request.h"
#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/kernel/journal.h"
#include "controlplane/gateway/mailbox.h"
#include "controlplane/gateway/resolve.h"
#include "controlplane/gateway/state_file.h"
#include "controlplane/gateway/surroundings.h"
#include "controlplane/gateway/tailnet/member.h"

struct coord_options {
	const char *config_path, *run_dir, *state_dir; /* borrowed for ever */
};

struct coord {
	struct coord_options options;
	struct mono started, now;
	struct config_gateway *config; /* in force; keys in it are wiped */
	uint64_t last_number, settled_number;
	struct mono member_due;
	struct reload reload;
	struct mailbox *to_wire, *inbox;
	struct journal *journal; /* NULL: changes to the host cannot be undone, so none are made */
	struct host *host;
	struct surroundings around;
	bool host_failing;
	struct mono host_retry;
	uint64_t exceptions_generation;
	bool exceptions_sent;
	struct resolve *resolve;
	struct state_file state;
	char state_path[4096];
	char journal_path[4096];
	bool state_failing;
	struct member *member; /* NULL: peers are in the configuration */
	struct api api;
	struct status_queue asking;
	uint64_t status_number;
	struct capture_stream capture;
	struct mono capture_due;
	int signals, epoll;
	bool stopping, stopped; /* asked to end; the wire thread has ended */
};

/*
 * Open everything, change nothing.  Takes ownership of `config` on success.  Errors are said in the
 * log.  0 or -errno.
 */
[[nodiscard]] int coord_init(struct coord *c,
	const struct coord_options *options,
	struct config_gateway *config,
	struct mailbox *to_wire,
	struct mailbox *inbox);
/* Until a signal says to end; the wire thread runs already and has ended after it. */
void coord_run(struct coord *c);
void coord_fini(struct coord *c);

#endif
