/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/ctl/apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/ctl/generation.h"
#include "dataplane/ctl/network.h"
#include "dataplane/ctl/steering.h"
#include "lib/base/secret.h"

int
apply_init(struct apply *a)
{
	a->path_seen = calloc(SHM_MAX_PEERS / 64, sizeof(*a->path_seen));
	if (a->path_seen == NULL)
		return -ENOMEM;
	session_wipe_unfinished(&a->sessions);
	session_forget_sources(&a->sessions);
	generation_finish_commit(a);
	return generation_publish_applied(a);
}

void
apply_start_steering(struct apply *a, struct steering *steering)
{
	a->steering = steering;
	generation_steer_applied(a);
	if (a->network != NULL)
		network_start_steering(a->network, steering);
	steering_settle(steering);
}

void
apply_fini(struct apply *a)
{
	free(a->path_seen);
}

static void
answer(struct apply *a, const struct shm_event *event)
{
	// The caller made sure of room before it took the command; a hostile reader loses answers.
	(void)a->calls.event(a->calls.context, event);
}

static void
install_session(struct apply *a, const struct shm_cmd_session *cmd)
{
	struct shm_event event = { .peer = cmd->peer, .index = cmd->receiver_index };
	uint32_t freed = 0;
	int err;

	if (!generation_has_peer(a, cmd->peer)) {
		event.kind = SHM_EV_SESSION_REFUSED;
		event.value = SHM_REFUSED_PEER;
		answer(a, &event);
		return;
	}
	err = session_install(&a->sessions, cmd, &freed);
	apply_retire(a, freed);
	event.kind = err == 0 ? SHM_EV_SESSION : SHM_EV_SESSION_REFUSED;
	event.value = err == 0 ? 0 : err == -EEXIST ? SHM_REFUSED_SLOT : SHM_REFUSED_ROW;
	answer(a, &event);
	if (err == 0 && cmd->role == SHM_ROLE_INITIATOR)
		a->calls.sessions_changed(a->calls.context);
}

static void
remove_session(struct apply *a, const struct shm_cmd_session_gone *cmd)
{
	uint32_t slot = shm_index_slot(cmd->receiver_index);
	const struct shm_session_row *row;

	if (slot == 0 || slot >= SHM_MAX_SESSIONS || cmd->peer >= SHM_MAX_PEERS)
		return;
	row = &a->sessions.state->sessions[slot];
	if (atomic_load_explicit(&row->receiver_index, memory_order_relaxed) !=
			cmd->receiver_index ||
		row->peer != cmd->peer)
		return; // gone already
	if (session_unlink(&a->sessions, cmd->peer, slot))
		apply_retire(a, slot);
}

static void
set_path(struct apply *a, const struct shm_cmd_path *cmd)
{
	struct shm_path relay_only = { .relay = 1 }, none = {};
	const struct shm_path *path = &cmd->path;

	if (cmd->peer >= SHM_MAX_PEERS || path->relay > 1 ||
		(path->family != 0 && path->family != 4 && path->family != 6) ||
		(path->family != 0 && path->remote_port == 0))
		return;
	if (path->family == 0) // as packets from a relay say it, see report_take_injected()
		path = path->relay != 0 ? &relay_only : &none;
	if (!generation_has_peer(a, cmd->peer) && a->open_generation == 0)
		return;
	if (a->open_generation != 0)
		a->path_seen[cmd->peer / 64] |= UINT64_C(1) << (cmd->peer % 64);
	apply_set_path(a, cmd->peer, path);
}

static void
take_network(struct apply *a, const struct shm_cmd_net *part)
{
	struct shm_event event;

	if (a->network != NULL && network_part(a->network, part, &event))
		answer(a, &event);
}

void
apply_command(struct apply *a, struct shm_command *cmd)
{
	switch ((enum shm_command_kind)cmd->kind) {
	case SHM_CMD_BEGIN:
	case SHM_CMD_SETTINGS:
	case SHM_CMD_PEER:
	case SHM_CMD_PEER_GONE:
	case SHM_CMD_PREFIX:
	case SHM_CMD_PREFIX_GONE:
	case SHM_CMD_FILTER:
		generation_row(a, cmd);
		break;
	case SHM_CMD_COMMIT: {
		struct shm_event event = { .generation = cmd->generation };

		event.value = generation_commit(a, cmd->generation);
		event.kind = event.value == 0 ? SHM_EV_APPLIED : SHM_EV_REFUSED;
		answer(a, &event);
		break;
	}
	case SHM_CMD_PATH:
		set_path(a, &cmd->path);
		break;
	case SHM_CMD_SESSION:
		install_session(a, &cmd->session);
		break;
	case SHM_CMD_SESSION_GONE:
		remove_session(a, &cmd->session_gone);
		break;
	case SHM_CMD_KEEPALIVE:
		if (generation_has_peer(a, cmd->one.peer))
			a->calls.keepalive(a->calls.context, cmd->one.peer);
		break;
	case SHM_CMD_UNREACHABLE:
		if (generation_has_peer(a, cmd->one.peer))
			a->calls.give_up(a->calls.context, cmd->one.peer);
		break;
	case SHM_CMD_NET:
		take_network(a, &cmd->net);
		break;
	case SHM_CMD_NEIGHBOUR:
		if (a->network != NULL)
			network_neighbour(a->network, &cmd->neighbour);
		break;
	case SHM_CMD_CAPTURE:
		if (a->calls.capture != NULL)
			a->calls.capture(a->calls.context, &cmd->capture);
		break;
	}
	secret_wipe(cmd, sizeof(*cmd));
}

void
apply_sweep(struct apply *a)
{
	struct shm_state *state = a->sessions.state;
	uint32_t end = atomic_load_explicit(&state->sessions_end, memory_order_relaxed);

	for (uint32_t slot = 1; slot < end && slot < SHM_MAX_SESSIONS; slot++) {
		const struct shm_session_row *row = &state->sessions[slot];

		if (atomic_load_explicit(&row->receiver_index, memory_order_relaxed) != 0 &&
			!session_is_linked(&a->sessions, row->peer, slot))
			apply_retire(a, slot);
	}
	apply_flush_retired(a);
}
