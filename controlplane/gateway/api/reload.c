/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "reload"

#include "controlplane/gateway/api/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "controlplane/gateway/api/answer.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define RELOAD_LIMIT_NS (10 * NS_PER_S)

// `why` may be several lines, one per error.
static void
refuse(struct reload *r,
	uint32_t client,
	const char *what,
	const char *why,
	const char *what_to_do,
	struct mono now)
{
	log_err("the configuration before stays in force: %s; %s", what, what_to_do);
	for (const char *at = why; *at != '\0'; at += strspn(at, "\n")) {
		size_t len = strcspn(at, "\n");

		log_err("%.*s", (int)len, at);
		at += len;
	}
	if (client != 0)
		answer_error(r->api, client, what, why, what_to_do, now);
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

void
reload_init(struct reload *r, struct api *api, const char *config_path)
{
	*r = (struct reload){ .api = api, .path = config_path };
}

static void
finish(struct reload *r)
{
	config_free(r->config);
	free(r->warnings);
	reload_init(r, r->api, r->path);
}

void
reload_fini(struct reload *r)
{
	finish(r);
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

// The file, if it may come into force.
static struct config_gateway *
load(struct reload *r,
	const struct config_gateway *in_force,
	uint32_t client,
	char **ret_warnings,
	struct mono now)
{
	struct config_gateway *config = NULL;
	const char *fixed;
	char *text = NULL, why[256];
	int err = config_load(r->path, &config, &text);

	trim_end(text);
	if (err < 0) {
		refuse(r, client, "the configuration has errors",
			text != NULL ? text : err_str(err), "correct it and reload again", now);
		free(text);
		return NULL;
	}
	fixed = fixed_change(in_force, config);
	if (fixed != NULL) {
		snprintf(why, sizeof(why),
			"%s: %s has changed, which is fixed when the gateway starts", r->path,
			fixed);
		refuse(r, client, "the configuration cannot be taken over while the gateway runs",
			why, "restart the gateway, or put the old value back and reload again",
			now);
		config_free(config);
		free(text);
		return NULL;
	}
	*ret_warnings = text;
	return config;
}

struct config_gateway *
reload_read(struct reload *r,
	const struct config_gateway *in_force,
	uint32_t client,
	struct mono now)
{
	struct config_gateway *config;
	char *warnings = NULL;

	if (r->under_way) {
		refuse(r, client, "a reload is under way already",
			"the data plane has not answered it yet",
			"wait for its end and reload again", now);
		return NULL;
	}
	config = load(r, in_force, client, &warnings, now);
	if (config == NULL)
		return NULL;
	r->client = client;
	r->config = config;
	r->warnings = warnings;
	return config;
}

void
reload_sent(struct reload *r, uint64_t number, struct mono now)
{
	if (number == 0) {
		refuse(r, r->client, "the configuration was not taken over",
			"there is not enough memory", "free some and reload again", now);
		finish(r);
		return;
	}
	r->under_way = true;
	r->number = number;
	r->since = now;
}

struct config_gateway *
reload_settled(struct reload *r, uint64_t number, int value, struct mono now)
{
	struct config_gateway *config = r->config;

	if (!r->under_way || number != r->number)
		return NULL; // the first configuration, or one that was given up on
	if (value != 0) {
		refuse(r, r->client, "the data plane refused the configuration",
			"its log says why (rows out of range, or a table is full)",
			"correct it and reload again", now);
		finish(r);
		return NULL;
	}
	r->config = NULL;
	return config;
}

static void
answer_done(struct reload *r, size_t n_peers, struct mono now)
{
	char summary[128];

	if (r->client == 0)
		return;
	snprintf(summary, sizeof(summary), "%zu peers", n_peers);
	answer_object(r->api, r->client,
		json_pack("{s:b, s:s, s:o}", "ok", 1, "summary", summary, "warnings",
			lines_of(r->warnings)),
		now);
}

void
reload_done(struct reload *r, const struct config_gateway *in_force, struct mono now)
{
	log_notice("configuration reloaded peers=%zu", in_force->n_peers);
	answer_done(r, in_force->n_peers, now);
	finish(r);
}

// The wire thread holds on to it: it takes effect when the data plane is back.
void
reload_tick(struct reload *r, struct mono now)
{
	uint32_t client = r->client;

	if (!r->under_way || client == 0 || mono_diff_ns(now, r->since) < RELOAD_LIMIT_NS)
		return;
	r->client = 0;
	answer_error(r->api, client, "the configuration is right, but not in force yet",
		"the data plane does not answer",
		"look at `sluice status`; it takes effect as soon as the data plane is back", now);
}
