/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Streams without a network, in place of controlplane/gateway/stream: a test opens, feeds and ends
 * them, and sees what was sent.  Time is what the test says.
 *
 * Owner: a set owns its streams, closed ones too, until fake_set_destroy().
 */
#ifndef TESTS_LIB_FAKE_STREAM_H
#define TESTS_LIB_FAKE_STREAM_H

#include "controlplane/gateway/stream/stream.h"

struct stream {
	struct stream *next; /* the one opened before */
	struct stream_set *set;
	struct stream_target target; /* texts are copies */
	char host[256], cert_name[256];
	struct endpoint addresses[STREAM_MAX_ADDRESSES];
	struct stream_calls calls;
	bool is_open;   /* not closed by its user, not ended by the test */
	bool is_opened; /* fake_stream_opened() */
	bool is_tls13;
	char common_name[128];
	int64_t serial;
	uint8_t *sent;
	size_t sent_len;
	size_t n_sends; /* calls of stream_send(): records */
	bool is_held;   /* what is sent waits */
	size_t queued;
	uint8_t *kept;
	size_t kept_len;
};

struct stream_set {
	struct mono now;
	struct stream *last; /* opened */
	size_t n_opened;     /* ever */
};

struct stream_set *fake_set_create(struct mono now);
void fake_set_destroy(struct stream_set *set);
/* Streams that are open, or being opened. */
size_t fake_set_count(const struct stream_set *set);
/* The open stream to that host, or NULL. */
struct stream *fake_stream_to(const struct stream_set *set, const char *host);

/* common_name: of the last certificate, NULL: none. */
void fake_stream_opened(struct stream *s, bool tls13, const char *common_name, int64_t serial);
void fake_stream_feed(struct stream *s, const void *data, size_t len);
void fake_stream_end(struct stream *s, enum stream_failure_kind kind, const char *text);
/* From now on what is sent waits; or it leaves, with drained(). */
void fake_stream_hold(struct stream *s, bool hold);
/* What was sent is forgotten. */
void fake_stream_clear(struct stream *s);

#endif
