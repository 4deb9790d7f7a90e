/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Streams with real sockets on 127.0.0.1: raced addresses, TLS and what may be wrong with it, the
 * proxy, back-pressure.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/gateway/stream/stream.h"
#include "tests/lib/tap.h"
#include "tests/unit/controlplane/gateway/stream/far_end.h"

static struct stream_set *set;

struct seen {
	struct stream *stream;
	bool opened, closed;
	struct stream_failure failure;
	char text[400], common_name[100];
	char received[4096];
	size_t len, total;
	unsigned drained;
	size_t take_from; /* received() takes nothing before so many bytes are there */
	bool close_when_opened;
	const char *say;
};

static void
on_opened(void *context)
{
	struct seen *s = context;
	const char *name = stream_last_common_name(s->stream);

	s->opened = true;
	if (name != NULL)
		snprintf(s->common_name, sizeof(s->common_name), "%s", name);
	if (s->say != NULL)
		tap_int(stream_send(s->stream, s->say, strlen(s->say)), 0, "sent");
	if (s->close_when_opened) {
		stream_close(s->stream);
		s->stream = NULL;
	}
}

static size_t
on_received(void *context, uint8_t *data, size_t len)
{
	struct seen *s = context;
	size_t room = sizeof(s->received) - 1 - s->len;

	if (len < s->take_from)
		return 0;
	s->total += len;
	room = len < room ? len : room;
	memcpy(s->received + s->len, data, room);
	s->len += room;
	return len;
}

static void
on_drained(void *context)
{
	((struct seen *)context)->drained++;
}

static void
on_closed(void *context, const struct stream_failure *failure)
{
	struct seen *s = context;

	s->closed = true;
	s->stream = NULL;
	s->failure = *failure;
	snprintf(s->text, sizeof(s->text), "%s", failure->text);
	s->failure.text = s->text;
}

static void
open_one(struct seen *s, const struct stream_target *target)
{
	const struct stream_calls calls = { on_opened, on_received, on_drained, on_closed, s };
	int err = stream_open(set, target, &calls, mono_now(), &s->stream);

	if (err != 0)
		tap_int(err, 0, "stream_open");
}

static void
turn(int64_t limit_ms)
{
	struct pollfd p = { stream_set_fd(set), POLLIN, 0 };
	struct mono next = stream_set_dispatch(set, mono_now());
	int64_t ms = mono_is_never(next)
	                     ? limit_ms
	                     : (mono_diff_ns(next, mono_now()) + NS_PER_MS - 1) / NS_PER_MS;

	(void)poll(&p, 1, (int)(ms < 0 ? 0 : ms < limit_ms ? ms : limit_ms));
}

static void
turn_until_closed(struct seen *s, int ms)
{
	struct mono limit = mono_add_ns(mono_now(), ms * NS_PER_MS);

	while (!s->closed && mono_diff_ns(limit, mono_now()) > 0)
		turn(20);
}

static void
turn_until_received(struct seen *s, size_t total, int ms)
{
	struct mono limit = mono_add_ns(mono_now(), ms * NS_PER_MS);

	while (!s->closed && s->total < total && mono_diff_ns(limit, mono_now()) > 0)
		turn(20);
}

static struct stream_target
to(const char *host, uint16_t port, bool tls)
{
	return (struct stream_target){ .host = host, .port = port, .tls = tls };
}

/* --- TCP --- */

static void
test_plain(void)
{
	static char big[300000];
	struct far_end echo = {}, says = { .says = "bye" };
	struct stream_target t;
	struct seen s = { .say = "hello" };
	size_t sent = 0;
	int err = 0;

	far_start(&echo, NULL, far_serve_echo);
	t = to("127.0.0.1", echo.port, false);
	open_one(&s, &t);
	turn_until_received(&s, 5, 3000);
	tap_text(s.received, "hello", "a word there and back");
	tap_ok(stream_remote(s.stream)->port == echo.port && !stream_is_tls13(s.stream), "its end");
	s.total = 0;
	for (; err == 0 && sent < 60 * sizeof(big) && stream_queued(s.stream) <= STREAM_LOW;
		sent += sizeof(big))
		err = stream_send(s.stream, big, sizeof(big));
	tap_ok(err == 0 && stream_queued(s.stream) > STREAM_LOW,
		"%zu bytes are more than the kernel takes", sent);
	turn_until_received(&s, sent, 10000);
	tap_ok(s.total == sent && stream_queued(s.stream) == 0, "and all come back");
	tap_ok(s.drained > 0, "and it is told that the queue has drained");
	stream_close(s.stream);
	far_stop(&echo);

	far_start(&says, NULL, far_serve_says);
	t.port = says.port;
	s = (struct seen){};
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_EOF && s.failure.was_opened && s.len == 3,
		"what was said last is heard before the end");
	s = (struct seen){ .close_when_opened = true };
	open_one(&s, &t);
	for (int i = 0; i < 10; i++)
		turn(10);
	tap_ok(s.opened && !s.closed && s.len == 0, "closed from inside its call: no call follows");
	far_stop(&says);

	s = (struct seen){};
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_CONNECT && !s.failure.was_opened &&
			strstr(s.failure.text, "Connection refused") != NULL,
		"nobody listens: %s", s.failure.text);
}

static void
test_addresses(void)
{
	struct far_end echo = {};
	struct endpoint list[3] = {};
	struct stream_target t;
	struct seen s = { .say = "x" };
	struct mono begun = mono_now();

	far_start(&echo, NULL, far_serve_echo);
	// 192.0.2.1 (documentation) never answers; where there is no route it fails at once.
	tap_int(endpoint_parse("192.0.2.1:9", &list[0]), 0, "parse");
	tap_int(endpoint_parse("[100::1]:9", &list[1]), 0, "parse");
	tap_int(addr_parse("127.0.0.1", &list[2].addr), 0, "parse");
	t = to("nobody.invalid", echo.port, false);
	t.addresses = list;
	t.n_addresses = 3;
	open_one(&s, &t);
	turn_until_received(&s, 1, 5000);
	tap_ok(s.total == 1 && mono_diff_ns(mono_now(), begun) < 2 * NS_PER_S,
		"the third address answers while two others do not");
	stream_close(s.stream);

	s = (struct seen){ .say = "x" };
	t = to("localhost", echo.port, false);
	open_one(&s, &t);
	turn_until_received(&s, 1, 5000);
	tap_int((long long)s.total, 1, "a name is looked up, and ::1 refuses");
	stream_close(s.stream);
	s = (struct seen){};
	t.family = ADDR_V6;
	open_one(&s, &t);
	turn_until_closed(&s, 5000);
	tap_ok(s.failure.kind == STREAM_CONNECT || s.failure.kind == STREAM_NAME,
		"only the other family: %s", s.failure.text);
	far_stop(&echo);

	s = (struct seen){};
	t = to("no.such.name.invalid", 80, false);
	open_one(&s, &t);
	turn_until_closed(&s, 15000);
	tap_ok(s.failure.kind == STREAM_NAME || s.failure.kind == STREAM_TIMEOUT,
		"no such name: %s", s.failure.text);
}

static void
test_timeout(void)
{
	struct far_end mute = {};
	struct stream_target t;
	struct seen s = {};

	far_start(&mute, NULL, far_serve_mute);
	t = to("127.0.0.1", mute.port, true);
	t.timeout_ns = 300 * NS_PER_MS;
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_TIMEOUT && strstr(s.failure.text, "TLS") != NULL,
		"no TLS answer in time: %s", s.failure.text);
	far_stop(&mute);
}

static void
test_overflow(void)
{
	static char much[STREAM_KEPT_MAX + 1];
	struct far_end says = { .says = much };
	struct stream_target t;
	struct seen s = { .take_from = SIZE_MAX };

	memset(much, 'x', sizeof(much) - 1);
	far_start(&says, NULL, far_serve_says);
	t = to("127.0.0.1", says.port, false);
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_int(s.failure.kind, STREAM_OVERFLOW, "who takes nothing hears of it");
	s = (struct seen){ .take_from = 100000 };
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_EOF && s.total >= 100000,
		"100,000 bytes are given in one piece");
	far_stop(&says);
}

/* --- TLS --- */

static struct far_ca ca, other_ca;

static const struct {
	const char *what;
	struct far_certificate certificate;
	enum stream_certificate_problem problem;
} certificates[] = {
	{ "right", { "IP:127.0.0.1", -1, 1, &ca, NULL }, STREAM_CERTIFICATE_FINE },
	{ "another CA", { "IP:127.0.0.1", -1, 1, &other_ca, NULL }, STREAM_CERTIFICATE_UNKNOWN_CA },
	{ "signed by itself", { "IP:127.0.0.1", -1, 1, NULL, NULL },
		STREAM_CERTIFICATE_UNKNOWN_CA },
	{ "another address", { "IP:127.0.0.2", -1, 1, &ca, NULL }, STREAM_CERTIFICATE_WRONG_NAME },
	{ "a name only", { "DNS:a.example", -1, 1, &ca, NULL }, STREAM_CERTIFICATE_WRONG_NAME },
	{ "expired", { "IP:127.0.0.1", -9, -1, &ca, NULL }, STREAM_CERTIFICATE_EXPIRED },
	{ "not yet valid", { "IP:127.0.0.1", 1, 9, &ca, NULL }, STREAM_CERTIFICATE_NOT_YET_VALID },
};

static void
test_certificates(void)
{
	for (size_t i = 0; i < sizeof(certificates) / sizeof(certificates[0]); i++) {
		enum stream_certificate_problem problem = certificates[i].problem;
		struct far_end echo = {};
		struct stream_target t;
		struct seen s = { .say = "hello" };

		far_start(&echo, &certificates[i].certificate, far_serve_echo);
		t = to("127.0.0.1", echo.port, true);
		open_one(&s, &t);
		turn_until_received(&s, 5, 3000);
		if (problem == STREAM_CERTIFICATE_FINE) {
			tap_ok(s.total == 5 && stream_is_tls13(s.stream), "certificate: right");
			stream_close(s.stream);
		} else {
			tap_ok(s.closed && !s.opened && s.failure.kind == STREAM_TLS_CERTIFICATE &&
					s.failure.certificate == problem,
				"certificate: %s: %s", certificates[i].what, s.text);
			tap_ok(problem < STREAM_CERTIFICATE_EXPIRED ||
					s.failure.valid_to_s - s.failure.valid_from_s == 8 * 86400,
				"with its time, if that is what is wrong");
		}
		s = (struct seen){ .say = "hello" };
		t.verify = STREAM_VERIFY_LOGGED;
		open_one(&s, &t);
		turn_until_received(&s, 5, 3000);
		tap_ok(s.total == 5, "which is accepted where it does not matter");
		stream_close(s.stream);
		far_stop(&echo);
	}
}

static void
test_names(void)
{
	const struct far_certificate c = { "DNS:relay.example", -1, 1, &ca, "derpkey0123" };
	struct far_end echo = {};
	char pin[80];
	struct stream_target t;
	struct seen s = { .say = "hello" };

	far_start(&echo, &c, far_serve_echo);
	t = to("127.0.0.1", echo.port, true);
	t.cert_name = "relay.example";
	open_one(&s, &t);
	turn_until_received(&s, 5, 3000);
	tap_int((long long)s.total, 5, "the certificate may be for another name, if that is said");
	tap_text(s.common_name, "derpkey0123", "the last certificate's name");
	tap_int(stream_last_serial(s.stream), 2, "its serial number");
	stream_close(s.stream);

	s = (struct seen){ .say = "hello" };
	snprintf(pin, sizeof(pin), "sha256-raw:%s", echo.digest);
	t.cert_name = pin;
	open_one(&s, &t);
	turn_until_received(&s, 5, 3000);
	tap_int((long long)s.total, 5, "a fingerprint");
	stream_close(s.stream);
	s = (struct seen){};
	pin[20] = pin[20] == '0' ? '1' : '0';
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_TLS_CERTIFICATE &&
			s.failure.certificate == STREAM_CERTIFICATE_OTHER,
		"another fingerprint: %s", s.text);
	s = (struct seen){};
	t.cert_name = "sha256-raw:12";
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_int(s.failure.kind, STREAM_TLS, "no fingerprint at all");
	far_stop(&echo);

	echo = (struct far_end){ .says = "HTTP/1.1 400 Bad Request\r\n\r\n" };
	far_start(&echo, NULL, far_serve_says);
	s = (struct seen){};
	t = to("127.0.0.1", echo.port, true);
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_TLS, "a server without TLS: %s", s.text);
	far_stop(&echo);
}

/* --- the proxy --- */

static void
set_proxy(uint16_t port, const char *credentials)
{
	char url[100];

	snprintf(url, sizeof(url), "http://%s127.0.0.1:%u", credentials, port);
	setenv("https_proxy", url, 1);
}

static void
test_proxy(void)
{
	const struct far_certificate c = { "DNS:inside.example", -1, 1, &ca, NULL };
	struct far_end echo = {}, proxy = { .says = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\n" };
	struct stream_target t;
	struct seen s = { .say = "hello" };

	far_start(&echo, &c, far_serve_echo);
	proxy.target = echo.port;
	far_start(&proxy, NULL, far_serve_proxy);
	set_proxy(proxy.port, "me:pa%20ss@");
	t = to("inside.example", 443, true);
	open_one(&s, &t);
	turn_until_received(&s, 5, 3000);
	tap_int((long long)s.total, 5, "through a proxy, whose answer comes in pieces");
	tap_ok(strstr(proxy.heard, "CONNECT inside.example:443 HTTP/1.1\r\n") == proxy.heard &&
			strstr(proxy.heard, "\r\nProxy-Authorization: Basic bWU6cGEgc3M=\r\n") !=
				NULL,
		"which was asked as it should be");
	stream_close(s.stream);
	far_stop(&proxy);

	proxy.says = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
	far_start(&proxy, NULL, far_serve_proxy);
	set_proxy(proxy.port, "");
	s = (struct seen){};
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_PROXY && strstr(s.text, "407") != NULL, "refused: %s",
		s.text);
	far_stop(&proxy);

	s = (struct seen){};
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_PROXY, "no proxy there: %s", s.text);
	setenv("https_proxy", "socks5://127.0.0.1:1080", 1);
	s = (struct seen){};
	open_one(&s, &t);
	turn_until_closed(&s, 3000);
	tap_ok(s.failure.kind == STREAM_PROXY, "another kind of proxy: %s", s.text);

	s = (struct seen){ .say = "hello" };
	t = to("127.0.0.1", echo.port, true);
	t.cert_name = "inside.example";
	t.direct = true;
	open_one(&s, &t);
	turn_until_received(&s, 5, 3000);
	tap_int((long long)s.total, 5, "nobody is asked where that is not wanted");
	stream_close(s.stream);
	unsetenv("https_proxy");
	far_stop(&echo);
}

int
main(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "HTTPS_PROXY",
		"all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY" };
	char path[] = "/tmp/stream_test_XXXXXX";
	struct trust *trust, *none = NULL;
	int fd = mkstemp(path);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	far_ca_create(&ca);
	far_ca_create(&other_ca);
	tap_ok(fd >= 0 && trust_create(path, &none) < 0 && none == NULL,
		"a file without certificates");
	far_ca_write(&ca, path);
	if (trust_create(path, &trust) != 0 || stream_set_create(trust, 0, &set) != 0)
		return 1;
	trust_unref(trust);
	unlink(path);
	tap_ok(trust_create("/nonexistent/ca", &none) == -ENOENT, "a file that is not there");

	test_plain();
	test_addresses();
	test_timeout();
	test_overflow();
	test_certificates();
	test_names();
	test_proxy();
	stream_set_destroy(set);
	return tap_done();
}
