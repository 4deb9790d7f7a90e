/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/register.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/tailnet/capver.h"
#include "lib/tailnet/json_decode.h"
#include "lib/tailnet/json_span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define BUDGET       (2u << 20) // bytes that an answer may become
#define AUTH_KEY_MAX 1024

// An auth key may have a credential of tailnet lock behind it, which is not for the server.
static void
write_auth(struct json_writer *w, const char *auth_key)
{
	char sent[AUTH_KEY_MAX];
	const char *wrapped;
	size_t len;

	if (auth_key == NULL || auth_key[0] == '\0')
		return;
	wrapped = strstr(auth_key, "--TL");
	len = wrapped != NULL ? (size_t)(wrapped - auth_key) : strlen(auth_key);
	if (len >= sizeof(sent)) // no server has such keys: let it say so
		len = sizeof(sent) - 1;
	memcpy(sent, auth_key, len);
	sent[len] = '\0';
	json_write_open(w, "Auth", '{');
	json_write_text(w, "AuthKey", sent);
	json_write_close(w, '}');
	secret_wipe(sent, sizeof(sent));
}

void
register_request_write(struct json_writer *w, const struct register_request *r)
{
	char text[TAILKEY_TEXT_SIZE], expiry[INSTANT_TEXT_SIZE];

	json_write_open(w, NULL, '{');
	json_write_int(w, "Version", TAILNET_CAPVER);
	json_write_text(w, "NodeKey", tailkey_format(TAILKEY_NODE, r->node_key.bytes, text));
	json_write_text(w, "OldNodeKey", tailkey_format(TAILKEY_NODE, r->old_node_key.bytes, text));
	json_write_text(w, "NLKey", tailkey_format(TAILKEY_NETWORK_LOCK, r->lock_key, text));
	write_auth(w, r->auth_key);
	json_write_text(w, "Expiry", instant_format(r->expiry, expiry));
	json_write_text(w, "Followup", r->followup);
	own_hostinfo_write(w, "Hostinfo", r->hostinfo);
	if (r->is_ephemeral)
		json_write_bool(w, "Ephemeral", true);
	json_write_octets(w, "NodeKeySignature", r->key_signature);
	if (r->tailnet != NULL && r->tailnet[0] != '\0')
		json_write_text(w, "Tailnet", r->tailnet);
	json_write_close(w, '}');
}

#define AT(member) offsetof(struct register_response, member)

static const struct json_member user_members[] = {
	{ "ID", json_decode_int64, AT(user_id) },
	{ "DisplayName", json_decode_text, AT(user_display_name) },
};

static int
read_user(const struct json_t *value, void *into, struct json_budget *budget)
{
	return json_decode_members(value, user_members, COUNT(user_members), into, budget);
}

static const struct json_member login_members[] = {
	{ "LoginName", json_decode_text, AT(login_name) },
	{ "DisplayName", json_decode_text, AT(login_display_name) },
};

static int
read_login(const struct json_t *value, void *into, struct json_budget *budget)
{
	return json_decode_members(value, login_members, COUNT(login_members), into, budget);
}

static const struct json_member members[] = {
	{ "User", read_user, 0 },
	{ "Login", read_login, 0 },
	{ "NodeKeyExpired", json_decode_bool, AT(node_key_expired) },
	{ "MachineAuthorized", json_decode_bool, AT(machine_authorized) },
	{ "AuthURL", json_decode_text, AT(auth_url) },
	{ "NodeKeySignature", json_decode_octets, AT(key_signature) },
	{ "Error", json_decode_text, AT(error) },
};

// A small document of one object.
static int
parse(const char *text,
	size_t len,
	size_t max_len,
	const struct json_member *rows,
	size_t n_rows,
	void *into)
{
	struct json_budget budget = { BUDGET };
	struct json_span span = { text, len };
	json_t *value;
	int err = len <= max_len ? json_span_load(&span, &value) : -E2BIG;

	if (err < 0)
		return err;
	err = json_decode_members(value, rows, n_rows, into, &budget);
	json_decref(value);
	return err;
}

int
register_response_parse(const char *text, size_t len, struct register_response *ret_response)
{
	struct register_response r = {};
	int err = parse(text, len, REGISTER_MAX_LEN, members, COUNT(members), &r);

	if (err < 0)
		register_response_fini(&r);
	else
		*ret_response = r;
	return err;
}

void
register_response_fini(struct register_response *r)
{
	free(r->error);
	free(r->user_display_name);
	free(r->login_name);
	free(r->login_display_name);
	free(r->auth_url);
	octets_fini(&r->key_signature);
	*r = (struct register_response){};
}

static const struct json_member key_members[] = {
	{ "publicKey", json_decode_machine_key, offsetof(struct control_keys, current) },
	{ "legacyPublicKey", json_decode_machine_key, offsetof(struct control_keys, legacy) },
};

int
control_keys_parse(const char *text, size_t len, struct control_keys *ret_keys)
{
	struct control_keys keys = {};
	int err = parse(text, len, CONTROL_KEYS_MAX_LEN, key_members, COUNT(key_members), &keys);

	if (err == 0)
		*ret_keys = keys;
	return err;
}

static int
read_challenge(const struct json_t *value, void *into, struct json_budget *)
{
	if (!json_is_string(value))
		return ERR_BAD_FORMAT;
	return tailkey_parse(
		TAILKEY_CHALLENGE, json_string_value(value), json_string_length(value), into);
}

static const struct json_member early_members[] = {
	{ "nodeKeyChallenge", read_challenge, 0 },
};

int
early_payload_check(const char *text, size_t len)
{
	uint8_t challenge[TAILKEY_LEN];

	return parse(text, len, REGISTER_MAX_LEN, early_members, COUNT(early_members), challenge);
}
