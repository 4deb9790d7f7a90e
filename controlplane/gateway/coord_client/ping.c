/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Answers to the server's PingRequest (control.md 8.2): HEAD over Noise or in the open, and c2n.
 * A router that does not answer is taken for dead by Headscale and loses its routes.
 */

#define LOG_TAG "coord"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/coord_client/c2n.h"
#include "controlplane/gateway/coord_client/client.h"
#include "lib/base/log.h"

#define PING_NS (15 * NS_PER_S)

static void
on_fetched(void *context, const struct fetch_result *result)
{
	struct ping *ping = context;

	if (result->failure != NULL)
		log_info("the server's ping could not be answered: %s", result->failure->text);
	ping->fetch = NULL;
}

static void
answer_in_the_open(struct coord_client *cc, const struct server_url *url)
{
	for (size_t i = 0; i < COORD_MAX_PINGS; i++) {
		struct ping *ping = &cc->pings[i];
		const struct fetch_request request = { .method = "HEAD",
			.url = url,
			.verify = STREAM_VERIFY_FULL,
			.timeout_ns = PING_NS,
			.done = on_fetched,
			.context = ping };

		if (ping->fetch != NULL)
			continue;
		ping->client = cc;
		if (fetch_start(cc->streams, &request, cc->now, &ping->fetch) < 0)
			ping->fetch = NULL;
		return;
	}
	log_info("more pings of the server than are answered at once");
}

static void
answer_inside(struct coord_client *cc,
	const struct server_url *url,
	const char *method,
	const void *body,
	size_t body_len)
{
	char authority[URL_AUTHORITY_LEN];
	const struct h2_request request = { .method = method,
		.authority = server_url_authority(url, false, authority),
		.path = url->path,
		.body = body,
		.body_len = body_len };
	int32_t *id = &cc->inside_pings[cc->n_inside_pings++ % COORD_MAX_PINGS];

	if (*id != 0) // unanswered or long done: they may not gather
		control_cancel(cc->control, *id);
	*id = 0;
	if (control_request(cc->control, &request, id) < 0)
		log_info("the server's ping could not be answered over its own connection");
}

static void
answer_c2n(struct coord_client *cc, const struct server_url *url, const struct octets *payload)
{
	size_t len;
	char *answer = c2n_answer((const char *)payload->at, payload->len, &len);

	if (answer != NULL)
		answer_inside(cc, url, "POST", answer, len);
	free(answer);
}

static bool
is_repeated(struct coord_client *cc, const char *url)
{
	if (cc->last_ping_url != NULL && strcmp(cc->last_ping_url, url) == 0)
		return true;
	free(cc->last_ping_url);
	cc->last_ping_url = strdup(url);
	return false;
}

void
ping_answer(struct coord_client *cc, const struct ping_request *request)
{
	const char *types = request->types != NULL ? request->types : "";
	struct server_url url;

	if (request->url == NULL || server_url_parse(request->url, &url) < 0 ||
		is_repeated(cc, request->url))
		return;
	if (strcmp(types, "c2n") == 0) {
		if (request->url_is_noise)
			answer_c2n(cc, &url, &request->payload);
		return;
	}
	// Other kinds ask us to ping a peer, which no server in use does.
	if (types[0] != '\0' || (cc->calls.alive != NULL && !cc->calls.alive(cc->calls.context)))
		return;
	if (request->url_is_noise)
		answer_inside(cc, &url, "HEAD", NULL, 0);
	else
		answer_in_the_open(cc, &url);
}

void
pings_cancel(struct coord_client *cc)
{
	for (size_t i = 0; i < COORD_MAX_PINGS; i++) {
		fetch_cancel(cc->pings[i].fetch);
		cc->pings[i].fetch = NULL;
	}
}

struct mono
pings_tick(struct coord_client *cc)
{
	struct mono next = {};

	for (size_t i = 0; i < COORD_MAX_PINGS; i++) {
		struct mono t = {};

		if (cc->pings[i].fetch != NULL)
			t = fetch_tick(cc->pings[i].fetch, cc->now);
		if (!mono_is_never(t) && (mono_is_never(next) || t.ns < next.ns))
			next = t;
	}
	return next;
}
