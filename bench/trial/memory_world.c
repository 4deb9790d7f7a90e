/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/trial/memory_world.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/path/burst.h"
#include "lib/base/clock.h"
#include "lib/base/secret.h"

// Two ports' rings both ways are 8,192; the rest is for caches and what is being worked on.
#define N_FRAMES 12288

// The device's indices end with the session's slot, from 1; ours are spread, so that keys differ.
#define DEVICE_INDEX 0x12300000u
#define PEER_INDEX   0x80000001u
#define PEER_SHIFT   8

#define KEY_TO_DEVICE   0x11
#define KEY_FROM_DEVICE 0x22

static_assert(MEMORY_WORLD_MAX_PEERS <= SHM_MAX_PEERS, "peers have numbers");
static_assert((DEVICE_INDEX & SHM_SLOT_MASK) == 0, "slots count from there");

static uint32_t
device_index(uint32_t peer)
{
	return DEVICE_INDEX + peer + 1;
}

static uint32_t
peer_index(uint32_t peer)
{
	return PEER_INDEX + (peer << PEER_SHIFT);
}

uint32_t
memory_world_peer_of(const struct memory_world *w, uint32_t receiver_index)
{
	uint32_t off = receiver_index - PEER_INDEX;

	if ((off & ((1u << PEER_SHIFT) - 1)) != 0 || off >> PEER_SHIFT >= w->n_peers)
		return UINT32_MAX;
	return off >> PEER_SHIFT;
}

struct addr
memory_world_peer_addr(const struct memory_world *w)
{
	if (w->family == ADDR_V6)
		return (struct addr){ ADDR_V6, { 0xfd, 0x01 } };
	return (struct addr){ ADDR_V4, { 10, 1 } };
}

struct addr
memory_world_host_addr(const struct memory_world *w)
{
	if (w->family == ADDR_V6)
		return (struct addr){ ADDR_V6, { 0xfd, 0x02, [15] = 1 } };
	return (struct addr){ ADDR_V4, { 10, 2, 0, 1 } };
}

// As in_memory_install() makes them: that byte everywhere, mixed with both indices.
static void
fill_key(uint8_t key[AEAD_KEY_LEN], uint8_t byte, uint32_t peer)
{
	uint32_t both = device_index(peer) ^ peer_index(peer);

	memset(key, byte, AEAD_KEY_LEN);
	memcpy(key, &both, sizeof(both));
}

static void
add_prefix(struct memory_world *w, uint32_t peer)
{
	char text[ADDR_TEXT_LEN];

	if (w->family == ADDR_V6)
		snprintf(text, sizeof(text), "fd01::%x/128", peer);
	else
		snprintf(text, sizeof(text), "10.1.%u.%u/32", peer >> 8 & 0xff, peer & 0xff);
	in_memory_prefix(w->m, text, peer);
}

static void
add_session(struct memory_world *w, uint32_t peer)
{
	const struct in_memory_session session = {
		.peer = peer,
		.receiver_index = device_index(peer),
		.sender_index = peer_index(peer),
		.role = SHM_ROLE_INITIATOR, // in use at once
		.key_receive = KEY_TO_DEVICE,
		.key_send = KEY_FROM_DEVICE,
	};
	struct shm_event event;

	in_memory_path(w->m, peer, IN_MEMORY_REMOTE, NULL);
	in_memory_install(w->m, &session);
	while (in_memory_event(w->m, &event))
		;
	fill_key(w->peers[peer].key_to_device, KEY_TO_DEVICE, peer);
	fill_key(w->peers[peer].key_from_device, KEY_FROM_DEVICE, peer);
	w->peers[peer].receiver_index = device_index(peer);
}

static int
fill(struct memory_world *w)
{
	in_memory_begin(w->m, true);
	in_memory_settings(w->m, (uint16_t)w->mtu, NULL, NULL);
	in_memory_prefix(w->m, w->family == ADDR_V6 ? "fd02::/64" : "10.2.0.0/16", SHM_TO_HOST);
	for (uint32_t i = 0; i < w->n_peers; i++) {
		in_memory_peer(w->m, i);
		add_prefix(w, i);
	}
	if (in_memory_commit(w->m) != 0)
		return -ENOSPC;
	for (uint32_t i = 0; i < w->n_peers; i++)
		add_session(w, i);
	return 0;
}

int
memory_world_create(enum addr_family family,
	uint32_t mtu,
	uint32_t n_peers,
	int device_core,
	struct memory_world **ret_world)
{
	const struct in_memory_config config = {
		.n_workers = 1, .n_frames = N_FRAMES, .frame_len = pool_frame_len(mtu)
	};
	struct memory_world *w = calloc(1, sizeof(*w));
	int err;

	assert(n_peers > 0 && n_peers <= MEMORY_WORLD_MAX_PEERS);
	if (w == NULL)
		return -ENOMEM;
	w->family = family;
	w->mtu = mtu;
	w->n_peers = n_peers;
	w->device_core = device_core;
	w->peers = calloc(n_peers, sizeof(*w->peers));
	w->outer = in_memory_outer(IN_MEMORY_REMOTE, NULL);
	w->born_ns = mono_now().ns;
	err = w->peers != NULL ? in_memory_create(&config, &w->m) : -ENOMEM;
	if (err == 0)
		err = fill(w);
	if (err < 0) {
		memory_world_destroy(w);
		return err;
	}
	w->m->workers[0]->setup.core = device_core;
	*ret_world = w;
	return 0;
}

void
memory_world_destroy(struct memory_world *w)
{
	if (w == NULL)
		return;
	in_memory_destroy(w->m);
	if (w->peers != NULL)
		secret_wipe(w->peers, w->n_peers * sizeof(*w->peers));
	free(w->peers);
	free(w);
}

double
memory_world_age_s(const struct memory_world *w)
{
	return (double)(mono_now().ns - w->born_ns) / (double)NS_PER_S;
}

// Until the worker goes round, on its core: else the first packets would wait for its birth.
static void
wait_for_worker(const struct memory_world *w, uint64_t before)
{
	const _Atomic uint64_t *rounds = &w->m->quiescent.of[0].rounds;

	while (atomic_load_explicit(rounds, memory_order_acquire) - before < 16)
		sched_yield();
}

int
memory_world_start(struct memory_world *w)
{
	uint64_t rounds = atomic_load_explicit(&w->m->quiescent.of[0].rounds, memory_order_acquire);
	int err = in_memory_start(w->m);
	cpu_set_t set;

	if (err < 0)
		return err;
	CPU_ZERO(&set);
	CPU_SET(w->device_core, &set);
	err = -pthread_setaffinity_np(w->m->threads[0], sizeof(set), &set);
	if (err < 0)
		in_memory_stop(w->m);
	else
		wait_for_worker(w, rounds);
	return err;
}

// What the worker has not taken by now is lost, and must not turn up in the next trial.
static void
discard(struct memory_world *w, struct port *port)
{
	struct pkt *pkts[BURST_MAX];
	uint32_t n;

	while ((n = port->ops->rx(port, 0, pkts, BURST_MAX)) > 0)
		pool_put(&w->m->cache, pkts, n);
}

void
memory_world_stop(struct memory_world *w)
{
	in_memory_stop(w->m);
	in_memory_main_round(w->m);
	discard(w, w->m->wire);
	discard(w, w->m->host);
}
