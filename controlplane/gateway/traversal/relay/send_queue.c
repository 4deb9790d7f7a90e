/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/relay/send_queue.h"

#include <stdlib.h>
#include <string.h>

struct queued_packet *
send_queue_pop(struct send_queue *q)
{
	struct queued_packet *p = q->first;

	if (p == NULL)
		return NULL;
	q->first = p->next;
	if (q->first == NULL)
		q->last = NULL;
	q->n--;
	q->bytes -= p->len;
	return p;
}

size_t
send_queue_push(struct send_queue *q,
	const struct public_key *to,
	const uint8_t *data,
	size_t len,
	struct mono now)
{
	struct queued_packet *p = len <= q->max_bytes ? malloc(sizeof(*p) + len) : NULL;
	size_t dropped = 0;

	if (p == NULL)
		return 1;
	for (; q->n > 0 && (q->n >= q->max_packets || q->bytes > q->max_bytes - len); dropped++)
		free(send_queue_pop(q));
	*p = (struct queued_packet){ .since = now, .to = *to, .len = len };
	memcpy(p->data, data, len);
	if (q->last != NULL)
		q->last->next = p;
	else
		q->first = p;
	q->last = p;
	q->n++;
	q->bytes += len;
	return dropped;
}

size_t
send_queue_expire(struct send_queue *q, int64_t max_age_ns, struct mono now)
{
	size_t dropped = 0;

	for (; q->first != NULL && mono_diff_ns(now, q->first->since) > max_age_ns; dropped++)
		free(send_queue_pop(q));
	return dropped;
}

size_t
send_queue_clear(struct send_queue *q)
{
	size_t dropped = q->n;

	while (q->first != NULL)
		free(send_queue_pop(q));
	return dropped;
}
