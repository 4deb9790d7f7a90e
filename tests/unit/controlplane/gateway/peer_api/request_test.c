/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests to the PeerAPI and what they are answered with; ports that are tried.
 */

#include "controlplane/gateway/peer_api/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/peer_api/answer.h"
#include "controlplane/gateway/peer_api/port.h"
#include "lib/base/err.h"
#include "tests/lib/tap.h"

#define OURS "Host: 100.64.0.1:58436\r\n"

// ---------- ports ----------

static void
test_ports(void)
{
	static const struct {
		const char *address;
		uint16_t ports[PEER_API_PORT_TRIES];
	} rows[] = {
		// ../shared/protocol/peer.md Appendix C
		{ "100.64.0.1", { 58436, 36467, 45098, 55837, 52376 } },
		{ "100.101.102.103", { 59395, 54874, 48237, 64336, 37223 } },
	};
	struct addr a, last = { .family = ADDR_V4, .bytes = { 100, 64, 0, 1 } };

	for (size_t i = 0; i < 2; i++)
		for (unsigned k = 0; k < PEER_API_PORT_TRIES; k++)
			tap_ok(addr_parse(rows[i].address, &a) == 0 &&
					peer_api_port_of(&a, k) == rows[i].ports[k],
				"%s, attempt %u", rows[i].address, k);
	tap_ok(addr_parse("fd7a:115c:a1e0::b740:1", &a) == 0 && peer_api_port_of(&a, 0) > 0x7fff,
		"an IPv6 address");
	last.bytes[1] = 255;
	tap_ok(peer_api_port_of(&last, 1) != peer_api_port_of(&last, 0), "a byte that overflows");
}

// ---------- requests ----------

static const struct {
	const char *what;
	const char *text;
	int err;
	const char *method, *path, *host;
} heads[] = {
	{ "the usual", "HEAD / HTTP/1.1\r\nHost: 100.64.0.1:5\r\nUser-Agent: Go\r\n\r\n", 0, "HEAD",
		"/", "100.64.0.1:5" },
	{ "bare line feeds", "GET /a HTTP/1.0\nhOsT:  peer \t\n\n", 0, "GET", "/a", "peer" },
	{ "an empty line first", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, "GET", "/", "x" },
	{ "no header at all", "GET / HTTP/1.0\r\n\r\n", 0, "GET", "/", "" },
	{ "a query", "GET /dns-query?dns=AAA HTTP/1.1\r\n\r\n", 0, "GET", "/dns-query", "" },
	{ "percent signs", "GET /%76%30/put/a%2Fb HTTP/1.1\r\n\r\n", 0, "GET", "/v0/put/a/b", "" },
	{ "an absolute target", "GET http://peer/x?y HTTP/1.1\r\nHost: other\r\n\r\n", 0, "GET",
		"/x", "peer" },
	{ "one without a path", "GET http://peer HTTP/1.1\r\n\r\n", 0, "GET", "/", "peer" },
	{ "a body behind", "PUT /v0/put/x HTTP/1.1\r\nHost: peer\r\n\r\nbody", 0, "PUT",
		"/v0/put/x", "peer" },
	{ "not all of it", "GET / HTTP/1.1\r\nHost: x\r\n", ERR_TRUNCATED, NULL, NULL, NULL },
	{ "nothing", "", ERR_TRUNCATED, NULL, NULL, NULL },
	{ "HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ERR_VERSION, NULL, NULL, NULL },
	{ "no version", "GET /\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL, NULL },
	{ "no HTTP", "\x16\x03\x01 a b\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL, NULL },
	{ "no method", " / HTTP/1.1\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL, NULL },
	{ "a header that goes on", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", ERR_BAD_FORMAT, NULL,
		NULL, NULL },
	{ "a blank before a colon", "GET / HTTP/1.1\r\nHost : b\r\n\r\n", ERR_BAD_FORMAT, NULL,
		NULL, NULL },
	{ "no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL, NULL },
	{ "a control character", "GET / HTTP/1.1\r\nA: \x01\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL,
		NULL },
	{ "two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL,
		NULL },
	{ "a percent sign cut", "GET /%4 HTTP/1.1\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL, NULL },
	{ "a zero byte", "GET /%00 HTTP/1.1\r\n\r\n", ERR_BAD_FORMAT, NULL, NULL, NULL },
};

static void
test_heads(void)
{
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct peer_api_request r;
		int err = peer_api_request_read(heads[i].text, strlen(heads[i].text), &r);

		tap_int(err, heads[i].err, heads[i].what);
		if (err != 0 || heads[i].err != 0)
			continue;
		tap_text(r.method, heads[i].method, heads[i].what);
		tap_text(r.path, heads[i].path, heads[i].what);
		tap_text(r.host, heads[i].host, heads[i].what);
	}
}

static void
test_long(void)
{
	static char text[20000];
	struct peer_api_request r;
	size_t n = (size_t)sprintf(text, "GET /");

	memset(text + n, 'x', 2000);
	strcpy(text + n + 2000, " HTTP/1.1\r\n\r\n");
	tap_int(peer_api_request_read(text, strlen(text), &r), -E2BIG, "a long path");
	n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nA: ");
	memset(text + n, 'x', sizeof(text) - n);
	tap_int(peer_api_request_read(text, REQUEST_HEAD_MAX_LEN - 1, &r), ERR_TRUNCATED,
		"a head that may yet end");
	tap_int(peer_api_request_read(text, REQUEST_HEAD_MAX_LEN, &r), -E2BIG, "one that may not");
	strcpy(text + 10000, "\r\n\r\n");
	tap_int(peer_api_request_read(text, sizeof(text), &r), -E2BIG, "one that ends too late");
}

// ---------- answers ----------

static const struct {
	const char *what;
	const char *text;
	bool is_self;
	const char *status, *body; /* how they begin */
} answers[] = {
	{ "a ping", "HEAD / HTTP/1.1\r\n" OURS "\r\n", false, "200 OK", "" },
	{ "hello", "GET / HTTP/1.1\r\n" OURS "\r\n", false, "200 OK", "<html>" },
	{ "by IPv6", "GET / HTTP/1.1\r\nHost: [fd7a:115c:a1e0::1]:33000\r\n\r\n", false, "200 OK",
		"<html>" },
	{ "as peer", "GET / HTTP/1.1\r\nHost: peer\r\n\r\n", false, "200 OK", "<html>" },
	{ "another's address", "GET / HTTP/1.1\r\nHost: 100.64.0.2:5\r\n\r\n", false,
		"403 Forbidden", "invalid peerapi request\n" },
	{ "a name", "GET / HTTP/1.1\r\nHost: gw.example:5\r\n\r\n", false, "403 Forbidden",
		"invalid peerapi request\n" },
	{ "no port", "GET / HTTP/1.1\r\nHost: 100.64.0.1\r\n\r\n", false, "403 Forbidden",
		"invalid peerapi request\n" },
	{ "no host", "GET / HTTP/1.1\r\n\r\n", false, "403 Forbidden",
		"invalid peerapi request\n" },
	{ "a page's link", "GET / HTTP/1.1\r\n" OURS "Referer: http://x/\r\n\r\n", false,
		"403 Forbidden", "invalid peerapi request\n" },
	{ "a page's script", "GET / HTTP/1.1\r\n" OURS "Origin: null\r\n\r\n", false,
		"403 Forbidden", "invalid peerapi request\n" },
	{ "Taildrop", "PUT /v0/put/x HTTP/1.1\r\n" OURS "\r\n", true, "403 Forbidden",
		"Taildrop disabled; no storage directory\n" },
	{ "DNS", "GET /dns-query?dns=A HTTP/1.1\r\n" OURS "\r\n", false, "403 Forbidden",
		"DNS access denied\n" },
	{ "DNS of our user", "GET /dns-query HTTP/1.1\r\n" OURS "\r\n", true, "501 Not Implemented",
		"DNS not wired up\n" },
	{ "debugging", "GET /v0/goroutines HTTP/1.1\r\n" OURS "\r\n", true, "403 Forbidden",
		"denied; no debug access\n" },
	{ "waking others", "POST /v0/wol HTTP/1.1\r\n" OURS "\r\n", false, "403 Forbidden",
		"no WoL access\n" },
	{ "funnel", "POST /v0/ingress HTTP/1.1\r\n" OURS "\r\n", false, "403 Forbidden",
		"denied; no ingress cap\n" },
	{ "drive", "PROPFIND /v0/drive/x HTTP/1.1\r\n" OURS "\r\n", false, "404 Not Found",
		"taildrive not enabled\n" },
	{ "anything else", "GET /v0/wol/x HTTP/1.1\r\n" OURS "\r\n", false, "404 Not Found",
		"unsupported peerapi path\n" },
	{ "no HTTP", "hello\r\n\r\n", false, "400 Bad Request", "400 Bad Request\n" },
	{ "HTTP/2", "PRI * HTTP/2.0\r\n\r\n", false, "505 HTTP Version", "505" },
};

static struct peer_api_question
question_of(const struct peer_api_caller *caller, struct addr own[static 2])
{
	struct peer_api_question q = {
		.caller = caller, .own = own, .n_own = 2, .now_s = 1700000000
	};

	tap_ok(addr_parse("100.64.0.1", &own[0]) == 0 &&
			addr_parse("fd7a:115c:a1e0::1", &own[1]) == 0 &&
			addr_parse("100.64.0.9", &q.source) == 0,
		"addresses of this test");
	return q;
}

static void
test_answers(void)
{
	struct peer_api_caller caller = { .node = "alice.example.", .user = "Alice" };
	struct addr own[2];
	struct peer_api_question q = question_of(&caller, own);

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		char out[ANSWER_MAX_LEN + 1];
		struct peer_api_request r;
		int err = peer_api_request_read(answers[i].text, strlen(answers[i].text), &r);
		const char *body;

		caller.is_self = answers[i].is_self;
		out[peer_api_answer_write(out, err, &r, &q)] = '\0';
		body = strstr(out, "\r\n\r\n");
		tap_ok(strncmp(out, "HTTP/1.1 ", 9) == 0 &&
				strncmp(out + 9, answers[i].status, strlen(answers[i].status)) == 0,
			"%s: %.20s", answers[i].what, out);
		tap_ok(body != NULL &&
				strncmp(body + 4, answers[i].body, strlen(answers[i].body)) == 0 &&
				(answers[i].body[0] != '\0') == (body[4] != '\0'),
			"%s: body", answers[i].what);
		tap_ok(strstr(out, "\r\nConnection: close\r\n") != NULL &&
				strstr(out, "\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n") !=
					NULL &&
				strstr(out, "\r\nX-Content-Type-Options: nosniff\r\n") != NULL,
			"%s: headers", answers[i].what);
	}
}

static void
test_names(void)
{
	struct peer_api_caller caller = {};
	struct addr own[2];
	struct peer_api_question q = question_of(&caller, own);
	char out[ANSWER_MAX_LEN + 1];
	struct peer_api_request r = { .method = "GET", .path = "/", .host = "peer" };
	size_t len;

	memset(caller.user, '<', sizeof(caller.user) - 1);
	memset(caller.node, '"', sizeof(caller.node) - 1);
	len = peer_api_answer_write(out, 0, &r, &q);
	out[len] = '\0';
	tap_ok(strstr(out, "&#60;&#60;") != NULL && strstr(out, "<<") == NULL &&
			strstr(out, "&#34;&#34;.") != NULL,
		"names of any length are no markup");
	tap_ok(strstr(out, "X-Frame-Options") == NULL, "a daemon is told nothing about frames");
	r.is_browser = true;
	out[peer_api_answer_write(out, 0, &r, &q)] = '\0';
	tap_ok(strstr(out, "\r\nX-Frame-Options: DENY\r\n") != NULL &&
			strstr(out, "\r\nContent-Security-Policy: ") != NULL,
		"a browser is");
}

static void
test_browsers(void)
{
	static const struct {
		const char *header;
		bool is_browser;
	} rows[] = {
		{ "User-Agent: Go-http-client/1.1", false },
		{ "User-Agent: Mozilla/5.0", true },
		{ "User-Agent: a b c", false },
		{ "User-Agent: a b c d", true },
		{ "Accept-Language: de", true },
		{ "Accept-Encoding: gzip", false },
		{ "Accept-Encoding: gzip, deflate", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer_api_request r = {};
		char text[256];

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n\r\n", rows[i].header);
		tap_ok(peer_api_request_read(text, strlen(text), &r) == 0 &&
				r.is_browser == rows[i].is_browser,
			"%s: %s", rows[i].header, rows[i].is_browser ? "a browser" : "none");
	}
}

int
main(void)
{
	test_ports();
	test_heads();
	test_long();
	test_answers();
	test_names();
	test_browsers();
	return tap_done();
}
