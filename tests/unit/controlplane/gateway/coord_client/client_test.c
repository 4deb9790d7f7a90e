/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The coordination client with a server that does what it should, slowly or in pieces.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/coord_client/rig.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER true
#elif !defined(HAS_ADDRESS_SANITIZER)
#define HAS_ADDRESS_SANITIZER false
#endif

#define KEEP_ALIVE "{\"KeepAlive\":true}"

static struct rig rig;

static void
reset(void)
{
	memset(&rig, 0, sizeof(rig));
}

static const struct {
	const char *what;
	const char *early;
	size_t record, piece;
} forms[] = {
	{ "no early payload", NULL, 0, 0 },
	{ "an early payload in three records", "{\"nodeKeyChallenge\":null}", 0, 0 },
	{ "records of one byte", "{}", 1, 0 },
	{ "records of eight bytes, none early", NULL, 8, 0 },
	{ "records of ten bytes, none early", NULL, 10, 0 },
	{ "bytes one at a time", "{}", 0, 1 },
	{ "bytes one at a time, none early", NULL, 0, 1 },
	{ "records of three bytes, seven bytes at a time", "{}", 3, 7 },
};

static void
test_forms(void)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		reset();
		rig.setup = (struct control_server_setup){
			.early = forms[i].early, .record = forms[i].record, .piece = forms[i].piece
		};
		rig_start(&rig);
		tap_ok(rig_until(&rig, rig_has_map, 10000) && rig.n_peers == 2 &&
				rig.n_first == 1 && rig.n_failures == 0,
			"joins: %s", forms[i].what);
		rig_stop(&rig);
	}
}

/* --- keep-alives, the watchdog, updates --- */

static struct control_request map_stream; // the last one; its body is not used

static void
answer_with_keep_alives(void *context, const struct control_request *r)
{
	rig_answer(context, r);
	if (r->kind == CONTROL_MAP_STREAM) {
		map_stream = *r;
		for (int i = 0; i < 5; i++)
			control_answer_map(r, KEEP_ALIVE, strlen(KEEP_ALIVE), i < 3 ? 1 : 0, true);
	}
	if (r->kind == CONTROL_MAP_UPDATE && rig.n_update > 1)
		control_answer_map(&map_stream, KEEP_ALIVE, strlen(KEEP_ALIVE), 1, true);
}

static bool
has_keep_alives(const struct rig *r)
{
	struct coord_facts facts;

	coord_client_facts(r->client, &facts);
	return facts.n_keep_alives == 5;
}

static bool
has_another_keep_alive(const struct rig *r)
{
	struct coord_facts facts;

	coord_client_facts(r->client, &facts);
	return facts.n_keep_alives == 6;
}

static bool
has_updated(const struct rig *r)
{
	struct coord_facts facts;

	coord_client_facts(r->client, &facts);
	return r->n_maps > 0 && facts.n_updates > 0 && !facts.update_pending;
}

static bool
is_silent(const struct rig *r)
{
	return r->n_failures > 0 && r->failure.kind == COORD_FAILED_SILENT;
}

static bool
has_four_maps(const struct rig *r)
{
	return r->n_maps == 4;
}

static bool
has_second_stream(const struct rig *r)
{
	return r->n_first == 2;
}

static void
test_watchdog(void)
{
	reset();
	rig.setup =
		(struct control_server_setup){ .answer = answer_with_keep_alives, .context = &rig };
	rig_start(&rig);
	tap_ok(rig_until(&rig, has_keep_alives, 5000) && rig.n_maps == 1,
		"keep-alives are counted, and are no maps");
	tap_ok(rig_until(&rig, has_updated, 5000) && rig.n_update == 1,
		"our facts are told once when the stream stands");
	rig.ahead_ns = 119 * NS_PER_S;
	rig_turn(&rig, 50);
	tap_ok(!rig_has_failed(&rig), "119 s of silence are nothing");
	coord_client_update(rig.client);
	(void)rig_until(&rig, has_another_keep_alive, 5000);
	rig.ahead_ns = 237 * NS_PER_S;
	rig_turn(&rig, 50);
	tap_ok(!rig_has_failed(&rig), "nor are 118 s after a keep-alive");
	rig.ahead_ns = 241 * NS_PER_S;
	tap_ok(rig_until(&rig, is_silent, 1000),
		"after 120 s without a message the stream is ended");
	tap_ok(rig_until(&rig, has_second_stream, 5000) && rig.n_register == 1,
		"and begun anew, without another registration");
	rig_stop(&rig);
}

static _Atomic unsigned updates_refused;

static void
answer_refusing_updates(void *context, const struct control_request *r)
{
	if (r->kind == CONTROL_MAP_UPDATE && updates_refused < 2) {
		updates_refused++;
		control_answer_head(r, 500, NULL, true);
		return;
	}
	rig_answer(context, r);
}

static void
test_updates(void)
{
	reset();
	rig.setup =
		(struct control_server_setup){ .answer = answer_refusing_updates, .context = &rig };
	rig_start(&rig);
	tap_ok(rig_until(&rig, has_updated, 5000) && updates_refused == 2 && rig.n_update == 1,
		"an update that is refused is repeated until it is accepted");
	for (int i = 0; i < 10; i++)
		coord_client_update(rig.client);
	rig_turn(&rig, 5);
	for (int i = 0; i < 10; i++)
		coord_client_update(rig.client);
	rig_turn(&rig, 200);
	tap_int(rig.n_update, 2, "many changes are one update");
	rig_stop(&rig);
}

/* --- a large map --- */

static char *large;
static size_t large_len;

static void
answer_large(void *context, const struct control_request *r)
{
	if (r->kind != CONTROL_MAP_STREAM) {
		rig_answer(context, r);
		return;
	}
	control_answer_head(r, 200, NULL, false);
	for (int i = 0; i < 4; i++)
		control_answer_map(r, large, large_len, (int)rig.n_stream % 2, true);
	rig.n_stream++;
}

static long
resident_kb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f != NULL && fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages * 4;
}

static void
test_large(void)
{
	long before;

	reset();
	large = rig_map(12000, &large_len);
	rig.setup = (struct control_server_setup){ .answer = answer_large, .context = &rig };
	before = resident_kb();
	rig_start(&rig);
	tap_ok(rig_until(&rig, has_four_maps, 20000) && rig.n_peers == 12000 &&
			large_len > 4 << 20 && 4 * large_len > 16 << 20,
		"four maps of 12,000 peers, %zu bytes each, pass the windows of both levels",
		large_len);
	rig_turn(&rig, 100);
	if (HAS_ADDRESS_SANITIZER)
		tap_skip("what is left behind", "the sanitizer keeps freed memory");
	else
		tap_ok(resident_kb() - before < 8192, "and leaves less than 8 MiB behind: %ld KiB",
			resident_kb() - before);
	rig.ahead_ns = 121 * NS_PER_S;
	tap_ok(rig_until(&rig, has_second_stream, 20000) && rig.n_peers == 12000,
		"compressed, too");
	rig_stop(&rig);
	free(large);
}

/* --- pings --- */

static const char ping[] = "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://unused/a\","
			   "\"URLIsNoise\":true}}";
static const char echo[] =
	"{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://unused/b\",\"URLIsNoise\":true,"
	"\"Types\":\"c2n\","
	"\"Payload\":\"UE9TVCAvZWNobyBIVFRQLzEuMQ0KSG9zdDogYzJuDQoNCmhlbGxv\"}}"; // "hello"
static const char other[] =
	"{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://unused/c\",\"URLIsNoise\":true,"
	"\"Types\":\"c2n\",\"Payload\":\"R0VUIC9kZWJ1Zy9wcmVmcyBIVFRQLzEuMQ0KSG9zdDogYzJuDQoNCg=="
	"\"}}";

static const char *pings[4];

static void
answer_with_pings(void *context, const struct control_request *r)
{
	rig_answer(context, r);
	for (int i = 0; r->kind == CONTROL_MAP_STREAM && i < 4 && pings[i] != NULL; i++)
		control_answer_map(r, pings[i], strlen(pings[i]), 1, true);
}

static bool
has_other(const struct rig *r)
{
	return r->n_other > 0;
}

static void
ask(const char *a, const char *b, bool alive)
{
	reset();
	pings[0] = a;
	pings[1] = b;
	rig.setup = (struct control_server_setup){ .answer = answer_with_pings, .context = &rig };
	rig_start(&rig);
	rig.alive = alive;
	(void)rig_until(&rig, has_other, alive ? 5000 : 300);
	rig_turn(&rig, 100);
	rig_stop(&rig);
}

static void
test_pings(void)
{
	ask(ping, NULL, true);
	tap_ok(rig.n_other == 1 && rig.last_body[0] == '\0', "HEAD over Noise answers a ping");
	ask(ping, ping, true);
	tap_int(rig.n_other, 1, "the same URL is answered once");
	ask(ping, NULL, false);
	tap_int(rig.n_other, 0, "who moves no packets does not answer");
	ask(echo, NULL, true);
	tap_ok(strncmp(rig.last_body, "HTTP/1.1 200 OK\r\n", 17) == 0 &&
			strcmp(rig.last_body + strlen(rig.last_body) - 9, "\r\n\r\nhello") == 0,
		"c2n: /echo gives the body back");
	ask(other, NULL, true);
	tap_ok(strncmp(rig.last_body, "HTTP/1.1 400 ", 13) == 0, "c2n: all else is answered 400");
}

/* --- login and logout --- */

#define URL_A "{\"AuthURL\":\"https://hs.example/register/a\",\"MachineAuthorized\":false}"
#define URL_B "{\"AuthURL\":\"https://hs.example/register/b\",\"MachineAuthorized\":false}"

static const char *const *script; // answers to registrations, in order

static void
answer_by_script(void *context, const struct control_request *r)
{
	if (r->kind == CONTROL_REGISTER && script[rig.n_register] != NULL) {
		snprintf(rig.last_body, sizeof(rig.last_body), "%s", r->body);
		control_answer_text(r, script[rig.n_register++]);
		return;
	}
	rig_answer(context, r);
}

static void
test_login(void)
{
	static const char *const answers[] = { URL_A, URL_A, URL_B, RIG_AUTHORIZED, NULL };

	reset();
	script = answers;
	rig.setup = (struct control_server_setup){ .answer = answer_by_script, .context = &rig };
	rig_start(&rig);
	tap_ok(rig_until(&rig, rig_has_map, 5000) && rig.n_register == 4,
		"a login that somebody has to open, forgotten by the server once, then done");
	tap_int(rig.n_registered, 3, "two URLs were told, and the end");
	tap_ok(rig.last_reason == COORD_REGISTER_FOLLOWUP &&
			strstr(rig.last_body, "\"Followup\":\"https://hs.example/register/b\"") !=
				NULL,
		"the last request waited for the second URL");
	tap_int(rig.n_failures, 0, "which is no failure");

	coord_client_logout(rig.client);
	rig_turn(&rig, 200);
	tap_ok(rig.n_logged_out == 1 && rig.server_knows && rig.phase == COORD_IDLE &&
			strstr(rig.last_body, "\"Expiry\":\"1970-01-01T00:02:03Z\"") != NULL,
		"logout says so with a time long past");
	rig_stop(&rig);
}

static bool
is_idle(const struct rig *r)
{
	return r->n_registered > 0 && r->phase == COORD_IDLE;
}

static void
test_expired(void)
{
	static const char *const answers[] = { "{\"NodeKeyExpired\":true}", NULL };

	reset();
	script = answers;
	rig.setup = (struct control_server_setup){ .answer = answer_by_script, .context = &rig };
	rig_start(&rig);
	tap_ok(rig_until(&rig, is_idle, 5000) && rig.expired &&
			rig.failure.kind == COORD_FAILED_NODE_KEY_EXPIRED,
		"an expired key is the caller's to replace");
	rig_turn(&rig, 100);
	tap_int(rig.n_register, 1, "and is not sent again");
	coord_client_login(rig.client);
	tap_ok(rig_until(&rig, rig_has_map, 5000), "a login after that works");
	coord_client_stop(rig.client);
	rig_turn(&rig, 50);
	tap_int(rig.phase, COORD_IDLE, "stopped: idle");
	rig_stop(&rig);
}

static void
test_restarts(void)
{
	reset();
	rig_start(&rig);
	(void)rig_until(&rig, rig_has_map, 5000);
	for (unsigned i = 1; i <= 10; i++) {
		unsigned before = rig.n_first;
		struct mono begun = mono_now();

		control_server_drop(rig.server);
		while (rig.n_first == before && mono_diff_ns(mono_now(), begun) < 5 * NS_PER_S)
			rig_turn(&rig, 5);
	}
	tap_int(rig.n_first, 11, "ten ends of the connection, ten new maps");
	tap_int(rig.n_register, 1, "no other registration");
	coord_client_network_changed(rig.client);
	rig_turn(&rig, 300);
	tap_int(rig.n_first, 12, "another network: another connection");
	rig_stop(&rig);
}

int
main(void)
{
	if (crypto_init() < 0)
		return 1;
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	test_forms();
	test_watchdog();
	test_updates();
	test_large();
	test_pings();
	test_login();
	test_expired();
	test_restarts();
	return tap_done();
}
