/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/sizes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"

#define LONGEST 65535

struct entry {
	uint32_t count, len;
};

struct mix {
	unsigned n;
	struct entry entry[SIZES_MAX];
};

static const struct {
	const char *name;
	struct mix mix;
} named[] = {
	{ "imix", { 3, { { 28, 46 }, { 16, 552 }, { 4, 1420 } } } },
	{ "tcp", { 2, { { 2, 1420 }, { 1, 52 } } } },
};

// A number of at most five digits; NULL: there is none here, or a longer one.
static const char *
parse_number(const char *p, uint32_t *ret)
{
	uint32_t v = 0;
	unsigned n = 0;

	for (; *p >= '0' && *p <= '9'; p++, n++) {
		if (n == 5)
			return NULL;
		v = v * 10 + (uint32_t)(*p - '0');
	}
	if (n == 0)
		return NULL;
	*ret = v;
	return p;
}

static int
bad_format(const char **ret_why, const char *why)
{
	*ret_why = why;
	return ERR_BAD_FORMAT;
}

static int
out_of_range(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -ERANGE;
}

// "COUNTxSIZE", or "SIZE" alone.
static const char *
parse_entry(const char *p, struct entry *ret)
{
	uint32_t first, second;

	p = parse_number(p, &first);
	if (p == NULL || *p != 'x') {
		*ret = (struct entry){ 1, first };
		return p;
	}
	p = parse_number(p + 1, &second);
	*ret = (struct entry){ first, second };
	return p;
}

static int
parse_mix(const char *p, struct mix *ret, const char **ret_why)
{
	if (*p == '\0')
		return bad_format(ret_why, "no size is given");
	ret->n = 0;
	for (;;) {
		struct entry e = {};

		if (ret->n == SIZES_MAX)
			return out_of_range(ret_why, "a mix has 16 sizes at most");
		p = parse_entry(p, &e);
		if (p == NULL || (*p != ',' && *p != '\0'))
			return bad_format(ret_why, "a size is a number such as 1420, imix, tcp, or "
						   "a mix such as 7x64,4x528,1x1408");
		if (e.count == 0)
			return out_of_range(ret_why, "a size in a mix is there at least once");
		ret->entry[ret->n++] = e;
		if (*p++ == '\0')
			return 0;
	}
}

static int
check_mix(const struct mix *mix, uint32_t mtu, uint32_t least, const char **ret_why)
{
	uint32_t sum = 0;

	for (const struct entry *e = mix->entry; e < mix->entry + mix->n; e++) {
		if (e->len < least)
			return out_of_range(ret_why, "a packet is too short to hold headers and "
						     "its number (40 bytes for IPv4, 60 for IPv6)");
		if (e->len > mtu || e->len > LONGEST)
			return out_of_range(ret_why, "a packet is longer than the tunnel's MTU");
		sum += e->count; // 16 times five digits at most
	}
	if (sum > SIZES_PERIOD)
		return out_of_range(
			ret_why, "a mix repeats after 1024 packets at most: use smaller counts");
	return 0;
}

static void
fit(struct mix *mix, uint32_t mtu, uint32_t least)
{
	for (struct entry *e = mix->entry; e < mix->entry + mix->n; e++) {
		if (e->len > mtu)
			e->len = mtu;
		if (e->len < least)
			e->len = least;
	}
}

// Fisher and Yates, with a generator of its own (xorshift64): the same everywhere and for ever.
static void
shuffle(uint16_t *order, uint32_t n)
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

	for (uint32_t i = n; i > 1; i--) {
		uint32_t j;
		uint16_t t;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		j = (uint32_t)((x >> 32) * i >> 32);
		t = order[i - 1];
		order[i - 1] = order[j];
		order[j] = t;
	}
}

static void
fill_order(const struct mix *mix, struct sizes *s)
{
	uint32_t sum = 0, rounds;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < mix->n; i++)
		sum += mix->entry[i].count;
	rounds = mix->n == 1 ? 1 : SIZES_PERIOD / sum;
	for (const struct entry *e = mix->entry; e < mix->entry + mix->n; e++) {
		uint32_t count = mix->n == 1 ? 1 : e->count * rounds;

		for (uint32_t i = 0; i < count; i++)
			s->order[s->n++] = (uint16_t)e->len;
		bytes += (uint64_t)count * e->len;
		if (e->len < s->least)
			s->least = (uint16_t)e->len;
		if (e->len > s->most)
			s->most = (uint16_t)e->len;
	}
	s->mean = (double)bytes / s->n;
	shuffle(s->order, s->n);
}

// Sixteen entries of "99999x65535," are 192 characters.
static_assert(sizeof(((struct sizes *)0)->text) >= 16 * 12 + 16, "any mix fits");

static void
write_text(const struct mix *mix, const char *name, struct sizes *s)
{
	size_t at = 0;

	if (name == NULL && mix->n == 1) {
		snprintf(s->text, sizeof(s->text), "%u", mix->entry[0].len);
		return;
	}
	if (name != NULL)
		at = (size_t)snprintf(s->text, sizeof(s->text), "%s (", name);
	for (unsigned i = 0; i < mix->n; i++)
		at += (size_t)snprintf(s->text + at, sizeof(s->text) - at, "%s%ux%u",
			i > 0 ? "," : "", mix->entry[i].count, mix->entry[i].len);
	if (name != NULL)
		snprintf(s->text + at, sizeof(s->text) - at, ")");
}

int
sizes_parse(const char *text, uint32_t mtu, uint32_t least, struct sizes *ret, const char **ret_why)
{
	const char *name = NULL;
	struct mix mix = {};
	int err;

	if (mtu < least || least == 0)
		return out_of_range(ret_why, "the tunnel's MTU has no room for any packet");
	for (unsigned i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (strcmp(text, named[i].name) == 0) {
			name = named[i].name;
			mix = named[i].mix;
			fit(&mix, mtu, least);
		}
	if (name == NULL) {
		err = parse_mix(text, &mix, ret_why);
		if (err < 0)
			return err;
	}
	err = check_mix(&mix, mtu, least, ret_why);
	if (err < 0)
		return err;

	memset(ret, 0, sizeof(*ret));
	ret->least = UINT16_MAX;
	fill_order(&mix, ret);
	write_text(&mix, name, ret);
	return 0;
}
