/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/publish/dataplane.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/shm/region.h"

struct dataplane_queued {
	struct dataplane_queued *next;
	uint64_t pad;
	struct shm_command command;
};
static_assert(sizeof(struct dataplane_queued) % 16 == 0, "cells of a pool");

void
dataplane_init(struct dataplane *dp)
{
	*dp = (struct dataplane){
		.bell_dp = -1,
		.bell_cp = -1,
		.pool.size = sizeof(struct dataplane_queued),
	};
	dp->last = &dp->first;
}

void
dataplane_fini(struct dataplane *dp)
{
	dataplane_leave(dp);
	secret_pool_fini(&dp->pool);
}

// What the state says of itself.  Sizes were compared when it was mapped, and the rings are new.
static int
check_state(const struct shm_state *state)
{
	if (state->magic != SHM_MAGIC)
		return ERR_PROTOCOL;
	if (state->session_version != SHM_SESSION_VERSION ||
		state->layout_hash != shm_layout_hash())
		return ERR_VERSION;
	return 0;
}

int
dataplane_join(struct dataplane *dp, const struct dataplane_grant *g)
{
	int err = check_state(g->state);

	if (err < 0)
		return err;
	dataplane_leave(dp);
	dp->state = g->state;
	dp->notes = g->notes;
	dp->to_dp = g->to_dp;
	dp->to_cp = g->to_cp;
	dp->bell_dp = g->bell_dp;
	dp->bell_cp = g->bell_cp;
	dp->boot_of_keeper_ns = g->boot_of_keeper_ns;
	dp->epoch = g->epoch;
	dp->listen_port = g->listen_port;
	dp->keeper_pid = g->keeper_pid;
	dp->to_dp->magic = SHM_MAGIC; // ours to write
	dp->to_dp->abi_version = SHM_ABI_VERSION;
	dp->to_dp->layout_hash = shm_layout_hash();
	shm_ring_tx_init(&dp->commands, &dp->to_dp->commands_head, &dp->to_cp->commands_tail,
		dp->to_dp->commands, sizeof(struct shm_command), SHM_N_COMMANDS);
	shm_ring_tx_init(&dp->inject, &dp->to_dp->inject_head, &dp->to_cp->inject_tail,
		dp->to_dp->inject, sizeof(struct shm_packet), SHM_N_PACKETS);
	shm_ring_rx_init(&dp->events, &dp->to_dp->events_tail, &dp->to_cp->events_head,
		dp->to_cp->events, sizeof(struct shm_event), SHM_N_EVENTS);
	shm_ring_rx_init(&dp->punt, &dp->to_dp->punt_tail, &dp->to_cp->punt_head, dp->to_cp->punt,
		sizeof(struct shm_packet), SHM_N_PACKETS);
	dp->wiped = dp->commands.head;
	dp->attached = true;
	return 0;
}

static void
drop_queue(struct dataplane *dp)
{
	while (dp->first != NULL) {
		struct dataplane_queued *q = dp->first;

		dp->first = q->next;
		secret_pool_give(&dp->pool, q);
	}
	dp->last = &dp->first;
	dp->n_queued = 0;
}

static void
unmap(const void *p, size_t len)
{
	if (p != NULL)
		munmap((void *)p, len);
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
dataplane_leave(struct dataplane *dp)
{
	drop_queue(dp);
	dp->attached = false;
	unmap(dp->state, sizeof(*dp->state));
	unmap(dp->notes, sizeof(*dp->notes));
	unmap(dp->to_dp, sizeof(*dp->to_dp));
	unmap(dp->to_cp, sizeof(*dp->to_cp));
	dp->state = NULL;
	dp->notes = NULL;
	dp->to_dp = NULL;
	dp->to_cp = NULL;
	close_fd(&dp->bell_dp);
	close_fd(&dp->bell_cp);
}

bool
dataplane_is_violated(const struct dataplane *dp)
{
	return dp->attached && (dp->commands.violated || dp->inject.violated ||
				       dp->events.violated || dp->punt.violated);
}

static bool
try_push(struct dataplane *dp, const struct shm_command *command)
{
	struct shm_command *slot = shm_ring_reserve(&dp->commands);

	if (slot == NULL)
		return false;
	memcpy(slot, command, sizeof(*slot));
	shm_ring_publish(&dp->commands);
	return true;
}

void
dataplane_push(struct dataplane *dp, const struct shm_command *command)
{
	struct dataplane_queued *q;

	if (!dp->attached)
		return;
	if (dp->first == NULL && try_push(dp, command))
		return;
	q = dp->n_queued < DATAPLANE_MAX_QUEUED ? secret_pool_take(&dp->pool) : NULL;
	if (q == NULL) {
		dp->n_lost++;
		return;
	}
	q->command = *command;
	q->next = NULL;
	*dp->last = q;
	dp->last = &q->next;
	dp->n_queued++;
}

bool
dataplane_push_if_room(struct dataplane *dp, const struct shm_command *command)
{
	if (!dp->attached || dp->first != NULL ||
		shm_ring_used(&dp->commands) >= SHM_N_COMMANDS - DATAPLANE_URGENT_SLOTS)
		return false;
	return try_push(dp, command);
}

bool
dataplane_is_waiting(const struct dataplane *dp)
{
	return dp->attached && (dp->first != NULL || dp->wiped != dp->commands.head);
}

/*
 * Keys cross once.  A slot that the consumer has passed is wiped, unless a newer command lies there
 * already.  Others hold nothing secret.
 */
static void
wipe_consumed(struct dataplane *dp)
{
	uint32_t used = shm_ring_used(&dp->commands);
	uint32_t tail = dp->commands.tail;

	(void)used; // asked for its side effect: the tail is fresh and checked
	if (dp->commands.violated)
		return;
	for (; dp->wiped != tail; dp->wiped++) {
		struct shm_command *slot = &dp->to_dp->commands[dp->wiped & (SHM_N_COMMANDS - 1)];

		if (dp->commands.head - dp->wiped <= SHM_N_COMMANDS &&
			slot->kind == SHM_CMD_SESSION)
			secret_wipe(&slot->session, sizeof(slot->session));
	}
}

static void
ring_bell(struct dataplane *dp)
{
	uint64_t one = 1;

	if (!shm_ring_wants_bell(&dp->commands) && !shm_ring_wants_bell(&dp->inject))
		return;
	if (dp->bell_dp >= 0 && write(dp->bell_dp, &one, sizeof(one)) < 0)
		return; // full: it rings already
}

void
dataplane_flush(struct dataplane *dp)
{
	if (!dp->attached)
		return;
	while (dp->first != NULL && try_push(dp, &dp->first->command)) {
		struct dataplane_queued *q = dp->first;

		dp->first = q->next;
		if (dp->first == NULL)
			dp->last = &dp->first;
		secret_pool_give(&dp->pool, q);
		dp->n_queued--;
	}
	wipe_consumed(dp);
	if (dp->commands.head != dp->commands.tail || dp->inject.head != dp->inject.tail)
		ring_bell(dp);
}

static void
inject(struct dataplane *dp,
	enum shm_packet_kind kind,
	const struct shm_path *path,
	const uint8_t *data,
	size_t len)
{
	struct shm_packet *slot;

	if (!dp->attached || len > SHM_PACKET_LEN)
		return;
	slot = shm_ring_reserve(&dp->inject);
	if (slot == NULL) {
		dp->n_inject_full++;
		return;
	}
	memset(slot, 0, offsetof(struct shm_packet, data));
	slot->kind = kind;
	slot->len = (uint32_t)len;
	slot->peer = SHM_NO_PEER;
	slot->path = *path;
	memcpy(slot->data, data, len);
	shm_ring_publish(&dp->inject);
}

void
dataplane_inject(struct dataplane *dp, const struct shm_path *path, const uint8_t *data, size_t len)
{
	inject(dp, SHM_PKT_WIRE, path, data, len);
}

void
dataplane_inject_inner(struct dataplane *dp, const uint8_t *data, size_t len)
{
	static const struct shm_path none;

	inject(dp, SHM_PKT_INNER, &none, data, len);
}

bool
dataplane_session(const struct dataplane *dp, uint32_t slot, struct dataplane_session *ret)
{
	const struct shm_session_row *row;
	struct dataplane_session s;
	uint32_t role;

	if (dp->state == NULL || slot == 0 || slot >= SHM_MAX_SESSIONS)
		return false;
	row = &dp->state->sessions[slot];
	// Pairs with the release store at install: what is read after it belongs to this index.
	s.receiver_index = atomic_load_explicit(&row->receiver_index, memory_order_acquire);
	s.sender_index = row->sender_index;
	s.peer = row->peer;
	role = row->role;
	s.initiator = role == SHM_ROLE_INITIATOR;
	s.birth = (struct mono){ row->birth_ns };
	atomic_thread_fence(memory_order_acquire);
	if (s.receiver_index == 0 || shm_index_slot(s.receiver_index) != slot ||
		s.peer >= SHM_MAX_PEERS ||
		(role != SHM_ROLE_INITIATOR && role != SHM_ROLE_RESPONDER) ||
		atomic_load_explicit(&row->receiver_index, memory_order_relaxed) !=
			s.receiver_index)
		return false;
	*ret = s;
	return true;
}

static void
session_of_peer(const struct dataplane *dp,
	uint32_t peer,
	uint32_t slot,
	struct dataplane_session *ret)
{
	if (!dataplane_session(dp, slot, ret) || ret->peer != peer)
		*ret = (struct dataplane_session){};
}

void
dataplane_keypairs(const struct dataplane *dp, uint32_t peer, struct dataplane_keypairs *ret)
{
	uint64_t word;

	*ret = (struct dataplane_keypairs){};
	if (dp->state == NULL || peer >= SHM_MAX_PEERS)
		return;
	word = atomic_load_explicit(&dp->state->keypairs[peer], memory_order_acquire);
	if (word == 0)
		return;
	session_of_peer(dp, peer, shm_keypairs_previous(word), &ret->previous);
	session_of_peer(dp, peer, shm_keypairs_current(word), &ret->current);
	session_of_peer(dp, peer, shm_keypairs_next(word), &ret->next);
}

static uint64_t
later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

// Plain loads: each is one word that its worker stores at once, and a stamp a moment old is fine.
void
dataplane_counters(const struct dataplane *dp, uint32_t peer, struct shm_peer_counters *ret)
{
	uint32_t n_workers;

	*ret = (struct shm_peer_counters){};
	if (dp->state == NULL || peer >= SHM_MAX_PEERS)
		return;
	n_workers = dp->state->n_workers;
	if (n_workers > SHM_MAX_WORKERS)
		n_workers = SHM_MAX_WORKERS;
	for (uint32_t w = 0; w < n_workers; w++) {
		const struct shm_peer_counters *c = &dp->state->counters[w][peer];

		ret->rx_packets += c->rx_packets;
		ret->rx_bytes += c->rx_bytes;
		ret->tx_packets += c->tx_packets;
		ret->tx_bytes += c->tx_bytes;
		ret->last_rx_ns = later_of(ret->last_rx_ns, c->last_rx_ns);
		ret->last_rx_data_ns = later_of(ret->last_rx_data_ns, c->last_rx_data_ns);
		ret->last_tx_ns = later_of(ret->last_tx_ns, c->last_tx_ns);
		ret->last_tx_data_ns = later_of(ret->last_tx_data_ns, c->last_tx_data_ns);
	}
}

void
dataplane_sessions_foreach(const struct dataplane *dp,
	void (*take)(void *context, uint32_t slot, const struct dataplane_session *session),
	void *context)
{
	uint32_t end;

	if (dp->state == NULL)
		return;
	end = atomic_load_explicit(&dp->state->sessions_end, memory_order_acquire);
	for (uint32_t slot = 1; slot < end && slot < SHM_MAX_SESSIONS; slot++) {
		struct dataplane_session s;

		if (dataplane_session(dp, slot, &s))
			take(context, slot, &s);
	}
}

const struct shm_applied_half *
dataplane_applied(const struct dataplane *dp,
	uint64_t *ret_generation,
	uint32_t *ret_n_peers,
	uint32_t *ret_n_prefixes)
{
	const struct shm_applied_half *half;
	uint32_t which;

	if (dp->state == NULL)
		return NULL;
	which = atomic_load_explicit(&dp->state->applied_which, memory_order_acquire);
	if (which > 1)
		return NULL;
	half = &dp->state->applied[which];
	*ret_generation = half->generation;
	*ret_n_peers = half->n_peers < SHM_MAX_PEERS ? half->n_peers : SHM_MAX_PEERS;
	*ret_n_prefixes = half->n_prefixes < SHM_MAX_PREFIXES ? half->n_prefixes : SHM_MAX_PREFIXES;
	return half;
}
