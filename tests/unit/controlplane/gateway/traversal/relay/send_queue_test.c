/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/relay/send_queue.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/relay/reverse_routes.h"
#include "tests/lib/tap.h"

static const struct public_key to = { { 1 } };

static size_t
push(struct send_queue *q, uint8_t first, size_t len, uint64_t at)
{
	uint8_t data[64] = { first };

	return send_queue_push(q, &to, data, len, (struct mono){ at });
}

static int
pop(struct send_queue *q)
{
	struct queued_packet *p = send_queue_pop(q);
	int first = p != NULL ? p->data[0] : -1;

	free(p);
	return first;
}

static void
test_queue(void)
{
	struct send_queue q = { .max_packets = 3, .max_bytes = 100 };

	tap_int(pop(&q), -1, "an empty queue");
	tap_int((long long)(push(&q, 1, 10, 1) + push(&q, 2, 10, 2) + push(&q, 3, 10, 3)), 0,
		"three fit");
	tap_int((long long)push(&q, 4, 10, 4), 1, "a fourth drops one");
	tap_int(pop(&q), 2, "the oldest");
	tap_int((long long)push(&q, 5, 60, 5), 0, "bytes");
	tap_int((long long)push(&q, 6, 50, 6), 3, "where bytes are too many, as many as need be");
	tap_ok(q.n == 1 && q.bytes == 50, "what is left is counted");
	tap_int((long long)push(&q, 7, 101, 7), 1, "what never fits is dropped itself");
	tap_int(pop(&q), 6, "and nothing else");
	tap_ok(q.n == 0 && q.bytes == 0 && q.first == NULL && q.last == NULL, "empty again");
	(void)push(&q, 8, 10, 100);
	(void)push(&q, 9, 10, 200);
	tap_int((long long)send_queue_expire(&q, 50, (struct mono){ 160 }), 1, "too old");
	tap_int((long long)send_queue_expire(&q, 50, (struct mono){ 160 }), 0, "young enough");
	tap_int((long long)send_queue_clear(&q), 1, "all");
	tap_int(pop(&q), -1, "none left");
}

static void
test_routes(void)
{
	static struct reverse_routes routes;
	struct public_key a = { { 1, 0, 0, 0, 5 } }, b = { { 1, 0, 0, 0, 6 } };
	const struct reverse_route *route;

	tap_ok(reverse_routes_find(&routes, &a) == NULL, "nobody was heard");
	reverse_routes_heard(&routes, &a, 7, 100);
	route = reverse_routes_find(&routes, &a);
	tap_ok(route != NULL && route->region == 7 && route->opening == 100, "one was");
	tap_ok(reverse_routes_find(&routes, &b) == NULL, "that is not another in its slot");
	reverse_routes_forget(&routes, &a, 99);
	tap_ok(reverse_routes_find(&routes, &a) != NULL, "gone from another connection");
	reverse_routes_heard(&routes, &b, 8, 101);
	tap_ok(reverse_routes_find(&routes, &a) == NULL && reverse_routes_find(&routes, &b),
		"the newer has the slot");
	reverse_routes_forget(&routes, &b, 101);
	tap_ok(reverse_routes_find(&routes, &b) == NULL, "gone");
}

int
main(void)
{
	test_queue();
	test_routes();
	return tap_done();
}
