/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The body of POST /machine/map.
 *
 * Source: ../shared/protocol/control.md 5.1 to 5.3.
 * Owner:  everything is borrowed for the call.
 */
#ifndef LIB_TAILNET_MAP_REQUEST_H
#define LIB_TAILNET_MAP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/net/addr.h"
#include "lib/tailnet/json_writer.h"
#include "lib/tailnet/own_hostinfo.h"
#include "lib/tailnet/tailkey.h"

enum endpoint_kind { /* numbers of the protocol */
	ENDPOINT_UNKNOWN = 0,
	ENDPOINT_LOCAL = 1,
	ENDPOINT_STUN = 2,
	ENDPOINT_PORT_MAPPED = 3,
	ENDPOINT_STUN4_LOCAL_PORT = 4, /* address by STUN, our own port: a guess at a hard NAT */
	ENDPOINT_EXPLICIT = 5,
};

struct own_endpoint {
	struct endpoint endpoint;
	enum endpoint_kind kind;
};

struct map_request {
	struct node_key node_key;
	struct disco_key disco_key;
	const struct own_hostinfo *hostinfo; /* all of it, each time: servers replace it */
	const struct own_endpoint *endpoints;
	size_t n_endpoints;
	bool stream;        /* the long poll; else an update, whose answer is of no use */
	bool omit_peers;    /* of an update */
	bool compress_zstd; /* each message of the answer is a zstd frame */
	const char *const *debug_flags;
	size_t n_debug_flags;
	const char *lock_head; /* NULL: no tailnet lock */
};

/* Write the request.  The text is w's: json_writer_finish(). */
void map_request_write(struct json_writer *w, const struct map_request *r);

#endif
