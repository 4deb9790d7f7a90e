/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checks of `sluice doctor`: each looks at one trap of this host and adds what it finds, with
 * the command that mends it.  Nothing is changed.
 *
 * Source: ../shared/design/architecture.md section 11.
 */
#ifndef CONTROLPLANE_CLI_DOCTOR_H
#define CONTROLPLANE_CLI_DOCTOR_H

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

void doctor_check_host(struct doctor *d);     /* kernel, memory, clock, other programs */
void doctor_check_devices(struct doctor *d);  /* offloads, MTU, VLANs, XDP, rp_filter */
void doctor_check_firewall(struct doctor *d); /* somebody else's rules in our way */
void doctor_check_gateway(struct doctor *d);  /* what the running gateway knows */

#endif
