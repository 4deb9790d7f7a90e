/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/portmap.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/net/ip16.h"

#define RESPONSE_BIT 0x80 /* of the opcode */
#define UDP          17

#define NATPMP_HEADER_LEN           8 /* of a response: version, opcode, result, epoch */
#define NATPMP_ADDRESS_RESPONSE_LEN 12
#define NATPMP_MAP_RESPONSE_LEN     16

// Where things are in PCP.
#define PCP_HEADER_LEN       24
#define PCP_AT_RESULT        3
#define PCP_AT_LIFETIME      4
#define PCP_AT_CLIENT        8 /* of a request */
#define PCP_AT_EPOCH         8 /* of a response */
#define PCP_AT_NONCE         24
#define PCP_AT_PROTOCOL      36
#define PCP_AT_INTERNAL_PORT 40
#define PCP_AT_EXTERNAL_PORT 42
#define PCP_AT_EXTERNAL_ADDR 44

static_assert(PCP_AT_EXTERNAL_ADDR + IP16_LEN == PCP_MAP_LEN);
static_assert(PCP_AT_NONCE + PCP_NONCE_LEN == PCP_AT_PROTOCOL);

enum natpmp_opcode {
	NATPMP_ADDRESS = 0,
	NATPMP_MAP_UDP = 1,
};

enum pcp_opcode {
	PCP_ANNOUNCE = 0,
	PCP_MAP = 1,
};

void
natpmp_address_request_write(uint8_t out[static NATPMP_ADDRESS_REQUEST_LEN])
{
	out[0] = PORTMAP_NATPMP;
	out[1] = NATPMP_ADDRESS;
}

void
natpmp_map_request_write(uint8_t out[static NATPMP_MAP_REQUEST_LEN],
	const struct portmap_request *request)
{
	out[0] = PORTMAP_NATPMP;
	out[1] = NATPMP_MAP_UDP;
	store_be16(out + 2, 0);
	store_be16(out + 4, request->internal_port);
	store_be16(out + 6, request->external.port);
	store_be32(out + 8, request->lifetime_s);
}

void
pcp_announce_write(uint8_t out[static PCP_ANNOUNCE_LEN], const struct addr *client)
{
	memset(out, 0, PCP_ANNOUNCE_LEN);
	out[0] = PORTMAP_PCP;
	out[1] = PCP_ANNOUNCE;
	ip16_write(out + PCP_AT_CLIENT, client);
}

void
pcp_map_request_write(uint8_t out[static PCP_MAP_LEN], const struct portmap_request *request)
{
	struct addr suggested = request->external.addr;

	suggested.family = ADDR_V4; // also where there is none: it says which family we want
	memset(out, 0, PCP_MAP_LEN);
	out[0] = PORTMAP_PCP;
	out[1] = PCP_MAP;
	store_be32(out + PCP_AT_LIFETIME, request->lifetime_s);
	ip16_write(out + PCP_AT_CLIENT, &request->client);
	memcpy(out + PCP_AT_NONCE, request->nonce, PCP_NONCE_LEN);
	out[PCP_AT_PROTOCOL] = UDP;
	store_be16(out + PCP_AT_INTERNAL_PORT, request->internal_port);
	store_be16(out + PCP_AT_EXTERNAL_PORT, request->external.port);
	ip16_write(out + PCP_AT_EXTERNAL_ADDR, &suggested);
}

// RFC 6886 section 3.5.
static enum portmap_result
natpmp_result(uint16_t code)
{
	static const enum portmap_result results[] = { PORTMAP_OK, PORTMAP_BAD_VERSION,
		PORTMAP_NOT_AUTHORIZED, PORTMAP_NETWORK_FAILURE, PORTMAP_NO_RESOURCES,
		PORTMAP_UNSUPPORTED };

	return code < sizeof(results) / sizeof(results[0]) ? results[code] : PORTMAP_OTHER_FAILURE;
}

// RFC 6887 section 7.4.
static enum portmap_result
pcp_result(uint8_t code)
{
	static const enum portmap_result results[] = {
		[0] = PORTMAP_OK,
		[1] = PORTMAP_BAD_VERSION,
		[2] = PORTMAP_NOT_AUTHORIZED,
		[3] = PORTMAP_OTHER_FAILURE, // malformed request
		[4] = PORTMAP_UNSUPPORTED,   // opcode
		[5] = PORTMAP_UNSUPPORTED,   // option
		[6] = PORTMAP_OTHER_FAILURE, // malformed option
		[7] = PORTMAP_NETWORK_FAILURE,
		[8] = PORTMAP_NO_RESOURCES,
		[9] = PORTMAP_UNSUPPORTED,    // protocol
		[10] = PORTMAP_NO_RESOURCES,  // user's quota
		[11] = PORTMAP_OTHER_FAILURE, // cannot provide the suggested external address
		[12] = PORTMAP_ADDRESS_MISMATCH,
		[13] = PORTMAP_NO_RESOURCES, // excessive remote peers
	};

	return code < sizeof(results) / sizeof(results[0]) ? results[code] : PORTMAP_OTHER_FAILURE;
}

static int
natpmp_address_read(const uint8_t *data, size_t len, struct portmap_response *r)
{
	r->kind = PORTMAP_ADDRESS;
	if (r->result != PORTMAP_OK)
		return 0;
	if (len != NATPMP_ADDRESS_RESPONSE_LEN)
		return len < NATPMP_ADDRESS_RESPONSE_LEN ? ERR_TRUNCATED : ERR_BAD_FORMAT;
	r->external.addr.family = ADDR_V4;
	memcpy(r->external.addr.bytes, data + NATPMP_HEADER_LEN, 4);
	return 0;
}

static int
natpmp_map_read(const uint8_t *data, size_t len, struct portmap_response *r)
{
	r->kind = PORTMAP_MAPPING;
	if (r->result != PORTMAP_OK)
		return 0;
	if (len != NATPMP_MAP_RESPONSE_LEN)
		return len < NATPMP_MAP_RESPONSE_LEN ? ERR_TRUNCATED : ERR_BAD_FORMAT;
	r->internal_port = load_be16(data + NATPMP_HEADER_LEN);
	r->external.port = load_be16(data + NATPMP_HEADER_LEN + 2);
	r->lifetime_s = load_be32(data + NATPMP_HEADER_LEN + 4);
	return 0;
}

static int
natpmp_read(const uint8_t *data, size_t len, struct portmap_response *r)
{
	if (len < NATPMP_HEADER_LEN)
		return ERR_TRUNCATED;
	r->protocol = PORTMAP_NATPMP;
	r->result = natpmp_result(load_be16(data + 2));
	r->epoch_s = load_be32(data + 4);
	switch (data[1]) {
	case RESPONSE_BIT | NATPMP_ADDRESS:
		return natpmp_address_read(data, len, r);
	case RESPONSE_BIT | NATPMP_MAP_UDP:
		return natpmp_map_read(data, len, r);
	default:
		return ERR_BAD_FORMAT;
	}
}

// Options may follow; we ask for none and read none.
static int
pcp_map_read(const uint8_t *data, size_t len, struct portmap_response *r)
{
	r->kind = PORTMAP_MAPPING;
	if (r->result != PORTMAP_OK)
		return 0;
	if (len < PCP_MAP_LEN)
		return ERR_TRUNCATED;
	if (data[PCP_AT_PROTOCOL] != UDP)
		return ERR_BAD_FORMAT;
	memcpy(r->nonce, data + PCP_AT_NONCE, PCP_NONCE_LEN);
	r->internal_port = load_be16(data + PCP_AT_INTERNAL_PORT);
	r->lifetime_s = load_be32(data + PCP_AT_LIFETIME);
	r->external.port = load_be16(data + PCP_AT_EXTERNAL_PORT);
	ip16_read(data + PCP_AT_EXTERNAL_ADDR, &r->external.addr);
	return 0;
}

static int
pcp_read(const uint8_t *data, size_t len, struct portmap_response *r)
{
	if (len < PCP_HEADER_LEN)
		return ERR_TRUNCATED;
	if (len > PCP_MAX_LEN)
		return ERR_BAD_FORMAT;
	r->protocol = PORTMAP_PCP;
	r->result = pcp_result(data[PCP_AT_RESULT]);
	r->epoch_s = load_be32(data + PCP_AT_EPOCH);
	switch (data[1]) {
	case RESPONSE_BIT | PCP_ANNOUNCE:
		r->kind = PORTMAP_ANNOUNCE;
		return 0;
	case RESPONSE_BIT | PCP_MAP:
		return pcp_map_read(data, len, r);
	default:
		return ERR_BAD_FORMAT;
	}
}

int
portmap_response_read(const uint8_t *data, size_t len, struct portmap_response *ret_response)
{
	struct portmap_response r = {};
	int err;

	if (len < 1)
		return ERR_TRUNCATED;
	if (data[0] == PORTMAP_NATPMP)
		err = natpmp_read(data, len, &r);
	else if (data[0] == PORTMAP_PCP)
		err = pcp_read(data, len, &r);
	else
		err = ERR_VERSION;
	if (err < 0)
		return err;
	*ret_response = r;
	return 0;
}

bool
portmap_answers(const struct portmap_response *response, const struct portmap_request *request)
{
	if (response->kind != PORTMAP_MAPPING || response->result != PORTMAP_OK ||
		response->internal_port != request->internal_port)
		return false;
	if (request->lifetime_s > 0 && (response->lifetime_s == 0 || response->external.port == 0))
		return false;
	return response->protocol == PORTMAP_NATPMP ||
	       secret_equal(response->nonce, request->nonce, PCP_NONCE_LEN);
}

bool
portmap_address_is_usable(const struct addr *addr)
{
	uint8_t first = addr->bytes[0];

	return addr->family == ADDR_V4 && first != 0 && first != 127 && first < 224;
}
