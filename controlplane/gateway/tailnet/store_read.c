/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "tailnet"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "controlplane/gateway/secret_memory.h"
#include "controlplane/gateway/tailnet/store_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/tailnet/json_span.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
	struct store_unknown *u = &s->unknown[s->n_unknown];
	json_t *value;
	int err = json_span_load(span, &value);

	if (err < 0)
		return err;
	json_decref(value);
	if (s->n_unknown == STORE_MAX_UNKNOWN)
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

	return s->version == STORE_VERSION && !store_key_is_zero(&s->machine_key) &&
	       !store_key_is_zero(&s->disco_key) &&
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
	if (s->version > STORE_VERSION)
		return ERR_VERSION;
	if (more < 0)
		err = more;
	return err < 0 ? err : is_complete(s) ? 0 : ERR_BAD_FORMAT;
}

int
store_read(struct store *s)
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
