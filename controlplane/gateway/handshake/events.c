/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the data plane reports.  Anything may stand in an event: numbers are looked up, never used
 * as they are.
 */

#define LOG_TAG "handshake"

#include "controlplane/gateway/handshake/exchange.h"
#include "controlplane/gateway/publish/shm_address.h"
#include "lib/base/log.h"

#define JUST_HEARD_NS (15 * NS_PER_S)

static void
on_complete(struct engine *e, struct peer *p, const char *role, struct mono now)
{
	wg_timers_on_handshake_complete(&p->timers, now);
	p->session_birth = now;
	p->gave_up = false;
	log_info("session established peer=%s role=%s", PEER_ARGS(p), role);
	engine_step(e, p, now);
}

static void
on_session(struct engine *e, struct peer *p, uint32_t index, struct mono now)
{
	uint32_t owner;

	if (slots_use(&e->slots, index, &owner) != SLOT_OFFERED || owner != p->number)
		return; // said twice, or about something that is gone
	slots_set(&e->slots, index, SLOT_INSTALLED);
	if (p->answer != NULL && p->answer->index == index)
		engine_send_answer(e, p, now);
	if (p->confirm_index == index) {
		p->confirm_index = 0;
		// What waits in the data plane goes by itself; this tells the peer if nothing
		// waits.
		engine_push_one(e, SHM_CMD_KEEPALIVE, p->number);
		on_complete(e, p, "initiator", now);
	}
}

// Neither the response nor the confirmation of this session will be sent.
static void
forget_index(struct engine *e, uint32_t index)
{
	uint32_t owner;
	struct peer *p;

	if (slots_use(&e->slots, index, &owner) == SLOT_FREE)
		return;
	p = peers_get(&e->peers, owner);
	if (p == NULL)
		return;
	if (p->answer != NULL && p->answer->index == index)
		engine_drop_answer(p);
	if (p->confirm_index == index)
		p->confirm_index = 0;
}

static void
on_session_refused(struct engine *e, const struct shm_event *event)
{
	uint32_t owner;

	if (slots_use(&e->slots, event->index, &owner) != SLOT_OFFERED)
		return;
	e->counters.refused++;
	log_warning("the data plane refused a session, the next handshake tries again peer=%u "
		    "reason=%u",
		owner, event->value);
	forget_index(e, event->index);
	// Held by another session that we do not know: it stays taken until the directory shows it
	// free.
	slots_set(&e->slots, event->index,
		event->value == SHM_REFUSED_SLOT ? SLOT_INSTALLED : SLOT_FREE);
}

static void
on_freed(struct engine *e, uint32_t index)
{
	uint32_t owner;
	enum slot_use use = slots_use(&e->slots, index, &owner);

	if (use != SLOT_OFFERED && use != SLOT_INSTALLED)
		return; // a reserved one is ours alone
	forget_index(e, index);
	slots_set(&e->slots, index, SLOT_FREE);
}

static void
on_seen_from(struct engine *e, struct peer *p, const struct shm_path *path)
{
	char text[ADDR_TEXT_LEN];
	struct endpoint remote;
	struct addr local;

	if (p->is_member || !endpoint_of_shm(path, &remote, &local))
		return;
	if (!endpoint_equal(&remote, &p->endpoint))
		log_info("peer is elsewhere now, following peer=%s endpoint=%s", PEER_ARGS(p),
			endpoint_format(&remote, text));
	engine_set_path(e, p, &remote, &local);
}

static void
on_rekey_wanted(struct engine *e, struct peer *p, uint32_t index, struct mono now)
{
	struct dataplane_keypairs k;

	dataplane_keypairs(e->dp, p->number, &k);
	if (k.current.receiver_index != index || index == 0)
		return;
	wg_timers_on_rekey_wanted(&p->timers, now);
	engine_step(e, p, now);
}

void
engine_reset_sessions(struct engine *e, uint32_t peer, struct mono now)
{
	struct peer *p = peers_get(&e->peers, peer);
	struct shm_peer_counters c;

	if (p == NULL)
		return;
	dataplane_counters(e->dp, p->number, &c);
	engine_drop_pending(e, p);
	engine_drop_answer(p);
	engine_forget_sessions(e, p);
	if (!engine_can_shake(e, p) || c.last_rx_ns == 0 ||
		mono_diff_ns(now, (struct mono){ c.last_rx_ns }) > JUST_HEARD_NS)
		return;
	wg_timers_on_rekey_wanted(&p->timers, now);
	engine_step(e, p, now);
}

void
engine_event(struct engine *e, const struct shm_event *event, struct mono now)
{
	struct peer *p;

	if (event->kind == SHM_EV_SESSION_FREED) {
		on_freed(e, event->index);
		return;
	}
	if (event->kind == SHM_EV_SESSION_REFUSED) {
		on_session_refused(e, event);
		return;
	}
	p = peers_get(&e->peers, event->peer);
	if (p == NULL || !engine_can_shake(e, p))
		return;
	switch (event->kind) {
	case SHM_EV_SESSION:
		on_session(e, p, event->index, now);
		break;
	case SHM_EV_PROMOTED:
		on_complete(e, p, "responder", now);
		break;
	case SHM_EV_WANT_SESSION:
		engine_want_session(e, p, now);
		break;
	case SHM_EV_WANT_REKEY:
		on_rekey_wanted(e, p, event->index, now);
		break;
	case SHM_EV_SEEN_FROM:
		on_seen_from(e, p, &event->path);
		break;
	default:
		break;
	}
}
