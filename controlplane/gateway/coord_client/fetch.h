/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One HTTP/1.1 request on a connection of its own: the server's key, pings that are to be answered
 * in the open.
 *
 * Source: RFC 9110, RFC 9112; ../shared/protocol/control.md 2.1, 8.2.
 * Owner:  the caller until done() is called; fetch_cancel() before that.
 * Thread: that of the stream set.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_FETCH_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_FETCH_H

#include "controlplane/gateway/coord_client/server_url.h"
#include "controlplane/gateway/stream/stream.h"

#define FETCH_MAX_BODY     (64u << 10)
#define FETCH_TEXT_LEN     160
#define FETCH_LOCATION_LEN 256

struct fetch;

struct fetch_result {
	const struct stream_failure *failure; /* NULL: there was an answer */
	const char *broken;                   /* an answer that is no HTTP or too long; or NULL */
	unsigned status;
	const char *body; /* borrowed; not terminated */
	size_t body_len;
	bool has_date;
	int64_t date_s;                    /* the field Date, seconds since 1970 */
	char location[FETCH_LOCATION_LEN]; /* where a redirection leads; "": none, or too long */
};

typedef void (*fetch_done)(void *context, const struct fetch_result *result);

struct fetch_request {
	const char *method; /* "GET", "HEAD" */
	const struct server_url *url;
	enum stream_verify verify;
	int64_t timeout_ns; /* for everything */
	fetch_done done;    /* once; the fetch is gone when it returns */
	void *context;
};

/* 0; -ENOMEM; -EINVAL. */
[[nodiscard]] int fetch_start(struct stream_set *set,
	const struct fetch_request *request,
	struct mono now,
	struct fetch **ret_fetch);
/* No call follows.  NULL is allowed. */
void fetch_cancel(struct fetch *f);
/* Gives up when its time is over (done() is called).  Returns when to come again. */
struct mono fetch_tick(struct fetch *f, struct mono now);

#endif
