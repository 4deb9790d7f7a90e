/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What several tests of lib/net need: packets to begin with, and numbers that come the same way
 * each time.
 */
#ifndef TESTS_UNIT_LIB_NET_FIXTURE_H
#define TESTS_UNIT_LIB_NET_FIXTURE_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/net/checksum.h"
#include "lib/net/headers.h"

/* SplitMix64: every seed gives a good sequence. */
struct rng {
	uint64_t state;
};

static inline uint64_t
rng_next(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint32_t
rng_below(struct rng *r, uint32_t limit)
{
	return (uint32_t)(rng_next(r) % limit);
}

static inline struct addr
addr_of_text(const char *text)
{
	struct addr a = {};
	int err = addr_parse(text, &a);

	assert(err == 0);
	(void)err;
	return a;
}

/* A packet in a buffer of its own, with what ip_parse() says of it. */
struct packet {
	uint8_t bytes[2048];
	uint32_t len;
	struct ip_view view;
};

/* An IP header by the family of src, its checksum right, and room for payload_len zero bytes. */
static inline void
packet_begin(struct packet *k,
	const char *src_text,
	const char *dst_text,
	uint8_t protocol,
	uint32_t payload_len)
{
	struct addr src = addr_of_text(src_text), dst = addr_of_text(dst_text);
	bool parsed;

	memset(k, 0, sizeof(*k));
	if (src.family == ADDR_V4) {
		k->len = IPV4_HEADER_LEN + payload_len;
		k->bytes[0] = 0x45;
		store_be16(k->bytes + 2, (uint16_t)k->len);
		store_be16(k->bytes + 4, 0x1234);
		k->bytes[8] = 64;
		k->bytes[9] = protocol;
		memcpy(k->bytes + 12, src.bytes, 4);
		memcpy(k->bytes + 16, dst.bytes, 4);
		checksum_fill_ipv4(k->bytes, IPV4_HEADER_LEN);
	} else {
		k->len = IPV6_HEADER_LEN + payload_len;
		k->bytes[0] = 0x60;
		store_be16(k->bytes + 4, (uint16_t)payload_len);
		k->bytes[6] = protocol;
		k->bytes[7] = 64;
		memcpy(k->bytes + 8, src.bytes, 16);
		memcpy(k->bytes + 24, dst.bytes, 16);
	}
	parsed = ip_parse(k->bytes, k->len, &k->view);
	assert(parsed);
	(void)parsed;
}

/* Read the view again after a header was changed by hand. */
static inline bool
packet_parse(struct packet *k)
{
	return ip_parse(k->bytes, k->len, &k->view);
}

#endif
