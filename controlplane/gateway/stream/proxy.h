/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The proxy that the environment names, and what is said to it.
 *
 * Source: curl(1), "ENVIRONMENT": https_proxy and HTTPS_PROXY for TLS, http_proxy (lower case only)
 *         for the rest, all_proxy, no_proxy; RFC 9110 9.3.6; RFC 7617.
 * Owner:  texts are copied.  Thread: any; proxy_choose() reads what it is given.
 */
#ifndef CONTROLPLANE_GATEWAY_STREAM_PROXY_H
#define CONTROLPLANE_GATEWAY_STREAM_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_HOST_LEN        254
#define PROXY_CREDENTIALS_LEN 256  /* of "user:password" */
#define PROXY_REQUEST_MAX_LEN 1536 /* more than the longest request */

struct proxy {
	char host[PROXY_HOST_LEN];
	uint16_t port;
	char credentials[PROXY_CREDENTIALS_LEN]; /* secret; "": none */
};

/* What getenv() does; tests give another. */
typedef const char *(*proxy_getenv)(const char *name);

/*
 * Which proxy is to be asked for a connection with host.
 * 0: ret_proxy; -ENOENT: none, connect directly; ERR_BAD_FORMAT: what is named is no HTTP proxy.
 */
[[nodiscard]] int
proxy_choose(proxy_getenv get, const char *host, bool tls, struct proxy *ret_proxy);

/* Write the CONNECT request; returns its length.  The text is secret if there are credentials. */
size_t proxy_request_write(char out[static PROXY_REQUEST_MAX_LEN],
	const struct proxy *proxy,
	const char *host,
	uint16_t port);

#endif
