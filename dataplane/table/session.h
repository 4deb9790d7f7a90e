/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sessions and peers as the packet path finds them, in the keeper's memory.
 *
 * Source: docs/shm-abi.md, "Sessions".
 * Owner:  the keeper owns the memory; the forwarder's main thread installs and removes.
 * Thread: workers call the inline functions; install, remove and path changes are the main
 *         thread's, and what they take away stays readable until a quiescent point has passed.
 */
#ifndef DATAPLANE_TABLE_SESSION_H
#define DATAPLANE_TABLE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/path/pkt.h"
#include "lib/shm/shm_abi.h"
#include "lib/wg/limits.h"
#include "lib/wg/replay.h"

struct session_table {
	struct shm_state *state;
	struct shm_sessions *keys;
};

static_assert(sizeof(struct wg_replay) == sizeof(((struct shm_replay *)0)->word), "the same ring");
static_assert(sizeof(struct pkt_outer) == sizeof(struct shm_path), "the same addresses");
static_assert(offsetof(struct pkt_outer, remote_port) == offsetof(struct shm_path, remote_port),
	"the same addresses");
static_assert(offsetof(struct pkt_outer, family) == offsetof(struct shm_path, family),
	"the same addresses");
static_assert(offsetof(struct pkt_outer, relay) == offsetof(struct shm_path, relay),
	"the same addresses");
static_assert(offsetof(struct pkt_outer, ifindex) == offsetof(struct shm_path, ifindex),
	"the same addresses");

/* --- for workers --- */

/* No slot from here on was ever used. */
static inline uint32_t
session_end(const struct session_table *t)
{
	// Pairs with the release in session_install(): it is raised before the slot can be found.
	return atomic_load_explicit(&t->state->sessions_end, memory_order_acquire);
}

static inline struct wg_replay *
session_replay(const struct session_table *t, uint32_t slot)
{
	return (struct wg_replay *)&t->keys->replay[slot];
}

/*
 * How far ahead of a worker's clock a birth may lie: the worker reads its clock once per round, and
 * a session may be born and installed later in the same round.
 */
#define SESSION_BIRTH_AHEAD_NS ((uint64_t)NS_PER_S)

/* Whether a session born then must neither send nor receive any more (REJECT_AFTER_TIME). */
static inline bool
session_is_expired(uint64_t birth_ns, uint64_t now_ns)
{
	return now_ns - birth_ns + SESSION_BIRTH_AHEAD_NS >=
	       (uint64_t)WG_REJECT_AFTER_TIME_NS + SESSION_BIRTH_AHEAD_NS;
}

/* Whether this slot (0: none) may seal another packet. */
static inline bool
session_can_send(const struct session_table *t, uint32_t slot, uint64_t now_ns)
{
	const struct shm_session_tx *tx = &t->keys->tx[slot];

	return slot != 0 && !session_is_expired(tx->birth_ns, now_ns) &&
	       atomic_load_explicit(&tx->counter, memory_order_relaxed) < WG_REJECT_AFTER_MESSAGES;
}

/* Fetch what keypair_lookup and decrypt will look at. */
[[gnu::always_inline]] static inline void
session_prefetch(const struct session_table *t, uint32_t slot, uint64_t counter)
{
	__builtin_prefetch(&t->keys->rx[slot]);
	__builtin_prefetch(&session_replay(t, slot)->word[(counter >> 5) % WG_REPLAY_WORDS], 1);
}

[[gnu::always_inline]] static inline void
session_path_prefetch(const struct session_table *t, uint32_t peer)
{
	const struct shm_path_row *row = &t->state->paths[peer];

	__builtin_prefetch(row);
	__builtin_prefetch((const uint8_t *)row + SHM_CACHE_LINE); // the second copy ends there
}

/*
 * What a session's line says when an inner IPv4 source was found to be its peer's: the address's
 * bytes, and the serial number (never 0) of the tables that it was looked up in.
 */
static inline uint64_t
session_source(const uint8_t address[4], uint32_t tables_serial)
{
	return (uint64_t)tables_serial << 32 | load_le32(address);
}

static inline bool
session_has_source(const struct session_table *t, uint32_t slot, uint64_t source)
{
	// Relaxed: the word says all, and is only believed by who uses the same tables.
	return atomic_load_explicit(&t->keys->rx[slot].source, memory_order_relaxed) == source;
}

/* Only the first one by each tables: a line that workers share is not written by every packet. */
static inline void
session_remember_source(const struct session_table *t, uint32_t slot, uint64_t source)
{
	_Atomic uint64_t *word = &t->keys->rx[slot].source;

	if (atomic_load_explicit(word, memory_order_relaxed) >> 32 != source >> 32)
		atomic_store_explicit(word, source, memory_order_relaxed);
}

/* The peer's path; family 0 when it has none.  Valid until a quiescent point. */
static inline const struct pkt_outer *
session_path(const struct session_table *t, uint32_t peer)
{
	const struct shm_path_row *row = &t->state->paths[peer];

	// Pairs with the release in session_set_path().
	return (const struct pkt_outer *)&row
	        ->path[atomic_load_explicit(&row->which, memory_order_acquire) & 1];
}

/*
 * The first authentic packet of `next` makes it `current`.  One compare-and-swap, so nothing is
 * half done whatever dies.  True: this call promoted; *ret_freed is the slot that fell out of
 * `previous` (0: none), which the main thread frees.
 */
static inline bool
session_promote(const struct session_table *t, uint32_t peer, uint32_t slot, uint32_t *ret_freed)
{
	_Atomic uint64_t *word = &t->state->keypairs[peer];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	if (__builtin_expect(shm_keypairs_next(old) != slot, 1))
		return false;
	do {
		if (shm_keypairs_next(old) != slot)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(word, &old,
		SHM_KEYPAIRS((uint64_t)shm_keypairs_current(old), (uint64_t)slot, 0),
		memory_order_release, memory_order_relaxed));
	*ret_freed = shm_keypairs_previous(old);
	return true;
}

/* What a session's line says of where its peer is expected: the direct path, or only the relay. */
static inline uint32_t
session_path_tag(const struct shm_path *path)
{
	return (path->family | path->relay) != 0 ? pkt_outer_tag((const struct pkt_outer *)path)
	                                         : 0;
}

/* --- for the main thread --- */

/*
 * Install a session: keys first, index last.  An initiator's becomes `current`, a responder's
 * `next`.  ret_freed is the slot that falls out of the peer (0: none); it stays valid for workers
 * until session_wipe() after a quiescent point.
 *
 * Installing what is installed already (same index, same peer) changes nothing and succeeds.
 * Returns 0, -EEXIST (the slot holds another session), or -ERANGE.
 */
[[nodiscard]] int
session_install(struct session_table *t, const struct shm_cmd_session *cmd, uint32_t *ret_freed);

/* Whether a slot is one of its peer's three. */
bool session_is_linked(const struct session_table *t, uint32_t peer, uint32_t slot);

/* Take a session out of its peer's keypairs.  False: it was not there. */
bool session_unlink(struct session_table *t, uint32_t peer, uint32_t slot);

/* No worker finds the session from now on; its keys may still be in use until a quiescent point. */
void session_retire(struct session_table *t, uint32_t slot);

/* Wipe keys, counters and window of a retired session: after a quiescent point. */
void session_wipe(struct session_table *t, uint32_t slot);

/* At start: tables are numbered anew, so nothing is known of sources. */
void session_forget_sources(struct session_table *t);

/* At start: wipe what a predecessor had half installed when it died, or half wiped. */
void session_wipe_unfinished(struct session_table *t);

/*
 * Set where a peer's packets go.  `which` flips after the other copy is filled; the caller has let
 * a quiescent point pass since the call before it for the same peer.
 */
void session_set_path(struct session_table *t, uint32_t peer, const struct shm_path *path);

#endif
