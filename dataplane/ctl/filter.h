/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter's part of a generation: its table comes in parts and fills the place that what
 * is applied does not use.
 *
 * Source: docs/shm-abi.md, "Commands".
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_FILTER_H
#define DATAPLANE_CTL_FILTER_H

#include <stdbool.h>

#include "dataplane/ctl/apply_state.h"

/* A generation begins: a delta has the applied one's table, a full one none. */
void filter_begin(struct apply *a,
	const struct shm_applied_half *applied,
	struct shm_applied_half *next);

/* One part.  False: it does not follow the one before, or there is no room. */
[[nodiscard]] bool filter_part(struct apply *a,
	const struct shm_applied_half *applied,
	struct shm_applied_half *next,
	const struct shm_cmd_filter *part);

/* All parts are there, if any came, and are a table that may be looked up. */
[[nodiscard]] bool filter_settle(struct apply *a, struct shm_applied_half *next);

/* The table of a half that was settled; NULL: none.  Valid until another commit has come. */
const struct acl_table *filter_of(const struct apply *a, const struct shm_applied_half *half);

/* That of a predecessor; NULL also if it is damaged, and then nothing is let in. */
const struct acl_table *filter_take_up(struct apply *a, const struct shm_applied_half *half);

#endif
