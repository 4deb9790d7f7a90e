/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/tailnet/prefs.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "config/diagnostic.h"
#include "config/nearest.h"
#include "lib/base/err.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Parsers return NULL, or "why; what to do"; what is not text is described by them too.
typedef const char *pref_parser(const json_t *value, struct tailnet_prefs *prefs);

static const char *
take_text(const json_t *value, char *out, size_t size, const char *(*check)(const char *text))
{
	const char *text = json_string_value(value), *complaint;

	if (text == NULL)
		return "it is no text; write a text";
	if (strlen(text) != json_string_length(value))
		return "there is a zero byte in it; write plain text";
	complaint = check(text);
	if (complaint != NULL)
		return complaint;
	if (strlen(text) >= size)
		return "it is too long; choose a shorter one";
	strcpy(out, text);
	return NULL;
}

static const char *
parse_login_server(const json_t *value, struct tailnet_prefs *prefs)
{
	char *url = prefs->login_server;
	const char *complaint =
		take_text(value, url, sizeof(prefs->login_server), config_check_login_server);

	if (complaint != NULL)
		return complaint;
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return NULL;
}

static const char *
parse_hostname(const json_t *value, struct tailnet_prefs *prefs)
{
	return take_text(value, prefs->hostname, sizeof(prefs->hostname), config_check_hostname);
}

static const char *
check_path(const char *text)
{
	if (text[0] != '\0' && text[0] != '/')
		return "the gateway does not know your folder; write the whole path, from / on";
	return NULL;
}

static const char *
parse_ca_file(const json_t *value, struct tailnet_prefs *prefs)
{
	return take_text(value, prefs->ca_file, sizeof(prefs->ca_file), check_path);
}

static const char *
take_bool(const json_t *value, bool *ret)
{
	if (!json_is_boolean(value))
		return "it is neither true nor false; write one of them";
	*ret = json_is_true(value);
	return NULL;
}

static const char *
parse_accept_routes(const json_t *value, struct tailnet_prefs *prefs)
{
	return take_bool(value, &prefs->accept_routes);
}

static const char *
parse_accept_dns(const json_t *value, struct tailnet_prefs *prefs)
{
	return take_bool(value, &prefs->accept_dns);
}

static const char *
parse_shields_up(const json_t *value, struct tailnet_prefs *prefs)
{
	return take_bool(value, &prefs->shields_up);
}

static const char *
parse_snat(const json_t *value, struct tailnet_prefs *prefs)
{
	return take_bool(value, &prefs->snat_subnet_routes);
}

static int
compare_routes(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int by = addr_compare(&x->addr, &y->addr);

	return by != 0 ? by : (int)x->len - (int)y->len;
}

// Ascending, each once: so servers want it.
static void
sort_routes(struct tailnet_prefs *prefs)
{
	struct prefix *routes = prefs->advertise_routes;
	size_t kept = 0;

	qsort(routes, prefs->n_advertise_routes, sizeof(routes[0]), compare_routes);
	for (size_t i = 0; i < prefs->n_advertise_routes; i++)
		if (kept == 0 || !prefix_equal(&routes[kept - 1], &routes[i]))
			routes[kept++] = routes[i];
	prefs->n_advertise_routes = kept;
}

static const char *
parse_routes(const json_t *value, struct tailnet_prefs *prefs)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return "it is no list; write for example [\"192.0.2.0/24\"]";
	if (json_array_size(value) > CONFIG_MAX_ADVERTISE)
		return "there are more routes than a member can advertise; put networks together";
	prefs->n_advertise_routes = 0;
	json_array_foreach(value, i, item)
	{
		const char *text = json_string_value(item), *complaint;
		struct prefix *route = &prefs->advertise_routes[i];

		if (text == NULL || prefix_parse(text, route) < 0)
			return "one of them is no network; write for example 192.0.2.0/24";
		complaint = config_check_route(route);
		if (complaint != NULL)
			return complaint;
		prefs->n_advertise_routes++;
	}
	sort_routes(prefs);
	return NULL;
}

static bool
has_tag(const struct tailnet_prefs *prefs, const char *tag)
{
	for (size_t i = 0; i < prefs->n_advertise_tags; i++)
		if (strcmp(prefs->advertise_tags[i], tag) == 0)
			return true;
	return false;
}

static const char *
parse_tags(const json_t *value, struct tailnet_prefs *prefs)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return "it is no list; write for example [\"tag:router\"]";
	if (json_array_size(value) > CONFIG_MAX_TAGS)
		return "there are more tags than a member can have; remove some";
	prefs->n_advertise_tags = 0;
	json_array_foreach(value, i, item)
	{
		const char *text = json_string_value(item);
		const char *complaint = text != NULL ? config_check_tag(text)
		                                     : "one of them is no text; write for example "
		                                       "\"tag:router\"";

		if (complaint != NULL)
			return complaint;
		if (!has_tag(prefs, text))
			strcpy(prefs->advertise_tags[prefs->n_advertise_tags++], text);
	}
	return NULL;
}

/* --- values as JSON --- */

static json_t *
routes_json(const struct tailnet_prefs *prefs)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; list != NULL && i < prefs->n_advertise_routes; i++)
		json_array_append_new(
			list, json_string(prefix_format(&prefs->advertise_routes[i], text)));
	return list;
}

static json_t *
tags_json(const struct tailnet_prefs *prefs)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < prefs->n_advertise_tags; i++)
		json_array_append_new(list, json_string(prefs->advertise_tags[i]));
	return list;
}

static json_t *
value_json(const struct tailnet_prefs *prefs, enum config_tailnet_option option)
{
	switch (option) {
	case CONFIG_TAILNET_LOGIN_SERVER:
		return json_string(prefs->login_server);
	case CONFIG_TAILNET_HOSTNAME:
		return json_string(prefs->hostname);
	case CONFIG_TAILNET_CA_FILE:
		return json_string(prefs->ca_file);
	case CONFIG_TAILNET_ACCEPT_ROUTES:
		return json_boolean(prefs->accept_routes);
	case CONFIG_TAILNET_ACCEPT_DNS:
		return json_boolean(prefs->accept_dns);
	case CONFIG_TAILNET_SHIELDS_UP:
		return json_boolean(prefs->shields_up);
	case CONFIG_TAILNET_SNAT_SUBNET_ROUTES:
		return json_boolean(prefs->snat_subnet_routes);
	case CONFIG_TAILNET_ADVERTISE_ROUTES:
		return routes_json(prefs);
	case CONFIG_TAILNET_ADVERTISE_TAGS:
		return tags_json(prefs);
	case CONFIG_TAILNET_AUTH_KEY_FILE:
	case CONFIG_TAILNET_LISTEN_PORT:
	case CONFIG_TAILNET_N_OPTIONS:
		break;
	}
	return json_null();
}

static pref_parser *const parsers[CONFIG_TAILNET_N_OPTIONS] = {
	[CONFIG_TAILNET_LOGIN_SERVER] = parse_login_server,
	[CONFIG_TAILNET_HOSTNAME] = parse_hostname,
	[CONFIG_TAILNET_CA_FILE] = parse_ca_file,
	[CONFIG_TAILNET_ACCEPT_ROUTES] = parse_accept_routes,
	[CONFIG_TAILNET_ACCEPT_DNS] = parse_accept_dns,
	[CONFIG_TAILNET_SHIELDS_UP] = parse_shields_up,
	[CONFIG_TAILNET_SNAT_SUBNET_ROUTES] = parse_snat,
	[CONFIG_TAILNET_ADVERTISE_ROUTES] = parse_routes,
	[CONFIG_TAILNET_ADVERTISE_TAGS] = parse_tags,
};

/* --- one preference from another structure --- */

static void
copy_value(struct tailnet_prefs *to,
	const struct tailnet_prefs *from,
	enum config_tailnet_option option)
{
	switch (option) {
	case CONFIG_TAILNET_LOGIN_SERVER:
		memcpy(to->login_server, from->login_server, sizeof(to->login_server));
		break;
	case CONFIG_TAILNET_HOSTNAME:
		memcpy(to->hostname, from->hostname, sizeof(to->hostname));
		break;
	case CONFIG_TAILNET_CA_FILE:
		memcpy(to->ca_file, from->ca_file, sizeof(to->ca_file));
		break;
	case CONFIG_TAILNET_ACCEPT_ROUTES:
		to->accept_routes = from->accept_routes;
		break;
	case CONFIG_TAILNET_ACCEPT_DNS:
		to->accept_dns = from->accept_dns;
		break;
	case CONFIG_TAILNET_SHIELDS_UP:
		to->shields_up = from->shields_up;
		break;
	case CONFIG_TAILNET_SNAT_SUBNET_ROUTES:
		to->snat_subnet_routes = from->snat_subnet_routes;
		break;
	case CONFIG_TAILNET_ADVERTISE_ROUTES:
		memcpy(to->advertise_routes, from->advertise_routes, sizeof(to->advertise_routes));
		to->n_advertise_routes = from->n_advertise_routes;
		break;
	case CONFIG_TAILNET_ADVERTISE_TAGS:
		memcpy(to->advertise_tags, from->advertise_tags, sizeof(to->advertise_tags));
		to->n_advertise_tags = from->n_advertise_tags;
		break;
	case CONFIG_TAILNET_AUTH_KEY_FILE:
	case CONFIG_TAILNET_LISTEN_PORT:
	case CONFIG_TAILNET_N_OPTIONS:
		break;
	}
}

void
prefs_apply(struct tailnet_prefs *prefs, const struct tailnet_prefs *changes)
{
	for (int option = 0; option < CONFIG_TAILNET_N_OPTIONS; option++)
		if ((changes->set >> option & 1) != 0)
			copy_value(prefs, changes, option);
	prefs->set |= changes->set;
}

uint32_t
prefs_diff(const struct tailnet_prefs *a, const struct tailnet_prefs *b)
{
	uint32_t differing = 0;

	for (int option = 0; option < CONFIG_TAILNET_N_OPTIONS; option++) {
		json_t *x = value_json(a, option), *y = value_json(b, option);

		if (!json_equal(x, y)) // out of memory counts as different
			differing |= UINT32_C(1) << option;
		json_decref(x);
		json_decref(y);
	}
	return differing;
}

void
prefs_default(struct tailnet_prefs *ret_prefs)
{
	*ret_prefs = (struct tailnet_prefs){
		.login_server = PREFS_DEFAULT_LOGIN_SERVER,
		.accept_dns = true,
		.snat_subnet_routes = true,
	};
}

/* --- reading --- */

// The parts of "why; what to do".
static void
set_error(struct prefs_error *e, const char *name, const json_t *value, const char *complaint)
{
	const char *semicolon = strrchr(complaint, ';');
	int why_len = semicolon != NULL ? (int)(semicolon - complaint) : (int)strlen(complaint);
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	snprintf(e->what, sizeof(e->what), "%s cannot be %s", name,
		text != NULL ? shown(text).text : "that");
	snprintf(e->why, sizeof(e->why), "%.*s", why_len, complaint);
	snprintf(e->what_to_do, sizeof(e->what_to_do), "%s",
		semicolon != NULL ? semicolon + 2 : "correct it");
	free(text);
}

static void
set_unknown(struct prefs_error *e, const char *name)
{
	struct nearest nearest = NEAREST_NONE;

	for (int option = 0; option < CONFIG_TAILNET_N_OPTIONS; option++)
		if (parsers[option] != NULL)
			nearest_consider(&nearest, name, config_tailnet_name(option));
	snprintf(e->what, sizeof(e->what), "%s cannot be set", shown(name).text);
	snprintf(e->why, sizeof(e->why), "there is no preference of that name");
	if (nearest.name != NULL)
		snprintf(e->what_to_do, sizeof(e->what_to_do), "did you mean %s?", nearest.name);
	else
		snprintf(e->what_to_do, sizeof(e->what_to_do),
			"see 'sluice set --help' for those that there are");
}

static int
find_option(const char *name)
{
	for (int option = 0; option < CONFIG_TAILNET_N_OPTIONS; option++)
		if (parsers[option] != NULL && strcmp(name, config_tailnet_name(option)) == 0)
			return option;
	return -ENOENT;
}

static int
parse_member(const char *name,
	const json_t *value,
	struct tailnet_prefs *prefs,
	struct prefs_error *error)
{
	int option = find_option(name);
	const char *complaint = NULL;

	if (option < 0) {
		set_unknown(error, name);
		return -EINVAL;
	}
	if (!json_is_null(value))
		complaint = parsers[option](value, prefs);
	if (complaint != NULL) {
		set_error(error, name, value, complaint);
		return -EINVAL;
	}
	prefs->set |= UINT32_C(1) << option;
	return 0;
}

int
prefs_parse(const struct json_t *object,
	struct tailnet_prefs *ret_prefs,
	struct prefs_error *ret_error)
{
	struct tailnet_prefs *prefs = malloc(sizeof(*prefs));
	json_t *value;
	const char *name;
	int err = 0;

	if (prefs == NULL)
		return -ENOMEM;
	prefs_default(prefs);
	if (!json_is_object(object)) {
		set_error(ret_error, "prefs", object, "it is no object; write {\"name\":value}");
		err = -EINVAL;
	}
	json_object_foreach((json_t *)object, name, value)
	{
		err = parse_member(name, value, prefs, ret_error);
		if (err < 0)
			break;
	}
	if (err == 0)
		*ret_prefs = *prefs;
	free(prefs);
	return err;
}

struct json_t *
prefs_json(const struct tailnet_prefs *prefs, uint32_t which)
{
	json_t *object = json_object();

	for (int option = 0; object != NULL && option < CONFIG_TAILNET_N_OPTIONS; option++) {
		if (parsers[option] == NULL || (which >> option & 1) == 0)
			continue;
		if (json_object_set_new(
			    object, config_tailnet_name(option), value_json(prefs, option)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* --- the configuration file --- */

static void
copy_lists(const struct config_tailnet *file, struct tailnet_prefs *prefs)
{
	prefs->n_advertise_routes = file->n_advertise_routes < CONFIG_MAX_ADVERTISE
	                                    ? file->n_advertise_routes
	                                    : CONFIG_MAX_ADVERTISE;
	for (size_t i = 0; i < prefs->n_advertise_routes; i++)
		prefs->advertise_routes[i] = file->advertise_routes[i];
	sort_routes(prefs);
	prefs->n_advertise_tags =
		file->n_advertise_tags < CONFIG_MAX_TAGS ? file->n_advertise_tags : CONFIG_MAX_TAGS;
	for (size_t i = 0; i < prefs->n_advertise_tags; i++)
		memcpy(prefs->advertise_tags[i], file->advertise_tags[i], CONFIG_TAG_LEN);
}

int
prefs_from_config(const struct config_tailnet *file,
	struct tailnet_prefs *ret_prefs,
	struct prefs_error *ret_error)
{
	const char *ca_path = file->ca_path != NULL ? file->ca_path : "";

	if (strlen(ca_path) >= sizeof(ret_prefs->ca_file)) {
		snprintf(ret_error->what, sizeof(ret_error->what), "ca_file cannot be \"%s\"",
			shown(ca_path).text);
		snprintf(ret_error->why, sizeof(ret_error->why), "its path is too long");
		snprintf(ret_error->what_to_do, sizeof(ret_error->what_to_do),
			"put the file nearer to /");
		return -EINVAL;
	}
	prefs_default(ret_prefs);
	for (int option = 0; option < CONFIG_TAILNET_N_OPTIONS; option++)
		if (parsers[option] != NULL && config_tailnet_has(file, option))
			ret_prefs->set |= UINT32_C(1) << option;
	if ((ret_prefs->set & PREF(LOGIN_SERVER)) != 0)
		memcpy(ret_prefs->login_server, file->login_server, sizeof(file->login_server));
	memcpy(ret_prefs->hostname, file->hostname, sizeof(file->hostname));
	strcpy(ret_prefs->ca_file, ca_path);
	if ((ret_prefs->set & PREF(ACCEPT_DNS)) != 0)
		ret_prefs->accept_dns = file->accept_dns;
	if ((ret_prefs->set & PREF(SNAT_SUBNET_ROUTES)) != 0)
		ret_prefs->snat_subnet_routes = file->snat_subnet_routes;
	ret_prefs->accept_routes = file->accept_routes;
	ret_prefs->shields_up = file->shields_up;
	copy_lists(file, ret_prefs);
	return 0;
}

int
prefs_in_force(const struct tailnet_prefs *remembered,
	const struct config_tailnet *file,
	struct tailnet_prefs *ret_prefs,
	struct prefs_error *ret_error)
{
	struct tailnet_prefs *of_file = malloc(sizeof(*of_file));
	int err;

	if (of_file == NULL)
		return -ENOMEM;
	err = prefs_from_config(file, of_file, ret_error);
	if (err == 0) {
		prefs_default(ret_prefs);
		prefs_apply(ret_prefs, remembered);
		prefs_apply(ret_prefs, of_file);
	}
	free(of_file);
	return err;
}

int
prefs_check_file(const struct tailnet_prefs *changes,
	const struct config_tailnet *file,
	const char *path,
	struct prefs_error *ret_error)
{
	struct tailnet_prefs *of_file = malloc(sizeof(*of_file));
	uint32_t against;
	int err;

	if (of_file == NULL)
		return -ENOMEM;
	err = prefs_from_config(file, of_file, ret_error);
	against = err == 0 ? changes->set & of_file->set & prefs_diff(changes, of_file) : 0;
	free(of_file);
	for (int option = 0; option < CONFIG_TAILNET_N_OPTIONS; option++) {
		const char *name = config_tailnet_name(option);

		if ((against >> option & 1) == 0)
			continue;
		snprintf(ret_error->what, sizeof(ret_error->what), "%s is not changed", name);
		snprintf(ret_error->why, sizeof(ret_error->why),
			"the configuration has it in line %d, and wins", file->lines[option]);
		snprintf(ret_error->what_to_do, sizeof(ret_error->what_to_do),
			"change or remove tailnet.%s in %s, then run 'sluice reload'", name, path);
		return -EPERM;
	}
	return err;
}
