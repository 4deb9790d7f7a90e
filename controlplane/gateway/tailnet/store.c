/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "tailnet"

#include "controlplane/gateway/tailnet/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "controlplane/gateway/durable_file.h"
#include "controlplane/gateway/secret_memory.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/secret.h"
#include "lib/crypto/sign.h"
#include "lib/tailnet/json_span.h"
#include "lib/tailnet/json_writer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define VERSION     1
#define MAX_UNKNOWN 256 // members that only another version knows
#define MAX_ASIDE   10  // damaged files that are kept

struct unknown { // a member to be written back as it was
	char *name, *text;
};

struct store {
	char path[DURABLE_FILE_PATH_LEN];
	struct secret_key machine_key, disco_key;
	uint8_t lock_private[SIGN_PRIVATE_LEN], lock_public[SIGN_PUBLIC_LEN];
	char log_id[STORE_LOG_ID_LEN];
	struct secret_key node_key, old_node_key; // zeros: none
	char login_server[CONFIG_URL_LEN];
	char login_name[STORE_TEXT_LEN], stable_id[STORE_TEXT_LEN];
	bool wanted, logged_out;
	struct tailnet_prefs prefs;
	struct unknown unknown[MAX_UNKNOWN];
	size_t n_unknown;
	int64_t version;
};

/* --- what is in it --- */

static bool
is_zero(const struct secret_key *key)
{
	static const struct secret_key zeros;

	return secret_equal(key->bytes, zeros.bytes, sizeof(zeros.bytes));
}

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
	return !is_zero(&s->node_key);
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

/* --- reading --- */

// Parsed where it lies, in secret memory: no tree is made of a key.
static int
read_key(const struct json_span *span, enum tailkey_kind kind, uint8_t *out)
{
	if (span->len < 2 || span->text[0] != '"')
		return ERR_BAD_FORMAT;
	return tailkey_parse(kind, span->text + 1, span->len - 2, out);
}

static int
read_text(const struct json_span *span, char *out, size_t size)
{
	json_t *value;
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	if (!json_is_string(value) || json_string_length(value) >= size)
		err = ERR_BAD_FORMAT;
	else
		snprintf(out, size, "%s", json_string_value(value));
	json_decref(value);
	return err;
}

static int
read_bool(const struct json_span *span, bool *out)
{
	json_t *value;
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	if (!json_is_boolean(value))
		err = ERR_BAD_FORMAT;
	*out = json_is_true(value);
	json_decref(value);
	return err;
}

static int
read_version(const struct json_span *span, struct store *s)
{
	json_t *value;
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	s->version = json_integer_value(value);
	if (!json_is_integer(value) || s->version < 1)
		err = ERR_BAD_FORMAT;
	json_decref(value);
	return err;
}

static int
read_machine_key(const struct json_span *span, struct store *s)
{
	return read_key(span, TAILKEY_PRIVATE, s->machine_key.bytes);
}

static int
read_disco_key(const struct json_span *span, struct store *s)
{
	return read_key(span, TAILKEY_PRIVATE, s->disco_key.bytes);
}

static int
read_node_key(const struct json_span *span, struct store *s)
{
	return read_key(span, TAILKEY_PRIVATE, s->node_key.bytes);
}

static int
read_old_node_key(const struct json_span *span, struct store *s)
{
	return read_key(span, TAILKEY_PRIVATE, s->old_node_key.bytes);
}

static int
read_lock_key(const struct json_span *span, struct store *s)
{
	int err = read_key(span, TAILKEY_LOCK_PRIVATE, s->lock_private);

	return err < 0 ? err : sign_public(s->lock_public, s->lock_private);
}

static int
read_log_id(const struct json_span *span, struct store *s)
{
	int err = read_text(span, s->log_id, sizeof(s->log_id));

	if (err == 0 && (strspn(s->log_id, "0123456789abcdef") != STORE_LOG_ID_LEN - 1))
		err = ERR_BAD_FORMAT;
	return err;
}

static int
read_login_server(const struct json_span *span, struct store *s)
{
	return read_text(span, s->login_server, sizeof(s->login_server));
}

static int
read_login_name(const struct json_span *span, struct store *s)
{
	return read_text(span, s->login_name, sizeof(s->login_name));
}

static int
read_stable_id(const struct json_span *span, struct store *s)
{
	return read_text(span, s->stable_id, sizeof(s->stable_id));
}

static int
read_wanted(const struct json_span *span, struct store *s)
{
	return read_bool(span, &s->wanted);
}

static int
read_logged_out(const struct json_span *span, struct store *s)
{
	return read_bool(span, &s->logged_out);
}

/*
 * One by one: a preference that cannot be used, of another version perhaps, must not cost the keys.
 */
static int
read_prefs(const struct json_span *span, struct store *s)
{
	struct prefs_error error = {};
	struct tailnet_prefs *one;
	json_t *object, *value;
	const char *name;
	int err = json_span_load(span, &object);

	if (err < 0)
		return err;
	one = malloc(sizeof(*one));
	json_object_foreach(object, name, value)
	{
		json_t *single = json_pack("{s:O}", name, value);

		err = single == NULL || one == NULL ? -ENOMEM : prefs_parse(single, one, &error);
		json_decref(single);
		if (err == 0)
			prefs_apply(&s->prefs, one);
		else if (err == -EINVAL)
			log_warning("%s: a remembered setting is dropped: %s: %s; %s", s->path,
				error.what, error.why, error.what_to_do);
		else
			break;
	}
	free(one);
	json_decref(object);
	return err == -ENOMEM ? err : 0;
}

static const struct {
	const char *name;
	int (*read)(const struct json_span *span, struct store *s);
} members[] = {
	{ "version", read_version },
	{ "machine_key", read_machine_key },
	{ "disco_key", read_disco_key },
	{ "lock_key", read_lock_key },
	{ "backend_log_id", read_log_id },
	{ "node_key", read_node_key },
	{ "old_node_key", read_old_node_key },
	{ "login_server", read_login_server },
	{ "login_name", read_login_name },
	{ "stable_id", read_stable_id },
	{ "wanted", read_wanted },
	{ "logged_out", read_logged_out },
	{ "prefs", read_prefs },
};

// Checked to be JSON, and kept as text.
static int
keep_unknown(const char *name, const struct json_span *span, struct store *s)
{
	struct unknown *u = &s->unknown[s->n_unknown];
	json_t *value;
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	json_decref(value);
	if (s->n_unknown == MAX_UNKNOWN)
		return -E2BIG;
	s->n_unknown++;
	u->name = strdup(name);
	u->text = strndup(span->text, span->len);
	return u->name != NULL && u->text != NULL ? 0 : -ENOMEM;
}

static int
read_member(const struct json_span *name_span, const struct json_span *span, struct store *s)
{
	const char *name;
	size_t row = 0;
	json_t *value;
	int err = json_span_load(name_span, &value);

	if (err < 0)
		return err;
	name = json_string_value(value);
	while (row < COUNT(members) && strcmp(name, members[row].name) != 0)
		row++;
	err = row < COUNT(members) ? members[row].read(span, s) : keep_unknown(name, span, s);
	json_decref(value);
	return err;
}

static bool
is_complete(const struct store *s)
{
	static const uint8_t no_key[SIGN_PRIVATE_LEN];

	return s->version == VERSION && !is_zero(&s->machine_key) && !is_zero(&s->disco_key) &&
	       !secret_equal(s->lock_private, no_key, sizeof(no_key)) && s->log_id[0] != '\0';
}

// A later version may have another form, so what is wrong in it is not damage.
static int
read_members(const struct json_span *whole, struct store *s)
{
	struct json_span name, value;
	struct json_walk w;
	int err = 0, more = json_walk_begin(&w, whole);

	if (more < 0 || !w.is_object)
		return ERR_BAD_FORMAT;
	for (more = json_walk_next(&w, &name, &value); more == 1 && err != -ENOMEM;
		more = json_walk_next(&w, &name, &value)) {
		int of_member = read_member(&name, &value, s);

		if (err == 0 || of_member == -ENOMEM)
			err = of_member;
	}
	if (s->version > VERSION)
		return ERR_VERSION;
	if (more < 0)
		err = more;
	return err < 0 ? err : is_complete(s) ? 0 : ERR_BAD_FORMAT;
}

static int
read_file(struct store *s)
{
	int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	char *text;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	text = secret_memory_map(STORE_MAX_BYTES);
	n = text == NULL || fstat(fd, &st) < 0 ? -1 : read(fd, text, STORE_MAX_BYTES);
	err = text == NULL ? -ENOMEM : n < 0 ? -errno : 0;
	close(fd);
	if (err == 0 && st.st_size > STORE_MAX_BYTES)
		err = ERR_BAD_FORMAT;
	if (err == 0)
		err = read_members(&(struct json_span){ text, (size_t)n }, s);
	secret_memory_unmap(text, STORE_MAX_BYTES);
	return err;
}

/* --- writing --- */

static void
write_key(struct json_writer *w, const char *name, enum tailkey_kind kind, const uint8_t *key)
{
	char text[TAILKEY_TEXT_SIZE];

	json_write_text(w, name, tailkey_format(kind, key, text));
	secret_wipe(text, sizeof(text));
}

static void
write_text(struct json_writer *w, const char *name, const char *text)
{
	if (text[0] != '\0')
		json_write_text(w, name, text);
}

static void
write_keys(struct json_writer *w, const struct store *s)
{
	write_key(w, "machine_key", TAILKEY_PRIVATE, s->machine_key.bytes);
	write_key(w, "disco_key", TAILKEY_PRIVATE, s->disco_key.bytes);
	write_key(w, "lock_key", TAILKEY_LOCK_PRIVATE, s->lock_private);
	json_write_text(w, "backend_log_id", s->log_id);
	if (!is_zero(&s->node_key))
		write_key(w, "node_key", TAILKEY_PRIVATE, s->node_key.bytes);
	if (!is_zero(&s->old_node_key))
		write_key(w, "old_node_key", TAILKEY_PRIVATE, s->old_node_key.bytes);
}

static int
write_prefs(struct json_writer *w, const struct tailnet_prefs *prefs)
{
	json_t *object = prefs_json(prefs, prefs->set);
	char *text = json_dumps(object, JSON_COMPACT);

	if (text != NULL)
		json_write_raw(w, "prefs", text);
	free(text);
	json_decref(object);
	return text != NULL ? 0 : -ENOMEM;
}

static int
write_all(struct json_writer *w, const struct store *s)
{
	int err;

	json_write_open(w, NULL, '{');
	json_write_int(w, "version", VERSION);
	write_keys(w, s);
	write_text(w, "login_server", s->login_server);
	write_text(w, "login_name", s->login_name);
	write_text(w, "stable_id", s->stable_id);
	json_write_bool(w, "wanted", s->wanted);
	json_write_bool(w, "logged_out", s->logged_out);
	err = write_prefs(w, &s->prefs);
	for (size_t i = 0; i < s->n_unknown; i++)
		json_write_raw(w, s->unknown[i].name, s->unknown[i].text);
	json_write_close(w, '}');
	return err;
}

int
store_save(const struct store *s)
{
	struct json_writer w = {};
	const char *text = "";
	size_t len = 0;
	struct durable_file f;
	int err = write_all(&w, s);

	if (err == 0)
		err = json_writer_finish(&w, &text, &len);
	if (err == 0) {
		err = durable_file_begin(&f, s->path);
		if (err == 0)
			err = durable_file_write(&f, text, len);
		if (err == 0)
			err = durable_file_write(&f, "\n", 1);
		err = durable_file_end(&f, err);
	}
	json_writer_fini(&w);
	return err;
}

/* --- opening --- */

static void
forget(struct store *s)
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
	int err = read_file(s);

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
	forget(s);
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
	forget(s);
	secret_memory_unmap(s, sizeof(*s));
}
