/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reading the configuration again.  It is in force as a whole or not at all: first it is checked,
 * then the data plane takes it, then the host follows.
 */

#define LOG_TAG "reload"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controlplane/gateway/coord.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define RELOAD_LIMIT_NS (10 * NS_PER_S)

// `why` may be several lines, one per error.
static void
refuse(struct coord *c, uint32_t client, const char *what, const char *why, const char *what_to_do)
{
	log_err("the configuration before stays in force: %s; %s", what, what_to_do);
	for (const char *at = why; *at != '\0'; at += strspn(at, "\n")) {
		size_t len = strcspn(at, "\n");

		log_err("%.*s", (int)len, at);
		at += len;
	}
	if (client != 0)
		request_answer_error(c, client, what, why, what_to_do);
}

static void
trim_end(char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
}

// A list of JSON strings, one per line.
static json_t *
lines_of(const char *text)
{
	json_t *list = json_array();

	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");

		if (len > 0)
			json_array_append_new(list, json_stringn(text, len));
		text += len + (text[len] == '\n');
	}
	return list;
}

static void
finish(struct coord *c)
{
	config_free(c->reload.config);
	free(c->reload.warnings);
	c->reload = (struct coord_reload){};
}

// What is fixed when the processes start.  Returns what has changed, or NULL.
static const char *
fixed_change(const struct config_gateway *old, const struct config_gateway *new)
{
	if (old->listen_port != new->listen_port)
		return "wireguard.listen_port";
	if (old->workers_auto != new->workers_auto || old->n_worker_cores != new->n_worker_cores ||
		memcmp(old->worker_cores, new->worker_cores,
			old->n_worker_cores * sizeof(old->worker_cores[0])) != 0)
		return "dataplane.workers";
	if (old->driver != new->driver)
		return "dataplane.driver";
	if (strcmp(old->interface, new->interface) != 0)
		return "dataplane.interface";
	if (old->routing_table != new->routing_table)
		return "dataplane.routing_table";
	return NULL;
}

static struct config_gateway *
load(struct coord *c, uint32_t client, char **ret_warnings)
{
	struct config_gateway *config = NULL;
	const char *fixed;
	char *text = NULL, why[256];
	int err = config_load(c->options.config_path, &config, &text);

	trim_end(text);
	if (err < 0) {
		refuse(c, client, "the configuration has errors",
			text != NULL ? text : err_str(err), "correct it and reload again");
		free(text);
		return NULL;
	}
	fixed = fixed_change(c->config, config);
	if (fixed != NULL) {
		snprintf(why, sizeof(why),
			"%s: %s has changed, which is fixed when the gateway starts",
			c->options.config_path, fixed);
		refuse(c, client, "the configuration cannot be taken over while the gateway runs",
			why, "restart the gateway, or put the old value back and reload again");
		config_free(config);
		free(text);
		return NULL;
	}
	*ret_warnings = text;
	return config;
}

void
reload_begin(struct coord *c, uint32_t client)
{
	struct config_gateway *config;
	char *warnings = NULL;
	uint64_t number;

	if (c->reload.under_way) {
		refuse(c, client, "a reload is under way already",
			"the data plane has not answered it yet",
			"wait for its end and reload again");
		return;
	}
	config = load(c, client, &warnings);
	if (config == NULL)
		return;
	number = coord_wish(c, config);
	if (number == 0) {
		refuse(c, client, "the configuration was not taken over",
			"there is not enough memory", "free some and reload again");
		config_free(config);
		free(warnings);
		return;
	}
	c->reload = (struct coord_reload){ .under_way = true,
		.client = client,
		.number = number,
		.since = c->now,
		.config = config,
		.warnings = warnings };
}

static void
answer_done(struct coord *c)
{
	char summary[128];
	json_t *answer;

	if (c->reload.client == 0)
		return;
	snprintf(summary, sizeof(summary), "%zu peers", c->config->n_peers);
	answer = json_pack("{s:b, s:s, s:o}", "ok", 1, "summary", summary, "warnings",
		lines_of(c->reload.warnings));
	api_answer(&c->api, c->reload.client, json_dumps(answer, JSON_COMPACT), c->now);
	json_decref(answer);
}

void
reload_on_settled(struct coord *c, uint64_t number, int value)
{
	struct config_gateway *old = c->config;

	if (!c->reload.under_way || number != c->reload.number)
		return; // the first configuration, or one that was given up on
	if (value != 0) {
		refuse(c, c->reload.client, "the data plane refused the configuration",
			"its log says why (rows out of range, or a table is full)",
			"correct it and reload again");
		finish(c);
		return;
	}
	c->config = c->reload.config;
	c->reload.config = old; // freed by finish()
	coord_apply_host(c);
	resolve_take_config(c->resolve, c->config, c->now);
	log_notice("configuration reloaded peers=%zu", c->config->n_peers);
	answer_done(c);
	finish(c);
}

// The wire thread holds on to it: it takes effect when the data plane is back.
void
reload_tick(struct coord *c)
{
	uint32_t client = c->reload.client;

	if (!c->reload.under_way || client == 0 ||
		mono_diff_ns(c->now, c->reload.since) < RELOAD_LIMIT_NS)
		return;
	c->reload.client = 0;
	request_answer_error(c, client, "the configuration is right, but not in force yet",
		"the data plane does not answer",
		"look at `sluice status`; it takes effect as soon as the data plane is back");
}
