/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#define GROUPS 8 /* of sixteen bits in an IPv6 address */

unsigned
addr_bits(enum addr_family family)
{
	switch (family) {
	case ADDR_V4:
		return 32;
	case ADDR_V6:
		return 128;
	case ADDR_NONE:
		break;
	}
	return 0;
}

int
addr_compare(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, addr_bits(a->family) / 8);
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_compare(a, b) == 0;
}

// A decimal number of at most `max`: digits only, no leading zero, at least one digit.
static int
parse_number(const char *text, uint32_t max, uint32_t *ret_number)
{
	uint64_t number = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return ERR_BAD_FORMAT;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return ERR_BAD_FORMAT;
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > max)
			return ERR_BAD_FORMAT;
	}
	*ret_number = (uint32_t)number;
	return 0;
}

// Copy text[0, len) with a zero behind it, or fail if it has no room.
static int
cut_text(const char *text, size_t len, char *ret_text, size_t size_bytes)
{
	if (len >= size_bytes)
		return ERR_BAD_FORMAT;
	memcpy(ret_text, text, len);
	ret_text[len] = '\0';
	return 0;
}

int
addr_parse(const char *text, struct addr *ret_addr)
{
	struct addr a = {};

	// inet_pton() takes neither white space, nor zones, nor leading zeros in IPv4 (octal to
	// some).
	if (inet_pton(AF_INET, text, a.bytes) == 1)
		a.family = ADDR_V4;
	else if (inet_pton(AF_INET6, text, a.bytes) == 1)
		a.family = ADDR_V6;
	else
		return ERR_BAD_FORMAT;
	*ret_addr = a;
	return 0;
}

int
prefix_parse(const char *text, struct prefix *ret_prefix)
{
	char addr_text[ADDR_TEXT_LEN];
	const char *slash = strchr(text, '/');
	struct prefix p;
	uint32_t len;
	int err;

	err = cut_text(text, slash != NULL ? (size_t)(slash - text) : strlen(text), addr_text,
		sizeof(addr_text));
	if (err < 0)
		return err;
	err = addr_parse(addr_text, &p.addr);
	if (err < 0)
		return err;

	len = addr_bits(p.addr.family);
	if (slash != NULL) {
		err = parse_number(slash + 1, len, &len);
		if (err < 0)
			return err;
	}
	p.len = (uint8_t)len;
	*ret_prefix = p;
	return 0;
}

static bool
is_link_local(const struct addr *a)
{
	return a->family == ADDR_V6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

// A zone is an interface index or, if it has anything but digits, an interface's name.
static int
parse_zone(const char *text, uint32_t *ret_scope_id)
{
	uint32_t index;

	if (text[strspn(text, "0123456789")] == '\0') {
		if (parse_number(text, UINT32_MAX, &index) < 0)
			return ERR_BAD_FORMAT;
	} else {
		index = if_nametoindex(text);
	}
	if (index == 0)
		return ERR_BAD_FORMAT;
	*ret_scope_id = index;
	return 0;
}

// What stands between the brackets: an IPv6 address, and a zone where it is link-local.
static int
parse_bracketed(const char *text, size_t len, struct endpoint *ret_endpoint)
{
	char inside[ADDR_TEXT_LEN];
	char *zone;
	int err;

	err = cut_text(text, len, inside, sizeof(inside));
	if (err < 0)
		return err;
	zone = strchr(inside, '%');
	if (zone != NULL)
		*zone++ = '\0';

	err = addr_parse(inside, &ret_endpoint->addr);
	if (err < 0)
		return err;
	if (ret_endpoint->addr.family != ADDR_V6)
		return ERR_BAD_FORMAT;
	if (zone == NULL)
		return 0;
	if (!is_link_local(&ret_endpoint->addr))
		return ERR_BAD_FORMAT;
	return parse_zone(zone, &ret_endpoint->scope_id);
}

static int
parse_plain(const char *text, size_t len, struct endpoint *ret_endpoint)
{
	char inside[INET_ADDRSTRLEN];
	int err;

	err = cut_text(text, len, inside, sizeof(inside));
	if (err < 0)
		return err;
	err = addr_parse(inside, &ret_endpoint->addr);
	if (err < 0)
		return err;
	return ret_endpoint->addr.family == ADDR_V4 ? 0 : ERR_BAD_FORMAT;
}

int
endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
	const char *colon = strrchr(text, ':');
	struct endpoint e = {};
	uint32_t port;
	int err;

	if (colon == NULL)
		return ERR_BAD_FORMAT;
	if (text[0] == '[') {
		if (colon - text < 2 || colon[-1] != ']')
			return ERR_BAD_FORMAT;
		err = parse_bracketed(text + 1, (size_t)(colon - text) - 2, &e);
	} else {
		err = parse_plain(text, (size_t)(colon - text), &e);
	}
	if (err < 0)
		return err;

	err = parse_number(colon + 1, UINT16_MAX, &port);
	if (err < 0)
		return err;
	if (port == 0)
		return ERR_BAD_FORMAT;
	e.port = (uint16_t)port;
	*ret_endpoint = e;
	return 0;
}

// The first of the longest runs of at least two zero groups (RFC 5952 section 4.2).
static void
find_zero_run(const uint16_t groups[GROUPS], int *ret_start, int *ret_count)
{
	int best_start = -1, best_count = 1;

	for (int i = 0; i < GROUPS; i++) {
		int count = 0;

		while (i + count < GROUPS && groups[i + count] == 0)
			count++;
		if (count > best_count) {
			best_start = i;
			best_count = count;
		}
		i += count;
	}
	*ret_start = best_start;
	*ret_count = best_start < 0 ? 0 : best_count;
}

static void
format_v4(const uint8_t *b, char *text, size_t size_bytes)
{
	snprintf(text, size_bytes, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
}

// By hand, as the C library writes "::1:2" as "::0.1.0.2"; dots are for ::ffff:0:0/96 alone.
static void
format_v6(const uint8_t *b, char *text, size_t size_bytes)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint16_t groups[GROUPS];
	int start, count;
	size_t at = 0;

	if (memcmp(b, mapped, sizeof(mapped)) == 0) {
		at = (size_t)snprintf(text, size_bytes, "::ffff:");
		format_v4(b + 12, text + at, size_bytes - at);
		return;
	}
	for (int i = 0; i < GROUPS; i++)
		groups[i] = load_be16(b + 2 * i);
	find_zero_run(groups, &start, &count);

	text[0] = '\0';
	for (int i = 0; i < GROUPS; i++) {
		const char *before = i > 0 && i != start + count ? ":" : "";

		if (count > 0 && i == start) {
			at += (size_t)snprintf(text + at, size_bytes - at, "::");
			i += count - 1;
			continue;
		}
		at += (size_t)snprintf(text + at, size_bytes - at, "%s%x", before, groups[i]);
	}
}

char *
addr_format(const struct addr *a, char text[static ADDR_TEXT_LEN])
{
	if (a->family == ADDR_V4)
		format_v4(a->bytes, text, ADDR_TEXT_LEN);
	else if (a->family == ADDR_V6)
		format_v6(a->bytes, text, ADDR_TEXT_LEN);
	else
		snprintf(text, ADDR_TEXT_LEN, "none");
	return text;
}

char *
prefix_format(const struct prefix *p, char text[static ADDR_TEXT_LEN])
{
	size_t at = strlen(addr_format(&p->addr, text));

	snprintf(text + at, ADDR_TEXT_LEN - at, "/%u", p->len);
	return text;
}

// The zone is written as its index: a name would have to be asked from the kernel each time.
char *
endpoint_format(const struct endpoint *e, char text[static ADDR_TEXT_LEN])
{
	bool brackets = e->addr.family == ADDR_V6;
	char inside[ADDR_TEXT_LEN];
	size_t at;

	addr_format(&e->addr, inside);
	at = (size_t)snprintf(
		text, ADDR_TEXT_LEN, "%s%.*s", brackets ? "[" : "", INET6_ADDRSTRLEN - 1, inside);
	if (e->scope_id != 0)
		at += (size_t)snprintf(text + at, ADDR_TEXT_LEN - at, "%%%u", e->scope_id);
	snprintf(text + at, ADDR_TEXT_LEN - at, "%s:%u", brackets ? "]" : "", e->port);
	return text;
}

// The mask of the byte that holds bits 8 * i to 8 * i + 7 of a prefix of this length.
static uint8_t
mask_of_byte(unsigned len, unsigned i)
{
	if (len >= 8 * i + 8)
		return 0xff;
	if (len <= 8 * i)
		return 0;
	return (uint8_t)(0xff00U >> (len - 8 * i));
}

struct prefix
prefix_mask(struct prefix p)
{
	unsigned bits = addr_bits(p.addr.family);

	if (p.len > bits)
		p.len = (uint8_t)bits;
	for (unsigned i = 0; i < sizeof(p.addr.bytes); i++)
		p.addr.bytes[i] &= mask_of_byte(p.len, i);
	return p;
}

bool
prefix_equal(const struct prefix *a, const struct prefix *b)
{
	struct prefix x = prefix_mask(*a), y = prefix_mask(*b);

	return x.len == y.len && addr_equal(&x.addr, &y.addr);
}

bool
prefix_contains(const struct prefix *p, const struct addr *a)
{
	unsigned bits = addr_bits(p->addr.family);
	unsigned len = p->len < bits ? p->len : bits;

	if (bits == 0 || p->addr.family != a->family)
		return false;
	for (unsigned i = 0; 8 * i < len; i++)
		if ((p->addr.bytes[i] ^ a->bytes[i]) & mask_of_byte(len, i))
			return false;
	return true;
}

bool
prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
	struct prefix o = prefix_mask(*outer), i = prefix_mask(*inner);

	return o.len <= i.len && prefix_contains(&o, &i.addr);
}

bool
endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope_id == b->scope_id && addr_equal(&a->addr, &b->addr);
}
