/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between the host (kernel/), which knows the network around us, and the thread `wire`, which tells
 * the data plane: what changes there goes one way, what is missed and what is open the other.
 *
 * Owner:  embedded in coord.  Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_SURROUNDINGS_H
#define CONTROLPLANE_GATEWAY_SURROUNDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/kernel/host.h"
#include "controlplane/gateway/mailbox.h"
#include "controlplane/gateway/publish/ports.h"

#define SURROUNDINGS_BATCH 256

struct surroundings {
	struct mailbox *to_wire;                            /* borrowed */
	struct host *host;                                  /* borrowed; NULL: none */
	struct network_neighbour batch[SURROUNDINGS_BATCH]; /* changes that were not sent yet */
	size_t n_batch;
	struct ports_view ports[PORTS_MAX]; /* as `wire` last said */
	size_t n_ports;
	int flows_fd, capture_fd; /* regions of the data plane, to be mapped read-only; -1: none */
};

void surroundings_init(struct surroundings *s, struct mailbox *to_wire);
void surroundings_fini(struct surroundings *s);

/* Calls of the host. */
void surroundings_network_changed(struct surroundings *s);
void surroundings_neighbour_changed(struct surroundings *s,
	const struct network_neighbour *neighbour);
/* Send what was gathered; after each round of coord's. */
void surroundings_flush(struct surroundings *s);

/* Letters of `wire`. */
void surroundings_want(struct surroundings *s, const struct letter *letter);
/* 0, or the error of a change to the host that followed. */
[[nodiscard]] int surroundings_take_ports(struct surroundings *s, const struct letter *letter);
void surroundings_take_regions(struct surroundings *s, struct letter *letter);

/* The port by this interface; NULL: the data plane neither has it nor shall have it. */
const struct ports_view *surroundings_port(const struct surroundings *s, uint32_t ifindex);

#endif
