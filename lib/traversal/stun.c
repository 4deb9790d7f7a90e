/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/traversal/stun.h"

#include <assert.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/net/crc32.h"
#include "lib/net/ip16.h"

#define HEADER_LEN           20
#define TXID_AT              8
#define ATTRIBUTE_HEADER_LEN 4
#define SOFTWARE_LEN         8
#define FINGERPRINT_LEN      (ATTRIBUTE_HEADER_LEN + 4)
#define FINGERPRINT_XOR      0x5354554e /* "STUN" */
#define COOKIE               0x2112a442
#define ADDRESS_HEADER_LEN   4 /* a zero byte, family, port */

enum message_type {
	BINDING_REQUEST = 0x0001,
	BINDING_SUCCESS = 0x0101,
};

enum attribute_type {
	MAPPED_ADDRESS = 0x0001,
	XOR_MAPPED_ADDRESS = 0x0020,
	XOR_MAPPED_ADDRESS_OLD = 0x8020, /* of drafts; servers send it */
	SOFTWARE = 0x8022,
	FINGERPRINT = 0x8028,
};

static const uint8_t software[SOFTWARE_LEN] = { 't', 'a', 'i', 'l', 'n', 'o', 'd', 'e' };

static_assert(
	STUN_REQUEST_LEN == HEADER_LEN + ATTRIBUTE_HEADER_LEN + SOFTWARE_LEN + FINGERPRINT_LEN);
static_assert(
	STUN_RESPONSE_MAX_LEN == HEADER_LEN + ATTRIBUTE_HEADER_LEN + ADDRESS_HEADER_LEN + IP16_LEN);

struct attribute {
	uint16_t type;
	uint16_t len;
	const uint8_t *value;
};

struct attributes { /* what is still to be read */
	const uint8_t *p;
	size_t len;
};

// The next one, with its padding to four bytes: 0, or ERR_BAD_FORMAT if it is cut short.
static int
attribute_next(struct attributes *rest, struct attribute *ret_attribute)
{
	size_t len, padded;

	if (rest->len < ATTRIBUTE_HEADER_LEN)
		return ERR_BAD_FORMAT;
	len = load_be16(rest->p + 2);
	padded = (len + 3) & ~(size_t)3;
	if (padded > rest->len - ATTRIBUTE_HEADER_LEN)
		return ERR_BAD_FORMAT;
	*ret_attribute = (struct attribute){
		.type = load_be16(rest->p),
		.len = (uint16_t)len,
		.value = rest->p + ATTRIBUTE_HEADER_LEN,
	};
	rest->p += ATTRIBUTE_HEADER_LEN + padded;
	rest->len -= ATTRIBUTE_HEADER_LEN + padded;
	return 0;
}

static uint32_t
fingerprint(const uint8_t *p, size_t len)
{
	return crc32_ieee(p, len) ^ FINGERPRINT_XOR;
}

bool
stun_is_message(const uint8_t *data, size_t len)
{
	return len >= HEADER_LEN && (data[0] & 0xc0) == 0 && load_be32(data + 4) == COOKIE;
}

static void
header_write(uint8_t *out, uint16_t type, size_t attributes_len, const struct stun_txid *txid)
{
	store_be16(out, type);
	store_be16(out + 2, (uint16_t)attributes_len);
	store_be32(out + 4, COOKIE);
	memcpy(out + TXID_AT, txid->bytes, STUN_TXID_LEN);
}

static uint8_t *
attribute_header_write(uint8_t *out, uint16_t type, size_t len)
{
	store_be16(out, type);
	store_be16(out + 2, (uint16_t)len);
	return out + ATTRIBUTE_HEADER_LEN;
}

void
stun_request_write(uint8_t out[static STUN_REQUEST_LEN], const struct stun_txid *txid)
{
	uint8_t *p = out + HEADER_LEN;

	header_write(out, BINDING_REQUEST, STUN_REQUEST_LEN - HEADER_LEN, txid);
	p = attribute_header_write(p, SOFTWARE, SOFTWARE_LEN);
	memcpy(p, software, SOFTWARE_LEN);
	p = attribute_header_write(p + SOFTWARE_LEN, FINGERPRINT, 4);
	// Over all before it, the header with its final length included.
	store_be32(p, fingerprint(out, STUN_REQUEST_LEN - FINGERPRINT_LEN));
}

int
stun_request_read(const uint8_t *data, size_t len, struct stun_txid *ret_txid)
{
	struct attributes rest;
	struct attribute a = {};
	bool ours = false;

	if (!stun_is_message(data, len) || len > STUN_REQUEST_MAX_LEN ||
		load_be16(data) != BINDING_REQUEST)
		return ERR_BAD_FORMAT;
	// To the end of the datagram: the header's length is not looked at.
	rest = (struct attributes){ data + HEADER_LEN, len - HEADER_LEN };
	while (rest.len > 0) {
		int err = attribute_next(&rest, &a);

		if (err < 0)
			return err;
		ours |= a.type == SOFTWARE && a.len == SOFTWARE_LEN &&
		        memcmp(a.value, software, SOFTWARE_LEN) == 0;
	}
	if (!ours || a.type != FINGERPRINT || a.len != 4)
		return ERR_BAD_FORMAT;
	if (load_be32(a.value) != fingerprint(data, len - FINGERPRINT_LEN))
		return ERR_BAD_MAC;
	memcpy(ret_txid->bytes, data + TXID_AT, STUN_TXID_LEN);
	return 0;
}

// Addresses are masked with the cookie and the transaction id, against routers that rewrite every
// address they see.  Works both ways.
static void
mask_address(uint8_t *address, size_t len, const struct stun_txid *txid)
{
	uint8_t mask[IP16_LEN];

	store_be32(mask, COOKIE);
	memcpy(mask + 4, txid->bytes, STUN_TXID_LEN);
	for (size_t i = 0; i < len; i++)
		address[i] ^= mask[i];
}

static void
unmap(struct addr *addr)
{
	uint8_t ip16[IP16_LEN];

	ip16_write(ip16, addr);
	ip16_read(ip16, addr);
}

size_t
stun_response_write(uint8_t out[static STUN_RESPONSE_MAX_LEN],
	const struct stun_txid *txid,
	const struct endpoint *source)
{
	struct addr addr = source->addr;
	size_t addr_len, attribute_len;
	uint8_t *p;

	unmap(&addr);
	addr_len = addr.family == ADDR_V4 ? 4 : IP16_LEN;
	attribute_len = ADDRESS_HEADER_LEN + addr_len;
	header_write(out, BINDING_SUCCESS, ATTRIBUTE_HEADER_LEN + attribute_len, txid);
	p = attribute_header_write(out + HEADER_LEN, XOR_MAPPED_ADDRESS, attribute_len);
	p[0] = 0;
	p[1] = addr.family == ADDR_V4 ? 1 : 2;
	store_be16(p + 2, source->port ^ (COOKIE >> 16));
	memcpy(p + ADDRESS_HEADER_LEN, addr.bytes, addr_len);
	mask_address(p + ADDRESS_HEADER_LEN, addr_len, txid);
	return HEADER_LEN + ATTRIBUTE_HEADER_LEN + attribute_len;
}

static int
read_address(const struct attribute *a, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = {};
	size_t addr_len;

	if (a->len < ADDRESS_HEADER_LEN)
		return ERR_BAD_FORMAT;
	if (a->value[1] == 1) {
		endpoint.addr.family = ADDR_V4;
		addr_len = 4;
	} else if (a->value[1] == 2) {
		endpoint.addr.family = ADDR_V6;
		addr_len = IP16_LEN;
	} else {
		return ERR_BAD_FORMAT;
	}
	if (a->len < ADDRESS_HEADER_LEN + addr_len)
		return ERR_BAD_FORMAT;
	endpoint.port = load_be16(a->value + 2);
	memcpy(endpoint.addr.bytes, a->value + ADDRESS_HEADER_LEN, addr_len);
	*ret_endpoint = endpoint;
	return 0;
}

static void
unmask(struct endpoint *endpoint, const struct stun_txid *txid)
{
	endpoint->port ^= COOKIE >> 16;
	mask_address(endpoint->addr.bytes, addr_bits(endpoint->addr.family) / 8, txid);
}

// Into what is known so far: the masked address wins over the plain one, and the last over earlier
// ones.
static int
take_address(const struct attribute *a,
	const struct stun_txid *txid,
	struct endpoint *masked,
	struct endpoint *plain)
{
	int err;

	switch (a->type) {
	case XOR_MAPPED_ADDRESS:
	case XOR_MAPPED_ADDRESS_OLD:
		err = read_address(a, masked);
		if (err == 0)
			unmask(masked, txid);
		return err;
	case MAPPED_ADDRESS:
		return read_address(a, plain);
	default:
		return 0;
	}
}

int
stun_response_read(const uint8_t *data,
	size_t len,
	struct stun_txid *ret_txid,
	struct endpoint *ret_mapped)
{
	struct endpoint masked = {}, plain = {};
	struct stun_txid txid;
	struct attributes rest;
	struct attribute a;

	if (!stun_is_message(data, len) || load_be16(data) != BINDING_SUCCESS)
		return ERR_BAD_FORMAT;
	rest = (struct attributes){ data + HEADER_LEN, load_be16(data + 2) };
	if (rest.len > len - HEADER_LEN)
		return ERR_BAD_FORMAT;
	memcpy(txid.bytes, data + TXID_AT, STUN_TXID_LEN);
	while (rest.len > 0) {
		int err = attribute_next(&rest, &a);

		if (err == 0)
			err = take_address(&a, &txid, &masked, &plain);
		if (err < 0)
			return err;
	}
	if (masked.addr.family == ADDR_NONE)
		masked = plain;
	if (masked.addr.family == ADDR_NONE)
		return ERR_BAD_FORMAT;
	unmap(&masked.addr);
	*ret_mapped = masked;
	*ret_txid = txid;
	return 0;
}
