/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/controlplane/gateway/fake_forwarder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/shm/region.h"

static void *
must_map(int fd, size_t len, bool writable)
{
	void *p;

	if (fd < 0 || shm_region_map(fd, len, writable, &p) < 0) {
		perror("a region");
		exit(99);
	}
	return p;
}

void
fake_start(struct fake_forwarder *f, uint64_t boot_ns)
{
	*f = (struct fake_forwarder){ .boot_ns = boot_ns, .to_dp_fd = -1, .to_cp_fd = -1 };
	f->state_fd = shm_region_create("state", sizeof(*f->state), false, NULL);
	f->notes_fd = shm_region_create("notes", sizeof(*f->notes), false, NULL);
	f->state = must_map(f->state_fd, sizeof(*f->state), true);
	f->notes = must_map(f->notes_fd, sizeof(*f->notes), true);
	f->state->magic = SHM_MAGIC;
	f->state->session_version = SHM_SESSION_VERSION;
	f->state->layout_hash = shm_layout_hash();
	f->state->n_workers = 2;
	f->peers = calloc(SHM_MAX_PEERS, sizeof(f->peers[0]));
	f->prefixes = calloc(SHM_MAX_PREFIXES, sizeof(f->prefixes[0]));
}

static void
drop_rings(struct fake_forwarder *f)
{
	if (f->to_dp_fd < 0)
		return;
	munmap(f->to_dp, sizeof(*f->to_dp));
	munmap(f->to_cp, sizeof(*f->to_cp));
	close(f->to_dp_fd);
	close(f->to_cp_fd);
	f->to_dp_fd = f->to_cp_fd = -1;
}

void
fake_end(struct fake_forwarder *f)
{
	drop_rings(f);
	munmap(f->state, sizeof(*f->state));
	munmap(f->notes, sizeof(*f->notes));
	close(f->state_fd);
	close(f->notes_fd);
	free(f->peers);
	free(f->prefixes);
}

struct dataplane_grant
fake_grant(struct fake_forwarder *f)
{
	drop_rings(f);
	f->to_dp_fd = shm_region_create("to_dp", sizeof(*f->to_dp), false, NULL);
	f->to_cp_fd = shm_region_create("to_cp", sizeof(*f->to_cp), false, NULL);
	f->to_dp = must_map(f->to_dp_fd, sizeof(*f->to_dp), true);
	f->to_cp = must_map(f->to_cp_fd, sizeof(*f->to_cp), true);
	f->generation = 0;
	shm_ring_rx_init(&f->commands, &f->to_cp->commands_tail, &f->to_dp->commands_head,
		f->to_dp->commands, sizeof(struct shm_command), SHM_N_COMMANDS);
	shm_ring_rx_init(&f->inject, &f->to_cp->inject_tail, &f->to_dp->inject_head,
		f->to_dp->inject, sizeof(struct shm_packet), SHM_N_PACKETS);
	shm_ring_tx_init(&f->events, &f->to_cp->events_head, &f->to_dp->events_tail,
		f->to_cp->events, sizeof(struct shm_event), SHM_N_EVENTS);
	shm_ring_tx_init(&f->punt, &f->to_cp->punt_head, &f->to_dp->punt_tail, f->to_cp->punt,
		sizeof(struct shm_packet), SHM_N_PACKETS);
	return (struct dataplane_grant){
		.state = must_map(f->state_fd, sizeof(*f->state), false),
		.notes = must_map(f->notes_fd, sizeof(*f->notes), true),
		.to_dp = must_map(f->to_dp_fd, sizeof(*f->to_dp), true),
		.to_cp = must_map(f->to_cp_fd, sizeof(*f->to_cp), false),
		.bell_dp = -1,
		.bell_cp = -1,
		.boot_of_keeper_ns = f->boot_ns,
		.epoch = ++f->epoch,
		.listen_port = 51820,
	};
}

void
fake_say(struct fake_forwarder *f, struct shm_event event)
{
	struct shm_event *slot = shm_ring_reserve(&f->events);

	if (slot == NULL)
		return;
	*slot = event;
	shm_ring_publish(&f->events);
}

/* --- sessions --- */

static void
free_slot(struct fake_forwarder *f, uint32_t slot)
{
	struct shm_session_row *row = &f->state->sessions[slot];
	struct shm_event event = {
		.kind = SHM_EV_SESSION_FREED, .peer = row->peer, .index = row->receiver_index
	};

	if (slot == 0)
		return;
	row->receiver_index = 0;
	fake_say(f, event);
}

static void
install(struct fake_forwarder *f, const struct shm_cmd_session *c)
{
	uint32_t slot = shm_index_slot(c->receiver_index);
	struct shm_session_row *row = &f->state->sessions[slot];
	struct shm_event event = {
		.kind = SHM_EV_SESSION, .peer = c->peer, .index = c->receiver_index
	};
	uint64_t word = f->state->keypairs[c->peer];

	f->n_sessions++;
	f->session = *c;
	if (row->receiver_index != 0 && row->receiver_index != c->receiver_index) {
		event.kind = SHM_EV_SESSION_REFUSED;
		event.value = SHM_REFUSED_SLOT;
	} else if (row->receiver_index == 0) {
		*row = (struct shm_session_row){ .receiver_index = c->receiver_index,
			.sender_index = c->sender_index,
			.peer = c->peer,
			.role = c->role,
			.birth_ns = c->birth_ns };
		if (slot >= f->state->sessions_end)
			f->state->sessions_end = slot + 1;
		if (c->role == SHM_ROLE_INITIATOR) {
			free_slot(f, shm_keypairs_previous(word));
			word = SHM_KEYPAIRS(
				shm_keypairs_current(word), slot, shm_keypairs_next(word));
		} else {
			free_slot(f, shm_keypairs_next(word));
			word = SHM_KEYPAIRS(
				shm_keypairs_previous(word), shm_keypairs_current(word), slot);
		}
		f->state->keypairs[c->peer] = word;
	}
	fake_say(f, event);
}

void
fake_promote(struct fake_forwarder *f, uint32_t peer)
{
	uint64_t word = f->state->keypairs[peer];
	uint32_t next = shm_keypairs_next(word);

	free_slot(f, shm_keypairs_previous(word));
	f->state->keypairs[peer] = SHM_KEYPAIRS(shm_keypairs_current(word), next, 0);
	fake_say(f, (struct shm_event){ .kind = SHM_EV_PROMOTED,
			    .peer = peer,
			    .index = f->state->sessions[next].receiver_index });
}

static void
remove_session(struct fake_forwarder *f, const struct shm_cmd_session_gone *c)
{
	uint32_t slot = shm_index_slot(c->receiver_index);
	uint64_t word = f->state->keypairs[c->peer];
	uint32_t p = shm_keypairs_previous(word), k = shm_keypairs_current(word),
		 n = shm_keypairs_next(word);

	f->n_gone++;
	if (f->state->sessions[slot].receiver_index != c->receiver_index)
		return;
	f->state->keypairs[c->peer] =
		SHM_KEYPAIRS(p == slot ? 0 : p, k == slot ? 0 : k, n == slot ? 0 : n);
	free_slot(f, slot);
}

/* --- generations --- */

static void
begin(struct fake_forwarder *f, const struct shm_command *c)
{
	const struct shm_applied_half *half = &f->state->applied[f->state->applied_which];

	f->generation = c->generation;
	f->full = c->begin.full != 0;
	f->n_rows = 0;
	memset(f->peers, 0, SHM_MAX_PEERS * sizeof(f->peers[0]));
	f->n_prefixes = 0;
	if (f->full)
		return;
	memcpy(f->peers, half->peers, half->n_peers * sizeof(half->peers[0]));
	memcpy(f->prefixes, half->prefixes, half->n_prefixes * sizeof(half->prefixes[0]));
	f->n_prefixes = half->n_prefixes;
	if (c->begin.base != half->generation)
		f->forget_base = true;
}

static uint32_t
find_prefix(const struct fake_forwarder *f, const struct shm_prefix_row *row)
{
	for (uint32_t i = 0; i < f->n_prefixes; i++)
		if (memcmp(&f->prefixes[i].addr, &row->addr, sizeof(row->addr)) == 0 &&
			f->prefixes[i].family == row->family && f->prefixes[i].len == row->len)
			return i;
	return f->n_prefixes;
}

static void
commit(struct fake_forwarder *f, uint64_t generation)
{
	struct shm_event event = { .kind = SHM_EV_APPLIED, .generation = generation };
	uint32_t which = 1 - f->state->applied_which;
	struct shm_applied_half *half = &f->state->applied[which];

	if (f->refuse_rows || (!f->full && f->forget_base)) {
		event.kind = SHM_EV_REFUSED;
		event.value = f->refuse_rows ? SHM_REFUSED_ROW : SHM_REFUSED_BASE;
		f->n_refused++;
		f->refuse_rows = false;
	} else {
		half->generation = generation;
		half->n_peers = 0;
		for (uint32_t i = 0; i < 4096; i++)
			if (f->peers[i].flags != 0)
				half->n_peers = i + 1;
		memcpy(half->peers, f->peers, half->n_peers * sizeof(half->peers[0]));
		memcpy(half->prefixes, f->prefixes, f->n_prefixes * sizeof(f->prefixes[0]));
		half->n_prefixes = f->n_prefixes;
		f->state->applied_which = which;
		*(f->full ? &f->n_full : &f->n_delta) += 1;
	}
	f->forget_base = false;
	f->generation = 0;
	fake_say(f, event);
}

static void
take_filter(struct fake_forwarder *f, const struct shm_cmd_filter *c)
{
	uint32_t left = c->total - c->offset;
	uint32_t n = left < SHM_FILTER_PART ? left : SHM_FILTER_PART;

	if (c->offset == 0)
		f->filter_len = 0;
	if (c->offset != f->filter_len || c->offset + n > sizeof(f->filter))
		abort(); // parts come in order
	memcpy(f->filter + c->offset, c->bytes, n);
	f->filter_len += n;
	f->filter_total = c->total;
}

static void
take_net(struct fake_forwarder *f, const struct shm_cmd_net *c)
{
	uint32_t left = c->total - c->offset;
	uint32_t n = left < SHM_NET_PART ? left : SHM_NET_PART;
	struct shm_event event = { .kind = SHM_EV_NET, .generation = c->serial };

	if (c->offset == 0) {
		f->net_len = 0;
		f->net_serial = c->serial;
	}
	if (c->offset != f->net_len || c->serial != f->net_serial)
		abort(); // parts come in order
	if (f->net_len + n <= sizeof(f->net))
		memcpy(f->net + f->net_len, c->bytes, n);
	f->net_len += n;
	f->net_total = c->total;
	if (f->net_len < c->total)
		return;
	f->n_nets++;
	if (f->refuse_net)
		event.value = SHM_REFUSED_NET;
	else
		f->state->net_serial = c->serial;
	f->refuse_net = false;
	fake_say(f, event);
}

static void
take_neighbour(struct fake_forwarder *f, const struct shm_cmd_neighbour *c)
{
	struct shm_neighbour_row *row;
	uint32_t i;

	f->n_neighbours++;
	for (i = 0; i < f->state->neighbours_end; i++) {
		row = &f->state->neighbours[i];
		if (row->ifindex == c->ifindex && row->family == c->family &&
			memcmp(&row->addr, &c->addr, sizeof(row->addr)) == 0)
			break;
	}
	if (i == SHM_MAX_NEIGHBOURS)
		return;
	row = &f->state->neighbours[i];
	row->ifindex = c->ifindex;
	row->family = c->family;
	row->addr = c->addr;
	row->word = SHM_NEIGHBOUR_WORD(c->mac, c->state);
	if (i == f->state->neighbours_end)
		f->state->neighbours_end = i + 1;
}

static void
execute(struct fake_forwarder *f, const struct shm_command *c)
{
	struct shm_path_row *path;
	uint32_t at;

	switch ((enum shm_command_kind)c->kind) {
	case SHM_CMD_BEGIN:
		begin(f, c);
		break;
	case SHM_CMD_SETTINGS:
		f->n_rows++;
		break;
	case SHM_CMD_PEER:
		f->n_rows++;
		f->peers[c->peer.peer].flags = SHM_PEER_USED;
		memcpy(f->peers[c->peer.peer].public_key, c->peer.public_key, SHM_KEY_LEN);
		break;
	case SHM_CMD_PEER_GONE:
		f->n_rows++;
		memset(&f->peers[c->one.peer], 0, sizeof(f->peers[0]));
		break;
	case SHM_CMD_PREFIX:
		f->n_rows++;
		at = find_prefix(f, &c->prefix);
		f->prefixes[at] = c->prefix;
		f->n_prefixes += at == f->n_prefixes;
		break;
	case SHM_CMD_PREFIX_GONE:
		f->n_rows++;
		at = find_prefix(f, &c->prefix);
		if (at < f->n_prefixes)
			f->prefixes[at] = f->prefixes[--f->n_prefixes];
		break;
	case SHM_CMD_FILTER:
		f->n_rows++;
		take_filter(f, &c->filter);
		break;
	case SHM_CMD_COMMIT:
		commit(f, c->generation);
		break;
	case SHM_CMD_PATH:
		f->n_paths++;
		path = &f->state->paths[c->path.peer];
		path->path[1 - path->which] = c->path.path;
		path->which = 1 - path->which;
		break;
	case SHM_CMD_SESSION:
		install(f, &c->session);
		break;
	case SHM_CMD_SESSION_GONE:
		remove_session(f, &c->session_gone);
		break;
	case SHM_CMD_KEEPALIVE:
		f->n_keepalive++;
		break;
	case SHM_CMD_UNREACHABLE:
		f->n_unreachable++;
		f->last_unreachable = c->one.peer;
		break;
	case SHM_CMD_NET:
		take_net(f, &c->net);
		break;
	case SHM_CMD_NEIGHBOUR:
		take_neighbour(f, &c->neighbour);
		break;
	case SHM_CMD_CAPTURE:
		f->capture = c->capture;
		break;
	}
}

void
fake_work(struct fake_forwarder *f)
{
	struct shm_command c;

	while (!f->silent && shm_ring_peek(&f->commands, &c)) {
		execute(f, &c);
		shm_ring_advance(&f->commands);
	}
}

void
fake_restart_forwarder(struct fake_forwarder *f)
{
	f->generation = 0;
	fake_say(f, (struct shm_event){ .kind = SHM_EV_RESYNC });
}
