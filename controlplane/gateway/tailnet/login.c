/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Joining and leaving: which node key is used, when it is registered, and what becomes of it.
 *
 * Source: ../shared/protocol/control.md 4.3 and 7.
 */

#define LOG_TAG "tailnet"

#include <stdio.h>
#include <string.h>

#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"

void
member_wipe_auth_key(struct member *m)
{
	secret_wipe(m->auth_key, CONFIG_AUTH_KEY_LEN);
}

static void
save(struct member *m)
{
	int err = store_save(m->store);

	if (err < 0)
		log_err("the state of this member cannot be kept: %s/%s: %s", m->setup.state_dir,
			STORE_FILE_NAME, err_str(err));
}

/* --- calls of the client --- */

static void
fill(void *context, struct map_request *r)
{
	struct member *m = context;

	key_public_node(store_node_key(m->store), &r->node_key);
	key_public_disco(store_disco_key(m->store), &r->disco_key);
	r->hostinfo = own_facts_hostinfo(m->own);
	if (m->facts != NULL) {
		r->endpoints = m->facts->endpoints;
		r->n_endpoints = m->facts->n_endpoints;
	}
}

// The key in the making, else the one that was registered.
static const struct secret_key *
key_to_register(const struct member *m)
{
	return m->has_fresh_key ? m->fresh_key : store_node_key(m->store);
}

static void
fill_register(void *context, enum coord_register_reason reason, struct register_request *r)
{
	struct member *m = context;

	key_public_node(
		reason == COORD_REGISTER_LOGOUT ? store_node_key(m->store) : key_to_register(m),
		&r->node_key);
	if (m->has_fresh_key && reason != COORD_REGISTER_LOGOUT && member_is_registered(m))
		key_public_node(store_node_key(m->store), &r->old_node_key);
	memcpy(r->lock_key, store_lock_public(m->store), TAILKEY_LEN);
	if (m->auth_key[0] != '\0')
		r->auth_key = m->auth_key;
	r->hostinfo = own_facts_hostinfo(m->own);
}

static void
on_phase(void *context, enum coord_phase phase, const struct coord_failure *failure)
{
	struct member *m = context;

	if (failure != NULL) {
		if (!m->has_failure || strcmp(m->failure.why, failure->why) != 0)
			log_warning("%s: %s; %s", failure->what, failure->why, failure->what_to_do);
		m->failure = *failure;
		m->has_failure = true;
		// Asking again with a key that was refused would only be refused again.
		if (failure->kind == COORD_FAILED_REFUSED)
			m->login = LOGIN_NONE;
	}
	m->phase = phase;
}

// We are in: the fresh key is the key from now on.
static void
take_fresh_key(struct member *m)
{
	if (!m->has_fresh_key)
		return;
	store_set_node_key(m->store, m->fresh_key);
	secret_wipe(m->fresh_key, sizeof(*m->fresh_key));
	m->has_fresh_key = false;
	m->wish_due = true;
}

static void
make_fresh_key(struct member *m)
{
	if (m->has_fresh_key)
		return;
	key_generate(m->fresh_key);
	m->has_fresh_key = true;
}

static void
on_registered(void *context, const struct register_response *r)
{
	struct member *m = context;

	if (r->node_key_expired) {
		if (m->regenerated) {
			log_err("the server calls a new node key expired; not trying again");
			m->login = LOGIN_NONE;
			return;
		}
		m->regenerated = true;
		make_fresh_key(m);
		coord_client_login(m->client);
		return;
	}
	if (r->auth_url != NULL && r->auth_url[0] != '\0') {
		snprintf(m->auth_url, sizeof(m->auth_url), "%s", r->auth_url);
		m->login = LOGIN_WAITING;
		log_notice("somebody has to log this machine in, at %s", m->auth_url);
		return;
	}
	log_notice("registered with the coordination server server=%s user=%s",
		m->prefs.login_server, r->login_name != NULL ? r->login_name : "");
	m->login = LOGIN_DONE;
	m->auth_url[0] = '\0';
	m->regenerated = false;
	m->has_failure = false;
	m->self_expired = false;
	member_wipe_auth_key(m);
	take_fresh_key(m);
	store_set_login(m->store, m->prefs.login_server, r->login_name);
	save(m);
}

static bool
is_alive(void *context)
{
	struct member *m = context;

	return m->setup.calls.is_alive(m->setup.calls.context);
}

void
member_forget_map(struct member *m)
{
	uint64_t seed;

	random_bytes(&seed, sizeof(seed));
	netmap_fini(&m->map);
	netmap_init(&m->map, seed);
	m->self_expired = m->from_disk = false;
	acl_block_unref(m->filter);
	m->filter = NULL;
	m->wish_due = true;
}

static void
forget_registration(struct member *m)
{
	m->is_leaving = false;
	store_forget_node(m->store);
	store_set_logged_out(m->store, true);
	map_cache_remove(m->cache);
	member_forget_map(m);
	m->login = LOGIN_NONE;
	save(m);
}

static void
on_logged_out(void *context, bool server_knows)
{
	struct member *m = context;

	if (!server_knows)
		log_warning("the server could not be told that this node key is no longer used");
	forget_registration(m);
}

/* --- connecting --- */

bool
member_is_registered(const struct member *m)
{
	return store_has_node_key(m->store) && store_is_registered(m->store) &&
	       strcmp(store_login_server(m->store), m->prefs.login_server) == 0;
}

static int
make_client(struct member *m)
{
	struct coord_client_setup setup = { .streams = m->streams,
		.server_url = m->prefs.login_server,
		.machine_key = store_machine_key(m->store),
		.calls = { .fill = fill,
			.fill_register = fill_register,
			.phase = on_phase,
			.registered = on_registered,
			.map = member_on_map,
			.alive = is_alive,
			.logged_out = on_logged_out,
			.context = m } };

	if (m->client != NULL)
		return 0;
	return coord_client_create(&setup, m->now, &m->client);
}

// The auth key that the configuration names, unless a command brought one.
static void
take_configured_auth_key(struct member *m)
{
	const char *key = m->setup.config->tailnet.auth_key;

	if (m->auth_key[0] == '\0' && key[0] != '\0')
		snprintf(m->auth_key, CONFIG_AUTH_KEY_LEN, "%s", key);
}

void
member_connect(struct member *m, bool force)
{
	bool is_registered = member_is_registered(m);
	int err = make_client(m);

	if (err < 0) {
		log_err("cannot speak with %s: %s", m->prefs.login_server, err_str(err));
		return;
	}
	m->has_failure = false;
	if (is_registered && !force && !m->self_expired) {
		m->login = LOGIN_DONE;
		coord_client_start_map(m->client);
		return;
	}
	take_configured_auth_key(m);
	m->regenerated = false;
	// One server's key is not told to another, either.
	if (force || m->self_expired || !is_registered)
		make_fresh_key(m);
	m->login = LOGIN_TRYING;
	m->auth_url[0] = '\0';
	coord_client_login(m->client);
}

void
member_disconnect(struct member *m)
{
	if (m->client != NULL) {
		coord_client_stop(m->client);
		coord_client_destroy(m->client);
	}
	m->client = NULL;
	m->login = LOGIN_NONE;
	m->phase = COORD_IDLE;
	m->auth_url[0] = '\0';
	m->wish_due = true;
}

void
member_log_out(struct member *m)
{
	m->is_leaving = make_client(m) == 0 && store_has_node_key(m->store);
	if (m->is_leaving)
		coord_client_logout(m->client);
	else
		forget_registration(m);
}

void
member_end_logout(struct member *m)
{
	if (!m->is_leaving)
		return;
	member_disconnect(m);
	forget_registration(m);
}
