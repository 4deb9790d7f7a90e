/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where struct steering writes: the steer program's maps.
 */
#ifndef DATAPLANE_CTL_STEERING_MAPS_H
#define DATAPLANE_CTL_STEERING_MAPS_H

#include "dataplane/ctl/steering.h"
#include "ebpf/steer_maps.h"

/* `context` of the sink; kept by the caller. */
struct steering_maps {
	struct steer_maps maps;
	uint16_t listen_port; /* host order */
};

struct steering_sink steering_sink_of(struct steering_maps *maps);

#endif
