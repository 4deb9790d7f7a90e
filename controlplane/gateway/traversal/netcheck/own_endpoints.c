/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/traversal/netcheck/own_endpoints.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/traversal/netcheck/endpoint_list.h"
#include "lib/traversal/path.h"

static_assert(ENDPOINT_LIST_MAX == OWN_ENDPOINTS_MAX, "callers size their arrays by the latter");

#define AGAIN_MIN_NS    (20 * NS_PER_S) /* below what NATs forget after: 30 s */
#define AGAIN_SPREAD_NS (6 * NS_PER_S)
#define IDLE_AGAIN_NS   (5 * 60 * NS_PER_S) /* nobody talks: so that the home is a good one */
#define SETTLE_NS       (100 * NS_PER_MS)   /* changes of addresses come together */
#define DOUBT_NS        (5 * NS_PER_S)
#define PATIENCE_NS     (4 * NS_PER_S) /* with a look that began before the network changed */
#define DEFAULT_TUNNEL  "sluice0"

struct own_endpoints {
	struct own_endpoints_calls calls;
	struct netcheck *netcheck;
	char tunnel[LOCAL_NAME_LEN];
	bool has_map, is_started;
	uint16_t local_port;
	struct endpoint mapped; /* ADDR_NONE: none */
	enum tri upnp, pmp, pcp;
	struct endpoint explicit_endpoints[OWN_ENDPOINTS_MAX];
	size_t n_explicit;

	struct mono look_at;      /* a look is to begin then; never: when somebody asks */
	bool look_full;           /* and a full one */
	bool owes_full;           /* another one, right after the one under way, */
	bool owes_reset;          /* and the network is another one then */
	struct mono looked;       /* the last one's end; never: none, and the list is empty */
	struct mono began;        /* the last one's begin */
	struct mono active;       /* the last packets of users; never: none */
	bool is_told;             /* `told` is */
	struct mono netcheck_due; /* as its tick said */

	struct endpoint_list list, told;
	struct endpoint_memory memory;
};

/* --- calls of netcheck --- */

static bool
on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct own_endpoints *o = context;

	return o->calls.send(o->calls.context, to, data, len);
}

static struct mono
on_relay_heard(void *context, int32_t region_id)
{
	struct own_endpoints *o = context;

	if (o->calls.relay_heard == NULL)
		return (struct mono){};
	return o->calls.relay_heard(o->calls.context, region_id);
}

static void
on_random(void *context, void *out, size_t len)
{
	struct own_endpoints *o = context;

	o->calls.random(o->calls.context, out, len);
}

/* --- the list --- */

static size_t
read_local(struct own_endpoints *o, struct local_address *ret)
{
	if (o->calls.local_addresses != NULL)
		return o->calls.local_addresses(o->calls.context, ret, LOCAL_ADDRESSES_MAX);
	return local_addresses_read(ret, LOCAL_ADDRESSES_MAX);
}

static void
build(struct own_endpoints *o, struct mono now)
{
	struct local_address addresses[LOCAL_ADDRESSES_MAX];
	struct addr local[OWN_ENDPOINTS_MAX];
	struct endpoint_sources from = { .report = netcheck_report(o->netcheck),
		.mapped = o->mapped,
		.local_port = o->local_port,
		.explicit_endpoints = o->explicit_endpoints,
		.n_explicit = o->n_explicit,
		.local = local };

	from.n_local = local_addresses_choose(
		addresses, read_local(o, addresses), o->tunnel, local, OWN_ENDPOINTS_MAX);
	endpoint_list_build(&o->list, &o->memory, &from, now);
}

static void
tell(struct own_endpoints *o)
{
	bool is_changed = !o->is_told || !endpoint_list_is_same_set(&o->list, &o->told);

	o->told = o->list;
	o->is_told = true;
	o->calls.changed(o->calls.context, is_changed);
}

// Something besides STUN is another.  Before the first look nothing is told at all.
static void
rebuild(struct own_endpoints *o, struct mono now)
{
	if (!o->is_started || mono_is_never(o->looked))
		return;
	build(o, now);
	if (!endpoint_list_is_same_set(&o->list, &o->told))
		tell(o);
}

/* --- looks --- */

static void
look_by(struct own_endpoints *o, struct mono at, bool full)
{
	if (mono_is_never(o->look_at) || at.ns < o->look_at.ns)
		o->look_at = at;
	o->look_full |= full;
}

static bool
is_active(const struct own_endpoints *o, struct mono now)
{
	return !mono_is_never(o->active) && mono_diff_ns(now, o->active) < PATH_SESSION_ACTIVE_NS;
}

static void
plan_next(struct own_endpoints *o, struct mono now)
{
	uint32_t random;
	int64_t pause = IDLE_AGAIN_NS;

	if (is_active(o, now)) {
		o->calls.random(o->calls.context, &random, sizeof(random));
		pause = AGAIN_MIN_NS +
		        (int64_t)(random % (uint32_t)(AGAIN_SPREAD_NS / NS_PER_MS)) * NS_PER_MS;
	}
	look_by(o, mono_add_ns(now, pause), false);
}

static void
fill_router(const struct own_endpoints *o, struct netcheck_report *report)
{
	report->upnp = o->upnp;
	report->pmp = o->pmp;
	report->pcp = o->pcp;
	report->mapped = o->mapped;
}

static void
on_done(void *context, struct netcheck_report *report)
{
	struct own_endpoints *o = context;

	fill_router(o, report);
	o->looked = report->at;
	build(o, report->at);
	plan_next(o, report->at);
	if (o->owes_full)
		look_by(o, report->at, true);
	if (o->owes_reset)
		netcheck_reset(o->netcheck);
	o->owes_full = o->owes_reset = false;
	o->calls.report(o->calls.context, report);
	tell(o);
}

static void
begin_look(struct own_endpoints *o, struct mono now)
{
	struct local_address addresses[LOCAL_ADDRESSES_MAX];
	size_t n = read_local(o, addresses);
	struct netcheck_host host = { .has_v4 = true, .has_v6 = true };
	bool full = o->look_full;

	if (n > 0) { // else the kernel did not say
		host.has_v4 = local_addresses_have(addresses, n, o->tunnel, ADDR_V4);
		host.has_v6 = local_addresses_have(addresses, n, o->tunnel, ADDR_V6);
	}
	o->look_at = (struct mono){};
	o->look_full = false;
	o->began = now;
	if (!netcheck_start(o->netcheck, full, &host, now))
		look_by(o, mono_add_ns(now, DOUBT_NS), full); // no memory
	o->netcheck_due = now;
}

static bool
can_look(const struct own_endpoints *o)
{
	return o->is_started && o->has_map;
}

/* --- settings --- */

int
own_endpoints_create(struct stream_set *set,
	const struct own_endpoints_calls *calls,
	struct own_endpoints **ret_own)
{
	struct own_endpoints *o = calloc(1, sizeof(*o));
	const struct netcheck_calls of_netcheck = { .send = on_send,
		.done = on_done,
		.relay_heard = on_relay_heard,
		.random = on_random,
		.context = o };
	int err;

	if (o == NULL)
		return -ENOMEM;
	o->calls = *calls;
	own_endpoints_set_tunnel(o, DEFAULT_TUNNEL);
	err = netcheck_create(set, &of_netcheck, &o->netcheck);
	if (err < 0) {
		free(o);
		return err;
	}
	*ret_own = o;
	return 0;
}

void
own_endpoints_destroy(struct own_endpoints *o)
{
	if (o == NULL)
		return;
	netcheck_destroy(o->netcheck);
	free(o);
}

void
own_endpoints_set_tunnel(struct own_endpoints *o, const char *interface)
{
	memset(o->tunnel, 0, sizeof(o->tunnel));
	strncpy(o->tunnel, interface, sizeof(o->tunnel) - 1);
}

int
own_endpoints_set_map(struct own_endpoints *o, const struct derp_map *map, struct mono now)
{
	int err;

	if (netcheck_has_map(o->netcheck, map))
		return 0; // and a look under way goes on
	err = netcheck_set_map(o->netcheck, map);
	if (err < 0)
		return err;
	o->has_map = map != NULL && map->n_regions > 0;
	look_by(o, now, true);
	return 0;
}

void
own_endpoints_set_mapped(struct own_endpoints *o, const struct endpoint *external, struct mono now)
{
	o->mapped = external != NULL ? *external : (struct endpoint){};
	rebuild(o, now);
}

void
own_endpoints_set_protocols(struct own_endpoints *o, enum tri upnp, enum tri pmp, enum tri pcp)
{
	o->upnp = upnp;
	o->pmp = pmp;
	o->pcp = pcp;
}

void
own_endpoints_set_home(struct own_endpoints *o, int32_t region_id)
{
	netcheck_set_home(o->netcheck, region_id);
}

void
own_endpoints_set_connected(struct own_endpoints *o, bool is_connected)
{
	netcheck_set_connected(o->netcheck, is_connected);
}

void
own_endpoints_set_explicit(struct own_endpoints *o,
	const struct endpoint *endpoints,
	size_t n,
	struct mono now)
{
	o->n_explicit = n < OWN_ENDPOINTS_MAX ? n : OWN_ENDPOINTS_MAX;
	if (o->n_explicit > 0)
		memcpy(o->explicit_endpoints, endpoints, o->n_explicit * sizeof(endpoints[0]));
	rebuild(o, now);
}

void
own_endpoints_start(struct own_endpoints *o, uint16_t local_port, struct mono now)
{
	bool is_other = o->is_started && o->local_port != local_port;

	if (o->is_started && !is_other)
		return;
	if (is_other)
		own_endpoints_stop(o, now);
	o->is_started = true;
	o->local_port = local_port;
	look_by(o, now, true);
}

void
own_endpoints_stop(struct own_endpoints *o, struct mono now)
{
	(void)now;
	netcheck_reset(o->netcheck);
	o->is_started = o->is_told = o->look_full = false;
	o->owes_full = o->owes_reset = false;
	o->look_at = o->looked = o->active = o->netcheck_due = (struct mono){};
	o->list.n = o->told.n = o->memory.n = 0;
}

/* --- what happens --- */

bool
own_endpoints_datagram(struct own_endpoints *o,
	const uint8_t *data,
	size_t len,
	const struct endpoint *from,
	struct mono now)
{
	if (!netcheck_datagram(o->netcheck, data, len, from, now))
		return false;
	o->netcheck_due = now; // it may have been the last one that was waited for
	return true;
}

void
own_endpoints_active(struct own_endpoints *o, struct mono now)
{
	bool was_idle = !is_active(o, now);

	o->active = now;
	if (was_idle && !mono_is_never(o->looked) && !netcheck_is_running(o->netcheck)) {
		struct mono stale = mono_add_ns(o->looked, AGAIN_MIN_NS);

		look_by(o, mono_diff_ns(stale, now) > 0 ? stale : now, false);
	}
}

void
own_endpoints_network_changed(struct own_endpoints *o, struct mono now)
{
	if (netcheck_is_running(o->netcheck) && mono_diff_ns(now, o->began) < PATIENCE_NS) {
		o->owes_full = o->owes_reset = true; // or a flapping link would let no look end
		return;
	}
	netcheck_reset(o->netcheck);
	o->owes_full = o->owes_reset = false;
	look_by(o, mono_add_ns(now, SETTLE_NS), true);
}

void
own_endpoints_check(struct own_endpoints *o, struct mono now)
{
	const struct netcheck_report *last = netcheck_report(o->netcheck);

	if (!netcheck_is_running(o->netcheck))
		look_by(o, now, true);
	else if (last != NULL)
		o->owes_full = true; // the one under way may be of a few regions only
}

void
own_endpoints_doubt(struct own_endpoints *o, struct mono now)
{
	struct mono again = mono_add_ns(o->began, DOUBT_NS);

	if (netcheck_is_running(o->netcheck) || !can_look(o))
		return;
	look_by(o, mono_diff_ns(again, now) > 0 ? again : now, false);
}

struct mono
own_endpoints_tick(struct own_endpoints *o, struct mono now)
{
	if (can_look(o) && !netcheck_is_running(o->netcheck) && !mono_is_never(o->look_at) &&
		mono_diff_ns(now, o->look_at) >= 0)
		begin_look(o, now);
	if (netcheck_is_running(o->netcheck))
		o->netcheck_due = netcheck_tick(o->netcheck, now);
	return own_endpoints_next(o);
}

struct mono
own_endpoints_next(const struct own_endpoints *o)
{
	if (!can_look(o))
		return (struct mono){};
	return netcheck_is_running(o->netcheck) ? o->netcheck_due : o->look_at;
}

size_t
own_endpoints_get(struct own_endpoints *o,
	struct mono now,
	const struct own_endpoint **ret_endpoints,
	bool *ret_is_fresh)
{
	bool is_fresh = !mono_is_never(o->looked) &&
	                mono_diff_ns(now, o->looked) <= PATH_ENDPOINTS_FRESH_NS;

	if (!is_fresh && can_look(o) && !netcheck_is_running(o->netcheck))
		look_by(o, now, false);
	*ret_endpoints = o->list.entries;
	*ret_is_fresh = is_fresh || !can_look(o);
	return o->list.n;
}

const struct netcheck_report *
own_endpoints_report(const struct own_endpoints *o)
{
	return mono_is_never(o->looked) ? NULL : netcheck_report(o->netcheck);
}
