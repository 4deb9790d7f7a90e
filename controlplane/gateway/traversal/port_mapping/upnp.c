/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/port_mapping/upnp.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/gateway/traversal/port_mapping/igd.h"

struct upnp {
	int fd; /* an eventfd: an answer is there */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t wake;
	struct upnp_question question;
	bool has_question, is_busy, wants_delete, is_ending, has_ended, is_orphan;
	struct upnp_answer answer;
	bool has_answer;
};

/* --- the thread --- */

static void
free_upnp(struct upnp *u)
{
	close(u->fd);
	pthread_cond_destroy(&u->wake);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

// Under the lock, which is given up while the router is spoken to.
static void
answer_question(struct upnp *u, struct igd_mapping *mapping)
{
	struct upnp_question question = u->question;
	struct upnp_answer answer;

	u->has_question = false;
	u->is_busy = true;
	pthread_mutex_unlock(&u->lock);
	answer = igd_map(&question, mapping);
	pthread_mutex_lock(&u->lock);
	u->is_busy = false;
	u->answer = answer;
	u->has_answer = true;
	if (!u->is_orphan)
		eventfd_write(u->fd, 1);
}

static void
delete_mapping(struct upnp *u, struct igd_mapping *mapping)
{
	u->wants_delete = false;
	pthread_mutex_unlock(&u->lock);
	igd_delete(mapping);
	pthread_mutex_lock(&u->lock);
}

static void *
run(void *context)
{
	struct upnp *u = context;
	struct igd_mapping mapping = {};
	bool is_orphan;
	sigset_t all;

	sigfillset(&all); // the library writes to connections that may be closed: no SIGPIPE
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_mutex_lock(&u->lock);
	for (;;) {
		if (u->wants_delete)
			delete_mapping(u, &mapping);
		else if (u->is_ending)
			break;
		else if (u->has_question)
			answer_question(u, &mapping);
		else
			pthread_cond_wait(&u->wake, &u->lock);
	}
	u->has_ended = true;
	is_orphan = u->is_orphan;
	pthread_cond_broadcast(&u->wake);
	pthread_mutex_unlock(&u->lock);
	if (is_orphan)
		free_upnp(u);
	return NULL;
}

/* --- wire's side --- */

int
upnp_create(struct upnp **ret_upnp)
{
	struct upnp *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	u->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->fd < 0) {
		int err = -errno;

		free(u);
		return err;
	}
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->wake, NULL);
	*ret_upnp = u;
	return 0;
}

// Returns whether the thread has ended.
static bool
end_thread(struct upnp *u)
{
	struct timespec limit;
	bool ended;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += UPNP_END_MS / 1000;
	pthread_mutex_lock(&u->lock);
	u->is_ending = u->wants_delete = true;
	pthread_cond_broadcast(&u->wake);
	while (!u->has_ended && pthread_cond_timedwait(&u->wake, &u->lock, &limit) == 0)
		;
	ended = u->has_ended;
	u->is_orphan = !ended; // it frees what it has when it comes back
	pthread_mutex_unlock(&u->lock);
	return ended;
}

void
upnp_destroy(struct upnp *u)
{
	if (u == NULL)
		return;
	if (!u->has_thread) {
		free_upnp(u);
		return;
	}
	if (!end_thread(u)) {
		pthread_detach(u->thread);
		return;
	}
	pthread_join(u->thread, NULL);
	free_upnp(u);
}

int
upnp_fd(const struct upnp *u)
{
	return u->fd;
}

bool
upnp_ask(struct upnp *u, const struct upnp_question *question)
{
	bool taken;

	if (!u->has_thread)
		u->has_thread = pthread_create(&u->thread, NULL, run, u) == 0;
	if (!u->has_thread)
		return false;
	pthread_mutex_lock(&u->lock);
	taken = !u->has_question && !u->is_busy;
	if (taken) {
		u->question = *question;
		u->has_question = true;
		u->has_answer = false;
		pthread_cond_broadcast(&u->wake);
	}
	pthread_mutex_unlock(&u->lock);
	return taken;
}

void
upnp_delete(struct upnp *u)
{
	if (!u->has_thread)
		return;
	pthread_mutex_lock(&u->lock);
	u->has_question = false;
	u->has_answer = false;
	u->wants_delete = true;
	pthread_cond_broadcast(&u->wake);
	pthread_mutex_unlock(&u->lock);
}

bool
upnp_take_answer(struct upnp *u, struct upnp_answer *ret_answer)
{
	eventfd_t count;
	bool has;

	(void)eventfd_read(u->fd, &count);
	pthread_mutex_lock(&u->lock);
	has = u->has_answer;
	if (has)
		*ret_answer = u->answer;
	u->has_answer = false;
	pthread_mutex_unlock(&u->lock);
	return has;
}
