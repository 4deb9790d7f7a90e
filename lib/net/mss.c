/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/mss.h"

#include "lib/net/checksum.h"

#define TCP_FLAGS_AT    13
#define TCP_SYN         0x02
#define TCP_CHECKSUM_AT 16

#define OPTION_END     0
#define OPTION_NOP     1
#define OPTION_MSS     2
#define OPTION_MSS_LEN 4

// An MSS behind an odd number of NOPs lies across two words of the checksum: a sum that is shifted
// by one byte is the sum with its bytes swapped (RFC 1071 section 2(B)).
static void
update_checksum(uint8_t *tcp, uint32_t value_at, uint16_t old_mss, uint16_t new_mss)
{
	if (value_at % 2 != 0) {
		old_mss = __builtin_bswap16(old_mss);
		new_mss = __builtin_bswap16(new_mss);
	}
	checksum_update16(tcp + TCP_CHECKSUM_AT, old_mss, new_mss);
}

static bool
lower_option(uint8_t *tcp, uint32_t value_at, uint16_t limit)
{
	uint16_t mss = load_be16(tcp + value_at);

	if (mss <= limit)
		return false;
	store_be16(tcp + value_at, limit);
	update_checksum(tcp, value_at, mss, limit);
	return true;
}

// Every MSS option, as it is open which of several a receiver believes.
static bool
lower_options(uint8_t *tcp, uint32_t header_len, uint16_t limit)
{
	uint32_t at = TCP_HEADER_LEN;
	bool changed = false;

	while (at < header_len && tcp[at] != OPTION_END) {
		uint32_t len = 1;

		if (tcp[at] != OPTION_NOP) {
			if (header_len - at < 2)
				break;
			len = tcp[at + 1];
			if (len < 2 || len > header_len - at)
				break;
		}
		if (tcp[at] == OPTION_MSS && len == OPTION_MSS_LEN)
			changed |= lower_option(tcp, at + 2, limit);
		at += len;
	}
	return changed;
}

bool
tcp_clamp_mss_of_syn(uint8_t *p, const struct ip_view *v, uint32_t mtu)
{
	uint32_t overhead = TCP_HEADER_LEN;
	struct ip_transport t;
	uint32_t header_len;
	uint8_t *tcp;

	overhead += v->family == ADDR_V4 ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;
	if (mtu <= overhead || mtu - overhead > UINT16_MAX)
		return false;
	if (ip_find_transport(p, v, &t) < 0)
		return false;
	if (t.protocol != IP_PROTOCOL_TCP || t.is_later_fragment)
		return false;
	if (v->total_len - t.offset < TCP_HEADER_LEN)
		return false;

	tcp = p + t.offset;
	header_len = (uint32_t)(tcp[12] >> 4) * 4;
	if ((tcp[TCP_FLAGS_AT] & TCP_SYN) == 0)
		return false;
	if (header_len < TCP_HEADER_LEN || header_len > v->total_len - t.offset)
		return false;
	return lower_options(tcp, header_len, (uint16_t)(mtu - overhead));
}
