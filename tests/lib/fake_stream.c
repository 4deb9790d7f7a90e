/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/lib/fake_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stream_set *
fake_set_create(struct mono now)
{
	struct stream_set *set = calloc(1, sizeof(*set));

	assert(set != NULL);
	set->now = now;
	return set;
}

void
fake_set_destroy(struct stream_set *set)
{
	while (set->last != NULL) {
		struct stream *s = set->last;

		set->last = s->next;
		free(s->sent);
		free(s->kept);
		free(s);
	}
	free(set);
}

size_t
fake_set_count(const struct stream_set *set)
{
	size_t n = 0;

	for (const struct stream *s = set->last; s != NULL; s = s->next)
		n += s->is_open;
	return n;
}

struct stream *
fake_stream_to(const struct stream_set *set, const char *host)
{
	for (struct stream *s = set->last; s != NULL; s = s->next)
		if (s->is_open && strcmp(s->host, host) == 0)
			return s;
	return NULL;
}

static void
append(uint8_t **bytes, size_t *len, const void *data, size_t n)
{
	*bytes = realloc(*bytes, *len + n + 1);
	assert(*bytes != NULL);
	if (n > 0)
		memcpy(*bytes + *len, data, n);
	*len += n;
}

// ---------- what a test does ----------

void
fake_stream_opened(struct stream *s, bool tls13, const char *common_name, int64_t serial)
{
	s->is_opened = true;
	s->is_tls13 = tls13;
	snprintf(s->common_name, sizeof(s->common_name), "%s",
		common_name != NULL ? common_name : "");
	s->serial = serial;
	s->calls.opened(s->calls.context);
}

void
fake_stream_feed(struct stream *s, const void *data, size_t len)
{
	size_t taken;

	if (!s->is_open)
		return;
	append(&s->kept, &s->kept_len, data, len);
	taken = s->calls.received(s->calls.context, s->kept, s->kept_len);
	if (!s->is_open)
		return;
	assert(taken <= s->kept_len);
	s->kept_len -= taken;
	memmove(s->kept, s->kept + taken, s->kept_len);
	if (s->kept_len > STREAM_KEPT_MAX)
		fake_stream_end(s, STREAM_OVERFLOW, "more came than is kept");
}

void
fake_stream_end(struct stream *s, enum stream_failure_kind kind, const char *text)
{
	struct stream_failure failure = { .kind = kind, .was_opened = s->is_opened, .text = text };

	s->is_open = false;
	s->calls.closed(s->calls.context, &failure);
}

void
fake_stream_hold(struct stream *s, bool hold)
{
	bool drained = !hold && s->queued > STREAM_LOW;

	s->is_held = hold;
	if (!hold)
		s->queued = 0;
	if (drained)
		s->calls.drained(s->calls.context);
}

void
fake_stream_clear(struct stream *s)
{
	s->sent_len = s->n_sends = 0;
}

// ---------- what its user calls ----------

struct mono
stream_set_now(const struct stream_set *set)
{
	return set->now;
}

int
stream_open(struct stream_set *set,
	const struct stream_target *target,
	const struct stream_calls *calls,
	struct mono,
	struct stream **ret_stream)
{
	struct stream *s;

	if (target->host == NULL || strlen(target->host) >= STREAM_HOST_LEN || target->port == 0)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	assert(s != NULL && target->n_addresses <= STREAM_MAX_ADDRESSES);
	s->set = set;
	s->target = *target;
	snprintf(s->host, sizeof(s->host), "%s", target->host);
	s->target.host = s->host;
	if (target->cert_name != NULL) {
		snprintf(s->cert_name, sizeof(s->cert_name), "%s", target->cert_name);
		s->target.cert_name = s->cert_name;
	}
	for (size_t i = 0; i < target->n_addresses; i++)
		s->addresses[i] = target->addresses[i];
	s->target.addresses = s->addresses;
	s->calls = *calls;
	s->is_open = true;
	s->next = set->last;
	set->last = s;
	set->n_opened++;
	*ret_stream = s;
	return 0;
}

int
stream_send(struct stream *s, const void *data, size_t len)
{
	assert(s->is_open);
	if (!s->is_opened)
		return -ENOTCONN;
	if (s->queued > STREAM_QUEUE_MAX)
		return -ENOBUFS;
	append(&s->sent, &s->sent_len, data, len);
	s->n_sends++;
	if (s->is_held)
		s->queued += len;
	return 0;
}

size_t
stream_queued(const struct stream *s)
{
	return s->queued;
}

void
stream_close(struct stream *s)
{
	if (s == NULL)
		return;
	assert(s->is_open);
	s->is_open = false;
}

bool
stream_is_tls13(const struct stream *s)
{
	return s->is_tls13;
}

const char *
stream_last_common_name(const struct stream *s)
{
	return s->common_name[0] != '\0' ? s->common_name : NULL;
}

int64_t
stream_last_serial(const struct stream *s)
{
	return s->serial;
}
