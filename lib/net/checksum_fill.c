/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/checksum_fill.h"

#include "lib/net/checksum.h"

#define IP_PROTOCOL_SCTP 132
#define SCTP_HEADER_LEN  12
#define SCTP_CHECKSUM    8

// CRC32c, reflected: rare packets, so a nibble at a time and no large table.
static uint32_t
crc32c(const uint8_t *p, uint32_t len)
{
	static const uint32_t of_nibble[16] = {
		0x00000000,
		0x105ec76f,
		0x20bd8ede,
		0x30e349b1,
		0x417b1dbc,
		0x5125dad3,
		0x61c69362,
		0x7198540d,
		0x82f63b78,
		0x92a8fc17,
		0xa24bb5a6,
		0xb21572c9,
		0xc38d26c4,
		0xd3d3e1ab,
		0xe330a81a,
		0xf36e6f75,
	};
	uint32_t crc = UINT32_MAX;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ of_nibble[crc & 15];
		crc = crc >> 4 ^ of_nibble[crc & 15];
	}
	return ~crc;
}

static bool
fill_sctp(uint8_t *l4, uint32_t len)
{
	if (len < SCTP_HEADER_LEN || load_be32(l4 + SCTP_CHECKSUM) != 0)
		return false;
	store_le32(l4 + SCTP_CHECKSUM, crc32c(l4, len));
	return load_be32(l4 + SCTP_CHECKSUM) != 0;
}

// Offset of the checksum in a header that is whole; 0: another protocol, or too short.
static uint32_t
checksum_offset(uint8_t protocol, const uint8_t *l4, uint32_t len)
{
	if (protocol == IP_PROTOCOL_TCP && len >= TCP_HEADER_LEN)
		return 16;
	if (protocol == IP_PROTOCOL_UDP && len >= UDP_HEADER_LEN && load_be16(l4 + 4) == len)
		return 6;
	return 0;
}

bool
checksum_fill_missing(uint8_t *p, const struct ip_view *v)
{
	struct ip_transport t;
	uint32_t offset, len;
	uint16_t found, pseudo;

	if (ip_find_transport(p, v, &t) < 0 || t.is_fragment)
		return false;
	len = v->total_len - t.offset;
	if (t.protocol == IP_PROTOCOL_SCTP)
		return fill_sctp(p + t.offset, len);
	offset = checksum_offset(t.protocol, p + t.offset, len);
	if (offset == 0)
		return false;
	memcpy(&found, p + t.offset + offset, sizeof(found));
	pseudo = checksum_fold(checksum_add_pseudo(0, v->family, v->src, v->dst, t.protocol, len));
	if (found != pseudo)
		return false;
	return checksum_fill_transport(v->family, v->src, v->dst, t.protocol, p + t.offset, len);
}
