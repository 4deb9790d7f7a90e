/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include "dataplane/io/gso.h"
#include "lib/base/err.h"
#include "lib/net/checksum.h"

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

// The sender left the pseudo-header's sum in the field: complete it (VIRTIO 1.2, 5.1.6.2: the sum
// goes from csum_start to the end of the packet).
static int
fill_missing_checksum(const struct virtio_net_hdr *hdr, uint8_t *packet, const struct ip_view *v)
{
	uint32_t start = hdr->csum_start, field = start + hdr->csum_offset;
	uint16_t checksum;

	if (start < v->header_len || field + 2 > v->total_len)
		return ERR_BAD_FORMAT;
	checksum = checksum_finish(checksum_add(0, packet + start, v->total_len - start));
	if (checksum == 0)
		checksum = 0xffff; // 0 would mean "none" to UDP, and is the same number to others
	checksum_store(packet + field, checksum);
	return 0;
}

static int
begin_single(struct gso_cut *cut, const struct virtio_net_hdr *hdr, uint8_t *packet)
{
	int err = 0;

	if ((hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		err = fill_missing_checksum(hdr, packet, &cut->view);
	cut->payload_len = cut->view.total_len;
	cut->piece_len = cut->view.total_len;
	return err;
}

// Whether a packet of this family and protocol is what the virtio header calls it.
static bool
is_of_type(uint8_t gso_type, uint8_t family, uint8_t protocol)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return family == ADDR_V4 && protocol == IP_PROTOCOL_TCP;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return family == ADDR_V6 && protocol == IP_PROTOCOL_TCP;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return protocol == IP_PROTOCOL_UDP;
	default:
		return false;
	}
}

// The header's own idea of lengths is not asked: the TUN puts there how its buffer happens to lie.
static int
begin_super(struct gso_cut *cut, const struct virtio_net_hdr *hdr)
{
	struct ip_transport t;
	uint32_t transport_len = UDP_HEADER_LEN;

	if (hdr->gso_size == 0 || ip_find_transport(cut->packet, &cut->view, &t) < 0)
		return ERR_BAD_FORMAT;
	if (t.is_fragment || !is_of_type(hdr->gso_type, cut->view.family, t.protocol))
		return ERR_BAD_FORMAT;
	if (t.protocol == IP_PROTOCOL_TCP) {
		if (t.offset + TCP_HEADER_LEN > cut->view.total_len)
			return ERR_BAD_FORMAT;
		transport_len = (uint32_t)(cut->packet[t.offset + 12] >> 4) * 4;
		if (transport_len < TCP_HEADER_LEN)
			return ERR_BAD_FORMAT;
	}
	if (t.offset + transport_len >= cut->view.total_len)
		return ERR_BAD_FORMAT;
	cut->transport = t.offset;
	cut->protocol = t.protocol;
	cut->header_len = t.offset + transport_len;
	cut->payload_len = cut->view.total_len - cut->header_len;
	cut->piece_len = hdr->gso_size;
	return 0;
}

int
gso_cut_begin(struct gso_cut *cut, const struct virtio_net_hdr *hdr, uint8_t *packet, uint32_t len)
{
	*cut = (struct gso_cut){ .packet = packet };
	if (!ip_parse(packet, len, &cut->view))
		return ERR_BAD_FORMAT;
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return begin_single(cut, hdr, packet);
	return begin_super(cut, hdr);
}

static uint32_t
next_payload_len(const struct gso_cut *cut)
{
	uint32_t left = cut->payload_len - cut->done_len;

	return left < cut->piece_len ? left : cut->piece_len;
}

uint32_t
gso_cut_len(const struct gso_cut *cut)
{
	uint32_t payload_len = next_payload_len(cut);

	return payload_len == 0 ? 0 : cut->header_len + payload_len;
}

static void
fix_ip_header(const struct gso_cut *cut, uint8_t *out, uint32_t len)
{
	if (cut->view.family == ADDR_V6) {
		store_be16(out + 4, (uint16_t)(len - IPV6_HEADER_LEN));
		return;
	}
	store_be16(out + 2, (uint16_t)len);
	store_be16(out + 4, (uint16_t)(load_be16(out + 4) + cut->n_done));
	checksum_fill_ipv4(out, cut->view.header_len);
}

static void
fix_tcp_header(const struct gso_cut *cut, uint8_t *tcp, bool is_last)
{
	store_be32(tcp + 4, load_be32(tcp + 4) + cut->done_len);
	if (!is_last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (cut->n_done > 0)
		tcp[13] &= (uint8_t)~TCP_CWR; // RFC 3168 section 6.1.2: told once
}

void
gso_cut_next(struct gso_cut *cut, uint8_t *out)
{
	uint32_t payload_len = next_payload_len(cut);
	uint32_t transport_len = cut->header_len - cut->transport + payload_len;
	const uint8_t *payload = cut->packet + cut->header_len + cut->done_len;
	uint8_t *transport = out + cut->transport;

	memcpy(out, cut->packet, cut->header_len);
	memcpy(out + cut->header_len, payload, payload_len);
	if (cut->header_len > 0) {
		fix_ip_header(cut, out, cut->header_len + payload_len);
		if (cut->protocol == IP_PROTOCOL_TCP)
			fix_tcp_header(
				cut, transport, cut->done_len + payload_len == cut->payload_len);
		else
			store_be16(transport + 4, (uint16_t)transport_len);
		checksum_fill_transport(cut->view.family, cut->view.src, cut->view.dst,
			cut->protocol, transport, transport_len);
	}
	cut->done_len += payload_len;
	cut->n_done++;
}
