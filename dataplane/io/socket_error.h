/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Errors of UDP sockets that have IP_RECVERR set: an ICMP error about some earlier datagram makes
 * the *next* call fail, whatever that was about, and is also queued.  Neither may cost a packet.
 */
#ifndef DATAPLANE_IO_SOCKET_ERROR_H
#define DATAPLANE_IO_SOCKET_ERROR_H

/* Empty the error queue, a bounded part of it.  Returns how many errors there were. */
unsigned socket_error_drain(int fd);

#endif
