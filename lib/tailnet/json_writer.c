/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/json_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/secret.h"
#include "lib/tailnet/lists.h"

#define MIN_ROOM 512

// Not realloc(): it would leave a copy of what may be secret behind.
static bool
make_room(struct json_writer *w, size_t more)
{
	size_t room = w->room > 0 ? w->room : MIN_ROOM;
	char *bigger;

	if (w->err < 0)
		return false;
	if (more < w->room - w->len)
		return true;
	while (room - w->len <= more)
		room *= 2;
	bigger = malloc(room);
	if (bigger == NULL) {
		w->err = -ENOMEM;
		return false;
	}
	if (w->len > 0)
		memcpy(bigger, w->text, w->len);
	secret_wipe(w->text, w->len);
	free(w->text);
	w->text = bigger;
	w->room = room;
	return true;
}

static void
put(struct json_writer *w, const char *text, size_t len)
{
	if (!make_room(w, len))
		return;
	memcpy(w->text + w->len, text, len);
	w->len += len;
}

static void
put_char(struct json_writer *w, unsigned char c)
{
	char escape[8];

	if (c == '"' || c == '\\')
		put(w, (const char[]){ '\\', (char)c }, 2);
	else if (c < 0x20)
		put(w, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c));
	else
		put(w, (const char *)&c, 1);
}

/*
 * Length of the UTF-8 character at the beginning of text, 0 if it is none.  Others' names are
 * relayed to many nodes: what is no UTF-8 must not leave here.
 */
static size_t
utf8_len(const unsigned char *text)
{
	size_t len = text[0] < 0x80   ? 1
	             : text[0] < 0xc2 ? 0
	             : text[0] < 0xe0 ? 2
	             : text[0] < 0xf0 ? 3
	             : text[0] < 0xf5 ? 4
	                              : 0;

	for (size_t i = 1; i < len; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
		(text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return len;
}

static void
put_string(struct json_writer *w, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	put(w, "\"", 1);
	while (*at != '\0') {
		size_t len = utf8_len(at);

		if (len == 0)
			put(w, "\xef\xbf\xbd", 3); // the replacement character
		else if (len == 1)
			put_char(w, *at);
		else
			put(w, (const char *)at, len);
		at += len > 0 ? len : 1;
	}
	put(w, "\"", 1);
}

// What stands before a value: a comma, a name.
static void
begin(struct json_writer *w, const char *name)
{
	if (w->needs_comma)
		put(w, ",", 1);
	w->needs_comma = true;
	if (name == NULL)
		return;
	put_string(w, name);
	put(w, ":", 1);
}

void
json_write_open(struct json_writer *w, const char *name, char bracket)
{
	begin(w, name);
	put(w, &bracket, 1);
	w->needs_comma = false;
}

void
json_write_close(struct json_writer *w, char bracket)
{
	put(w, &bracket, 1);
	w->needs_comma = true;
}

void
json_write_text(struct json_writer *w, const char *name, const char *text)
{
	begin(w, name);
	put_string(w, text != NULL ? text : "");
}

void
json_write_int(struct json_writer *w, const char *name, int64_t number)
{
	char text[24];

	begin(w, name);
	put(w, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, number));
}

void
json_write_bool(struct json_writer *w, const char *name, bool value)
{
	begin(w, name);
	put(w, value ? "true" : "false", value ? 4 : 5);
}

void
json_write_null(struct json_writer *w, const char *name)
{
	begin(w, name);
	put(w, "null", 4);
}

static void
put_base64(struct json_writer *w, const uint8_t *bytes, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = (uint32_t)bytes[0] << 16;
	char text[4];

	bits |= n > 1 ? (uint32_t)bytes[1] << 8 : 0;
	bits |= n > 2 ? bytes[2] : 0;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i <= n ? digits[bits >> (18 - 6 * i) & 63] : '=';
	put(w, text, sizeof(text));
}

void
json_write_octets(struct json_writer *w, const char *name, const struct octets *octets)
{
	if (octets == NULL || octets->len == 0) {
		json_write_null(w, name);
		return;
	}
	begin(w, name);
	put(w, "\"", 1);
	for (size_t i = 0; i < octets->len; i += 3)
		put_base64(w, octets->at + i, octets->len - i);
	put(w, "\"", 1);
}

void
json_write_micros(struct json_writer *w, const char *name, int64_t us)
{
	uint64_t positive = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
	char text[32];
	int len = snprintf(text, sizeof(text), "%s%" PRIu64 ".%06u", us < 0 ? "-" : "",
		positive / 1000000, (unsigned)(positive % 1000000));

	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	begin(w, name);
	put(w, text, (size_t)len);
}

void
json_write_raw(struct json_writer *w, const char *name, const char *text)
{
	begin(w, name);
	put(w, text, strlen(text));
}

void
json_write_double(struct json_writer *w, const char *name, double number)
{
	char text[32];

	snprintf(text, sizeof(text), "%.17g", number);
	json_write_raw(w, name, isfinite(number) ? text : "null");
}

void
json_writer_continue(struct json_writer *w)
{
	w->len = 0;
}

int
json_writer_finish(struct json_writer *w, const char **ret_text, size_t *ret_len)
{
	if (make_room(w, 0)) {
		w->text[w->len] = '\0';
		*ret_text = w->text;
		*ret_len = w->len;
	}
	return w->err;
}

void
json_writer_fini(struct json_writer *w)
{
	secret_wipe(w->text, w->len);
	free(w->text);
	*w = (struct json_writer){};
}
