/* SPDX-License-Identifier: BSD-3-Clause
 *
 * No seccomp filters: for sanitizer builds, whose runtime needs calls of its own (-Dsandbox=false).
 */

#include "dataplane/sandbox.h"

int
sandbox_forwarder(void)
{
	return 0;
}

int
sandbox_keeper(bool opens_ports)
{
	(void)opens_ports;
	return 0;
}
