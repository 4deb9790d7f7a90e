/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/mailbox.h"

#include <poll.h>
#include <pthread.h>

#include "tests/lib/tap.h"

#define N_LETTERS 20000

static struct mailbox box;

static bool
rings(void)
{
	struct pollfd p = { .fd = box.bell, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void *
post_many(void *context)
{
	(void)context;
	for (uint64_t i = 1; i <= N_LETTERS; i++) {
		struct letter *letter = letter_create(LETTER_SETTLED);

		letter->number = i;
		mailbox_post(&box, letter);
	}
	return NULL;
}

int
main(void)
{
	struct pollfd p;
	pthread_t thread;
	uint64_t expected = 1;
	bool in_order = true;
	struct letter *letter;

	tap_int(mailbox_init(&box), 0, "a box");
	tap_ok(!rings() && mailbox_take(&box) == NULL, "is empty and silent at first");
	p = (struct pollfd){ .fd = box.bell, .events = POLLIN };
	pthread_create(&thread, NULL, post_many, NULL);
	while (expected <= N_LETTERS && poll(&p, 1, 10000) == 1) {
		while ((letter = mailbox_take(&box)) != NULL) {
			in_order = in_order && letter->number == expected++;
			letter_destroy(letter);
		}
	}
	pthread_join(thread, NULL);
	tap_int(expected - 1, N_LETTERS,
		"every letter of another thread arrives, the bell never misses one");
	tap_ok(in_order, "in order");
	tap_ok(!rings(), "and it is silent at the end");
	mailbox_post(&box, letter_create(LETTER_STOP));
	mailbox_fini(&box); // with a letter inside: the sanitizers see whether it is freed
	return tap_done();
}
