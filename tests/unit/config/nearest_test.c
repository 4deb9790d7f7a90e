/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <string.h>

#include "config/nearest.h"
#include "config/schema.h"
#include "tests/lib/tap.h"

static const struct {
	const char *what, *given, *wanted;
	unsigned distance;
} rows[] = {
	{ "equal", "mtu", "mtu", 0 },
	{ "case and dashes do not count", "Listen-Port", "listen_port", 0 },
	{ "a letter more", "listen_portt", "listen_port", 1 },
	{ "a letter less", "liten_port", "listen_port", 1 },
	{ "another letter", "listem_port", "listen_port", 1 },
	{ "two letters swapped", "chekc", "check", 1 },
	{ "two mistakes in a long name", "lsiten_prot", "listen_port", 2 },
	{ "a third of the letters", "check", "chalk", NEAREST_TOO_FAR },
	{ "the beginning of a name", "private_key", "private_key_file", 5 },
	{ "the end of a name", "keepalive", "persistent_keepalive", 11 },
	{ "a short piece says nothing", "key", "public_key", NEAREST_TOO_FAR },
	{ "nothing in common", "logging", "peers", NEAREST_TOO_FAR },
	{ "nothing given", "", "mtu", NEAREST_TOO_FAR },
	{ "too long for a name", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		NEAREST_TOO_FAR },
};

int
main(void)
{
	const struct config_option *near;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_int(nearest_distance(rows[i].given, rows[i].wanted), rows[i].distance,
			rows[i].what);

	near = schema_nearest("wireguard.peers[]", "allowedips");
	tap_text(near != NULL ? near->path : "", "wireguard.peers[].allowed_ips",
		"an option of the same map");
	near = schema_nearest("wireguard", "endpoint");
	tap_text(near != NULL ? near->path : "", "wireguard.peers[].endpoint",
		"the right name in the wrong map");
	near = schema_nearest("", "endpont");
	tap_ok(near == NULL, "a mistyped name of another map is not guessed");
	return tap_done();
}
