/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/io/socket_error.h"

#include <stddef.h>
#include <sys/socket.h>

#define MAX_ERRORS 256

unsigned
socket_error_drain(int fd)
{
	unsigned n = 0;

	// Of no interest here: neither the datagram that is quoted nor the reason.
	while (n < MAX_ERRORS) {
		struct msghdr msg = {};

		if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			break;
		n++;
	}
	return n;
}
