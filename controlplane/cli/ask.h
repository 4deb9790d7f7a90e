/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One question to a running gateway over its local API, one answer.
 *
 * Source: controlplane/gateway/gateway_api.h.
 */
#ifndef CONTROLPLANE_CLI_ASK_H
#define CONTROLPLANE_CLI_ASK_H

#include <jansson.h>

/*
 * Send {"cmd": command} to RUN_DIR's gateway and return its answer, which the caller releases.  A
 * control plane that is just being restarted is waited for, up to three seconds.
 *
 * NULL: it could not be asked, or said no; what, why and what to do are on stderr, behind
 * "sluice NAME: ".
 */
json_t *ask_gateway(const char *name, const char *run_dir, const char *command);

#endif
