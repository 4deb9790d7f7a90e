/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/derp/flat_json.h"

#include <string.h>
#include <strings.h>

#include "lib/base/err.h"

struct cursor {
	const char *p;
	const char *end;
};

static int read_value(struct cursor *c, unsigned depth, struct flat_json_value *ret_value);

static void
skip_space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
}

static bool
take(struct cursor *c, char wanted)
{
	if (c->p == c->end || *c->p != wanted)
		return false;
	c->p++;
	return true;
}

// The same with space around it.
static bool
take_mark(struct cursor *c, char wanted)
{
	skip_space(c);
	if (!take(c, wanted))
		return false;
	skip_space(c);
	return true;
}

static bool
take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
		return false;
	c->p += len;
	return true;
}

static bool
is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

static bool
is_hex(char ch)
{
	return is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

// Behind a backslash.
static int
skip_escape(struct cursor *c)
{
	if (c->p == c->end)
		return ERR_BAD_FORMAT;
	if (!take(c, 'u'))
		return memchr("\"\\/bfnrt", *c->p++, 8) != NULL ? 0 : ERR_BAD_FORMAT;
	for (int i = 0; i < 4; i++, c->p++)
		if (c->p == c->end || !is_hex(*c->p))
			return ERR_BAD_FORMAT;
	return 0;
}

static int
read_string(struct cursor *c, const char **ret_text, size_t *ret_len)
{
	const char *text;

	if (!take(c, '"'))
		return ERR_BAD_FORMAT;
	text = c->p;
	while (!take(c, '"')) {
		if (c->p == c->end || (unsigned char)*c->p < ' ')
			return ERR_BAD_FORMAT;
		if (*c->p++ == '\\' && skip_escape(c) < 0)
			return ERR_BAD_FORMAT;
	}
	*ret_text = text;
	*ret_len = (size_t)(c->p - 1 - text);
	return 0;
}

static int
skip_digits(struct cursor *c)
{
	const char *from = c->p;

	while (c->p < c->end && is_digit(*c->p))
		c->p++;
	return c->p > from ? 0 : ERR_BAD_FORMAT;
}

// Negative all the way: there is one more of them.
static bool
to_integer(const char *digits, size_t n, bool negative, int64_t *ret_integer)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
			__builtin_sub_overflow(sum, digits[i] - '0', &sum))
			return false;
	if (!negative && __builtin_sub_overflow(0, sum, &sum))
		return false;
	*ret_integer = sum;
	return true;
}

static int
read_number(struct cursor *c, struct flat_json_value *value)
{
	bool negative = take(c, '-'), whole = true;
	const char *digits = c->p;
	size_t n;

	if (skip_digits(c) < 0)
		return ERR_BAD_FORMAT;
	n = (size_t)(c->p - digits);
	if (n > 1 && digits[0] == '0')
		return ERR_BAD_FORMAT;
	if (take(c, '.')) {
		whole = false;
		if (skip_digits(c) < 0)
			return ERR_BAD_FORMAT;
	}
	if (take(c, 'e') || take(c, 'E')) {
		whole = false;
		if (!take(c, '+'))
			(void)take(c, '-');
		if (skip_digits(c) < 0)
			return ERR_BAD_FORMAT;
	}
	value->kind = whole && to_integer(digits, n, negative, &value->integer) ? FLAT_JSON_INTEGER
	                                                                        : FLAT_JSON_OTHER;
	return 0;
}

// Behind the opening bracket.
static int
skip_array(struct cursor *c, unsigned depth)
{
	struct flat_json_value ignored;

	if (take_mark(c, ']'))
		return 0;
	do {
		if (read_value(c, depth, &ignored) < 0)
			return ERR_BAD_FORMAT;
	} while (take_mark(c, ','));
	return take_mark(c, ']') ? 0 : ERR_BAD_FORMAT;
}

// Behind the opening brace.  Without `member`, only checked.
static int
read_members(struct cursor *c, unsigned depth, flat_json_member member, void *context)
{
	struct flat_json_value value;
	const char *name;
	size_t name_len;

	if (take_mark(c, '}'))
		return 0;
	do {
		int err = read_string(c, &name, &name_len);

		if (err == 0 && !take_mark(c, ':'))
			err = ERR_BAD_FORMAT;
		if (err == 0)
			err = read_value(c, depth, &value);
		if (err == 0 && member != NULL)
			err = member(context, name, name_len, &value);
		if (err < 0)
			return err;
	} while (take_mark(c, ','));
	return take_mark(c, '}') ? 0 : ERR_BAD_FORMAT;
}

static int
skip_nested(struct cursor *c, unsigned depth)
{
	if (depth == FLAT_JSON_MAX_DEPTH)
		return ERR_BAD_FORMAT;
	return take(c, '[')   ? skip_array(c, depth + 1)
	       : take(c, '{') ? read_members(c, depth + 1, NULL, NULL)
	                      : ERR_BAD_FORMAT;
}

static int
read_value(struct cursor *c, unsigned depth, struct flat_json_value *ret_value)
{
	struct flat_json_value value = { .kind = FLAT_JSON_OTHER };
	int err = 0;

	skip_space(c);
	if (c->p == c->end)
		return ERR_BAD_FORMAT;
	if (*c->p == '"') {
		value.kind = FLAT_JSON_STRING;
		err = read_string(c, &value.text, &value.len);
	} else if (*c->p == '-' || is_digit(*c->p)) {
		err = read_number(c, &value);
	} else if (take_word(c, "null")) {
		value.kind = FLAT_JSON_NULL;
	} else if (take_word(c, "false")) {
		value.kind = FLAT_JSON_BOOL;
	} else if (take_word(c, "true")) {
		value.kind = FLAT_JSON_BOOL;
		value.boolean = true;
	} else {
		err = skip_nested(c, depth);
	}
	*ret_value = value;
	return err;
}

int
flat_json_read(const char *text, size_t len, flat_json_member member, void *context)
{
	struct cursor c = { text, text + len };
	int err = 0;

	if (take_mark(&c, '{'))
		err = read_members(&c, 0, member, context);
	else if (!take_word(&c, "null"))
		err = ERR_BAD_FORMAT;
	if (err < 0)
		return err;
	skip_space(&c);
	return c.p == c.end ? 0 : ERR_BAD_FORMAT;
}

bool
flat_json_is_name(const char *name, size_t name_len, const char *wanted)
{
	return name_len == strlen(wanted) && strncasecmp(name, wanted, name_len) == 0;
}
