/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An interface over AF_XDP for the lines of one end: frames out by its first queue, frames in by
 * all.  Half of the buffers are for each way, so that the two need nothing of each other.
 *
 * Owner:  counted: each line holds one reference.
 * Thread: open and put for the main thread; out for one, in for another.
 */
#ifndef BENCH_TUNNEL_XDP_LINK_H
#define BENCH_TUNNEL_XDP_LINK_H

#include <stdint.h>

#include "dataplane/io/xdp_open.h"

struct xdp_link; /* opaque */

struct xdp_in { /* a frame that came */
	uint8_t *data;
	uint32_t len;
};

/*
 * The link of this interface of the namespace that the thread is in, made if nobody has it: what
 * goes to this UDP port comes in there.  netns: tells links of equal names apart.
 * Returns 0; or -errno, with `why`.
 */
[[nodiscard]] int xdp_link_get(const char *netns,
	const char *interface,
	uint16_t port,
	struct xdp_link **ret_link,
	char why[XDP_WHY_LEN]);
/* NULL is allowed. */
void xdp_link_put(struct xdp_link *link);

uint32_t xdp_link_ifindex(const struct xdp_link *link);

/* A buffer of XDP_LINK_ROOM bytes to be filled and sent; NULL: all are under way. */
#define XDP_LINK_ROOM 2048u
uint8_t *xdp_link_buffer(struct xdp_link *link);
/* Queue it, the last one that was got. */
void xdp_link_queue(struct xdp_link *link, uint8_t *buffer, uint32_t len);
/* Make the kernel send what is queued.  Returns the number of system calls. */
unsigned xdp_link_flush(struct xdp_link *link);

/* What has come: valid until the next call.  Returns how many, max at most. */
uint32_t xdp_link_receive(struct xdp_link *link, struct xdp_in *ret, uint32_t max);

/* Add the sockets that are to be polled to an epoll descriptor.  0 or -errno. */
[[nodiscard]] int xdp_link_watch(const struct xdp_link *link, int epoll);

/* Frames that came and found no room. */
uint64_t xdp_link_dropped(const struct xdp_link *link);

#endif
