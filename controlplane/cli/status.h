/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parts of `sluice status` as text; each takes its part of the answer (gateway_api.h).
 */
#ifndef CONTROLPLANE_CLI_STATUS_H
#define CONTROLPLANE_CLI_STATUS_H

#include <stdbool.h>

#include <jansson.h>

void status_print_ports(const json_t *ports);
void status_print_workers(const json_t *workers);
void status_print_drops(const json_t *drops);
/* Ports with all that is known of them, next hops, workers; of the whole answer. */
void status_print_network(const json_t *status);
/* The answer to "flows". */
void status_print_flows(const json_t *answer);
/* The whole status: processes, cipher, ports, workers, drops. */
void status_print_dataplane(const json_t *status);

struct status_tailnet_options {
	bool active; /* only peers with traffic */
	bool peers;  /* the others too */
	bool self;   /* ourselves as the first line */
	bool header; /* names of the columns */
};

/*
 * A tailnet's members, one line each as upstream's `status` has them, and what is not as it should
 * be.  Returns whether the gateway is connected, or about to be.
 */
bool status_print_tailnet(const json_t *status, const struct status_tailnet_options *options);

/* The members only. */
void status_print_members(const json_t *tailnet, const struct status_tailnet_options *options);

#endif
