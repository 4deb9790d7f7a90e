/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/join.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controlplane/cli/ask.h"
#include "controlplane/cli/qr.h"
#include "controlplane/cli/show.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define FIRST_PAUSE_NS (20 * NS_PER_MS)
#define LAST_PAUSE_NS  (250 * NS_PER_MS)
#define AWAY_NS        (10 * NS_PER_S) // a control plane that is gone for so long does not come back
#define TEXT_BYTES     1024

struct joining {
	const struct join_options *o;
	char phase[TEXT_BYTES], url[TEXT_BYTES], error[TEXT_BYTES]; // said last
	bool asked_approval, needed_login;
};

// Whether `text` is another one than before; then it is kept.
static bool
is_news(char kept[static TEXT_BYTES], const char *text)
{
	char cut[TEXT_BYTES];

	snprintf(cut, sizeof(cut), "%s", text);
	if (strcmp(kept, cut) == 0)
		return false;
	memcpy(kept, cut, sizeof(cut));
	return true;
}

static void
say_url(struct joining *j, const char *url)
{
	if (url[0] == '\0' || !is_news(j->url, url))
		return;
	j->needed_login = true;
	printf("\nTo authenticate, visit:\n\n\t%s\n\n", url);
	if (j->o->qr)
		qr_print(stdout, url);
	fflush(stdout);
}

// Each only once: it may be asked for many times a second.
static void
say_progress(struct joining *j, const json_t *tailnet)
{
	const json_t *error = json_object_get(tailnet, "error");
	const char *phase = show_text(tailnet, "phase", "");
	char text[TEXT_BYTES] = "";

	if (json_is_object(error))
		snprintf(text, sizeof(text), "%s; %s; %s", show_text(error, "what", "?"),
			show_text(error, "why", "?"), show_text(error, "do", "?"));
	if (is_news(j->error, text) && text[0] != '\0' && !show_bool(error, "final"))
		fprintf(stderr, "sluice %s: %s (trying again)\n", j->o->command, text);
	if (is_news(j->phase, phase) && phase[0] != '\0' && text[0] == '\0')
		fprintf(stderr, "sluice %s: %s\n", j->o->command, phase);
	if (strcmp(show_text(tailnet, "state", ""), "NeedsMachineAuth") == 0 &&
		!j->asked_approval) {
		j->asked_approval = true;
		printf("\nTo approve your machine, ask an admin of the tailnet (%s).\n\n",
			show_text(tailnet, "server", "its server"));
		fflush(stdout);
	}
	say_url(j, show_text(tailnet, "auth_url", ""));
}

static void
say_success(const struct joining *j, const json_t *tailnet)
{
	const json_t *self = json_object_get(tailnet, "self");
	const json_t *netcheck = json_object_get(tailnet, "netcheck");

	if (j->needed_login || j->asked_approval)
		printf("Success.\n");
	fprintf(stderr,
		show_bool(tailnet, "connected") ? "sluice %s: connected to %s as %s\n"
						: "sluice %s: %s does not answer, going on as %s "
						  "with what was last known\n",
		j->o->command, show_text(tailnet, "server", "the server"),
		show_text(self, "name", "?"));
	if (json_is_object(netcheck) && !show_bool(netcheck, "udp"))
		fprintf(stderr,
			"sluice %s: UDP is blocked; no STUN server of a relay answers, so "
			"everything "
			"goes through relays, more slowly; let UDP out to the Internet\n",
			j->o->command);
	ask_print_warnings(j->o->command, tailnet);
}

enum joined {
	JOIN_GOES_ON,
	JOIN_DONE,
	JOIN_FAILED,
};

static enum joined
look_at(struct joining *j, const json_t *tailnet)
{
	const json_t *error = json_object_get(tailnet, "error");
	const char *state = show_text(tailnet, "state", "");

	say_progress(j, tailnet);
	if (json_is_object(error) && show_bool(error, "final")) {
		ask_print_error(j->o->command, error);
		return JOIN_FAILED;
	}
	// What was last known is in use without the server, too; that it does not answer is said.
	if (strcmp(state, "Running") == 0 &&
		(show_bool(tailnet, "connected") ||
			(show_bool(tailnet, "from_disk") && json_is_object(error)))) {
		say_success(j, tailnet);
		return JOIN_DONE;
	}
	if (strcmp(state, "Stopped") == 0) {
		fprintf(stderr,
			"sluice %s: the gateway was stopped meanwhile; somebody ran `sluice down`; "
			"run `sluice up` again\n",
			j->o->command);
		return JOIN_FAILED;
	}
	return JOIN_GOES_ON;
}

static void
say_time_out(const struct joining *j)
{
	if (j->error[0] != '\0')
		fprintf(stderr, "sluice %s: %s\n", j->o->command, j->error);
	else if (j->url[0] != '\0')
		fprintf(stderr,
			"sluice %s: nobody has logged in; %s was not visited in time; visit it, or "
			"use an auth key\n",
			j->o->command, j->url);
	else
		fprintf(stderr,
			"sluice %s: the gateway is not connected yet; it has come as far as: %s; "
			"it goes on trying: see `sluice status`\n",
			j->o->command, j->phase[0] != '\0' ? j->phase : "nothing");
}

// 0: tailnet is set, and is to be released with *ret_answer.
static int
ask_state(const char *run_dir, json_t **ret_answer, const json_t **ret_tailnet)
{
	json_t *answer;
	int err = ask_quietly(run_dir, json_pack("{s:s, s:b}", "cmd", "status", "peers", 0),
		ASK_TIMEOUT_S, &answer);

	if (err < 0)
		return err;
	*ret_tailnet = json_object_get(answer, "tailnet");
	if (!json_is_object(*ret_tailnet)) {
		json_decref(answer);
		return -EPROTO;
	}
	show_clean(answer);
	*ret_answer = answer;
	return 0;
}

bool
join_wait(const struct join_options *options, struct launch *launch)
{
	struct joining j = { .o = options };
	struct mono start = mono_now(), heard = start;
	int64_t pause_ns = FIRST_PAUSE_NS;
	enum joined joined = JOIN_GOES_ON;

	while (joined == JOIN_GOES_ON) {
		const json_t *tailnet;
		json_t *answer;
		int err = ask_state(options->run_dir, &answer, &tailnet);
		struct mono now = mono_now();

		if (err == 0) {
			heard = now;
			joined = look_at(&j, tailnet);
			json_decref(answer);
		} else if (mono_diff_ns(now, heard) > AWAY_NS) {
			fprintf(stderr,
				"sluice %s: the gateway does not answer any more: %s; it may be "
				"gone; see its log\n",
				options->command, err_str(err));
			return false;
		}
		if (joined != JOIN_GOES_ON || launch_has_failed(launch, options->command))
			break;
		if (options->timeout_ns > 0 && mono_diff_ns(now, start) > options->timeout_ns) {
			say_time_out(&j);
			break;
		}
		nanosleep(&(struct timespec){ .tv_nsec = pause_ns }, NULL);
		if (pause_ns < LAST_PAUSE_NS && mono_diff_ns(now, start) > 3 * NS_PER_S)
			pause_ns = LAST_PAUSE_NS;
	}
	return joined == JOIN_DONE;
}
