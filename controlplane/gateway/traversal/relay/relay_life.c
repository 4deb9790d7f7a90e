/* SPDX-License-Identifier: BSD-3-Clause */

#define LOG_TAG "relay"

#include "controlplane/gateway/traversal/relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/relay/node_target.h"
#include "lib/base/log.h"

void
relay_set_state(struct relay *relay, enum relay_state state, const char *why, struct mono now)
{
	const struct relays_calls *calls = &relay->all->calls;

	if (why != NULL)
		snprintf(relay->why, sizeof(relay->why), "%s", why);
	if (relay->state == state)
		return;
	relay->state = state;
	relay->since = now;
	if (calls->state != NULL)
		calls->state(calls->context, relay->region, state, why);
}

bool
relay_is_wanted(const struct relay *relay, struct mono now)
{
	const struct relays *all = relay->all;

	return all->has_key && all->map != NULL && derp_map_find(all->map, relay->region) != NULL &&
	       (all->home == relay->region || mono_diff_ns(now, relay->wanted_at) < RELAY_IDLE_NS);
}

static void
disconnect(struct relay *relay)
{
	stream_close(relay->stream);
	relay->stream = NULL;
	relay->phase = RELAY_PHASE_NONE;
	relay->opening = 0;
	free(relay->batch);
	relay->batch = NULL;
	relay->batch_len = 0;
	relay->is_noted = relay->is_probe_binding = relay->is_torn = false;
	relay->probe_sent = (struct mono){};
	relay->reader = (struct derp_reader){};
	relay->limit_per_s = 0;
	relay->waiting = 0;
}

void
relay_stop(struct relay *relay, const char *why, struct mono now)
{
	disconnect(relay);
	relay->n_dropped += send_queue_clear(&relay->urgent);
	relay->n_dropped += send_queue_clear(&relay->data);
	relay->node = NULL;
	relay_set_state(relay, RELAY_CLOSED, why, now);
}

// ---------- opening ----------

static void
on_opened(void *context)
{
	struct relay *relay = context;

	relay_send_request(relay, stream_set_now(relay->all->set));
}

static void
on_drained(void *context)
{
	struct relay *relay = context;

	relay->moved_at = stream_set_now(relay->all->set);
	relay_pump(relay, relay->moved_at);
}

static void
on_closed(void *context, const struct stream_failure *failure)
{
	struct relay *relay = context;

	relay->stream = NULL; // it is gone already
	relay_fail(relay, failure->text, stream_set_now(relay->all->set));
}

static bool
open_stream(struct relay *relay, const struct node_target *t, struct mono now)
{
	struct relays *all = relay->all;
	struct stream_calls calls = { .opened = on_opened,
		.received = relay_received,
		.drained = on_drained,
		.closed = on_closed,
		.context = relay };

	relay->batch = malloc(RELAY_BATCH_LEN);
	if (relay->batch == NULL)
		return false;
	if (stream_open(all->set, &t->target, &calls, now, &relay->stream) < 0) {
		disconnect(relay);
		return false;
	}
	relay->opening = ++all->last_opening;
	relay->phase = RELAY_PHASE_DIAL;
	relay->is_fast_start = false;
	relay->last_rx = relay->moved_at = now;
	relay->deadline = mono_add_ns(now, RELAY_OPEN_LIMIT_NS);
	return true;
}

// Open the first node from `from` on that can be tried.  False: there is none.
static bool
open_next(struct relay *relay, size_t from, struct mono now)
{
	const struct relays *all = relay->all;
	const struct derp_region *region = derp_map_find(all->map, relay->region);

	for (size_t i = from; region != NULL && i < region->n_nodes; i++) {
		struct node_target t;

		if (!node_target_init(&t, &region->nodes[i], all->is_plain))
			continue;
		t.target.timeout_ns =
			i + 1 < region->n_nodes ? RELAY_NEXT_NODE_NS : RELAY_OPEN_LIMIT_NS;
		if (!open_stream(relay, &t, now))
			continue;
		relay->node = &region->nodes[i];
		relay->node_at = i;
		return true;
	}
	return false;
}

// A little more each time, and never twice the same, so that a relay's clients come back one by
// one.
static int64_t
backoff_ns(const struct relay *relay, struct mono now)
{
	uint32_t n = relay->n_failures < 100 ? relay->n_failures : 100;
	int64_t ns = (int64_t)n * n * 10 * NS_PER_MS;
	uint32_t random;

	if (ns > RELAY_MAX_BACKOFF_NS)
		ns = RELAY_MAX_BACKOFF_NS;
	if (mono_diff_ns(relay->restart_until, now) > 0 && ns < relay->restart_delay_ns)
		ns = relay->restart_delay_ns;
	random_bytes(&random, sizeof(random));
	return ns / 2 + (int64_t)((double)ns * random / UINT32_MAX);
}

static void
wait_for_retry(struct relay *relay, const char *why, struct mono now)
{
	relay->n_failures++;
	relay->retry_at = mono_add_ns(now, backoff_ns(relay, now));
	if (relay->n_failures == 1)
		log_notice("no connection with a relay, trying again region=%u reason=\"%s\"",
			relay->region, why);
	relay_set_state(relay, RELAY_WAITING, why, now);
}

void
relay_start(struct relay *relay, struct mono now)
{
	relay_drop_old(relay, now); // of an outage, if there was one
	if (open_next(relay, 0, now))
		relay_set_state(relay, RELAY_CONNECTING, NULL, now);
	else
		wait_for_retry(relay, "the map has no relay there that can be connected to", now);
}

void
relay_fail(struct relay *relay, const char *why, struct mono now)
{
	bool was_proven = relay->phase == RELAY_PHASE_PROVEN;
	bool may_be_fast_start = relay->phase == RELAY_PHASE_INFO && relay->is_fast_start;
	size_t next = may_be_fast_start ? relay->node_at : relay->node_at + 1;

	relay->no_fast_start |= may_be_fast_start;
	if (was_proven && mono_diff_ns(now, relay->since) >= RELAY_STABLE_NS)
		relay->n_failures = 0;
	disconnect(relay);
	if (was_proven || !open_next(relay, next, now)) {
		wait_for_retry(relay, why, now);
		return;
	}
	log_debug("a node of a region failed, trying another region=%u reason=\"%s\"",
		relay->region, why);
	relay_set_state(relay, relay->state, why, now);
}

void
relay_proven(struct relay *relay, struct mono now)
{
	relay->phase = RELAY_PHASE_PROVEN;
	relay->restart_until = (struct mono){};
	relay->health[0] = '\0';
	log_info("connected with a relay region=%u host=%s fast_start=%d", relay->region,
		relay->node->host_name, relay->is_fast_start);
	relay_send_ping(relay, false, now); // how far it is
	relay_set_state(relay, RELAY_CONNECTED, NULL, now);
}

// ---------- what is due ----------

static void
earlier(struct mono *next, struct mono t)
{
	if (mono_is_never(*next) || t.ns < next->ns)
		*next = t;
}

// When t is past: true.  Else next is no later than t.
static bool
is_due(struct mono t, struct mono now, struct mono *next)
{
	if (mono_diff_ns(now, t) >= 0)
		return true;
	earlier(next, t);
	return false;
}

// Whether nothing of what waits has left for too long: the other end may be gone without a word.
static bool
is_stalled(struct relay *relay, struct mono now, struct mono *next)
{
	size_t waiting = stream_queued(relay->stream);

	if (waiting == 0 || waiting < relay->waiting || relay->waiting == 0)
		relay->moved_at = now;
	relay->waiting = waiting;
	return waiting > 0 && is_due(mono_add_ns(relay->moved_at, RELAY_STALL_NS), now, next);
}

static void
tick_proven(struct relay *relay, struct mono now, struct mono *next)
{
	struct mono idle = mono_add_ns(relay->wanted_at, RELAY_IDLE_NS);

	if (relay->is_torn) {
		relay_fail(relay, "what it is sent finds no room", now);
	} else if (is_due(mono_add_ns(relay->last_rx, RELAY_SILENCE_NS), now, next)) {
		relay_fail(relay, "it has been silent for two minutes", now);
	} else if (relay->is_probe_binding && !mono_is_never(relay->probe_sent) &&
		   is_due(mono_add_ns(relay->probe_sent, RELAY_PROBE_NS), now, next)) {
		relay_fail(relay, "it does not answer since the network has changed", now);
	} else if (is_stalled(relay, now, next)) {
		relay_fail(relay, "it does not take what is sent to it", now);
	} else if (relay->all->home != relay->region && is_due(idle, now, next)) {
		relay_stop(relay, "nothing was sent there for a minute", now);
	} else {
		relay_pump(relay, now);
		if (relay->data.n > 0) // what does not wait for the stream waits for its time
			(void)is_due(relay->paced, now, next);
	}
}

struct mono
relay_tick(struct relay *relay, struct mono now)
{
	struct mono next = {};

	if (relay->state == RELAY_CONNECTED)
		tick_proven(relay, now, &next);
	else if (relay->state == RELAY_CONNECTING && is_due(relay->deadline, now, &next))
		relay_fail(relay, "it did not answer in time", now);
	else if (relay->state == RELAY_WAITING && !relay_is_wanted(relay, now))
		relay_stop(relay, NULL, now);
	else if (relay->state == RELAY_WAITING && is_due(relay->retry_at, now, &next))
		relay_start(relay, now);
	// A state that this has led to has a deadline of its own.
	if (relay->state == RELAY_CONNECTING)
		earlier(&next, relay->deadline);
	else if (relay->state == RELAY_WAITING)
		earlier(&next, relay->retry_at);
	return next;
}

void
relay_network_changed(struct relay *relay, struct mono now)
{
	if (relay->state == RELAY_CONNECTED) {
		relay_send_ping(relay, true, now);
	} else if (relay->state == RELAY_CONNECTING) {
		disconnect(relay);
		relay_start(relay, now);
	} else if (relay->state == RELAY_WAITING) {
		relay->retry_at = now;
		relay->n_failures = 0;
	}
}
