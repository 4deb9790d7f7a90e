/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/coord_client/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/stream/http_head.h"
#include "lib/base/err.h"

struct fetch {
	struct stream *stream;
	fetch_done done;
	void *context;
	struct mono deadline;
	bool is_head;
	char host[URL_AUTHORITY_LEN];
	char path[URL_PATH_LEN];
	const char *method;
	bool has_answer; /* the answer's head has come */
	struct http_body state;
	struct fetch_result result;
	char *body;
	size_t body_len;
};

static void
free_fetch(struct fetch *f)
{
	stream_close(f->stream);
	free(f->body);
	free(f);
}

static void
finish(struct fetch *f, const struct stream_failure *failure, const char *broken)
{
	f->result.failure = failure;
	f->result.broken = broken;
	f->result.body = f->body != NULL ? f->body : "";
	f->result.body_len = f->body_len;
	f->done(f->context, &f->result);
	free_fetch(f);
}

static void
on_opened(void *context)
{
	char text[URL_PATH_LEN + URL_AUTHORITY_LEN + 128];
	struct fetch *f = context;
	int len = snprintf(text, sizeof(text),
		"%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"
		"Connection: close\r\n\r\n",
		f->method, f->path, f->host);

	// A failure is told by closed().
	(void)!stream_send(f->stream, text, (size_t)len);
}

static int
add_body(struct fetch *f, const char *piece, size_t len)
{
	char *grown;

	if (len == 0)
		return 0;
	if (f->body_len + len > FETCH_MAX_BODY)
		return -E2BIG;
	grown = realloc(f->body, f->body_len + len);
	if (grown == NULL)
		return -ENOMEM;
	memcpy(grown + f->body_len, piece, len);
	f->body = grown;
	f->body_len += len;
	return 0;
}

static int
take_head(struct fetch *f, const char *data, size_t len, size_t *ret_taken)
{
	struct http_head head;
	const char *value;
	size_t value_len;
	int err = http_head_read(data, len, &head);

	*ret_taken = 0;
	if (err < 0)
		return err == ERR_TRUNCATED ? 0 : err;
	*ret_taken = head.len;
	if (head.status < 200)
		return 0; // an interim answer: the real one follows
	f->has_answer = true;
	f->result.status = head.status;
	f->result.has_date = http_head_date(&head, &f->result.date_s);
	if (http_head_field(&head, "Location", &value, &value_len) &&
		value_len < FETCH_LOCATION_LEN)
		memcpy(f->result.location, value, value_len);
	if (f->is_head)
		f->state.state = HTTP_BODY_DONE;
	else
		err = http_body_begin(&f->state, &head);
	return err;
}

// Returns what was used of it; *ret_err ends the fetch.
static size_t
take(struct fetch *f, const char *data, size_t len, int *ret_err)
{
	size_t at = 0, taken = 1, piece_len;
	const char *piece;

	while (*ret_err == 0 && taken > 0 && !f->has_answer) {
		*ret_err = take_head(f, data + at, len - at, &taken);
		at += taken;
	}
	while (*ret_err == 0 && f->has_answer && at < len && f->state.state != HTTP_BODY_DONE) {
		*ret_err =
			http_body_push(&f->state, data + at, len - at, &taken, &piece, &piece_len);
		if (*ret_err == 0)
			*ret_err = add_body(f, piece, piece_len);
		at += taken;
	}
	return at;
}

static size_t
on_received(void *context, uint8_t *data, size_t len)
{
	struct fetch *f = context;
	int err = 0;
	size_t taken = take(f, (const char *)data, len, &err);

	if (err < 0)
		finish(f, NULL,
			err == -E2BIG ? "its answer is too long" : "what it answers is not HTTP");
	else if (f->has_answer && f->state.state == HTTP_BODY_DONE)
		finish(f, NULL, NULL);
	return taken;
}

static void
on_closed(void *context, const struct stream_failure *failure)
{
	struct fetch *f = context;

	f->stream = NULL;
	if (f->has_answer && f->state.state == HTTP_BODY_OPEN && failure->kind == STREAM_EOF)
		finish(f, NULL, NULL);
	else
		finish(f, failure, NULL);
}

int
fetch_start(struct stream_set *set,
	const struct fetch_request *request,
	struct mono now,
	struct fetch **ret_fetch)
{
	const struct server_url *url = request->url;
	const struct stream_target target = { .host = url->host,
		.port = url->port,
		.tls = url->tls,
		.verify = request->verify,
		.timeout_ns = request->timeout_ns };
	struct fetch *f = calloc(1, sizeof(*f));
	const struct stream_calls calls = {
		.opened = on_opened, .received = on_received, .closed = on_closed, .context = f
	};
	int err;

	if (f == NULL)
		return -ENOMEM;
	f->method = request->method;
	f->is_head = strcmp(request->method, "HEAD") == 0;
	f->done = request->done;
	f->context = request->context;
	f->deadline = mono_add_ns(now, request->timeout_ns);
	server_url_authority(url, false, f->host);
	strcpy(f->path, url->path);
	err = stream_open(set, &target, &calls, now, &f->stream);
	if (err < 0) {
		free(f);
		return err;
	}
	*ret_fetch = f;
	return 0;
}

void
fetch_cancel(struct fetch *f)
{
	if (f != NULL)
		free_fetch(f);
}

struct mono
fetch_tick(struct fetch *f, struct mono now)
{
	const struct stream_failure late = {
		.kind = STREAM_TIMEOUT, .was_opened = true, .text = "it does not answer the request"
	};
	struct mono deadline = f->deadline;

	if (mono_diff_ns(now, deadline) < 0)
		return deadline;
	finish(f, &late, NULL);
	return (struct mono){};
}
