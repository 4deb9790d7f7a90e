/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Taking things away from workers that may still look at them: sessions and paths.
 *
 * Source: docs/shm-abi.md, "Sessions".
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_RETIRE_H
#define DATAPLANE_CTL_RETIRE_H

#include "dataplane/ctl/apply_state.h"

/* Put a session slot on the list of those to be wiped, unless it is free or in a peer's keypairs.
 */
void apply_retire(struct apply *a, uint32_t slot);

/* Let a quiescent point pass and wipe what was retired; says SESSION_FREED for each. */
void apply_flush_retired(struct apply *a);

/* Set where a peer's packets go, waiting for those under way if it was set just before. */
void apply_set_path(struct apply *a, uint32_t peer, const struct shm_path *path);

#endif
