/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/path/capture.h"

#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

#define KIND_IP      0
#define KIND_PAYLOAD 1
#define KIND_FRAME   2

#define OUTER_MAX (IPV6_HEADER_LEN + UDP_HEADER_LEN)

/* A packet in two pieces: headers that are made here, and its bytes. */
struct copy {
	uint8_t head[OUTER_MAX];
	uint32_t head_len;
	const uint8_t *data;
	uint32_t len; // of data
	uint32_t peer;
	uint16_t reason;
	uint8_t where, kind, port;
};

void
capture_set(struct capture *c, const struct shm_cmd_capture *cmd)
{
	uint32_t snap_len = cmd->snap_len < SHM_CAPTURE_SNAP ? cmd->snap_len : SHM_CAPTURE_SNAP;

	// A worker that reads a mixture of old and new copies a packet too many.
	atomic_store_explicit(&c->snap_len, snap_len, memory_order_relaxed);
	atomic_store_explicit(&c->peer, cmd->peer, memory_order_relaxed);
	atomic_store_explicit(&c->port, cmd->port, memory_order_relaxed);
	atomic_store_explicit(&c->is_on, cmd->on != 0, memory_order_relaxed);
}

// --- conditions --------------------------------------------------------------------------------

static bool
has_port(const uint8_t *p, uint32_t len, uint32_t port)
{
	struct ip_transport t;
	struct ip_view v;

	if (!ip_parse(p, len, &v) || ip_find_transport(p, &v, &t) < 0 || t.is_later_fragment)
		return false;
	if ((t.protocol != IP_PROTOCOL_TCP && t.protocol != IP_PROTOCOL_UDP) ||
		t.offset + 4 > v.total_len)
		return false;
	return load_be16(p + t.offset) == port || load_be16(p + t.offset + 2) == port;
}

// A datagram with a head of ours, or an inner packet.
static bool
is_wanted(const struct capture *c, const struct copy *copy)
{
	uint32_t peer = atomic_load_explicit(&c->peer, memory_order_relaxed);
	uint32_t port = atomic_load_explicit(&c->port, memory_order_relaxed);
	const uint8_t *udp = copy->head + copy->head_len - UDP_HEADER_LEN;

	if (peer != SHM_NO_PEER && copy->peer != peer)
		return false;
	if (port == 0)
		return true;
	if (copy->head_len > 0)
		return load_be16(udp) == port || load_be16(udp + 2) == port;
	return copy->kind == KIND_IP && has_port(copy->data, copy->len, port);
}

// --- the ring ----------------------------------------------------------------------------------

/*
 * The reader pairs seq with itself: 0, or another than before, means that it must not believe what
 * it copied.  Only this worker writes the ring; its count outlives it.
 */
static void
write_record(const struct worker *w, const struct copy *copy)
{
	const struct capture *c = w->capture;
	_Atomic uint64_t *head = &c->memory->heads[w->id].count;
	uint64_t count = atomic_load_explicit(head, memory_order_relaxed);
	struct shm_capture_record *r = &c->memory->records[w->id][count % SHM_CAPTURE_SLOTS];
	uint32_t snap_len = atomic_load_explicit(&c->snap_len, memory_order_relaxed);
	uint32_t len = copy->head_len + copy->len, cap_len = len < snap_len ? len : snap_len;
	uint32_t of_head = copy->head_len < cap_len ? copy->head_len : cap_len;

	atomic_store_explicit(&r->seq, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); // before any other word of the record
	r->time_ns = w->now_ns;
	r->len = len;
	r->cap_len = cap_len;
	r->peer = copy->peer;
	r->reason = copy->reason;
	r->where = copy->where;
	r->kind = copy->kind;
	r->port = copy->port;
	memcpy(r->data, copy->head, of_head);
	memcpy(r->data + of_head, copy->data, cap_len - of_head);
	atomic_store_explicit(&r->seq, count + 1, memory_order_release);
	atomic_store_explicit(head, count + 1, memory_order_release);
}

void
capture_burst(struct worker *w, const struct burst *b, enum shm_capture_where where)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const struct pkt *p = b->pkt[i];
		struct ip_view v;
		struct copy copy = { .data = p->data,
			.len = ip_parse(p->data, p->len, &v) ? v.total_len : p->len, // no padding
			.peer = p->peer,
			.where = (uint8_t)where,
			.kind = KIND_IP,
			.port = p->port };

		// Keepalives are nobody's packets.
		if (p->len > 0 && is_wanted(w->capture, &copy))
			write_record(w, &copy);
	}
}

// --- dropped -----------------------------------------------------------------------------------

// Whose it is, or was for; before the stages that find out, `peer` says nothing.
static bool
knows_peer(enum drop_reason reason)
{
	switch (reason) {
	case DROP_AUTH:
	case DROP_REPLAY:
	case DROP_INNER_MALFORMED:
	case DROP_SOURCE:
	case DROP_ECN:
	case DROP_ACL:
	case DROP_NO_FILTER:
	case DROP_UNKNOWN_PROTOCOL:
	case DROP_LINK_LOCAL:
	case DROP_TSMP:
	case DROP_NO_PATH:
	case DROP_STAGE_FULL:
	case DROP_STAGE_EXPIRED:
	case DROP_COUNTER_EXHAUSTED:
	case DROP_RELAY_FULL:
		return true;
	default:
		return false;
	}
}

static bool
is_ip(const struct pkt *p)
{
	struct ip_view v;

	return ip_parse(p->data, p->len, &v);
}

// The headers that a datagram of the wire had, as far as they are known.
static void
make_head(const struct worker *w, const struct pkt *p, struct copy *copy)
{
	const struct pkt_outer *o = &p->rx_outer;
	uint16_t own_port = w->net != NULL ? w->net->listen_port : 0;
	uint32_t udp_len = UDP_HEADER_LEN + p->len;
	uint8_t *ip = copy->head, *udp;

	memset(ip, 0, sizeof(copy->head));
	if (o->family == ADDR_V4) {
		ip[0] = 0x45;
		store_be16(ip + 2, (uint16_t)(IPV4_HEADER_LEN + udp_len));
		ip[8] = 64;
		ip[9] = IP_PROTOCOL_UDP;
		memcpy(ip + 12, o->remote, IPV4_ADDR_LEN);
		memcpy(ip + 16, o->local, IPV4_ADDR_LEN);
		checksum_fill_ipv4(ip, IPV4_HEADER_LEN);
		copy->head_len = IPV4_HEADER_LEN + UDP_HEADER_LEN;
	} else {
		ip[0] = 0x60;
		store_be16(ip + 4, (uint16_t)udp_len);
		ip[6] = IP_PROTOCOL_UDP;
		ip[7] = 64;
		memcpy(ip + 8, o->remote, IPV6_ADDR_LEN);
		memcpy(ip + 24, o->local, IPV6_ADDR_LEN);
		copy->head_len = IPV6_HEADER_LEN + UDP_HEADER_LEN;
	}
	udp = ip + copy->head_len - UDP_HEADER_LEN;
	store_be16(udp, o->remote_port);
	store_be16(udp + 2, own_port);
	store_be16(udp + 4, (uint16_t)udp_len);
}

void
capture_drop(struct worker *w, const struct pkt *p, enum drop_reason reason)
{
	struct copy copy = { .data = p->data,
		.len = p->len,
		.peer = knows_peer(reason) ? p->peer : SHM_NO_PEER,
		.reason = (uint16_t)reason,
		.where = SHM_CAPTURE_DROPPED,
		.kind = KIND_PAYLOAD,
		.port = p->port };

	if (p->len == 0)
		return;
	if (p->kind == PKT_FRAME)
		copy.kind = KIND_FRAME;
	else if (is_ip(p))
		copy.kind = KIND_IP;
	// INNER_MALFORMED: what is left of it was inside.
	if (copy.kind == KIND_PAYLOAD && p->kind == PKT_WIRE && p->outer == &p->rx_outer &&
		reason != DROP_INNER_MALFORMED &&
		(p->rx_outer.family == ADDR_V4 || p->rx_outer.family == ADDR_V6)) {
		make_head(w, p, &copy);
		copy.kind = KIND_IP;
	}
	if (is_wanted(w->capture, &copy))
		write_record(w, &copy);
}
