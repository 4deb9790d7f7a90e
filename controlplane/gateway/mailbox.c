/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/publish/desired.h"
#include "controlplane/gateway/snapshot.h"

int
mailbox_init(struct mailbox *box)
{
	box->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (box->bell < 0)
		return -errno;
	pthread_mutex_init(&box->lock, NULL);
	box->first = NULL;
	box->last = &box->first;
	return 0;
}

void
mailbox_fini(struct mailbox *box)
{
	struct letter *letter;

	while ((letter = mailbox_take(box)) != NULL)
		letter_destroy(letter);
	close(box->bell);
	pthread_mutex_destroy(&box->lock);
}

struct letter *
letter_create(enum letter_kind kind)
{
	struct letter *letter = calloc(1, sizeof(*letter));

	if (letter == NULL)
		abort(); // a few hundred bytes: nothing can be done any more
	letter->kind = kind;
	letter->flows_fd = letter->capture_fd = -1;
	return letter;
}

void
letter_destroy(struct letter *letter)
{
	if (letter == NULL)
		return;
	desired_destroy(letter->desired);
	snapshot_destroy(letter->snapshot);
	free(letter->prefixes);
	free(letter->stamps);
	free(letter->facts);
	free(letter->path_views);
	network_put(letter->network);
	free(letter->neighbours);
	free(letter->ports);
	if (letter->flows_fd >= 0)
		close(letter->flows_fd);
	if (letter->capture_fd >= 0)
		close(letter->capture_fd);
	free(letter);
}

void
mailbox_post(struct mailbox *box, struct letter *letter)
{
	uint64_t one = 1;

	pthread_mutex_lock(&box->lock);
	letter->next = NULL;
	*box->last = letter;
	box->last = &letter->next;
	pthread_mutex_unlock(&box->lock);
	if (write(box->bell, &one, sizeof(one)) < 0)
		return; // full: it rings already
}

struct letter *
mailbox_take(struct mailbox *box)
{
	struct letter *letter;
	uint64_t rung;

	pthread_mutex_lock(&box->lock);
	letter = box->first;
	if (letter != NULL)
		box->first = letter->next;
	if (box->first == NULL) {
		box->last = &box->first;
		// Inside the lock: a letter posted from here on rings again.
		if (read(box->bell, &rung, sizeof(rung)) < 0)
			rung = 0;
	}
	pthread_mutex_unlock(&box->lock);
	return letter;
}
