/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A whole forwarder in memory, for tests, fuzzers and bench: regions, pool, memory ports (wire,
 * host, and any number of link ports), workers, apply and rings.  What the control plane would do
 * are function calls here; there is no kernel in between, no keeper and no second process.
 *
 * Owner:  whoever created it.
 * Thread: one, the "world": it is main thread, control plane and network.  The workers run inside
 *         in_memory_round(), or in threads of their own between in_memory_start() and _stop().
 */
#ifndef DATAPLANE_IN_MEMORY_H
#define DATAPLANE_IN_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/ctl/apply.h"
#include "dataplane/ctl/network.h"
#include "dataplane/ctl/report.h"
#include "dataplane/io/pool.h"
#include "dataplane/table/flow_memory.h"
#include "dataplane/worker.h"
#include "lib/nat/nat.h"
#include "lib/shm/ring.h"
#include "lib/shm/shm_abi.h"

#define IN_MEMORY_MTU 1420

/* Where the other side's gateway is taken to be unless a test says otherwise. */
#define IN_MEMORY_REMOTE "192.0.2.1:51820"

/* Link ports: their interfaces, addresses of the link layer, and rows of state.ports. */
#define IN_MEMORY_MAX_LINKS     4u
#define IN_MEMORY_IFINDEX(link) (11u + (link))
#define IN_MEMORY_MAC(link)                    \
	{                                      \
		2, 0, 0, 0, 1, (uint8_t)(link) \
	}
#define IN_MEMORY_ROW(link)   (2u + (link))
#define IN_MEMORY_LISTEN_PORT 51820

struct in_memory_config {
	unsigned n_workers;        /* 1 to SHM_MAX_WORKERS */
	uint32_t n_frames;         /* packet buffers; 0: 4096 */
	uint32_t frame_len;        /* 0: what IN_MEMORY_MTU needs */
	struct shm_state *state;   /* borrowed memory of a predecessor; NULL: new, all zero */
	bool is_shared;            /* even a lone worker works as if there were others */
	bool small_pages;          /* no huge page, however many sessions */
	bool no_flow_cache;        /* every packet takes the long way */
	struct shm_sessions *keys; /* the same */
	struct flow_memory *flows; /* the same, but on its own; NULL: new */
	size_t n_flow_groups;      /* a power of two; 0: as in the forwarder */
	unsigned n_links;          /* open link ports, at most IN_MEMORY_MAX_LINKS */
};

struct in_memory {
	struct shm_state *state;
	struct shm_sessions *keys;
	bool owns_regions;
	struct flow_memory *flow_memory;
	bool owns_flows;
	struct flow_table flows;
	bool small_pages;
	struct nat *nat; /* over the same memory; translates what the network says */
	void *packets;
	size_t packets_len;
	struct pool *pool;
	struct pool_cache cache; /* the world's */
	struct port *wire, *host;
	struct port *links[IN_MEMORY_MAX_LINKS];
	unsigned n_links;
	struct worker_thread *workers[SHM_MAX_WORKERS];
	pthread_t threads[SHM_MAX_WORKERS];
	unsigned n_workers;
	struct quiescent quiescent;
	_Atomic(const struct tables *) tables;
	_Atomic(const struct net_table *) net;
	_Atomic uint64_t sessions_epoch;
	struct doorbell bell;
	struct apply apply;
	struct network network;
	struct rings rings;
	struct shm_ring_rx events; /* the control plane's ends */
	struct shm_ring_rx punt;
	struct shm_ring_tx inject;
	uint64_t generation; /* of the last begin */
	uint64_t net_serial; /* of the last block of the network */
};

/* Two sealed-memory regions as the keeper would make them, shared with children, all zero. */
[[nodiscard]] int in_memory_regions(struct shm_state **ret_state, struct shm_sessions **ret_keys);
void in_memory_regions_free(struct shm_state *state, struct shm_sessions *keys);

/* The same for flows, with a key.  NULL: no memory. */
struct flow_memory *in_memory_flows(void);
void in_memory_flows_free(struct flow_memory *flows);

/* Returns 0 or -errno.  aead_init() was called before. */
[[nodiscard]] int in_memory_create(const struct in_memory_config *config, struct in_memory **ret_m);
void in_memory_destroy(struct in_memory *m);

/* --- the control plane ----------------------------------------------------------------------- */

/* Execute a command as the forwarder does.  The caller's copy stays as it is. */
void in_memory_command(struct in_memory *m, const struct shm_command *cmd);

/* Open the next generation; rows; commit.  The commit returns 0 or enum shm_refusal, and eats all
 * events up to its answer. */
void in_memory_begin(struct in_memory *m, bool full);
void
in_memory_settings(struct in_memory *m, uint16_t mtu, const char *source4, const char *source6);
/* The same, all of them. */
void in_memory_all_settings(struct in_memory *m, const struct shm_settings *settings);
/* A packet filter's table in parts; NULL: none from now on. */
void in_memory_filter(struct in_memory *m, const struct acl_table *table);
void in_memory_peer(struct in_memory *m, uint32_t peer);
void in_memory_peer_gone(struct in_memory *m, uint32_t peer);
void in_memory_prefix(struct in_memory *m, const char *prefix, uint32_t to);
void in_memory_prefix_gone(struct in_memory *m, const char *prefix);
uint32_t in_memory_commit(struct in_memory *m);

/* remote: "address:port", NULL for "no path".  local: address text or NULL. */
void in_memory_path(struct in_memory *m, uint32_t peer, const char *remote, const char *local);
/* The same through a relay, or (remote not NULL) both ways. */
void in_memory_relay_path(struct in_memory *m, uint32_t peer, const char *remote);

/* A block of the network, in parts.  0 or enum shm_refusal; eats all events up to the answer. */
uint32_t in_memory_net(struct in_memory *m, const struct shm_net *net);
/* A neighbour behind a link port.  mac: its last byte. */
void in_memory_neighbour(struct in_memory *m,
	unsigned link,
	const char *addr,
	uint8_t mac,
	enum shm_neighbour_state state);
/* Only the first n link ports are open from now on. */
void in_memory_open_links(struct in_memory *m, unsigned n);

struct in_memory_session {
	uint32_t peer;
	uint32_t receiver_index;
	uint32_t sender_index;
	enum shm_role role;
	int64_t age_ns; /* how long ago it was born */
	uint8_t key_receive;
	uint8_t key_send; /* keys: this byte in every place, mixed with the indices */
};
/*
 * Install a session.  Keys depend on what both ends know: mirrored sessions (indices and key bytes
 * exchanged) understand each other.
 */
void in_memory_install(struct in_memory *m, const struct in_memory_session *s);

/* The oldest event not yet seen; false: none. */
bool in_memory_event(struct in_memory *m, struct shm_event *ret_event);
/* Eat events up to one of this kind. */
bool
in_memory_wait_event(struct in_memory *m, enum shm_event_kind kind, struct shm_event *ret_event);
/* A packet of the control plane's: SHM_PKT_WIRE from a relay, or SHM_PKT_INNER.  False: no room. */
bool in_memory_inject(struct in_memory *m, enum shm_packet_kind kind, const void *data, size_t len);
/* The oldest datagram handed to the control plane. */
bool in_memory_punted(struct in_memory *m, struct shm_packet *ret_packet);

/* --- the network ----------------------------------------------------------------------------- */

/* "address:port" and a local address (or NULL) as outer addresses. */
struct pkt_outer in_memory_outer(const char *remote, const char *local);

/*
 * A datagram arrives at a worker's queue, from IN_MEMORY_REMOTE if `from` is NULL.  `ecn`: of the
 * outer header.  False: no buffer, longer than one, or the queue is full.
 */
bool in_memory_push_wire(struct in_memory *m,
	unsigned worker,
	const void *data,
	size_t len,
	const struct pkt_outer *from,
	uint8_t ecn);
/* The same for an inner packet from the host. */
bool in_memory_push_host(struct in_memory *m, unsigned worker, const void *data, size_t len);

/* A frame arrives at a link port. */
bool in_memory_push_link(struct in_memory *m,
	unsigned link,
	unsigned worker,
	const void *frame,
	size_t len);

/* What a worker sent to the wire or the host, oldest first; NULL: nothing.  Give it back by
 * in_memory_put(). */
struct pkt *in_memory_take_wire(struct in_memory *m, unsigned worker);
struct pkt *in_memory_take_host(struct in_memory *m, unsigned worker);
struct pkt *in_memory_take_link(struct in_memory *m, unsigned link, unsigned worker);
void in_memory_put(struct in_memory *m, struct pkt *p);

/* --- running --------------------------------------------------------------------------------- */

/* One round of every worker, and one of the main thread.  Returns packets taken from ports. */
uint32_t in_memory_round(struct in_memory *m);
/* Only the main thread's: events and punted packets of the workers, slots to be freed. */
void in_memory_main_round(struct in_memory *m);

[[nodiscard]] int in_memory_start(struct in_memory *m);
void in_memory_stop(struct in_memory *m);

/* Of all workers. */
uint64_t in_memory_drops(const struct in_memory *m, enum drop_reason reason);
/* Buffers that are neither in a queue nor waiting: all of them when nothing is under way. */
uint32_t in_memory_free_frames(const struct in_memory *m);

#endif
