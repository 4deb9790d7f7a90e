/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/nat/nat.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/nat/fragment.h"
#include "lib/nat/table.h"

int
nat_use(struct nat_memory *m, struct nat **ret_nat)
{
	struct nat *nat;
	int err;

	if (m->head.magic != NAT_MAGIC || m->head.version != NAT_VERSION ||
		m->head.len != sizeof(*m))
		return ERR_VERSION;
	nat = calloc(1, sizeof(*nat));
	if (nat == NULL)
		return -ENOMEM;
	nat->m = m;
	memcpy(nat->secret, m->head.key, sizeof(nat->secret));
	err = nat_fragments_create(nat);
	if (err < 0) {
		free(nat);
		return err;
	}
	nat->writing = (atomic_fetch_add(&m->generation, 1) + 1) << NAT_STATE_BITS | NAT_WRITING;
	// Marks of predecessors' rounds mean nothing: theirs and ours must not be equal by chance.
	nat->round = nat->writing;
	nat_set(nat, NAT_PORT_FIRST, NAT_PORT_LAST);
	nat->next_id = (uint32_t)(nat->secret[0] >> 16 | 1);
	*ret_nat = nat;
	return 0;
}

void
nat_leave(struct nat *nat)
{
	if (nat == NULL)
		return;
	nat_fragments_destroy(nat);
	free(nat);
}

void
nat_set(struct nat *nat, uint16_t port_first, uint16_t port_last)
{
	if (port_first == 0 || port_first > port_last)
		return;
	atomic_store_explicit(
		&nat->range, port_first | (uint32_t)port_last << 16, memory_order_relaxed);
}
