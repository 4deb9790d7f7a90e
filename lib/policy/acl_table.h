/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The packet filter as workers look it up: one block of fixed-size rows that holds no pointers, so
 * that it can be handed to another process, which checks it once with acl_table_check().
 *
 * Sources that see the same rules form a class, and so do destinations that the same rules name;
 * the address space is cut into intervals, each with the number of its class.  A verdict is two
 * binary searches and one walk along two sorted lists of rule numbers, that of the source's class
 * and that of the destination's.
 *
 *     struct acl_table | per family and side: bounds, classes, class rows, entries | protocols
 *
 * Thread: never changed after it was made; any number may read.
 */
#ifndef LIB_POLICY_ACL_TABLE_H
#define LIB_POLICY_ACL_TABLE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/policy/acl_packet.h"

#define ACL_TABLE_MAGIC   UINT32_C(0x6c636173) /* "sacl" */
#define ACL_TABLE_VERSION 1
#define ACL_MAX_EXEMPT    8

/* Of an entry of a source class: this rule names the source by address, not by a capability. */
#define ACL_BY_ADDRESS 1u

#define ACL_CLASS_LOCAL 1u /* destinations: may be delivered here at all */
#define ACL_CLASS_CAP   2u /* sources: satisfies a "cap:" of some rule with a destination */

struct acl_class {
	uint32_t first; /* entry */
	uint32_t count;
	uint32_t flags;
	uint32_t unused;
};

/* An entry of a source class is a uint32_t: rule << 1 | ACL_BY_ADDRESS.  One of a destination: */
struct acl_dst {
	uint32_t rule;
	uint16_t first_port, last_port; /* first > last: no port */
};

/* One side of one family.  What ends in _at counts bytes from the start of the table. */
struct acl_side {
	uint32_t bounds_at;   /* struct acl_addr[n_intervals]: first addresses, ascending from 0 */
	uint32_t classes_at;  /* uint32_t[n_intervals]: numbers of classes */
	uint32_t rows_at;     /* struct acl_class[n_rows] */
	uint32_t entries_at;  /* of classes: in each sorted by rule */
	uint32_t n_intervals; /* at least 1 */
	uint32_t n_rows;
	uint32_t n_entries;
	uint32_t unused;
};

struct acl_family {
	struct acl_side src, dst;
	uint32_t protocols_at; /* uint64_t[n_rules][4]: bit n of a rule, protocol n */
	uint32_t n_rules;      /* those with a destination of this family */
};

/* TCP to this address and port is let in though no rule does: the peer API (peer.md 9.1, 8). */
struct acl_exempt {
	struct acl_addr dst;
	uint16_t port;
	uint8_t family;
	uint8_t unused[5];
};

struct acl_table {
	uint32_t magic;
	uint32_t version;
	uint64_t generation; /* no two tables have the same: cached verdicts die with theirs */
	uint32_t size_bytes; /* of all */
	uint32_t n_exempt;
	struct acl_exempt exempt[ACL_MAX_EXEMPT];
	struct acl_family families[2]; /* IPv4, IPv6 */
};

static_assert(sizeof(struct acl_addr) == 16, "part of the layout");
static_assert(sizeof(struct acl_class) == 16, "part of the layout");
static_assert(sizeof(struct acl_dst) == 8, "part of the layout");
static_assert(sizeof(struct acl_side) == 32, "part of the layout");
static_assert(sizeof(struct acl_family) == 72, "part of the layout");
static_assert(sizeof(struct acl_exempt) == 24, "part of the layout");
static_assert(sizeof(struct acl_table) == 24 + 8 * 24 + 2 * 72, "part of the layout");

static inline const struct acl_family *
acl_table_family(const struct acl_table *t, uint8_t family)
{
	return &t->families[family == ADDR_V6];
}

static inline const void *
acl_table_at(const struct acl_table *t, uint32_t offset)
{
	return (const char *)t + offset;
}

/*
 * Whether len bytes at `memory`, aligned to 8, are a table that can be looked up without reading
 * beyond them and without an endless walk.  What the rules say is not judged.
 *
 * 0, ERR_TRUNCATED, ERR_VERSION or ERR_BAD_FORMAT.
 */
[[nodiscard]] int acl_table_check(const void *memory, size_t len);

#endif
