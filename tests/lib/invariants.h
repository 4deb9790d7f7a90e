/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What must be true of a forwarder's memory between any two commands, whoever died or lied.
 */
#ifndef TESTS_LIB_INVARIANTS_H
#define TESTS_LIB_INVARIANTS_H

#include <stdbool.h>

#include "lib/shm/shm_abi.h"

/*
 * The first thing that is not so, as a sentence; NULL: all is well.
 *
 * Every slot in a peer's keypairs holds a session of that peer, complete, and is in no other place;
 * its peer exists in what is applied.  swept: after apply_sweep(), so that also every session
 * belongs to a peer, and free slots hold no key.
 */
const char *
memory_broken(const struct shm_state *state, const struct shm_sessions *keys, bool swept);

#endif
