/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a frame to an address has to go: what the kernel's routes and neighbours say, for those who
 * send frames themselves.  IPv4 only.
 *
 * Source: proc(5), /proc/net/route and /proc/net/arp.  Thread: looks into the network namespace
 * that the calling thread is in.
 */
#ifndef BENCH_TUNNEL_NEXT_HOP_H
#define BENCH_TUNNEL_NEXT_HOP_H

#include <stdint.h>

#include "lib/net/addr.h"

/*
 * The next hop towards `to`.  Asks the kernel to find it out, and waits for a second at most.
 * Returns 0, -EAFNOSUPPORT (not IPv4), -ENETUNREACH (no route), -EHOSTUNREACH (no answer).
 */
[[nodiscard]] int next_hop_find(const struct addr *to, uint8_t ret_mac[6]);

#endif
