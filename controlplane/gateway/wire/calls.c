/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the engine and the traversal ask of the thread.
 */

#define LOG_TAG "wire"

#include <time.h>

#include "controlplane/gateway/udp.h"
#include "controlplane/gateway/wire/wire_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

/* --- calls of the engine --- */

static bool
send_udp(void *context,
	const struct endpoint *remote,
	const struct addr *local,
	const uint8_t *data,
	size_t len)
{
	struct wire *w = context;
	char text[ADDR_TEXT_LEN];
	int err =
		udp_send(w->attach.wire[remote->addr.family == ADDR_V6], remote, local, data, len);

	if (err < 0) // timers repeat it
		log_debug(
			"datagram not sent to=%s: %s", endpoint_format(remote, text), err_str(err));
	return err == 0;
}

static void
send_datagram(void *context,
	const struct endpoint *remote,
	const struct addr *local,
	const struct public_key *relayed_to,
	const uint8_t *data,
	size_t len)
{
	struct wire *w = context;

	if (relayed_to != NULL)
		traversal_send_relayed(w->traversal, remote->port, relayed_to, data, len, w->now);
	else
		(void)send_udp(w, remote, local, data, len);
}

static void
send_to_member(void *context, uint32_t peer, const uint8_t *data, size_t len)
{
	struct wire *w = context;

	traversal_send(w->traversal, peer, data, len, w->now);
}

static void
member_active(void *context, uint32_t peer, struct mono last_tx)
{
	struct wire *w = context;

	traversal_active(w->traversal, peer, last_tx, w->now);
}

static void
want_resolved(void *context, const struct public_key *key)
{
	struct wire *w = context;
	struct letter *letter = letter_create(LETTER_RESOLVE);

	letter->key = *key;
	mailbox_post(w->outbox, letter);
}

static uint64_t
wall_ns(void *context)
{
	struct timespec ts;

	(void)context;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * (uint64_t)NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- calls of the traversal --- */

static void
set_member_path(void *context,
	uint32_t peer,
	const struct endpoint *remote,
	const struct addr *local,
	bool relay)
{
	struct wire *w = context;

	engine_set_member_path(&w->engine, peer, remote, local, relay);
}

static void
reset_sessions(void *context, uint32_t peer)
{
	struct wire *w = context;

	engine_reset_sessions(&w->engine, peer, w->now);
}

static void
take_relayed(void *context, const struct traversal_source *source, uint8_t *data, size_t len)
{
	struct wire *w = context;
	struct datagram d = { .remote = source->remote,
		.relayed_from = source->relayed_from,
		.data = data,
		.len = len };

	engine_datagram(&w->engine, &d, w->now);
}

static void
send_facts(void *context, struct traversal_facts *facts)
{
	struct wire *w = context;
	struct letter *letter = letter_create(LETTER_FACTS);

	letter->facts = facts;
	mailbox_post(w->outbox, letter);
}

/* --- both --- */

struct engine_calls
wire_engine_calls(struct wire *w)
{
	return (struct engine_calls){ .send = send_datagram,
		.send_to_member = send_to_member,
		.member_active = member_active,
		.resolve = want_resolved,
		.wall_ns = wall_ns,
		.context = w };
}

struct traversal_calls
wire_traversal_calls(struct wire *w)
{
	return (struct traversal_calls){ .send_udp = send_udp,
		.set_path = set_member_path,
		.reset_sessions = reset_sessions,
		.relayed = take_relayed,
		.facts = send_facts,
		.pong = wire_send_pong,
		.context = w };
}
