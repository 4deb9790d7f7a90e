/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/peer_api/answer.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/err.h"

#define BODY_LEN 6144 /* two escaped names and what is around them */

static_assert(2 * 5 * PEER_API_NAME_LEN + 512 <= BODY_LEN, "a page holds two names, escaped");
static_assert(BODY_LEN + 1024 <= ANSWER_MAX_LEN, "and an answer its headers and a page");

struct answer {
	unsigned status;
	const char *text; /* of a refusal, NULL: a page */
};

static const char *
status_text(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Unknown";
	}
}

static const struct answer *
answer_to_error(int error)
{
	static const struct answer bad = { 400, "400 Bad Request" };
	static const struct answer large = { 431, "431 Request Header Fields Too Large" };
	static const struct answer version = { 505, "505 HTTP Version Not Supported" };

	return error == -E2BIG ? &large : error == ERR_VERSION ? &version : &bad;
}

// "peer", or one of our addresses with a port.
static bool
is_host_ours(const char *host, const struct peer_api_question *q)
{
	struct endpoint e;

	if (strcmp(host, "peer") == 0)
		return true;
	if (endpoint_parse(host, &e) < 0)
		return false;
	for (size_t i = 0; i < q->n_own; i++)
		if (addr_equal(&e.addr, &q->own[i]))
			return true;
	return false;
}

// Paths that mean something elsewhere.  A path of ours that ends in a slash or says so stands for
// all that begin with it.
static const struct {
	const char *path;
	bool is_prefix;
	struct answer answer;
} refusals[] = {
	{ "/v0/put/", true, { 403, "Taildrop disabled; no storage directory" } },
	{ "/dns-query", true, { 403, "DNS access denied" } },
	{ "/v0/drive", true, { 404, "taildrive not enabled" } },
	{ "/v0/goroutines", false, { 403, "denied; no debug access" } },
	{ "/v0/env", false, { 403, "denied; no debug access" } },
	{ "/v0/metrics", false, { 403, "denied; no debug access" } },
	{ "/v0/magicsock", false, { 403, "denied; no debug access" } },
	{ "/v0/dnsfwd", false, { 403, "denied; no debug access" } },
	{ "/v0/interfaces", false, { 403, "denied; no debug access" } },
	{ "/v0/sockstats", false, { 403, "denied; no debug access" } },
	{ "/v0/doctor", false, { 403, "denied; no debug access" } },
	{ "/v0/wol", false, { 403, "no WoL access" } },
	{ "/v0/ingress", false, { 403, "denied; no ingress cap" } },
};

static const struct answer *
answer_to(const struct peer_api_request *r, const struct peer_api_question *q)
{
	static const struct answer invalid = { 403, "invalid peerapi request" };
	static const struct answer unsupported = { 404, "unsupported peerapi path" };
	static const struct answer no_dns = { 501, "DNS not wired up" };
	static const struct answer hello = { 200, NULL };

	if (r->has_referer || r->has_origin || !is_host_ours(r->host, q))
		return &invalid;
	if (strcmp(r->path, "/") == 0)
		return &hello;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const char *path = refusals[i].path;
		int order = refusals[i].is_prefix ? strncmp(r->path, path, strlen(path))
		                                  : strcmp(r->path, path);

		if (order == 0 && strcmp(path, "/dns-query") == 0 && q->caller->is_self)
			return &no_dns; // our own user would be allowed to
		if (order == 0)
			return &refusals[i].answer;
	}
	return &unsupported;
}

// Append text with what HTML would take as markup replaced; the room is there.
static size_t
append_escaped(char *out, const char *text)
{
	size_t at = 0;

	for (; *text != '\0'; text++)
		if (*text == '<' || *text == '>' || *text == '&' || *text == '"' || *text == '\'')
			at += (size_t)sprintf(out + at, "&#%d;", *text);
		else
			out[at++] = *text;
	out[at] = '\0';
	return at;
}

static size_t
write_hello(char out[static BODY_LEN], const struct peer_api_question *q)
{
	char source[ADDR_TEXT_LEN];
	size_t at = (size_t)sprintf(out,
		"<html>\n<meta name=\"viewport\" content=\"width=device-width, "
		"initial-scale=1\">\n<body>\n<h1>Hello, ");

	at += append_escaped(out + at, q->caller->user);
	at += (size_t)sprintf(out + at, " (%s)</h1>\nThis is a Sluice gateway. Your device is ",
		addr_format(&q->source, source));
	at += append_escaped(out + at, q->caller->node);
	at += (size_t)sprintf(out + at, ".\n");
	if (q->caller->is_self)
		at += (size_t)sprintf(out + at, "<p>You are the owner of this node.\n");
	return at;
}

static size_t
write_date(char *out, size_t size, int64_t now_s)
{
	time_t t = (time_t)now_s;
	struct tm tm;

	if (now_s <= 0 || gmtime_r(&t, &tm) == NULL)
		return 0;
	return strftime(out, size, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

size_t
peer_api_answer_write(char out[static ANSWER_MAX_LEN],
	int error,
	const struct peer_api_request *request,
	const struct peer_api_question *question)
{
	const struct answer *a = error == 0 ? answer_to(request, question) : answer_to_error(error);
	bool is_browser = error == 0 && request->is_browser;
	bool is_head = error == 0 && strcmp(request->method, "HEAD") == 0;
	char body[BODY_LEN];
	size_t at, len = a->text == NULL ? write_hello(body, question)
	                                 : (size_t)sprintf(body, "%s\n", a->text);

	at = (size_t)sprintf(out, "HTTP/1.1 %u %s\r\n", a->status, status_text(a->status));
	at += write_date(out + at, 64, question->now_s);
	if (is_browser)
		at += (size_t)sprintf(out + at,
			"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; "
			"script-src 'none'; script-src-elem 'none'; script-src-attr 'none'\r\n"
			"X-Frame-Options: DENY\r\n");
	at += (size_t)sprintf(out + at,
		"Content-Type: text/%s; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n",
		a->text == NULL ? "html" : "plain", len);
	if (is_head)
		return at;
	memcpy(out + at, body, len);
	return at + len;
}
