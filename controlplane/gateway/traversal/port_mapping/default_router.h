/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The router that our IPv4 packets to the Internet go to.
 *
 * Source: proc(5), /proc/net/route: the table `main`, in which no route of ours lies;
 *         ../shared/protocol/peer.md 5.5.
 * Thread: any.  default_router_parse() is pure.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_DEFAULT_ROUTER_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_PORT_MAPPING_DEFAULT_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/net/addr.h"

#define DEFAULT_ROUTER_MAX_TEXT                                          \
	(128u << 10) /* of the table, some 1,000 lines; more is not read \
	              */

/*
 * The default route's next hop with the smallest metric; false: there is none, or it is no private
 * address: whoever gives us a public one is no router of the kind that maps ports.
 * text: as the kernel writes it; need not end in zero.
 */
bool default_router_parse(const char *text, size_t len, struct addr *ret_router);

/* The same for this host, now. */
bool default_router_find(struct addr *ret_router);

#endif
