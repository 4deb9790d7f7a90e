/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sentences for the operator that gather while the host is read or changed: what was refused, what
 * is in the way, what to do.  `sluice status` shows them; they are no log.
 *
 * Owner:  embedded in whoever gathers them; starts zeroed.
 */
#ifndef CONTROLPLANE_GATEWAY_KERNEL_NOTES_H
#define CONTROLPLANE_GATEWAY_KERNEL_NOTES_H

#include <stddef.h>

#define NOTES_MAX 32

struct notes {
	char *text[NOTES_MAX]; /* owned; n of them */
	size_t n;
	size_t n_left_out; /* that found no room */
};

/* Add a sentence.  One that is there already is not added twice; NULL notes: nothing happens. */
void notes_add(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Free all sentences; the structure can be used again. */
void notes_clear(struct notes *notes);

#endif
