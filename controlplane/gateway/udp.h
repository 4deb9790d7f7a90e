/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The control halves of the UDP port: everything that is not transport data comes here, and our own
 * handshake messages leave here, from the address that the peer wrote to.
 *
 * Source: ../shared/design/architecture.md section 3.1; ip(7), ipv6(7), udp(7).
 * Owner:  the sockets are the keeper's; we hold descriptors of them (publish/attach.h).
 * Thread: wire.
 */
#ifndef CONTROLPLANE_GATEWAY_UDP_H
#define CONTROLPLANE_GATEWAY_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/handshake/engine.h"

#define UDP_BATCH 32 /* messages in one system call; each may hold many merged datagrams */

struct udp; /* receive buffers */

struct udp *udp_create(void); /* NULL: no memory */
void udp_destroy(struct udp *udp);

/* Ask the kernel for addresses, merged datagrams and errors.  What it cannot do is done without. */
void udp_prepare(int sock, enum addr_family family);

/*
 * Read one batch and hand over each datagram, merged ones cut apart.  Returns how many messages
 * were read: UDP_BATCH means that more may wait.
 */
unsigned udp_receive(struct udp *udp,
	int sock,
	enum addr_family family,
	void (*take)(void *context, const struct datagram *d),
	void *context);

/*
 * Send; local ADDR_NONE: any of our addresses.  If the local address is gone, it is sent from any.
 * 0 or -errno.
 */
[[nodiscard]] int udp_send(int sock,
	const struct endpoint *remote,
	const struct addr *local,
	const uint8_t *data,
	size_t len);

/* Empty the error queue: ICMP errors for what the data plane sent arrive at either socket. */
void udp_drain_errors(int sock);

#endif
