/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A text as a QR code in a terminal, two rows of modules a line.
 */
#ifndef CONTROLPLANE_CLI_QR_H
#define CONTROLPLANE_CLI_QR_H

#include <stdio.h>

/* Draw it with a margin, light on dark as terminals are.  What does not fit is not drawn. */
void qr_print(FILE *out, const char *text);

#endif
