/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a connection with a relay begins: an HTTP request, its answer, and frames from then on; or,
 * with fast start, frames at once in both directions.
 *
 * Source: ../shared/protocol/peer.md 4.1; vectors/derp.json, "http"; RFC 9110 section 7.8 and RFC
 *         9112 for the syntax.
 * Owner:  texts are the caller's; answers are borrowed from the bytes read.
 *
 * Fast start needs the server's key before the first byte: the server's last certificate tells it
 * (derp_meta_name_read()).  It may be used with TLS 1.3 only, where nobody on the way can change
 * certificates.  The server then sends no answer at all, and its SERVER_KEY message is skipped.
 */
#ifndef LIB_DERP_UPGRADE_H
#define LIB_DERP_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"

#define DERP_FAST_START_HEADER "Derp-Fast-Start: 1\r\n"
#define DERP_HOST_MAX_LEN      253 /* of a host name (RFC 1035 section 2.3.4), port apart */
#define DERP_NODE_NAME_MAX_LEN 255
#define DERP_REQUEST_MAX_LEN   1024 /* more than the longest request */
#define DERP_RESPONSE_LEN      256  /* more than the server's answer */
#define DERP_HEAD_LIMIT        4096 /* bytes of an answer's head that we are willing to read */
#define DERP_META_NAME_LEN     71   /* "derpkey" and 64 digits */

struct derp_upgrade_request {
	const char *host;       /* as in the DERP map, with ":port" or without */
	const char *ideal_node; /* its region's first node, if we connect to another; or NULL */
	bool fast_start;        /* the CLIENT_INFO frame follows in the same flight */
};

/*
 * Write the request, without a terminating zero.  0 and its length; or ERR_BAD_FORMAT for names
 * that are empty, too long or hold anything but visible ASCII: they come from outside.
 */
[[nodiscard]] int derp_upgrade_request_write(char out[static DERP_REQUEST_MAX_LEN],
	const struct derp_upgrade_request *request,
	size_t *ret_len);

/* Write the server's answer to a request without fast start.  Returns its length. */
size_t derp_upgrade_response_write(char out[static DERP_RESPONSE_LEN],
	const struct public_key *server);

/*
 * Look at what has come of an answer.
 * 0, its status and the length of its head.  Only after status 101 frames begin behind it; other
 * headers are not looked at, as the reference does: what follows must be a SERVER_KEY.  Or
 *   ERR_TRUNCATED  the head has not come whole: read on;
 *   ERR_BAD_FORMAT no HTTP/1.x, or a head of more than DERP_HEAD_LIMIT bytes.
 */
[[nodiscard]] int derp_upgrade_response_read(const char *data,
	size_t len,
	unsigned *ret_status,
	size_t *ret_head_len);

/*
 * The server's key out of the subject's common name of its last certificate.  That certificate's
 * serial number must be DERP_VERSION.  0, or ERR_BAD_FORMAT: it is an ordinary certificate.
 */
[[nodiscard]] int derp_meta_name_read(const char *name, size_t len, struct public_key *ret_server);

#endif
