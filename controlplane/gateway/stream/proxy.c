/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/net/addr.h"

static const char *
first_set(proxy_getenv get, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = get(names[i]);

		if (value != NULL && value[0] != '\0')
			return value;
	}
	return NULL;
}

static bool
is_in_domain(const char *host, const char *domain, size_t len)
{
	size_t host_len = strlen(host);

	if (len > 0 && domain[0] == '.') {
		domain++;
		len--;
	}
	if (len == 0 || host_len < len)
		return false;
	return strncasecmp(host + host_len - len, domain, len) == 0 &&
	       (host_len == len || host[host_len - len - 1] == '.');
}

static bool
is_in_prefix(const char *host, const char *item, size_t len)
{
	char text[ADDR_TEXT_LEN];
	struct prefix prefix;
	struct addr address;

	if (len >= sizeof(text) || addr_parse(host, &address) != 0)
		return false;
	memcpy(text, item, len);
	text[len] = '\0';
	return prefix_parse(text, &prefix) == 0 && prefix_contains(&prefix, &address);
}

static bool
is_exempt(const char *list, const char *host)
{
	while (*list != '\0') {
		size_t len = strcspn(list, ", ");

		if (len == 1 && list[0] == '*')
			return true;
		if (len > 0 && (is_in_domain(host, list, len) || is_in_prefix(host, list, len)))
			return true;
		list += len + (list[len] != '\0');
	}
	return false;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

// "user:p%40ss" of a URL.
static int
take_credentials(struct proxy *p, const char *text, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
			hex_digit(text[i + 2]) >= 0) {
			c = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
			i += 2;
		}
		if (out + 1 >= sizeof(p->credentials) || c == '\0')
			return ERR_BAD_FORMAT;
		p->credentials[out++] = c;
	}
	p->credentials[out] = '\0';
	return 0;
}

static int
take_port(struct proxy *p, const char *text)
{
	char *end;
	unsigned long port;

	if (*text == '\0' || *text == '/')
		return 0;
	if (*text != ':')
		return ERR_BAD_FORMAT;
	port = strtoul(text + 1, &end, 10);
	if (port == 0 || port > 65535 || (*end != '\0' && *end != '/'))
		return ERR_BAD_FORMAT;
	p->port = (uint16_t)port;
	return 0;
}

static int
take_host(struct proxy *p, const char *text)
{
	size_t len = text[0] == '[' ? strcspn(text, "]") : strcspn(text, ":/");
	const char *rest = text + len;

	if (text[0] == '[') {
		if (*rest != ']')
			return ERR_BAD_FORMAT;
		rest++;
		text++;
		len--;
	}
	if (len == 0 || len >= sizeof(p->host))
		return ERR_BAD_FORMAT;
	memcpy(p->host, text, len);
	p->host[len] = '\0';
	return take_port(p, rest);
}

// "http://user:password@host:port/", of which only the host is needed.
static int
proxy_parse(const char *url, struct proxy *ret)
{
	struct proxy p = { .port = 1080 }; // curl's choice where no port is said
	const char *scheme = strstr(url, "://"), *at;
	int err = 0;

	if (scheme != NULL) {
		if (strncasecmp(url, "http://", 7) != 0)
			return ERR_BAD_FORMAT;
		url = scheme + 3;
	}
	at = strrchr(url, '@');
	if (at != NULL) {
		err = take_credentials(&p, url, (size_t)(at - url));
		url = at + 1;
	}
	if (err == 0)
		err = take_host(&p, url);
	if (err == 0)
		*ret = p;
	secret_wipe(p.credentials, sizeof(p.credentials));
	return err;
}

int
proxy_choose(proxy_getenv get, const char *host, bool tls, struct proxy *ret_proxy)
{
	static const char *const for_tls[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
		"ALL_PROXY" };
	static const char *const plain[] = { "http_proxy", "all_proxy", "ALL_PROXY" };
	static const char *const exempt[] = { "no_proxy", "NO_PROXY" };
	const char *url = tls ? first_set(get, for_tls, 4) : first_set(get, plain, 3);
	const char *no = first_set(get, exempt, 2);

	if (url == NULL || (no != NULL && is_exempt(no, host)))
		return -ENOENT;
	return proxy_parse(url, ret_proxy);
}

static void
base64(const char *text, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = (const uint8_t *)text;
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)in[i] << 16;

		if (i + 1 < len)
			v |= (unsigned)in[i + 1] << 8;
		if (i + 2 < len)
			v |= in[i + 2];
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*out = '\0';
}

size_t
proxy_request_write(char out[static PROXY_REQUEST_MAX_LEN],
	const struct proxy *proxy,
	const char *host,
	uint16_t port)
{
	bool v6 = strchr(host, ':') != NULL;
	char credentials[PROXY_CREDENTIALS_LEN * 4 / 3 + 8] = "";
	char target[PROXY_HOST_LEN + 16];
	int len;

	snprintf(target, sizeof(target), "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
	len = snprintf(out, PROXY_REQUEST_MAX_LEN,
		"CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice\r\n", target, target);
	if (proxy->credentials[0] != '\0') {
		base64(proxy->credentials, credentials);
		len += snprintf(out + len, PROXY_REQUEST_MAX_LEN - (size_t)len,
			"Proxy-Authorization: Basic %s\r\n", credentials);
		secret_wipe(credentials, sizeof(credentials));
	}
	len += snprintf(out + len, PROXY_REQUEST_MAX_LEN - (size_t)len, "\r\n");
	return (size_t)len;
}
