/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "api"

#include "controlplane/gateway/api/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/log.h"

#define LISTENER UINT32_MAX /* in place of a client's number */

static int
bind_to(struct api *api)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int err;

	memcpy(address.sun_path, api->path, sizeof(address.sun_path));
	if (unlink(api->path) < 0 && errno != ENOENT)
		return -errno;
	mask = umask(0117); // 0660 from the first moment on
	err = bind(api->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (err == 0 && listen(api->fd, API_MAX_CLIENTS) < 0)
		err = -errno;
	return err;
}

static int
watch(const struct api *api, int op, int fd, uint32_t number, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = number };

	return epoll_ctl(api->epoll, op, fd, &event) < 0 ? -errno : 0;
}

int
api_open(struct api *api, const char *run_dir)
{
	int n, err;

	*api = (struct api){ .fd = -1, .epoll = -1 };
	for (size_t i = 0; i < API_MAX_CLIENTS; i++)
		api->clients[i].fd = -1;
	n = snprintf(api->path, sizeof(api->path), "%s/%s", run_dir, GATEWAY_API_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(api->path))
		return -ENAMETOOLONG;
	api->epoll = epoll_create1(EPOLL_CLOEXEC);
	api->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	err = api->epoll < 0 || api->fd < 0 ? -errno : bind_to(api);
	if (err == 0)
		err = watch(api, EPOLL_CTL_ADD, api->fd, LISTENER, EPOLLIN);
	if (err < 0)
		api_close(api);
	return err;
}

static void
drop_client(struct api_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	*c = (struct api_client){ .fd = -1 };
}

void
api_close(struct api *api)
{
	for (size_t i = 0; i < API_MAX_CLIENTS; i++)
		drop_client(&api->clients[i]);
	if (api->fd >= 0) {
		close(api->fd);
		(void)unlink(api->path);
	}
	if (api->epoll >= 0)
		close(api->epoll);
	api->fd = api->epoll = -1;
}

static bool
is_root_or_us(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

// With every place taken, the newest waits in the listen queue until one is free.
static void
accept_client(struct api *api)
{
	for (uint32_t i = 0; i < API_MAX_CLIENTS; i++) {
		struct api_client *c = &api->clients[i];

		if (c->fd >= 0)
			continue;
		c->fd = accept4(api->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (c->fd < 0)
			return;
		c->id = ++api->last_id;
		c->may_change = is_root_or_us(c->fd);
		if (watch(api, EPOLL_CTL_ADD, c->fd, i, EPOLLIN | EPOLLRDHUP) < 0)
			drop_client(c);
		return;
	}
}

static void
follow(const struct api *api, struct api_client *c)
{
	uint32_t number = (uint32_t)(c - api->clients);
	uint32_t events = c->out != NULL ? EPOLLOUT : c->asked ? 0 : EPOLLIN | EPOLLRDHUP;

	if (watch(api, EPOLL_CTL_MOD, c->fd, number, events) < 0)
		drop_client(c);
}

static void
send_some(struct api *api, struct api_client *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			follow(api, c);
			return;
		}
		if (n < 0) {
			drop_client(c);
			return;
		}
		c->out_at += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	c->asked = c->streams;
	if (c->ending && c->in_len == 0)
		drop_client(c);
	else
		follow(api, c);
}

static void
give(struct api *api, uint32_t client, char *line, bool streams, struct mono now)
{
	for (size_t i = 0; line != NULL && i < API_MAX_CLIENTS; i++) {
		struct api_client *c = &api->clients[i];
		size_t len = strlen(line);

		if (c->fd < 0 || c->id != client || !c->asked || c->out != NULL)
			continue;
		line[len] = '\n'; // in place of the terminating zero: from here on it has a length
		c->out = line;
		c->out_len = len + 1;
		c->out_at = 0;
		c->out_since = now;
		c->streams = streams;
		send_some(api, c);
		return;
	}
	free(line);
}

void
api_answer(struct api *api, uint32_t client, char *line, struct mono now)
{
	give(api, client, line, false, now);
}

void
api_stream(struct api *api, uint32_t client, char *line, struct mono now)
{
	give(api, client, line, true, now);
}

static const struct api_client *
find_client(const struct api *api, uint32_t client)
{
	for (size_t i = 0; i < API_MAX_CLIENTS; i++)
		if (api->clients[i].fd >= 0 && api->clients[i].id == client)
			return &api->clients[i];
	return NULL;
}

bool
api_is_ready(const struct api *api, uint32_t client)
{
	const struct api_client *c = find_client(api, client);

	return c != NULL && c->out == NULL;
}

bool
api_is_here(const struct api *api, uint32_t client)
{
	return find_client(api, client) != NULL;
}

// Hand over the first complete line.  A line that is too long is nobody's request.
static void
take_line(struct api *api, struct api_client *c)
{
	char line[GATEWAY_API_MAX_REQUEST + 1];
	char *end = memchr(c->in, '\n', c->in_len);
	size_t len;

	if (c->asked)
		return;
	if (end == NULL) {
		if (c->in_len >= GATEWAY_API_MAX_REQUEST || c->ending)
			drop_client(c);
		return;
	}
	len = (size_t)(end - c->in);
	memcpy(line, c->in, len);
	line[len] = '\0';
	c->in_len -= len + 1;
	memmove(c->in, end + 1, c->in_len);
	c->asked = true;
	follow(api, c);
	if (c->fd >= 0)
		api->request(api->context, c->id, line);
}

static void
read_client(struct api *api, struct api_client *c)
{
	ssize_t n;

	if (c->asked)
		return;
	n = recv(c->fd, c->in + c->in_len, GATEWAY_API_MAX_REQUEST - c->in_len, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drop_client(c);
		return;
	}
	if (n == 0)
		c->ending = true;
	c->in_len += (size_t)n;
	take_line(api, c);
}

static void
drop_slow(struct api *api, struct mono now)
{
	for (size_t i = 0; i < API_MAX_CLIENTS; i++) {
		struct api_client *c = &api->clients[i];

		if (c->fd < 0 || c->out == NULL || c->streams ||
			mono_diff_ns(now, c->out_since) < API_LIMIT_NS)
			continue;
		log_info("a client of the local api did not take its answer, dropped");
		drop_client(c);
	}
}

void
api_dispatch(struct api *api, struct mono now)
{
	struct epoll_event events[API_MAX_CLIENTS + 1];
	int n = epoll_wait(api->epoll, events, API_MAX_CLIENTS + 1, 0);

	for (int i = 0; i < n; i++) {
		struct api_client *c;

		if (events[i].data.u32 == LISTENER) {
			accept_client(api);
			continue;
		}
		c = &api->clients[events[i].data.u32 % API_MAX_CLIENTS];
		if (c->fd < 0)
			continue;
		if (c->out != NULL)
			send_some(api, c);
		else if ((events[i].events & (EPOLLHUP | EPOLLERR)) != 0 && c->asked)
			drop_client(c); // nobody waits for the answer any more
		else
			read_client(api, c);
	}
	// Lines that came behind one that has been answered meanwhile.
	for (size_t i = 0; i < API_MAX_CLIENTS; i++)
		if (api->clients[i].fd >= 0 && api->clients[i].in_len > 0)
			take_line(api, &api->clients[i]);
	drop_slow(api, now);
}

bool
api_may_change(const struct api *api, uint32_t client)
{
	const struct api_client *c = find_client(api, client);

	return c != NULL && c->may_change;
}
