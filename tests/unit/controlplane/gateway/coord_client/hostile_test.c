/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The coordination client with servers that are broken, wrong or hostile: each failure has its
 * kind, and the client goes on living.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/coord_client/rig.h"

static struct rig rig;

static void
reset(void)
{
	memset(&rig, 0, sizeof(rig));
}

static void
must_fail(const char *what, enum coord_failure_kind kind, const char *why_part)
{
	bool failed;

	rig_start(&rig);
	failed = rig_until(&rig, rig_has_failed, 10000);
	tap_ok(failed && rig.failure.kind == kind && rig.failure.what[0] != '\0' &&
			strstr(rig.failure.why, why_part) != NULL &&
			rig.failure.what_to_do[0] != '\0',
		"%s: %s; %s; %s", what, rig.failure.what, rig.failure.why, rig.failure.what_to_do);
	if (failed && rig.failure.kind != kind)
		tap_int(rig.failure.kind, kind, "the kind");
	rig_stop(&rig);
}

/* --- before Noise --- */

#define ZERO64 "0000000000000000000000000000000000000000000000000000000000000000"

static const struct {
	const char *what, *answer;
	enum coord_failure_kind kind;
	const char *why_part;
} keys[] = {
	{ "no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", COORD_FAILED_NO_COORDINATOR, "not HTTP" },
	{ "404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", COORD_FAILED_NO_COORDINATOR,
		"404" },
	{ "502", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\ndown", COORD_FAILED_SERVER,
		"502: down" },
	{ "a redirection",
		"HTTP/1.1 302 Found\r\nLocation: https://x.example/\r\nContent-Length: 0\r\n\r\n",
		COORD_FAILED_NO_COORDINATOR, "https://x.example/" },
	{ "HTML", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", COORD_FAILED_NO_COORDINATOR,
		"no key" },
	{ "an old server", "HTTP/1.1 200 OK\r\n\r\n{\"publicKey\":\"mkey:" ZERO64 "\"}",
		COORD_FAILED_SERVER_TOO_OLD, "no key" },
	{ "an empty answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		COORD_FAILED_WE_TOO_OLD, "empty" },
	{ "an answer cut short", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
		COORD_FAILED_LOST, "" },
};

static void
test_keys(void)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		reset();
		rig.setup.key_answer = keys[i].answer;
		must_fail(keys[i].what, keys[i].kind, keys[i].why_part);
	}
}

static const struct {
	const char *what, *answer;
	enum coord_failure_kind kind;
} upgrades[] = {
	{ "upgrade: 404", "HTTP/1.1 404 Not Found\r\n\r\n", COORD_FAILED_NO_COORDINATOR },
	{ "upgrade: 503", "HTTP/1.1 503 Busy\r\n\r\n", COORD_FAILED_SERVER },
	{ "upgrade: another protocol",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
	        "websocket\r\n\r\n",
		COORD_FAILED_NO_COORDINATOR },
	{ "upgrade: no Connection",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\n\r\n",
		COORD_FAILED_NO_COORDINATOR },
	{ "upgrade: no HTTP", "hello\r\n\r\n", COORD_FAILED_NO_COORDINATOR },
	{ "upgrade: an error of the handshake",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
		"Upgrade: tailscale-control-protocol\r\n\r\n\x03\x01\x02",
		COORD_FAILED_HANDSHAKE },
	{ "upgrade: a response of nobody",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
		"Upgrade: tailscale-control-protocol\r\n\r\n\x02",
		COORD_FAILED_HANDSHAKE },
};

static void
test_upgrades(void)
{
	for (size_t i = 0; i < sizeof(upgrades) / sizeof(upgrades[0]); i++) {
		reset();
		rig.setup.upgrade = upgrades[i].answer;
		must_fail(upgrades[i].what, upgrades[i].kind, "");
	}
	reset();
	rig.setup.other_key = true;
	must_fail("a server that does not have the key it tells", COORD_FAILED_HANDSHAKE, "");
	reset();
	rig.setup.early = "no json";
	must_fail("an early payload that is no JSON", COORD_FAILED_PROTOCOL, "");
}

/* --- HTTP/2 --- */

static const void *garbage;
static size_t garbage_len;

static void
answer_garbage(void *context, const struct control_request *r)
{
	if (r->kind == CONTROL_REGISTER)
		control_peer_plaintext(r->peer, garbage, garbage_len);
	else
		rig_answer(context, r);
}

static void
answer_bytes(void *context, const struct control_request *r)
{
	(void)context;
	control_peer_bytes(r->peer, garbage, garbage_len);
}

static void
test_http2(void)
{
	static const uint8_t wrong_stream[] = { 0, 0, 1, 1, 5, 0, 0, 0, 2, 0x88 };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1 };
	static const uint8_t bad_hpack[] = { 0, 0, 2, 1, 5, 0, 0, 0, 1, 0xff, 0xff };
	static uint8_t pings[2000][17];
	static uint8_t bomb[300][9 + 300];
	static const uint8_t forged[] = { 4, 0, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6,
		7 };

	static const struct {
		const char *what;
		const void *data;
		size_t len;
	} cases[] = {
		{ "a frame for a stream that we did not open", wrong_stream, sizeof(wrong_stream) },
		{ "a frame of 16 MiB", huge, sizeof(huge) },
		{ "a head that no HPACK is", bad_hpack, sizeof(bad_hpack) },
		{ "HTTP/1.1 inside", "HTTP/1.1 400 Bad Request\r\n\r\n", 28 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reset();
		garbage = cases[i].data;
		garbage_len = cases[i].len;
		rig.setup =
			(struct control_server_setup){ .answer = answer_garbage, .context = &rig };
		must_fail(cases[i].what, COORD_FAILED_PROTOCOL, "");
	}

	// A head without end: HEADERS, then CONTINUATIONS of one long field each.
	for (size_t i = 0; i < 300; i++) {
		uint8_t *f = bomb[i];

		memcpy(f, (const uint8_t[]){ 0, 1, 44, i == 0 ? 1 : 9, 0, 0, 0, 0, 1 }, 9);
		memset(f + 9, 0x88, 300);
	}
	reset();
	garbage = bomb;
	garbage_len = sizeof(bomb);
	rig.setup = (struct control_server_setup){ .answer = answer_garbage, .context = &rig };
	must_fail("a head that goes on for ever", COORD_FAILED_PROTOCOL, "");

	// Pings that want answers: bounded by what is sent, so they may pass; nothing may be lost.
	for (size_t i = 0; i < 2000; i++)
		memcpy(pings[i], (const uint8_t[17]){ 0, 0, 8, 6 }, 17);
	reset();
	garbage = pings;
	garbage_len = sizeof(pings);
	rig.setup = (struct control_server_setup){ .answer = answer_garbage, .context = &rig };
	rig_start(&rig);
	rig_turn(&rig, 300);
	tap_ok(rig.phase == COORD_REGISTERING || rig_has_failed(&rig), "2,000 pings are survived");
	rig_stop(&rig);

	reset();
	garbage = forged;
	garbage_len = sizeof(forged);
	rig.setup = (struct control_server_setup){ .answer = answer_bytes, .context = &rig };
	must_fail("a record that is not authentic", COORD_FAILED_PROTOCOL, "authentic");
	reset();
	garbage = "\x04\xff\xff";
	garbage_len = 3;
	rig.setup = (struct control_server_setup){ .answer = answer_bytes, .context = &rig };
	must_fail("a record that is too long", COORD_FAILED_PROTOCOL, "");
}

/* --- answers --- */

static unsigned status_of_register, status_of_map;
static const char *retry_after, *text_of_register;

static void
answer_status(void *context, const struct control_request *r)
{
	if (r->kind == CONTROL_REGISTER && text_of_register != NULL)
		control_answer_text(r, text_of_register);
	else if (r->kind == CONTROL_REGISTER && status_of_register != 0)
		control_answer_head(r, status_of_register, retry_after, true);
	else if (r->kind == CONTROL_MAP_STREAM && status_of_map != 0) {
		control_answer_head(r, status_of_map, NULL, false);
		control_answer_body(r, "node not found\n", 15, true);
	} else
		rig_answer(context, r);
}

static void
begin(unsigned of_register, unsigned of_map, const char *text)
{
	reset();
	status_of_register = of_register;
	status_of_map = of_map;
	text_of_register = text;
	rig.setup = (struct control_server_setup){ .answer = answer_status, .context = &rig };
}

static int64_t
pause_s(void)
{
	struct coord_facts facts;

	coord_client_facts(rig.client, &facts);
	return (mono_diff_ns(facts.retry_at, mono_now()) + NS_PER_S / 2) / NS_PER_S;
}

static void
test_answers(void)
{
	begin(0, 404, NULL);
	must_fail("a node that was deleted", COORD_FAILED_UNKNOWN_NODE, "404: node not found");
	begin(500, 0, NULL);
	must_fail("500", COORD_FAILED_SERVER, "500");
	begin(0, 0, "{\"Error\":\"authkey expired\"}");
	must_fail("an expired key", COORD_FAILED_REFUSED, "authkey expired");
	tap_ok(strcmp(rig.failure.server_text, "authkey expired") == 0 &&
			strstr(rig.failure.what_to_do, "new auth key") != NULL,
		"with the server's words, and what to do");
	begin(0, 0, "{\"Error\":\"\\u001b[31mred\\u0007\"}");
	must_fail("a terminal's commands", COORD_FAILED_REFUSED, " [31mred ");
	begin(0, 0, "{\"NodeKeySignature\":\"AAAA\"}");
	must_fail("a tailnet with a lock", COORD_FAILED_TAILNET_LOCK, "signature");
	begin(0, 0, "{\"AuthURL\":\"javascript:alert(1)\"}");
	must_fail("an URL of another kind", COORD_FAILED_PROTOCOL, "URL");
	begin(0, 0, "[]");
	must_fail("another JSON", COORD_FAILED_PROTOCOL, "");

	begin(429, 0, NULL);
	retry_after = "77";
	rig_start(&rig);
	(void)rig_until(&rig, rig_has_failed, 5000);
	tap_ok(rig.failure.kind == COORD_FAILED_RATE_LIMITED && pause_s() == 77,
		"429: it is waited as long as the server wants");
	rig_stop(&rig);
	begin(429, 0, NULL);
	retry_after = "999999";
	rig_start(&rig);
	(void)rig_until(&rig, rig_has_failed, 5000);
	tap_ok(pause_s() >= 5 && pause_s() <= 10, "but not for ever");
	rig_stop(&rig);
}

/* --- the map --- */

static const void *map_body;
static size_t map_body_len;

static void
answer_map_body(void *context, const struct control_request *r)
{
	if (r->kind != CONTROL_MAP_STREAM) {
		rig_answer(context, r);
		return;
	}
	control_answer_head(r, 200, NULL, false);
	control_answer_body(r, map_body, map_body_len, false);
}

static void
map_must_fail(const char *what, const void *body, size_t len, const char *why_part)
{
	reset();
	map_body = body;
	map_body_len = len;
	rig.setup = (struct control_server_setup){ .answer = answer_map_body, .context = &rig };
	must_fail(what, COORD_FAILED_PROTOCOL, why_part);
}

// `len` zeros, compressed, as a message of a map.
static uint8_t *
bomb(size_t len, bool says_size, size_t *ret_len)
{
	size_t room = ZSTD_compressBound(len) + 64, n;
	char *zeros = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *message = malloc(room);
	ZSTD_CCtx *c = ZSTD_createCCtx();

	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, says_size);
	n = ZSTD_compress2(c, message + 4, room - 4, zeros, len);
	ZSTD_freeCCtx(c);
	munmap(zeros, len);
	memcpy(message, (const uint8_t[]){ n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 }, 4);
	*ret_len = 4 + n;
	return message;
}

static void
test_maps(void)
{
	static const char no_node[] = "\x0f\0\0\0{\"Domain\":\"ab\"}";
	static const char no_json[] = "\x03\0\0\0{xx";
	uint8_t *b;
	size_t len;

	map_must_fail("a first message without Node", no_node, sizeof(no_node) - 1, "not whole");
	map_must_fail("a message that is no JSON", no_json, sizeof(no_json) - 1, "cannot be read");
	map_must_fail("an empty message", "\0\0\0\0", 4, "framing");
	map_must_fail("a message of 4 GiB", "\xff\xff\xff\xff", 4, "framing");
	map_must_fail("a frame that is no zstd", "\x04\0\0\0\x28\xb5\x2f\xfc", 8, "cannot be read");
	map_must_fail("a frame cut short", "\x05\0\0\0\x28\xb5\x2f\xfd\x20", 9, "cannot be read");

	b = bomb(80 << 20, true, &len);
	map_must_fail("80 MiB in a few bytes, announced", b, len, "bounds");
	free(b);
	b = bomb(80 << 20, false, &len);
	map_must_fail("80 MiB in a few bytes, not announced", b, len, "bounds");
	free(b);
	b = bomb(60 << 20, false, &len);
	map_must_fail("60 MiB of zeros", b, len, "cannot be read");
	free(b);

	reset();
	rig.map_answer = -5;
	must_fail("a map that we cannot use", COORD_FAILED_LOCAL, "");
}

int
main(void)
{
	if (crypto_init() < 0)
		return 1;
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	test_keys();
	test_upgrades();
	test_http2();
	test_answers();
	test_maps();
	return tap_done();
}
