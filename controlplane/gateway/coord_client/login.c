/* SPDX-License-Identifier: BSD-3-Clause
 *
 * POST /machine/register: login, waiting for a login, logout.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/coord_client/client.h"
#include "lib/base/err.h"

#define ANSWER_NS (120 * NS_PER_S) /* but where the server waits for a person */

static void
on_status(void *context, unsigned status, const char *retry_after)
{
	struct coord_client *cc = context;

	answer_status(&cc->registering, status, retry_after);
}

static int
on_data(void *context, const uint8_t *data, size_t len)
{
	struct coord_client *cc = context;

	return answer_add(&cc->registering, data, len);
}

static void
end_logout(struct coord_client *cc, bool server_knows)
{
	cc->wanted = WANT_NOTHING;
	if (cc->calls.logged_out != NULL)
		cc->calls.logged_out(cc->calls.context, server_knows);
	if (!client_is_obsolete(cc))
		client_set_phase(cc, COORD_IDLE);
}

// A person has to open the URL; the same request once more waits for that.
static void
take_url(struct coord_client *cc, const struct register_response *r)
{
	struct server_url url;

	if (strlen(r->auth_url) >= sizeof(cc->followup) ||
		server_url_parse(r->auth_url, &url) < 0) {
		client_fail_with(cc, COORD_FAILED_PROTOCOL, "the URL for the login is none");
		return;
	}
	if (strcmp(cc->followup, r->auth_url) == 0) {
		// It did not wait, and nothing has happened: not in a loop without pauses.
		cc->n_failures++;
		cc->retry_at = mono_add_ns(cc->now, client_back_off_ns(cc->n_failures));
		return;
	}
	strcpy(cc->followup, r->auth_url);
	client_set_phase(cc, COORD_WAITING_FOR_LOGIN);
	if (!client_is_obsolete(cc))
		cc->calls.registered(cc->calls.context, r);
}

static void
take_response(struct coord_client *cc, const struct register_response *r)
{
	if (r->error != NULL && r->error[0] != '\0') {
		coord_failure_refused(&cc->failure, cc->server, r->error);
		client_fail(cc);
		return;
	}
	if (r->key_signature.len > 0) {
		client_fail_with(cc, COORD_FAILED_TAILNET_LOCK, "it asks for a signature");
		return;
	}
	if (r->auth_url != NULL && r->auth_url[0] != '\0') {
		take_url(cc, r);
		return;
	}
	cc->followup[0] = '\0';
	cc->calls.registered(cc->calls.context, r);
	if (client_is_obsolete(cc))
		return;
	if (r->node_key_expired) {
		client_fail_with(cc, COORD_FAILED_NODE_KEY_EXPIRED, "the server says so");
		return;
	}
	cc->n_failures = 0;
	cc->wanted = WANT_MAP;
}

static void
take_answer(struct coord_client *cc, struct answer *a)
{
	struct register_response response;
	int err;

	if (cc->wanted == WANT_LOGOUT) {
		end_logout(cc, a->status == 200);
		return;
	}
	if (a->status != 200) {
		answer_fail(cc, a);
		return;
	}
	err = register_response_parse(a->body != NULL ? a->body : "", a->len, &response);
	if (err < 0) {
		client_fail_with(
			cc, COORD_FAILED_PROTOCOL, "its answer to the registration is none");
		return;
	}
	take_response(cc, &response);
	register_response_fini(&response);
}

static void
on_ended(void *context, int err)
{
	struct coord_client *cc = context;
	struct answer a = cc->registering;

	client_touch(cc);
	cc->registering = (struct answer){};
	cc->register_deadline = (struct mono){};
	if (!client_is_obsolete(cc)) {
		if (err < 0)
			client_fail_with(cc,
				err == -E2BIG ? COORD_FAILED_PROTOCOL : COORD_FAILED_LOST,
				err == -E2BIG ? "its answer to the registration is too long"
					      : "it ended the request to register");
		else
			take_answer(cc, &a);
	}
	answer_end(&a);
}

static enum coord_register_reason
reason_of(const struct coord_client *cc)
{
	if (cc->wanted == WANT_LOGOUT)
		return COORD_REGISTER_LOGOUT;
	return cc->followup[0] != '\0' ? COORD_REGISTER_FOLLOWUP : COORD_REGISTER_LOGIN;
}

static int
post(struct coord_client *cc, const struct register_request *rq)
{
	char key[TAILKEY_TEXT_SIZE];
	struct json_writer w = {};
	const char *text;
	size_t len;
	int err;

	register_request_write(&w, rq);
	err = json_writer_finish(&w, &text, &len);
	if (err == 0) {
		const struct h2_request request = { .method = "POST",
			.authority = cc->authority,
			.path = "/machine/register",
			.load_balancer = tailkey_format(TAILKEY_NODE, rq->node_key.bytes, key),
			.body = text,
			.body_len = len,
			.calls = { on_status, on_data, on_ended, cc } };

		err = control_request(cc->control, &request, &cc->registering.id);
	}
	json_writer_fini(&w);
	return err;
}

void
login_begin(struct coord_client *cc)
{
	enum coord_register_reason reason = reason_of(cc);
	struct register_request rq = {};

	cc->calls.fill_register(cc->calls.context, reason, &rq);
	if (client_is_obsolete(cc))
		return;
	if (reason == COORD_REGISTER_FOLLOWUP)
		rq.followup = cc->followup;
	if (reason == COORD_REGISTER_LOGOUT)
		rq.expiry = REGISTER_LOGOUT_EXPIRY;
	answer_begin(&cc->registering, REGISTER_MAX_LEN);
	if (post(cc, &rq) < 0) {
		client_fail_with(cc, COORD_FAILED_LOST, "the request could not be sent");
		return;
	}
	if (reason == COORD_REGISTER_LOGIN)
		cc->register_deadline = mono_add_ns(cc->now, ANSWER_NS);
	client_set_phase(cc,
		reason == COORD_REGISTER_FOLLOWUP ? COORD_WAITING_FOR_LOGIN : COORD_REGISTERING);
}
