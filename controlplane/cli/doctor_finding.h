/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What `sluice doctor` looks at and what it has found, each with the command that mends it.
 */
#ifndef CONTROLPLANE_CLI_DOCTOR_FINDING_H
#define CONTROLPLANE_CLI_DOCTOR_FINDING_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define DOCTOR_MAX_PORTS 16

struct doctor {
	json_t *status;   /* of the running gateway, or NULL: none runs */
	json_t *findings; /* [{"check","severity","what","fix"}] */
	size_t n_checks;
	char tun[IF_NAMESIZE];                     /* the gateway's own interface */
	uint16_t listen_port;                      /* UDP */
	char ports[DOCTOR_MAX_PORTS][IF_NAMESIZE]; /* that carry, or could carry, frames */
	bool is_af_xdp[DOCTOR_MAX_PORTS];
	size_t n_ports;
};

/* What is wrong, as "what; why", and what to type against it. */
void doctor_find(struct doctor *d,
	const char *check,
	bool is_error,
	const char *fix,
	const char *format,
	...) __attribute__((format(printf, 5, 6)));

#endif
