/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A packet in a line for people: "10.1.0.5:1234 > 10.2.0.5:80 tcp SYN".
 *
 * Thread: one: it has a buffer of its own.
 */
#ifndef CONTROLPLANE_CLI_CAPTURE_LINE_H
#define CONTROLPLANE_CLI_CAPTURE_LINE_H

#include <stddef.h>
#include <stdint.h>

#define CAPTURE_LINE_LEN 256

/*
 * data: the beginning of an IP packet; its headers may be cut.  Returns `out`, always ended: what
 * is no IP packet is called that.
 */
const char *capture_line(const uint8_t *data, size_t cap_len, char out[static CAPTURE_LINE_LEN]);

#endif
