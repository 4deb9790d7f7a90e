/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "tailnet"

#include "controlplane/gateway/tailnet/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/gateway/secret_memory.h"
#include "controlplane/gateway/tailnet/store_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define MAX_ASIDE 10 // damaged files that are kept

/* --- what is in it --- */

const struct secret_key *
store_machine_key(const struct store *s)
{
	return &s->machine_key;
}

const struct secret_key *
store_disco_key(const struct store *s)
{
	return &s->disco_key;
}

const uint8_t *
store_lock_public(const struct store *s)
{
	return s->lock_public;
}

const uint8_t *
store_lock_private(const struct store *s)
{
	return s->lock_private;
}

const char *
store_log_id(const struct store *s)
{
	return s->log_id;
}

bool
store_has_node_key(const struct store *s)
{
	return !store_key_is_zero(&s->node_key);
}

const struct secret_key *
store_node_key(const struct store *s)
{
	return &s->node_key;
}

const struct secret_key *
store_old_node_key(const struct store *s)
{
	return &s->old_node_key;
}

void
store_set_node_key(struct store *s, const struct secret_key *key)
{
	s->old_node_key = s->node_key;
	s->node_key = *key;
}

bool
store_is_registered(const struct store *s)
{
	return store_has_node_key(s) && s->login_server[0] != '\0';
}

const char *
store_login_server(const struct store *s)
{
	return s->login_server;
}

const char *
store_login_name(const struct store *s)
{
	return s->login_name;
}

const char *
store_stable_id(const struct store *s)
{
	return s->stable_id;
}

void
store_set_login(struct store *s, const char *login_server, const char *login_name)
{
	snprintf(s->login_server, sizeof(s->login_server), "%s",
		login_server != NULL ? login_server : "");
	snprintf(s->login_name, sizeof(s->login_name), "%s", login_name != NULL ? login_name : "");
}

void
store_set_stable_id(struct store *s, const char *stable_id)
{
	snprintf(s->stable_id, sizeof(s->stable_id), "%s", stable_id != NULL ? stable_id : "");
}

void
store_forget_node(struct store *s)
{
	secret_wipe(&s->node_key, sizeof(s->node_key));
	secret_wipe(&s->old_node_key, sizeof(s->old_node_key));
	store_set_login(s, NULL, NULL);
	store_set_stable_id(s, NULL);
	s->logged_out = true;
	s->wanted = false;
}

bool
store_is_wanted(const struct store *s)
{
	return s->wanted;
}

void
store_set_wanted(struct store *s, bool wanted)
{
	s->wanted = wanted;
}

bool
store_is_logged_out(const struct store *s)
{
	return s->logged_out;
}

void
store_set_logged_out(struct store *s, bool logged_out)
{
	s->logged_out = logged_out;
}

const struct tailnet_prefs *
store_prefs(const struct store *s)
{
	return &s->prefs;
}

void
store_set_prefs(struct store *s, const struct tailnet_prefs *prefs)
{
	s->prefs = *prefs;
}

static void
public_half(const struct secret_key *key, uint8_t out[static KEY_LEN])
{
	struct public_key half;

	key_public(&half, key);
	memcpy(out, half.bytes, KEY_LEN);
}

void
key_public_node(const struct secret_key *key, struct node_key *ret_key)
{
	public_half(key, ret_key->bytes);
}

void
key_public_disco(const struct secret_key *key, struct disco_key *ret_key)
{
	public_half(key, ret_key->bytes);
}

void
key_public_machine(const struct secret_key *key, struct machine_key *ret_key)
{
	public_half(key, ret_key->bytes);
}

/* --- opening --- */

static void
clear(struct store *s)
{
	char path[sizeof(s->path)];

	for (size_t i = 0; i < s->n_unknown; i++) {
		if (s->unknown[i].text != NULL)
			secret_wipe(s->unknown[i].text, strlen(s->unknown[i].text));
		free(s->unknown[i].text);
		free(s->unknown[i].name);
	}
	memcpy(path, s->path, sizeof(path));
	secret_wipe(s, sizeof(*s));
	memcpy(s->path, path, sizeof(path));
	prefs_default(&s->prefs);
}

static void
make_fresh(struct store *s)
{
	uint8_t id[(STORE_LOG_ID_LEN - 1) / 2];

	key_generate(&s->machine_key);
	key_generate(&s->disco_key);
	sign_generate(s->lock_public, s->lock_private);
	random_bytes(id, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(s->log_id + 2 * i, 3, "%02x", id[i]);
}

// Under a name that is free, so that nothing that was set aside before is lost.
static int
move_aside(const struct store *s)
{
	char aside[DURABLE_FILE_PATH_LEN + 16];

	for (int i = 0; i < MAX_ASIDE; i++) {
		snprintf(aside, sizeof(aside), "%s.damaged-%d", s->path, i);
		if (access(aside, F_OK) == 0)
			continue;
		if (rename(s->path, aside) < 0)
			return -errno;
		log_err("%s is damaged; it was moved to %s; this machine begins with new keys and "
			"has to join again, unless you mend that file and move it back",
			s->path, aside);
		return 0;
	}
	log_err("%s is damaged, and so were %d before it; look at them, then remove them", s->path,
		MAX_ASIDE);
	return -EEXIST;
}

static int
load_or_begin(struct store *s)
{
	int err = store_read(s);

	if (err == 0)
		return 0;
	if (err == ERR_VERSION)
		log_err("%s was written by a later version of Sluice (form %lld); this one would "
			"lose what it does not know; start that version, or move the file away "
			"and join again",
			s->path, (long long)s->version);
	if (err == ERR_BAD_FORMAT || err == ERR_BAD_KEY || err == -E2BIG)
		err = move_aside(s);
	else if (err == -ENOENT)
		err = 0;
	if (err < 0)
		return err;
	clear(s);
	make_fresh(s);
	return store_save(s);
}

int
store_open(const char *state_dir, struct store **ret_store)
{
	struct store *s = secret_memory_map(sizeof(*s));
	int err;

	if (s == NULL)
		return -ENOMEM;
	prefs_default(&s->prefs);
	if ((size_t)snprintf(s->path, sizeof(s->path), "%s/" STORE_FILE_NAME, state_dir) >=
		sizeof(s->path))
		err = -ENAMETOOLONG;
	else
		err = load_or_begin(s);
	if (err < 0 && err != ERR_VERSION)
		log_err("the state of this member cannot be kept: %s: %s", s->path, err_str(err));
	if (err < 0) {
		store_close(s);
		return err;
	}
	*ret_store = s;
	return 0;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	clear(s);
	secret_memory_unmap(s, sizeof(*s));
}
