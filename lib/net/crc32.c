/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/crc32.h"

uint32_t
crc32_ieee(const void *data, size_t len)
{
	static const uint32_t of_nibble[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, // 0 to 3
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, // 4 to 7
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, // 8 to 11
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c, // 12 to 15
	};
	const uint8_t *p = data;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc = (crc >> 4) ^ of_nibble[(crc ^ p[i]) & 15];
		crc = (crc >> 4) ^ of_nibble[(crc ^ (p[i] >> 4)) & 15];
	}
	return ~crc;
}
