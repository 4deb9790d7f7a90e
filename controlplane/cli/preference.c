/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Source of the rule: the reference implementation's checkForAccidentalSettingReverts()
 * (cmd/tailscale/cli/up.go).
 */

#include "controlplane/cli/preference.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/cli/flag.h"
#include "lib/net/addr.h"

// Upstream's; "" in the status means the same.
#define DEFAULT_LOGIN_SERVER "https://controlplane.tailscale.com"

#define ARG_LEN 16384 // of a list of routes or tags: GATEWAY_API_MAX_REQUEST has room for it

bool
preference_is(int code)
{
	return code >= PREFERENCE_CODE(LOGIN_SERVER) && code <= PREFERENCE_CODE(CA_FILE);
}

static enum config_tailnet_option
option_of(int code)
{
	return (enum config_tailnet_option)(code - 0x1000);
}

// "accept_routes" -> "accept-routes"
static void
flag_name(enum config_tailnet_option option, char name[static 32])
{
	snprintf(name, 32, "%s", config_tailnet_name(option));
	for (char *c = name; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
}

static bool
complain(const char *command, const char *flag, const char *value, const char *complaint)
{
	fprintf(stderr, "sluice %s: --%s has \"%s\"; %s\n", command, flag, value, complaint);
	return false;
}

static bool
take_login_server(const char *command, const char *flag, const char *arg, json_t *prefs)
{
	const char *complaint = config_check_login_server(arg);
	size_t len = strlen(arg);

	if (complaint != NULL)
		return complain(command, flag, arg, complaint);
	while (len > 0 && arg[len - 1] == '/')
		len--;
	return json_object_set_new(prefs, "login_server", json_stringn(arg, len)) == 0;
}

static bool
take_hostname(const char *command, const char *flag, const char *arg, json_t *prefs)
{
	const char *complaint = config_check_hostname(arg);

	if (complaint != NULL)
		return complain(command, flag, arg, complaint);
	return json_object_set_new(prefs, "hostname", json_string(arg)) == 0;
}

static bool
take_ca_file(const char *command, const char *flag, const char *arg, json_t *prefs)
{
	char path[PATH_MAX];

	if (arg[0] == '\0')
		return json_object_set_new(prefs, "ca_file", json_string("")) == 0;
	// The daemon has another working directory.
	if (realpath(arg, path) == NULL || access(path, R_OK) < 0) {
		fprintf(stderr, "sluice %s: --%s %s cannot be read; %s; correct the name\n",
			command, flag, arg, strerror(errno));
		return false;
	}
	return json_object_set_new(prefs, "ca_file", json_string(path)) == 0;
}

// NULL: good, and added.
static const char *
add_route(const char *item, json_t *list)
{
	char text[ADDR_TEXT_LEN];
	const char *complaint;
	struct prefix route;

	if (strchr(item, '/') == NULL || prefix_parse(item, &route) < 0)
		return "a route is an address, '/' and a length; write for example "
		       "--advertise-routes=10.7.0.0/16,fd07::/48";
	complaint = config_check_route(&route);
	if (complaint == NULL)
		json_array_append_new(list, json_string(prefix_format(&route, text)));
	return complaint;
}

static const char *
add_tag(const char *item, json_t *list)
{
	const char *complaint = config_check_tag(item);

	if (complaint == NULL)
		json_array_append_new(list, json_string(item));
	return complaint;
}

static bool
fill_list(const char *command,
	const char *flag,
	char *text,
	size_t max,
	const char *(*add)(const char *item, json_t *list),
	json_t *list)
{
	char *rest = NULL;

	for (char *item = strtok_r(text, ",", &rest); item != NULL;
		item = strtok_r(NULL, ",", &rest)) {
		const char *complaint;

		item += strspn(item, " ");
		complaint = add(item, list);
		if (complaint != NULL)
			return complain(command, flag, item, complaint);
	}
	if (json_array_size(list) <= max)
		return true;
	fprintf(stderr, "sluice %s: --%s lists %zu items; %zu are the most; join some\n", command,
		flag, json_array_size(list), max);
	return false;
}

static bool
take_list(const char *command, int code, const char *flag, const char *arg, json_t *prefs)
{
	bool is_routes = code == PREFERENCE_CODE(ADVERTISE_ROUTES);
	json_t *list = json_array();
	char *text = strdup(arg);
	bool good = list != NULL && text != NULL;

	if (good && strlen(arg) >= ARG_LEN)
		good = complain(command, flag, "...", "the list is too long; shorten it");
	if (good)
		good = fill_list(command, flag, text,
			is_routes ? CONFIG_MAX_ADVERTISE : CONFIG_MAX_TAGS,
			is_routes ? add_route : add_tag, list);
	if (good)
		json_object_set(prefs, config_tailnet_name(option_of(code)), list);
	json_decref(list);
	free(text);
	return good;
}

bool
preference_take(const char *command, int code, const char *arg, json_t *prefs)
{
	char flag[32];
	bool value;

	flag_name(option_of(code), flag);
	switch (code) {
	case PREFERENCE_CODE(LOGIN_SERVER):
		return take_login_server(command, flag, arg, prefs);
	case PREFERENCE_CODE(HOSTNAME):
		return take_hostname(command, flag, arg, prefs);
	case PREFERENCE_CODE(CA_FILE):
		return take_ca_file(command, flag, arg, prefs);
	case PREFERENCE_CODE(ADVERTISE_ROUTES):
	case PREFERENCE_CODE(ADVERTISE_TAGS):
		return take_list(command, code, flag, arg, prefs);
	default:
		if (!flag_bool(command, flag, arg, &value))
			return false;
		return json_object_set_new(prefs, config_tailnet_name(option_of(code)),
			       json_boolean(value)) == 0;
	}
}

static bool
is_own_hostname(const char *name)
{
	char own[256] = "";

	if (gethostname(own, sizeof(own) - 1) < 0)
		return false;
	own[strcspn(own, ".")] = '\0';
	return strcmp(name, own) == 0;
}

static bool
is_default(enum config_tailnet_option option, const json_t *value)
{
	const char *text = json_string_value(value);

	if (json_is_null(value) || value == NULL)
		return true;
	if (json_is_array(value))
		return json_array_size(value) == 0;
	switch (option) {
	case CONFIG_TAILNET_LOGIN_SERVER:
		return text == NULL || text[0] == '\0' || strcmp(text, DEFAULT_LOGIN_SERVER) == 0;
	case CONFIG_TAILNET_HOSTNAME:
		return text == NULL || text[0] == '\0' || is_own_hostname(text);
	case CONFIG_TAILNET_ACCEPT_DNS:
	case CONFIG_TAILNET_SNAT_SUBNET_ROUTES:
		return json_is_true(value);
	case CONFIG_TAILNET_ACCEPT_ROUTES:
	case CONFIG_TAILNET_SHIELDS_UP:
		return json_is_false(value);
	default:
		return text == NULL || text[0] == '\0';
	}
}

static void
print_argument(FILE *out, enum config_tailnet_option option, const json_t *value)
{
	char flag[32];
	const json_t *item;
	size_t i;

	flag_name(option, flag);
	fprintf(out, " --%s", flag);
	if (json_is_false(value))
		fputs("=false", out);
	else if (json_is_string(value))
		fprintf(out, "=%s", json_string_value(value));
	else if (json_is_array(value))
		fputc('=', out);
	json_array_foreach(value, i, item)
		fprintf(out, "%s%s", i == 0 ? "" : ",", json_string_value(item));
}

// Those of `prefs` that `wanted` lets pass, as arguments.
static char *
arguments(const json_t *prefs,
	bool (*wanted)(enum config_tailnet_option, const json_t *value, const void *context),
	const void *context)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	for (int i = 0; i < CONFIG_TAILNET_N_OPTIONS; i++) {
		const json_t *value = json_object_get(prefs, config_tailnet_name(i));

		if (value != NULL && preference_is(0x1000 + i) && wanted(i, value, context))
			print_argument(out, i, value);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

struct mention {
	const json_t *mentioned, *from_file;
};

static bool
is_unmentioned(enum config_tailnet_option option, const json_t *value, const void *context)
{
	const struct mention *m = context;
	const char *name = config_tailnet_name(option);

	return !is_default(option, value) && json_object_get(m->mentioned, name) == NULL &&
	       json_object_get(m->from_file, name) == NULL;
}

static bool
is_any(enum config_tailnet_option, const json_t *, const void *)
{
	return true;
}

char *
preference_unmentioned(const json_t *tailnet, const json_t *mentioned)
{
	struct mention m = { mentioned, json_object_get(tailnet, "prefs_from_file") };

	return arguments(json_object_get(tailnet, "prefs"), is_unmentioned, &m);
}

char *
preference_arguments(const json_t *prefs)
{
	return arguments(prefs, is_any, NULL);
}
