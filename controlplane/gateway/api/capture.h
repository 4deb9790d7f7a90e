/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One client that is told of packets as they go through the data plane: it asks, the thread `wire`
 * tells the data plane and names the peers, and then lines go to the client until it leaves.
 *
 * Source: the lines are described in gateway_api.h; the region in lib/shm/capture_reader.h, which
 * is mapped read-only and not trusted. Owner:  embedded in coord.  Thread: coord.
 *
 * The conditions are the data plane's, and it has one set of them: so there is one client at a
 * time.
 */
#ifndef CONTROLPLANE_GATEWAY_API_CAPTURE_H
#define CONTROLPLANE_GATEWAY_API_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "controlplane/gateway/api/listen.h"
#include "controlplane/gateway/mailbox.h"
#include "controlplane/gateway/snapshot.h"
#include "lib/base/clock.h"
#include "lib/crypto/key.h"
#include "lib/shm/capture_reader.h"

#define CAPTURE_EVERY_NS (20 * NS_PER_MS) /* the region is looked into */
#define CAPTURE_BATCH    256              /* packets of a line */

struct capture_name {
	uint32_t number;
	char name[CONFIG_NAME_LEN];
};

struct capture_stream {
	struct api *api;
	struct mailbox *to_wire; /* both borrowed */
	uint32_t client;         /* 0: nobody */
	bool is_running;         /* the data plane was told; before: names are waited for */
	bool has_key;
	struct public_key key; /* of the peer that is asked for */
	struct shm_cmd_capture wanted;
	int fd; /* borrowed; -1: no data plane */
	const struct shm_capture *memory;
	struct shm_capture_reader reader;
	struct capture_name *names; /* by number */
	size_t n_names;
	char ports[SHM_MAX_PORTS][17];
	char drops[SHM_MAX_DROPS][25];
	uint64_t told_lost;
};

void capture_stream_init(struct capture_stream *s, struct api *api, struct mailbox *to_wire);
void capture_stream_fini(struct capture_stream *s);

/*
 * A client asks.  key: of the peer whose packets it wants; NULL: all.  True: the thread `wire` is
 * to be asked for a status, which capture_stream_names() gets.  False: the client was refused.
 */
[[nodiscard]] bool capture_stream_begin(struct capture_stream *s,
	uint32_t client,
	const json_t *request,
	const struct public_key *key,
	struct mono now);
/* A status has come: numbers get names, and packets begin. */
void capture_stream_names(struct capture_stream *s, const struct snapshot *names, struct mono now);
/* The region of the data plane is another one; -1: there is none.  Borrowed until the next call. */
void capture_stream_region(struct capture_stream *s, int fd);
/* Send what there is.  When to come again; never: nobody captures. */
struct mono capture_stream_tick(struct capture_stream *s, struct mono now);

#endif
