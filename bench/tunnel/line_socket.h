/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A line that is an ordinary UDP socket: bursts by sendmmsg() and recvmmsg(), super-packets by
 * UDP_SEGMENT and UDP_GRO.
 *
 * Source: udp(7), socket(7), network_namespaces(7); Linux Documentation/networking/udp_gso is none,
 *         so: net/ipv4/udp_offload.c for the limits.
 */
#ifndef BENCH_TUNNEL_LINE_SOCKET_H
#define BENCH_TUNNEL_LINE_SOCKET_H

#include <stdbool.h>

#include "bench/tunnel/line.h"

struct line_socket_config {
	const char *netns;       /* name as of `ip netns`, or a path; NULL: where we are */
	struct endpoint local;   /* ADDR_NONE: any address; port 0: any */
	struct endpoint remote;  /* ADDR_NONE: not connected, every packet has its place */
	enum addr_family family; /* needed only if both are ADDR_NONE */
	bool has_no_offload;     /* never merge and never ask for merged ones */
	bool is_reused;          /* several sockets on one port: receive with one of them only */
	const char *interface;   /* line_open(): frames over AF_XDP there; NULL: this socket only */
	struct addr towards;     /* with it: where packets will go, if remote is ADDR_NONE */
};

/* What failed, so that the caller can say what to do. */
enum line_step {
	LINE_STEP_NETNS,
	LINE_STEP_SOCKET,
	LINE_STEP_BIND,
	LINE_STEP_CONNECT,
};

/* 0; or -errno, with *ret_step set. */
[[nodiscard]] int line_socket_open(const struct line_socket_config *config,
	struct line **ret_line,
	enum line_step *ret_step);

/* The address and port that it got. */
struct endpoint line_socket_local(const struct line *line);

#endif
