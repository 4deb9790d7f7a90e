/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/publish/shm_address.h"

static uint32_t
at_most(uint32_t n, uint32_t max)
{
	return n < max ? n : max;
}

// Text that another process writes: it may lack its end and hold anything.
static void
copy_text(char *dst, const char *src, size_t len)
{
	size_t i;

	for (i = 0; i < len && src[i] != '\0'; i++)
		dst[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
	dst[i] = '\0';
}

static void
copy_workers(struct snapshot *s, const struct shm_state *state)
{
	s->n_workers = at_most(state->n_workers, SHM_MAX_WORKERS);
	for (size_t i = 0; i < s->n_workers; i++) {
		const struct shm_worker_counters *w = &state->workers[i];

		s->workers[i] = (struct snapshot_worker){ .core = w->core,
			.running = w->running != 0,
			.bursts = w->bursts,
			.packets = w->packets,
			.known = w->known,
			.busy_tsc = w->busy_tsc,
			.idle_tsc = w->idle_tsc,
			.sleeps = w->sleeps };
	}
	for (size_t i = 0; i <= SHM_MAX_WORKERS;
		i++) // the last row is the main thread's and the ports'
		for (size_t d = 0; d < s->n_drops; d++)
			s->drops[d].count += state->workers[i].drops[d];
}

static void
copy_ports(struct snapshot *s, const struct shm_state *state)
{
	s->n_ports = SHM_MAX_PORTS; // rows of link ports come and go: those without a name are free
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct shm_port_counters *from = &state->ports[i];
		struct snapshot_port *p = &s->ports[i];

		copy_text(p->name, from->name, sizeof(from->name));
		copy_text(p->driver, from->driver, sizeof(from->driver));
		copy_text(p->note, from->note, sizeof(from->note));
		p->ifindex = from->ifindex;
		p->mode = at_most(from->mode, SHM_PORT_GENERIC);
		p->n_queues = from->n_queues;
		p->steered_out = from->steered_out;
		p->handed_over = from->handed_over;
		p->rx_packets = from->rx_packets;
		p->rx_bytes = from->rx_bytes;
		p->tx_packets = from->tx_packets;
		p->tx_bytes = from->tx_bytes;
		p->rx_calls = from->rx_calls;
		p->tx_calls = from->tx_calls;
		p->rx_dropped = from->rx_dropped;
		p->tx_dropped = from->tx_dropped;
	}
}

// Whatever the other process wrote, indices stay inside and names end.
static void
copy_aeads(struct shm_aeads *to, const struct shm_aeads *from)
{
	uint8_t *in_use = &to->in_use[0][0][0];

	*to = *from;
	to->n = at_most(to->n, SHM_MAX_AEADS);
	to->reason = at_most(to->reason, SHM_AEAD_ONLY);
	for (size_t i = 0; i < SHM_MAX_AEADS; i++) {
		char name[sizeof(to->rows[i].name)];

		copy_text(name, to->rows[i].name, sizeof(name) - 1);
		memcpy(to->rows[i].name, name, sizeof(name));
		to->rows[i].presence = at_most(to->rows[i].presence, SHM_AEAD_REFUSED);
	}
	for (size_t i = 0; i < sizeof(to->in_use); i++)
		if (in_use[i] >= to->n)
			in_use[i] = 0;
}

static void
copy_hop(struct snapshot *s, const struct shm_neighbour_row *row)
{
	uint64_t word = atomic_load_explicit(&row->word, memory_order_acquire);
	struct shm_addr addr = row->addr;
	struct snapshot_hop hop = { .ifindex = row->ifindex,
		.addr = addr_of_shm(&addr, row->family),
		.state = (uint8_t)(word >> 48) };

	if (hop.addr.family == ADDR_NONE || hop.state == SHM_NEIGHBOUR_NONE ||
		hop.state > SHM_NEIGHBOUR_REACHABLE)
		return;
	for (int i = 0; i < 6; i++)
		hop.mac[i] = (uint8_t)(word >> 8 * i);
	if (s->n_hops == SNAPSHOT_MAX_HOPS)
		s->n_hops_left_out++;
	else
		s->hops[s->n_hops++] = hop;
}

static void
copy_hops(struct snapshot *s, const struct shm_state *state)
{
	uint32_t end = atomic_load_explicit(&state->neighbours_end, memory_order_acquire);

	for (uint32_t i = 0; i < end && i < SHM_MAX_NEIGHBOURS; i++)
		copy_hop(s, &state->neighbours[i]);
}

static void
copy_dataplane(struct snapshot *s, const struct shm_state *state)
{
	s->forwarder_pid = state->forwarder_pid;
	s->forwarder_starts = state->forwarder_starts;
	s->forwarder_start.ns = state->forwarder_start_ns;
	s->dataplane_keys_locked = state->locked_memory != 0;
	s->tsc_per_s = state->tsc_per_s;
	copy_text(s->aead_backend, state->aead_backend, sizeof(state->aead_backend));
	copy_aeads(&s->aeads, &state->aeads);
	s->n_drops = at_most(state->n_drops, SHM_MAX_DROPS);
	for (size_t d = 0; d < s->n_drops; d++)
		copy_text(s->drops[d].name, state->drop_names[d], sizeof(state->drop_names[d]));
	copy_workers(s, state);
	copy_ports(s, state);
	copy_hops(s, state);
}

struct snapshot *
snapshot_create(const struct engine *e, struct mono now)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->taken = now;
	s->attached = e->dp->attached;
	s->listen_port = e->dp->listen_port;
	s->n_sessions = e->slots.count;
	s->counters = e->counters;
	s->n_commands_lost = e->dp->n_lost;
	s->n_inject_full = e->dp->n_inject_full;
	s->keys_locked = secret_memory_locked();
	if (e->dp->attached) {
		s->keeper_pid = e->dp->keeper_pid;
		copy_dataplane(s, e->dp->state);
	}
	s->room = e->peers.end;
	s->peers = calloc(s->room + 1, sizeof(s->peers[0]));
	if (s->peers == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

static enum snapshot_handshake
handshake_of(const struct peer *p)
{
	if (p->answer != NULL || p->confirm_index != 0)
		return SNAPSHOT_HANDSHAKE_INSTALLING;
	if (p->timers.handshaking)
		return SNAPSHOT_HANDSHAKE_WAITING;
	return p->gave_up ? SNAPSHOT_HANDSHAKE_GIVEN_UP : SNAPSHOT_HANDSHAKE_NONE;
}

static void
add_peer(struct snapshot *s,
	const struct engine *e,
	const struct traversal *ways,
	const struct peer *p)
{
	struct snapshot_peer *to = &s->peers[s->n_peers++];
	struct dataplane_keypairs k;
	struct shm_peer_counters c;

	dataplane_keypairs(e->dp, p->number, &k);
	dataplane_counters(e->dp, p->number, &c);
	to->number = p->number;
	memcpy(to->name, p->name, sizeof(to->name));
	to->key = p->remote.static_public;
	to->endpoint = p->endpoint;
	to->local = p->local;
	to->has_session = k.current.receiver_index != 0;
	to->initiator = k.current.initiator;
	to->session_birth = k.current.birth;
	to->last_handshake = p->session_birth;
	to->handshake = handshake_of(p);
	to->attempts = p->timers.handshaking ? p->timers.attempts : 0;
	to->keepalive_ns = p->timers.persistent_ns;
	to->is_member = p->is_member && traversal_path(ways, p->number, &to->path);
	to->rx_packets = c.rx_packets;
	to->rx_bytes = c.rx_bytes;
	to->tx_packets = c.tx_packets;
	to->tx_bytes = c.tx_bytes;
	to->last_rx.ns = c.last_rx_ns;
	to->last_tx.ns = c.last_tx_ns;
}

bool
snapshot_add_peers(struct snapshot *s,
	const struct engine *e,
	const struct traversal *ways,
	uint32_t max)
{
	uint32_t end = s->next_peer + max;

	for (; s->next_peer < end && s->next_peer < e->peers.end; s->next_peer++) {
		const struct peer *p = peers_get(&e->peers, s->next_peer);

		if (s->n_peers == s->room)
			return true; // more than there were when it began: next time
		if (p != NULL && p->state == PEER_WANTED)
			add_peer(s, e, ways, p);
	}
	return s->next_peer >= e->peers.end;
}

void
snapshot_destroy(struct snapshot *s)
{
	if (s == NULL)
		return;
	free(s->peers);
	free(s);
}
