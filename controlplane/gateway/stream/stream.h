/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Connections to servers: addresses are looked up and raced, a proxy of the environment is asked,
 * TLS is spoken; what is above sees bytes.
 *
 * Source: RFC 8305 (racing addresses), RFC 9110 9.3.6 (CONNECT), RFC 8446, RFC 9525 (names in
 *         certificates); curl(1), "ENVIRONMENT", for the proxy's variables.
 * Owner:  a set owns its streams; whoever opens a stream closes it, or hears closed().
 * Thread: a set and its streams belong to one thread; a trust may be shared by threads.
 *
 * The owner of the thread waits for stream_set_fd() to become readable (or for the time that
 * stream_set_dispatch() told), calls stream_set_dispatch(), and then the ticks of those who use the
 * set.  Calls are made from inside stream_set_dispatch() only.  They may open, send on and close
 * any stream of the set, their own too.
 *
 * Servers are hostile: everything that is kept for one is bounded.
 */
#ifndef CONTROLPLANE_GATEWAY_STREAM_STREAM_H
#define CONTROLPLANE_GATEWAY_STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/stream/trust.h"
#include "lib/base/clock.h"
#include "lib/net/addr.h"

#define STREAM_HOST_LEN      254          /* of a host name, with its zero */
#define STREAM_MAX_ADDRESSES 16           /* of a host; more are not tried */
#define STREAM_KEPT_MAX      (128u << 10) /* bytes that received() may leave for later */
#define STREAM_QUEUE_MAX     (4u << 20)   /* bytes that wait to be sent */
#define STREAM_LOW           (32u << 10)  /* drained(): fewer than these wait */

struct stream_set;
struct stream;

enum stream_failure_kind {
	STREAM_NAME,            /* the host's name has no address, or could not be looked up */
	STREAM_CONNECT,         /* no address answers */
	STREAM_PROXY,           /* the proxy cannot be reached, or refuses */
	STREAM_TLS_CERTIFICATE, /* the server's certificate is not accepted: `certificate` */
	STREAM_TLS,             /* any other failure of TLS */
	STREAM_TIMEOUT,         /* not opened in time */
	STREAM_RESET,           /* opened, and then an error of the connection */
	STREAM_EOF,             /* opened, and then ended by the server in order */
	STREAM_OVERFLOW,        /* received() left more than STREAM_KEPT_MAX */
};

enum stream_certificate_problem {
	STREAM_CERTIFICATE_FINE,
	STREAM_CERTIFICATE_UNKNOWN_CA,
	STREAM_CERTIFICATE_WRONG_NAME,
	STREAM_CERTIFICATE_EXPIRED,
	STREAM_CERTIFICATE_NOT_YET_VALID,
	STREAM_CERTIFICATE_OTHER, /* and a fingerprint that differs */
};

struct stream_failure {
	enum stream_failure_kind kind;
	bool was_opened;
	enum stream_certificate_problem certificate;
	int64_t valid_from_s,
		valid_to_s; /* of a certificate outside its time; seconds since 1970 */
	const char *text;   /* for people: a fragment in lower case, "connection refused" */
};

enum stream_verify {
	STREAM_VERIFY_FULL,   /* chain, name and time */
	STREAM_VERIFY_LOGGED, /* what is wrong is logged: something inside authenticates the server
	                       */
	STREAM_VERIFY_NONE,
};

struct stream_target {    /* copied by stream_open(), texts too */
	const char *host; /* a name or an address without brackets */
	uint16_t port;
	bool tls;
	enum stream_verify verify;
	/* What the certificate is to say, and what is asked for by SNI; NULL: host.
	 * "sha256-raw:<64 hex digits>": exactly the leaf with this SHA-256 of its DER form is
	 * accepted, whatever is in it, and SNI is the host. */
	const char *cert_name;
	const struct endpoint *addresses; /* to be tried in place of the host's; ports count */
	size_t n_addresses;               /* 0: the host is looked up */
	uint8_t family;                   /* enum addr_family: only these addresses; 0: all */
	bool direct;                      /* whatever proxy the environment names */
	bool low_delay; /* little is left to the kernel's queue, so that what is urgent waits less
	                 */
	int64_t timeout_ns; /* from now until it is opened; 0: 10 s */
};

struct stream_calls { /* any may be NULL */
	void (*opened)(void *context);
	/*
	 * What has come.  Returns how many bytes are taken; the rest comes again, with what
	 * follows, contiguously.  May be changed in place until the call returns.
	 */
	size_t (*received)(void *context, uint8_t *data, size_t len);
	/* After more than STREAM_LOW waited to be sent, less does now. */
	void (*drained)(void *context);
	/* It did not open, or it ended.  The stream is gone when the call returns. */
	void (*closed)(void *context, const struct stream_failure *failure);
	void *context;
};

/*
 * trust: referenced by the set.  mark: SO_MARK of all sockets, 0: none; where it may not be set it
 * is left out.  0, -ENOMEM or -errno.
 */
[[nodiscard]] int
stream_set_create(struct trust *trust, uint32_t mark, struct stream_set **ret_set);
/* Closes all streams without calls.  Not from inside a call.  NULL is allowed. */
void stream_set_destroy(struct stream_set *set);
/* For streams opened from now on. */
void stream_set_trust(struct stream_set *set, struct trust *trust);

/* An epoll descriptor, readable when there is something to do; borrowed. */
int stream_set_fd(const struct stream_set *set);
/* Do what is to be done.  Returns when to come again at the latest, or never. */
struct mono stream_set_dispatch(struct stream_set *set, struct mono now);
/* The time of the dispatch under way, or of the last one: for use in calls. */
struct mono stream_set_now(const struct stream_set *set);

/* calls: copied.  Every other failure is told by closed().  0; -ENOMEM; -EINVAL (host, port). */
[[nodiscard]] int stream_open(struct stream_set *set,
	const struct stream_target *target,
	const struct stream_calls *calls,
	struct mono now,
	struct stream **ret_stream);

/*
 * data is copied, and goes out at once as far as the kernel takes it; with TLS, one call is one
 * record for every 16 KiB.  0; -ENOTCONN: not open (any more); -ENOBUFS: more than
 * STREAM_QUEUE_MAX would wait, nothing was taken.
 */
[[nodiscard]] int stream_send(struct stream *stream, const void *data, size_t len);
/* Bytes that wait here to be sent. */
size_t stream_queued(const struct stream *stream);

/* What waits is tried to be sent once more; the stream is gone, no call follows.  NULL is allowed.
 */
void stream_close(struct stream *stream);

/* Of an opened stream. */
bool stream_is_tls13(const struct stream *stream);
/* The subject's common name of the last certificate that the server sent, or NULL; borrowed. */
const char *stream_last_common_name(const struct stream *stream);
/* Its serial number, if that fits; -1: no certificate, or a larger number. */
int64_t stream_last_serial(const struct stream *stream);
/* Whom it is connected to (the proxy, where one is used). */
const struct endpoint *stream_remote(const struct stream *stream);

/*
 * Look a host's name up, by a thread: the answer comes from stream_set_dispatch().
 * n 0: text says why; else the addresses in the order in which they are to be tried, port 0.
 */
typedef void (
	*lookup_done)(void *context, const struct addr *addresses, size_t n, const char *text);
struct lookup;
[[nodiscard]] int lookup_start(struct stream_set *set,
	const char *host,
	lookup_done done,
	void *context,
	struct lookup **ret_lookup);
/* No call follows.  After the call was made the look-up is gone by itself. */
void lookup_cancel(struct lookup *lookup);

#endif
