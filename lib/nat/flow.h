/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Parts of a packet's way that are files of their own.
 */
#ifndef LIB_NAT_FLOW_H
#define LIB_NAT_FLOW_H

#include "lib/nat/table.h"

/*
 * An ICMP error that quotes a packet (RFC 5508 REQ-3 to REQ-6): both the quotation and the error's
 * own address are translated.  Flows are neither refreshed nor ended by it.
 * source: from the tunnel only; else NULL.
 */
enum nat_verdict nat_error_from_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v,
	const uint8_t *source);
enum nat_verdict nat_error_to_tunnel(struct nat *nat,
	const struct nat_look *look,
	uint8_t *p,
	const struct ip_view *v);

/* The live flow of a packet that was read and fetched, or NULL. */
struct nat_flow *nat_find(const struct nat *nat, const struct nat_look *look);

/* The row of the outside address that a packet is sent to; NAT_NONE: it is none of ours. */
uint32_t nat_outside_address(const struct nat *nat, const struct ip_view *v);

/* A packet of a flow was seen. */
void nat_track_tcp(struct nat_flow *f, uint8_t flags, bool from_inside);
static inline void
nat_track(struct nat_flow *f, const struct nat_look *look, bool from_inside, uint32_t stamp)
{
	uint32_t bit = from_inside ? NAT_FROM_INSIDE : NAT_FROM_OUTSIDE;

	nat_touch(&f->seen, stamp);
	if (look->protocol == IP_PROTOCOL_TCP)
		nat_track_tcp(f, look->flags, from_inside);
	else if ((atomic_load_explicit(&f->progress, memory_order_relaxed) & bit) == 0)
		atomic_fetch_or_explicit(&f->progress, bit, memory_order_relaxed);
}

/*
 * The flow that a packet from the tunnel begins; `source`: its address outside.  NULL:
 * *ret_verdict says what becomes of the packet.
 */
struct nat_flow *nat_begin_from_tunnel(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	const struct ip_view *v,
	const uint8_t *source,
	uint32_t stamp,
	enum nat_verdict *ret_verdict);
/* A flow that is not translated. */
enum nat_verdict nat_begin_plain(struct nat *nat,
	struct nat_local *local,
	const struct nat_look *look,
	bool from_inside,
	uint32_t stamp);

/* A live flow of an outside key; else the mapping whose port it is.  False: neither. */
struct nat_target {
	const struct nat_flow *flow; /* NULL: a mapping only */
	uint64_t inside[2];
	uint16_t inside_port;
};
bool nat_find_target(const struct nat *nat, const uint64_t key[static 5], struct nat_target *ret);

#endif
