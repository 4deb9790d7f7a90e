/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/tunnel/inner_udp.h"

#include <netinet/in.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/net/checksum.h"

#define UDP_LEN  8
#define IPV4_LEN 20
#define IPV6_LEN 40
#define TTL      64

static void
write_ipv4(uint8_t *p, const struct flow_plan *plan, uint32_t udp_len)
{
	memset(p, 0, IPV4_LEN);
	p[0] = 0x45;
	store_be16(p + 2, (uint16_t)(IPV4_LEN + udp_len));
	p[8] = TTL;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, plan->source.bytes, 4);
	memcpy(p + 16, plan->destination.bytes, 4);
	checksum_fill_ipv4(p, IPV4_LEN);
}

static void
write_ipv6(uint8_t *p, const struct flow_plan *plan, uint32_t udp_len)
{
	memset(p, 0, 8);
	p[0] = 0x60;
	store_be16(p + 4, (uint16_t)udp_len);
	p[6] = IPPROTO_UDP;
	p[7] = TTL;
	memcpy(p + 8, plan->source.bytes, 16);
	memcpy(p + 24, plan->destination.bytes, 16);
}

size_t
inner_udp_write(uint8_t *packet,
	const struct flow_plan *plan,
	const uint8_t *payload,
	size_t payload_len)
{
	bool is_v4 = plan->source.family == ADDR_V4;
	uint32_t header_len = is_v4 ? IPV4_LEN : IPV6_LEN;
	uint32_t udp_len = (uint32_t)(UDP_LEN + payload_len);
	uint8_t *udp = packet + header_len;

	if (is_v4)
		write_ipv4(packet, plan, udp_len);
	else
		write_ipv6(packet, plan, udp_len);
	store_be16(udp, plan->source_port);
	store_be16(udp + 2, plan->destination_port);
	store_be16(udp + 4, (uint16_t)udp_len);
	store_be16(udp + 6, 0);
	memcpy(udp + UDP_LEN, payload, payload_len);
	(void)checksum_fill_transport(plan->source.family, plan->source.bytes,
		plan->destination.bytes, IPPROTO_UDP, udp, udp_len);
	return header_len + udp_len;
}

const uint8_t *
inner_udp_payload(const uint8_t *packet, size_t len, size_t *ret_len)
{
	size_t header_len = 0;

	if (len >= IPV4_LEN + UDP_LEN && packet[0] >> 4 == 4 && packet[9] == IPPROTO_UDP)
		header_len = (size_t)(packet[0] & 15) * 4 + UDP_LEN;
	else if (len >= IPV6_LEN + UDP_LEN && packet[0] >> 4 == 6 && packet[6] == IPPROTO_UDP)
		header_len = IPV6_LEN + UDP_LEN;
	if (header_len < IPV4_LEN + UDP_LEN || header_len > len)
		return NULL;
	*ret_len = len - header_len;
	return packet + header_len;
}
