/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/tap.h"

static char folder[] = "/tmp/sluice-api-XXXXXX";
static struct api api;
static struct mono now = { 1000 };
static unsigned n_requests;
static uint32_t last_client;
static bool answer_at_once = true;

static void
on_request(void *context, uint32_t client, const char *line)
{
	char text[64];

	(void)context;
	n_requests++;
	last_client = client;
	snprintf(text, sizeof(text), "echo %.40s", line);
	if (answer_at_once)
		api_answer(&api, client, strdup(text), now);
}

static int
dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path, api.path, sizeof(a.sun_path));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		exit(99);
	return fd;
}

static void
say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return;
}

static void
turn(void)
{
	for (int i = 0; i < 10; i++)
		api_dispatch(&api, now);
}

// What is there to read: text, "" for nothing yet, NULL for the end.
static const char *
hear(int fd)
{
	static char text[8192];
	ssize_t n;

	turn();
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return NULL;
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
test_lines(void)
{
	struct stat st;
	int a = dial(), b = dial();

	tap_ok(stat(api.path, &st) == 0 && (st.st_mode & 0777) == 0660,
		"the socket is for owner and group");
	say(a, "one\n");
	tap_text(hear(a), "echo one\n", "a line is answered");
	say(a, "tw");
	tap_text(hear(a), "", "half a line is not");
	say(b, "other\n");
	tap_text(hear(b), "echo other\n", "another client does not wait for it");
	say(a, "o\nthree\nfour\n");
	tap_text(hear(a), "echo two\necho three\necho four\n", "lines are answered in order");
	say(a, "last\n");
	shutdown(a, SHUT_WR);
	tap_text(hear(a), "echo last\n", "one that says no more gets its answer");
	tap_ok(hear(a) == NULL, "and is let go");
	close(a);
	close(b);
	turn();
}

static void
test_later(void)
{
	int a = dial();
	uint32_t first;

	answer_at_once = false;
	say(a, "slow\nnext\n");
	tap_text(hear(a), "", "an answer may come later");
	first = last_client;
	n_requests = 0;
	turn();
	tap_int(n_requests, 0, "until then no other line is read");
	api_answer(&api, first, strdup("done"), now);
	tap_text(hear(a), "done\n", "then it comes");
	tap_int(n_requests, 1, "and the next line is read");
	close(a);
	turn();
	api_answer(&api, last_client, strdup("nobody"), now);
	tap_ok(true, "an answer to one who went away is dropped");
	a = dial();
	say(a, "x\n");
	turn();
	api_answer(&api, first, strdup("not yours"), now);
	tap_text(hear(a), "", "and does not reach another client");
	answer_at_once = true;
	close(a);
	turn();
}

static void
test_bounds(void)
{
	char *large = malloc(GATEWAY_API_MAX_REQUEST + 10);
	int fds[API_MAX_CLIENTS + 4], a;

	memset(large, 'x', GATEWAY_API_MAX_REQUEST + 9);
	large[GATEWAY_API_MAX_REQUEST + 9] = '\0';
	a = dial();
	say(a, large);
	tap_ok(hear(a) == NULL, "a line without end is not kept");
	close(a);
	free(large);

	for (int i = 0; i < API_MAX_CLIENTS + 4; i++) {
		fds[i] = dial();
		turn();
	}
	say(fds[API_MAX_CLIENTS + 3], "me too\n");
	tap_text(hear(fds[API_MAX_CLIENTS + 3]), "", "with every place taken one waits");
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	tap_text(hear(fds[API_MAX_CLIENTS + 3]), "echo me too\n", "until there is a place");
	for (int i = 4; i < API_MAX_CLIENTS + 4; i++)
		close(fds[i]);
	turn();
}

static void
test_slow(void)
{
	size_t len = 32 << 20;
	char *large = malloc(len + 2), *rest = malloc(len);
	int a = dial(), b = dial();
	ssize_t n = 0, got = 0;

	answer_at_once = false;
	memset(large, 'y', len);
	large[len] = '\0';
	say(a, "much\n");
	turn();
	api_answer(&api, last_client, strdup(large), now);
	while (got < (ssize_t)len + 1 && (turn(), n = recv(a, rest, len, MSG_DONTWAIT)) > 0)
		got += n;
	tap_int(got, len + 1, "a large answer arrives, as fast as it is read");
	say(b, "much\n");
	turn();
	api_answer(&api, last_client, large, now);
	turn();
	now = mono_add_ns(now, API_LIMIT_NS + 1);
	turn();
	while ((n = recv(b, rest, len, MSG_DONTWAIT)) > 0)
		;
	tap_int(n, 0, "who does not take it is dropped");
	close(a);
	close(b);
	free(rest);
	answer_at_once = true;
	turn();
}

// Lines without end, to one that may take its time.
static void
test_stream(void)
{
	size_t len = 32 << 20;
	char *large = malloc(len + 2);
	int a = dial();
	uint32_t client;

	answer_at_once = false;
	say(a, "packets\n");
	turn();
	client = last_client;
	api_stream(&api, client, strdup("begin"), now);
	tap_text(hear(a), "begin\n", "a first line");
	tap_ok(api_is_ready(&api, client), "the next one may follow");
	api_stream(&api, client, strdup("more"), now);
	tap_text(hear(a), "more\n", "and does");
	n_requests = 0;
	say(a, "another question\n");
	turn();
	tap_int(n_requests, 0, "it asks no more");

	memset(large, 'y', len);
	large[len] = '\0';
	api_stream(&api, client, large, now);
	turn();
	tap_ok(!api_is_ready(&api, client), "a line that is not taken holds up the next one");
	now = mono_add_ns(now, API_LIMIT_NS + 1);
	turn();
	tap_ok(api_is_here(&api, client), "however long that lasts");
	close(a);
	turn();
	tap_ok(!api_is_here(&api, client), "until it leaves");

	a = dial();
	say(a, "packets\n");
	turn();
	client = last_client;
	api_stream(&api, client, strdup("begin"), now);
	(void)hear(a);
	close(a);
	turn();
	tap_ok(!api_is_here(&api, client), "one that leaves between two lines is noticed, too");
	answer_at_once = true;
	turn();
}

static void
test_again(void)
{
	struct api second;
	int a;

	// As after a kill -9: the socket file is still there, and nobody listens.
	close(api.fd);
	api.fd = -1;
	tap_int(api_open(&second, folder), 0, "a socket that a dead one left is replaced");
	api_close(&api);
	api = second;
	api.request = on_request;
	a = dial();
	say(a, "hello\n");
	tap_text(hear(a), "echo hello\n", "and serves");
	close(a);
}

int
main(void)
{
	if (mkdtemp(folder) == NULL)
		return 99;
	tap_int(api_open(&api, folder), 0, "the socket is opened");
	api.request = on_request;
	test_lines();
	test_later();
	test_bounds();
	test_slow();
	test_stream();
	test_again();
	api_close(&api);
	tap_int(access(api.path, F_OK), -1, "closing removes it");
	rmdir(folder);
	return tap_done();
}
