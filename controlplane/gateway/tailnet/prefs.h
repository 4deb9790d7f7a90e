/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a member of a tailnet is to do, as people set it: by the file's `tailnet:` section, which
 * wins, by `sluice up` and `sluice set`, which are remembered in the store, or by default.
 *
 * Names, defaults and checks are those of the file's options (config/gateway.h).
 *
 * Owner:  a plain value, without pointers: copy it.  About 16 KiB.
 * Thread: any; nothing is kept.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_PREFS_H
#define CONTROLPLANE_GATEWAY_TAILNET_PREFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/gateway.h"

struct json_t; /* jansson's */

#define PREFS_DEFAULT_LOGIN_SERVER "https://controlplane.tailscale.com" /* as upstream's */
#define PREFS_PATH_LEN             1024 /* of ca_file, with its zero */

/* A preference's bit, by the option of the same name. */
#define PREF(option) (UINT32_C(1) << CONFIG_TAILNET_##option)
/* Not preferences: auth_key_file, and the port, which is the whole gateway's. */
#define PREFS_ALL                                                                       \
	(PREF(LOGIN_SERVER) | PREF(HOSTNAME) | PREF(ACCEPT_ROUTES) | PREF(ACCEPT_DNS) | \
		PREF(ADVERTISE_ROUTES) | PREF(ADVERTISE_TAGS) | PREF(SHIELDS_UP) |      \
		PREF(SNAT_SUBNET_ROUTES) | PREF(CA_FILE))

struct tailnet_prefs {
	uint32_t set;                      /* PREF() bits that somebody said; the rest is default */
	char login_server[CONFIG_URL_LEN]; /* default: upstream's */
	char hostname[CONFIG_HOSTNAME_LEN]; /* empty: the host's own */
	char ca_file[PREFS_PATH_LEN];       /* absolute; empty: only the system's CAs */
	bool accept_routes, accept_dns, shields_up, snat_subnet_routes;
	struct prefix advertise_routes[CONFIG_MAX_ADVERTISE]; /* ascending, each once */
	size_t n_advertise_routes;
	char advertise_tags[CONFIG_MAX_TAGS][CONFIG_TAG_LEN]; /* "tag:name" */
	size_t n_advertise_tags;
};

/* For people, in the three parts of an answer's "error". */
struct prefs_error {
	char what[256], why[256], what_to_do[256];
};

/* Every default, nothing set. */
void prefs_default(struct tailnet_prefs *ret_prefs);

/*
 * Read {"hostname":"...",...}; what it mentions is set, the rest is default.  null sets a
 * preference to its default.
 * 0, -ENOMEM, or -EINVAL: ret_error says why (a member that is none, another type, a value
 * refused).
 */
[[nodiscard]] int prefs_parse(const struct json_t *object,
	struct tailnet_prefs *ret_prefs,
	struct prefs_error *ret_error);

/* An object of those in `which` (PREF() bits); NULL: out of memory. */
struct json_t *prefs_json(const struct tailnet_prefs *prefs, uint32_t which);

/* What the file says.  0, or -EINVAL: the name of a file does not fit. */
[[nodiscard]] int prefs_from_config(const struct config_tailnet *file,
	struct tailnet_prefs *ret_prefs,
	struct prefs_error *ret_error);

/* What `changes` sets is set in `prefs` likewise; the rest of prefs stays. */
void prefs_apply(struct tailnet_prefs *prefs, const struct tailnet_prefs *changes);

/*
 * What counts: the file's settings, else what was remembered, else the default.
 * 0, -EINVAL (the file's do not fit: ret_error), -ENOMEM.
 */
[[nodiscard]] int prefs_in_force(const struct tailnet_prefs *remembered,
	const struct config_tailnet *file,
	struct tailnet_prefs *ret_prefs,
	struct prefs_error *ret_error);

/*
 * Whether what a person asks for contradicts the file: then nothing may be changed.  `path` is the
 * configuration's, for the text.
 * 0; -EPERM: ret_error names the file's line; -EINVAL, -ENOMEM.
 */
[[nodiscard]] int prefs_check_file(const struct tailnet_prefs *changes,
	const struct config_tailnet *file,
	const char *path,
	struct prefs_error *ret_error);

/* PREF() bits in whose values they differ, whoever set them. */
uint32_t prefs_diff(const struct tailnet_prefs *a, const struct tailnet_prefs *b);

#endif
