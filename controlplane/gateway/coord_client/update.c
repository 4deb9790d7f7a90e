/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Telling the server what has changed here, while the stream stands: one request at a time, the
 * latest facts, until one is accepted.
 */

#include <errno.h>

#include "controlplane/gateway/coord_client/client.h"

#define COALESCE_NS (20 * NS_PER_MS)
#define ANSWER_NS   (60 * NS_PER_S)

static void
again_later(struct coord_client *cc)
{
	cc->n_update_failures++;
	cc->update_at = mono_add_ns(cc->now, client_back_off_ns(cc->n_update_failures));
}

static void
on_status(void *context, unsigned status, const char *retry_after)
{
	struct coord_client *cc = context;

	answer_status(&cc->updating, status, retry_after);
}

static void
on_ended(void *context, int err)
{
	struct coord_client *cc = context;
	unsigned status = cc->updating.status;

	client_touch(cc);
	answer_end(&cc->updating);
	cc->update_deadline = (struct mono){};
	if (err == 0 && status == 200) {
		cc->update_accepted = cc->update_sent;
		cc->n_update_failures = 0;
		cc->n_updates++;
	} else {
		again_later(cc);
	}
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
			.calls = { .status = on_status, .ended = on_ended, .context = cc } };

		err = control_request(cc->control, &request, &cc->updating.id);
	}
	json_writer_fini(&w);
	return err;
}

static void
begin(struct coord_client *cc)
{
	struct map_request rq = {};

	cc->calls.fill(cc->calls.context, &rq);
	if (client_is_obsolete(cc))
		return;
	rq.stream = false;
	rq.omit_peers = true;
	rq.compress_zstd = true;
	answer_begin(&cc->updating, 0);
	cc->update_sent = cc->update_wanted;
	cc->update_deadline = mono_add_ns(cc->now, ANSWER_NS);
	if (post(cc, &rq) < 0) {
		answer_end(&cc->updating);
		again_later(cc);
	}
}

void
update_step(struct coord_client *cc)
{
	if (cc->update_soon) {
		cc->update_soon = false;
		cc->update_wanted++;
		if (mono_is_never(cc->update_at))
			cc->update_at = mono_add_ns(cc->now, COALESCE_NS);
	}
	if (cc->updating.id != 0) {
		if (mono_diff_ns(cc->now, cc->update_deadline) < 0)
			return;
		control_cancel(cc->control, cc->updating.id);
		answer_end(&cc->updating);
		again_later(cc);
	}
	if (cc->update_accepted == cc->update_wanted) {
		cc->update_at = (struct mono){};
		return;
	}
	if (cc->following.status != 200 || mono_diff_ns(cc->now, cc->update_at) < 0)
		return;
	begin(cc);
}
