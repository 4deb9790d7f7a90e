/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of the client know of each other.  Nothing here is for others.
 */
#ifndef CONTROLPLANE_GATEWAY_COORD_CLIENT_CLIENT_H
#define CONTROLPLANE_GATEWAY_COORD_CLIENT_CLIENT_H

#include "controlplane/gateway/coord_client/control.h"
#include "controlplane/gateway/coord_client/coord_client.h"
#include "controlplane/gateway/coord_client/failure.h"
#include "controlplane/gateway/coord_client/fetch.h"
#include "controlplane/gateway/coord_client/map_reader.h"
#include "controlplane/gateway/coord_client/server_url.h"

#define COORD_MAX_PINGS  4   /* answers outside Noise under way */
#define COORD_ERROR_BODY 200 /* bytes of an error's body that are looked at */

enum wanted {
	WANT_NOTHING,
	WANT_LOGIN,
	WANT_MAP,
	WANT_LOGOUT,
};

/* An answer to a request, as far as it has come. */
struct answer {
	int32_t id; /* of the request; 0: none under way */
	unsigned status;
	char retry_after[64];
	char *body;
	size_t len, limit;
};

struct coord_client {
	struct stream_set *streams;
	struct coord_client_calls calls;
	struct secret_key *machine; /* secret memory */
	char *url_text;
	struct server_url url;
	char server[URL_AUTHORITY_LEN];    /* with port, for people */
	char authority[URL_AUTHORITY_LEN]; /* of requests */

	struct mono now;
	enum wanted wanted, order; /* order: wanted from the next tick on, if is_ordered */
	bool is_ordered, network_changed;
	enum coord_phase phase;
	struct coord_failure failure;
	bool has_failure;
	uint32_t n_failures;
	struct mono retry_at;

	struct public_key server_key;
	bool has_server_key;
	struct fetch *key_fetch, *clock_fetch;

	struct control *control;
	bool control_ready;

	struct answer registering;
	struct mono register_deadline;
	char followup[COORD_URL_LEN];

	struct answer following; /* the map stream; its body is only kept of errors */
	struct map_reader reader;
	bool has_map; /* the first message was applied */
	bool refused; /* `failure` says why the stream was ended by us */
	struct mono watchdog, connected_since, last_message, message_begun;
	uint64_t n_streams, n_messages, n_keep_alives, rx_bytes;

	struct answer updating;
	uint64_t update_wanted, update_sent, update_accepted; /* revisions of our facts */
	bool update_soon;
	struct mono update_at, update_deadline;
	uint32_t n_update_failures;
	uint64_t n_updates;

	char *last_ping_url;
	int32_t inside_pings[COORD_MAX_PINGS]; /* requests on the control connection; 0: none */
	unsigned n_inside_pings;
	struct ping {
		struct fetch *fetch; /* NULL: free */
		struct coord_client *client;
	} pings[COORD_MAX_PINGS];
};

/* coord_client.c */
bool client_is_obsolete(const struct coord_client *cc); /* something else was ordered */
void client_set_phase(struct coord_client *cc, enum coord_phase phase);
/* End the connection, and begin anew after a pause.  The failure is in cc->failure. */
void client_fail(struct coord_client *cc);
void client_fail_with(struct coord_client *cc, enum coord_failure_kind kind, const char *why);
void client_touch(struct coord_client *cc); /* cc->now, at the begin of a call from below */
int64_t client_back_off_ns(uint32_t n_failures);

/* answer.c */
void answer_begin(struct answer *a, size_t limit);
void answer_status(struct answer *a, unsigned status, const char *retry_after);
int answer_add(struct answer *a, const uint8_t *data, size_t len); /* 0, -E2BIG, -ENOMEM */
void answer_end(struct answer *a);                                 /* forget it */
/* What a status that is not 200 means. */
void answer_fail(struct coord_client *cc, const struct answer *a);

/* login.c */
void login_begin(struct coord_client *cc);

/* follow.c */
void follow_begin(struct coord_client *cc);

/* update.c */
void update_step(struct coord_client *cc);

/* ping.c */
void ping_answer(struct coord_client *cc, const struct ping_request *request);
void pings_cancel(struct coord_client *cc);
struct mono pings_tick(struct coord_client *cc);

#endif
