/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every option of a configuration file as one row.  The same rows drive the reader (load.c), the
 * printer (print.c) and `sluice help config`.  A new option is one row in schema.c and one field in
 * gateway.h.
 *
 * Thread: any; the table is constant.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEMA_MAX_OPTIONS 64

struct value_type; /* value.h */

struct config_option {
	/* Names joined by '.'; an item of a list of maps is "[]": "wireguard.peers[].endpoint". */
	const char *path;
	const struct value_type *type;
	bool required;

	/* Where the value is stored, in struct config_gateway, or config_peer below "peers[]". */
	size_t offset;
	size_t size;          /* bytes of that field */
	size_t secret_offset; /* file of a key: where the key itself is stored */
	size_t line_offset;   /* where the line that gives it is stored, an int; 0: nowhere */
	/* Not given, it is for `sluice set`, so the printer must not give it; has a line_offset. */
	bool is_preference;

	/* Numbers: the range, inclusive, the unit in words, and a word that may stand for 0. */
	int64_t min, max;
	const char *unit;
	const char *zero_word;
	/* One of these words, stored as its place in the list; ends with NULL. */
	const char *const *choices;

	/* YAML text that counts when the option is absent; NULL: the field stays zero. */
	const char *default_text;
	/* For help and for messages: a sentence fragment, and a value in YAML. */
	const char *help;
	const char *example;
	/* A last look at the stored field: NULL, or "why; what to do". */
	const char *(*check)(const void *field);
};

/* All rows, parents before children, in the order in which they are printed. */
const struct config_option *schema_options(size_t *ret_count);

/* The last part of the path: "endpoint". */
const char *schema_name(const struct config_option *option);

/* Whether the option lies directly in the map at `parent` ("" for the top, "wireguard.peers[]"). */
bool schema_is_child(const struct config_option *option, const char *parent);

/* The option called `name` in the map at `parent`, or NULL. */
const struct config_option *schema_find(const char *parent, const char *name);

/* The option whose name is most like `name`, those of `parent` first, or NULL. */
const struct config_option *schema_nearest(const char *parent, const char *name);

#endif
