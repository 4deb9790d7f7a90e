/* SPDX-License-Identifier: BSD-3-Clause
 *
 * http and https URLs: the server's own, and those that it tells us to answer.
 *
 * Source: RFC 3986, as far as RFC 9110 4.2 uses it; ../shared/protocol/control.md 2.
 * Owner:  the caller; texts are copied.  Thread: any.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_SERVER_URL_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_SERVER_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_HOST_LEN      254
#define URL_AUTHORITY_LEN (URL_HOST_LEN + 9) /* brackets, colon, port, zero */
#define URL_PATH_LEN      1024

struct server_url {
	bool tls;
	uint16_t port;           /* the scheme's where none is said */
	char host[URL_HOST_LEN]; /* without brackets */
	char path[URL_PATH_LEN]; /* with query, without fragment; begins with '/' */
};

/* 0, or ERR_BAD_FORMAT: no such URL, user and password in it, or characters that need escapes. */
[[nodiscard]] int server_url_parse(const char *text, struct server_url *ret_url);

/* "host:port", with brackets where needed; always_port: also the scheme's own.  Returns `text`. */
char *server_url_authority(const struct server_url *url,
	bool always_port,
	char text[static URL_AUTHORITY_LEN]);

#endif
