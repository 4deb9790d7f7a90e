/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a coordination server may say inside Noise: HTTP/2, answers to requests, messages of a map,
 * and requests of its own.  The first byte says which layer the rest is for; of HTTP/2 a second
 * one the size of the pieces.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/coord_client/c2n.h"
#include "controlplane/gateway/coord_client/h2.h"
#include "controlplane/gateway/coord_client/map_reader.h"
#include "controlplane/gateway/coord_client/server_url.h"

static void
must(bool right)
{
	if (!right)
		abort();
}

static int
on_send(void *context, const uint8_t *data, size_t len)
{
	(void)context;
	(void)data;
	return len > 0 ? 0 : -1;
}

// After an error the stream is to be ended.
static int
take_map(struct map_reader *r, const uint8_t *data, size_t len)
{
	struct map_response response;
	struct map_reader_facts facts;
	size_t taken;
	int err = 0;

	while (len > 0 && (err == 0 || err == -EAGAIN)) {
		err = map_reader_push(r, data, len, &taken);
		if (err < 0)
			break;
		must(taken <= len);
		data += taken;
		len -= taken;
		err = map_reader_next(r, &response, &facts);
		if (err == 0)
			map_response_fini(&response);
	}
	return err == -EAGAIN ? 0 : err;
}

static void
on_status(void *context, unsigned status, const char *retry_after)
{
	(void)context;
	must(status >= 200 && strlen(retry_after) < 64);
}

static int
on_data(void *context, const uint8_t *data, size_t len)
{
	return take_map(context, data, len);
}

static void
on_ended(void *context, int err)
{
	(void)context;
	must(err <= 0);
}

static void
take_h2(const uint8_t *data, size_t len, size_t step)
{
	static const struct h2_calls calls = { on_send, NULL };
	struct map_reader reader = {};
	const struct h2_request request = { .method = "POST",
		.authority = "a",
		.path = "/machine/map",
		.body = "{}",
		.body_len = 2,
		.calls = { on_status, on_data, on_ended, &reader } };
	struct h2 *h2;
	int32_t id;
	int err = 0;

	must(h2_create(&calls, &h2) == 0);
	for (int i = 0; i < 3; i++) // streams 1, 3, 5
		must(h2_request(h2, &request, &id) == 0);
	must(h2_flush(h2) == 0);
	h2_cancel(h2, 3);
	while (err == 0 && len > 0) {
		size_t piece = step < len ? step : len;

		err = h2_push(h2, data, piece);
		data += piece;
		len -= piece;
	}
	h2_destroy(h2);
	map_reader_fini(&reader);
}

static void
take_c2n(const uint8_t *data, size_t len)
{
	size_t answer_len;
	char *answer = c2n_answer((const char *)data, len, &answer_len);

	must(answer != NULL && answer_len >= 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0);
	free(answer);
}

static void
take_url(const uint8_t *data, size_t len)
{
	char text[2048], authority[URL_AUTHORITY_LEN];
	struct server_url url;

	len = len < sizeof(text) - 1 ? len : sizeof(text) - 1;
	memcpy(text, data, len);
	text[len] = '\0';
	if (server_url_parse(text, &url) < 0)
		return;
	must(url.path[0] == '/' && url.port != 0 && url.host[0] != '\0');
	must(strlen(server_url_authority(&url, true, authority)) < URL_AUTHORITY_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct map_reader reader = {};

	if (len < 2)
		return 0;
	switch (data[0] % 4) {
	case 0:
		take_h2(data + 2, len - 2, data[1] + 1u);
		break;
	case 1:
		(void)take_map(&reader, data + 2, len - 2);
		map_reader_fini(&reader);
		break;
	case 2:
		take_c2n(data + 2, len - 2);
		break;
	default:
		take_url(data + 2, len - 2);
		break;
	}
	return 0;
}
