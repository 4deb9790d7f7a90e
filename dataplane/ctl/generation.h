/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Generations: peers and prefixes that change as a whole.  The half of `applied` that is not in use
 * is the workbench; a commit checks it, builds tables from it, publishes them, and flips.
 *
 * Source: docs/shm-abi.md, "Commands".
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_GENERATION_H
#define DATAPLANE_CTL_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/ctl/apply_state.h"

/* Publish the tables of what is applied now (an empty table if nothing is).  As apply_init(). */
[[nodiscard]] int generation_publish_applied(struct apply *a);

/* Say all of what is applied now, and paths, to a->steering, which is new. */
void generation_steer_applied(struct apply *a);

/* End what a predecessor's last commit had begun: rid the peers of what former holders left. */
void generation_finish_commit(struct apply *a);

/* Whether a peer exists in what is applied now. */
bool generation_has_peer(const struct apply *a, uint32_t peer);

/* BEGIN and the rows of an open generation. */
void generation_row(struct apply *a, const struct shm_command *cmd);

/* Returns 0 or enum shm_refusal; refused: what was applied stays. */
uint32_t generation_commit(struct apply *a, uint64_t generation);

#endif
