/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Keys: public ones in the file itself, secret ones in files of their own.  Values that might be a
 * secret key by mistake are never shown.
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/key_file.h"
#include "config/loading.h"
#include "config/value.h"
#include "lib/base/secret.h"

static void
public_key_store(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	static const struct public_key zero;
	struct public_key key;
	size_t len = strlen(node->text);

	if (len != KEY_TEXT_LEN - 1) {
		loading_error(l, node,
			"%s has %zu characters; a key has %d, the last is '='; copy the whole key "
			"from `wg pubkey` or `sluice pubkey`",
			schema_name(o), len, KEY_TEXT_LEN - 1);
		return;
	}
	if (public_key_parse(node->text, &key) < 0) {
		loading_error(l, node,
			"%s is not a key; a key is 44 characters of base64 for 32 bytes; copy it "
			"again from `wg pubkey` or `sluice pubkey`",
			schema_name(o));
		return;
	}
	if (memcmp(&key, &zero, sizeof(key)) == 0) {
		loading_error(l, node,
			"%s is all zeros; nobody can have this key; copy the peer's key from "
			"`wg pubkey` or `sluice pubkey`",
			schema_name(o));
		return;
	}
	memcpy((char *)base + o->offset, &key, sizeof(key));
}

static void
public_key_read(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	if (loading_wants_scalar(l, o, node))
		public_key_store(l, o, node, base);
}

static void
public_key_print(FILE *out, const struct config_option *o, const void *base)
{
	struct public_key key;
	char text[KEY_TEXT_LEN];

	memcpy(&key, (const char *)base + o->offset, sizeof(key));
	public_key_format(&key, text);
	fputs(text, out);
}

const struct value_type value_public_key = { "a public key", public_key_read, public_key_print };

bool
value_resolve_path(const char *config_path, const char *name, char path[static PATH_MAX])
{
	const char *slash = strrchr(config_path, '/');
	int len;

	if (name[0] == '/' || slash == NULL)
		len = snprintf(path, PATH_MAX, "%s", name);
	else
		len = snprintf(path, PATH_MAX, "%.*s%s", (int)(slash - config_path + 1),
			config_path, name);
	return len >= 0 && len < PATH_MAX;
}

static bool
is_key_itself(const char *text)
{
	struct secret_key key;
	bool is_key = secret_key_parse(text, &key) == 0;

	secret_wipe(&key, sizeof(key));
	return is_key;
}

static bool
is_zero_key(const struct secret_key *key)
{
	static const struct secret_key zero;

	return secret_equal(key, &zero, sizeof(zero));
}

static void
read_key(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	char path[PATH_MAX], advice[KEY_FILE_ADVICE_LEN];
	struct secret_key key;

	if (!value_resolve_path(l->path, node->text, path)) {
		loading_error(l, node,
			"%s has a name that is too long; %d bytes are the most; move the file",
			schema_name(o), PATH_MAX - 1);
		return;
	}
	if (key_file_read(path, &key, advice) < 0) {
		loading_error(l, node, "%s %s %s", schema_name(o), shown(node->text).text, advice);
		return;
	}
	if (is_zero_key(&key))
		loading_error(l, node,
			"%s %s holds a key of zeros; that is no secret; make a new one with "
			"`sluice genkey` (or genpsk)",
			schema_name(o), shown(node->text).text);
	else
		memcpy((char *)base + o->secret_offset, &key, sizeof(key));
	secret_wipe(&key, sizeof(key));
}

static void
key_file_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	char *name;

	if (!loading_wants_scalar(l, o, node))
		return;
	if (is_key_itself(node->text)) {
		loading_error(l, node,
			"%s is a key itself; keys are kept out of this file, which many may read; "
			"put the key into a file with mode 600 and write its name here",
			schema_name(o));
		return;
	}
	if (node->text[0] == '\0') {
		loading_error(l, node, "%s is empty; it names a %s; write it, for example `%s: %s`",
			schema_name(o), o->help, schema_name(o), o->example);
		return;
	}
	name = strdup(node->text);
	if (name == NULL) {
		l->out_of_memory = true;
		return;
	}
	memcpy((char *)base + o->offset, &name, sizeof(name));
	if (l->read_keys)
		read_key(l, o, node, base);
}

static void
key_file_print(FILE *out, const struct config_option *o, const void *base)
{
	const char *name;

	memcpy(&name, (const char *)base + o->offset, sizeof(name));
	if (name != NULL)
		value_print_text(out, name);
}

const struct value_type value_key_file = { "the name of a file", key_file_parse, key_file_print };
