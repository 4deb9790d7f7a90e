/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pure parts: URLs, the upgrade and what follows (a whole connection that the reference
 * recorded), messages of a map in pieces, c2n, what failures say.
 *
 * Arguments: tests/vectors/control-noise.json, tests/vectors/mapresponse.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "controlplane/gateway/coord_client/c2n.h"
#include "controlplane/gateway/coord_client/channel.h"
#include "controlplane/gateway/coord_client/failure.h"
#include "controlplane/gateway/coord_client/map_reader.h"
#include "controlplane/gateway/coord_client/server_url.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"
#include "tests/unit/lib/noise/vector.h"

/* --- URLs --- */

static const struct {
	const char *text, *host, *path, *authority;
	uint16_t port;
	bool tls;
} urls[] = {
	{ "https://hs.example", "hs.example", "/", "hs.example", 443, true },
	{ "http://hs.example/", "hs.example", "/", "hs.example", 80, false },
	{ "HTTPS://hs.example:8443/base?x=y#z", "hs.example", "/base?x=y", "hs.example:8443", 8443,
		true },
	{ "https://hs.example?id=1", "hs.example", "/?id=1", "hs.example", 443, true },
	{ "http://127.0.0.1:80", "127.0.0.1", "/", "127.0.0.1", 80, false },
	{ "https://[2001:db8::1]:444/a", "2001:db8::1", "/a", "[2001:db8::1]:444", 444, true },
	{ "hs.example", NULL, NULL, NULL, 0, false },
	{ "ftp://hs.example", NULL, NULL, NULL, 0, false },
	{ "https://", NULL, NULL, NULL, 0, false },
	{ "https://u:p@hs.example", NULL, NULL, NULL, 0, false },
	{ "https://hs.example:0", NULL, NULL, NULL, 0, false },
	{ "https://hs.example:65536", NULL, NULL, NULL, 0, false },
	{ "https://hs.example:99999999999999999999", NULL, NULL, NULL, 0, false },
	{ "https://hs.example:1x", NULL, NULL, NULL, 0, false },
	{ "https://hs.example/a b", NULL, NULL, NULL, 0, false },
	{ "https://hs.example/\r\nX: y", NULL, NULL, NULL, 0, false },
	{ "https://[2001:db8::1", NULL, NULL, NULL, 0, false },
};

static void
test_urls(void)
{
	char authority[URL_AUTHORITY_LEN], longer[2000] = "https://";

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct server_url u;
		int err = server_url_parse(urls[i].text, &u);

		tap_ok((err == 0) == (urls[i].host != NULL) &&
				(err < 0 ||
					(strcmp(u.host, urls[i].host) == 0 &&
						u.port == urls[i].port && u.tls == urls[i].tls &&
						strcmp(u.path, urls[i].path) == 0 &&
						strcmp(server_url_authority(&u, false, authority),
							urls[i].authority) == 0)),
			"URL %zu", i);
	}
	memset(longer + 8, 'a', 300);
	tap_ok(server_url_parse(longer, &(struct server_url){}) < 0, "a host beyond all names");
	memcpy(longer + 8, "h/", 2);
	memset(longer + 10, 'a', 1500);
	tap_ok(server_url_parse(longer, &(struct server_url){}) < 0, "a path beyond all bounds");
}

/* --- a recorded connection --- */

static uint8_t plain[4096];
static size_t plain_len;

static int
on_plaintext(void *context, const uint8_t *data, size_t len)
{
	(void)context;
	memcpy(plain + plain_len, data, len);
	plain_len += len;
	return 0;
}

static void
test_connection(const json_t *v, size_t step)
{
	static uint8_t sent[CHANNEL_REQUEST_MAX_LEN], heard[16384], kept[16384];
	static struct channel c;
	const struct channel_calls calls = { NULL, on_plaintext, NULL };
	struct secret_key machine, ephemeral, control;
	struct public_key server;
	char request[CHANNEL_REQUEST_MAX_LEN];
	size_t len = 0, wanted, heard_len, have = 0, taken;
	int err;

	vector_bytes(v, "machine_private", machine.bytes, KEY_LEN);
	vector_bytes(v, "client_ephemeral_private", ephemeral.bytes, KEY_LEN);
	vector_bytes(v, "control_private", control.bytes, KEY_LEN);
	key_public(&server, &control);
	err = channel_begin(
		&c, 138, &machine, &server, &ephemeral, "control.example:80", request, &len);
	wanted = vector_decode(json_object_get(v, "client_sends"), sent, sizeof(sent));
	// What the reference sends behind its request are records, which are the tests' of
	// lib/noise.
	tap_ok(err == 0 && len <= wanted && memcmp(request, sent, len) == 0,
		"the upgrade request, byte for byte");
	heard_len = vector_decode(json_object_get(v, "server_sends"), heard, sizeof(heard));
	plain_len = 0;
	for (size_t at = 0; err == 0 && at < heard_len; at += step) {
		size_t piece = heard_len - at < step ? heard_len - at : step;

		memcpy(kept + have, heard + at, piece);
		have += piece;
		err = channel_push(&c, kept, have, &calls, &taken);
		memmove(kept, kept + taken, have - taken);
		have -= taken;
	}
	tap_ok(err == 0 && c.state == CHANNEL_OPEN && have == 0 &&
			c.early.state == CONTROL_EARLY_FOUND,
		"the answer, by %zu: handshake and early payload", step);
	channel_fini(&c);
}

/* --- messages of a map --- */

static char *
read_file(const char *folder, const char *name, size_t *ret_len)
{
	char path[600], *text;
	FILE *f;
	long len;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "r");
	if (f == NULL)
		return NULL;
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	text = malloc((size_t)len + 1);
	*ret_len = fread(text, 1, (size_t)len, f);
	fclose(f);
	return text;
}

// The same message in all forms in which it may be sent: returns how many came out right.
static unsigned
pass_through(const char *text, size_t len, size_t step)
{
	size_t room = ZSTD_compressBound(len);
	uint8_t *stream = malloc(3 * (room + 4));
	struct map_reader r = {};
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t end = 0;
	unsigned right = 0;

	for (int form = 0; form < 3; form++) { // bare, of known size, of unknown size
		uint8_t *at = stream + end + 4;
		size_t n = len;

		ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, form == 1);
		if (form == 0)
			memcpy(at, text, len);
		else
			n = ZSTD_compress2(z, at, room, text, len);
		store_le32(stream + end, (uint32_t)n);
		end += 4 + n;
	}
	for (size_t at = 0, taken; at < end; at += taken) {
		struct map_response m;
		struct map_reader_facts facts;

		if (map_reader_push(&r, stream + at, step < end - at ? step : end - at, &taken) < 0)
			break;
		if (map_reader_next(&r, &m, &facts) == 0) {
			right += facts.text_len == len;
			map_response_fini(&m);
		}
	}
	ZSTD_freeCCtx(z);
	map_reader_fini(&r);
	free(stream);
	return right;
}

static void
test_maps(const char *folder)
{
	unsigned n = 0, wrong = 0;
	struct dirent *e;
	DIR *d = opendir(folder);

	while (d != NULL && (e = readdir(d)) != NULL) {
		size_t len;
		char *text = strstr(e->d_name, ".response.json") != NULL
		                     ? read_file(folder, e->d_name, &len)
		                     : NULL;

		if (text == NULL)
			continue;
		n++;
		wrong += pass_through(text, len, 1) != 3 || pass_through(text, len, 1000000) != 3;
		free(text);
	}
	if (d != NULL)
		closedir(d);
	tap_ok(n > 20 && wrong == 0, "%u recorded messages in three forms, whole and by bytes", n);
}

static void
test_keep_alives(void)
{
	// control.md 5.4: as a server writes it without a compressor.
	static const uint8_t keep_alive[] = { 0x1b, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x12,
		0x91, 0, 0, '{', '"', 'K', 'e', 'e', 'p', 'A', 'l', 'i', 'v', 'e', '"', ':', 't',
		'r', 'u', 'e', '}' };
	struct map_reader r = {};
	struct map_reader_facts facts;
	struct map_response m;
	size_t taken;

	for (int i = 0; i < 3; i++) {
		int err = map_reader_push(&r, keep_alive, sizeof(keep_alive), &taken);

		tap_ok(err == 0 && taken == sizeof(keep_alive) &&
				map_reader_next(&r, &m, &facts) == 0 && m.is_keep_alive &&
				facts.text_len == (i == 0 ? 18 : 0),
			"keep-alive %d is %s", i, i == 0 ? "read" : "known by its bytes");
		map_response_fini(&m);
	}
	tap_int(map_reader_next(&r, &m, &facts), -EAGAIN, "and nothing else is there");
	map_reader_fini(&r);
}

/* --- c2n, failures --- */

static const struct {
	const char *request, *begin, *end;
} requests[] = {
	{ "POST /echo HTTP/1.1\r\nHost: c2n\r\n\r\nhello", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello" },
	{ "GET /echo?x=y HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n\r\n" },
	{ "GET /echoes HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "path\n" },
	{ "GET /debug/goroutines HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "path\n" },
	{ "", "HTTP/1.1 400 ", "path\n" },
	{ "POST /echo", "HTTP/1.1 400 ", "path\n" },
};

static void
test_c2n(void)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		size_t len, begin = strlen(requests[i].begin), end = strlen(requests[i].end);
		char *a = c2n_answer(requests[i].request, strlen(requests[i].request), &len);

		tap_ok(len > begin + end && memcmp(a, requests[i].begin, begin) == 0 &&
				memcmp(a + len - end, requests[i].end, end) == 0,
			"c2n %zu", i);
		free(a);
	}
}

static void
test_failures(void)
{
	const struct stream_failure expired = { .kind = STREAM_TLS_CERTIFICATE,
		.certificate = STREAM_CERTIFICATE_EXPIRED,
		.valid_from_s = 1577836800,
		.valid_to_s = 1609459200,
		.text = "certificate has expired" };
	struct coord_failure f;

	for (int kind = 0; kind <= COORD_FAILED_LOCAL; kind++) {
		coord_failure_write(&f, kind, "hs.example:443", "because");
		tap_ok(strstr(f.what, "hs.example:443") != NULL && strcmp(f.why, "because") == 0 &&
				f.what_to_do[0] != '\0',
			"%s; %s", f.what, f.what_to_do);
	}
	coord_failure_from_stream(&f, "s:1", &expired);
	tap_ok(f.kind == COORD_FAILED_CERTIFICATE && strstr(f.why, "2021-01-01 00:00 UTC") != NULL,
		"%s", f.why);
	coord_failure_compare_clocks(&f, "s:1", 1700000000, 1700000200);
	tap_int(f.kind, COORD_FAILED_CERTIFICATE, "200 s apart: the clock is not to blame");
	coord_failure_compare_clocks(&f, "s:1", 1700000000, 1600000000);
	tap_ok(f.kind == COORD_FAILED_CLOCK && strstr(f.why, "2020-09-13 12:26 UTC there") != NULL,
		"years apart: %s", f.why);
}

int
main(int argc, char **argv)
{
	json_t *root = argc > 2 ? vector_load(argc, argv) : NULL;

	if (root == NULL || crypto_init() < 0)
		return 1;
	test_urls();
	for (size_t step = 1; step < 5000; step = step * 3 + 1)
		test_connection(json_object_get(root, "http_upgrade"), step);
	test_maps(argv[2]);
	test_keep_alives();
	test_c2n();
	test_failures();
	json_decref(root);
	return tap_done();
}
