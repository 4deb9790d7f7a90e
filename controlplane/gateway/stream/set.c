/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/stream/set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/secret.h"

#define EVENTS_AT_ONCE 32

int
set_watch(struct stream_set *set, struct watch *watch, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = watch };

	return epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, watch->fd, &e) < 0 ? -errno : 0;
}

void
set_rewatch(struct stream_set *set, struct watch *watch, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = watch };

	(void)epoll_ctl(set->epoll_fd, EPOLL_CTL_MOD, watch->fd, &e);
}

void
set_unwatch(struct watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd); // which takes it out of the epoll
	watch->fd = -1;
}

void
set_wake(struct stream_set *set)
{
	(void)!write(set->wake.fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void
set_free_stream(struct stream *s)
{
	TAILQ_REMOVE(&s->set->streams, s, entry);
	if (s->proxy != NULL)
		secret_wipe(s->proxy, sizeof(*s->proxy));
	free(s->proxy);
	free(s->dial);
	free(s->cert_name);
	free(s->out.data);
	free(s->kept);
	tls_destroy(s->tls);
	free(s);
}

int
stream_set_create(struct trust *trust, uint32_t mark, struct stream_set **ret_set)
{
	struct stream_set *set = calloc(1, sizeof(*set));
	int err = -ENOMEM;

	if (set == NULL)
		return -ENOMEM;
	TAILQ_INIT(&set->streams);
	set->mark = mark;
	set->wire = malloc(SCRATCH_LEN);
	set->plain = malloc(SCRATCH_LEN);
	if (set->wire == NULL || set->plain == NULL)
		goto free_set;
	set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (set->epoll_fd < 0) {
		err = -errno;
		goto free_set;
	}
	set->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (set->wake.fd < 0) {
		err = -errno;
		goto close_epoll;
	}
	err = set_watch(set, &set->wake, EPOLLIN);
	if (err == 0)
		err = lookups_create(set->wake.fd, &set->lookups);
	if (err < 0)
		goto close_wake;
	set->trust = trust_ref(trust);
	*ret_set = set;
	return 0;

close_wake:
	close(set->wake.fd);
close_epoll:
	close(set->epoll_fd);
free_set:
	free(set->wire);
	free(set->plain);
	free(set);
	return err;
}

void
stream_set_destroy(struct stream_set *set)
{
	struct stream *s;

	if (set == NULL)
		return;
	assert(!set->dispatching);
	while ((s = TAILQ_FIRST(&set->streams)) != NULL)
		stream_close(s);
	lookups_destroy(set->lookups);
	close(set->wake.fd);
	close(set->epoll_fd);
	trust_unref(set->trust);
	secret_wipe(set->plain, SCRATCH_LEN);
	free(set->wire);
	free(set->plain);
	free(set);
}

void
stream_set_trust(struct stream_set *set, struct trust *trust)
{
	trust_ref(trust);
	trust_unref(set->trust);
	set->trust = trust;
}

int
stream_set_fd(const struct stream_set *set)
{
	return set->epoll_fd;
}

struct mono
stream_set_now(const struct stream_set *set)
{
	return set->now;
}

static void
take_event(struct stream_set *set, const struct epoll_event *e)
{
	struct watch *w = e->data.ptr;
	uint64_t count;

	if (w->stream == NULL) {
		(void)!read(set->wake.fd, &count, sizeof(count));
		lookups_answer(set->lookups);
	} else if (w->fd >= 0 && w->stream->state != STREAM_GONE) {
		stream_ready(w->stream, w, e->events); // else closed by an event of this round
	}
}

static void
earlier(struct mono *next, struct mono t)
{
	if (!mono_is_never(t) && (mono_is_never(*next) || t.ns < next->ns))
		*next = t;
}

// What is due by the clock, and what a call has left to be done.
static struct mono
tick_all(struct stream_set *set)
{
	struct stream *s, *after;
	struct mono next = {};

	for (s = TAILQ_FIRST(&set->streams); s != NULL; s = TAILQ_NEXT(s, entry))
		if (s->state != STREAM_GONE)
			stream_tick(s); // may add streams, at the end
	for (s = TAILQ_FIRST(&set->streams); s != NULL; s = after) {
		after = TAILQ_NEXT(s, entry);
		if (s->state == STREAM_GONE) {
			set_free_stream(s);
			continue;
		}
		earlier(&next, s->deadline);
		if (s->state == STREAM_DIALLING)
			earlier(&next, s->dial->next);
		if (s->failing)
			earlier(&next, set->now);
	}
	return next;
}

struct mono
stream_set_dispatch(struct stream_set *set, struct mono now)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	struct mono next;
	int n;

	assert(!set->dispatching);
	set->now = now;
	set->dispatching = true;
	n = epoll_wait(set->epoll_fd, events, EVENTS_AT_ONCE, 0);
	for (int i = 0; i < n; i++)
		take_event(set, &events[i]);
	next = tick_all(set);
	set->dispatching = false;
	return next;
}
