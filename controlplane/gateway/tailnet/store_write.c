/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdlib.h>

#include <jansson.h>

#include "controlplane/gateway/tailnet/store_state.h"
#include "lib/tailnet/json_writer.h"

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
	if (!store_key_is_zero(&s->node_key))
		write_key(w, "node_key", TAILKEY_PRIVATE, s->node_key.bytes);
	if (!store_key_is_zero(&s->old_node_key))
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
	json_write_int(w, "version", STORE_VERSION);
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
