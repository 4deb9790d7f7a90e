/* SPDX-License-Identifier: BSD-3-Clause
 *
 * getaddrinfo() blocks, so each look-up has a thread, a few at once; an answer is written under the
 * lock, and the set's eventfd says that there is one.  A thread that outlives the set frees what it
 * shares with it.
 */

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/gateway/stream/set.h"

#define MAX_THREADS 4
#define STACK_LEN   (1u << 20) // of addresses; name services are generous

struct lookup {
	TAILQ_ENTRY(lookup) entry; /* of waiting or answered */
	struct lookup_box *box;
	char host[STREAM_HOST_LEN];
	lookup_done done; /* NULL: cancelled.  Under the lock, as what follows */
	void *context;
	struct addr addresses[STREAM_MAX_ADDRESSES];
	size_t n;
	char text[80];
};

TAILQ_HEAD(lookup_list, lookup);

struct lookup_box {
	pthread_mutex_t lock;
	struct lookup_list waiting, answered;
	unsigned n_threads;
	bool orphan; /* the set is gone */
	int wake_fd;
};

static bool
take_address(const struct addrinfo *a, struct addr *ret)
{
	*ret = (struct addr){};
	if (a->ai_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)a->ai_addr;

		ret->family = ADDR_V4;
		memcpy(ret->bytes, &v4->sin_addr, 4);
		return true;
	}
	if (a->ai_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)a->ai_addr;

		ret->family = ADDR_V6;
		memcpy(ret->bytes, &v6->sin6_addr, 16);
		return true;
	}
	return false;
}

// Outside the lock: `l` is nobody else's while its host is asked for, but for `done`.
static void
ask(struct lookup *l)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int err = getaddrinfo(l->host, NULL, &hints, &list);

	for (const struct addrinfo *a = list; a != NULL && l->n < STREAM_MAX_ADDRESSES;
		a = a->ai_next)
		if (take_address(a, &l->addresses[l->n]))
			l->n++;
	if (list != NULL)
		freeaddrinfo(list);
	if (l->n == 0)
		strncpy(l->text, err != 0 ? gai_strerror(err) : "the name has no address",
			sizeof(l->text) - 1);
}

static void
free_list(struct lookup_list *list)
{
	struct lookup *l;

	while ((l = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, l, entry);
		free(l);
	}
}

static void
free_box(struct lookup_box *box)
{
	free_list(&box->waiting);
	free_list(&box->answered);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

static void *
run(void *context)
{
	struct lookup_box *box = context;
	struct lookup *l;
	bool last;

	pthread_mutex_lock(&box->lock);
	while (!box->orphan && (l = TAILQ_FIRST(&box->waiting)) != NULL) {
		TAILQ_REMOVE(&box->waiting, l, entry);
		pthread_mutex_unlock(&box->lock);
		ask(l);
		pthread_mutex_lock(&box->lock);
		TAILQ_INSERT_TAIL(&box->answered, l, entry);
		if (!box->orphan) // under the lock, so that the descriptor is still the set's
			(void)!write(box->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	}
	last = --box->n_threads == 0 && box->orphan;
	pthread_mutex_unlock(&box->lock);
	if (last)
		free_box(box);
	return NULL;
}

int
lookups_create(int wake_fd, struct lookup_box **ret_box)
{
	struct lookup_box *box = calloc(1, sizeof(*box));

	if (box == NULL)
		return -ENOMEM;
	pthread_mutex_init(&box->lock, NULL);
	TAILQ_INIT(&box->waiting);
	TAILQ_INIT(&box->answered);
	box->wake_fd = wake_fd;
	*ret_box = box;
	return 0;
}

void
lookups_destroy(struct lookup_box *box)
{
	bool last;

	if (box == NULL)
		return;
	pthread_mutex_lock(&box->lock);
	box->orphan = true;
	last = box->n_threads == 0;
	pthread_mutex_unlock(&box->lock);
	if (last)
		free_box(box);
}

// Under the lock.
static int
start_thread(struct lookup_box *box)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (box->n_threads >= MAX_THREADS)
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_LEN);
	err = pthread_create(&thread, &attr, run, box);
	pthread_attr_destroy(&attr);
	if (err == 0)
		box->n_threads++;
	return box->n_threads > 0 ? 0 : -err;
}

int
lookup_start(struct stream_set *set,
	const char *host,
	lookup_done done,
	void *context,
	struct lookup **ret_lookup)
{
	struct lookup_box *box = set->lookups;
	struct lookup *l;
	int err;

	if (host[0] == '\0' || strlen(host) >= sizeof(l->host))
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	strcpy(l->host, host);
	l->box = box;
	l->done = done;
	l->context = context;
	pthread_mutex_lock(&box->lock);
	TAILQ_INSERT_TAIL(&box->waiting, l, entry);
	err = start_thread(box);
	if (err < 0)
		TAILQ_REMOVE(&box->waiting, l, entry);
	pthread_mutex_unlock(&box->lock);
	if (err < 0) {
		free(l);
		return err;
	}
	*ret_lookup = l;
	return 0;
}

void
lookup_cancel(struct lookup *lookup)
{
	struct lookup_box *box;

	if (lookup == NULL)
		return;
	box = lookup->box;
	pthread_mutex_lock(&box->lock);
	lookup->done = NULL;
	pthread_mutex_unlock(&box->lock);
}

void
lookups_answer(struct lookup_box *box)
{
	struct lookup *l;

	for (;;) {
		lookup_done done = NULL;

		pthread_mutex_lock(&box->lock);
		l = TAILQ_FIRST(&box->answered);
		if (l != NULL) {
			TAILQ_REMOVE(&box->answered, l, entry);
			done = l->done;
		}
		pthread_mutex_unlock(&box->lock);
		if (l == NULL)
			return;
		if (done != NULL)
			done(l->context, l->addresses, l->n, l->text);
		free(l);
	}
}
