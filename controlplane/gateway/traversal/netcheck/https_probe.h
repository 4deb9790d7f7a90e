/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How far relays are where no UDP comes through: one HTTPS request to each.
 *
 * Source: ../shared/protocol/peer.md 5.2, last part; 4.7 for the path.
 * Owner:  netcheck, for one round.  Thread: that of the stream set.
 *
 * The latency is from the request until the first bytes of the answer: connecting and TLS are not
 * in it.
 */
#ifndef CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_HTTPS_PROBE_H
#define CONTROLPLANE_GATEWAY_TRAVERSAL_NETCHECK_HTTPS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/tailnet/derp_map.h"

#define HTTPS_PROBE_NS  (5 * NS_PER_S)
#define HTTPS_PROBE_MAX 32 /* regions that are asked at once; the home first, then ascending */

struct https_probes; /* opaque */
struct stream_set;

/* A region has answered. */
typedef void (*https_probe_done)(void *context, int32_t region_id, int64_t latency_us);

/* Ask the regions of the map, but for those to be avoided.  0 or -ENOMEM. */
[[nodiscard]] int https_probes_start(struct stream_set *set,
	const struct derp_map *map,
	int32_t home,
	bool plain,
	https_probe_done done,
	void *context,
	struct mono now,
	struct https_probes **ret_probes);
/* No call follows.  NULL is allowed. */
void https_probes_destroy(struct https_probes *probes);
/* How many have neither answered nor failed. */
size_t https_probes_pending(const struct https_probes *probes);

#endif
