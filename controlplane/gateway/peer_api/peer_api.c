/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "peer_api"

#include "controlplane/gateway/peer_api/peer_api.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/gateway/peer_api/answer.h"
#include "controlplane/gateway/peer_api/port.h"
#include "controlplane/gateway/peer_api/request.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define ASK_LIMIT_NS    (10 * NS_PER_S) /* for sending a request */
#define ANSWER_LIMIT_NS (10 * NS_PER_S) /* for taking the answer */
#define LINGER_NS       (2 * NS_PER_S)  /* for what still comes after it */
#define LINGER_BYTES    (1 << 20)
#define RETRY_NS        (1 * NS_PER_S) /* until listening is tried again */
#define LISTENER        1000           /* and the listener's number, in place of a client's */

enum client_state {
	CLIENT_FREE,
	CLIENT_ASKING,
	CLIENT_TAKING,    /* the answer */
	CLIENT_LINGERING, /* it has it: closing before it has stopped sending would destroy it */
};

struct client {
	enum client_state state;
	int fd;
	uint64_t number; /* older ones have smaller ones */
	struct mono until;
	struct addr source;
	struct peer_api_caller caller;
	char in[REQUEST_HEAD_MAX_LEN];
	size_t in_len;
	char out[ANSWER_MAX_LEN];
	size_t out_len, out_at;
	size_t n_ignored;
};

struct listener {
	struct addr addr; /* ADDR_NONE: none */
	int fd;           /* -1: to be tried again at retry_at */
	uint16_t port;
	struct mono retry_at;
};

struct peer_api {
	struct peer_api_calls calls;
	int epoll;
	struct listener listeners[2]; /* v4, v6 */
	uint64_t last_number;
	struct client clients[PEER_API_MAX_CLIENTS];
};

int
peer_api_create(const struct peer_api_calls *calls, struct peer_api **ret_api)
{
	struct peer_api *api = calloc(1, sizeof(*api));

	if (api == NULL)
		return -ENOMEM;
	api->calls = *calls;
	api->listeners[0].fd = api->listeners[1].fd = -1;
	api->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (api->epoll < 0) {
		int err = -errno;

		free(api);
		return err;
	}
	*ret_api = api;
	return 0;
}

static void
drop_client(struct client *c)
{
	if (c->state == CLIENT_FREE)
		return;
	close(c->fd);
	c->state = CLIENT_FREE;
}

void
peer_api_destroy(struct peer_api *api)
{
	if (api == NULL)
		return;
	for (size_t i = 0; i < PEER_API_MAX_CLIENTS; i++)
		drop_client(&api->clients[i]);
	for (size_t i = 0; i < 2; i++)
		if (api->listeners[i].fd >= 0)
			close(api->listeners[i].fd);
	close(api->epoll);
	free(api);
}

int
peer_api_fd(const struct peer_api *api)
{
	return api->epoll;
}

uint16_t
peer_api_port(const struct peer_api *api, enum addr_family family)
{
	const struct listener *l = &api->listeners[family == ADDR_V6];

	return l->fd >= 0 ? l->port : 0;
}

static int
watch(const struct peer_api *api, int op, int fd, uint32_t number, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = number };

	return epoll_ctl(api->epoll, op, fd, &event) < 0 ? -errno : 0;
}

// ---------- listening ----------

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t
to_socket(const struct addr *a, uint16_t port, union socket_address *ret)
{
	*ret = (union socket_address){};
	if (a->family == ADDR_V4) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		memcpy(&ret->v4.sin_addr, a->bytes, 4);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	memcpy(&ret->v6.sin6_addr, a->bytes, 16);
	return sizeof(ret->v6);
}

// Bind to the first of the usual ports that is free, or to any.
static int
bind_to(struct listener *l, int fd)
{
	union socket_address address;
	socklen_t len;

	for (unsigned i = 0; i <= PEER_API_PORT_TRIES; i++) {
		len = to_socket(&l->addr,
			i < PEER_API_PORT_TRIES ? peer_api_port_of(&l->addr, i) : 0, &address);
		if (bind(fd, &address.any, len) == 0)
			break;
		if (errno != EADDRINUSE || i == PEER_API_PORT_TRIES)
			return -errno;
	}
	len = sizeof(address);
	if (getsockname(fd, &address.any, &len) < 0)
		return -errno;
	l->port = ntohs(l->addr.family == ADDR_V4 ? address.v4.sin_port : address.v6.sin6_port);
	return 0;
}

// The interface may get its address after us, and an IPv6 one may still be tentative: FREEBIND.
static int
open_listener(const struct peer_api *api, struct listener *l)
{
	bool v6 = l->addr.family == ADDR_V6;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, err;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (v6) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	} else {
		(void)setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	}
	err = bind_to(l, fd);
	if (err == 0 && listen(fd, PEER_API_MAX_CLIENTS) < 0)
		err = -errno;
	if (err == 0)
		err = watch(api, EPOLL_CTL_ADD, fd, LISTENER + v6, EPOLLIN);
	if (err < 0) {
		close(fd);
		return err;
	}
	l->fd = fd;
	return 0;
}

static void
try_listener(const struct peer_api *api, struct listener *l, struct mono now)
{
	char text[ADDR_TEXT_LEN];
	bool is_first = mono_is_never(l->retry_at);
	int err = open_listener(api, l);

	l->retry_at = err == 0 ? (struct mono){} : mono_add_ns(now, RETRY_NS);
	if (err < 0 && is_first)
		log_warning("cannot listen for other members, trying on address=%s error=\"%s\"",
			addr_format(&l->addr, text), err_str(err));
}

// Returns whether a port is another.
static bool
set_listener(struct peer_api *api, struct listener *l, const struct addr *a, struct mono now)
{
	static const struct addr none;
	uint16_t before = l->fd >= 0 ? l->port : 0;

	if (a == NULL)
		a = &none;
	if (addr_equal(&l->addr, a))
		return false;
	if (l->fd >= 0)
		close(l->fd);
	*l = (struct listener){ .addr = *a, .fd = -1 };
	if (a->family != ADDR_NONE)
		try_listener(api, l, now);
	return (l->fd >= 0 ? l->port : 0) != before;
}

void
peer_api_set_addresses(struct peer_api *api,
	const struct addr *v4,
	const struct addr *v6,
	struct mono now)
{
	bool changed = set_listener(api, &api->listeners[0], v4, now);

	changed |= set_listener(api, &api->listeners[1], v6, now);
	if (changed && api->calls.changed != NULL)
		api->calls.changed(api->calls.context);
}

// ---------- clients ----------

// What came is not to be answered: the other side hears so at once.
static void
reset(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

// A free place; where there is none, that of the client who has been here the longest.
static struct client *
place_for(struct peer_api *api, const struct addr *source)
{
	struct client *best = NULL;
	size_t n = 0;

	for (size_t i = 0; i < PEER_API_MAX_CLIENTS; i++) {
		struct client *c = &api->clients[i];

		n += c->state != CLIENT_FREE && addr_equal(&c->source, source);
		if (best == NULL || (best->state != CLIENT_FREE &&
					    (c->state == CLIENT_FREE || c->number < best->number)))
			best = c;
	}
	if (n >= PEER_API_MAX_PER_SOURCE)
		return NULL;
	drop_client(best);
	return best;
}

static struct addr
from_socket(const union socket_address *address)
{
	struct addr a = { .family = address->any.sa_family == AF_INET ? ADDR_V4 : ADDR_V6 };

	if (a.family == ADDR_V4)
		memcpy(a.bytes, &address->v4.sin_addr, 4);
	else
		memcpy(a.bytes, &address->v6.sin6_addr, 16);
	return a;
}

// Returns whether there was one.
static bool
accept_client(struct peer_api *api, const struct listener *l, struct mono now)
{
	union socket_address address;
	socklen_t len = sizeof(address);
	struct peer_api_caller caller = {};
	struct addr source;
	struct client *c;
	int fd;

	fd = l->fd < 0 ? -1 : accept4(l->fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	source = from_socket(&address);
	c = api->calls.caller(api->calls.context, &source, &caller) ? place_for(api, &source)
	                                                            : NULL;
	if (c == NULL || watch(api, EPOLL_CTL_ADD, fd, (uint32_t)(c - api->clients), EPOLLIN) < 0) {
		reset(fd);
		return true;
	}
	c->state = CLIENT_ASKING;
	c->fd = fd;
	c->number = ++api->last_number;
	c->until = mono_add_ns(now, ASK_LIMIT_NS);
	c->source = source;
	c->caller = caller;
	c->in_len = c->out_len = c->out_at = c->n_ignored = 0;
	return true;
}

static void
send_some(const struct peer_api *api, struct client *c, struct mono now)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			uint32_t number = (uint32_t)(c - api->clients);

			if (watch(api, EPOLL_CTL_MOD, c->fd, number, EPOLLOUT) < 0)
				drop_client(c);
			return;
		}
		if (n < 0) {
			drop_client(c);
			return;
		}
		c->out_at += (size_t)n;
	}
	c->state = CLIENT_LINGERING;
	c->until = mono_add_ns(now, LINGER_NS);
	if (shutdown(c->fd, SHUT_WR) < 0 ||
		watch(api, EPOLL_CTL_MOD, c->fd, (uint32_t)(c - api->clients), EPOLLIN) < 0)
		drop_client(c);
}

static void
answer(const struct peer_api *api,
	struct client *c,
	int error,
	const struct peer_api_request *request,
	struct mono now)
{
	struct addr own[2] = { api->listeners[0].addr, api->listeners[1].addr };
	struct peer_api_question question = { .caller = &c->caller,
		.source = c->source,
		.own = own,
		.n_own = 2,
		.now_s = (int64_t)time(NULL) };

	c->out_len = peer_api_answer_write(c->out, error, request, &question);
	c->state = CLIENT_TAKING;
	c->until = mono_add_ns(now, ANSWER_LIMIT_NS);
	send_some(api, c, now);
}

static void
read_request(const struct peer_api *api, struct client *c, struct mono now)
{
	struct peer_api_request request;
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	int err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop_client(c);
		return;
	}
	c->in_len += (size_t)n;
	err = peer_api_request_read(c->in, c->in_len, &request);
	if (err != ERR_TRUNCATED)
		answer(api, c, err, &request, now);
}

static void
ignore_rest(struct client *c)
{
	char rest[4096];
	ssize_t n = recv(c->fd, rest, sizeof(rest), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->n_ignored += n > 0 ? (size_t)n : 0;
	if (n <= 0 || c->n_ignored > LINGER_BYTES)
		drop_client(c);
}

static void
serve(const struct peer_api *api, struct client *c, struct mono now)
{
	switch (c->state) {
	case CLIENT_ASKING:
		read_request(api, c, now);
		break;
	case CLIENT_TAKING:
		send_some(api, c, now);
		break;
	case CLIENT_LINGERING:
		ignore_rest(c);
		break;
	case CLIENT_FREE:
		break;
	}
}

// ---------- what is due ----------

static void
earlier(struct mono *next, struct mono t)
{
	if (mono_is_never(*next) || t.ns < next->ns)
		*next = t;
}

static struct mono
do_what_is_due(struct peer_api *api, struct mono now)
{
	struct mono next = {};
	bool changed = false;

	for (size_t i = 0; i < PEER_API_MAX_CLIENTS; i++) {
		struct client *c = &api->clients[i];

		if (c->state != CLIENT_FREE && mono_diff_ns(now, c->until) >= 0)
			drop_client(c);
		else if (c->state != CLIENT_FREE)
			earlier(&next, c->until);
	}
	for (size_t i = 0; i < 2; i++) {
		struct listener *l = &api->listeners[i];

		if (mono_is_never(l->retry_at))
			continue;
		if (mono_diff_ns(now, l->retry_at) >= 0)
			try_listener(api, l, now);
		changed |= l->fd >= 0;
		if (!mono_is_never(l->retry_at))
			earlier(&next, l->retry_at);
	}
	if (changed && api->calls.changed != NULL)
		api->calls.changed(api->calls.context);
	return next;
}

struct mono
peer_api_dispatch(struct peer_api *api, struct mono now)
{
	struct epoll_event events[PEER_API_MAX_CLIENTS + 2];
	int n = epoll_wait(api->epoll, events, PEER_API_MAX_CLIENTS + 2, 0);

	// Clients first: one that is accepted may get the place of one that has an event here.
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 < PEER_API_MAX_CLIENTS)
			serve(api, &api->clients[events[i].data.u32], now);
	for (int i = 0; i < n; i++)
		if (events[i].data.u32 >= LISTENER)
			for (int k = 0;
				k < PEER_API_MAX_CLIENTS &&
				accept_client(
					api, &api->listeners[events[i].data.u32 - LISTENER], now);
				k++) {
			}
	return do_what_is_due(api, now);
}
