/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/h2.h"

#include <assert.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

#define STREAM_WINDOW     (4 << 20)
#define CONNECTION_WINDOW (16 << 20)
#define SEND_PIECE        4077 /* a record of the connection below */
#define MAX_OUTBOUND_ACKS 100  /* of pings and settings that wait for us to send */
#define RETRY_AFTER_LEN   64

struct exchange {
	LIST_ENTRY(exchange) entry;
	int32_t id;
	struct h2_answer_calls calls; /* emptied by h2_cancel() */
	uint8_t *body;
	size_t body_len, body_at;
	size_t head_len; /* of the answer, so far */
	unsigned status;
	char retry_after[RETRY_AFTER_LEN];
	int err; /* data() returned it */
};

struct h2 {
	nghttp2_session *session;
	struct h2_calls calls;
	LIST_HEAD(, exchange) exchanges;
	unsigned n_exchanges;
	bool inside; /* nghttp2 is on the stack: it may not be entered again */
	bool heard;
	bool leaves; // the server has said goodbye
};

static void
free_exchange(struct h2 *h2, struct exchange *x)
{
	LIST_REMOVE(x, entry);
	h2->n_exchanges--;
	secret_wipe(x->body, x->body_len); // register requests hold auth keys
	free(x->body);
	free(x);
}

static int
on_header(nghttp2_session *session,
	const nghttp2_frame *frame,
	const uint8_t *name,
	size_t name_len,
	const uint8_t *value,
	size_t value_len,
	uint8_t flags,
	void *context)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags;
	(void)context;
	if (x == NULL)
		return 0;
	x->head_len += name_len + value_len + 32;
	if (x->head_len > H2_MAX_HEAD)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3)
		x->status =
			(unsigned)((value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0');
	if (name_len == 11 && memcmp(name, "retry-after", 11) == 0 && value_len < RETRY_AFTER_LEN) {
		memcpy(x->retry_after, value, value_len);
		x->retry_after[value_len] = '\0';
	}
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct h2 *h2 = context;

	h2->heard = true;
	h2->leaves = h2->leaves || frame->hd.type == NGHTTP2_GOAWAY;
	if (x == NULL || frame->hd.type != NGHTTP2_HEADERS || x->status < 200)
		return 0;
	// not for trailers
	if (frame->headers.cat != NGHTTP2_HCAT_PUSH_RESPONSE && x->calls.status != NULL) {
		void (*status)(void *, unsigned, const char *) = x->calls.status;

		x->calls.status = NULL;
		status(x->calls.context, x->status, x->retry_after);
	}
	return 0;
}

static int
on_data(nghttp2_session *session,
	uint8_t flags,
	int32_t id,
	const uint8_t *data,
	size_t len,
	void *context)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(session, id);

	(void)flags;
	(void)context;
	if (x == NULL || x->calls.data == NULL || x->err < 0)
		return 0;
	x->err = x->calls.data(x->calls.context, data, len);
	if (x->err < 0)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	return 0;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(session, id);
	struct h2 *h2 = context;
	struct h2_answer_calls calls;
	int err;

	if (x == NULL)
		return 0;
	calls = x->calls;
	err = x->err < 0 ? x->err : code == NGHTTP2_NO_ERROR ? 0 : -ECONNRESET;
	free_exchange(h2, x);
	if (calls.ended != NULL)
		calls.ended(calls.context, err);
	return 0;
}

static ssize_t
read_body(nghttp2_session *session,
	int32_t id,
	uint8_t *out,
	size_t size,
	uint32_t *flags,
	nghttp2_data_source *source,
	void *context)
{
	struct exchange *x = source->ptr;
	size_t left = x->body_len - x->body_at, n = left < size ? left : size;

	(void)session;
	(void)id;
	(void)context;
	memcpy(out, x->body + x->body_at, n);
	x->body_at += n;
	if (x->body_at == x->body_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int
make_session(struct h2 *h2)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	int err;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return -ENOMEM;
	if (nghttp2_option_new(&option) != 0) {
		nghttp2_session_callbacks_del(callbacks);
		return -ENOMEM;
	}
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_option_set_max_outbound_ack(option, MAX_OUTBOUND_ACKS);
	nghttp2_option_set_no_closed_streams(option, 1);
	err = nghttp2_session_client_new2(&h2->session, callbacks, h2, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return err != 0 ? -ENOMEM : 0;
}

static int
say_settings(struct h2 *h2)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_MAX_HEAD },
	};

	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, 3) != 0 ||
		nghttp2_session_set_local_window_size(
			h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
		return -ENOMEM;
	return 0;
}

int
h2_create(const struct h2_calls *calls, struct h2 **ret_h2)
{
	struct h2 *h2 = calloc(1, sizeof(*h2));
	int err;

	if (h2 == NULL)
		return -ENOMEM;
	h2->calls = *calls;
	LIST_INIT(&h2->exchanges);
	err = make_session(h2);
	if (err == 0)
		err = say_settings(h2);
	if (err < 0) {
		h2_destroy(h2);
		return err;
	}
	*ret_h2 = h2;
	return 0;
}

void
h2_destroy(struct h2 *h2)
{
	struct exchange *x;

	if (h2 == NULL)
		return;
	assert(!h2->inside);
	nghttp2_session_del(h2->session);
	while ((x = LIST_FIRST(&h2->exchanges)) != NULL)
		free_exchange(h2, x);
	free(h2);
}

// Small frames share a piece; a large one is cut.
static int
send_all(struct h2 *h2)
{
	uint8_t piece[SEND_PIECE];
	size_t at = 0;
	const uint8_t *data;
	ssize_t n;
	int err = 0;

	while (err == 0 && (n = nghttp2_session_mem_send(h2->session, &data)) > 0) {
		while (err == 0 && n > 0) {
			size_t room = sizeof(piece) - at, len = (size_t)n < room ? (size_t)n : room;

			memcpy(piece + at, data, len);
			at += len;
			data += len;
			n -= (ssize_t)len;
			if (at == sizeof(piece)) {
				err = h2->calls.send(h2->calls.context, piece, at);
				at = 0;
			}
		}
	}
	if (err == 0 && n < 0)
		err = n == NGHTTP2_ERR_NOMEM ? -ENOMEM : ERR_PROTOCOL;
	if (err == 0 && at > 0)
		err = h2->calls.send(h2->calls.context, piece, at);
	secret_wipe(piece, sizeof(piece));
	return err;
}

int
h2_flush(struct h2 *h2)
{
	int err;

	if (h2->inside)
		return 0; // h2_push() does it when nghttp2 has returned
	h2->inside = true;
	err = send_all(h2);
	h2->inside = false;
	return err;
}

int
h2_push(struct h2 *h2, const uint8_t *data, size_t len)
{
	ssize_t n;
	int err;

	assert(!h2->inside);
	h2->inside = true;
	n = nghttp2_session_mem_recv(h2->session, data, len);
	h2->inside = false;
	if (n < 0)
		return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : ERR_PROTOCOL;
	if ((size_t)n != len)
		return ERR_PROTOCOL;
	err = h2_flush(h2);
	if (err < 0)
		return err;
	if (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session))
		return h2->leaves ? -ECONNRESET : ERR_PROTOCOL; // the server broke a rule
	return 0;
}

static nghttp2_nv
field(const char *name, const char *value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NONE };
}

static int
submit(struct h2 *h2, const struct h2_request *r, struct exchange *x)
{
	nghttp2_nv fields[7];
	const nghttp2_data_provider body = { .source.ptr = x, .read_callback = read_body };
	size_t n = 0;

	fields[n++] = field(":method", r->method);
	fields[n++] = field(":scheme", "https");
	fields[n++] = field(":authority", r->authority);
	fields[n++] = field(":path", r->path);
	fields[n++] = field("user-agent", "Go-http-client/2.0");
	if (r->load_balancer != NULL)
		fields[n++] = field("ts-lb", r->load_balancer);
	return nghttp2_submit_request(
		h2->session, NULL, fields, n, r->body_len > 0 ? &body : NULL, x);
}

int
h2_request(struct h2 *h2, const struct h2_request *request, int32_t *ret_id)
{
	struct exchange *x;
	int32_t id;

	if (h2->n_exchanges >= H2_MAX_REQUESTS)
		return -EAGAIN;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	x->calls = request->calls;
	LIST_INSERT_HEAD(&h2->exchanges, x, entry);
	h2->n_exchanges++;
	if (request->body_len > 0) {
		x->body = malloc(request->body_len);
		if (x->body == NULL) {
			free_exchange(h2, x);
			return -ENOMEM;
		}
		memcpy(x->body, request->body, request->body_len);
		x->body_len = request->body_len;
	}
	id = submit(h2, request, x);
	if (id < 0) {
		free_exchange(h2, x);
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ENOTCONN;
	}
	x->id = id;
	*ret_id = id;
	return 0;
}

void
h2_cancel(struct h2 *h2, int32_t id)
{
	struct exchange *x;

	LIST_FOREACH(x, &h2->exchanges, entry)
	{
		if (x->id != id)
			continue;
		x->calls = (struct h2_answer_calls){};
		(void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		return;
	}
}

void
h2_silence(struct h2 *h2)
{
	struct exchange *x;

	LIST_FOREACH(x, &h2->exchanges, entry)
	x->calls = (struct h2_answer_calls){};
}

bool
h2_has_heard(const struct h2 *h2)
{
	return h2->heard;
}
