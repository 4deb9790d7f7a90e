/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The cleartext end of a trial: plain UDP sockets on the network that the device guards.
 *
 * Owner:  whoever opened it.
 * Thread: one for clear_end_send(), one for the receiving line.
 */
#ifndef BENCH_TUNNEL_CLEAR_END_H
#define BENCH_TUNNEL_CLEAR_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/tunnel/line.h"

#define CLEAR_LANES_MAX 16

struct clear_config {
	const char *netns;
	struct addr local;
	uint16_t port; /* receives there */
	bool receives, sends;
	/* Sending: peer n's address is the n-th from `to` on. */
	struct endpoint to;
	uint32_t n_to;
	uint32_t n_lanes; /* sockets to send from, each with a port of its own: 1 to CLEAR_LANES_MAX
	                   */
	bool has_no_offload;
	const char *interface; /* frames over AF_XDP there; NULL: sockets */
	struct line *rx, *tx;  /* taken instead of sockets of our own, for tests; ownership too */
};

struct clear_end;

/* NULL: it has said why. */
struct clear_end *clear_end_open(const struct clear_config *config);
void clear_end_close(struct clear_end *e);

/* Where peer n's packets go. */
const struct endpoint *clear_end_to(const struct clear_end *e, uint32_t n);

/* The line that receives; NULL if it does not. */
struct line *clear_end_rx(struct clear_end *e);
/* The lines that send, n_lanes of them. */
struct line *clear_end_tx(struct clear_end *e, uint32_t lane);
uint32_t clear_end_lanes(const struct clear_end *e);

/* The sum over its lines. */
void clear_end_counters(const struct clear_end *e, struct line_counters *ret);

#endif
