/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The loop: one round after the other, and what wakes it.
 */

#include "controlplane/gateway/wire/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "controlplane/gateway/udp.h"
#include "controlplane/gateway/wire/wire_state.h"

#define STAMPS_EVERY_NS (5 * NS_PER_S)
#define RING_RETRY_NS   (2 * NS_PER_MS) /* while something waits for room in the command ring */

static void
silence_bell(const struct wire *w)
{
	uint64_t rung;

	if (w->dp.bell_cp >= 0 && read(w->dp.bell_cp, &rung, sizeof(rung)) < 0)
		return; // somebody was faster: nothing to do
}

/* --- loop --- */

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (candidate.ns < at->ns)
		*at = candidate;
}

// When to come again if nothing happens.
static struct mono
next_round(struct wire *w, struct mono engine_due)
{
	struct mono at = engine_due, network_due;

	if (w->attach.sock < 0)
		take_earlier(&at, w->attach.retry_at);
	if (dataplane_is_waiting(&w->dp) || publisher_is_talking(&w->publisher))
		take_earlier(&at, mono_add_ns(w->now, RING_RETRY_NS));
	network_due = wire_network_due(w);
	if (!mono_is_never(network_due))
		take_earlier(&at, network_due);
	if (w->snapshot != NULL || w->members_due || w->publish_due)
		at = w->now;
	return at;
}

static int
timeout_ms(const struct wire *w, struct mono at)
{
	int64_t ns = mono_diff_ns(at, w->now);

	if (ns <= 0)
		return 0;
	return ns > 60 * NS_PER_S ? 60000 : (int)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void
wait_for_something(struct wire *w, struct mono at)
{
	struct epoll_event events[8];
	bool asleep = true;
	int n;

	// Announce sleep in both rings, then look once more: what came before the announcement is
	// seen.
	if (w->dp.attached)
		asleep = shm_ring_sleep(&w->dp.events) && shm_ring_sleep(&w->dp.punt);
	n = epoll_wait(w->epoll, events, 8, asleep ? timeout_ms(w, at) : 0);
	if (w->dp.attached) {
		shm_ring_wake(&w->dp.events);
		shm_ring_wake(&w->dp.punt);
	}
	w->now = mono_now();
	for (int i = 0; i < n; i++) {
		switch ((enum wire_source)events[i].data.u32) {
		case WIRE_SOURCE_INBOX:
			wire_read_inbox(w);
			break;
		case WIRE_SOURCE_KEEPER:
			wire_read_keeper(w);
			break;
		case WIRE_SOURCE_BELL:
			silence_bell(w);
			break;
		case WIRE_SOURCE_UDP4:
			wire_read_udp(w, 0, events[i].events);
			break;
		case WIRE_SOURCE_UDP6:
			wire_read_udp(w, 1, events[i].events);
			break;
		case WIRE_SOURCE_TRAVERSAL:
			break; // below, with its timers
		}
	}
}

static void
run_once(struct wire *w)
{
	struct mono due, ways_due;

	wire_keep_attached(w);
	wire_read_events(w);
	wire_read_punt(w);
	due = engine_tick(&w->engine, w->now);
	ways_due = traversal_dispatch(w->traversal, w->now);
	take_earlier(&due, ways_due);
	traversal_flush(w->traversal);
	publisher_pump(&w->publisher);
	wire_network_pump(w);
	dataplane_flush(&w->dp);
	wire_open_udp(w);
	wire_continue_desired(w);
	wire_continue_snapshot(w);
	if (w->engine.stamps_changed && mono_diff_ns(w->now, w->stamps_sent) >= STAMPS_EVERY_NS)
		wire_send_stamps(w);
	wait_for_something(w, next_round(w, due));
}

void *
wire_run(void *wire)
{
	struct wire *w = wire;

	w->now = mono_now();
	while (!w->stopping)
		run_once(w);
	wire_send_stamps(w);
	mailbox_post(w->outbox, letter_create(LETTER_STOPPED));
	return NULL;
}

int
wire_create(const char *run_dir,
	struct mailbox *inbox,
	struct mailbox *outbox,
	struct wire **ret_wire)
{
	struct wire *w = calloc(1, sizeof(*w));
	struct engine_calls calls = wire_engine_calls(w);
	struct traversal_calls ways = wire_traversal_calls(w);
	int err;

	if (w == NULL)
		return -ENOMEM;
	w->inbox = inbox;
	w->outbox = outbox;
	dataplane_init(&w->dp);
	wire_init_publisher(w);
	w->epoll = -1;
	err = attach_init(&w->attach, run_dir);
	if (err == 0)
		err = engine_init(&w->engine, &w->dp, &calls);
	if (err < 0) {
		free(w);
		return err;
	}
	w->udp = udp_create();
	err = w->udp != NULL ? wire_init_network(w) : -ENOMEM;
	if (err == 0)
		err = traversal_create(&ways, &w->traversal);
	if (err == 0)
		err = wire_open_epoll(w);
	if (err < 0) {
		wire_destroy(w);
		return err;
	}
	*ret_wire = w;
	return 0;
}

void
wire_destroy(struct wire *w)
{
	if (w == NULL)
		return;
	snapshot_destroy(w->snapshot);
	attach_fini(&w->attach, &w->dp);
	engine_fini(&w->engine);
	publisher_fini(&w->publisher);
	wire_fini_network(w);
	dataplane_fini(&w->dp);
	desired_destroy(w->desired);
	desired_destroy(w->previous);
	free(w->exceptions);
	traversal_destroy(w->traversal);
	udp_destroy(w->udp);
	if (w->epoll >= 0)
		close(w->epoll);
	free(w);
}
