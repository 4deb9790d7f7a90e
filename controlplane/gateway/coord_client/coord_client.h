/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The coordination client: finds the server's key, keeps a Noise connection with it, registers
 * this node, follows the map stream, tells the server what changes here, answers its pings.
 *
 * Source: ../shared/protocol/control.md 1 to 5, 7, 8, 10, 11 and Appendix E.
 * Owner:  one, made by whoever owns keys and map; destroyed before its stream set.
 * Thread: that of the stream set (coord).
 *
 * Time is given.  After each stream_set_dispatch(), when its own deadline comes, and after any
 * other call of this header, coord_client_tick() is due.  Calls are made from inside
 * stream_set_dispatch() and coord_client_tick() only, and may use every function here but
 * coord_client_tick() and coord_client_destroy().
 *
 * A loss of the server changes nothing but the phase: tunnels are not this client's concern.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_COORD_CLIENT_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_COORD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/stream/stream.h"
#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/tailnet/map_request.h"
#include "lib/tailnet/map_response.h"
#include "lib/tailnet/register.h"

#define COORD_TEXT_LEN 512  /* a text of a failure, with its zero */
#define COORD_URL_LEN  1024 /* a URL, with its zero */

struct coord_client;

enum coord_phase {
	COORD_IDLE,              /* nothing is wanted, or the caller has to do something */
	COORD_KEY,               /* asking for the server's key */
	COORD_CONNECTING,        /* Noise */
	COORD_REGISTERING,       /* the request is out */
	COORD_WAITING_FOR_LOGIN, /* somebody has to open the URL that registered() told */
	COORD_MAP,               /* the stream is wanted; facts say whether a map has come */
	COORD_BACKOFF,           /* something failed; it is tried again by itself */
};

/* What failed.  Each leads to COORD_BACKOFF, but those marked "idle" to COORD_IDLE. */
enum coord_failure_kind {
	COORD_FAILED_NAME,           /* the server's name has no address */
	COORD_FAILED_UNREACHABLE,    /* nobody answers there, or not in time */
	COORD_FAILED_PROXY,          /* the proxy of the environment */
	COORD_FAILED_UNKNOWN_CA,     /* its certificate is by nobody we know */
	COORD_FAILED_CERTIFICATE,    /* another name, or expired by the server's own clock too */
	COORD_FAILED_CLOCK,          /* our clock is wrong: certificates seem outside their time */
	COORD_FAILED_TLS,            /* TLS otherwise: plain HTTP behind an https URL, ... */
	COORD_FAILED_NO_COORDINATOR, /* something answers, but no coordination server */
	COORD_FAILED_SERVER_TOO_OLD, /* it has no key for this protocol */
	COORD_FAILED_WE_TOO_OLD,     /* it refuses our capability version */
	COORD_FAILED_HANDSHAKE, /* it does not have the key that it told before, or refuses us */
	COORD_FAILED_REFUSED,   /* its answer to the registration: `server_text` as it said it */
	COORD_FAILED_NODE_KEY_EXPIRED, /* idle: a new node key is needed: registered() has told */
	COORD_FAILED_TAILNET_LOCK, /* idle: the tailnet demands signatures, which we cannot make */
	COORD_FAILED_UNKNOWN_NODE, /* it does not know our node key (any more): deleted, perhaps */
	COORD_FAILED_RATE_LIMITED, /* it asks us to come later */
	COORD_FAILED_SERVER,       /* another HTTP status */
	COORD_FAILED_SILENT,       /* no message for 120 s, or no answer */
	COORD_FAILED_LOST,         /* the connection ended: the server was restarted, perhaps */
	COORD_FAILED_PROTOCOL,     /* it sent what nobody may send */
	COORD_FAILED_LOCAL,        /* map() refused, or no memory */
};

struct coord_failure {
	enum coord_failure_kind kind;
	char what[COORD_TEXT_LEN];       /* "cannot reach the coordination server hs.example:443" */
	char why[COORD_TEXT_LEN];        /* "connection refused" */
	char what_to_do[COORD_TEXT_LEN]; /* "check that ..." */
	char server_text[COORD_TEXT_LEN]; /* COORD_FAILED_REFUSED: verbatim, printable; else "" */
};

enum coord_register_reason {
	COORD_REGISTER_LOGIN,    /* coord_client_login() */
	COORD_REGISTER_FOLLOWUP, /* the same once more, blocking, for the URL that was told */
	COORD_REGISTER_LOGOUT,   /* coord_client_logout() */
};

struct coord_map_arrival {                 /* how a message came */
	struct mono first_byte, last_byte; /* of the message */
	size_t len;                        /* as it was sent */
	size_t text_len;                   /* of JSON */
	int64_t decode_ns;                 /* decompressing and parsing took this long */
};

struct coord_client_calls {
	/*
	 * Our facts as they are now, all of them.  What is pointed to must live until the function
	 * that called returns.  stream, omit_peers and compress_zstd are set by the client.
	 */
	void (*fill)(void *context, struct map_request *request);
	/* As above; followup and the expiry of a logout are set by the client.  FOLLOWUP must give
	 * the same node key as the LOGIN before it. */
	void (*fill_register)(void *context,
		enum coord_register_reason reason,
		struct register_request *request);
	/* Where it stands; failure: what led here, or NULL; borrowed. */
	void (*phase)(void *context, enum coord_phase phase, const struct coord_failure *failure);
	/*
	 * The answer to a login: an auth_url (the client waits for it by itself; the call comes
	 * again), node_key_expired (make a new key, then coord_client_login()), or neither: we are
	 * in, and unless the call stops the client it goes on to the map.  An answer with an error
	 * is not told here but as COORD_FAILED_REFUSED.
	 */
	void (*registered)(void *context, const struct register_response *response);
	/*
	 * A message of the map stream, no keep-alive; first: of this stream, so it is complete. May
	 * take out of it what netmap_apply() takes; the rest is freed afterwards.
	 * 0, or an error: the stream ends and is begun anew after a pause.
	 */
	int (*map)(void *context,
		struct map_response *response,
		bool first,
		const struct coord_map_arrival *arrival);
	/* Whether packets are moved: a router that is pinged by the server answers only if so.
	 * NULL: yes. */
	bool (*alive)(void *context);
	/* The answer to coord_client_logout() has come, or will not; then COORD_IDLE.  May be NULL.
	 */
	void (*logged_out)(void *context, bool server_knows);
	void *context;
};

struct coord_client_setup {
	struct stream_set *streams;           /* borrowed */
	const char *server_url;               /* "https://hs.example[:port]"; copied */
	const struct secret_key *machine_key; /* copied into secret memory */
	/* A key told by an earlier run lets connections begin without asking; zeros: none.  If the
	 * handshake fails it is asked for again. */
	struct public_key server_key;
	struct coord_client_calls calls; /* copied */
};

/* 0; -ENOMEM; ERR_BAD_FORMAT: no http or https URL with a host. */
[[nodiscard]] int coord_client_create(const struct coord_client_setup *setup,
	struct mono now,
	struct coord_client **ret_client);
/* Ends every connection, without calls.  NULL is allowed. */
void coord_client_destroy(struct coord_client *client);

/* Register, and then follow the map.  Also in the place of whatever is under way. */
void coord_client_login(struct coord_client *client);
/* Registered before: follow the map. */
void coord_client_start_map(struct coord_client *client);
/* End everything; COORD_IDLE. */
void coord_client_stop(struct coord_client *client);
/*
 * Tell the server that our node key is no longer used, within 5 s or not at all; logged_out()
 * follows, and COORD_IDLE.  fill_register() must still know the key.
 */
void coord_client_logout(struct coord_client *client);
/* Our facts have changed: tell them soon.  Many calls give one request; a failed one is repeated.
 */
void coord_client_update(struct coord_client *client);
/* The host's addresses or routes have changed: a connection that stands is given up, and what
 * waits is tried at once. */
void coord_client_network_changed(struct coord_client *client);

/* Do what is due; returns when to come again, or never. */
struct mono coord_client_tick(struct coord_client *client, struct mono now);

struct coord_facts { /* for status */
	enum coord_phase phase;
	const char *server_url;       /* borrowed from the client */
	struct public_key server_key; /* zeros: not known */
	bool has_failure;
	struct coord_failure failure; /* the last one; gone when a map has come */
	bool connected;               /* the stream stands, and the first map has come */
	struct mono connected_since;
	struct mono last_message; /* of the map stream, keep-alives too; or never */
	struct mono retry_at;     /* COORD_BACKOFF */
	bool update_pending;      /* a change was not accepted yet */
	uint32_t n_failures;      /* in a row */
	uint64_t n_streams, n_messages, n_keep_alives, n_updates; /* since it was made */
	uint64_t rx_bytes;                                        /* of map messages, as sent */
};

void coord_client_facts(const struct coord_client *client, struct coord_facts *ret_facts);

/* A word for people and JSON: "connecting" and so on. */
const char *coord_phase_name(enum coord_phase phase);

#endif
