/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/geneve.h"

#include "lib/base/bytes.h"

#define VERSION_BITS  0xc0 /* of byte 0 */
#define CONTROL_BIT   0x80 /* of byte 1 */
#define RESERVED_BITS 0x3f /* of byte 1; the bit between, "critical", is not looked at */

bool
geneve_read(const uint8_t *data, size_t len, struct geneve *ret_header)
{
	if (len < GENEVE_LEN || (data[0] & VERSION_BITS) != 0 || (data[1] & RESERVED_BITS) != 0 ||
		data[7] != 0)
		return false;
	*ret_header = (struct geneve){
		.control = (data[1] & CONTROL_BIT) != 0,
		.protocol = load_be16(data + 2),
		.vni = load_be32(data + 4) >> 8,
	};
	return true;
}

void
geneve_write(uint8_t out[static GENEVE_LEN], const struct geneve *header)
{
	out[0] = 0;
	out[1] = header->control ? CONTROL_BIT : 0;
	store_be16(out + 2, header->protocol);
	store_be32(out + 4, header->vni << 8);
}
