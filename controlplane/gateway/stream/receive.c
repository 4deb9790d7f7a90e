/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controlplane/gateway/stream/set.h"

#define READS_AT_ONCE 8 /* then other streams have their turn */

// Room for `more` bytes behind what is kept; false: no memory.
static bool
make_room(struct stream *s, size_t more)
{
	size_t room = s->kept_room > 0 ? s->kept_room : 4096;
	uint8_t *grown;

	if (s->kept_room - s->kept_len >= more)
		return true;
	while (room - s->kept_len < more)
		room *= 2;
	grown = realloc(s->kept, room);
	if (grown == NULL)
		return false;
	s->kept = grown;
	s->kept_room = room;
	return true;
}

static bool
keep(struct stream *s, const uint8_t *data, size_t len)
{
	if (len == 0)
		return true;
	if (!make_room(s, len)) {
		stream_fail(s, STREAM_OVERFLOW, "no memory");
		return false;
	}
	memcpy(s->kept + s->kept_len, data, len);
	s->kept_len += len;
	return true;
}

static bool
is_alive(const struct stream *s)
{
	return s->state == STREAM_OPEN && !s->failing;
}

static size_t
offer(struct stream *s, uint8_t *data, size_t len)
{
	size_t taken = len;

	if (s->calls.received != NULL)
		taken = s->calls.received(s->calls.context, data, len);
	return taken < len ? taken : len;
}

// What is kept, and as much of what is new as there is room for.
static void
deliver_behind(struct stream *s, const uint8_t **data, size_t *len)
{
	size_t room = STREAM_KEPT_MAX - s->kept_len, piece = *len < room ? *len : room, taken;

	if (!keep(s, *data, piece))
		return;
	*data += piece;
	*len -= piece;
	taken = offer(s, s->kept, s->kept_len);
	if (!is_alive(s))
		return;
	memmove(s->kept, s->kept + taken, s->kept_len - taken);
	s->kept_len -= taken;
	if (s->kept_len == STREAM_KEPT_MAX)
		stream_fail(s, STREAM_OVERFLOW, "it sends a longer message than is allowed");
}

static void
deliver(struct stream *s, uint8_t *data, size_t len)
{
	const uint8_t *at = data;
	size_t taken;

	if (s->kept_len == 0 && len > 0) {
		taken = offer(s, data, len);
		if (!is_alive(s))
			return;
		at += taken;
		len -= taken;
		if (keep(s, at, len) && s->kept_len == STREAM_KEPT_MAX)
			stream_fail(
				s, STREAM_OVERFLOW, "it sends a longer message than is allowed");
		len = 0;
	}
	while (len > 0 && is_alive(s))
		deliver_behind(s, &at, &len);
	if (s->kept_len == 0 && s->kept != NULL && s->state != STREAM_GONE) {
		free(s->kept);
		s->kept = NULL;
		s->kept_room = 0;
	}
}

void
receive_records(struct stream *s)
{
	size_t len = 1;
	int err = 0;

	while (err == 0 && len > 0 && is_alive(s)) {
		err = tls_read(s->tls, s->set->plain, SCRATCH_LEN, &len);
		if (err == 0 && len > 0)
			deliver(s, s->set->plain, len);
	}
	if (!is_alive(s))
		return;
	if (send_sealed(s) < 0)
		stream_fail(s, STREAM_RESET, "the connection broke");
	else if (err == -EPIPE)
		stream_fail(s, STREAM_EOF, "the server ended the connection");
	else if (err < 0) {
		tls_failure(s->tls, &s->failure);
		stream_fail(s, STREAM_RESET, "%s", s->failure.text);
	}
}

void
receive_ready(struct stream *s)
{
	for (int i = 0; i < READS_AT_ONCE && is_alive(s); i++) {
		ssize_t n = recv(s->watch.fd, s->set->wire, SCRATCH_LEN, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			stream_fail(s, STREAM_RESET, "%s", strerror(errno));
			return;
		}
		if (n == 0) {
			stream_fail(s, STREAM_EOF, "the server ended the connection");
			return;
		}
		if (s->tls == NULL)
			deliver(s, s->set->wire, (size_t)n);
		else if (tls_push(s->tls, s->set->wire, (size_t)n) < 0)
			stream_fail(s, STREAM_RESET, "no memory");
		else
			receive_records(s);
		if ((size_t)n < SCRATCH_LEN)
			return;
	}
}
