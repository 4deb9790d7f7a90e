/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Inner packets around a UDP payload that is not a flow's: the generator's messages to a sink.
 *
 * Source: RFC 791, RFC 8200, RFC 768.  Thread: any; no state.
 */
#ifndef BENCH_TUNNEL_INNER_UDP_H
#define BENCH_TUNNEL_INNER_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "bench/traffic/flow.h"

#define INNER_UDP_ROOM 48 /* of headers at most */

/* From the plan's source to its destination, ports of flow 0.  Returns the packet's length. */
size_t inner_udp_write(uint8_t *packet,
	const struct flow_plan *plan,
	const uint8_t *payload,
	size_t payload_len);

/* The payload of an inner packet; NULL: it is not UDP, or cut short. */
const uint8_t *inner_udp_payload(const uint8_t *packet, size_t len, size_t *ret_len);

#endif
