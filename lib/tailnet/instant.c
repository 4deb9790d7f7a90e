/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/instant.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"

#define DAY_S        86400
#define DAYS_PER_400 146097
#define LAST_S       (INT64_C(3652059) * DAY_S - 1) // of the year 9999

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

// Days from 0001-01-01 to the first of January of that year.
static int64_t
days_before_year(int64_t year)
{
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400;
}

struct cursor {
	const char *at, *end;
	bool is_bad;
};

// `digits` decimal digits, from min to max.
static int
take_number(struct cursor *c, int digits, int min, int max)
{
	int number = 0;

	for (int i = 0; i < digits; i++, c->at++) {
		if (c->at == c->end || *c->at < '0' || *c->at > '9') {
			c->is_bad = true;
			return min;
		}
		number = number * 10 + (*c->at - '0');
	}
	if (number < min || number > max) {
		c->is_bad = true;
		return min;
	}
	return number;
}

static bool
take_char(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static void
need_char(struct cursor *c, char wanted)
{
	if (!take_char(c, wanted))
		c->is_bad = true;
}

static uint32_t
take_fraction(struct cursor *c)
{
	uint32_t ns = 0, unit = 100000000;
	const char *begin;

	if (!take_char(c, '.'))
		return 0;
	begin = c->at;
	for (; c->at != c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
		ns += unit * (uint32_t)(*c->at - '0');
		unit /= 10;
	}
	if (c->at == begin)
		c->is_bad = true;
	return ns;
}

// Seconds east of UTC.
static int64_t
take_offset(struct cursor *c)
{
	int sign, hours, minutes;

	if (take_char(c, 'Z'))
		return 0;
	sign = take_char(c, '-') ? -1 : 1;
	if (sign == 1)
		need_char(c, '+');
	hours = take_number(c, 2, 0, 23);
	need_char(c, ':');
	minutes = take_number(c, 2, 0, 59);
	return sign * (hours * 3600 + minutes * 60);
}

int
instant_parse(const char *text, size_t text_len, struct instant *ret_instant)
{
	struct cursor c = { text, text + text_len, false };
	struct instant t = {};
	int year, month, day, time_s;

	year = take_number(&c, 4, 0, 9999);
	need_char(&c, '-');
	month = take_number(&c, 2, 1, 12);
	need_char(&c, '-');
	day = take_number(&c, 2, 1, days_in_month(year, month));
	need_char(&c, 'T');
	time_s = take_number(&c, 2, 0, 23) * 3600;
	need_char(&c, ':');
	time_s += take_number(&c, 2, 0, 59) * 60;
	need_char(&c, ':');
	time_s += take_number(&c, 2, 0, 59);
	t.ns = take_fraction(&c);
	time_s -= (int)take_offset(&c);
	if (c.is_bad || c.at != c.end)
		return ERR_BAD_FORMAT;
	// The year 0 is the one before: 366 days of it.
	t.s = year == 0 ? -366 : days_before_year(year);
	for (int m = 1; m < month; m++)
		t.s += days_in_month(year, m);
	t.s = (t.s + day - 1) * DAY_S + time_s;
	*ret_instant = t;
	return 0;
}

// The fraction with its point, without trailing zeros; nothing for 0.
static void
format_fraction(uint32_t ns, char text[static 12])
{
	int len = ns == 0 ? 0 : snprintf(text, 12, ".%09u", ns % 1000000000u);

	while (len > 0 && text[len - 1] == '0')
		len--;
	text[len] = '\0';
}

char *
instant_format(struct instant t, char text[static INSTANT_TEXT_SIZE])
{
	int64_t s = t.s < 0 ? 0 : t.s > LAST_S ? LAST_S : t.s;
	int days = (int)(s / DAY_S), time_s = (int)(s % DAY_S);
	int year = days / DAYS_PER_400 * 400 + 1;
	int month = 1;
	char fraction[12];

	while (days_before_year(year + 1) <= days)
		year++;
	days -= (int)days_before_year(year);
	for (; days >= days_in_month(year, month); month++)
		days -= days_in_month(year, month);
	format_fraction(t.ns, fraction);
	snprintf(text, INSTANT_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", year, month, days + 1,
		time_s / 3600, time_s / 60 % 60, time_s % 60, fraction);
	return text;
}
