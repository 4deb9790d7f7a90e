/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The status has the keys that gateway_api.h promises, whatever the data plane wrote.
 */

#include "controlplane/gateway/api/status_json.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controlplane/gateway/snapshot.h"
#include "tests/lib/tap.h"

static json_t *
status_of(struct snapshot *s)
{
	struct config_gateway config = {
		.interface = "sluice0", .mtu = 1420, .listen_port = 51820
	};
	struct status_here here = { .config = &config, .started = { 1 } };
	char *text = status_json(&here, s);
	json_t *status = json_loads(text, 0, NULL);

	tap_ok(strchr(text, '\n') == NULL, "it is one line");
	free(text);
	return status;
}

static void
has(const json_t *object, const char *const *keys, const char *what)
{
	for (; *keys != NULL; keys++)
		tap_ok(json_object_get(object, *keys) != NULL, "%s has %s", what, *keys);
}

static void
test_shape(void)
{
	static const char *const keys[] = { "ok", "version", "uptime_s", "attached", "generation",
		"settled", "processes", "interface", "public_key", "listen_port", "routing_table",
		"forwarding", "memory_locked", "aead_backend", "aead", "notes", "handshakes",
		"sessions", "peers", "ports", "workers", "drops", "next_hops", "next_hops_left_out",
		NULL };
	static const char *const peer_keys[] = { "name", "public_key", "endpoint", "local_address",
		"last_handshake_age_s", "session_age_s", "session_role", "handshake",
		"persistent_keepalive_s", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets",
		"last_rx_age_s", "last_tx_age_s", NULL };
	struct snapshot_peer peers[2] = {
		{ .name = "never" },
		{ .name = "there",
			.endpoint = { .addr = { ADDR_V6, { 0xfd, 1 } }, .port = 7 },
			.has_session = true,
			.initiator = true,
			.session_birth = { 4 * NS_PER_S },
			.last_handshake = { 4 * NS_PER_S },
			.rx_bytes = UINT64_MAX },
	};
	struct snapshot s = { .taken = { 10 * NS_PER_S },
		.attached = true,
		.peers = peers,
		.n_peers = 2,
		.n_workers = 2,
		.workers = { { .core = -1 },
			{ .core = 3, .packets = 10, .busy_tsc = 1000, .idle_tsc = 3000 } },
		.n_drops = 2,
		.drops = { { .name = "no_session", .count = 3 }, { .name = "" } } };
	json_t *status = status_of(&s), *p, *w;

	has(status, keys, "the status");
	p = json_array_get(json_object_get(status, "peers"), 0);
	has(p, peer_keys, "a peer");
	tap_ok(json_is_null(json_object_get(p, "endpoint")) &&
			json_is_null(json_object_get(p, "session_age_s")) &&
			json_is_null(json_object_get(p, "last_handshake_age_s")),
		"what is not there is null");
	p = json_array_get(json_object_get(status, "peers"), 1);
	tap_text(json_string_value(json_object_get(p, "endpoint")), "[fd01::]:7",
		"an endpoint as text");
	tap_int(json_integer_value(json_object_get(p, "session_age_s")), 6, "an age in seconds");
	tap_ok(json_integer_value(json_object_get(p, "rx_bytes")) >= 0, "no count is negative");
	w = json_array_get(json_object_get(status, "workers"), 0);
	tap_ok(json_is_null(json_object_get(w, "core")) &&
			json_is_null(json_object_get(w, "cycles_per_packet")),
		"a worker that is not pinned and had nothing to do");
	w = json_array_get(json_object_get(status, "workers"), 1);
	tap_ok(json_real_value(json_object_get(w, "cycles_per_packet")) == 100 &&
			json_real_value(json_object_get(w, "idle_share")) == 0.75,
		"ticks per packet, and the idle share");
	tap_int(json_object_size(json_object_get(status, "drops")), 1,
		"drop reasons that have a name");
	json_decref(status);
}

static void
test_aead(void)
{
	struct snapshot s = { .attached = true,
		.keys_locked = true,
		.dataplane_keys_locked = true,
		.settled = true,
		.aeads = { .n = 3,
			.reason = SHM_AEAD_FASTEST,
			.burst_min = { 1, 2, 4, 8 },
			.size_max = { 128, 512, 1024, 65535 },
			.rows = { { .name = "new", .presence = SHM_AEAD_REFUSED },
				{ .name = "other", .presence = SHM_AEAD_MISSING },
				{ .name = "old" } } } };
	struct shm_aeads *a = &s.aeads;
	json_t *status, *aead, *class;

	memset(a->in_use, 2, sizeof(a->in_use));
	a->in_use[1][3][3] = 0;
	a->rows[2].ps[1][3][3] = 470500;
	status = status_of(&s);
	aead = json_object_get(status, "aead");
	tap_text(json_string_value(json_object_get(aead, "reason")), "fastest", "why");
	tap_text(json_string_value(json_object_get(json_object_get(aead, "backends"), "new")),
		"wrong", "a back end with wrong answers");
	tap_text(json_string_value(json_object_get(json_object_get(aead, "backends"), "other")),
		"missing", "one that is not here");
	tap_text(json_string_value(json_object_get(json_object_get(aead, "backends"), "old")),
		"works", "one that works");
	tap_int((long long)json_array_size(json_object_get(aead, "classes")), 32, "classes");
	class = json_array_get(json_object_get(aead, "classes"), 31);
	tap_text(json_string_value(json_object_get(class, "direction")), "open", "the last: open");
	tap_int(json_integer_value(json_object_get(class, "burst_min")), 8, "full bursts");
	tap_int(json_integer_value(json_object_get(class, "size_max")), 65535, "of large packets");
	tap_text(json_string_value(json_object_get(class, "in_use")), "new", "what is in use");
	tap_int(json_object_size(json_object_get(class, "ns_per_packet")), 1,
		"only what was timed has a time");
	tap_ok(json_real_value(json_object_get(json_object_get(class, "ns_per_packet"), "old")) ==
			470.5,
		"in nanoseconds");
	tap_int((long long)json_array_size(json_object_get(status, "notes")), 1,
		"a note says that one is wrong");
	json_decref(status);
}

static void
test_detached(void)
{
	struct snapshot s = { .taken = { 5 } };
	json_t *status = status_of(&s), *pid;

	pid = json_object_get(
		json_object_get(json_object_get(status, "processes"), "keeper"), "pid");
	tap_ok(json_is_null(pid), "without a data plane its pid is null");
	tap_ok(json_array_size(json_object_get(status, "notes")) >= 1, "and a note says so");
	tap_ok(json_is_null(json_object_get(status, "aead")), "nothing is known of its cipher");
	json_decref(status);
}

int
main(void)
{
	test_shape();
	test_aead();
	test_detached();
	return tap_done();
}
