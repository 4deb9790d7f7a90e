/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes by hand from RFC 6886 sections 3.2, 3.3 and 3.5, RFC 6887 sections 7.1, 7.2 and 11.1, and
 * ../shared/protocol/peer.md 5.5.
 */

#include "lib/traversal/portmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const struct portmap_request request = {
	.internal_port = 41641,
	.lifetime_s = PORTMAP_LIFETIME_S,
	.external = { .addr = { ADDR_V4, { 203, 0, 113, 7 } }, .port = 50000 },
	.client = { ADDR_V4, { 192, 168, 1, 20 } },
	.nonce = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 },
};

static void
test_natpmp_requests(void)
{
	static const uint8_t address[] = { 0, 0 };
	static const uint8_t map[] = { 0, 1, 0, 0, 0xa2, 0xa9, 0xc3, 0x50, 0, 0, 0x1c, 0x20 };
	uint8_t got[NATPMP_MAP_REQUEST_LEN];

	memset(got, 0xff, sizeof(got));
	natpmp_address_request_write(got);
	tap_bytes(got, address, sizeof(address), "NAT-PMP: what is the external address?");
	natpmp_map_request_write(got, &request);
	tap_bytes(got, map, sizeof(map), "NAT-PMP: map");
}

static void
test_pcp_requests(void)
{
	static const uint8_t header[24] = { 2, 0, 0, 0, 0, 0, 0, 0, [18] = 0xff, 0xff, 192, 168, 1,
		20 };
	static const uint8_t map[36] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 0, 0, 0, 0xa2,
		0xa9, 0xc3, 0x50, [30] = 0xff, 0xff, 203, 0, 113, 7 };
	static const uint8_t nowhere[16] = { [10] = 0xff, 0xff };
	struct portmap_request first = request;
	uint8_t got[PCP_MAP_LEN];

	memset(got, 0xff, sizeof(got));
	pcp_announce_write(got, &request.client);
	tap_bytes(got, header, sizeof(header), "PCP: are you there?");
	pcp_map_request_write(got, &request);
	tap_ok(got[0] == 2 && got[1] == 1 && got[6] == 0x1c && got[7] == 0x20, "PCP: map, 7,200 s");
	tap_bytes(got + 8, header + 8, 16, "PCP: the client's address");
	tap_bytes(got + 24, map, sizeof(map), "PCP: the mapping");
	first.external = (struct endpoint){};
	pcp_map_request_write(got, &first);
	tap_bytes(got + 44, nowhere, sizeof(nowhere), "PCP: no suggestion is 0.0.0.0");
}

// hex: spaces do not count.
static size_t
from_hex(uint8_t *out, const char *hex)
{
	size_t len = 0;
	unsigned byte;
	int n;

	for (; sscanf(hex, " %2x%n", &byte, &n) == 1; hex += n)
		out[len++] = (uint8_t)byte;
	return len;
}

#define OK    PORTMAP_OK
#define PMP   PORTMAP_NATPMP
#define PCP   PORTMAP_PCP
#define NONCE "0102030405060708090a0b0c"
#define MAP   "11000000 a2a9 c350"
#define EXT   "00000000000000000000ffffcb007107"

static const struct {
	const char *what, *hex;
	int err;
	enum portmap_protocol protocol;
	enum portmap_kind kind;
	enum portmap_result result;
	const char *external;
	uint32_t lifetime_s;
	bool grants; /* what was asked for above */
} rows[] = {
	{ "nothing", "", ERR_TRUNCATED, 0, 0, 0, "", 0, false },
	{ "another version", "01 80 0000 00000001", ERR_VERSION, 0, 0, 0, "", 0, false },
	// NAT-PMP: version, opcode, result, epoch.
	{ "address", "00 80 0000 00000064 cb007107", 0, PMP, PORTMAP_ADDRESS, OK, "203.0.113.7:0",
		0, false },
	{ "address, cut", "00 80 0000 00000064 cb0071", ERR_TRUNCATED, 0, 0, 0, "", 0, false },
	{ "address, longer", "00 80 0000 00000064 cb00710700", ERR_BAD_FORMAT, 0, 0, 0, "", 0,
		false },
	{ "address, no network", "00 80 0003 00000064 00000000", 0, PMP, PORTMAP_ADDRESS,
		PORTMAP_NETWORK_FAILURE, "", 0, false },
	{ "a PCP router's answer to it", "00 80 0001 00000064", 0, PMP, PORTMAP_ADDRESS,
		PORTMAP_BAD_VERSION, "", 0, false },
	{ "header cut", "00 80 0001 000000", ERR_TRUNCATED, 0, 0, 0, "", 0, false },
	{ "mapping", "00 81 0000 00000064 a2a9 c350 00001c20", 0, PMP, PORTMAP_MAPPING, OK,
		":50000", 7200, true },
	{ "mapping of another port", "00 81 0000 00000064 a2aa c350 00001c20", 0, PMP,
		PORTMAP_MAPPING, OK, ":50000", 7200, false },
	{ "mapping to port 0", "00 81 0000 00000064 a2a9 0000 00001c20", 0, PMP, PORTMAP_MAPPING,
		OK, ":0", 7200, false },
	{ "mapping for no time", "00 81 0000 00000064 a2a9 c350 00000000", 0, PMP, PORTMAP_MAPPING,
		OK, ":50000", 0, false },
	{ "mapping, cut", "00 81 0000 00000064 a2a9 c350 00001c", ERR_TRUNCATED, 0, 0, 0, "", 0,
		false },
	{ "mapping, longer", "00 81 0000 00000064 a2a9 c350 00001c20 00", ERR_BAD_FORMAT, 0, 0, 0,
		"", 0, false },
	{ "mapping, switched off", "00 81 0002 00000064 a2a9 0000 00000000", 0, PMP,
		PORTMAP_MAPPING, PORTMAP_NOT_AUTHORIZED, "", 0, false },
	{ "mapping, no room", "00 81 0004 00000064", 0, PMP, PORTMAP_MAPPING, PORTMAP_NO_RESOURCES,
		"", 0, false },
	{ "mapping, unknown failure", "00 81 ffff 00000064", 0, PMP, PORTMAP_MAPPING,
		PORTMAP_OTHER_FAILURE, "", 0, false },
	{ "mapping of TCP", "00 82 0000 00000064 a2a9 c350 00001c20", ERR_BAD_FORMAT, 0, 0, 0, "",
		0, false },
	{ "our own request", "00 01 0000 a2a9c350 00001c20", ERR_BAD_FORMAT, 0, 0, 0, "", 0,
		false },
	// PCP: version, opcode, reserved, result, lifetime, epoch, reserved.
	{ "announce", "02 80 00 00 00000000 00000064 000000000000000000000000", 0, PCP,
		PORTMAP_ANNOUNCE, OK, "", 0, false },
	{ "announce, cut", "02 80 00 00 00000000 00000064 0000000000000000000000", ERR_TRUNCATED, 0,
		0, 0, "", 0, false },
	{ "PCP mapping", "02 81 00 00 00000e10 00000064 000000000000000000000000" NONCE MAP EXT, 0,
		PCP, PORTMAP_MAPPING, OK, "203.0.113.7:50000", 3600, true },
	{ "with an option behind",
		"02 81 00 00 00000e10 00000064 000000000000000000000000" NONCE MAP EXT "02000000",
		0, PCP, PORTMAP_MAPPING, OK, "203.0.113.7:50000", 3600, true },
	{ "with another nonce",
		"02 81 00 00 00000e10 00000064 000000000000000000000000 "
	        "0102030405060708090a0b0d" MAP EXT,
		0, PCP, PORTMAP_MAPPING, OK, "203.0.113.7:50000", 3600, false },
	{ "to IPv6",
		"02 81 00 00 00000e10 00000064 000000000000000000000000" NONCE MAP
		"20010db8000000000000000000000001",
		0, PCP, PORTMAP_MAPPING, OK, "[2001:db8::1]:50000", 3600, true },
	{ "of TCP",
		"02 81 00 00 00000e10 00000064 000000000000000000000000" NONCE
		"06000000a2a9c350" EXT,
		ERR_BAD_FORMAT, 0, 0, 0, "", 0, false },
	{ "PCP mapping, cut",
		"02 81 00 00 00000e10 00000064 000000000000000000000000" NONCE MAP
		"00000000000000000000ffffcb0071",
		ERR_TRUNCATED, 0, 0, 0, "", 0, false },
	{ "a failure needs no mapping", "02 81 00 02 00000e10 00000064 000000000000000000000000", 0,
		PCP, PORTMAP_MAPPING, PORTMAP_NOT_AUTHORIZED, "", 0, false },
	{ "another NAT between", "02 81 00 0c 00000e10 00000064 000000000000000000000000", 0, PCP,
		PORTMAP_MAPPING, PORTMAP_ADDRESS_MISMATCH, "", 0, false },
	{ "the last that is known", "02 81 00 0d 00000e10 00000064 000000000000000000000000", 0,
		PCP, PORTMAP_MAPPING, PORTMAP_NO_RESOURCES, "", 0, false },
	{ "unknown failure", "02 81 00 0e 00000e10 00000064 000000000000000000000000", 0, PCP,
		PORTMAP_MAPPING, PORTMAP_OTHER_FAILURE, "", 0, false },
	{ "a request", "02 01 00 00 00000e10 00000064 000000000000000000000000" NONCE MAP EXT,
		ERR_BAD_FORMAT, 0, 0, 0, "", 0, false },
	{ "PEER", "02 82 00 00 00000e10 00000064 000000000000000000000000" NONCE MAP EXT,
		ERR_BAD_FORMAT, 0, 0, 0, "", 0, false },
};

static bool
has_external(const struct endpoint *got, const char *wanted)
{
	char text[ADDR_TEXT_LEN] = "";

	if (got->addr.family != ADDR_NONE)
		endpoint_format(got, text);
	else if (*wanted != '\0')
		snprintf(text, sizeof(text), ":%u", got->port);
	return strcmp(text, wanted) == 0;
}

static void
test_response(size_t row)
{
	struct portmap_response r, before;
	uint8_t *data = malloc(128), *exact;
	size_t len = from_hex(data, rows[row].hex);
	const char *what = rows[row].what;

	exact = memcpy(malloc(len > 0 ? len : 1), data, len); // a sanitizer sees what lies behind
	memset(&r, 0x5a, sizeof(r));
	before = r;
	tap_int(portmap_response_read(exact, len, &r), rows[row].err, what);
	free(data);
	free(exact);
	if (rows[row].err < 0) {
		tap_ok(memcmp(&r, &before, sizeof(r)) == 0, "%s: nothing written", what);
		return;
	}
	tap_int(r.protocol, rows[row].protocol, what);
	tap_int(r.kind, rows[row].kind, what);
	tap_int(r.result, rows[row].result, what);
	tap_int(r.epoch_s, 100, what);
	tap_int(r.lifetime_s, rows[row].lifetime_s, what);
	tap_ok(has_external(&r.external, rows[row].external), "%s: external", what);
	tap_int(portmap_answers(&r, &request), rows[row].grants, what);
}

static void
test_pcp_too_long(void)
{
	static uint8_t data[PCP_MAX_LEN + 4] = { 2, 0x80 };
	struct portmap_response r;

	tap_int(portmap_response_read(data, PCP_MAX_LEN, &r), 0, "1,100 bytes of PCP");
	tap_int(portmap_response_read(data, sizeof(data), &r), ERR_BAD_FORMAT, "and no more");
}

// A mapping that was to be deleted is answered with lifetime 0, and perhaps port 0.
static void
test_delete(void)
{
	static const uint8_t data[] = { 0, 0x81, 0, 0, 0, 0, 0, 1, 0xa2, 0xa9, 0, 0, 0, 0, 0, 0 };
	struct portmap_request deletion = request;
	struct portmap_response r;

	deletion.lifetime_s = 0;
	tap_int(portmap_response_read(data, sizeof(data), &r), 0, "a mapping is gone");
	tap_ok(portmap_answers(&r, &deletion), "as was asked");
	tap_ok(!portmap_answers(&r, &request), "but not to one who wanted it");
}

static void
test_usable(void)
{
	static const struct {
		struct addr addr;
		bool usable;
	} addrs[] = {
		{ { ADDR_V4, { 203, 0, 113, 7 } }, true },
		{ { ADDR_V4, { 10, 0, 0, 1 } }, true }, // a second NAT: of use inside it
		{ { ADDR_V4, { 0 } }, false },
		{ { ADDR_V4, { 127, 0, 0, 1 } }, false },
		{ { ADDR_V4, { 224, 0, 0, 1 } }, false },
		{ { ADDR_V4, { 255, 255, 255, 255 } }, false },
		{ { ADDR_V6, { 0x20, 1 } }, false },
		{ { 0 }, false },
	};

	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		tap_int(portmap_address_is_usable(&addrs[i].addr), addrs[i].usable,
			"of use as an external address");
}

int
main(void)
{
	test_natpmp_requests();
	test_pcp_requests();
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
		test_response(row);
	test_pcp_too_long();
	test_delete();
	test_usable();
	return tap_done();
}
