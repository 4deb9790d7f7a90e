/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The options of `sluice up`, `login` and `set` that change preferences: names and meaning are
 * upstream's, the JSON is that of "prefs" in gateway_api.h.
 */
#ifndef CONTROLPLANE_CLI_PREFERENCE_H
#define CONTROLPLANE_CLI_PREFERENCE_H

#include <getopt.h>
#include <stdbool.h>

#include <jansson.h>

#include "config/gateway.h"

/* What getopt_long() returns for one of them. */
#define PREFERENCE_CODE(option) (0x1000 + CONFIG_TAILNET_##option)

/* Rows for a command's table of options: those of `set`, and what `up` and `login` have beyond. */
#define PREFERENCE_OPTIONS                                                              \
	{ "accept-routes", optional_argument, NULL, PREFERENCE_CODE(ACCEPT_ROUTES) },   \
		{ "accept-dns", optional_argument, NULL, PREFERENCE_CODE(ACCEPT_DNS) }, \
		{ "shields-up", optional_argument, NULL, PREFERENCE_CODE(SHIELDS_UP) }, \
		{ "hostname", required_argument, NULL, PREFERENCE_CODE(HOSTNAME) },     \
		{ "advertise-routes", required_argument, NULL,                          \
			PREFERENCE_CODE(ADVERTISE_ROUTES) },                            \
		{ "snat-subnet-routes", optional_argument, NULL,                        \
			PREFERENCE_CODE(SNAT_SUBNET_ROUTES) },                          \
	{                                                                               \
		"ca-file", required_argument, NULL, PREFERENCE_CODE(CA_FILE)            \
	}
#define PREFERENCE_UP_OPTIONS                                                              \
	{ "login-server", required_argument, NULL, PREFERENCE_CODE(LOGIN_SERVER) },        \
	{                                                                                  \
		"advertise-tags", required_argument, NULL, PREFERENCE_CODE(ADVERTISE_TAGS) \
	}

/* Whether getopt_long()'s result is one of them. */
bool preference_is(int code);

/*
 * Check a value and put it into `prefs`.  `arg` is getopt's, NULL for "--x" alone.  False: what is
 * wrong is on stderr, behind "sluice COMMAND: ".
 */
[[nodiscard]] bool preference_take(const char *command, int code, const char *arg, json_t *prefs);

/*
 * Upstream's rule for `up`: what differs from its default must be mentioned, lest a shorter command
 * takes it back by accident.  `tailnet` is the status; what the configuration file fixes needs no
 * mention.  Returns those that are missing, as arguments, on the heap: " --hostname=a
 * --shields-up"; empty when none is, NULL without memory.
 */
char *preference_unmentioned(const json_t *tailnet, const json_t *mentioned);

/* The mentioned ones, likewise. */
char *preference_arguments(const json_t *prefs);

#endif
