/* SPDX-License-Identifier: BSD-3-Clause */

#include "bench/path/plan.h"

#include <stdio.h>
#include <string.h>

#include "bench/traffic/flow.h"

#define RING_DEFAULT      512
#define IN_FLIGHT_DEFAULT 256
#define LAN_HOSTS_DEFAULT 256
#define MS_DEFAULT        1500

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

int
plan_size(struct plan *plan, const char *text, const char **ret_why)
{
	if (plan->n_sizes == PLAN_MAX_VALUES) {
		*ret_why = "too many sizes";
		return -1;
	}
	if (sizes_parse(text, IN_MEMORY_MTU, FLOW_MIN_LEN4, &plan->sizes[plan->n_sizes], ret_why) <
		0)
		return -1;
	return (int)plan->n_sizes++;
}

// Descriptors whose frames, with what belongs to them, are at least that many bytes.
static uint32_t
ring_for(uint64_t working_set, const struct sizes *sizes)
{
	double each = sizeof(struct pkt) + NIC_OUTER_LEN + 32 + sizes->mean +
	              sizeof(struct nic_rx_descriptor);
	uint32_t ring = RING_DEFAULT;

	while (ring < NIC_RING_MAX && ring * each < (double)working_set)
		ring *= 2;
	return ring;
}

static struct measure_row
base_row(const struct plan *plan, const struct plan_axes *axes, uint32_t size)
{
	const struct sizes *sizes = &plan->sizes[size];
	uint32_t ring = axes->working_set > 0 ? ring_for(axes->working_set, sizes) : RING_DEFAULT;
	uint32_t in_flight = axes->in_flight > 0     ? axes->in_flight
	                     : axes->working_set > 0 ? ring / 2
	                                             : IN_FLIGHT_DEFAULT;

	while (ring < 2 * in_flight && ring < NIC_RING_MAX)
		ring *= 2;
	return (struct measure_row){
		.world = { .n_peers = 1,
			.prefixes = 1,
			.n_rules = axes->n_rules,
			.n_flows = axes->n_flows,
			.lan_hosts = axes->lan_hosts > 0 ? axes->lan_hosts : LAN_HOSTS_DEFAULT,
			.is_shared = axes->is_shared,
			.small_pages = axes->small_pages,
			.no_flow_cache = axes->no_flow_cache,
			.ring = ring,
			.burst = BURST_MAX,
			.lines = axes->lines },
		.in_flight = in_flight,
		.n_active = 1,
		.lan_hosts = axes->lan_hosts > 0 ? axes->lan_hosts : LAN_HOSTS_DEFAULT,
		.sizes = sizes,
		.rekeys_per_s = axes->rekeys_per_s,
		.seconds = (axes->ms > 0 ? axes->ms : MS_DEFAULT) * 1e-3,
	};
}

// The values of an axis: those given, or those of the set.
static void
values(uint32_t *list, uint32_t *n, const uint32_t *own, uint32_t n_own)
{
	if (*n > 0)
		return;
	memcpy(list, own, n_own * sizeof(*list));
	*n = n_own;
}

// 10 % and 100 % of one peer are the same row.
static bool
is_there(const struct plan *plan, const struct measure_row *row)
{
	char key[PLAN_KEY_LEN], other[PLAN_KEY_LEN];

	plan_key(row, key, sizeof(key));
	for (uint32_t i = 0; i < plan->n_rows; i++) {
		plan_key(&plan->rows[i], other, sizeof(other));
		if (strcmp(key, other) == 0)
			return true;
	}
	return false;
}

static bool
add(struct plan *plan, struct measure_row row, uint32_t peers, uint32_t active_percent)
{
	// A packet goes to another peer, if there is one.
	if (row.direction == MEASURE_PEER_TO_PEER && peers < 2)
		peers = 2;
	row.world.n_peers = peers;
	row.n_active = (uint32_t)((uint64_t)peers * active_percent / 100);
	if (row.n_active == 0)
		row.n_active = 1;
	if (is_there(plan, &row))
		return true;
	if (plan->n_rows == PLAN_MAX_ROWS)
		return false;
	plan->rows[plan->n_rows++] = row;
	return true;
}

static bool
cross(struct plan *plan, const struct plan_axes *a)
{
	for (uint32_t s = 0; s < a->n_sizes; s++)
		for (uint32_t d = 0; d < a->n_directions; d++)
			for (uint32_t pop = 0; pop < a->n_popularities; pop++)
				for (uint32_t pre = 0; pre < a->n_prefixes; pre++)
					for (uint32_t b = 0; b < a->n_bursts; b++)
						for (uint32_t p = 0; p < a->n_peers; p++)
							for (uint32_t x = 0; x < a->n_active; x++) {
								struct measure_row row = base_row(
									plan, a, a->sizes[s]);

								row.direction = a->directions[d];
								row.popularity =
									a->popularities[pop];
								row.world.prefixes =
									a->prefixes[pre];
								row.world.burst = a->bursts[b];
								if (!add(plan, row, a->peers[p],
									    a->active_percent[x]))
									return false;
							}
	return true;
}

// What is not given is this one value.
static void
fill_singles(struct plan *plan, struct plan_axes *a)
{
	static const uint32_t zero[] = { 0 }, one[] = { 1 }, hundred[] = { 100 },
			      burst[] = { BURST_MAX };
	const char *why;

	if (a->n_sizes == 0)
		a->sizes[a->n_sizes++] = (uint32_t)plan_size(plan, "64", &why);
	values(a->active_percent, &a->n_active, hundred, 1);
	values(a->popularities, &a->n_popularities, zero, 1);
	values(a->prefixes, &a->n_prefixes, one, 1);
	values(a->bursts, &a->n_bursts, burst, 1);
}

static bool
make_default(struct plan *plan, struct plan_axes *a)
{
	static const uint32_t ways[] = { MEASURE_INBOUND, MEASURE_OUTBOUND },
			      both[] = { MEASURE_BOTH, MEASURE_PEER_TO_PEER },
			      peers[] = { 1, 1000, 10000, 100000 };
	struct plan_axes more = *a;
	const char *why;

	fill_singles(plan, a);
	values(a->directions, &a->n_directions, ways, LEN(ways));
	values(a->peers, &a->n_peers, peers, LEN(peers));
	if (!cross(plan, a) || a->n_sizes > 1 || more.n_peers > 0 || more.n_directions > 0 ||
		more.n_sizes > 0)
		return true;
	fill_singles(plan, &more);
	values(more.directions, &more.n_directions, both, LEN(both));
	values(more.peers, &more.n_peers, &peers[1], 1);
	cross(plan, &more);
	more.sizes[0] = (uint32_t)plan_size(plan, "1420", &why);
	more.sizes[1] = (uint32_t)plan_size(plan, "imix", &why);
	more.n_sizes = 2;
	memcpy(more.directions, ways, sizeof(ways));
	return cross(plan, &more);
}

static bool
make_growth(struct plan *plan, struct plan_axes *a)
{
	static const uint32_t ways[] = { MEASURE_INBOUND, MEASURE_OUTBOUND },
			      peers[] = { 1, 1000, 10000, 100000 },
			      kinds[] = { POPULARITY_UNIFORM, POPULARITY_ZIPF };

	fill_singles(plan, a);
	a->n_popularities = 0;
	values(a->popularities, &a->n_popularities, kinds, LEN(kinds));
	values(a->directions, &a->n_directions, ways, LEN(ways));
	values(a->peers, &a->n_peers, peers, LEN(peers));
	return cross(plan, a);
}

static bool
make_full(struct plan *plan, struct plan_axes *a)
{
	static const uint32_t ways[] = { MEASURE_INBOUND, MEASURE_OUTBOUND, MEASURE_BOTH,
		MEASURE_PEER_TO_PEER },
			      peers[] = { 1, 1000, 10000, 100000 }, thousand[] = { 1000 },
			      active[] = { 1, 10 }, zipf[] = { POPULARITY_ZIPF },
			      bursts[] = { 1, 4, 16, 32 }, prefixes[] = { 10, 100, 250 };
	static const char *const sizes[] = { "64", "352", "576", "1420", "9000", "imix", "tcp" };
	struct plan_axes each = *a, one = *a;
	const char *why;

	if (each.n_sizes == 0)
		for (size_t i = 0; i < LEN(sizes); i++) {
			int size = plan_size(plan, sizes[i], &why);

			if (size >= 0) // 9000: only where the tunnel's MTU allows it
				each.sizes[each.n_sizes++] = (uint32_t)size;
		}
	fill_singles(plan, &each);
	values(each.directions, &each.n_directions, ways, LEN(ways));
	values(each.peers, &each.n_peers, peers, LEN(peers));
	if (!cross(plan, &each))
		return false;

	// The other axes one at a time, at 64 bytes.
	one.sizes[0] = each.sizes[0];
	one.n_sizes = 1;
	one.n_directions = 2;
	memcpy(one.directions, ways, 2 * sizeof(ways[0]));
	for (unsigned axis = 0; axis < 4; axis++) {
		struct plan_axes now = one;

		if (axis == 0)
			values(now.active_percent, &now.n_active, active, LEN(active));
		else if (axis == 1)
			values(now.popularities, &now.n_popularities, zipf, LEN(zipf));
		else if (axis == 2)
			values(now.bursts, &now.n_bursts, bursts, LEN(bursts));
		else
			values(now.prefixes, &now.n_prefixes, prefixes, LEN(prefixes));
		values(now.peers, &now.n_peers, axis < 2 ? &peers[2] : thousand, axis < 2 ? 2 : 1);
		fill_singles(plan, &now);
		if (!cross(plan, &now))
			return false;
	}
	one.rekeys_per_s = 5000;
	one.peers[0] = 10000;
	one.n_peers = 1;
	fill_singles(plan, &one);
	return cross(plan, &one);
}

static const char *
wrong_with(const struct measure_row *row)
{
	if (row->world.n_peers > WORLD_PEERS_MAX)
		return "there are more peers than a gateway may have";
	if (row->world.prefixes > 1000 ||
		(uint64_t)row->world.n_peers * row->world.prefixes + 1 > SHM_MAX_PREFIXES)
		return "there are more prefixes than a gateway may have";
	if (row->world.burst == 0 || row->world.burst > BURST_MAX)
		return "a burst has 1 to 64 packets";
	if (row->world.n_flows > 0 && row->world.n_flows < row->world.n_peers)
		return "there are fewer flows than peers";
	if (row->world.n_flows / row->world.n_peers / row->lan_hosts > 60000)
		return "there are more flows of a peer than it has ports";
	if (row->world.n_flows > 0 && row->lan_hosts > 16000)
		return "there are more neighbours than a gateway may have";
	if (row->in_flight * 2 > NIC_RING_MAX)
		return "no ring is long enough for so many packets in flight";
	return NULL;
}

bool
plan_make(struct plan *plan, const struct plan_axes *axes, const char **ret_why)
{
	struct plan_axes a = *axes;
	bool has_room = axes->set == PLAN_FULL     ? make_full(plan, &a)
	                : axes->set == PLAN_GROWTH ? make_growth(plan, &a)
	                                           : make_default(plan, &a);

	*ret_why = has_room ? NULL : "there are too many rows";
	for (uint32_t i = 0; i < plan->n_rows && *ret_why == NULL; i++)
		*ret_why = wrong_with(&plan->rows[i]);
	return *ret_why == NULL;
}

void
plan_key(const struct measure_row *row, char *ret_text, size_t len)
{
	const struct world_config *w = &row->world;

	snprintf(ret_text, len,
		"%s/%s/peers=%u/active=%u/%s/prefixes=%u/burst=%u/in_flight=%u/ring=%u/lines=%u/"
		"lan=%u/rekeys=%g/shared=%d/small=%d/rules=%u/nat=%u/long_way=%d/s=%g",
		measure_direction_names[row->direction], row->sizes->text, w->n_peers,
		row->n_active, popularity_names[row->popularity], w->prefixes, w->burst,
		row->in_flight, w->ring, w->lines, row->lan_hosts, row->rekeys_per_s, w->is_shared,
		w->small_pages, w->n_rules, w->n_flows, w->no_flow_cache, row->seconds);
}

void
plan_text(const struct measure_row *row, char *ret_text, size_t len)
{
	snprintf(ret_text, len, "%s %s B, %u peers%s", measure_direction_names[row->direction],
		row->sizes->text, row->world.n_peers,
		row->popularity == POPULARITY_ZIPF ? " (zipf)" : "");
}
