/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reading the configuration again.  It is in force as a whole or not at all: first it is checked,
 * then the data plane takes it, then the host follows.  The caller makes these steps and says what
 * became of each; here is what is waited for, and what the client is told:
 *
 *     reload_read()       the file is right
 *     reload_sent()       the wire thread was told
 *     reload_settled()    the data plane has it, or refused it
 *     reload_done()       the host has it
 *
 * The client is one of the API, or 0 for a signal, which gets no answer.  Refusals are also logged.
 *
 * Owner:  embedded in coord.  Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_API_RELOAD_H
#define CONTROLPLANE_GATEWAY_API_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "config/gateway.h"
#include "controlplane/gateway/api/listen.h"
#include "lib/base/clock.h"

/* What a change is waiting for, and who wants to know. */
struct reload {
	struct api *api;  /* borrowed */
	const char *path; /* borrowed */
	bool under_way;
	uint32_t client; /* of the API; 0: a signal */
	uint64_t number;
	struct mono since;
	struct config_gateway *config; /* until the data plane has it */
	char *warnings;                /* lines, or NULL */
};

/* Both are borrowed until reload_fini(). */
void reload_init(struct reload *r, struct api *api, const char *config_path);
void reload_fini(struct reload *r);

/*
 * Read the file, unless another reload is under way.  What it says, to be passed on and then
 * reload_sent(); it stays the reload's.  NULL: it was refused.
 */
[[nodiscard]] struct config_gateway *reload_read(struct reload *r,
	const struct config_gateway *in_force,
	uint32_t client,
	struct mono now);
/* The wire thread knows it by this number; 0: there was no memory, the reload is over. */
void reload_sent(struct reload *r, uint64_t number, struct mono now);
/*
 * The data plane has answered; value 0: it has what it was asked for.  The configuration, the
 * caller's from now on, for the host to follow and reload_done(); NULL: nothing to do.
 */
[[nodiscard]] struct config_gateway *
reload_settled(struct reload *r, uint64_t number, int value, struct mono now);
void reload_done(struct reload *r, const struct config_gateway *in_force, struct mono now);
/* At least once a second: a client does not wait for ever. */
void reload_tick(struct reload *r, struct mono now);

#endif
