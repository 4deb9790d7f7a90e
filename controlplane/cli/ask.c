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

#include "controlplane/gateway/gateway_api.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define PATIENCE_NS  (3 * NS_PER_S)
#define ANSWER_LIMIT ((size_t)256 << 20)

static int
connect_once(const char *run_dir, struct sockaddr_un *sun)
{
	struct timeval limit = { .tv_sec = 30 };
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
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
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

static json_t *
exchange(int sock, const char *command)
{
	char request[128];
	json_t *answer;
	char *line;
	int n = snprintf(request, sizeof(request), "{\"cmd\": \"%s\"}\n", command);

	if (send(sock, request, (size_t)n, MSG_NOSIGNAL) != n)
		return NULL;
	line = read_line(sock);
	if (line == NULL)
		return NULL;
	answer = json_loads(line, 0, NULL);
	free(line);
	if (answer == NULL)
		errno = EBADMSG;
	return answer;
}

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "not said";
}

json_t *
ask_gateway(const char *name, const char *run_dir, const char *command)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int sock = connect_patiently(run_dir, &sun);
	const json_t *error;
	json_t *answer;

	if (sock < 0) {
		fprintf(stderr,
			"sluice %s: no gateway answers at %s/" GATEWAY_API_SOCKET ": %s; %s\n",
			name, run_dir, err_str(sock),
			sock == -EACCES ? "run this as root or as a member of the socket's group"
					: "start one with `sluice run`, or name its directory with "
					  "--run-dir");
		return NULL;
	}
	answer = exchange(sock, command);
	if (answer == NULL)
		fprintf(stderr,
			"sluice %s: the gateway did not answer: %s; it may be restarting; try "
			"again, "
			"then see its log\n",
			name, err_str(-errno));
	close(sock);
	if (answer == NULL || json_is_true(json_object_get(answer, "ok")))
		return answer;

	error = json_object_get(answer, "error");
	fprintf(stderr, "sluice %s: %s; %s; %s\n", name, text_of(error, "what"),
		text_of(error, "why"), text_of(error, "do"));
	json_decref(answer);
	return NULL;
}
