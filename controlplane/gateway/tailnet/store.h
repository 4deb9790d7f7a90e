/* SPDX-License-Identifier: BSD-3-Clause
 *
 * STATE_DIR/tailnet.json: what makes this machine the member that it is.  Keys, which server knows
 * them, what people have set, whether we are to be connected.
 *
 *     {"version":1,"machine_key":"privkey:...","disco_key":"privkey:...","lock_key":"nlpriv:...",
 *      "backend_log_id":"64 hex digits","node_key":"privkey:...","old_node_key":"privkey:...",
 *      "login_server":"https://...","login_name":"...","stable_id":"...","wanted":true,
 *      "logged_out":false,"prefs":{...}}
 *
 * Members that we do not know are kept.  A file of a later version is refused, since writing it
 * would lose what that version means; one that is damaged is moved aside, with a line in the log,
 * and new keys are made.
 *
 * Owner:  the member.  All of it lies in secret memory.  Thread: coord.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_STORE_H
#define CONTROLPLANE_GATEWAY_TAILNET_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/gateway/tailnet/prefs.h"
#include "lib/crypto/key.h"
#include "lib/tailnet/tailkey.h"

#define STORE_FILE_NAME  "tailnet.json"
#define STORE_MAX_BYTES  (1u << 20) /* of the file */
#define STORE_LOG_ID_LEN 65         /* 64 hex digits and the terminating zero */
#define STORE_TEXT_LEN   256        /* of a login name and a stable ID, with the zero */

struct store;

/*
 * Read the file, or begin with fresh keys, which are saved at once.  Errors are said in the log.
 *
 * Returns 0; ERR_VERSION: it is of a later version of Sluice; -ENOMEM; -errno of reading, moving
 * aside or writing.
 */
[[nodiscard]] int store_open(const char *state_dir, struct store **ret_store);
/* Wipes; NULL is allowed. */
void store_close(struct store *s);

/*
 * Write what there is: mode 0600, under another name first, then renamed, each step stored.
 * 0, -ENOMEM or -errno; then the file is as it was.
 */
[[nodiscard]] int store_save(const struct store *s);

/* Borrowed; made once and kept for ever. */
const struct secret_key *store_machine_key(const struct store *s);
const struct secret_key *store_disco_key(const struct store *s); /* stock clients drop sessions when
                                                                    it changes */
const uint8_t *store_lock_public(const struct store *s);         /* TAILKEY_LEN bytes: Ed25519 */
const uint8_t *store_lock_private(const struct store *s);        /* TAILKEY_MAX_LEN bytes */
const char *store_log_id(const struct store *s);

/* The node key, and the one before; zeros where there is none. */
bool store_has_node_key(const struct store *s);
const struct secret_key *store_node_key(const struct store *s);
const struct secret_key *store_old_node_key(const struct store *s);
/* Another node key from now on; the one before becomes the old one. */
void store_set_node_key(struct store *s, const struct secret_key *key);

/* Whether a server has accepted the node key, and which ("" for none). */
bool store_is_registered(const struct store *s);
const char *store_login_server(const struct store *s);
const char *store_login_name(const struct store *s);
const char *store_stable_id(const struct store *s);
/* NULL is "".  What is too long is cut: all three are for people and for comparing. */
void store_set_login(struct store *s, const char *login_server, const char *login_name);
void store_set_stable_id(struct store *s, const char *stable_id);
/* After a logout: no node key, no registration, logged out. */
void store_forget_node(struct store *s);

/* Whether we are to be connected (`sluice up`), or not (`sluice down`).  At first: not. */
bool store_is_wanted(const struct store *s);
void store_set_wanted(struct store *s, bool wanted);
/* `sluice logout` was the last word: an auth key in the file does not bring us back. */
bool store_is_logged_out(const struct store *s);
void store_set_logged_out(struct store *s, bool logged_out);

/* What people set; borrowed, and copied. */
const struct tailnet_prefs *store_prefs(const struct store *s);
void store_set_prefs(struct store *s, const struct tailnet_prefs *prefs);

/* The public halves, with the types of the protocol. */
void key_public_node(const struct secret_key *key, struct node_key *ret_key);
void key_public_disco(const struct secret_key *key, struct disco_key *ret_key);
void key_public_machine(const struct secret_key *key, struct machine_key *ret_key);

#endif
