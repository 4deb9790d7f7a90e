/* SPDX-License-Identifier: BSD-3-Clause
 *
 * RFC 3339, against the C library's calendar.
 */

#include "lib/tailnet/instant.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const struct {
	const char *text;
	int64_t unix_s;
	uint32_t ns;
	const char *written; // NULL: the same
} good[] = {
	{ "0001-01-01T00:00:00Z", -INSTANT_UNIX_EPOCH_S, 0, NULL },
	{ "1970-01-01T00:00:00Z", 0, 0, NULL },
	{ "1970-01-01T00:02:03Z", 123, 0, NULL },
	{ "2026-08-22T12:00:00.123456789Z", 1787400000, 123456789, NULL },
	{ "2026-08-22T12:00:00.5Z", 1787400000, 500000000, NULL },
	{ "2026-08-22T12:00:00.5000Z", 1787400000, 500000000, "2026-08-22T12:00:00.5Z" },
	{ "2026-08-22T12:00:00.1234567899Z", 1787400000, 123456789,
		"2026-08-22T12:00:00.123456789Z" },
	{ "2026-08-22T14:00:00+02:00", 1787400000, 0, "2026-08-22T12:00:00Z" },
	{ "2026-08-22T05:30:00-06:30", 1787400000, 0, "2026-08-22T12:00:00Z" },
	{ "2024-02-29T23:59:59Z", 1709251199, 0, NULL },
	{ "2000-02-29T00:00:00Z", 951782400, 0, NULL },
	{ "9999-12-31T23:59:59Z", 253402300799, 0, NULL },
};

static const char *const bad[] = {
	"",
	"2026",
	"2026-08-22",
	"2026-08-22 12:00:00Z",
	"2026-08-22T12:00:00",
	"2026-08-22t12:00:00Z",
	"2026-08-22T12:00:00z",
	"2026-8-22T12:00:00Z",
	"2026-13-22T12:00:00Z",
	"2026-00-22T12:00:00Z",
	"2026-02-29T12:00:00Z",
	"1900-02-29T12:00:00Z",
	"2026-08-32T12:00:00Z",
	"2026-08-00T12:00:00Z",
	"2026-08-22T24:00:00Z",
	"2026-08-22T12:60:00Z",
	"2026-08-22T12:00:60Z",
	"2026-08-22T12:00:00.Z",
	"2026-08-22T12:00:00,5Z",
	"2026-08-22T12:00:00+2:00",
	"2026-08-22T12:00:00+0200",
	"2026-08-22T12:00:00+24:00",
	"2026-08-22T12:00:00Z ",
	" 2026-08-22T12:00:00Z",
	"-026-08-22T12:00:00Z",
};

static void
test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct instant t = {};
		char text[INSTANT_TEXT_SIZE];

		tap_int(instant_parse(good[i].text, strlen(good[i].text), &t), 0, good[i].text);
		tap_int(t.s - INSTANT_UNIX_EPOCH_S, good[i].unix_s, "seconds");
		tap_int(t.ns, good[i].ns, "nanoseconds");
		tap_text(instant_format(t, text),
			good[i].written != NULL ? good[i].written : good[i].text, "written");
	}
}

// One second of each day of eight centuries, as the C library sees it.
static void
test_calendar(void)
{
	int wrong = 0;

	for (int64_t s = -INSTANT_UNIX_EPOCH_S; s < INT64_C(16725225600); s += 86400 * 7 + 12345) {
		char wanted[64], text[INSTANT_TEXT_SIZE];
		time_t at = (time_t)s;
		struct instant t;
		struct tm tm;

		gmtime_r(&at, &tm);
		snprintf(wanted, sizeof(wanted), "%04d-%02d-%02dT%02d:%02d:%02dZ",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec);
		instant_format(instant_from_unix(s, 0), text);
		wrong += strcmp(text, wanted) != 0;
		wrong += instant_parse(wanted, strlen(wanted), &t) != 0 ||
		         instant_compare(t, instant_from_unix(s, 0)) != 0;
	}
	tap_int(wrong, 0, "days that differ from the C library's");
}

static void
test_order(void)
{
	struct instant a = instant_from_unix(5, 3), b = instant_from_unix(5, 4);
	char text[INSTANT_TEXT_SIZE];

	tap_ok(instant_compare(a, b) < 0 && instant_compare(b, a) > 0 && instant_compare(a, a) == 0,
		"nanoseconds count");
	tap_ok(instant_compare(instant_from_unix(4, 9), a) < 0, "after seconds");
	tap_ok(instant_is_unset((struct instant){}) && !instant_is_unset(a), "unset is zeros");
	tap_text(instant_format((struct instant){ INT64_MAX, 0 }, text), "9999-12-31T23:59:59Z",
		"far away");
	tap_text(instant_format((struct instant){ INT64_MIN, 0 }, text), "0001-01-01T00:00:00Z",
		"long ago");
}

int
main(void)
{
	test_good();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct instant t;

		tap_int(instant_parse(bad[i], strlen(bad[i]), &t), ERR_BAD_FORMAT, bad[i]);
	}
	test_calendar();
	test_order();
	return tap_done();
}
