/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Endpoints as people write them: "192.0.2.7:51820", "[fd00::1]:51820", "[fe80::1%eth0]:51820",
 * "vpn.example.net:51820".  Names are not resolved here, and a zone's interface need not exist.
 *
 * Source: RFC 3986 section 3.2.2 for the brackets, RFC 1123 section 2.1 for names.  Thread: any.
 */
#ifndef CONFIG_HOST_PORT_H
#define CONFIG_HOST_PORT_H

#include <stdint.h>
#include <stdio.h>

#include "config/gateway.h"

/*
 * Split the text: the host without brackets, and the port.  Returns NULL, or "why; what to do" for
 * a message, a constant text; then nothing is set.
 */
const char *
host_port_parse(const char *text, char ret_host[static CONFIG_HOST_LEN], uint16_t *ret_port);

/* The opposite, for YAML: in quotes where there are brackets. */
void host_port_print(FILE *out, const char *host, uint16_t port);

#endif
