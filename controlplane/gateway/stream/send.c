/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "controlplane/gateway/stream/set.h"

#define KEPT_ROOM 65536 /* of an empty queue; more is given back */

static void
watch_writable(struct stream *s, bool wanted)
{
	if (s->wants_write == wanted || s->watch.fd < 0)
		return;
	s->wants_write = wanted;
	set_rewatch(s->set, &s->watch, EPOLLIN | (wanted ? EPOLLOUT : 0));
}

static int
append(struct send_queue *q, const uint8_t *data, size_t len)
{
	if (q->at > 0 && q->room - q->len < len) {
		memmove(q->data, q->data + q->at, q->len - q->at);
		q->len -= q->at;
		q->at = 0;
	}
	if (q->room - q->len < len) {
		size_t room = q->room > 0 ? q->room : 4096;
		uint8_t *grown;

		while (room - q->len < len)
			room *= 2;
		grown = realloc(q->data, room);
		if (grown == NULL)
			return -ENOMEM;
		q->data = grown;
		q->room = room;
	}
	memcpy(q->data + q->len, data, len);
	q->len += len;
	return 0;
}

static void
consume(struct send_queue *q, size_t len)
{
	q->at += len;
	if (q->at < q->len)
		return;
	q->at = q->len = 0;
	if (q->room > KEPT_ROOM) {
		free(q->data);
		*q = (struct send_queue){};
	}
}

// How much the kernel takes now; -errno when the connection is broken.
static ssize_t
send_now(const struct stream *s, const uint8_t *data, size_t len)
{
	ssize_t n = send(s->watch.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
}

int
send_bytes(struct stream *s, const uint8_t *data, size_t len)
{
	ssize_t n = 0;
	int err;

	if (s->out.len == 0) {
		n = send_now(s, data, len);
		if (n < 0)
			return (int)n;
	}
	if ((size_t)n == len)
		return 0;
	err = append(&s->out, data + n, len - (size_t)n);
	if (stream_queued(s) > STREAM_LOW)
		s->was_full = true;
	watch_writable(s, true);
	return err;
}

int
send_sealed(struct stream *s)
{
	uint8_t piece[TLS_PLAINTEXT_MAX + 512];
	size_t len;
	int err = 0;

	while (err == 0 && (len = tls_pull(s->tls, piece, sizeof(piece))) > 0)
		err = send_bytes(s, piece, len);
	return err;
}

int
send_queued(struct stream *s)
{
	struct send_queue *q = &s->out;

	while (q->len > q->at) {
		ssize_t n = send_now(s, q->data + q->at, q->len - q->at);

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		consume(q, (size_t)n);
	}
	watch_writable(s, q->len > q->at);
	if (s->was_full && stream_queued(s) < STREAM_LOW) {
		s->was_full = false;
		if (s->calls.drained != NULL)
			s->calls.drained(s->calls.context);
	}
	return 0;
}

// What cannot be said from inside stream_send() is said by the next dispatch.
static int
fail_later(struct stream *s, int err)
{
	stream_fail(s, STREAM_RESET, "%s", err == -EPROTO ? "TLS failed" : strerror(-err));
	return 0;
}

int
stream_send(struct stream *stream, const void *data, size_t len)
{
	const uint8_t *at = data;
	int err = 0;

	if (stream->state != STREAM_OPEN || stream->failing)
		return -ENOTCONN;
	if (len > STREAM_QUEUE_MAX || stream_queued(stream) > STREAM_QUEUE_MAX - len)
		return -ENOBUFS;
	if (stream->tls == NULL)
		err = send_bytes(stream, at, len);
	while (stream->tls != NULL && err == 0 && len > 0) {
		size_t piece = len < TLS_PLAINTEXT_MAX ? len : TLS_PLAINTEXT_MAX;

		err = tls_write(stream->tls, at, piece);
		if (err == 0)
			err = send_sealed(stream);
		at += piece;
		len -= piece;
	}
	return err < 0 ? fail_later(stream, err) : 0;
}

size_t
stream_queued(const struct stream *stream)
{
	return stream->out.len - stream->out.at;
}
