/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "resolve"

#include "controlplane/gateway/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/gateway/publish/shm_address.h"
#include "lib/base/log.h"

struct name { /* coord's */
	struct public_key key;
	char peer[CONFIG_NAME_LEN];
	char host[CONFIG_HOST_LEN];
	uint16_t port;
	bool asked, failing;
	struct mono due; /* never: when somebody asks */
	struct mono answered;
	int64_t pause_ns;
};

struct job {
	struct job *next;
	struct public_key key;
	char host[CONFIG_HOST_LEN];
	uint16_t port;
};

struct resolve {
	struct name *names;
	size_t n_names;
	struct mailbox *answers;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *first, **last; /* under the lock, as what follows */
	bool stopping, stopped;
};

/* --- the thread --- */

static bool
take_first(const struct addrinfo *list, uint16_t port, struct endpoint *ret)
{
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a->ai_addr;
		const struct sockaddr_in6 *v6 =
			(const struct sockaddr_in6 *)(const void *)a->ai_addr;

		*ret = (struct endpoint){ .port = port };
		if (a->ai_family == AF_INET) {
			ret->addr.family = ADDR_V4;
			memcpy(ret->addr.bytes, &v4->sin_addr, 4);
			return true;
		}
		if (a->ai_family == AF_INET6) {
			ret->addr.family = ADDR_V6;
			memcpy(ret->addr.bytes, &v6->sin6_addr, 16);
			ret->scope_id = v6->sin6_scope_id;
			return true;
		}
	}
	return false;
}

static void
look_up(struct resolve *r, const struct job *job)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG
	};
	struct letter *letter = letter_create(LETTER_RESOLVED);
	struct addrinfo *list = NULL;

	letter->key = job->key;
	letter->value = getaddrinfo(job->host, NULL, &hints, &list);
	if (letter->value == 0 && !take_first(list, job->port, &letter->endpoint))
		letter->value = EAI_NONAME;
	if (list != NULL)
		freeaddrinfo(list);
	if (letter->value != 0)
		letter->endpoint = (struct endpoint){};
	mailbox_post(r->answers, letter);
}

static struct job *
wait_for_job(struct resolve *r)
{
	struct job *job = NULL;

	pthread_mutex_lock(&r->lock);
	while (r->first == NULL && !r->stopping)
		pthread_cond_wait(&r->wake, &r->lock);
	if (!r->stopping) {
		job = r->first;
		r->first = job->next;
		if (r->first == NULL)
			r->last = &r->first;
	} else {
		r->stopped = true;
		pthread_cond_broadcast(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
	return job;
}

static void *
run(void *context)
{
	struct resolve *r = context;
	struct job *job;

	while ((job = wait_for_job(r)) != NULL) {
		look_up(r, job);
		free(job);
	}
	return NULL;
}

/* --- coord's side --- */

int
resolve_create(struct mailbox *answers, struct resolve **ret_resolve)
{
	struct resolve *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->answers = answers;
	r->last = &r->first;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	err = pthread_create(&r->thread, NULL, run, r);
	if (err != 0) {
		free(r);
		return -err;
	}
	*ret_resolve = r;
	return 0;
}

void
resolve_destroy(struct resolve *r)
{
	struct timespec limit;
	bool stopped;

	if (r == NULL)
		return;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 1;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->wake);
	while (!r->stopped && pthread_cond_timedwait(&r->wake, &r->lock, &limit) == 0)
		;
	stopped = r->stopped;
	pthread_mutex_unlock(&r->lock);
	if (!stopped) {
		pthread_detach(r->thread);
		return; // a name server that does not answer: the process ends without it
	}
	pthread_join(r->thread, NULL);
	while (r->first != NULL) {
		struct job *job = r->first;

		r->first = job->next;
		free(job);
	}
	free(r->names);
	free(r);
}

static struct name *
find(const struct resolve *r, const struct public_key *key)
{
	for (size_t i = 0; i < r->n_names; i++)
		if (memcmp(&r->names[i].key, key, sizeof(*key)) == 0)
			return &r->names[i];
	return NULL;
}

static void
take_name(struct resolve *r,
	struct name *names,
	size_t *n,
	const struct config_peer *p,
	struct mono now)
{
	const struct name *known = find(r, &p->public_key);
	struct endpoint address;

	if (p->endpoint_host[0] == '\0' ||
		endpoint_from_host(p->endpoint_host, p->endpoint_port, &address))
		return;
	if (known != NULL && known->port == p->endpoint_port &&
		strcmp(known->host, p->endpoint_host) == 0) {
		names[(*n)++] = *known;
		return;
	}
	names[*n] = (struct name){ .key = p->public_key,
		.port = p->endpoint_port,
		.due = now,
		.pause_ns = RESOLVE_MIN_PAUSE_NS };
	memcpy(names[*n].peer, p->name, sizeof(names[*n].peer));
	memcpy(names[*n].host, p->endpoint_host, sizeof(names[*n].host));
	(*n)++;
}

void
resolve_take_config(struct resolve *r, const struct config_gateway *config, struct mono now)
{
	size_t n = 0, max = 0;
	struct name *names;

	for (size_t i = 0; i < config->n_peers; i++)
		max += config->peers[i].endpoint_host[0] != '\0';
	names = calloc(max + 1, sizeof(names[0]));
	if (names == NULL)
		return;
	for (size_t i = 0; i < config->n_peers; i++)
		take_name(r, names, &n, &config->peers[i], now);
	free(r->names);
	r->names = names;
	r->n_names = n;
}

void
resolve_again(struct resolve *r, const struct public_key *key, struct mono now)
{
	struct name *name = find(r, key);

	if (name == NULL || name->asked || !mono_is_never(name->due))
		return;
	if (mono_is_never(name->answered) || mono_diff_ns(now, name->answered) >= RESOLVE_FRESH_NS)
		name->due = now;
}

void
resolve_on_answer(struct resolve *r, const struct letter *letter, struct mono now)
{
	struct name *name = find(r, &letter->key);

	if (name == NULL)
		return;
	name->asked = false;
	name->answered = now;
	if (letter->value == 0) {
		if (name->failing)
			log_notice("name resolved again peer=%s name=%s", name->peer, name->host);
		name->failing = false;
		name->pause_ns = RESOLVE_MIN_PAUSE_NS;
		return;
	}
	if (!name->failing)
		log_warning("endpoint's name cannot be resolved, trying again peer=%s name=%s: %s",
			name->peer, name->host, gai_strerror(letter->value));
	name->failing = true;
	name->due = mono_add_ns(now, name->pause_ns);
	name->pause_ns = 2 * name->pause_ns < RESOLVE_MAX_PAUSE_NS ? 2 * name->pause_ns
	                                                           : RESOLVE_MAX_PAUSE_NS;
}

static void
ask(struct resolve *r, struct name *name)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return; // due stays: the next tick tries again
	job->key = name->key;
	job->port = name->port;
	memcpy(job->host, name->host, sizeof(job->host));
	name->asked = true;
	name->due = (struct mono){};
	pthread_mutex_lock(&r->lock);
	*r->last = job;
	r->last = &job->next;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

struct mono
resolve_tick(struct resolve *r, struct mono now)
{
	struct mono next = {};

	for (size_t i = 0; i < r->n_names; i++) {
		struct name *name = &r->names[i];

		if (mono_is_never(name->due))
			continue;
		if (mono_diff_ns(now, name->due) >= 0)
			ask(r, name);
		else if (mono_is_never(next) || name->due.ns < next.ns)
			next = name->due;
	}
	return next;
}
