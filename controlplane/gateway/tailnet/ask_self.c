/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the server thinks of ourselves, where it does not say so by itself: Headscale tells a
 * router's peers that its routes were approved, and the router only gets a packet filter.  It sends
 * our own node when something in our Hostinfo is another, so we say the same relay's latency with a
 * microsecond more, or less.  Nobody else is moved by that: latencies change all the time.
 *
 * Source: headscale v0.29, State.SetApprovedRoutes() and State.UpdateNodeFromMapRequest();
 *         ../shared/protocol/control.md 5.3.
 */

#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/crypto/key.h"

#define SOON_NS  (200 * NS_PER_MS)
#define COSTS_NS (8 * NS_PER_S)  /* one question in this time is always allowed, */
#define BURST_NS (64 * NS_PER_S) /* and so much of them at once */

// Servers with many routers must not hear of all of them at once.
static int64_t
some_part_of(int64_t ns)
{
	uint32_t number;

	random_bytes(&number, sizeof(number));
	return (int64_t)(number % (uint64_t)ns);
}

void
member_policy_arrived(struct member *m)
{
	if (m->prefs.n_advertise_routes == 0 || !mono_is_never(m->ask_self_at))
		return;
	m->ask_self_at = mono_add_ns(m->now, SOON_NS + some_part_of(SOON_NS));
	if (mono_diff_ns(m->self_paid_until, m->ask_self_at) > BURST_NS)
		m->ask_self_at = mono_add_ns(m->self_paid_until, -BURST_NS);
}

struct mono
member_ask_self_due(struct member *m)
{
	if (mono_is_never(m->ask_self_at) || mono_diff_ns(m->now, m->ask_self_at) < 0)
		return m->ask_self_at;
	m->ask_self_at = (struct mono){};
	if (mono_is_never(m->self_paid_until) || mono_diff_ns(m->self_paid_until, m->now) < 0)
		m->self_paid_until = m->now;
	m->self_paid_until = mono_add_ns(m->self_paid_until, COSTS_NS);
	if (own_facts_wobble(m->own) && m->client != NULL)
		coord_client_update(m->client);
	return m->ask_self_at;
}
