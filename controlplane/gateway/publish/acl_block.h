/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A packet filter's table on its way from the thread that compiled it to the data plane: bytes that
 * never change, shared by all who hold a reference.
 *
 * Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_PUBLISH_ACL_BLOCK_H
#define CONTROLPLANE_GATEWAY_PUBLISH_ACL_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/policy/acl_table.h"

struct acl_block {
	_Atomic uint32_t refs;
	size_t len;                  /* bytes */
	_Alignas(8) uint8_t bytes[]; /* a struct acl_table */
};

/*
 * A copy of a table that acl_build() made, with one reference.
 * 0, -E2BIG (the data plane has room for SHM_MAX_FILTER bytes), -ENOMEM.
 */
[[nodiscard]] int acl_block_create(const struct acl_table *table, struct acl_block **ret_block);

/* One more reference; returns the block.  NULL is allowed, here and below. */
struct acl_block *acl_block_ref(struct acl_block *block);
void acl_block_unref(struct acl_block *block);

/* Whether both give the same verdicts: the same bytes but for the number of their generation. */
bool acl_block_equal(const struct acl_block *a, const struct acl_block *b);

#endif
