/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A program of a few instructions for a line over AF_XDP: UDP over IPv4 to one port goes to the
 * socket of its queue, everything else to the kernel.
 *
 * Written in instructions, so that a bench needs no compiler for BPF.
 */
#ifndef BENCH_TUNNEL_XDP_MATCH_H
#define BENCH_TUNNEL_XDP_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As an xdp_attach (dataplane/io/xdp_open.h).  context: the port, a uint16_t in host order. */
[[nodiscard]] int xdp_match_attach(void *context,
	uint32_t ifindex,
	bool generic,
	unsigned n_queues,
	int *ret_link,
	int *ret_xskmap,
	char *why,
	size_t why_size);

#endif
