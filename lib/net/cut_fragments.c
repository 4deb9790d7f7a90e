/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/cut_fragments.h"

#include <string.h>

#include "lib/net/checksum.h"

#define OPTION_END    0
#define OPTION_NOP    1
#define OPTION_COPIED 0x80 /* in every fragment, not in the first only */

// Bytes of data in each fragment but the last: all headers are at most as long as the first.
static uint32_t
share(const struct ip_view *v, uint32_t mtu)
{
	return (mtu - v->header_len) & ~7U;
}

uint32_t
cut_fragments_count(const struct ip_view *v, uint32_t mtu)
{
	uint32_t data_len = v->total_len - v->header_len;

	if (v->family != ADDR_V4)
		return v->total_len <= mtu;
	if (v->total_len <= mtu)
		return 1;
	if (ip_dont_fragment(v) || mtu < CUT_FRAGMENTS_MIN_MTU)
		return 0;
	if (ip_fragment_offset(v) + data_len > UINT16_MAX)
		return 0;
	return (data_len + share(v, mtu) - 1) / share(v, mtu);
}

// The options that later fragments carry, padded to whole words: their length.  A malformed option
// ends them, as it ends reading them.
static uint32_t
copy_options(const uint8_t *p, uint32_t header_len, uint8_t *to)
{
	uint32_t at = IPV4_HEADER_LEN, n = 0;

	while (at < header_len && p[at] != OPTION_END) {
		uint32_t len = 1;

		if (p[at] != OPTION_NOP) {
			if (header_len - at < 2 || p[at + 1] < 2 || p[at + 1] > header_len - at)
				break;
			len = p[at + 1];
		}
		if ((p[at] & OPTION_COPIED) != 0) {
			memcpy(to + n, p + at, len);
			n += len;
		}
		at += len;
	}
	while (n % 4 != 0)
		to[n++] = OPTION_END;
	return n;
}

static uint32_t
write_header(const uint8_t *p, const struct ip_view *v, bool is_first, uint8_t *header)
{
	memcpy(header, p, IPV4_HEADER_LEN);
	if (!is_first)
		return IPV4_HEADER_LEN + copy_options(p, v->header_len, header + IPV4_HEADER_LEN);
	memcpy(header, p, v->header_len);
	return v->header_len;
}

uint32_t
cut_fragment(const uint8_t *p,
	const struct ip_view *v,
	uint32_t mtu,
	uint32_t i,
	uint8_t *buf,
	uint32_t size_bytes)
{
	uint32_t count = cut_fragments_count(v, mtu);
	uint8_t header[60];
	uint32_t header_len, at, len;
	uint16_t flags;

	if (i >= count)
		return 0;
	if (count == 1) {
		if (v->total_len > size_bytes)
			return 0;
		memcpy(buf, p, v->total_len);
		return v->total_len;
	}
	header_len = write_header(p, v, i == 0, header);
	at = i * share(v, mtu);
	len = v->total_len - v->header_len - at;
	if (i + 1 < count)
		len = share(v, mtu);
	if (header_len + len > size_bytes)
		return 0;

	flags = (uint16_t)(v->fragment & IPV4_MORE_FRAGMENTS); // the whole is a fragment itself
	if (i + 1 < count)
		flags = IPV4_MORE_FRAGMENTS;
	header[0] = (uint8_t)(4 << 4 | header_len / 4);
	store_be16(header + 2, (uint16_t)(header_len + len));
	store_be16(header + 6, (uint16_t)(flags | (ip_fragment_offset(v) + at) / 8));
	checksum_fill_ipv4(header, header_len);
	memcpy(buf, header, header_len);
	memcpy(buf + header_len, p + v->header_len + at, len);
	return header_len + len;
}
