/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Hashes for spreading packets over workers: every packet of a flow gets the same value, so that a
 * flow is never reordered.  Directions of a flow hash differently.
 *
 * Ports count for TCP and UDP right behind the IP header of an unfragmented packet only.  So
 * fragments of all datagrams between two hosts share a value, and it is another one than that of
 * the flow's unfragmented datagrams: a flow that mixes both may be reordered between them.
 *
 * `seed` is random per process, so that nobody outside chooses the worker.
 */
#ifndef LIB_NET_FLOW_HASH_H
#define LIB_NET_FLOW_HASH_H

#include <stdint.h>

#include "lib/net/headers.h"

/* Mix 128 bits into 64 by one multiplication, all result bits being good. */
static inline uint64_t
flow_hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) *
	                            (b ^ UINT64_C(0xd6e8feb86659fd93));

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
flow_hash_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
flow_hash_finish(uint64_t h)
{
	return (uint32_t)(h ^ h >> 32);
}

/* The flow of an inner packet; v: of ip_parse() on p. */
static inline uint32_t
flow_hash_inner(const uint8_t *p, const struct ip_view *v, uint64_t seed)
{
	uint64_t rest = v->protocol;
	uint64_t h;

	if ((v->protocol == IP_PROTOCOL_TCP || v->protocol == IP_PROTOCOL_UDP) &&
		!ip_is_fragment(v) && v->total_len >= (uint32_t)v->header_len + 4)
		rest |= (uint64_t)load_be32(p + v->header_len) << 32;
	if (v->family == ADDR_V4)
		return flow_hash_finish(
			flow_hash_mix(seed ^ flow_hash_load64(v->src), seed + rest));

	h = flow_hash_mix(seed ^ flow_hash_load64(v->src), flow_hash_load64(v->src + 8));
	h = flow_hash_mix(h ^ flow_hash_load64(v->dst), flow_hash_load64(v->dst + 8));
	return flow_hash_finish(flow_hash_mix(h, seed + rest));
}

/* An outer endpoint; the scope of a link-local one does not count. */
static inline uint32_t
flow_hash_outer(const struct endpoint *e, uint64_t seed)
{
	uint64_t low = flow_hash_load64(e->addr.bytes), high = flow_hash_load64(e->addr.bytes + 8);

	return flow_hash_finish(flow_hash_mix(flow_hash_mix(seed ^ low, high), seed + e->port));
}

#endif
