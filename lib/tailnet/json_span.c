/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/json_span.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

// Past the string that begins at `at`; NULL: it does not end.
static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at < end ? at + 1 : NULL;
}

// Past the value that begins at `at`.
static int
skip_value(const char **at, const char *end)
{
	const char *begin = *at;
	unsigned depth = 0;

	while (*at < end) {
		char c = **at;

		if (c == '"') {
			*at = skip_string(*at, end);
			if (*at == NULL)
				return ERR_BAD_FORMAT;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_MAX_DEPTH)
				return -E2BIG;
			(*at)++;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				break; // of what is around the value
			depth--;
			(*at)++;
		} else if (c == ',' && depth == 0) {
			break;
		} else {
			(*at)++;
		}
	}
	return depth == 0 && *at != begin ? 0 : ERR_BAD_FORMAT;
}

int
json_walk_begin(struct json_walk *w, const struct json_span *span)
{
	const char *end = span->text + span->len;
	const char *at = skip_space(span->text, end);

	while (end > at &&
		(end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r'))
		end--;
	if (end - at < 2)
		return ERR_BAD_FORMAT;
	if ((*at != '{' || end[-1] != '}') && (*at != '[' || end[-1] != ']'))
		return ERR_BAD_FORMAT;
	*w = (struct json_walk){
		.at = at + 1,
		.end = end - 1,
		.is_object = *at == '{',
		.is_first = true,
	};
	return 0;
}

// A name and its colon.
static int
walk_name(struct json_walk *w, struct json_span *ret_name)
{
	const char *begin = w->at;

	if (w->at == w->end || *w->at != '"')
		return ERR_BAD_FORMAT;
	w->at = skip_string(w->at, w->end);
	if (w->at == NULL)
		return ERR_BAD_FORMAT;
	*ret_name = (struct json_span){ begin, (size_t)(w->at - begin) };
	w->at = skip_space(w->at, w->end);
	if (w->at == w->end || *w->at != ':')
		return ERR_BAD_FORMAT;
	w->at = skip_space(w->at + 1, w->end);
	return 0;
}

int
json_walk_next(struct json_walk *w, struct json_span *ret_name, struct json_span *ret_value)
{
	const char *begin;
	int err;

	w->at = skip_space(w->at, w->end);
	if (w->at == w->end)
		return 0;
	if (!w->is_first) {
		if (*w->at != ',')
			return ERR_BAD_FORMAT;
		w->at = skip_space(w->at + 1, w->end);
	}
	w->is_first = false;
	*ret_name = (struct json_span){ w->at, 0 };
	err = w->is_object ? walk_name(w, ret_name) : 0;
	if (err < 0)
		return err;
	begin = w->at;
	err = skip_value(&w->at, w->end);
	if (err < 0)
		return err;
	*ret_value = (struct json_span){ begin, (size_t)(w->at - begin) };
	return 1;
}

bool
json_span_is_null(const struct json_span *span)
{
	const char *end = span->text + span->len;
	const char *at = skip_space(span->text, end);

	return end - at >= 4 && memcmp(at, "null", 4) == 0 && skip_space(at + 4, end) == end;
}

// Depth and number of values, before memory is spent on them.
static int
check_size(const struct json_span *span)
{
	const char *at = span->text, *end = span->text + span->len;
	size_t values = 1;
	unsigned depth = 0;

	if (span->len > JSON_MAX_LOAD_LEN)
		return -E2BIG;
	while (at < end) {
		char c = *at;

		if (c == '"') {
			at = skip_string(at, end);
			if (at == NULL)
				return ERR_BAD_FORMAT;
			continue;
		}
		// Each value but the first is behind a comma or the first in its brackets.
		values += c == ',' || c == '[' || c == '{';
		if ((c == '[' || c == '{') && ++depth > JSON_MAX_DEPTH)
			return -E2BIG;
		if ((c == ']' || c == '}') && depth > 0)
			depth--;
		at++;
	}
	return values <= JSON_MAX_VALUES ? 0 : -E2BIG;
}

int
json_span_load(const struct json_span *span, struct json_t **ret_value)
{
	json_t *value;
	int err = check_size(span);

	if (err < 0)
		return err;
	value = json_loadb(span->text, span->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (value == NULL)
		return ERR_BAD_FORMAT;
	*ret_value = value;
	return 0;
}

// FNV-1a.
uint64_t
json_digest(uint64_t digest, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		digest = (digest ^ bytes[i]) * UINT64_C(0x100000001b3);
	return digest;
}

static int
digest_piece(const char *text, size_t len, void *digest)
{
	uint64_t *d = digest;

	*d = json_digest(*d, text, len);
	return 0;
}

uint64_t
json_digest_tree(const struct json_t *value)
{
	uint64_t digest = JSON_DIGEST_INIT;

	(void)!json_dump_callback(
		value, digest_piece, &digest, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	return digest;
}
