/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests to the PeerAPI.  What is understood is answered, and an answer is an HTTP answer.
 */

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/peer_api/answer.h"
#include "lib/base/err.h"

static void
must(bool right)
{
	if (!right)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct addr own = { .family = ADDR_V4, .bytes = { 100, 64, 0, 1 } };
	static struct peer_api_caller caller = { .node = "<node>", .user = "&user" };
	struct peer_api_question question = {
		.caller = &caller, .source = own, .own = &own, .n_own = 1, .now_s = 1
	};
	struct peer_api_request request;
	static char out[ANSWER_MAX_LEN];
	int err = peer_api_request_read((const char *)data, len, &request);
	size_t n;

	if (err == ERR_TRUNCATED) {
		must(len < REQUEST_HEAD_MAX_LEN);
		return 0;
	}
	caller.is_self = len % 2 != 0;
	n = peer_api_answer_write(out, err, &request, &question);
	must(n > 64 && n <= sizeof(out) && memcmp(out, "HTTP/1.1 ", 9) == 0);
	must(memmem(out, n, "\r\n\r\n", 4) != NULL);
	must(err == 0 || memcmp(out + 9, "200", 3) != 0);
	return 0;
}
