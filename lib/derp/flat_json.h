/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The JSON of a relay's infos: one object whose members of interest are numbers, booleans and short
 * strings.  Its text stays where it is and nothing is allocated, which a general parser would do.
 *
 * Source: RFC 8259.
 * Owner:  values are borrowed from the text.
 */
#ifndef LIB_DERP_FLAT_JSON_H
#define LIB_DERP_FLAT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLAT_JSON_MAX_DEPTH 32 /* of what is skipped */

enum flat_json_kind {
	FLAT_JSON_NULL,
	FLAT_JSON_BOOL,
	FLAT_JSON_INTEGER, /* that fits */
	FLAT_JSON_STRING,
	FLAT_JSON_OTHER, /* other numbers, arrays, objects */
};

struct flat_json_value {
	enum flat_json_kind kind;
	bool boolean;
	int64_t integer;
	const char *text; /* of a string: between its quotes, escapes as they stand */
	size_t len;
};

/*
 * Called for each member of the object in order.  The name is as it stands between its quotes: one
 * written with escapes matches nothing.  Returns 0, or an error that ends the reading.
 */
typedef int (*flat_json_member)(void *context,
	const char *name,
	size_t name_len,
	const struct flat_json_value *value);

/*
 * Read one object, or null, which has no members.  The whole text is checked, skipped parts
 * included; members before an error have been given out by then.
 * 0, ERR_BAD_FORMAT, or what `member` returned.
 */
[[nodiscard]] int
flat_json_read(const char *text, size_t len, flat_json_member member, void *context);

/* Whether a name is `wanted` but for the case of its ASCII letters. */
bool flat_json_is_name(const char *name, size_t name_len, const char *wanted);

#endif
