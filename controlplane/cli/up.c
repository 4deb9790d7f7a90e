/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sluice up and login: be a member of a tailnet, registering first if need be; starts the gateway
 * when none runs.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "config/key_file.h"
#include "controlplane/cli/ask.h"
#include "controlplane/cli/command.h"
#include "controlplane/cli/conflict.h"
#include "controlplane/cli/flag.h"
#include "controlplane/cli/join.h"
#include "controlplane/cli/launch.h"
#include "controlplane/cli/preference.h"
#include "controlplane/cli/show.h"
#include "lib/base/secret.h"

struct up_options {
	struct launch_options launch;
	json_t *prefs; // what was mentioned
	char auth_key[CONFIG_AUTH_KEY_LEN];
	bool is_login, reset, force_reauth, qr;
	int64_t timeout_ns;
};

enum {
	OPTION_AUTH_KEY = 1,
	OPTION_ACCEPT_RISK,
	OPTION_CONFIG,
	OPTION_FORCE_REAUTH,
	OPTION_QR,
	OPTION_RESET,
	OPTION_RUN_DIR,
	OPTION_STATE_DIR,
	OPTION_TIMEOUT,
	OPTION_HELP = 'h',
};

static const struct option longs[] = {
	PREFERENCE_OPTIONS,
	PREFERENCE_UP_OPTIONS,
	{ "auth-key", required_argument, NULL, OPTION_AUTH_KEY },
	{ "authkey", required_argument, NULL, OPTION_AUTH_KEY }, // upstream's older spelling
	{ "accept-risk", required_argument, NULL, OPTION_ACCEPT_RISK },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "force-reauth", optional_argument, NULL, OPTION_FORCE_REAUTH },
	{ "qr", optional_argument, NULL, OPTION_QR },
	{ "reset", optional_argument, NULL, OPTION_RESET },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "state-dir", required_argument, NULL, OPTION_STATE_DIR },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "help", no_argument, NULL, OPTION_HELP },
	{},
};

// Everybody can read the arguments of a process; ours show the key no longer than they must.
static bool
take_auth_key(struct up_options *o, char *arg)
{
	const char *command = o->launch.command;
	char advice[KEY_FILE_ADVICE_LEN];
	bool good;

	if (strncmp(arg, "file:", 5) == 0) {
		if (auth_key_file_read(arg + 5, o->auth_key, advice) == 0)
			return true;
		fprintf(stderr, "sluice %s: the auth key's file %s %s\n", command, arg + 5, advice);
		return false;
	}
	good = auth_key_parse(arg, strlen(arg), o->auth_key);
	memset(arg, 'x', strlen(arg));
	if (!good)
		fprintf(stderr,
			"sluice %s: --auth-key holds no auth key; that is one word of up to %d "
			"characters; copy it again, or name a file with --auth-key file:PATH\n",
			command, CONFIG_AUTH_KEY_LEN - 1);
	return good;
}

static bool
take_risk(struct up_options *o, const char *arg)
{
	if (strcmp(arg, "tailscaled") == 0 || strcmp(arg, "all") == 0) {
		o->launch.accept_tailscaled = true;
		return true;
	}
	fprintf(stderr,
		"sluice %s: --accept-risk=%s is not known; the risks are tailscaled and all; write "
		"one of them\n",
		o->launch.command, arg);
	return false;
}

static bool
take(struct up_options *o, int code, char *arg)
{
	const char *command = o->launch.command;

	if (preference_is(code))
		return preference_take(command, code, arg, o->prefs);
	switch (code) {
	case OPTION_AUTH_KEY:
		return take_auth_key(o, arg);
	case OPTION_ACCEPT_RISK:
		return take_risk(o, arg);
	case OPTION_CONFIG:
		o->launch.config = arg;
		return true;
	case OPTION_FORCE_REAUTH:
		return flag_bool(command, "force-reauth", arg, &o->force_reauth);
	case OPTION_QR:
		return flag_bool(command, "qr", arg, &o->qr);
	case OPTION_RESET:
		return flag_bool(command, "reset", arg, &o->reset);
	case OPTION_RUN_DIR:
		o->launch.run_dir = arg;
		return true;
	case OPTION_STATE_DIR:
		o->launch.state_dir = arg;
		return true;
	default:
		return flag_duration(command, "timeout", arg, &o->timeout_ns);
	}
}

// -1: go on; else the exit status.
static int
parse(int argc, char **argv, struct up_options *o)
{
	int code;

	while ((code = getopt_long_only(argc, argv, "h", longs, NULL)) != -1) {
		if (code == OPTION_HELP)
			return command_help(argv[0]);
		if (code == '?' || code == ':')
			return command_usage_error(argv[0], NULL);
		if (!take(o, code, optarg))
			return COMMAND_USAGE;
	}
	if (optind != argc)
		return command_usage_error(argv[0], "%s is too much", argv[optind]);
	return -1;
}

// `sluice run` holds it; meanwhile the control plane may be away for a moment.
static bool
is_lock_held(const char *run_dir)
{
	char path[512];
	bool held;
	int fd;

	snprintf(path, sizeof(path), "%s/run.lock", run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return held;
}

static bool
is_gateway_there(const char *run_dir)
{
	json_t *answer = NULL;
	int err = ask_quietly(run_dir, json_pack("{s:s}", "cmd", "version"), 5, &answer);

	json_decref(answer);
	return (err != -ENOENT && err != -ECONNREFUSED) || is_lock_held(run_dir);
}

// "sluice up" alone means: as it was.
static bool
is_simple(const struct up_options *o)
{
	return json_object_size(o->prefs) == 0 && !o->reset && !o->force_reauth &&
	       o->auth_key[0] == '\0';
}

// Upstream's rule.  True: nothing is taken back by accident.
static bool
check_mentioned(const struct up_options *o, const json_t *tailnet)
{
	char *missing, *mentioned;
	bool good;

	if (o->is_login || o->reset || is_simple(o))
		return true;
	missing = preference_unmentioned(tailnet, o->prefs);
	mentioned = preference_arguments(o->prefs);
	good = missing != NULL && mentioned != NULL && missing[0] == '\0';
	if (!good)
		fprintf(stderr,
			"sluice up: changing settings via `sluice up` requires mentioning all "
			"non-default flags; what is not mentioned would be taken back; re-run your "
			"command with --reset, or mention the current value of all non-default "
			"settings:\n\n\tsluice up%s%s\n\nTo change one setting, there is "
			"`sluice set`.\n",
			mentioned != NULL ? mentioned : "", missing != NULL ? missing : "");
	free(missing);
	free(mentioned);
	return good;
}

static json_t *
make_request(const struct up_options *o)
{
	json_t *request = json_pack("{s:s, s:O, s:b, s:b}", "cmd", o->is_login ? "login" : "up",
		"prefs", o->prefs, "reset", o->reset, "force_reauth",
		o->force_reauth || o->is_login);

	if (request != NULL && o->auth_key[0] != '\0')
		json_object_set_new(request, "auth_key", json_string(o->auth_key));
	return request;
}

static bool
request_up(const struct up_options *o)
{
	const char *command = o->launch.command;
	json_t *status, *answer;
	bool good;

	status = ask_tailnet(command, o->launch.run_dir, false);
	if (status == NULL)
		return false;
	good = check_mentioned(o, json_object_get(status, "tailnet"));
	json_decref(status);
	if (!good)
		return false;
	answer = ask(command, o->launch.run_dir, make_request(o), ASK_TIMEOUT_S);
	if (answer == NULL)
		return false;
	ask_print_warnings(command, answer);
	json_decref(answer);
	return true;
}

static int
run(struct up_options *o)
{
	struct join_options join = {
		.command = o->launch.command,
		.run_dir = o->launch.run_dir,
		.timeout_ns = o->timeout_ns,
		.qr = o->qr,
	};
	struct launch launch = {};

	if (!is_gateway_there(o->launch.run_dir)) {
		if (!launch_gateway(&o->launch, &launch))
			return COMMAND_FAILED;
	} else if (!o->launch.accept_tailscaled && conflict_with_tailscaled(join.command)) {
		return COMMAND_FAILED;
	}
	if (!request_up(o) || !join_wait(&join, &launch))
		return COMMAND_FAILED;
	return COMMAND_OK;
}

static int
up(int argc, char **argv, bool is_login)
{
	struct up_options o = {
		.launch = { .command = argv[0], .run_dir = COMMAND_DEFAULT_RUN_DIR },
		.prefs = json_object(),
		.is_login = is_login,
	};
	int status = parse(argc, argv, &o);

	if (status < 0)
		status = run(&o);
	json_decref(o.prefs);
	secret_wipe(o.auth_key, sizeof(o.auth_key));
	return status;
}

int
cmd_up(int argc, char **argv)
{
	return up(argc, argv, false);
}

int
cmd_login(int argc, char **argv)
{
	return up(argc, argv, true);
}
