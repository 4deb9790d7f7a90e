/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/probe_plan.h"

#include <stdlib.h>
#include <string.h>

struct planner {
	const struct probe_plan_input *in;
	struct planned_probe *probes;
	size_t n;
};

const struct netcheck_region *
netcheck_find(const struct netcheck_report *report, int32_t id)
{
	for (size_t i = 0; i < report->n_regions; i++)
		if (report->regions[i].region_id == id)
			return &report->regions[i];
	return NULL;
}

int64_t
netcheck_latency_us(const struct netcheck_region *r)
{
	const int64_t all[] = { r->v4_us, r->v6_us, r->https_us };
	int64_t best = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] > 0 && (best == 0 || all[i] < best))
			best = all[i];
	return best;
}

bool
probe_node_is_usable(const struct derp_node *node, enum addr_family family)
{
	const char *text = family == ADDR_V4 ? node->ipv4 : node->ipv6;
	struct addr addr;

	if (node->stun_port < 0 || node->stun_port > UINT16_MAX)
		return false;
	if (node->stun_test_ip != NULL && node->stun_test_ip[0] != '\0')
		return addr_parse(node->stun_test_ip, &addr) == 0 && addr.family == family;
	if (text == NULL || text[0] == '\0')
		return node->host_name != NULL && node->host_name[0] != '\0';
	return addr_parse(text, &addr) == 0 && addr.family == family;
}

// The node of the try, in turn among those that can be asked at all.
static bool
pick_node(const struct derp_region *region, enum addr_family family, unsigned try, uint16_t *ret)
{
	uint16_t usable[PROBE_NODES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < region->n_nodes && i < PROBE_NODES_MAX; i++)
		if (probe_node_is_usable(&region->nodes[i], family))
			usable[n++] = (uint16_t)i;
	if (n > 0)
		*ret = usable[try % n];
	return n > 0;
}

static void
add(struct planner *p, size_t region, enum addr_family family, unsigned try, int64_t delay_ns)
{
	struct planned_probe probe = {
		.region = (uint16_t)region, .family = family, .delay_ns = delay_ns
	};

	if (p->n < PROBE_PLAN_MAX &&
		pick_node(&p->in->map->regions[region], family, try, &probe.node))
		p->probes[p->n++] = probe;
}

static size_t
region_count(const struct derp_map *map)
{
	return map->n_regions < NETCHECK_MAX_REGIONS ? map->n_regions : NETCHECK_MAX_REGIONS;
}

static void
plan_full(struct planner *p)
{
	for (size_t i = 0; i < region_count(p->in->map); i++) {
		if (p->in->map->regions[i].is_without_measure)
			continue;
		for (unsigned try = 0; try < PROBE_FULL_TRIES; try++) {
			if (p->in->has_v4)
				add(p, i, ADDR_V4, try, try * PROBE_FULL_PAUSE_NS);
			if (p->in->has_v6)
				add(p, i, ADDR_V6, try, try * PROBE_FULL_PAUSE_NS);
		}
	}
}

struct ranked {
	size_t region;
	int64_t latency_us; /* 0: unknown, behind all others */
};

static int
compare(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if ((a->latency_us == 0) != (b->latency_us == 0))
		return a->latency_us == 0 ? 1 : -1;
	if (a->latency_us != b->latency_us)
		return a->latency_us < b->latency_us ? -1 : 1;
	return a->region < b->region ? -1 : a->region > b->region;
}

static size_t
rank(const struct probe_plan_input *in, struct ranked ret[static NETCHECK_MAX_REGIONS])
{
	size_t n = 0;

	for (size_t i = 0; i < region_count(in->map); i++) {
		const struct derp_region *region = &in->map->regions[i];
		const struct netcheck_region *known = netcheck_find(in->last, region->id);

		if (!region->is_without_measure)
			ret[n++] = (struct ranked){ i,
				known != NULL ? netcheck_latency_us(known) : 0 };
	}
	qsort(ret, n, sizeof(ret[0]), compare);
	return n;
}

static int64_t
pause_before(unsigned try, int64_t latency_us)
{
	int64_t pause = latency_us > 0 ? latency_us * NS_PER_US * 120 / 100 : PROBE_KNOWN_PAUSE_NS;

	return try * pause + (try > 1 ? try * 50 * NS_PER_MS : 0);
}

// The i-th nearest region of a round that is not full.
static void
plan_near(struct planner *p, const struct ranked *r, size_t i, bool had_v4, bool had_v6)
{
	bool is_home = p->in->map->regions[r->region].id == p->in->home;
	bool v4 = p->in->has_v4, v6 = p->in->has_v6;
	unsigned tries = is_home ? PROBE_HOME_TRIES : i < 2 ? 2 : 1;

	if (i >= 2 && !is_home) {
		if (had_v4 && had_v6 && v4 && v6) {
			v4 = i % 2 == 0;
			v6 = !v4;
		}
		v6 = v6 && had_v6;
	}
	for (unsigned try = 0; try < tries; try++) {
		if (v4)
			add(p, r->region, ADDR_V4, try, pause_before(try, r->latency_us));
		if (v6 && (try == 0 || had_v6))
			add(p, r->region, ADDR_V6, try, pause_before(try, r->latency_us));
	}
}

static void
plan_incremental(struct planner *p)
{
	struct ranked ranked[NETCHECK_MAX_REGIONS];
	size_t n = rank(p->in, ranked);
	bool had_v4 = false, had_v6 = false;

	for (size_t i = 0; i < p->in->last->n_regions; i++) {
		had_v4 |= p->in->last->regions[i].v4_us > 0;
		had_v6 |= p->in->last->regions[i].v6_us > 0;
	}
	for (size_t i = 0; i < n; i++)
		if (i < PROBE_NEAREST || p->in->map->regions[ranked[i].region].id == p->in->home)
			plan_near(p, &ranked[i], i, had_v4, had_v6);
}

size_t
probe_plan(const struct probe_plan_input *in,
	struct planned_probe ret_probes[static PROBE_PLAN_MAX])
{
	struct planner p = { .in = in, .probes = ret_probes };

	if (in->last == NULL)
		plan_full(&p);
	else
		plan_incremental(&p);
	return p.n;
}
