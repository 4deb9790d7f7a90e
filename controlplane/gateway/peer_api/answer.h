/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a request to the PeerAPI is answered with.
 *
 * Source: ../shared/protocol/peer.md 6.2 to 6.4, for the order of checks and the words of refusals.
 * Thread: any; no hidden state.
 */
#ifndef CONTROLPLANE_GATEWAY_PEER_API_ANSWER_H
#define CONTROLPLANE_GATEWAY_PEER_API_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/peer_api/peer_api.h"
#include "controlplane/gateway/peer_api/request.h"
#include "lib/net/addr.h"

#define ANSWER_MAX_LEN 8192

struct peer_api_question {
	const struct peer_api_caller *caller;
	struct addr source;     /* the caller's */
	const struct addr *own; /* our addresses */
	size_t n_own;
	int64_t now_s; /* since 1970, for the Date header; 0: none */
};

/*
 * Write the whole answer; after it the connection is closed.  error: what peer_api_request_read()
 * said, not ERR_TRUNCATED; unless 0 the request is not looked at and may be NULL.
 * Returns its length.
 */
size_t peer_api_answer_write(char out[static ANSWER_MAX_LEN],
	int error,
	const struct peer_api_request *request,
	const struct peer_api_question *question);

#endif
