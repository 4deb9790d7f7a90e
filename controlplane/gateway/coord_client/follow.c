/* SPDX-License-Identifier: BSD-3-Clause
 *
 * POST /machine/map: the stream of changes.
 */

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/coord_client/client.h"
#include "lib/base/err.h"

#define WATCHDOG_NS (120 * NS_PER_S)
#define LARGE_TEXT  (1u << 20) /* parsing it took many small pieces of memory */

static void
on_status(void *context, unsigned status, const char *retry_after)
{
	struct coord_client *cc = context;

	client_touch(cc);
	answer_status(&cc->following, status, retry_after);
	if (status == 200) {
		// What the stream's request said may have been for nothing (control.md 5.3).
		cc->update_wanted++;
		cc->update_at = cc->now;
	}
}

// The stream is to be ended; the reason is told when it is.
static int
refuse(struct coord_client *cc, enum coord_failure_kind kind, const char *why)
{
	if (!cc->refused)
		coord_failure_write(&cc->failure, kind, cc->server, why);
	cc->refused = true;
	return -ECANCELED;
}

static void
note_first(struct coord_client *cc)
{
	cc->has_map = true;
	cc->connected_since = cc->now;
	cc->has_failure = false;
}

static int
take_map(struct coord_client *cc,
	struct map_response *response,
	const struct coord_map_arrival *arrival)
{
	bool first = !cc->has_map;
	char why[COORD_TEXT_LEN];
	int err;

	if (first && response->node == NULL)
		return refuse(
			cc, COORD_FAILED_PROTOCOL, "the first message of the map is not whole");
	err = cc->calls.map(cc->calls.context, response, first, arrival);
	if (client_is_obsolete(cc))
		return -ECANCELED;
	if (err < 0) {
		snprintf(why, sizeof(why), "%s", err_str(err));
		return refuse(cc, COORD_FAILED_LOCAL, why);
	}
	if (first)
		note_first(cc);
	return 0;
}

static int
take_message(struct coord_client *cc,
	struct map_response *response,
	const struct coord_map_arrival *arrival)
{
	cc->n_messages++;
	cc->rx_bytes += arrival->len;
	cc->last_message = cc->now;
	cc->watchdog = mono_add_ns(cc->now, WATCHDOG_NS);
	if (response->ping != NULL)
		ping_answer(cc, response->ping);
	if (response->is_keep_alive) {
		cc->n_keep_alives++;
		return 0;
	}
	return take_map(cc, response, arrival);
}

static int
next_message(struct coord_client *cc)
{
	struct map_response response;
	struct map_reader_facts facts;
	struct coord_map_arrival arrival = { .first_byte = cc->message_begun,
		.last_byte = cc->now };
	struct mono before = mono_now();
	int err = map_reader_next(&cc->reader, &response, &facts);

	if (err == -EAGAIN)
		return err;
	if (err == -ENOMEM)
		return refuse(cc, COORD_FAILED_LOCAL, "no memory for the map");
	if (err < 0)
		return refuse(cc, COORD_FAILED_PROTOCOL,
			err == -E2BIG ? "a message of the map is beyond all bounds"
				      : "a message of the map cannot be read");
	arrival.decode_ns = mono_diff_ns(mono_now(), before);
	arrival.len = facts.len;
	arrival.text_len = facts.text_len;
	err = take_message(cc, &response, &arrival);
	map_response_fini(&response);
	if (facts.text_len > LARGE_TEXT)
		(void)malloc_trim(0); // else the parsed text's memory stays with us
	return err;
}

static int
on_data(void *context, const uint8_t *data, size_t len)
{
	struct coord_client *cc = context;
	size_t taken = 0;
	int err = 0;

	client_touch(cc);
	if (client_is_obsolete(cc))
		return -ECANCELED;
	if (cc->following.status != 200)
		return answer_add(&cc->following, data, len);
	for (; err == 0 && len > 0; data += taken, len -= taken) {
		if (mono_is_never(cc->message_begun))
			cc->message_begun = cc->now;
		err = map_reader_push(&cc->reader, data, len, &taken);
		if (err < 0)
			return refuse(cc, COORD_FAILED_PROTOCOL, "the map's framing is broken");
		err = next_message(cc);
		if (err == -EAGAIN)
			err = 0;
		else
			cc->message_begun = (struct mono){};
	}
	return err;
}

static void
on_ended(void *context, int err)
{
	struct coord_client *cc = context;
	struct answer a = cc->following;

	client_touch(cc);
	cc->following = (struct answer){};
	cc->watchdog = (struct mono){};
	if (!client_is_obsolete(cc)) {
		if (cc->refused)
			client_fail(cc);
		else if (a.status != 0 && a.status != 200)
			answer_fail(cc, &a);
		else
			client_fail_with(cc, COORD_FAILED_LOST,
				err < 0 ? "it broke off the map" : "it ended the map");
	}
	answer_end(&a);
}

static int
post(struct coord_client *cc, const struct map_request *rq)
{
	char key[TAILKEY_TEXT_SIZE];
	struct json_writer w = {};
	const char *text;
	size_t len;
	int err;

	map_request_write(&w, rq);
	err = json_writer_finish(&w, &text, &len);
	if (err == 0) {
		const struct h2_request request = { .method = "POST",
			.authority = cc->authority,
			.path = "/machine/map",
			.load_balancer = tailkey_format(TAILKEY_NODE, rq->node_key.bytes, key),
			.body = text,
			.body_len = len,
			.calls = { on_status, on_data, on_ended, cc } };

		err = control_request(cc->control, &request, &cc->following.id);
	}
	json_writer_fini(&w);
	return err;
}

void
follow_begin(struct coord_client *cc)
{
	struct map_request rq = {};

	cc->calls.fill(cc->calls.context, &rq);
	if (client_is_obsolete(cc))
		return;
	rq.stream = true;
	rq.omit_peers = false;
	rq.compress_zstd = true;
	map_reader_fini(&cc->reader);
	answer_begin(&cc->following, COORD_ERROR_BODY);
	cc->has_map = false;
	cc->refused = false;
	cc->message_begun = (struct mono){};
	if (post(cc, &rq) < 0) {
		client_fail_with(cc, COORD_FAILED_LOST, "the request could not be sent");
		return;
	}
	cc->n_streams++;
	cc->watchdog = mono_add_ns(cc->now, WATCHDOG_NS);
	client_set_phase(cc, COORD_MAP);
}
