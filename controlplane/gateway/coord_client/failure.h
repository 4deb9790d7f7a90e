/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What went wrong with the coordination server, for people: what, why, what to do.
 *
 * Owner:  texts are written into the failure.  Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_FAILURE_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_FAILURE_H

#include "controlplane/gateway/coord_client/coord_client.h"

/* server: "hs.example:443".  why: a fragment, of any bytes; only what can be printed is taken. */
void coord_failure_write(struct coord_failure *f,
	enum coord_failure_kind kind,
	const char *server,
	const char *why);

/* Of a failure before the server said anything. */
void coord_failure_from_stream(struct coord_failure *f,
	const char *server,
	const struct stream_failure *failure);

/* The server's refusal of a registration, with what can be done about that. */
void coord_failure_refused(struct coord_failure *f, const char *server, const char *text);

/* Whether the server has the same time as we, as far as certificates care.  When not, the failure
 * becomes one of the clock. */
void coord_failure_compare_clocks(struct coord_failure *f,
	const char *server,
	int64_t our_s,
	int64_t their_s);

#endif
