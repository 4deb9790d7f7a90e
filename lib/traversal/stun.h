/* SPDX-License-Identifier: BSD-3-Clause
 *
 * STUN binding: from which address and port does the other side see us?
 *
 * Source: RFC 8489 sections 5, 6, 14.1, 14.2, 14.7, 14.14; ../shared/protocol/peer.md 5.1;
 *         vectors/stun.json.
 * Thread: any; no hidden state.
 */
#ifndef LIB_TRAVERSAL_STUN_H
#define LIB_TRAVERSAL_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"

#define STUN_TXID_LEN         12
#define STUN_REQUEST_LEN      40   /* of ours, and of a tailnet client's */
#define STUN_RESPONSE_MAX_LEN 44   /* of ours: 32 for IPv4 */
#define STUN_REQUEST_MAX_LEN  1280 /* that we look at: a longer one is no client's */

struct stun_txid { /* random: a response is known by it */
	uint8_t bytes[STUN_TXID_LEN];
};

/* Whether it has a header of STUN: length, two zero bits, cookie.  The type may be any. */
bool stun_is_message(const uint8_t *data, size_t len);

void stun_request_write(uint8_t out[static STUN_REQUEST_LEN], const struct stun_txid *txid);

/*
 * Read a request as a tailnet's server does: it must name the software "tailnode" and end in its
 * fingerprint.  What is refused is not answered.
 * 0, or
 *   ERR_BAD_FORMAT no STUN, no binding request, attributes cut short, other software, longer than
 *                  STUN_REQUEST_MAX_LEN;
 *   ERR_BAD_MAC    the fingerprint is wrong.
 */
[[nodiscard]] int stun_request_read(const uint8_t *data, size_t len, struct stun_txid *ret_txid);

/*
 * Write the answer to a request that came from `source`.  An IPv4-mapped source is written as IPv4
 * (the reference does not, so that clients have to unmap).  Returns its length.
 */
size_t stun_response_write(uint8_t out[static STUN_RESPONSE_MAX_LEN],
	const struct stun_txid *txid,
	const struct endpoint *source);

/*
 * Read a success response.  The caller compares the transaction id with those it has sent, and
 * only then believes the address.  0, or ERR_BAD_FORMAT.
 */
[[nodiscard]] int stun_response_read(const uint8_t *data,
	size_t len,
	struct stun_txid *ret_txid,
	struct endpoint *ret_mapped);

#endif
