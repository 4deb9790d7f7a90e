/* SPDX-License-Identifier: BSD-3-Clause
 *
 * YAML to structures: goes through the tree by the rows of the schema, then looks at what belongs
 * together.  Every error is collected, so that an operator corrects a file once.
 */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/gateway.h"
#include "config/loading.h"
#include "config/schema.h"
#include "config/text_file.h"
#include "config/value.h"
#include "lib/base/secret.h"

#define PATH_LEN   128 // longer than any path of the schema
#define MANY_PEERS 100 // worth a look at what can be given back to the system

static const char *const kind_names[] = {
	[NODE_SCALAR] = "a single value",
	[NODE_MAP] = "a map",
	[NODE_LIST] = "a list",
};

static void
wrong_kind(struct loading *l, const struct config_option *o, const struct node *node)
{
	const char *name = schema_name(o);

	const char *kind = node_is_null(node) ? "empty" : kind_names[node->kind];

	if (o->example != NULL)
		loading_error(l, node, "%s is %s; it takes %s; write for example `%s: %s`", name,
			kind, o->type->name, name, o->example);
	else
		loading_error(l, node, "%s is %s; it takes %s; write it below `%s:`, indented",
			name, kind, o->type->name, name);
}

bool
loading_wants_scalar(struct loading *l, const struct config_option *o, const struct node *node)
{
	if (node->kind == NODE_SCALAR && !node_is_null(node))
		return true;
	wrong_kind(l, o, node);
	return false;
}

bool
loading_wants_list(struct loading *l, const struct config_option *o, const struct node *node)
{
	if (node->kind == NODE_LIST)
		return true;
	wrong_kind(l, o, node);
	return false;
}

static void
unknown_key(struct loading *l, const char *parent, const struct node *key)
{
	const struct config_option *near = NULL;
	struct shown name = shown(key->text);

	if (diagnostics_are_full(&l->d)) {
		loading_error(l, key, "not shown");
		return;
	}
	if (strcmp(key->text, "private_key") == 0 || strcmp(key->text, "preshared_key") == 0 ||
		strcmp(key->text, "auth_key") == 0) {
		loading_error(l, key,
			"unknown option %s; keys are kept out of this file, which many may read; "
			"put "
			"the key into a file with mode 600 and name that with %s_file",
			name.text, name.text);
		return;
	}
	near = schema_nearest(parent, key->text);
	if (near == NULL)
		loading_error(l, key,
			"unknown option %s; there is none of this name %s%s; remove it, or see "
			"`sluice help config` for all options",
			name.text, parent[0] != '\0' ? "in " : "at the top level", parent);
	else if (schema_is_child(near, parent))
		loading_error(l, key,
			"unknown option %s; there is one called %s; did you mean that?", name.text,
			schema_name(near));
	else
		loading_error(l, key,
			"unknown option %s; it is not one of %s; it belongs at %s, check the "
			"indentation",
			name.text, parent[0] != '\0' ? parent : "the top level", near->path);
}

static void
missing(struct loading *l, const struct config_option *o, const struct node *map)
{
	static const struct node top = { .line = 1, .column = 1 };

	if (o->example == NULL)
		loading_error(l, map != NULL ? map : &top,
			"%s is missing; it is required: %s; add `%s:` with its options", o->path,
			o->help, schema_name(o));
	else
		loading_error(l, map != NULL ? map : &top,
			"%s is missing; it is required: %s; add `%s: %s`", o->path, o->help,
			schema_name(o), o->example);
}

// Sort the pairs of a map to the rows of the schema.  values[] is by row; NULL: not given.
static void
assign_values(struct loading *l,
	const char *parent,
	const struct node *map,
	const struct node *values[static SCHEMA_MAX_OPTIONS])
{
	const struct config_option *o, *options;
	const struct node *key, *value;
	size_t count;

	options = schema_options(&count);
	for (key = map->first; key != NULL; key = value->next) {
		value = key->next;
		if (key->kind != NODE_SCALAR) {
			loading_error(l, key,
				"the name of an option is %s; names are words; write `name: value`",
				kind_names[key->kind]);
			continue;
		}
		o = schema_find(parent, key->text);
		if (o == NULL)
			unknown_key(l, parent, key);
		else if (values[o - options] != NULL)
			loading_error(l, key,
				"%s is given twice; the first is in line %d, and only one can "
				"count; remove one of the two",
				schema_name(o), values[o - options]->line);
		else
			values[o - options] = value;
	}
}

static void
use_default(struct loading *l, const struct config_option *o, void *base)
{
	char text[64];
	struct node node = { .kind = NODE_SCALAR, .line = 1, .column = 1, .text = text };

	snprintf(text, sizeof(text), "%s", o->default_text);
	o->type->parse(l, o, &node, base);
}

// A gateway is of one of two kinds; the options of the other kind have no defaults.
static bool
is_of_other_kind(const struct loading *l, const struct config_option *o)
{
	return strcmp(o->path, l->config->is_tailnet ? "wireguard" : "tailnet") == 0;
}

static void
store_line(const struct config_option *o, const struct node *node, void *base)
{
	if (o->line_offset != 0)
		memcpy((char *)base + o->line_offset, &node->line, sizeof(node->line));
}

// A map at `parent`; NULL: not in the file, its options have their defaults.
static void
load_map(struct loading *l, const char *parent, const struct node *map, void *base)
{
	const struct node *values[SCHEMA_MAX_OPTIONS] = {};
	const struct config_option *options;
	size_t count;

	options = schema_options(&count);
	if (map != NULL && map->kind == NODE_MAP)
		assign_values(l, parent, map, values);
	for (size_t i = 0; i < count; i++) {
		const struct config_option *o = &options[i];

		if (!schema_is_child(o, parent))
			continue;
		if (values[i] != NULL) {
			o->type->parse(l, o, values[i], base);
			store_line(o, values[i], base);
		} else if (o->required) {
			missing(l, o, map);
		} else if (o->default_text != NULL) {
			use_default(l, o, base);
		} else if (o->type == &value_map && !is_of_other_kind(l, o)) {
			load_map(l, o->path, NULL, base);
		}
	}
}

// "dataplane:" with nothing below it is fine: its options may all be commented out.
static void
map_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	if (node->kind != NODE_MAP && !node_is_null(node)) {
		wrong_kind(l, o, node);
		return;
	}
	if (strcmp(o->path, "wireguard") == 0)
		l->wireguard = node;
	load_map(l, o->path, node, base);
}

const struct value_type value_map = { "a map", map_parse, NULL };

static void
peers_parse(struct loading *l, const struct config_option *o, const struct node *node, void *base)
{
	struct config_gateway *config = base;
	const struct node *item = node->first;
	char path[PATH_LEN];

	if (node_is_null(node))
		return;
	if (node->kind != NODE_LIST) {
		wrong_kind(l, o, node);
		return;
	}
	if (node->n_children > CONFIG_MAX_PEERS) {
		loading_error(l, node, "%zu peers; %d are the most; divide them among gateways",
			node->n_children, CONFIG_MAX_PEERS);
		return;
	}
	config->peers = calloc(node->n_children + 1, sizeof(*config->peers));
	l->peer_nodes = calloc(node->n_children + 1, sizeof(struct node *));
	if (config->peers == NULL || l->peer_nodes == NULL) {
		l->out_of_memory = true;
		return;
	}
	snprintf(path, sizeof(path), "%s[]", o->path);
	for (; item != NULL; item = item->next) {
		struct config_peer *peer = &config->peers[config->n_peers];

		if (item->kind != NODE_MAP) {
			loading_error(l, item,
				"a peer is %s; it takes a map; write `- public_key: ...` and its "
				"other options below",
				node_is_null(item) ? "empty" : kind_names[item->kind]);
			continue;
		}
		l->peer_nodes[config->n_peers++] = item;
		peer->line = item->line;
		load_map(l, path, item, peer);
	}
}

const struct value_type value_peers = { "a list of peers", peers_parse, NULL };

static bool
is_version_wrong(const struct node *root)
{
	const struct node *version = node_value(root, "version");

	return version != NULL && version->kind == NODE_SCALAR && !version->is_quoted &&
	       version->text[0] >= '0' && version->text[0] <= '9' &&
	       strcmp(version->text, "1") != 0;
}

// In another version's file every other complaint would be noise.
static void
complain_about_version(struct loading *l, const struct node *root)
{
	const struct config_option *o = schema_find("", "version");

	o->type->parse(l, o, node_value(root, "version"), l->config);
}

static void
derive(struct config_gateway *config, bool read_keys)
{
	if (config->is_tailnet)
		config->mtu = CONFIG_TAILNET_MTU;
	else if (read_keys)
		key_public(&config->public_key, &config->private_key);
	for (size_t i = 0; i < config->n_peers; i++) {
		struct config_peer *peer = &config->peers[i];

		peer->has_preshared_key = peer->preshared_key_file != NULL;
		peer->has_name = peer->name[0] != '\0';
	}
}

// Which of the two kinds.  A file with neither section is the shortest `tailnet:`.
static void
choose_kind(struct loading *l, const struct node *root)
{
	const struct node *wireguard = node_value(root, "wireguard");
	const struct node *tailnet = node_value(root, "tailnet");

	l->config->is_tailnet = wireguard == NULL;
	if (wireguard == NULL || tailnet == NULL)
		return;
	loading_error(l, tailnet,
		"tailnet is given, and wireguard too; a gateway has its peers either from a "
		"coordination server or from this file; remove one of the two sections");
}

static void
load_tree(struct loading *l, const struct node *root)
{
	if (root->kind != NODE_MAP) {
		loading_error(l, root,
			"the file is %s; a configuration is a map of options; begin with a copy of "
			"config/examples/minimal.yaml",
			node_is_null(root) ? "empty" : kind_names[root->kind]);
		return;
	}
	if (is_version_wrong(root)) {
		complain_about_version(l, root);
		return;
	}
	choose_kind(l, root);
	load_map(l, "", root, l->config);
	if (l->out_of_memory)
		return;
	derive(l->config, l->read_keys);
	relation_check(l);
}

static int
load_text(struct loading *l, const char *text, size_t len)
{
	struct tree *tree = NULL;
	int err;

	err = tree_parse(text, len, &l->d, &tree);
	if (err < 0)
		return err;
	load_tree(l, tree_root(tree));
	tree_free(tree);
	if (l->out_of_memory)
		return -ENOMEM;
	return l->d.n_errors > 0 ? -EINVAL : 0;
}

int
config_parse(const char *path,
	const char *text,
	size_t len,
	bool read_keys,
	struct config_gateway **ret_config,
	char **ret_errors)
{
	struct loading l = { .path = path, .read_keys = read_keys };
	char *errors = NULL;
	int err, text_err;

	l.config = calloc(1, sizeof(*l.config));
	if (l.config == NULL)
		return -ENOMEM;
	diagnostics_init(&l.d, path);
	err = load_text(&l, text, len);
	text_err = diagnostics_text(&l.d, &errors);
	if (err == 0)
		err = text_err;
	diagnostics_fini(&l.d);
	free(l.peer_nodes);
	free(l.prefixes);
	if (err < 0)
		config_free(l.config);
	else
		*ret_config = l.config;
	*ret_errors = errors;
	return err;
}

static int
load_file(const char *path, bool read_keys, struct config_gateway **ret_config, char **ret_errors)
{
	char *text;
	size_t len;
	int err;

	if (strcmp(path, CONFIG_DEFAULT_PATH) == 0 && access(path, F_OK) < 0 && errno == ENOENT)
		return config_default(ret_config);
	err = text_file_read(path, &text, &len, ret_errors);
	if (err < 0)
		return err;
	err = config_parse(path, text, len, read_keys, ret_config, ret_errors);
	text_file_free(text, len);
	(void)malloc_trim(0); // the tree of 10,000 peers is some MiB that the allocator would keep
	return err;
}

int
config_default(struct config_gateway **ret_config)
{
	static const char text[] = "version: 1\ntailnet:\n";
	struct config_gateway *config;
	char *errors = NULL;
	int err;

	err = config_parse(CONFIG_DEFAULT_PATH, text, strlen(text), false, &config, &errors);
	free(errors);
	if (err < 0)
		return err;
	config->is_embedded = true;
	*ret_config = config;
	return 0;
}

int
config_load(const char *path, struct config_gateway **ret_config, char **ret_errors)
{
	return load_file(path, true, ret_config, ret_errors);
}

int
config_load_without_keys(const char *path, struct config_gateway **ret_config, char **ret_errors)
{
	return load_file(path, false, ret_config, ret_errors);
}

void
config_free_peers(struct config_gateway *config)
{
	for (size_t i = 0; i < config->n_peers; i++) {
		struct config_peer *peer = &config->peers[i];

		secret_wipe(&peer->preshared_key, sizeof(peer->preshared_key));
		free(peer->preshared_key_file);
		free(peer->allowed_ips);
	}
	free(config->peers);
	config->peers = NULL;
	if (config->n_peers >= MANY_PEERS)
		(void)malloc_trim(0); // their memory was ours for a moment only
	config->n_peers = 0;
}

static void
free_tailnet(struct config_tailnet *tailnet)
{
	secret_wipe(tailnet->auth_key, sizeof(tailnet->auth_key));
	free(tailnet->auth_key_file);
	free(tailnet->advertise_routes);
	free(tailnet->advertise_tags);
	free(tailnet->ca_file);
	free(tailnet->ca_path);
}

void
config_free(struct config_gateway *config)
{
	if (config == NULL)
		return;
	config_free_peers(config);
	free_tailnet(&config->tailnet);
	free(config->private_key_file);
	secret_wipe(&config->private_key, sizeof(config->private_key));
	free(config);
}
