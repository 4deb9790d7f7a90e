/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A coordination server on 127.0.0.1 for tests, as well-behaved or as bad as the test wants: GET
 * /key, the upgrade, Noise, an early payload, and just enough HTTP/2 to answer a client of ours.
 *
 * Source: ../shared/protocol/control.md 2 and 3.
 * Owner:  the test.  Threads: one that accepts, one for each connection; answer() is called by the
 *         latter, one call at a time for all of them.
 */
#ifndef TESTS_LIB_CONTROL_SERVER_H
#define TESTS_LIB_CONTROL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/crypto/key.h"

struct control_server;
struct control_peer; /* a connection */

enum control_request_kind {
	CONTROL_REGISTER,
	CONTROL_MAP_STREAM,
	CONTROL_MAP_UPDATE,
	CONTROL_OTHER, /* HEAD, or an answer to c2n */
};

struct control_request {
	struct control_peer *peer;
	uint32_t stream;
	enum control_request_kind kind;
	const char *body; /* terminated by a zero */
	size_t len;
};

struct control_server_setup {
	const char *key_answer; /* whole HTTP answer to GET /key; NULL: the right one */
	const char *upgrade;    /* whole HTTP answer to POST /ts2021; NULL: 101 */
	const char *early;      /* JSON of the early payload; NULL: none is sent */
	bool other_key;         /* GET /key tells another key than the one that is used */
	size_t record;          /* bytes of plaintext in a record; 0: as many as fit */
	size_t piece;           /* bytes given to the network at once; 0: all */
	/* Called for each request once its body has come. */
	void (*answer)(void *context, const struct control_request *request);
	void *context;
};

/* Starts on a free port: NULL if it cannot.  setup is copied, what it points to must live. */
struct control_server *control_server_start(const struct control_server_setup *setup);
uint16_t control_server_port(const struct control_server *s);
/* How many upgrades there were. */
unsigned control_server_connections(struct control_server *s);
/* Ends every connection, and every thread. */
void control_server_stop(struct control_server *s);
/* Ends connections; new ones are accepted. */
void control_server_drop(struct control_server *s);

/* Answers.  A head without a body ends the request; retry_after: NULL for none. */
void control_answer_head(const struct control_request *r,
	unsigned status,
	const char *retry_after,
	bool end);
void control_answer_body(const struct control_request *r, const void *data, size_t len, bool end);
/* 200 and a body. */
void control_answer_text(const struct control_request *r, const char *text);
/* One message of a map stream: compressed if level > 0, in a frame that says its size or not. */
void control_answer_map(const struct control_request *r,
	const char *json,
	size_t len,
	int level,
	bool says_size);

/* Plaintext of the connection, whatever it is; bytes behind all layers; the end. */
void control_peer_plaintext(struct control_peer *p, const void *data, size_t len);
void control_peer_bytes(struct control_peer *p, const void *data, size_t len);
void control_peer_close(struct control_peer *p);

#endif
