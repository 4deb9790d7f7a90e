/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checks of `sluice doctor`: each looks at some traps of this host and adds what it finds.
 * Nothing is changed.
 *
 * Source: ../shared/design/architecture.md section 11.
 */
#ifndef CONTROLPLANE_CLI_DOCTOR_CHECKS_H
#define CONTROLPLANE_CLI_DOCTOR_CHECKS_H

#include "controlplane/cli/doctor_finding.h"

void doctor_check_host(struct doctor *d);     /* kernel, memory, clock, other programs */
void doctor_check_devices(struct doctor *d);  /* offloads, MTU, VLANs, XDP, rp_filter */
void doctor_check_firewall(struct doctor *d); /* somebody else's rules in our way */
void doctor_check_gateway(struct doctor *d);  /* what the running gateway knows */

#endif
