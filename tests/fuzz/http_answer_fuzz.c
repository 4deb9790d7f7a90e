/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Answers of HTTP servers and proxies: a head and its body in pieces, the upgrade of a control
 * connection and what follows it.  The first byte says which, the second the size of the pieces.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/coord_client/channel.h"
#include "lib/base/err.h"

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
take_body(const struct http_head *h, const char *data, size_t len, size_t step)
{
	struct http_body b;
	const char *piece;
	size_t n, taken = 1;

	if (http_body_begin(&b, h) < 0)
		return;
	while (len > 0 && taken > 0 && b.state != HTTP_BODY_DONE) {
		size_t given = step < len ? step : len;

		if (http_body_push(&b, data, given, &taken, &piece, &n) < 0)
			return;
		must(taken <= given && n <= taken);
		must(n == 0 || (piece >= data && piece + n <= data + given));
		data += taken;
		len -= taken;
	}
}

static void
take_answer(const char *data, size_t len, size_t step)
{
	struct http_head h;
	const char *value;
	int64_t date;
	size_t n;

	if (http_head_read(data, len, &h) < 0)
		return;
	must(h.len <= len && h.len <= HTTP_HEAD_MAX + 4 && h.status >= 100 && h.status <= 999);
	must(h.reason_len <= h.len && h.fields_len <= h.len);
	if (http_head_field(&h, "Upgrade", &value, &n))
		must(value >= data && value + n <= data + h.len);
	(void)http_head_has_token(&h, "Connection", "upgrade");
	(void)http_head_date(&h, &date);
	take_body(&h, data + h.len, len - h.len, step);
}

static int
on_plaintext(void *context, const uint8_t *data, size_t len)
{
	size_t *total = context;

	must(len > 0 && data != NULL);
	*total += len;
	return 0;
}

// Keys of "doc-keys-145", but our own version in the prologue: no recorded response fits, so the
// handshake's end is reached only by what the fuzzer does to `state`.
static void
take_channel(const uint8_t *data, size_t len, size_t step, bool open)
{
	static struct secret_key machine, ephemeral, control;
	static struct channel c;
	struct public_key server;
	char request[CHANNEL_REQUEST_MAX_LEN];
	size_t request_len, total = 0, have = 0, at = 0, taken;
	const struct channel_calls calls = { NULL, on_plaintext, &total };
	static uint8_t kept[65536];

	memset(machine.bytes, 0x11, KEY_LEN);
	memset(ephemeral.bytes, 0x22, KEY_LEN);
	memset(control.bytes, 0x33, KEY_LEN);
	key_public(&server, &control);
	must(channel_begin(&c, 116, &machine, &server, &ephemeral, "a:1", request, &request_len) ==
		0);
	if (open)
		c.state = CHANNEL_EARLY; // records under a key of zeros
	while (at < len && have < sizeof(kept) - 256) {
		size_t piece = step < len - at ? step : len - at;

		memcpy(kept + have, data + at, piece);
		have += piece;
		at += piece;
		if (channel_push(&c, kept, have, &calls, &taken) < 0)
			break;
		must(taken <= have);
		memmove(kept, kept + taken, have - taken);
		have -= taken;
	}
	channel_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;

	if (!ready)
		must(crypto_init() == 0);
	ready = true;
	if (len < 2)
		return 0;
	if (data[0] % 3 == 0)
		take_answer((const char *)data + 2, len - 2, data[1] + 1u);
	else
		take_channel(data + 2, len - 2, data[1] + 1u, data[0] % 3 == 2);
	return 0;
}
