/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A datagram from a stranger: classified, and opened with the key that a and b of
 * tests/vectors/disco.json share.  Then the same bytes as a plaintext, as a peer could seal them.
 * What is understood can be written, and is then understood as the same.
 */

#include <stdlib.h>
#include <string.h>

#include "lib/traversal/datagram.h"
#include "lib/traversal/disco.h"

#define MAX_LEN 65536

static const struct box_key shared = { { 0x56, 0xd0, 0xc5, 0x95, 0x01, 0xdd, 0xbb, 0xbf, 0x0d, 0xe0,
	0x91, 0x03, 0xcb, 0xb7, 0xcd, 0x55, 0x1a, 0x50, 0xd3, 0x61, 0x5e, 0xd0, 0x4d, 0x89, 0x6d,
	0x2a, 0x1e, 0x9a, 0x1c, 0xca, 0x47, 0x6d } };

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
look_at(const struct disco_endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->n; i++) {
		struct endpoint endpoint;

		disco_endpoint_at(endpoints, i, &endpoint);
		must(endpoint.addr.family == ADDR_V4 || endpoint.addr.family == ADDR_V6);
	}
}

static void
take_plain(const uint8_t *plain, size_t len)
{
	static uint8_t once[2 * MAX_LEN], twice[2 * MAX_LEN];
	struct disco_message m;
	size_t written;

	if (disco_message_read(plain, len, &m) != 0)
		return;
	if (m.type == DISCO_CALL_ME_MAYBE)
		look_at(&m.call_me_maybe);
	if (m.type == DISCO_CALL_ME_MAYBE_VIA)
		look_at(&m.call_me_maybe_via.endpoints);
	if (m.type == DISCO_ALLOCATE_RESPONSE)
		look_at(&m.allocate_response.relay.endpoints);

	written = disco_plain_len(&m);
	must(written <= len);
	disco_message_write(once, &m);
	must(disco_message_read(once, written, &m) == 0);
	must(disco_plain_len(&m) <= written); // zeros behind a ping may be read as no key
	disco_message_write(twice, &m);
	must(memcmp(once, twice, disco_plain_len(&m)) == 0);
}

static void
take_datagram(uint8_t *data, size_t len)
{
	struct disco_envelope envelope;
	const uint8_t *plain;
	size_t plain_len;

	if (disco_envelope_read(data, len, &envelope) != 0)
		return;
	must(envelope.box + envelope.box_len == data + len);
	if (disco_open(&envelope, &shared, &plain, &plain_len) == 0) {
		must(plain + plain_len == data + len);
		take_plain(plain, plain_len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct datagram d;
	uint8_t *copy;

	if (len > MAX_LEN || crypto_init() != 0)
		return 0;
	datagram_classify(data, len, &d);
	must(d.len <= len && d.relayed == (d.len != len));
	must(d.kind != DATAGRAM_DISCO || disco_is_envelope(d.payload, d.len));
	copy = malloc(d.len > 0 ? d.len : 1);
	must(copy != NULL);
	if (d.len > 0)
		memcpy(copy, d.payload, d.len);
	take_datagram(copy, d.len);
	free(copy);
	take_plain(data, len);
	return 0;
}
