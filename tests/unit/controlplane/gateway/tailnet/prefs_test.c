/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Preferences: what is accepted and what is refused with which words, both ways as JSON, and what
 * wins.
 */

#include "controlplane/gateway/tailnet/prefs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/lib/tap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int
parse(const char *text, struct tailnet_prefs *prefs, struct prefs_error *error)
{
	json_t *object = json_loads(text, JSON_DECODE_ANY, NULL);
	int err = object != NULL ? prefs_parse(object, prefs, error) : -EBADMSG;

	json_decref(object);
	return err;
}

static void
check_json(const struct tailnet_prefs *prefs, uint32_t which, const char *wanted, const char *what)
{
	json_t *object = prefs_json(prefs, which);
	char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);

	tap_text(text, wanted, what);
	free(text);
	json_decref(object);
}

static void
test_defaults(void)
{
	struct tailnet_prefs prefs;

	prefs_default(&prefs);
	tap_int(prefs.set, 0, "nothing is set");
	check_json(&prefs, PREFS_ALL,
		"{\"accept_dns\":true,\"accept_routes\":false,\"advertise_routes\":[],"
		"\"advertise_tags\":[],\"ca_file\":\"\",\"hostname\":\"\",\"login_server\":"
		"\"" PREFS_DEFAULT_LOGIN_SERVER "\",\"shields_up\":false,"
		"\"snat_subnet_routes\":true}",
		"upstream's defaults");
}

static void
test_both_ways(void)
{
	static const char text[] =
		"{\"accept_dns\":false,\"accept_routes\":true,\"advertise_routes\":[\"10.0.0.0/"
		"8\",\"192.0.2.0/24\",\"2001:db8::/32\"],\"advertise_tags\":[\"tag:b\","
		"\"tag:a\"],\"ca_file\":\"/etc/ca.pem\",\"hostname\":\"gw-1\","
		"\"login_server\":\"https://hs.example:8443\",\"shields_up\":true,"
		"\"snat_subnet_routes\":false}";
	struct tailnet_prefs prefs, other;
	struct prefs_error error;

	tap_int(parse(text, &prefs, &error), 0, "all of them");
	tap_int(prefs.set, PREFS_ALL, "all are set");
	check_json(&prefs, PREFS_ALL, text, "and are written as they were read");
	prefs_default(&other);
	tap_int(prefs_diff(&prefs, &other), PREFS_ALL, "all differ from the defaults");
	prefs_apply(&other, &prefs);
	tap_int(prefs_diff(&prefs, &other), 0, "until they are applied");
	tap_int(other.set, PREFS_ALL, "which sets them");

	tap_int(parse("{\"advertise_routes\":[\"192.0.2.0/24\",\"10.0.0.0/8\",\"10.0.0.0/8\"],"
		      "\"advertise_tags\":[\"tag:a\",\"tag:a\"],\"login_server\":"
		      "\"https://hs.example/\",\"hostname\":null}",
			&prefs, &error),
		0, "in other words");
	check_json(&prefs, prefs.set,
		"{\"advertise_routes\":[\"10.0.0.0/8\",\"192.0.2.0/24\"],\"advertise_tags\":"
		"[\"tag:a\"],\"hostname\":\"\",\"login_server\":\"https://hs.example\"}",
		"sorted, each once, without the slash; null is the default");
}

static void
test_refusals(void)
{
	static const struct {
		const char *text, *what, *why, *what_to_do;
	} rows[] = {
		{ "[]", "prefs cannot be []", "it is no object", "write {\"name\":value}" },
		{ "{\"hostnam\":\"x\"}", "hostnam cannot be set",
			"there is no preference of that name", "did you mean hostname?" },
		{ "{\"auth_key_file\":\"x\"}", "auth_key_file cannot be set",
			"there is no preference of that name",
			"see 'sluice set --help' for those that there are" },
		{ "{\"accept_routes\":1}", "accept_routes cannot be 1",
			"it is neither true nor false", "write one of them" },
		{ "{\"hostname\":\"a_b\"}", "hostname cannot be \"a_b\"",
			"a name in a tailnet has letters, digits and '-' only",
			"write for example gateway-1" },
		{ "{\"hostname\":3}", "hostname cannot be 3", "it is no text", "write a text" },
		{ "{\"advertise_routes\":[\"10.0.0.1/8\"]}",
			"advertise_routes cannot be [\"10.0.0.1/8\"]",
			"there are bits set behind its length", "write the network's own address" },
		{ "{\"advertise_routes\":[\"0.0.0.0/0\"]}",
			"advertise_routes cannot be [\"0.0.0.0/0\"]",
			"a default route would make this gateway an exit node, which it cannot be "
			"yet",
			"name the networks behind it" },
		{ "{\"advertise_routes\":[\"x\"]}", "advertise_routes cannot be [\"x\"]",
			"one of them is no network", "write for example 192.0.2.0/24" },
		{ "{\"advertise_tags\":[\"router\"]}", "advertise_tags cannot be [\"router\"]",
			"a tag begins with tag: ", "write for example tag:router" },
		{ "{\"advertise_tags\":[\"tag:1a\"]}", "advertise_tags cannot be [\"tag:1a\"]",
			"behind tag: there is a letter first", "write for example tag:router" },
		{ "{\"ca_file\":\"ca.pem\"}", "ca_file cannot be \"ca.pem\"",
			"the gateway does not know your folder",
			"write the whole path, from / on" },
		{ "{\"login_server\":\"hs.example\"}", "login_server cannot be \"hs.example\"",
			"a server's address begins with https:// (or http://, where somebody else "
			"encrypts)",
			"write for example https://hs.example" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tailnet_prefs prefs = { .set = 77 };
		struct prefs_error error = {};

		tap_int(parse(rows[i].text, &prefs, &error), -EINVAL, rows[i].text);
		tap_text(error.what, rows[i].what, "what");
		tap_text(error.why, rows[i].why, "why");
		tap_text(error.what_to_do, rows[i].what_to_do, "what to do");
		tap_int(prefs.set, 77, "nothing is changed");
	}
}

static void
test_file(void)
{
	struct prefix routes[] = { { { ADDR_V4, { 10 } }, 8 } };
	char tags[][CONFIG_TAG_LEN] = { "tag:file" };
	struct config_tailnet file = {
		.login_server = "https://file.example",
		.shields_up = true,
		.accept_dns = true,
		.snat_subnet_routes = true,
		.advertise_routes = routes,
		.n_advertise_routes = 1,
		.advertise_tags = tags,
		.n_advertise_tags = 1,
		.ca_path = (char *)"/etc/file.pem",
	};
	struct tailnet_prefs remembered, prefs;
	struct prefs_error error = {};

	file.lines[CONFIG_TAILNET_LOGIN_SERVER] = 4;
	file.lines[CONFIG_TAILNET_SHIELDS_UP] = 5;
	file.lines[CONFIG_TAILNET_ADVERTISE_ROUTES] = 6;
	tap_int(parse("{\"login_server\":\"https://set.example\",\"hostname\":\"set\","
		      "\"accept_dns\":false,\"advertise_tags\":[\"tag:set\"]}",
			&remembered, &error),
		0, "what `sluice set` said");
	tap_int(prefs_in_force(&remembered, &file, &prefs, &error), 0, "and what the file says");
	check_json(&prefs, PREFS_ALL,
		"{\"accept_dns\":false,\"accept_routes\":false,\"advertise_routes\":[\"10.0.0.0/"
		"8\"],\"advertise_tags\":[\"tag:set\"],\"ca_file\":\"\",\"hostname\":\"set\","
		"\"login_server\":\"https://file.example\",\"shields_up\":true,"
		"\"snat_subnet_routes\":true}",
		"the file wins where it says something");

	tap_int(prefs_check_file(&remembered, &file, "/etc/sluice/sluice.yaml", &error), -EPERM,
		"what the file says cannot be set");
	tap_text(error.what, "login_server is not changed", "what");
	tap_text(error.why, "the configuration has it in line 4, and wins", "why");
	tap_text(error.what_to_do,
		"change or remove tailnet.login_server in /etc/sluice/sluice.yaml, then run "
		"'sluice reload'",
		"what to do");
	tap_int(parse("{\"shields_up\":true,\"hostname\":\"x\"}", &remembered, &error), 0,
		"what agrees with the file");
	tap_int(prefs_check_file(&remembered, &file, "f", &error), 0, "may be said");
}

int
main(void)
{
	test_defaults();
	test_both_ways();
	test_refusals();
	test_file();
	return tap_done();
}
