/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is wanted, and the next step towards it: key, connection, registration, map.
 */

#include "controlplane/gateway/coord_client/coord_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/gateway/coord_client/client.h"
#include "controlplane/gateway/secret_memory.h"
#include "lib/base/err.h"
#include "lib/tailnet/capver.h"

#define FETCH_NS       (15 * NS_PER_S)
#define LOGOUT_NS      (5 * NS_PER_S)
#define BACK_OFF_MAX   (30 * NS_PER_S)
#define STEADY_NS      (5 * NS_PER_S) /* a stream that stood this long: what was before is over */
#define REFUSED_MIN_NS (5 * NS_PER_S)
#define REFUSED_MAX_NS (300 * NS_PER_S)

static struct mono
earlier(struct mono a, struct mono b)
{
	if (mono_is_never(a))
		return b;
	return mono_is_never(b) || a.ns <= b.ns ? a : b;
}

static bool
is_due(const struct coord_client *cc, struct mono t)
{
	return !mono_is_never(t) && mono_diff_ns(cc->now, t) >= 0;
}

bool
client_is_obsolete(const struct coord_client *cc)
{
	return cc->is_ordered;
}

void
client_touch(struct coord_client *cc)
{
	struct mono now = stream_set_now(cc->streams);

	if (mono_diff_ns(now, cc->now) > 0)
		cc->now = now;
}

static void
tell_phase(struct coord_client *cc, enum coord_phase phase, const struct coord_failure *failure)
{
	cc->phase = phase;
	cc->calls.phase(cc->calls.context, phase, failure);
}

void
client_set_phase(struct coord_client *cc, enum coord_phase phase)
{
	if (cc->phase != phase)
		tell_phase(cc, phase, NULL);
}

/* --- the end of connections --- */

static void
end_requests(struct coord_client *cc)
{
	struct answer *answers[] = { &cc->registering, &cc->following, &cc->updating };

	for (size_t i = 0; i < 3; i++) {
		if (answers[i]->id != 0 && cc->control != NULL)
			control_cancel(cc->control, answers[i]->id);
		answer_end(answers[i]);
	}
	cc->register_deadline = cc->watchdog = cc->update_deadline = (struct mono){};
	cc->has_map = false;
	map_reader_fini(&cc->reader);
}

static void
end_connections(struct coord_client *cc)
{
	struct control *control = cc->control;

	end_requests(cc);
	cc->control = NULL;
	cc->control_ready = false;
	memset(cc->inside_pings, 0, sizeof(cc->inside_pings));
	control_close(control);
	fetch_cancel(cc->key_fetch);
	fetch_cancel(cc->clock_fetch);
	cc->key_fetch = cc->clock_fetch = NULL;
}

/* --- failures --- */

int64_t
client_back_off_ns(uint32_t n_failures)
{
	uint64_t n = n_failures < 100 ? n_failures : 100;
	int64_t ns = (int64_t)(n * n) * 10 * NS_PER_MS;
	uint16_t chance;

	random_bytes(&chance, sizeof(chance));
	ns = ns < BACK_OFF_MAX ? ns : BACK_OFF_MAX;
	return ns / 2 + ns / 65536 * chance;
}

static int64_t
refused_ns(uint32_t n_failures)
{
	int64_t ns = REFUSED_MIN_NS;

	for (uint32_t i = 1; i < n_failures && ns < REFUSED_MAX_NS; i++)
		ns *= 2;
	return ns < REFUSED_MAX_NS ? ns : REFUSED_MAX_NS;
}

// Where asking again soon is of no use to anybody.
static bool
needs_patience(enum coord_failure_kind kind)
{
	return kind == COORD_FAILED_REFUSED || kind == COORD_FAILED_SERVER_TOO_OLD ||
	       kind == COORD_FAILED_WE_TOO_OLD || kind == COORD_FAILED_NO_COORDINATOR ||
	       kind == COORD_FAILED_UNKNOWN_NODE;
}

static bool
needs_the_caller(enum coord_failure_kind kind)
{
	return kind == COORD_FAILED_NODE_KEY_EXPIRED || kind == COORD_FAILED_TAILNET_LOCK;
}

void
client_fail(struct coord_client *cc)
{
	enum coord_failure_kind kind = cc->failure.kind;

	if (cc->has_map && mono_diff_ns(cc->now, cc->connected_since) >= STEADY_NS)
		cc->n_failures = 0;
	end_connections(cc);
	cc->has_failure = true;
	cc->n_failures++;
	if (cc->wanted == WANT_LOGOUT) {
		cc->wanted = WANT_NOTHING;
		if (cc->calls.logged_out != NULL)
			cc->calls.logged_out(cc->calls.context, false);
	}
	if (needs_the_caller(kind))
		cc->wanted = WANT_NOTHING;
	if (client_is_obsolete(cc))
		return;
	cc->retry_at =
		mono_add_ns(cc->now, needs_patience(kind) ? refused_ns(cc->n_failures)
							  : client_back_off_ns(cc->n_failures));
	tell_phase(cc, cc->wanted == WANT_NOTHING ? COORD_IDLE : COORD_BACKOFF, &cc->failure);
}

void
client_fail_with(struct coord_client *cc, enum coord_failure_kind kind, const char *why)
{
	coord_failure_write(&cc->failure, kind, cc->server, why);
	client_fail(cc);
}

/* --- the server's key --- */

// A certificate that seems outside its time: is it, or is it our clock?  The answer is used for
// nothing but this question, so whoever answers may be anybody.
static void
on_clock(void *context, const struct fetch_result *result)
{
	struct coord_client *cc = context;

	client_touch(cc);
	cc->clock_fetch = NULL;
	if (result->failure == NULL && result->has_date)
		coord_failure_compare_clocks(
			&cc->failure, cc->server, (int64_t)time(NULL), result->date_s);
	client_fail(cc);
}

static bool
ask_for_the_time(struct coord_client *cc)
{
	const struct fetch_request request = { .method = "HEAD",
		.url = &cc->url,
		.verify = STREAM_VERIFY_NONE,
		.timeout_ns = FETCH_NS,
		.done = on_clock,
		.context = cc };

	return fetch_start(cc->streams, &request, cc->now, &cc->clock_fetch) == 0;
}

static void
take_no_key(struct coord_client *cc, const struct fetch_result *result)
{
	const struct stream_failure *f = result->failure;
	bool time = f != NULL && (f->certificate == STREAM_CERTIFICATE_EXPIRED ||
					 f->certificate == STREAM_CERTIFICATE_NOT_YET_VALID);

	if (f != NULL)
		coord_failure_from_stream(&cc->failure, cc->server, f);
	else
		coord_failure_write(
			&cc->failure, COORD_FAILED_NO_COORDINATOR, cc->server, result->broken);
	if (!time || !ask_for_the_time(cc))
		client_fail(cc);
}

static int
first_line(const struct fetch_result *result)
{
	size_t n = 0;

	while (n < result->body_len && n < COORD_ERROR_BODY && result->body[n] >= ' ')
		n++;
	return (int)n;
}

static void
take_status(struct coord_client *cc, const struct fetch_result *result)
{
	char why[COORD_TEXT_LEN];

	if (result->location[0] != '\0')
		snprintf(why, sizeof(why), "GET /key leads elsewhere: %s", result->location);
	else
		snprintf(why, sizeof(why), "GET /key is answered %u%s%.*s", result->status,
			result->body_len > 0 ? ": " : "", first_line(result), result->body);
	// Proxies say so while the server behind them starts.
	client_fail_with(
		cc, result->status >= 500 ? COORD_FAILED_SERVER : COORD_FAILED_NO_COORDINATOR, why);
}

static void
take_key(struct coord_client *cc, const struct control_keys *keys)
{
	if (tailkey_is_zero(keys->current.bytes)) {
		client_fail_with(
			cc, COORD_FAILED_SERVER_TOO_OLD, "it has no key for this protocol");
		return;
	}
	memcpy(cc->server_key.bytes, keys->current.bytes, KEY_LEN);
	cc->has_server_key = true;
}

static void
on_key(void *context, const struct fetch_result *result)
{
	struct coord_client *cc = context;
	struct control_keys keys;

	client_touch(cc);
	cc->key_fetch = NULL;
	if (client_is_obsolete(cc))
		return;
	if (result->failure != NULL || result->broken != NULL)
		take_no_key(cc, result);
	else if (result->status != 200)
		take_status(cc, result);
	else if (result->body_len == 0)
		client_fail_with(cc, COORD_FAILED_WE_TOO_OLD, "GET /key has an empty answer");
	else if (control_keys_parse(result->body, result->body_len, &keys) < 0)
		client_fail_with(
			cc, COORD_FAILED_NO_COORDINATOR, "what it answers to GET /key is no key");
	else
		take_key(cc, &keys);
}

static void
ask_for_key(struct coord_client *cc)
{
	struct server_url url = cc->url;
	struct fetch_request request = { .method = "GET",
		.url = &url,
		.verify = STREAM_VERIFY_FULL,
		.timeout_ns = FETCH_NS,
		.done = on_key,
		.context = cc };
	size_t len = strlen(url.path);

	while (len > 0 && url.path[len - 1] == '/')
		len--;
	client_set_phase(cc, COORD_KEY);
	if (client_is_obsolete(cc))
		return;
	if (snprintf(url.path + len, sizeof(url.path) - len, "/key?v=%d", TAILNET_CAPVER) >=
			(int)(sizeof(url.path) - len) ||
		fetch_start(cc->streams, &request, cc->now, &cc->key_fetch) < 0)
		client_fail_with(cc, COORD_FAILED_LOCAL, "no request could be made");
}

/* --- the connection --- */

static void
on_ready(void *context)
{
	struct coord_client *cc = context;

	client_touch(cc);
	cc->control_ready = true; // the next tick goes on
}

static void
take_upgrade_refusal(struct coord_client *cc, const struct control_failure *f)
{
	char why[COORD_TEXT_LEN];

	snprintf(why, sizeof(why), "POST /ts2021 is answered %u %s", f->status, f->text);
	client_fail_with(
		cc, f->status >= 500 ? COORD_FAILED_SERVER : COORD_FAILED_NO_COORDINATOR, why);
}

static void
on_control_failed(void *context, const struct control_failure *f)
{
	struct coord_client *cc = context;

	client_touch(cc);
	if (client_is_obsolete(cc)) {
		end_connections(cc);
		return;
	}
	switch (f->kind) {
	case CONTROL_STREAM:
		coord_failure_from_stream(&cc->failure, cc->server, f->stream);
		client_fail(cc);
		break;
	case CONTROL_ANSWER:
		take_upgrade_refusal(cc, f);
		break;
	case CONTROL_NO_HTTP:
		client_fail_with(cc, COORD_FAILED_NO_COORDINATOR, f->text);
		break;
	case CONTROL_HANDSHAKE:
		// It may have another key than before: asked for again.
		cc->has_server_key = false;
		client_fail_with(cc, COORD_FAILED_HANDSHAKE, f->text);
		break;
	case CONTROL_MUTE:
		client_fail_with(cc, COORD_FAILED_LOST,
			"it ended the connection right after the handshake, as servers do that do "
			"not accept a capability version");
		break;
	case CONTROL_LOST:
		client_fail_with(cc, COORD_FAILED_LOST, f->text);
		break;
	case CONTROL_BROKEN:
		client_fail_with(cc, COORD_FAILED_PROTOCOL, f->text);
		break;
	}
}

static void
connect_control(struct coord_client *cc)
{
	const struct control_calls calls = { on_ready, on_control_failed, cc };
	int err;

	client_set_phase(cc, COORD_CONNECTING);
	if (client_is_obsolete(cc))
		return;
	err = control_open(
		cc->streams, &cc->url, cc->machine, &cc->server_key, &calls, cc->now, &cc->control);
	if (err == ERR_BAD_KEY)
		cc->has_server_key = false;
	if (err < 0) {
		cc->control = NULL;
		client_fail_with(cc,
			err == ERR_BAD_KEY ? COORD_FAILED_HANDSHAKE : COORD_FAILED_LOCAL,
			err_str(err));
	}
}

/* --- orders --- */

static void
order(struct coord_client *cc, enum wanted wanted)
{
	cc->order = wanted;
	cc->is_ordered = true;
}

void
coord_client_login(struct coord_client *client)
{
	order(client, WANT_LOGIN);
}

void
coord_client_start_map(struct coord_client *client)
{
	order(client, WANT_MAP);
}

void
coord_client_stop(struct coord_client *client)
{
	order(client, WANT_NOTHING);
}

void
coord_client_logout(struct coord_client *client)
{
	order(client, WANT_LOGOUT);
}

void
coord_client_update(struct coord_client *client)
{
	client->update_soon = true;
}

void
coord_client_network_changed(struct coord_client *client)
{
	client->network_changed = true;
}

static void
take_order(struct coord_client *cc)
{
	cc->is_ordered = false;
	cc->wanted = cc->order;
	cc->followup[0] = '\0';
	cc->n_failures = 0;
	cc->retry_at = (struct mono){};
	end_requests(cc);
	if (cc->wanted == WANT_NOTHING || !cc->control_ready)
		end_connections(cc);
	if (cc->wanted == WANT_LOGOUT)
		cc->register_deadline = mono_add_ns(cc->now, LOGOUT_NS);
	if (cc->wanted == WANT_NOTHING) {
		cc->has_failure = false;
		client_set_phase(cc, COORD_IDLE);
	}
}

static void
change_network(struct coord_client *cc)
{
	cc->network_changed = false;
	if (cc->wanted == WANT_NOTHING)
		return;
	end_connections(cc);
	cc->n_failures = 0;
	cc->retry_at = (struct mono){};
}

/* --- the step --- */

static void
step_connected(struct coord_client *cc)
{
	if (cc->wanted == WANT_MAP) {
		if (cc->following.id == 0)
			follow_begin(cc);
		else
			update_step(cc);
	} else if (cc->registering.id == 0) {
		login_begin(cc);
	}
}

// Returns whether something has changed, so that another step may be possible at once.
static bool
step(struct coord_client *cc)
{
	enum wanted wanted = cc->wanted;

	if (cc->is_ordered) {
		take_order(cc);
		return true;
	}
	if (cc->wanted == WANT_NOTHING || cc->key_fetch != NULL || cc->clock_fetch != NULL)
		return false;
	if (!mono_is_never(cc->retry_at)) {
		if (mono_diff_ns(cc->now, cc->retry_at) < 0)
			return false;
		cc->retry_at = (struct mono){};
	}
	if (!cc->has_server_key)
		ask_for_key(cc);
	else if (cc->control == NULL)
		connect_control(cc);
	else if (cc->control_ready)
		step_connected(cc);
	return cc->is_ordered || cc->wanted != wanted;
}

static void
check_deadlines(struct coord_client *cc)
{
	if (cc->key_fetch != NULL)
		(void)fetch_tick(cc->key_fetch, cc->now);
	if (cc->clock_fetch != NULL)
		(void)fetch_tick(cc->clock_fetch, cc->now);
	if (cc->control != NULL)
		(void)control_tick(cc->control, cc->now);
	if (is_due(cc, cc->watchdog))
		client_fail_with(cc, COORD_FAILED_SILENT, "no message for 120 s");
	if (is_due(cc, cc->register_deadline))
		client_fail_with(cc, COORD_FAILED_SILENT, "no answer to the registration");
}

static struct mono
next_deadline(struct coord_client *cc)
{
	struct mono next = earlier(cc->watchdog, cc->register_deadline);

	if (cc->wanted == WANT_NOTHING)
		return pings_tick(cc);
	next = earlier(next, cc->retry_at);
	if (cc->key_fetch != NULL)
		next = earlier(next, fetch_tick(cc->key_fetch, cc->now));
	if (cc->clock_fetch != NULL)
		next = earlier(next, fetch_tick(cc->clock_fetch, cc->now));
	if (cc->control != NULL)
		next = earlier(next, control_tick(cc->control, cc->now));
	if (cc->following.status == 200 && cc->updating.id == 0)
		next = earlier(next, cc->update_at);
	next = earlier(next, cc->update_deadline);
	return earlier(next, pings_tick(cc));
}

struct mono
coord_client_tick(struct coord_client *client, struct mono now)
{
	client->now = now;
	if (client->network_changed)
		change_network(client);
	if (!client->is_ordered)
		check_deadlines(client);
	for (int i = 0; i < 8 && step(client); i++)
		;
	return next_deadline(client);
}

/* --- life --- */

int
coord_client_create(const struct coord_client_setup *setup,
	struct mono now,
	struct coord_client **ret_client)
{
	struct coord_client *cc = calloc(1, sizeof(*cc));
	int err = -ENOMEM;

	if (cc == NULL)
		return -ENOMEM;
	cc->streams = setup->streams;
	cc->calls = setup->calls;
	cc->now = now;
	err = server_url_parse(setup->server_url, &cc->url);
	if (err < 0)
		goto free_client;
	err = -ENOMEM;
	cc->url_text = strdup(setup->server_url);
	cc->machine = secret_memory_map(sizeof(*cc->machine));
	if (cc->url_text == NULL || cc->machine == NULL)
		goto free_client;
	*cc->machine = *setup->machine_key;
	cc->server_key = setup->server_key;
	cc->has_server_key = !tailkey_is_zero(setup->server_key.bytes);
	server_url_authority(&cc->url, true, cc->server);
	server_url_authority(&cc->url, false, cc->authority);
	*ret_client = cc;
	return 0;

free_client:
	free(cc->url_text);
	secret_memory_unmap(cc->machine, sizeof(*cc->machine));
	free(cc);
	return err;
}

void
coord_client_destroy(struct coord_client *client)
{
	if (client == NULL)
		return;
	end_connections(client);
	pings_cancel(client);
	free(client->last_ping_url);
	free(client->url_text);
	secret_memory_unmap(client->machine, sizeof(*client->machine));
	free(client);
}

void
coord_client_facts(const struct coord_client *client, struct coord_facts *ret_facts)
{
	*ret_facts = (struct coord_facts){ .phase = client->phase,
		.server_url = client->url_text,
		.has_failure = client->has_failure,
		.connected = client->has_map && client->phase == COORD_MAP,
		.connected_since = client->connected_since,
		.last_message = client->last_message,
		.retry_at = client->retry_at,
		.update_pending =
			client->update_soon || client->update_accepted != client->update_wanted,
		.n_failures = client->n_failures,
		.n_streams = client->n_streams,
		.n_messages = client->n_messages,
		.n_keep_alives = client->n_keep_alives,
		.n_updates = client->n_updates,
		.rx_bytes = client->rx_bytes };
	if (client->has_server_key)
		ret_facts->server_key = client->server_key;
	if (client->has_failure)
		ret_facts->failure = client->failure;
}

const char *
coord_phase_name(enum coord_phase phase)
{
	static const char *const names[] = {
		[COORD_IDLE] = "idle",
		[COORD_KEY] = "asking for the server's key",
		[COORD_CONNECTING] = "connecting",
		[COORD_REGISTERING] = "registering",
		[COORD_WAITING_FOR_LOGIN] = "waiting for login",
		[COORD_MAP] = "following the map",
		[COORD_BACKOFF] = "waiting to try again",
	};

	return names[phase];
}
