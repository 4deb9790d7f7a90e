/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a struct network comes to be: for the files of this folder that make one.  Pure.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_NETWORK_MAKE_H
#define CONTROLPLANE_GATEWAY_KERNEL_NETWORK_MAKE_H

#include <stdatomic.h>

#include "controlplane/gateway/kernel/network.h"

/* What lies around each struct network; the network first. */
struct counted {
	struct network network;
	_Atomic unsigned references;
};

/* An empty one with one reference, or NULL. */
struct network *network_create(void);

/* The order of `routes`, for qsort() and bsearch(). */
int network_route_compare(const void *a, const void *b);

/* Of sorted rows: the one of this very prefix; the longest that contains all of it.  Or NULL. */
const struct network_route *
network_route_find(const struct network_route *rows, size_t n, const struct prefix *p);
const struct network_route *
network_route_covering(const struct network_route *rows, size_t n, const struct prefix *p);

#endif
