/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/path/drop.h"

#include <assert.h>

#include "lib/shm/shm_abi.h"

static_assert(N_DROP_REASONS <= SHM_MAX_DROPS, "each reason has a counter");

const char *
drop_name(unsigned reason)
{
	static const char *const names[] = {
#define X(id, name, help) [id] = name,
		DROP_REASONS(X)
#undef X
	};

	return reason < N_DROP_REASONS ? names[reason] : "unknown";
}
