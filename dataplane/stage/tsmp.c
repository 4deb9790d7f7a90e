/* SPDX-License-Identifier: BSD-3-Clause
 *
 * TSMP: what nodes of a tailnet say to each other inside the tunnel, IP protocol 99.
 * Source: ../shared/protocol/peer.md sections 9.1 and 9.7.
 */

#include <string.h>

#include "dataplane/stage/stages.h"
#include "lib/net/checksum.h"
#include "lib/policy/acl_verdict.h"

#define TSMP_PING   'p'
#define TSMP_PONG   'o'
#define TSMP_REJECT '!'
#define TSMP_DISCO  'a'

#define TSMP_TOKEN_LEN  8
#define TSMP_PING_LEN   (1 + TSMP_TOKEN_LEN)
#define TSMP_PONG_LEN   (TSMP_PING_LEN + 2)
#define TSMP_REJECT_LEN 7

#define TSMP_REJECTED_BY_ACL        'A'
#define TSMP_REJECTED_BY_SHIELDS_UP 'S'

#define TSMP_HOP_LIMIT 64

static void
write_header_v4(uint8_t *h, const struct ip_view *of, uint32_t len)
{
	memset(h, 0, IPV4_HEADER_LEN);
	h[0] = 0x45;
	store_be16(h + 2, (uint16_t)(IPV4_HEADER_LEN + len));
	h[8] = TSMP_HOP_LIMIT;
	h[9] = ACL_PROTOCOL_TSMP;
	memcpy(h + 12, of->dst, 4);
	memcpy(h + 16, of->src, 4);
	checksum_fill_ipv4(h, IPV4_HEADER_LEN);
}

static void
write_header_v6(uint8_t *h, const struct ip_view *of, uint32_t len)
{
	memset(h, 0, IPV6_HEADER_LEN);
	h[0] = 0x60;
	store_be16(h + 4, (uint16_t)len);
	h[6] = ACL_PROTOCOL_TSMP;
	h[7] = TSMP_HOP_LIMIT;
	memcpy(h + 8, of->dst, 16);
	memcpy(h + 24, of->src, 16);
}

// From the destination of a packet back to its source.
static void
answer(struct worker *w, const struct ip_view *of, const uint8_t *payload, uint32_t len)
{
	uint32_t header_len = of->family == ADDR_V4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;
	struct pkt *p;

	if (pool_get(&w->pool, &p, 1) == 0)
		return;
	if (of->family == ADDR_V4)
		write_header_v4(p->data, of, len);
	else
		write_header_v6(p->data, of, len);
	memcpy(p->data + header_len, payload, len);
	p->len = header_len + len;
	answer_peer(w, p);
}

static bool
is_for_us(const struct worker *w, const struct ip_view *v)
{
	const struct addr *own =
		v->family == ADDR_V4 ? &w->tables->icmp_source4 : &w->tables->icmp_source6;

	return own->family == v->family &&
	       memcmp(own->bytes, v->dst, v->family == ADDR_V4 ? 4 : 16) == 0;
}

static void
send_pong(struct worker *w, const struct ip_view *v, const uint8_t *token)
{
	const struct tables *t = w->tables;
	uint8_t pong[TSMP_PONG_LEN] = { TSMP_PONG };
	uint16_t port = v->family == ADDR_V4 ? t->peer_api_port4 : t->peer_api_port6;

	memcpy(pong + 1, token, TSMP_TOKEN_LEN);
	store_be16(pong + TSMP_PING_LEN, is_for_us(w, v) ? port : 0);
	answer(w, v, pong, sizeof(pong));
}

static void
hand_over(struct worker *w, struct pkt *p)
{
	if (!icmp_limiter_allow(&w->tsmp_limit, (struct mono){ w->now_ns })) {
		drop(w, p, DROP_TSMP);
		return;
	}
	p->kind = PKT_TSMP;
	worker_punt(w, p);
}

void
tsmp_receive(struct worker *w, struct pkt *p, const struct ip_view *v, const struct acl_packet *k)
{
	const uint8_t *message = p->data + v->header_len;
	uint32_t len = v->total_len - v->header_len;

	// Behind an extension header it is nobody's, and what is not for one node has no answer.
	if (v->protocol != ACL_PROTOCOL_TSMP || acl_is_multicast(k)) {
		drop(w, p, DROP_TSMP);
		return;
	}
	switch (message[0]) { // there are 7 bytes at least, or the filter would not know it
	case TSMP_PING:
		if (len >= TSMP_PING_LEN)
			send_pong(w, v, message + 1);
		break;
	case TSMP_PONG:
	case TSMP_REJECT:
	case TSMP_DISCO:
		if (is_for_us(w, v)) {
			hand_over(w, p);
			return;
		}
		break;
	default:
		break;
	}
	drop(w, p, DROP_TSMP);
}

void
tsmp_reject(struct worker *w, const struct pkt *p, const struct ip_view *v)
{
	uint8_t reject[TSMP_REJECT_LEN] = { TSMP_REJECT, v->protocol };

	if (!icmp_limiter_allow(&w->icmp_limit, (struct mono){ w->now_ns }))
		return;
	reject[2] = w->tables->filter == SHM_FILTER_SHIELDS_UP ? TSMP_REJECTED_BY_SHIELDS_UP
	                                                       : TSMP_REJECTED_BY_ACL;
	memcpy(reject + 3, p->data + v->header_len, 4); // both ports
	answer(w, v, reject, sizeof(reject));
}
