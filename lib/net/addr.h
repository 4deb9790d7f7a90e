/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses, prefixes and endpoints, with their text forms.
 *
 * Source: RFC 4291 section 2.2 and RFC 5952 for IPv6 text; "[address]:port" as in RFC 3986.
 */
#ifndef LIB_NET_ADDR_H
#define LIB_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum addr_family {
	ADDR_NONE = 0,
	ADDR_V4 = 4,
	ADDR_V6 = 6,
};

struct addr {
	uint8_t family;    /* enum addr_family */
	uint8_t bytes[16]; /* network order; an IPv4 address in the first four, the rest zero */
};

struct prefix {
	struct addr addr;
	uint8_t len; /* bits: 0 to 32, or 0 to 128 */
};

struct endpoint {
	struct addr addr;
	uint16_t port;     /* host order */
	uint32_t scope_id; /* interface index of a link-local IPv6 address, else 0 */
};

/* Room for any of the three with its terminating zero. */
#define ADDR_TEXT_LEN 80

/* Bits of an address of this family: 32, 128, or 0. */
unsigned addr_bits(enum addr_family family);
bool addr_equal(const struct addr *a, const struct addr *b);
/* Family first, then bytes: <0, 0, >0. */
int addr_compare(const struct addr *a, const struct addr *b);

/*
 * Parse text.  0, or ERR_BAD_FORMAT.  No names, no white space.
 * prefix_parse: without "/len" it is a host prefix; host bits may be set and are kept
 * (prefix_mask() clears them).
 * endpoint_parse: "1.2.3.4:5", "[fe80::1%eth0]:5" and "[fe80::1%2]:5"; the port is 1 to 65535.
 */
[[nodiscard]] int addr_parse(const char *text, struct addr *ret_addr);
[[nodiscard]] int prefix_parse(const char *text, struct prefix *ret_prefix);
[[nodiscard]] int endpoint_parse(const char *text, struct endpoint *ret_endpoint);

/* Write the text form with its terminating zero into `text`, and return `text`. */
char *addr_format(const struct addr *a, char text[static ADDR_TEXT_LEN]);
char *prefix_format(const struct prefix *p, char text[static ADDR_TEXT_LEN]);
char *endpoint_format(const struct endpoint *e, char text[static ADDR_TEXT_LEN]);

/* Clear the host bits.  A len beyond the family's bits is cut to it. */
struct prefix prefix_mask(struct prefix p);
bool prefix_equal(const struct prefix *a, const struct prefix *b); /* host bits do not count */
bool prefix_contains(const struct prefix *p, const struct addr *a);
/* Whether every address of `inner` is in `outer` (equal prefixes: yes). */
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

#endif
