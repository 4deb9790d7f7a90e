/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/traffic/sizes.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const struct {
	const char *what, *text, *wanted;
	uint32_t mtu, least, n;
	double mean;
} good[] = {
	{ "one size", "64", "64", 1420, 40, 1, 64 },
	{ "the shortest", "40", "40", 1420, 40, 1, 40 },
	{ "the longest", "1420", "1420", 1420, 40, 1, 1420 },
	{ "one size by a mix's words", "9x64", "64", 1420, 40, 1, 64 },
	{ "WG-IMIX", "imix", "imix (28x46,16x552,4x1420)", 1420, 40, 1008, 15800.0 / 48 },
	{ "WG-IMIX in a narrow tunnel", "imix", "imix (28x46,16x552,4x1280)", 1280, 40, 1008,
		15240.0 / 48 },
	{ "WG-IMIX of IPv6", "imix", "imix (28x60,16x552,4x1420)", 1420, 60, 1008, 16192.0 / 48 },
	{ "TCP's", "tcp", "tcp (2x1420,1x52)", 1420, 40, 1023, 2892.0 / 3 },
	{ "any mix", "7x64,4x528,1x1408", "7x64,4x528,1x1408", 1420, 40, 1020, 3968.0 / 12 },
	{ "a size without a count", "64,1408", "1x64,1x1408", 1420, 40, 1024, 736 },
	{ "a whole period", "1000x64,24x1408", "1000x64,24x1408", 1420, 40, 1024, 95.5 },
	{ "sixteen sizes", "40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55",
		"1x40,1x41,1x42,1x43,1x44,1x45,1x46,1x47,1x48,1x49,1x50,1x51,1x52,1x53,1x54,1x55",
		1420, 40, 1024, 47.5 },
	{ "the longest text",
		"1x65535,2x65535,3x65535,4x65535,5x65535,6x65535,7x65535,8x65535,9x65535,10x65535",
		"1x65535,2x65535,3x65535,4x65535,5x65535,6x65535,7x65535,8x65535,9x65535,10x65535",
		70000, 40, 990, 65535 },
};

static const struct {
	const char *what, *text;
	uint32_t mtu, least;
	int err;
} bad[] = {
	{ "nothing", "", 1420, 40, ERR_BAD_FORMAT },
	{ "a word", "big", 1420, 40, ERR_BAD_FORMAT },
	{ "a name and more", "imix2", 1420, 40, ERR_BAD_FORMAT },
	{ "a negative size", "-64", 1420, 40, ERR_BAD_FORMAT },
	{ "a space", "64 ", 1420, 40, ERR_BAD_FORMAT },
	{ "a unit", "64B", 1420, 40, ERR_BAD_FORMAT },
	{ "a count without a size", "7x", 1420, 40, ERR_BAD_FORMAT },
	{ "a size without its count", "x64", 1420, 40, ERR_BAD_FORMAT },
	{ "two counts", "7x7x64", 1420, 40, ERR_BAD_FORMAT },
	{ "a comma too many", "64,", 1420, 40, ERR_BAD_FORMAT },
	{ "two commas", "64,,65", 1420, 40, ERR_BAD_FORMAT },
	{ "a fraction", "64.5", 1420, 40, ERR_BAD_FORMAT },
	{ "more digits than any size has", "000064", 1420, 40, ERR_BAD_FORMAT },
	{ "a number that would wrap", "4294967360", 1420, 40, ERR_BAD_FORMAT },
	{ "a count of zero", "0x64", 1420, 40, -ERANGE },
	{ "zero", "0", 1420, 40, -ERANGE },
	{ "too short for IPv4", "39", 1420, 40, -ERANGE },
	{ "too short for IPv6", "59", 1420, 60, -ERANGE },
	{ "too long for the tunnel", "1421", 1420, 40, -ERANGE },
	{ "one of many too long", "64,1421,65", 1420, 40, -ERANGE },
	{ "longer than IP", "65536", 100000, 40, -ERANGE },
	{ "seventeen sizes", "40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56", 1420, 40,
		-ERANGE },
	{ "a mix longer than the period", "1000x64,25x1408", 1420, 40, -ERANGE },
	{ "an MTU without room", "imix", 30, 40, -ERANGE },
};

static void
test_good(void)
{
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *why = NULL;
		struct sizes s;
		uint64_t sum = 0;

		memset(&s, 0xee, sizeof(s));
		if (!tap_ok(sizes_parse(good[i].text, good[i].mtu, good[i].least, &s, &why) == 0,
			    "%s is understood", good[i].what))
			continue;
		tap_text(s.text, good[i].wanted, "and printed");
		for (uint32_t k = 0; k < s.n; k++)
			sum += sizes_at(&s, k + s.n);
		tap_ok(s.n == good[i].n && fabs(s.mean - good[i].mean) < 1e-9 &&
				fabs((double)sum / s.n - s.mean) < 1e-9,
			"%s: period %u, mean %.2f", good[i].what, s.n, s.mean);
	}
}

static void
test_bad(void)
{
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sizes s, before;
		const char *why = NULL;
		int err;

		memset(&s, 0xee, sizeof(s));
		before = s;
		err = sizes_parse(bad[i].text, bad[i].mtu, bad[i].least, &s, &why);
		tap_ok(err == bad[i].err && why != NULL && strlen(why) > 10 &&
				memcmp(&s, &before, sizeof(s)) == 0,
			"%s is refused: %s", bad[i].what, why != NULL ? why : "(no sentence)");
	}
}

static void
test_order(void)
{
	struct sizes a, b;
	const char *why;
	unsigned most_small = 0;

	if (sizes_parse("imix", 1420, 40, &a, &why) < 0 ||
		sizes_parse("imix", 1420, 40, &b, &why) < 0)
		return;
	tap_ok(memcmp(a.order, b.order, sizeof(a.order)) == 0, "the order is always the same");
	tap_ok(a.least == 46 && a.most == 1420, "least and most are known");
	for (uint32_t i = 0; i < a.n; i++) {
		unsigned small = 0;

		for (uint32_t k = 0; k < 64; k++)
			small += sizes_at(&a, i + k) == 46;
		if (small > most_small)
			most_small = small;
	}
	tap_ok(most_small < 56, "any burst of 64 holds a mixture (at most %u small ones)",
		most_small);
}

int
main(void)
{
	test_good();
	test_bad();
	test_order();
	return tap_done();
}
