/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The settings of a tailnet's member.  Values that might be an auth key by mistake are never shown.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/key_file.h"
#include "config/loading.h"
#include "config/value.h"
#include "lib/base/secret.h"

static void
bool_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	const char *name = schema_name(o);
	bool value;

	if (!loading_wants_scalar(l, o, node))
		return;
	value = strcmp(node->text, "true") == 0;
	if (node->is_quoted || (!value && strcmp(node->text, "false") != 0)) {
		loading_error(l, node,
			"%s is \"%s\"; it takes true or false, without quotes; write for example "
			"`%s: %s`",
			name, shown(node->text).text, name, o->example);
		return;
	}
	memcpy((char *)base + o->offset, &value, sizeof(value));
}

static void
bool_print(FILE *out, const struct config_option *o, const void *base)
{
	bool value;

	memcpy(&value, (const char *)base + o->offset, sizeof(value));
	fputs(value ? "true" : "false", out);
}

const struct value_type value_bool = { "true or false", bool_parse, bool_print };

// A text that fits into its field and passes one of the checks of gateway.h.
static void
checked_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base,
	const char *(*check)(const char *text))
{
	const char *complaint;

	if (!loading_wants_scalar(l, o, node))
		return;
	complaint = check(node->text);
	if (complaint != NULL)
		loading_error(l, node, "%s is \"%s\"; %s", schema_name(o), shown(node->text).text,
			complaint);
	else if (strlen(node->text) < o->size)
		strcpy((char *)base + o->offset, node->text);
}

static void
login_server_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	char *url = (char *)base + o->offset;

	checked_parse(l, o, node, base, config_check_login_server);
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
}

static void
hostname_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	checked_parse(l, o, node, base, config_check_hostname);
}

static void
text_print(FILE *out, const struct config_option *o, const void *base)
{
	value_print_text(out, (const char *)base + o->offset);
}

const struct value_type value_login_server = { "a URL", login_server_parse, text_print };
const struct value_type value_hostname = { "a name", hostname_parse, text_print };

static void
add_tag(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	struct config_tailnet *tailnet)
{
	const char *complaint = node->kind == NODE_SCALAR
	                                ? config_check_tag(node->text)
	                                : "it is no single word; write for example \"tag:router\"";

	if (complaint != NULL) {
		loading_error(l, node, "%s has \"%s\"; %s", schema_name(o),
			node->kind == NODE_SCALAR ? shown(node->text).text : "...", complaint);
		return;
	}
	for (size_t i = 0; i < tailnet->n_advertise_tags; i++) {
		if (strcmp(tailnet->advertise_tags[i], node->text) == 0) {
			loading_error(l, node,
				"%s has %s twice; once is enough; remove one of the two",
				schema_name(o), node->text);
			return;
		}
	}
	strcpy(tailnet->advertise_tags[tailnet->n_advertise_tags++], node->text);
}

static void
tags_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	struct config_tailnet *tailnet = &((struct config_gateway *)base)->tailnet;

	if (!loading_wants_list(l, o, node))
		return;
	if (node->n_children > CONFIG_MAX_TAGS) {
		loading_error(l, node, "%s has %zu items; %d are the most; remove some",
			schema_name(o), node->n_children, CONFIG_MAX_TAGS);
		return;
	}
	tailnet->advertise_tags = calloc(node->n_children + 1, CONFIG_TAG_LEN);
	if (tailnet->advertise_tags == NULL) {
		l->out_of_memory = true;
		return;
	}
	for (const struct node *item = node->first; item != NULL; item = item->next)
		add_tag(l, o, item, tailnet);
}

static void
tags_print(FILE *out, const struct config_option *, const void *base)
{
	const struct config_tailnet *tailnet = &((const struct config_gateway *)base)->tailnet;

	fputc('[', out);
	for (size_t i = 0; i < tailnet->n_advertise_tags; i++)
		fprintf(out, "%s\"%s\"", i == 0 ? "" : ", ", tailnet->advertise_tags[i]);
	fputc(']', out);
}

const struct value_type value_tags = { "a list of tags", tags_parse, tags_print };

// A name of a file, kept as it is given.  NULL: an error was added.
static char *
file_name(struct loading *l, const struct config_option *o, const struct node *node)
{
	char *name;

	if (!loading_wants_scalar(l, o, node))
		return NULL;
	if (node->text[0] == '\0') {
		loading_error(l, node, "%s is empty; it names a file; write for example `%s: %s`",
			schema_name(o), schema_name(o), o->example);
		return NULL;
	}
	name = strdup(node->text);
	if (name == NULL)
		l->out_of_memory = true;
	return name;
}

static bool
path_of(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	char path[static PATH_MAX])
{
	if (value_resolve_path(l->path, node->text, path))
		return true;
	loading_error(l, node,
		"%s has a name that is too long; %d bytes are the most; move the file",
		schema_name(o), PATH_MAX - 1);
	return false;
}

// The prefixes of keys as Headscale and the hosted service make them.
static bool
is_auth_key(const char *text)
{
	static const char *const prefixes[] = { "tskey-", "hskey-", "file:" };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static void
read_auth_key(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	struct config_tailnet *tailnet)
{
	char path[PATH_MAX], advice[KEY_FILE_ADVICE_LEN];
	int err;

	if (!path_of(l, o, node, path))
		return;
	err = auth_key_file_read(path, tailnet->auth_key, advice);
	if (err == -ENOENT)
		// It is needed once: whoever has joined may have removed it.
		loading_warning(l, node, "%s %s %s", schema_name(o), shown(node->text).text,
			"is not there; a gateway that has joined needs it no more, another one "
			"cannot join with it; put the key there, or remove this line");
	else if (err < 0)
		loading_error(l, node, "%s %s %s", schema_name(o), shown(node->text).text, advice);
}

static void
auth_key_file_parse(struct loading *l,
	const struct config_option *o,
	const struct node *node,
	void *base)
{
	struct config_tailnet *tailnet = &((struct config_gateway *)base)->tailnet;

	if (node->kind == NODE_SCALAR && is_auth_key(node->text)) {
		loading_error(l, node,
			"%s is no name of a file; keys are kept out of this file, which many may "
			"read, and no file: is needed; put the key into a file with mode 600 and "
			"write its name here",
			schema_name(o));
		return;
	}
	tailnet->auth_key_file = file_name(l, o, node);
	if (tailnet->auth_key_file != NULL && l->read_keys)
		read_auth_key(l, o, node, tailnet);
}

static void
ca_file_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	struct config_tailnet *tailnet = &((struct config_gateway *)base)->tailnet;
	char path[PATH_MAX];

	tailnet->ca_file = file_name(l, o, node);
	if (tailnet->ca_file == NULL || !path_of(l, o, node, path))
		return;
	tailnet->ca_path = strdup(path);
	if (tailnet->ca_path == NULL)
		l->out_of_memory = true;
	else if (l->read_keys && access(path, R_OK) < 0)
		loading_error(l, node, "%s %s cannot be read; %s; correct the name", schema_name(o),
			shown(node->text).text, strerror(errno));
}

static void
file_name_print(FILE *out, const struct config_option *o, const void *base)
{
	const char *name;

	memcpy(&name, (const char *)base + o->offset, sizeof(name));
	if (name != NULL)
		value_print_text(out, name);
}

const struct value_type value_auth_key_file = {
	"the name of a file",
	auth_key_file_parse,
	file_name_print,
};
const struct value_type value_ca_file = { "the name of a file", ca_file_parse, file_name_print };
