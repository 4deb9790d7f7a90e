/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/secret_memory.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/tailnet/capver.h"

#define READY_NS (10 * NS_PER_S)

struct control {
	struct stream *stream; // NULL: gone
	struct channel *channel;
	struct h2 *h2; // NULL: not ready
	struct control_calls calls;
	struct mono deadline; // to be ready
	char request[CHANNEL_REQUEST_MAX_LEN];
	size_t request_len;
	unsigned inside; // calls of ours that are on the stack
	bool closed;     // freed when the last of them returns
};

static void
free_control(struct control *c)
{
	h2_destroy(c->h2);
	if (c->channel != NULL)
		channel_fini(c->channel);
	secret_memory_unmap(c->channel, sizeof(*c->channel));
	free(c);
}

void
control_close(struct control *c)
{
	if (c == NULL || c->closed)
		return;
	c->closed = true;
	if (c->h2 != NULL)
		h2_silence(c->h2);
	stream_close(c->stream);
	c->stream = NULL;
	if (c->inside == 0)
		free_control(c);
}

static void
leave(struct control *c)
{
	c->inside--;
	if (c->inside == 0 && c->closed)
		free_control(c);
}

static void
fail(struct control *c, const struct control_failure *failure)
{
	if (c->closed)
		return;
	if (c->h2 != NULL)
		h2_silence(c->h2);
	c->inside++; // failed() may close it itself
	c->calls.failed(c->calls.context, failure);
	control_close(c);
	leave(c);
}

// Plaintext to records to the stream.
static int
on_send(void *context, const uint8_t *data, size_t len)
{
	uint8_t record[CONTROL_RECORD_MAX_LEN];
	struct control *c = context;
	size_t at = 0, taken, record_len;
	int err = c->closed || c->stream == NULL ? -ENOTCONN : 0;

	while (err == 0 && at < len) {
		err = channel_seal(c->channel, data + at, len - at, record, &taken, &record_len);
		if (err == 0)
			err = stream_send(c->stream, record, record_len);
		at += taken;
	}
	return err;
}

static void
on_ready(void *context)
{
	struct control *c = context;
	const struct h2_calls calls = { on_send, c };

	if (c->closed)
		return;
	c->deadline = (struct mono){};
	if (h2_create(&calls, &c->h2) < 0 || h2_flush(c->h2) < 0) {
		fail(c, &(struct control_failure){ CONTROL_LOST, NULL, 0, "no memory" });
		return;
	}
	c->calls.ready(c->calls.context);
}

static int
on_plaintext(void *context, const uint8_t *data, size_t len)
{
	struct control *c = context;

	return c->closed ? -ECANCELED : h2_push(c->h2, data, len);
}

static void
on_opened(void *context)
{
	struct control *c = context;

	(void)!stream_send(c->stream, c->request, c->request_len); // closed() tells a failure
}

static void
tell(struct control *c, int err)
{
	struct control_failure f = { .kind = CONTROL_BROKEN, .text = err_str(err) };

	if (err == -ECONNREFUSED) {
		f.kind = c->channel->status == 101 ? CONTROL_HANDSHAKE : CONTROL_ANSWER;
		f.status = c->channel->status;
		f.text = c->channel->text;
	} else if (c->channel->state == CHANNEL_UPGRADING) {
		f.kind = CONTROL_NO_HTTP;
		f.text = "its answer to POST /ts2021 is none of this protocol";
	} else if (c->channel->state == CHANNEL_REPLY) {
		f.kind = CONTROL_HANDSHAKE;
	} else if (err == -ECONNRESET || err == -ENOTCONN) {
		f.kind = CONTROL_LOST;
		f.text = "the server said goodbye";
	} else if (err == ERR_PROTOCOL) {
		f.text = "it broke the rules of HTTP/2";
	} else if (err == ERR_BAD_MAC) {
		f.text = "a record is not authentic";
	}
	fail(c, &f);
}

static size_t
on_received(void *context, uint8_t *data, size_t len)
{
	struct control *c = context;
	const struct channel_calls calls = { on_ready, on_plaintext, c };
	size_t taken = 0;
	int err;

	c->inside++;
	err = channel_push(c->channel, data, len, &calls, &taken);
	if (err < 0 && !c->closed)
		tell(c, err);
	leave(c);
	return taken;
}

static void
on_closed(void *context, const struct stream_failure *failure)
{
	struct control *c = context;
	struct control_failure f = {
		.kind = CONTROL_STREAM, .stream = failure, .text = failure->text
	};

	c->inside++;
	c->stream = NULL;
	if (failure->was_opened) {
		// Without an answer: it is being restarted, perhaps.
		f.kind = c->channel->status == 0 ? CONTROL_LOST
		         : c->h2 == NULL         ? CONTROL_HANDSHAKE
		         : !h2_has_heard(c->h2)  ? CONTROL_MUTE
		                                 : CONTROL_LOST;
	}
	fail(c, &f);
	leave(c);
}

static int
begin_channel(struct control *c,
	const struct server_url *url,
	const struct secret_key *machine,
	const struct public_key *server)
{
	char authority[URL_AUTHORITY_LEN];
	struct secret_key ephemeral;
	int err;

	c->channel = secret_memory_map(sizeof(*c->channel));
	if (c->channel == NULL)
		return -ENOMEM;
	key_generate(&ephemeral);
	err = channel_begin(c->channel, TAILNET_CAPVER, machine, server, &ephemeral,
		server_url_authority(url, true, authority), c->request, &c->request_len);
	secret_wipe(&ephemeral, sizeof(ephemeral));
	return err;
}

int
control_open(struct stream_set *set,
	const struct server_url *url,
	const struct secret_key *machine,
	const struct public_key *server,
	const struct control_calls *calls,
	struct mono now,
	struct control **ret_control)
{
	// Noise authenticates the server, so its certificate need not (control.md 2.4).
	const struct stream_target target = { .host = url->host,
		.port = url->port,
		.tls = url->tls,
		.verify = STREAM_VERIFY_LOGGED,
		.timeout_ns = READY_NS };
	struct control *c = calloc(1, sizeof(*c));
	const struct stream_calls stream_calls = {
		.opened = on_opened, .received = on_received, .closed = on_closed, .context = c
	};
	int err;

	if (c == NULL)
		return -ENOMEM;
	c->calls = *calls;
	c->deadline = mono_add_ns(now, READY_NS + NS_PER_S); // the stream has its own
	err = begin_channel(c, url, machine, server);
	if (err == 0)
		err = stream_open(set, &target, &stream_calls, now, &c->stream);
	if (err < 0) {
		free_control(c);
		return err;
	}
	*ret_control = c;
	return 0;
}

int
control_request(struct control *c, const struct h2_request *request, int32_t *ret_id)
{
	int err;

	if (c->closed || c->h2 == NULL)
		return -ENOTCONN;
	c->inside++;
	err = h2_request(c->h2, request, ret_id);
	if (err == 0)
		err = h2_flush(c->h2);
	leave(c);
	return err;
}

void
control_cancel(struct control *c, int32_t id)
{
	if (c->closed || c->h2 == NULL)
		return;
	c->inside++;
	h2_cancel(c->h2, id);
	(void)!h2_flush(c->h2); // closed() tells a failure
	leave(c);
}

struct mono
control_tick(struct control *c, struct mono now)
{
	const struct control_failure late = { .kind = c->channel->status == 0 ? CONTROL_NO_HTTP
		                                                              : CONTROL_HANDSHAKE,
		.text = "it does not answer the handshake" };
	struct mono deadline = c->deadline;

	if (mono_is_never(deadline) || mono_diff_ns(now, deadline) < 0)
		return deadline;
	fail(c, &late);
	return (struct mono){};
}
