/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Kinds of values: each knows how to get from YAML into its field and back.
 *
 * Thread: any; the kinds are constant.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <limits.h>
#include <stdio.h>

#include "config/schema.h"

struct loading; /* loading.h */
struct node;

struct value_type {
	/* "a number": what messages and the help call it. */
	const char *name;
	/*
	 * Check `node` and store it in the structure at `base`; what is wrong is added to the
	 * loading's diagnostics, and the field stays as it was.
	 */
	void (*parse)(struct loading *l,
		const struct config_option *o,
		const struct node *node,
		void *base);
	/*
	 * Write the field as YAML on one line, or nothing when it is not set.  NULL for maps and
	 * lists of maps, which the printer goes through by itself, and for what is not stored.
	 */
	void (*print)(FILE *out, const struct config_option *o, const void *base);
};

extern const struct value_type value_map, value_peers; /* load.c */
extern const struct value_type value_version, value_number, value_choice, value_name,
	value_workers;                                           /* value.c */
extern const struct value_type value_public_key, value_key_file; /* value_key.c */
extern const struct value_type value_addresses, value_allowed_ips, value_endpoint,
	value_routes;                                              /* value_net.c */
extern const struct value_type value_interfaces, value_port_range; /* value_port.c */
extern const struct value_type value_bool, value_login_server, value_hostname, value_tags,
	value_auth_key_file, value_ca_file; /* value_tailnet.c */

/*
 * `name` as the programs must open it: relative names begin at the folder of `config_path`.  False:
 * it is too long.  (value_key.c)
 */
[[nodiscard]] bool
value_resolve_path(const char *config_path, const char *name, char path[static PATH_MAX]);

/* Letters, digits and a few signs that need no quotes in a shell, a log line or YAML. */
bool value_is_name(const char *text);

/* Write a text so that YAML reads the same text back: plain where possible, else in quotes. */
void value_print_text(FILE *out, const char *text);

#endif
