/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/cli/show.h"
#include "controlplane/gateway/gateway_api.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#define PATIENCE_NS  (3 * NS_PER_S)
#define ANSWER_LIMIT ((size_t)256 << 20)

static int
connect_once(const char *run_dir, struct sockaddr_un *sun)
{
	int sock, err;

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/" GATEWAY_API_SOCKET, run_dir) >=
		(int)sizeof(sun->sun_path)) {
		close(sock);
		return -ENAMETOOLONG;
	}
	if (connect(sock, (const struct sockaddr *)sun, sizeof(*sun)) < 0) {
		err = -errno;
		close(sock);
		return err;
	}
	return sock;
}

// A control plane that died is back within moments: "not there" is asked again.
static int
connect_patiently(const char *run_dir, struct sockaddr_un *sun)
{
	struct mono until = mono_add_ns(mono_now(), PATIENCE_NS);
	const struct timespec pause = { .tv_nsec = 50 * NS_PER_MS };
	char lock[512];
	int sock;

	snprintf(lock, sizeof(lock), "%s/dataplane.sock", run_dir);
	for (;;) {
		sock = connect_once(run_dir, sun);
		if (sock != -ECONNREFUSED && sock != -ENOENT)
			return sock;
		if (access(lock, F_OK) < 0 || mono_diff_ns(mono_now(), until) > 0)
			return sock; // nothing of a gateway is here, or it does not come back
		nanosleep(&pause, NULL);
	}
}

// Read up to the end of the line.  NULL: errno says why.
static char *
read_line(int sock)
{
	size_t len = 0, room = 65536;
	char *line = malloc(room), *more;
	ssize_t n;

	while (line != NULL) {
		n = read(sock, line + len, room - len - 1);
		if (n <= 0) {
			if (n == 0)
				errno = EPIPE;
			break;
		}
		len += (size_t)n;
		line[len] = '\0';
		if (line[len - 1] == '\n')
			return line;
		if (len + 1 < room)
			continue;
		if (room >= ANSWER_LIMIT) {
			errno = EMSGSIZE;
			break;
		}
		more = realloc(line, room *= 2);
		if (more == NULL)
			break;
		line = more;
	}
	free(line);
	return NULL;
}

// The whole line, whatever the socket takes at once.
static int
send_all(int sock, const char *line, size_t len)
{
	while (len > 0) {
		ssize_t n = send(sock, line, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		line += n;
		len -= (size_t)n;
	}
	return 0;
}

// The request's line may hold an auth key.
static int
send_request(int sock, const json_t *request)
{
	size_t len = json_dumpb(request, NULL, 0, JSON_COMPACT);
	char *line;
	int err;

	if (len + 1 > GATEWAY_API_MAX_REQUEST)
		return -EMSGSIZE;
	line = malloc(len + 1);
	if (line == NULL)
		return -ENOMEM;
	json_dumpb(request, line, len, JSON_COMPACT);
	line[len] = '\n';
	err = send_all(sock, line, len + 1);
	secret_wipe(line, len + 1);
	free(line);
	return err;
}

static int
exchange(int sock, const json_t *request, json_t **ret_answer)
{
	json_t *answer;
	char *line;
	int err = send_request(sock, request);

	if (err < 0)
		return err;
	line = read_line(sock);
	if (line == NULL)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	answer = json_loads(line, 0, NULL);
	free(line);
	if (!json_is_object(answer)) {
		json_decref(answer);
		return -EBADMSG;
	}
	*ret_answer = answer;
	return 0;
}

// `*ret_reached`: somebody was there.
static int
ask_once(const char *run_dir,
	const json_t *request,
	int timeout_s,
	bool patiently,
	bool *ret_reached,
	json_t **ret_answer)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = timeout_s };
	int sock, err;

	*ret_reached = false;
	sock = patiently ? connect_patiently(run_dir, &sun) : connect_once(run_dir, &sun);
	if (sock < 0)
		return sock;
	*ret_reached = true;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	err = exchange(sock, request, ret_answer);
	close(sock);
	return err;
}

// The auth key, if there is one, does not outlive the question.
static void
release_request(json_t *request)
{
	const json_t *key = json_object_get(request, "auth_key");

	if (json_is_string(key))
		secret_wipe((char *)json_string_value(key), json_string_length(key));
	json_decref(request);
}

int
ask_quietly(const char *run_dir, json_t *request, int timeout_s, json_t **ret_answer)
{
	bool reached;
	int err = request == NULL
	                  ? -ENOMEM
	                  : ask_once(run_dir, request, timeout_s, false, &reached, ret_answer);

	release_request(request);
	return err;
}

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "not said";
}

void
ask_print_error(const char *name, const json_t *error)
{
	fprintf(stderr, "sluice %s: %s; %s; %s\n", name, text_of(error, "what"),
		text_of(error, "why"), text_of(error, "do"));
}

void
ask_print_warnings(const char *name, const json_t *answer)
{
	json_t *warnings = json_object_get(answer, "warnings"), *warning;
	size_t i;

	show_clean(warnings);
	json_array_foreach(warnings, i, warning) if (json_is_string(warning))
		fprintf(stderr, "sluice %s: warning: %s\n", name, json_string_value(warning));
}

static void
print_failure(const char *name, const char *run_dir, bool reached, int err)
{
	if (!reached)
		fprintf(stderr,
			"sluice %s: no gateway answers at %s/" GATEWAY_API_SOCKET ": %s; %s\n",
			name, run_dir, err_str(err),
			err == -EACCES ? "run this as root or as a member of the socket's group"
				       : "start one with `sluice up` or `sluice run`, or name its "
					 "directory with --run-dir");
	else if (err == -EMSGSIZE)
		fprintf(stderr,
			"sluice %s: the settings are too long; a question has at most %d bytes; "
			"put them into the configuration file\n",
			name, GATEWAY_API_MAX_REQUEST);
	else
		fprintf(stderr,
			"sluice %s: the gateway did not answer: %s; it may be restarting; try "
			"again, then see its log\n",
			name, err_str(err));
}

json_t *
ask(const char *name, const char *run_dir, json_t *request, int timeout_s)
{
	json_t *answer = NULL;
	bool reached = true;
	int err = -ENOMEM;

	if (request != NULL)
		err = ask_once(run_dir, request, timeout_s, true, &reached, &answer);
	release_request(request);
	if (err < 0) {
		print_failure(name, run_dir, reached, err);
		return NULL;
	}
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	show_clean(answer);
	ask_print_error(name, json_object_get(answer, "error"));
	json_decref(answer);
	return NULL;
}

/* --- answers that go on --- */

struct ask_stream {
	int sock;
	size_t len, room;
	char *buf; // what was read of lines that were not handed over
};

// As json_loads(), of a line that is whole.
static int
take_line(struct ask_stream *s, size_t line_len, json_t **ret_line)
{
	json_t *line = json_loadb(s->buf, line_len, 0, NULL);

	s->len -= line_len + 1;
	memmove(s->buf, s->buf + line_len + 1, s->len);
	if (!json_is_object(line)) {
		json_decref(line);
		return -EBADMSG;
	}
	*ret_line = line;
	return 0;
}

int
ask_next(struct ask_stream *s, json_t **ret_line)
{
	size_t seen = 0;

	for (;;) {
		char *end = memchr(s->buf + seen, '\n', s->len - seen), *more;
		ssize_t n;

		if (end != NULL)
			return take_line(s, (size_t)(end - s->buf), ret_line);
		seen = s->len;
		if (s->len == s->room) {
			if (s->room >= ANSWER_LIMIT)
				return -EMSGSIZE;
			more = realloc(s->buf, s->room * 2);
			if (more == NULL)
				return -ENOMEM;
			s->buf = more;
			s->room *= 2;
		}
		n = read(s->sock, s->buf + s->len, s->room - s->len);
		if (n <= 0)
			return n == 0 ? -EPIPE : -errno;
		s->len += (size_t)n;
	}
}

void
ask_close(struct ask_stream *stream)
{
	if (stream == NULL)
		return;
	if (stream->sock >= 0)
		close(stream->sock);
	free(stream->buf);
	free(stream);
}

static int
open_stream(struct ask_stream *s, const char *run_dir, const json_t *request, bool *ret_reached)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	s->room = 65536;
	s->buf = malloc(s->room);
	if (s->buf == NULL)
		return -ENOMEM;
	s->sock = connect_patiently(run_dir, &sun);
	*ret_reached = s->sock >= 0;
	return s->sock < 0 ? s->sock : send_request(s->sock, request);
}

struct ask_stream *
ask_open(const char *name, const char *run_dir, json_t *request)
{
	struct ask_stream *s = calloc(1, sizeof(*s));
	json_t *answer = NULL;
	bool reached = true;
	int err = -ENOMEM;

	if (s != NULL && request != NULL) {
		s->sock = -1;
		err = open_stream(s, run_dir, request, &reached);
	}
	if (err == 0)
		err = ask_next(s, &answer);
	release_request(request);
	if (err < 0) {
		print_failure(name, run_dir, reached, err);
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		show_clean(answer);
		ask_print_error(name, json_object_get(answer, "error"));
		err = -EPERM;
	}
	json_decref(answer);
	if (err == 0)
		return s;
	ask_close(s);
	return NULL;
}

json_t *
ask_gateway(const char *name, const char *run_dir, const char *command)
{
	return ask(name, run_dir, json_pack("{s:s}", "cmd", command), ASK_TIMEOUT_S);
}

json_t *
ask_tailnet(const char *name, const char *run_dir, bool with_peers)
{
	json_t *answer = ask(name, run_dir,
		json_pack("{s:s, s:b}", "cmd", "status", "peers", with_peers), ASK_TIMEOUT_S);

	if (answer == NULL || json_is_object(json_object_get(answer, "tailnet")))
		return answer;
	fprintf(stderr,
		"sluice %s: this gateway is no member of a tailnet; its configuration has its "
		"peers in a wireguard: section; see `sluice status`, or replace that section by "
		"tailnet:\n",
		name);
	json_decref(answer);
	return NULL;
}
