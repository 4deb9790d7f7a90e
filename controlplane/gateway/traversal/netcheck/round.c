/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/round.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
round_init(struct round *r,
	const struct netcheck_calls *calls,
	const struct derp_map *map,
	struct stun_nodes *nodes,
	const struct planned_probe *plan,
	size_t n,
	struct mono now)
{
	*r = (struct round){ .calls = calls, .map = map, .nodes = nodes, .began = now };
	r->probes = calloc(n + 1, sizeof(r->probes[0]));
	if (r->probes == NULL)
		return -ENOMEM;
	r->n_probes = n;
	for (size_t i = 0; i < n; i++) {
		r->probes[i].plan = plan[i];
		calls->random(calls->context, &r->probes[i].txid, sizeof(r->probes[i].txid));
		stun_nodes_want(nodes, plan[i].region, plan[i].node, now);
	}
	return 0;
}

void
round_fini(struct round *r)
{
	free(r->probes);
	r->probes = NULL;
	r->n_probes = 0;
}

/* --- regions that answered --- */

static struct netcheck_region *
region_of(struct netcheck_report *report, int32_t id)
{
	size_t at = 0;

	while (at < report->n_regions && report->regions[at].region_id < id)
		at++;
	if (at < report->n_regions && report->regions[at].region_id == id)
		return &report->regions[at];
	if (report->n_regions == NETCHECK_MAX_REGIONS)
		return NULL;
	memmove(&report->regions[at + 1], &report->regions[at],
		(report->n_regions - at) * sizeof(report->regions[0]));
	report->regions[at] = (struct netcheck_region){ .region_id = id };
	report->n_regions++;
	return &report->regions[at];
}

static void
take_best(int64_t *us, int64_t measured)
{
	if (measured < 1)
		measured = 1; // 0 would be "no answer"
	if (*us == 0 || measured < *us)
		*us = measured;
}

void
round_take_https(struct round *r, int32_t region_id, int64_t latency_us)
{
	struct netcheck_region *region = region_of(&r->report, region_id);

	if (region != NULL)
		take_best(&region->https_us, latency_us);
}

/* --- probes --- */

static int32_t
region_id_of(const struct round *r, const struct probe *p)
{
	return r->map->regions[p->plan.region].id;
}

// Whether the answer of this server would tell something that is not known yet.
static bool
helps(const struct round *r, const struct probe *p, const struct endpoint *to)
{
	const struct netcheck_region *known = netcheck_find(&r->report, region_id_of(r, p));

	if (p->plan.family == ADDR_V6)
		return known == NULL || known->v6_us == 0;
	if (known == NULL || known->v4_us == 0)
		return true;
	// Only another server's answer shows whether the mapping depends on whom we ask.
	return r->report.mapping_varies == TRI_UNKNOWN && !endpoint_equal(to, &r->first_asked_v4);
}

static void
note_sent(struct netcheck_report *report, enum addr_family family)
{
	if (family == ADDR_V6)
		report->ipv6_can_send = true;
	else
		report->ipv4_can_send = true;
}

static void
send_probe(struct round *r, struct probe *p, struct mono now)
{
	uint8_t request[STUN_REQUEST_LEN];
	enum stun_address known =
		stun_nodes_address(r->nodes, p->plan.region, p->plan.node, p->plan.family, &p->to);

	if (known == STUN_ADDRESS_ASKED)
		return;
	p->state = PROBE_OVER;
	if (known == STUN_ADDRESS_NONE || !helps(r, p, &p->to))
		return;
	stun_request_write(request, &p->txid);
	if (!r->calls->send(r->calls->context, &p->to, request, sizeof(request)))
		return;
	p->state = PROBE_SENT;
	p->sent = now;
	note_sent(&r->report, p->plan.family);
}

static void
take_earlier(struct mono *at, struct mono candidate)
{
	if (!mono_is_never(candidate) && (mono_is_never(*at) || candidate.ns < at->ns))
		*at = candidate;
}

struct mono
round_send(struct round *r, struct mono now)
{
	struct mono next = mono_add_ns(r->began, ROUND_STUN_NS);

	take_earlier(&next, r->enough_at);
	for (size_t i = 0; i < r->n_probes; i++) {
		struct probe *p = &r->probes[i];
		struct mono due = mono_add_ns(r->began, p->plan.delay_ns);

		if (p->state != PROBE_WAITS)
			continue;
		if (mono_diff_ns(now, due) < 0)
			take_earlier(&next, due);
		else
			send_probe(r, p, now); // or it goes on waiting for an address: a call comes
	}
	return next;
}

// Whether anything may still come of it.
static bool
is_awaited(const struct round *r, const struct probe *p)
{
	struct endpoint to;

	switch (p->state) {
	case PROBE_WAITS:
		switch (stun_nodes_address(
			r->nodes, p->plan.region, p->plan.node, p->plan.family, &to)) {
		case STUN_ADDRESS_KNOWN:
			return helps(r, p, &to);
		case STUN_ADDRESS_ASKED:
			return true;
		case STUN_ADDRESS_NONE:
			return false;
		}
		return false;
	case PROBE_SENT:
		return helps(r, p, &p->to);
	case PROBE_ANSWERED:
	case PROBE_OVER:
		break;
	}
	return false;
}

bool
round_is_over(const struct round *r, struct mono now)
{
	if (mono_diff_ns(now, mono_add_ns(r->began, ROUND_STUN_NS)) >= 0)
		return true;
	if (!mono_is_never(r->enough_at) && mono_diff_ns(now, r->enough_at) >= 0)
		return true;
	for (size_t i = 0; i < r->n_probes; i++)
		if (is_awaited(r, &r->probes[i]))
			return false;
	return true;
}

/* --- answers --- */

// What can be an address of ours as seen from elsewhere.
static bool
is_plausible(const struct endpoint *e, enum addr_family family)
{
	static const uint8_t zeros[15];
	const uint8_t *b = e->addr.bytes;

	if (e->addr.family != family || e->port == 0)
		return false;
	if (family == ADDR_V4)
		return b[0] != 0 && b[0] != 127 && b[0] < 224;
	if (memcmp(b, zeros, sizeof(zeros)) == 0 && b[15] <= 1)
		return false;
	return b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static void
count_global(struct netcheck_global *list, size_t *n, const struct endpoint *seen)
{
	for (size_t i = 0; i < *n; i++)
		if (endpoint_equal(&list[i].endpoint, seen)) {
			list[i].n_seen++;
			return;
		}
	if (*n < NETCHECK_MAX_GLOBALS)
		list[(*n)++] = (struct netcheck_global){ *seen, 1 };
}

// Two servers that see different addresses, or the same.  "Different" is never taken back.
static void
compare_mapping(struct round *r, const struct probe *p, const struct endpoint *seen)
{
	if (r->first_seen_v4.addr.family == ADDR_NONE) {
		r->first_asked_v4 = p->to;
		r->first_seen_v4 = *seen;
		return;
	}
	if (!endpoint_equal(seen, &r->first_seen_v4))
		r->report.mapping_varies = TRI_TRUE;
	else if (r->report.mapping_varies == TRI_UNKNOWN &&
		 !endpoint_equal(&p->to, &r->first_asked_v4))
		r->report.mapping_varies = TRI_FALSE;
}

static void
take_seen(struct round *r, const struct probe *p, const struct endpoint *seen)
{
	struct netcheck_report *report = &r->report;

	if (p->plan.family == ADDR_V4 && r->first_asked_v4.addr.family == ADDR_NONE)
		r->first_asked_v4 = p->to; // whatever it says, it need not say it again
	if (!is_plausible(seen, p->plan.family))
		return;
	if (p->plan.family == ADDR_V6) {
		report->global_v6 = *seen;
		count_global(report->globals_v6, &report->n_globals_v6, seen);
		return;
	}
	if (report->global_v4.addr.family == ADDR_NONE)
		report->global_v4 = *seen;
	count_global(report->globals_v4, &report->n_globals_v4, seen);
	compare_mapping(r, p, seen);
}

// After so many answers the far ones are not worth waiting for.
static void
look_whether_enough(struct round *r, struct mono now)
{
	int64_t worst_us = 0;

	if (r->report.n_regions < ROUND_ENOUGH_REGIONS || !mono_is_never(r->enough_at))
		return;
	for (size_t i = 0; i < r->report.n_regions; i++) {
		int64_t us = netcheck_latency_us(&r->report.regions[i]);

		if (us > worst_us)
			worst_us = us;
	}
	r->enough_at = mono_add_ns(now, worst_us * NS_PER_US * (r->report.is_full ? 2 : 1));
}

static void
take_answer(struct round *r, struct probe *p, const struct endpoint *seen, struct mono now)
{
	struct netcheck_region *region = region_of(&r->report, region_id_of(r, p));
	int64_t us = mono_diff_ns(now, p->sent) / NS_PER_US;

	p->state = PROBE_ANSWERED;
	r->report.udp = true;
	if (p->plan.family == ADDR_V6)
		r->report.ipv6 = true;
	else
		r->report.ipv4 = true;
	if (region != NULL)
		take_best(p->plan.family == ADDR_V6 ? &region->v6_us : &region->v4_us, us);
	take_seen(r, p, seen);
	look_whether_enough(r, now);
}

bool
round_datagram(struct round *r, const uint8_t *data, size_t len, struct mono now)
{
	struct stun_txid txid;
	struct endpoint seen;

	if (stun_response_read(data, len, &txid, &seen) < 0)
		return false;
	for (size_t i = 0; i < r->n_probes; i++) {
		struct probe *p = &r->probes[i];

		if (p->state == PROBE_SENT && memcmp(&p->txid, &txid, sizeof(txid)) == 0) {
			take_answer(r, p, &seen, now);
			return true;
		}
	}
	return false;
}
