/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/server_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"

// Returns what is behind "http://" or "https://", or NULL.
static const char *
skip_scheme(const char *text, struct server_url *url)
{
	url->tls = strncasecmp(text, "https://", 8) == 0;
	if (url->tls)
		return text + 8;
	return strncasecmp(text, "http://", 7) == 0 ? text + 7 : NULL;
}

static bool
is_host_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

static int
take_host(const char **at, struct server_url *url)
{
	bool bracket = **at == '[';
	const char *host = *at + bracket;
	size_t len = bracket ? strspn(host, "0123456789abcdefABCDEF:.") : 0;

	while (!bracket && is_host_character(host[len]))
		len++;
	if (len == 0 || len >= sizeof(url->host) || (bracket && host[len] != ']'))
		return ERR_BAD_FORMAT;
	memcpy(url->host, host, len);
	url->host[len] = '\0';
	*at = host + len + bracket;
	return 0;
}

static int
take_port(const char **at, struct server_url *url)
{
	uint32_t port = 0;
	const char *p = *at;

	url->port = url->tls ? 443 : 80;
	if (*p != ':')
		return 0;
	for (p++; *p >= '0' && *p <= '9' && port <= 65535; p++)
		port = port * 10 + (uint32_t)(*p - '0');
	if (port == 0 || port > 65535)
		return ERR_BAD_FORMAT;
	url->port = (uint16_t)port;
	*at = p;
	return 0;
}

static int
take_path(const char *at, struct server_url *url)
{
	size_t len = strcspn(at, "#"), slash = *at != '/';

	if (len > 0 && *at != '/' && *at != '?')
		return ERR_BAD_FORMAT;
	if (len + slash >= sizeof(url->path))
		return ERR_BAD_FORMAT;
	for (size_t i = 0; i < len; i++)
		if (at[i] <= ' ' || at[i] == 0x7f || at[i] < 0)
			return ERR_BAD_FORMAT;
	url->path[0] = '/';
	memcpy(url->path + slash, at, len);
	url->path[len + slash] = '\0';
	return 0;
}

int
server_url_parse(const char *text, struct server_url *ret_url)
{
	struct server_url url = {};
	const char *at = skip_scheme(text, &url);
	int err;

	if (at == NULL)
		return ERR_BAD_FORMAT;
	err = take_host(&at, &url);
	if (err == 0)
		err = take_port(&at, &url);
	if (err == 0)
		err = take_path(at, &url);
	if (err == 0)
		*ret_url = url;
	return err;
}

char *
server_url_authority(const struct server_url *url,
	bool always_port,
	char text[static URL_AUTHORITY_LEN])
{
	bool v6 = strchr(url->host, ':') != NULL;
	const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";

	if (always_port || url->port != (url->tls ? 443 : 80))
		snprintf(text, URL_AUTHORITY_LEN, "%s%s%s:%u", open, url->host, close, url->port);
	else
		snprintf(text, URL_AUTHORITY_LEN, "%s%s%s", open, url->host, close);
	return text;
}
