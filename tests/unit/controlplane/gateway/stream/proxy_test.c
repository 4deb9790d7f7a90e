/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/proxy.h"

#include <errno.h>
#include <string.h>

#include "lib/base/err.h"
#include "tests/lib/tap.h"

static const char *variables[8]; // name, value, ...

static const char *
look(const char *name)
{
	for (size_t i = 0; i + 1 < 8 && variables[i] != NULL; i += 2)
		if (strcmp(variables[i], name) == 0)
			return variables[i + 1];
	return NULL;
}

static const struct {
	const char *what, *name, *value, *no, *host;
	bool tls;
	int err;
	const char *proxy;
	uint16_t port;
} choices[] = {
	{ "none", "x", "y", "", "a.example", true, -ENOENT, NULL, 0 },
	{ "https_proxy", "https_proxy", "http://p:3128", "", "a.example", true, 0, "p", 3128 },
	{ "HTTPS_PROXY", "HTTPS_PROXY", "http://p:3128/", "", "a.example", true, 0, "p", 3128 },
	{ "not for plain", "https_proxy", "http://p:3128", "", "a.example", false, -ENOENT, NULL,
		0 },
	{ "http_proxy", "http_proxy", "p:8080", "", "a.example", false, 0, "p", 8080 },
	{ "HTTP_PROXY comes from web servers", "HTTP_PROXY", "p:8080", "", "a.example", false,
		-ENOENT, NULL, 0 },
	{ "ALL_PROXY", "ALL_PROXY", "p", "", "a.example", true, 0, "p", 1080 },
	{ "an IPv6 address", "https_proxy", "http://[2001:db8::1]:3128", "", "a", true, 0,
		"2001:db8::1", 3128 },
	{ "user and password", "https_proxy", "http://u:p@h:1", "", "a", true, 0, "h", 1 },
	{ "socks", "https_proxy", "socks5://p", "", "a", true, ERR_BAD_FORMAT, NULL, 0 },
	{ "a port that is none", "https_proxy", "http://p:x", "", "a", true, ERR_BAD_FORMAT, NULL,
		0 },
	{ "a port beyond all", "https_proxy", "http://p:65536", "", "a", true, ERR_BAD_FORMAT, NULL,
		0 },
	{ "exempt: all", "https_proxy", "p:1", "*", "a.example", true, -ENOENT, NULL, 0 },
	{ "exempt: a domain", "https_proxy", "p:1", "b.org, example", "a.example", true, -ENOENT,
		NULL, 0 },
	{ "exempt: a domain with dot", "https_proxy", "p:1", ".example", "a.example", true, -ENOENT,
		NULL, 0 },
	{ "not exempt: half a label", "https_proxy", "p:1", "ample", "a.example", true, 0, "p", 1 },
	{ "exempt: an address", "https_proxy", "p:1", "10.0.0.1", "10.0.0.1", true, -ENOENT, NULL,
		0 },
	{ "exempt: a prefix", "https_proxy", "p:1", "10.0.0.0/8", "10.9.8.7", true, -ENOENT, NULL,
		0 },
	{ "not exempt: another", "https_proxy", "p:1", "10.0.0.0/8", "11.9.8.7", true, 0, "p", 1 },
};

int
main(void)
{
	struct proxy p = { .host = "h", .port = 1, .credentials = "user:pass" };
	char request[PROXY_REQUEST_MAX_LEN];
	size_t len;

	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		struct proxy chosen = {};
		int err;

		variables[0] = choices[i].name;
		variables[1] = choices[i].value;
		variables[2] = "no_proxy";
		variables[3] = choices[i].no;
		err = proxy_choose(look, choices[i].host, choices[i].tls, &chosen);
		tap_ok(err == choices[i].err &&
				(err < 0 || (strcmp(chosen.host, choices[i].proxy) == 0 &&
						    chosen.port == choices[i].port)),
			"%s", choices[i].what);
	}
	len = proxy_request_write(request, &p, "2001:db8::7", 443);
	tap_ok(len == strlen(request) &&
			strstr(request, "CONNECT [2001:db8::7]:443 HTTP/1.1\r\n") == request &&
			strstr(request, "\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n") !=
				NULL &&
			strcmp(request + len - 4, "\r\n\r\n") == 0,
		"the request");
	return tap_done();
}
