/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a packet is to the translation, and the keys that rows are found by.
 */
#ifndef LIB_NAT_SHAPE_H
#define LIB_NAT_SHAPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/nat/nat.h"

enum nat_shape {
	NAT_SHAPE_FLOW,  /* TCP, UDP, echo, with a whole transport header */
	NAT_SHAPE_ERROR, /* an ICMP error that quotes a packet */
	NAT_SHAPE_LATER, /* a later fragment */
	NAT_SHAPE_OTHER, /* another protocol or ICMP message */
	NAT_SHAPE_BAD,   /* the transport header is not whole, or cannot be found */
};

/* Offset and meaning of TCP's flags. */
#define NAT_TCP_FLAGS 13
#define NAT_TCP_FIN   0x01
#define NAT_TCP_SYN   0x02
#define NAT_TCP_RST   0x04
#define NAT_TCP_ACK   0x10

#define NAT_ICMP4_ECHO_REPLY   0
#define NAT_ICMP4_ECHO_REQUEST 8
#define NAT_ICMP6_ECHO_REQUEST 128
#define NAT_ICMP6_ECHO_REPLY   129
#define NAT_ICMP_HEADER_LEN    8

/* Which way a packet goes, or whose key it is. */
enum nat_side {
	NAT_INSIDE = 1, /* keys of the inside endpoint: of what comes from the tunnel */
	NAT_OUTSIDE,    /* keys of the endpoint that the remote one sees */
	NAT_MAPPED,     /* keys of mappings */
};

#define NAT_KEY_BITS ((UINT64_C(1) << 48) - 1) /* of key[4]: ports, protocol, family */

/* key[0..1]: our endpoint's address; [2..3]: the remote one's; [4]: the rest. */
static inline uint64_t
nat_key_rest(uint16_t port, uint16_t remote_port, uint8_t protocol, uint8_t family)
{
	return (uint64_t)port | (uint64_t)remote_port << 16 | (uint64_t)protocol << 32 |
	       (uint64_t)family << 40;
}

static inline void
nat_load_addr(uint8_t family, const uint8_t *bytes, uint64_t words[static 2])
{
	uint32_t v4;

	if (family == ADDR_V4) {
		memcpy(&v4, bytes, sizeof(v4));
		words[0] = v4;
		words[1] = 0;
	} else {
		memcpy(words, bytes, 16);
	}
}

/* Which of an address's port spaces a protocol uses. */
static inline unsigned
nat_class(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_TCP ? 0 : protocol == IP_PROTOCOL_UDP ? 1 : 2;
}

static inline bool
nat_is_icmp(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_ICMP || protocol == IP_PROTOCOL_IPV6_ICMP;
}

/*
 * A packet's shape, the offset of its transport header, and its key as seen from one side.
 * Nothing is fetched, and the hash is not made.
 */
void
nat_read(enum nat_side side, const uint8_t *p, const struct ip_view *v, struct nat_look *ret_look);

/* The same of a packet that an ICMP error quotes: no more of its transport header than that needs
   to be there, and TCP's flags are not read. */
#define NAT_QUOTED_LEN 8
void nat_read_quoted(enum nat_side side,
	const uint8_t *p,
	const struct ip_view *v,
	struct nat_look *ret_look);

/* Keyed: places in the index are nobody's to choose. */
static inline uint64_t
nat_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t
nat_hash(const uint64_t secret[static 4], enum nat_side side, const uint64_t key[static 5])
{
	uint64_t rest = key[4] | (uint64_t)side << 48;
	uint64_t h;

	if (key[4] >> 40 == ADDR_V4)
		h = nat_mix((key[0] << 32 | key[2]) ^ secret[0], rest ^ secret[1]);
	else
		h = nat_mix(key[0] ^ secret[0], key[1] ^ secret[1]) ^
		    nat_mix(key[2] ^ secret[2], key[3] ^ secret[3] ^ rest);
	return nat_mix(h ^ secret[2], rest ^ secret[3]);
}

#endif
