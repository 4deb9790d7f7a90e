/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Several routing tables of the kernel, in the order of the rules, as the one list that they amount
 * to: for every address the route that the kernel would find.  What cannot be said by one row is
 * SHM_ROUTE_KERNEL.  Pure.
 *
 * Source: ip-rule(8): the first table with a route for the address decides, whatever longer prefix
 * a later one has; a `throw` lets the look-up go on. Owner:  embedded; starts zeroed;
 * route_merge_fini() frees what it holds.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_ROUTE_MERGE_H
#define CONTROLPLANE_GATEWAY_KERNEL_ROUTE_MERGE_H

#include "controlplane/gateway/kernel/message.h"
#include "controlplane/gateway/kernel/network.h"

struct merge_row;

struct route_merge {
	struct network_route *rows; /* of the tables that ended; sorted, each prefix once */
	size_t n;
	struct merge_row *table; /* the one being read */
	size_t n_table, room;
};

/* Begin a table, also once more when the kernel says that it changed while it was read. */
void route_merge_begin(struct route_merge *m);
/* A route of it.  0, or -ENOMEM. */
[[nodiscard]] int route_merge_add(struct route_merge *m, const struct route_row *route);
/* The table is read: what it adds to the earlier ones is in `rows`.  0, or -ENOMEM. */
[[nodiscard]] int route_merge_end(struct route_merge *m);

/*
 * After the last table.  No more than `max` rows, by leaving out routes of the host beyond those
 * that matter here: addresses of the box and what touches `keep` stay, a SHM_ROUTE_KERNEL row per
 * family stands for all that left.  The number of rows that went; `rows` is sorted as before.
 */
size_t
route_merge_finish(struct route_merge *m, size_t max, const struct prefix *keep, size_t n_keep);

void route_merge_fini(struct route_merge *m);

#endif
