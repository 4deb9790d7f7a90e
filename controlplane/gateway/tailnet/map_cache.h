/* SPDX-License-Identifier: BSD-3-Clause
 *
 * STATE_DIR/netmap: the last map, so that a cold start without a server comes up with what was
 * last known.  One zstd frame of {"version":1,"map":{...}}; the map is a full response in the
 * server's own form (lib/tailnet/netmap_write.h).
 *
 * Owner:  the member.  Thread: coord.
 * Cost:   written in the background of changes: not before MAP_CACHE_DELAY_NS has passed since the
 *         first of them, and so seldom that it takes at most a hundredth of the time.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_MAP_CACHE_H
#define CONTROLPLANE_GATEWAY_TAILNET_MAP_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/tailnet/netmap.h"
#include "lib/tailnet/tailkey.h"

#define MAP_CACHE_FILE_NAME "netmap"
#define MAP_CACHE_MAX_FILE  (64u << 20)
#define MAP_CACHE_DELAY_NS  (INT64_C(2) * 1000000000)

struct map_cache;

/* 0 or -ENOMEM. */
[[nodiscard]] int map_cache_create(const char *state_dir, struct map_cache **ret_cache);
/* NULL is allowed.  What was not written yet is not. */
void map_cache_destroy(struct map_cache *cache);

/*
 * Read it into an empty map, which is ready for a new stream afterwards.  It has to be the map of
 * the node with that key, or is ignored.  What is damaged is said in the log; the map is empty
 * then.
 * 0; -ENOENT: there is none for this node; ERR_BAD_FORMAT, -E2BIG, -ENOMEM, -errno.
 */
[[nodiscard]] int map_cache_load(struct map_cache *cache,
	const struct node_key *self,
	struct instant now,
	struct netmap *map);

/* The map has changed, and is to be written some time. */
void map_cache_changed(struct map_cache *cache, struct mono now);
/* Write it if that is due; returns when to come again. */
struct mono map_cache_tick(struct map_cache *cache, const struct netmap *map, struct mono now);
/* Write now what is still to be written: at the end. */
void map_cache_flush(struct map_cache *cache, const struct netmap *map);
/* Forget it, on the disk too: after a logout. */
void map_cache_remove(struct map_cache *cache);

#endif
