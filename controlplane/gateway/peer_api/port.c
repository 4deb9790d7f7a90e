/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/peer_api/port.h"

#include "lib/net/crc32.h"

uint16_t
peer_api_port_of(const struct addr *a, unsigned attempt)
{
	const uint8_t *last = a->bytes + addr_bits(a->family) / 8 - 3;
	uint8_t bytes[3] = { (uint8_t)(last[0] + attempt), last[1], last[2] };

	return (uint16_t)(0x8000 | crc32_ieee(bytes, sizeof(bytes)));
}
