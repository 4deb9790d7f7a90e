/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/http_head.h"

#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const struct {
	const char *what, *text;
	int err;
	unsigned status;
} heads[] = {
	{ "a head", "HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\nrest", 0, 101 },
	{ "without a reason", "HTTP/1.0 200\r\n\r\n", 0, 200 },
	{ "cut short", "HTTP/1.1 200 OK\r\nA: b\r\n", ERR_TRUNCATED, 0 },
	{ "hardly begun", "HT", ERR_TRUNCATED, 0 },
	{ "nothing", "", ERR_TRUNCATED, 0 },
	{ "another protocol", "SSH-2.0", ERR_BAD_FORMAT, 0 },
	{ "HTTP/2", "HTTP/2 200\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "two digits", "HTTP/1.1 20 OK\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "four digits", "HTTP/1.1 2000\r\n\r\n", ERR_BAD_FORMAT, 0 },
	{ "status 0", "HTTP/1.1 000 OK\r\n\r\n", ERR_BAD_FORMAT, 0 },
};

static void
test_heads(void)
{
	static char endless[HTTP_HEAD_MAX + 8];
	struct http_head h;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		int err = http_head_read(heads[i].text, strlen(heads[i].text), &h);

		tap_ok(err == heads[i].err && (err < 0 || h.status == heads[i].status), "%s",
			heads[i].what);
	}
	memset(endless, 'a', sizeof(endless));
	memcpy(endless, "HTTP/1.1 200 OK\r\n", 17);
	tap_int(http_head_read(endless, HTTP_HEAD_MAX - 1, &h), ERR_TRUNCATED,
		"still short enough");
	tap_int(http_head_read(endless, HTTP_HEAD_MAX, &h), ERR_BAD_FORMAT, "too long");
	tap_int(http_head_read("HTTP/1.1 200 O\0\r\n\r\n", 19, &h), ERR_BAD_FORMAT, "a zero in it");
}

static void
test_fields(void)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nconnection:  Keep-Alive ,\tUPGRADE\r\n"
				   "Empty:\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
	struct http_head h;
	const char *value;
	int64_t date;
	size_t len;

	tap_int(http_head_read(text, strlen(text), &h), 0, "a head with fields");
	tap_ok(http_head_field(&h, "EMPTY", &value, &len) && len == 0, "an empty one");
	tap_ok(!http_head_field(&h, "Connectio", &value, &len) &&
			!http_head_field(&h, "OK", &value, &len),
		"nothing but whole names");
	tap_ok(http_head_has_token(&h, "Connection", "upgrade") &&
			http_head_has_token(&h, "Connection", "keep-alive") &&
			!http_head_has_token(&h, "Connection", "keep"),
		"tokens of a list");
	tap_ok(http_head_date(&h, &date) && date == 784111777, "the date");
}

// All of a body, given in pieces of `step` bytes; returns the error.
static int
read_body(const char *answer, size_t step, char *out, bool *ret_done)
{
	struct http_head h;
	struct http_body b;
	size_t len = strlen(answer), at, out_len = 0;
	int err = http_head_read(answer, len, &h);

	if (err == 0)
		err = http_body_begin(&b, &h);
	for (at = h.len; err == 0 && at < len && b.state != HTTP_BODY_DONE;) {
		size_t taken, n, piece = len - at < step ? len - at : step;
		const char *p;

		err = http_body_push(&b, answer + at, piece, &taken, &p, &n);
		if (err < 0)
			break;
		memcpy(out + out_len, p, n);
		out_len += n;
		at += taken;
	}
	out[out_len] = '\0';
	*ret_done = err == 0 && b.state == HTTP_BODY_DONE;
	return err;
}

static const struct {
	const char *what, *answer, *body;
	bool done, bad;
} bodies[] = {
	{ "counted", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "abc", true, false },
	{ "cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", "abcd", false, false },
	{ "up to the end", "HTTP/1.1 200 OK\r\n\r\nabcd", "abcd", false, false },
	{ "none", "HTTP/1.1 204 No Content\r\n\r\nabcd", "", true, false },
	{ "chunks",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n"
		"0\r\n\r\nz",
		"abc0123456789", true, false },
	{ "chunks and trailers",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ: "
	        "z\r\n\r\n",
		"a", true, false },
	{ "a size that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "",
		false, true },
	{ "a size beyond all",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"fffffffffffffffff\r\n",
		"", false, true },
	{ "no end of line behind a chunk",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab", "a", false, true },
	{ "a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", "", false,
		true },
};

static void
test_bodies(void)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (size_t step = 1; step <= 100; step += 33) {
			char out[200];
			bool done;
			int err = read_body(bodies[i].answer, step, out, &done);

			tap_ok((err < 0) == bodies[i].bad && done == bodies[i].done &&
					strcmp(out, bodies[i].body) == 0,
				"body: %s, by %zu", bodies[i].what, step);
		}
}

int
main(void)
{
	test_heads();
	test_fields();
	test_bodies();
	return tap_done();
}
