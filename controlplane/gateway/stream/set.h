/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of this folder know of each other: the set, a stream, how a connection is got.
 */
#ifndef CONTROLPLANE_GATEWAY_STREAM_SET_H
#define CONTROLPLANE_GATEWAY_STREAM_SET_H

#include <sys/queue.h>

#include "controlplane/gateway/stream/http_head.h"
#include "controlplane/gateway/stream/proxy.h"
#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/stream/tls.h"

#define SCRATCH_LEN        (64u << 10)
#define RACE_NS            (250 * NS_PER_MS) /* until the next address is tried too (RFC 8305) */
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_S)
#define STREAM_TEXT_LEN    320

/* A socket of a stream in the set's epoll. */
struct watch {
	struct stream *stream; /* NULL: the set's own eventfd */
	int fd;                /* -1: none */
};

/* Connecting to one of several addresses. */
struct dial {
	struct endpoint addresses[STREAM_MAX_ADDRESSES];
	struct watch attempts[STREAM_MAX_ADDRESSES];
	size_t n, begun;
	struct mono next; /* when the next address is begun */
	int err;          /* the most telling one so far */
	size_t err_at;    /* of this address */
};

/* Bytes that wait to be sent. */
struct send_queue {
	uint8_t *data;
	size_t at, len, room; /* data[at] to data[len] */
};

enum stream_state {
	STREAM_LOOKING_UP,
	STREAM_DIALLING,
	STREAM_ASKING_PROXY,
	STREAM_SHAKING_HANDS,
	STREAM_OPEN,
	STREAM_GONE, /* freed at the end of the dispatch */
};

struct stream {
	TAILQ_ENTRY(stream) entry;
	struct stream_set *set;
	enum stream_state state;
	struct stream_calls calls;
	struct mono deadline; /* never: it is open */

	char host[STREAM_HOST_LEN];
	char *cert_name; /* NULL: the host's */
	uint16_t port;
	uint8_t family;
	enum stream_verify verify;
	bool has_tls, low_delay;
	int64_t timeout_ns;

	struct proxy *proxy; /* NULL: direct */
	struct lookup *lookup;
	struct dial *dial; /* while dialling */

	struct watch watch; /* the connection */
	struct endpoint remote;
	struct tls *tls;
	bool wants_write; /* in the epoll */
	bool was_full;    /* drained() is owed */
	struct send_queue out;
	uint8_t *kept; /* what received() left */
	size_t kept_len, kept_room;

	bool failing; /* the next dispatch ends it */
	struct stream_failure failure;
	char text[STREAM_TEXT_LEN];
};

TAILQ_HEAD(stream_list, stream);

struct lookup_box;

struct stream_set {
	int epoll_fd;
	struct watch wake; /* an eventfd: look-ups, and what failed outside a dispatch */
	struct trust *trust;
	uint32_t mark;
	struct mono now;
	bool dispatching;
	struct stream_list streams;
	struct lookup_box *lookups;
	uint8_t *wire, *plain; /* SCRATCH_LEN each */
};

/* set.c */
int set_watch(struct stream_set *set, struct watch *watch, uint32_t events); /* 0 or -errno */
void set_rewatch(struct stream_set *set, struct watch *watch, uint32_t events);
void set_unwatch(struct watch *watch); /* and close */
void set_wake(struct stream_set *set);
void set_free_stream(struct stream *s);

/* lookup.c */
int lookups_create(int wake_fd, struct lookup_box **ret_box);
void lookups_destroy(struct lookup_box *box);
void lookups_answer(struct lookup_box *box); /* make the calls that are due */

/* dial.c: addresses for the stream's port unless they have one; then -> stream_connected() */
int dial_begin(struct stream *s, const struct endpoint *addresses, size_t n);
void dial_ready(struct stream *s, struct watch *watch);
void dial_tick(struct stream *s);
void dial_end(struct stream *s);

/* stream.c */
void stream_ready(struct stream *s, struct watch *watch, uint32_t events);
/* Its deadline, or what failed before. */
void stream_tick(struct stream *s);
void stream_connected(struct stream *s, int fd, const struct endpoint *remote);
void stream_fail(struct stream *s, enum stream_failure_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void stream_looked_up(void *context, const struct addr *addresses, size_t n, const char *text);

/* send.c */
int send_bytes(struct stream *s, const uint8_t *data, size_t len); /* 0 or -errno */
int send_sealed(struct stream *s); /* what TLS has for the network */
int send_queued(struct stream *s);

/* receive.c */
void receive_ready(struct stream *s);
void receive_records(struct stream *s); /* of TLS, those that have come whole */

#endif
