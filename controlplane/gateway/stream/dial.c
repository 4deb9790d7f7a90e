/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Several addresses, one connection: the next one is begun when the one before has failed or has
 * not answered for a moment; the first that is connected wins (RFC 8305).
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/gateway/stream/set.h"

#define LOW_DELAY_BYTES 32768 /* that the kernel may hold unsent */
#define DEAD_AFTER_MS   30000 /* sent, and nobody acknowledges */

static socklen_t
to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (e->addr.family == ADDR_V4) {
		struct sockaddr_in *v4 = (void *)ss;

		v4->sin_family = AF_INET;
		v4->sin_port = htons(e->port);
		memcpy(&v4->sin_addr, e->addr.bytes, 4);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (void *)ss;

	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(e->port);
	memcpy(&v6->sin6_addr, e->addr.bytes, 16);
	v6->sin6_scope_id = e->scope_id;
	return sizeof(*v6);
}

static void
set_option(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value)); // works less well without
}

static void
set_options(const struct stream *s, int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_AFTER_MS);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	if (s->low_delay)
		set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LOW_DELAY_BYTES);
	if (s->set->mark != 0)
		set_option(fd, SOL_SOCKET, SO_MARK, (int)s->set->mark);
}

// Begin with the next address.  0, or -errno: this one is of no use.
static int
begin_one(struct stream *s, size_t i)
{
	struct dial *d = s->dial;
	struct sockaddr_storage ss;
	socklen_t len = to_sockaddr(&d->addresses[i], &ss);
	struct watch *w = &d->attempts[i];
	int err;

	w->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->fd < 0) {
		w->fd = -1;
		return -errno;
	}
	set_options(s, w->fd);
	if (connect(w->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		err = -errno;
		set_unwatch(w);
		return err;
	}
	err = set_watch(s->set, w, EPOLLOUT);
	if (err < 0)
		set_unwatch(w);
	return err;
}

// That a family has no route says little where another address answered something.
static bool
says_little(int err)
{
	return err == 0 || err == -ENETUNREACH || err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT;
}

static void
note_error(struct dial *d, size_t i, int err)
{
	if (says_little(d->err)) {
		d->err = err;
		d->err_at = i;
	}
}

static bool
has_attempt(const struct dial *d)
{
	for (size_t i = 0; i < d->begun; i++)
		if (d->attempts[i].fd >= 0)
			return true;
	return false;
}

static void
give_up(struct stream *s)
{
	char text[ADDR_TEXT_LEN];
	const struct dial *d = s->dial;
	enum stream_failure_kind kind = s->proxy != NULL ? STREAM_PROXY : STREAM_CONNECT;

	stream_fail(s, kind, "%s%s: %s", s->proxy != NULL ? "the proxy " : "",
		endpoint_format(&d->addresses[d->err_at], text), strerror(-d->err));
}

static void
begin_next(struct stream *s)
{
	struct dial *d = s->dial;

	while (d->begun < d->n) {
		size_t i = d->begun++;
		int err = begin_one(s, i);

		if (err == 0) {
			d->next = d->begun < d->n ? mono_add_ns(s->set->now, RACE_NS)
			                          : (struct mono){};
			return;
		}
		note_error(d, i, err);
	}
	d->next = (struct mono){};
	if (!has_attempt(d))
		give_up(s);
}

static bool
is_twice(const struct dial *d, const struct endpoint *e)
{
	for (size_t i = 0; i < d->n; i++)
		if (endpoint_equal(&d->addresses[i], e))
			return true;
	return false;
}

static void
add_address(struct stream *s, const struct endpoint *e, uint16_t port)
{
	struct dial *d = s->dial;
	struct endpoint mine = *e;

	if (d->n >= STREAM_MAX_ADDRESSES || (s->family != 0 && e->addr.family != s->family))
		return;
	if (mine.port == 0)
		mine.port = port;
	if (mine.addr.family != ADDR_NONE && !is_twice(d, &mine))
		d->addresses[d->n++] = mine;
}

// The families take turns, whichever is first; within one the given order stays.
static void
take_turns(struct stream *s, const struct endpoint *addresses, size_t n, uint16_t port)
{
	size_t at[2] = {};
	uint8_t first = n > 0 ? addresses[0].addr.family : 0;

	for (unsigned turn = 0; at[0] < n || at[1] < n; turn ^= 1) {
		size_t *i = &at[turn];

		while (*i < n && (addresses[*i].addr.family == first) != (turn == 0))
			(*i)++;
		if (*i < n)
			add_address(s, &addresses[(*i)++], port);
	}
}

int
dial_begin(struct stream *s, const struct endpoint *addresses, size_t n)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < STREAM_MAX_ADDRESSES; i++)
		d->attempts[i] = (struct watch){ s, -1 };
	s->dial = d;
	s->state = STREAM_DIALLING;
	take_turns(s, addresses, n, s->proxy != NULL ? s->proxy->port : s->port);
	if (d->n == 0)
		stream_fail(s, STREAM_NAME, "no address of the wanted family");
	else
		begin_next(s);
	return 0;
}

void
dial_end(struct stream *s)
{
	if (s->dial == NULL)
		return;
	for (size_t i = 0; i < s->dial->begun; i++)
		set_unwatch(&s->dial->attempts[i]);
}

void
dial_ready(struct stream *s, struct watch *watch)
{
	struct dial *d = s->dial;
	size_t i = (size_t)(watch - d->attempts);
	int err = 0, fd = watch->fd;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0) {
		set_unwatch(watch);
		note_error(d, i, -err);
		begin_next(s);
		return;
	}
	(void)epoll_ctl(s->set->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	watch->fd = -1;
	dial_end(s);
	stream_connected(s, fd, &d->addresses[i]);
}

void
dial_tick(struct stream *s)
{
	struct dial *d = s->dial;

	if (!mono_is_never(d->next) && mono_diff_ns(s->set->now, d->next) >= 0)
		begin_next(s);
}
