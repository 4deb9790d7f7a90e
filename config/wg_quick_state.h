/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the two halves of the wg-quick reader share: wg_quick.c goes through the lines,
 * wg_quick_whole.c looks at the result.
 */
#ifndef CONFIG_WG_QUICK_STATE_H
#define CONFIG_WG_QUICK_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/diagnostic.h"
#include "config/gateway.h"

enum wg_quick_section {
	WG_QUICK_NONE,
	WG_QUICK_INTERFACE,
	WG_QUICK_PEER,
};

/* One entry of AllowedIPs, to find the last owner of a prefix. */
struct wg_quick_entry {
	struct prefix prefix; /* masked */
	size_t peer;
	size_t order; /* of appearance in the file */
	int line, column;
	bool is_dropped;
};

struct wg_quick_state {
	struct diagnostics d;
	struct config_gateway *config;
	size_t peers_size; /* allocated */
	struct wg_quick_entry *entries;
	size_t n_entries, entries_size;
	enum wg_quick_section section;
	struct config_peer *peer; /* in WG_QUICK_PEER */
	int line;
	const char *line_start;
	char name_above[CONFIG_NAME_LEN]; /* from a comment that stands right above */
	bool has_private_key, has_listen_port;
	bool out_of_memory;
};

/*
 * Everything that needs the whole file: peers without a key, keys and names twice, prefixes that
 * move to their last owner, what is missing.  Gives the peers their allowed_ips.
 */
void wg_quick_check_whole(struct wg_quick_state *r);

#endif
