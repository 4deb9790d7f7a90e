/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Commands -> tables and sessions.  The only reader of the command ring.
 *
 * Source: docs/shm-abi.md, "Commands".
 * Thread: the forwarder's main thread.
 */
#ifndef DATAPLANE_CTL_APPLY_H
#define DATAPLANE_CTL_APPLY_H

#include "dataplane/ctl/apply_state.h"
#include "dataplane/ctl/retire.h"

/* Take over what the predecessor applied and publish it.  0, -ENOMEM, or -EINVAL (memory damaged).
 */
[[nodiscard]] int apply_init(struct apply *a);

/*
 * Say everything that is applied to the steer program's maps, and every change from now on.  Later
 * than apply_init(): packets need not wait for it, since the maps still hold what a predecessor
 * wrote.
 */
void apply_start_steering(struct apply *a, struct steering *steering);
void apply_fini(struct apply *a);

/* Execute one command, copied out of the ring.  The copy's keys are wiped. */
void apply_command(struct apply *a, struct shm_command *cmd);

/* Once in a while: sessions that no peer points to any more (a lost event, a death half way). */
void apply_sweep(struct apply *a);

#endif
