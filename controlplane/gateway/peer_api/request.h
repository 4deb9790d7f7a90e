/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The head of an HTTP/1 request, as far as the PeerAPI needs it.
 *
 * Source: RFC 9112 sections 2 to 5; ../shared/protocol/peer.md 6.2.
 * Owner:  texts are copies in the structure.  Thread: any; no hidden state.
 *
 * Each connection serves one request, whose body is not read: what frames a body is not looked at.
 */
#ifndef CONTROLPLANE_GATEWAY_PEER_API_REQUEST_H
#define CONTROLPLANE_GATEWAY_PEER_API_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_HEAD_MAX_LEN 8192
#define REQUEST_METHOD_LEN   24 /* with its zero, as the others */
#define REQUEST_PATH_LEN     1024
#define REQUEST_HOST_LEN     256

struct peer_api_request {
	char method[REQUEST_METHOD_LEN];
	char path[REQUEST_PATH_LEN]; /* without query, percent signs resolved; no zero byte in it */
	char host[REQUEST_HOST_LEN]; /* of the target, or of the Host header; "": none */
	bool has_referer, has_origin;
	bool is_browser; /* it looks like one */
};

/*
 * Read a head: all up to and with the empty line.
 * 0, or
 *   ERR_TRUNCATED  it has not come whole;
 *   -E2BIG         it is longer than REQUEST_HEAD_MAX_LEN, or a part than its room;
 *   ERR_VERSION    of another HTTP than 1.0 and 1.1;
 *   ERR_BAD_FORMAT no HTTP.
 */
[[nodiscard]] int
peer_api_request_read(const char *data, size_t len, struct peer_api_request *ret_request);

#endif
