/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/datagram.h"

#include "lib/traversal/disco.h"
#include "lib/traversal/stun.h"

#define BINDING 0x01 /* the second byte of requests and of responses */

// Relayed disco must look like disco; otherwise the header is no header, and WireGuard is left to
// refuse the whole.
static bool
is_relayed(const uint8_t *data, size_t len, struct geneve *ret_geneve)
{
	if (!geneve_read(data, len, ret_geneve))
		return false;
	if (ret_geneve->protocol == GENEVE_DISCO)
		return disco_is_envelope(data + GENEVE_LEN, len - GENEVE_LEN);
	return ret_geneve->protocol == GENEVE_WIREGUARD;
}

void
datagram_classify(const uint8_t *data, size_t len, struct datagram *ret_datagram)
{
	struct datagram d = { .kind = DATAGRAM_WIREGUARD, .payload = data, .len = len };

	if (stun_is_message(data, len) && data[1] == BINDING) {
		d.kind = DATAGRAM_STUN;
	} else if (is_relayed(data, len, &d.geneve)) {
		d.relayed = true;
		d.payload += GENEVE_LEN;
		d.len -= GENEVE_LEN;
		if (d.geneve.protocol == GENEVE_DISCO)
			d.kind = DATAGRAM_DISCO;
	} else if (disco_is_envelope(data, len)) {
		d.kind = DATAGRAM_DISCO;
	}
	if (!d.relayed)
		d.geneve = (struct geneve){};
	*ret_datagram = d;
}

enum datagram_kind
datagram_kind_of_relay(const uint8_t *data, size_t len)
{
	return disco_is_envelope(data, len) ? DATAGRAM_DISCO : DATAGRAM_WIREGUARD;
}
