/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/https_probe.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/stream/stream.h"
#include "controlplane/gateway/traversal/relay/node_target.h"

#define STATUS_LEN   12 /* "HTTP/1.1 200" */
#define REQUEST_ROOM 512

struct https_probe {
	struct https_probes *all;
	int32_t region_id;
	const struct derp_node *node;
	struct stream *stream; /* NULL: over */
	struct mono asked;
};

struct https_probes {
	struct stream_set *set;
	https_probe_done done;
	void *context;
	struct https_probe probes[HTTPS_PROBE_MAX];
	size_t n;
};

static void
end(struct https_probe *p)
{
	struct stream *stream = p->stream;

	p->stream = NULL;
	stream_close(stream);
}

static void
on_opened(void *context)
{
	struct https_probe *p = context;
	char request[REQUEST_ROOM];
	int len = snprintf(request, sizeof(request),
		"GET /derp/latency-check HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		p->node->host_name);

	p->asked = stream_set_now(p->all->set);
	if (len >= (int)sizeof(request) || stream_send(p->stream, request, (size_t)len) < 0)
		end(p);
}

static bool
is_success(const uint8_t *data)
{
	return memcmp(data, "HTTP/1.", 7) == 0 && isdigit(data[7]) && data[8] == ' ' &&
	       data[9] == '2';
}

static size_t
on_received(void *context, uint8_t *data, size_t len)
{
	struct https_probe *p = context;
	struct https_probes *all = p->all;
	int64_t us = mono_diff_ns(stream_set_now(all->set), p->asked) / NS_PER_US;
	bool success;

	if (len < STATUS_LEN)
		return 0;
	success = is_success(data);
	end(p);
	if (success)
		all->done(all->context, p->region_id, us > 0 ? us : 1);
	return len;
}

static void
on_closed(void *context, const struct stream_failure *failure)
{
	struct https_probe *p = context;

	(void)failure; // no answer is an answer
	p->stream = NULL;
}

// The region's first node that relays.
static void
ask(struct https_probes *all, const struct derp_region *region, bool plain, struct mono now)
{
	struct https_probe *p = &all->probes[all->n];
	const struct stream_calls calls = {
		.opened = on_opened, .received = on_received, .closed = on_closed, .context = p
	};
	struct node_target t;

	if (all->n == HTTPS_PROBE_MAX || region->is_avoided || region->is_without_measure)
		return;
	for (size_t i = 0; i < region->n_nodes; i++) {
		if (!node_target_init(&t, &region->nodes[i], plain))
			continue;
		t.target.timeout_ns = HTTPS_PROBE_NS;
		*p = (struct https_probe){
			.all = all, .region_id = region->id, .node = &region->nodes[i]
		};
		if (stream_open(all->set, &t.target, &calls, now, &p->stream) == 0)
			all->n++;
		return;
	}
}

int
https_probes_start(struct stream_set *set,
	const struct derp_map *map,
	int32_t home,
	bool plain,
	https_probe_done done,
	void *context,
	struct mono now,
	struct https_probes **ret_probes)
{
	struct https_probes *all = calloc(1, sizeof(*all));
	const struct derp_region *first = derp_map_find(map, home);

	if (all == NULL)
		return -ENOMEM;
	all->set = set;
	all->done = done;
	all->context = context;
	if (first != NULL)
		ask(all, first, plain, now);
	for (size_t i = 0; i < map->n_regions; i++)
		if (&map->regions[i] != first)
			ask(all, &map->regions[i], plain, now);
	*ret_probes = all;
	return 0;
}

void
https_probes_destroy(struct https_probes *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < all->n; i++)
		if (all->probes[i].stream != NULL)
			stream_close(all->probes[i].stream);
	free(all);
}

size_t
https_probes_pending(const struct https_probes *all)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += all->probes[i].stream != NULL;
	return n;
}
