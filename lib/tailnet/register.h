/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bodies of POST /machine/register and of its answer.
 *
 * Source: ../shared/protocol/control.md 4.1, 4.2, 1.4, 4.9.
 * Owner:  of a request everything is borrowed; register_response_fini() frees an answer.
 */
#ifndef LIB_TAILNET_REGISTER_H
#define LIB_TAILNET_REGISTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tailnet/instant.h"
#include "lib/tailnet/json_writer.h"
#include "lib/tailnet/lists.h"
#include "lib/tailnet/own_hostinfo.h"
#include "lib/tailnet/tailkey.h"

#define REGISTER_MAX_LEN (1u << 20) /* bytes of an answer */

struct register_request {
	struct node_key node_key;
	struct node_key old_node_key;  /* zeros: none */
	uint8_t lock_key[TAILKEY_LEN]; /* network-lock public key; zeros: none */
	const char *auth_key;          /* secret; NULL: none */
	struct instant expiry;         /* unset: no wish; past: log out */
	const char *followup;          /* NULL, or the AuthURL to wait for */
	const struct own_hostinfo *hostinfo;
	bool is_ephemeral;
	const struct octets *key_signature; /* NULL: none */
	const char *tailnet;                /* NULL, or which one to join */
};

/* A time in the past that means "log out". */
#define REGISTER_LOGOUT_EXPIRY instant_from_unix(123, 0)

/*
 * Write the request.  Of an auth key only what is before "--TL" goes out (1.4).  The text is w's,
 * and secret if there is an auth key: json_writer_finish(), json_writer_fini().
 */
void register_request_write(struct json_writer *w, const struct register_request *r);

struct register_response {
	char *error; /* NULL or "": none; else nothing below counts.  Show it as it is */
	int64_t user_id;
	char *user_display_name;
	char *login_name, *login_display_name;
	bool node_key_expired;
	bool machine_authorized; /* informational: the map's self node decides */
	char *auth_url;          /* NULL or "": none; else somebody has to open it */
	struct octets key_signature;
};

/* 0, ERR_BAD_FORMAT, -E2BIG, -ENOMEM; ret_response is written on success only. */
[[nodiscard]] int
register_response_parse(const char *text, size_t len, struct register_response *ret_response);

void register_response_fini(struct register_response *response);

/* The answer to GET /key. */
struct control_keys {
	struct machine_key current; /* zeros: the server is too old */
	struct machine_key legacy;  /* zeros: not spoken any more */
};

#define CONTROL_KEYS_MAX_LEN (64u << 10)

/* 0, ERR_BAD_FORMAT, -E2BIG or -ENOMEM. */
[[nodiscard]] int control_keys_parse(const char *text, size_t len, struct control_keys *ret_keys);

/*
 * The JSON of an early payload (lib/noise/control_early.h), of which nothing is used: would the
 * reference client read it?  0, or ERR_BAD_FORMAT, -E2BIG: it would end the connection.
 */
[[nodiscard]] int early_payload_check(const char *text, size_t len);

#endif
