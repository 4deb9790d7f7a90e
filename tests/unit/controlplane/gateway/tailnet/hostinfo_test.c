/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What we say of this machine: the name, what of it changes with settings and findings, and when
 * the server has to be told.
 */

#include "controlplane/gateway/tailnet/hostinfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/lib/tap.h"

#define LOG_ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
test_names(void)
{
	static const char *const rows[][2] = {
		{ "gateway", "gateway" },
		{ "Gate_Way.example.org", "gate-way" },
		{ "..", "" },
		{ "--a--b--", "a--b" },
		{ "", "" },
		{ "\xc3\xa4gypten", "gypten" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
			"012345678901234567890123456789012345678901234567890123456789012" },
	};
	char text[OWN_HOST_NAME_LEN];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_text(own_host_name(rows[i][0], text), rows[i][1], "a host's name");
}

static json_t *
as_json(const struct own_facts *own)
{
	struct json_writer w = {};
	const char *text = "";
	json_t *value;
	size_t len;

	own_hostinfo_write(&w, NULL, own_facts_hostinfo(own));
	if (json_writer_finish(&w, &text, &len) < 0)
		abort();
	value = json_loads(text, 0, NULL);
	json_writer_fini(&w);
	return value;
}

static const char *
text_of(const json_t *info, const char *name)
{
	const char *text = json_string_value(json_object_get(info, name));

	return text != NULL ? text : "";
}

static void
test_system(const struct own_facts *own)
{
	json_t *info = as_json(own);

	tap_text(text_of(info, "OS"), "linux", "the system");
	tap_text(text_of(info, "BackendLogID"), LOG_ID, "the log ID that servers want");
	tap_ok(strstr(text_of(info, "IPNVersion"), "-sluice") != NULL, "our version");
	tap_ok(text_of(info, "OSVersion")[0] != '\0', "the kernel's");
	tap_ok(strcmp(text_of(info, "GoArch"), text_of(info, "Machine")) != 0 ||
			strcmp(text_of(info, "Machine"), "x86_64") != 0,
		"the architecture as Go calls it");
	tap_ok(json_is_boolean(json_object_get(info, "Container")), "in a container or not");
	tap_ok(json_object_get(info, "NetInfo") == NULL, "nothing is said of an unknown network");
	json_decref(info);
}

static void
test_setters(struct own_facts *own)
{
	struct tailnet_prefs prefs;
	struct region_latency latencies[] = { { 1, ADDR_V4, 1500 } };
	struct net_info net = { .preferred_region = 1,
		.working_udp = TRI_TRUE,
		.latencies = latencies,
		.n_latencies = 1 };
	json_t *info;
	char *text;

	prefs_default(&prefs);
	tap_ok(!own_facts_set_prefs(own, &prefs), "the defaults change nothing");
	strcpy(prefs.hostname, "gw");
	strcpy(prefs.advertise_tags[0], "tag:a");
	prefs.n_advertise_tags = 1;
	prefs.advertise_routes[0] = (struct prefix){ { ADDR_V4, { 10 } }, 8 };
	prefs.n_advertise_routes = 1;
	tap_ok(own_facts_set_prefs(own, &prefs), "settings do");
	memset(&prefs, 0, sizeof(prefs)); // they were copied
	tap_ok(own_facts_set_peer_api(own, 5, 6), "ports of the peer API do");
	tap_ok(!own_facts_set_peer_api(own, 5, 6), "once");
	tap_ok(own_facts_set_net_info(own, &net), "the network does");
	latencies[0].latency_us = 2500;
	tap_ok(!own_facts_set_net_info(own, &net), "but not its latencies alone");

	info = as_json(own);
	text = json_dumps(json_object_get(info, "NetInfo"), JSON_COMPACT | JSON_REAL_PRECISION(6));
	tap_text(text,
		"{\"WorkingUDP\":true,\"PreferredDERP\":1,\"DERPLatency\":{\"1-v4\":0.0025}}",
		"which go along all the same");
	free(text);
	text = json_dumps(json_object_get(info, "Services"), JSON_COMPACT);
	tap_text(text, "[{\"Proto\":\"peerapi4\",\"Port\":5},{\"Proto\":\"peerapi6\",\"Port\":6}]",
		"services");
	free(text);
	text = json_dumps(json_object_get(info, "RoutableIPs"), JSON_COMPACT);
	tap_text(text, "[\"10.0.0.0/8\"]", "routes");
	free(text);
	text = json_dumps(json_object_get(info, "RequestTags"), JSON_COMPACT);
	tap_text(text, "[\"tag:a\"]", "tags");
	free(text);
	tap_text(text_of(info, "Hostname"), "gw", "and the name");
	json_decref(info);
	tap_ok(own_facts_set_net_info(own, NULL), "no network any more");
	tap_ok(!own_facts_refresh(own), "the host's name does not count while one is set");
}

int
main(void)
{
	struct own_facts *own;

	test_names();
	if (own_facts_create(LOG_ID, &own) < 0)
		return 1;
	test_system(own);
	test_setters(own);
	own_facts_destroy(own);
	return tap_done();
}
