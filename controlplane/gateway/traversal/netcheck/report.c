/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A report in the forms that others want.
 */

#include "controlplane/gateway/traversal/netcheck/netcheck.h"

#include <stdio.h>

#include "controlplane/gateway/traversal/netcheck/probe_plan.h"

static enum tri
tri_of(bool value)
{
	return value ? TRI_TRUE : TRI_FALSE;
}

static bool
has_mapping(const struct netcheck_report *report)
{
	return report->mapped.addr.family != ADDR_NONE;
}

// Latencies by https are told as of IPv4: the server has no other word for them.
static size_t
fill_latencies(const struct netcheck_report *report,
	struct region_latency latencies[static NETCHECK_MAX_LATENCIES])
{
	size_t n = 0;

	for (size_t i = 0; i < report->n_regions; i++) {
		const struct netcheck_region *r = &report->regions[i];
		int64_t v4_us = r->v4_us > 0 ? r->v4_us : r->v6_us > 0 ? 0 : r->https_us;

		if (v4_us > 0)
			latencies[n++] = (struct region_latency){ r->region_id, ADDR_V4, v4_us };
		if (r->v6_us > 0)
			latencies[n++] = (struct region_latency){ r->region_id, ADDR_V6, r->v6_us };
	}
	return n;
}

void
netcheck_net_info(const struct netcheck_report *report,
	struct net_info *ret_info,
	struct region_latency latencies[static NETCHECK_MAX_LATENCIES])
{
	*ret_info = (struct net_info){
		.mapping_varies_by_destination = report->mapping_varies,
		.working_ipv6 = tri_of(report->ipv6),
		.os_has_ipv6 = tri_of(report->os_has_ipv6),
		.working_udp = tri_of(report->udp),
		.working_icmpv4 = report->icmpv4,
		.upnp = report->upnp,
		.pmp = report->pmp,
		.pcp = report->pcp,
		.have_port_map = has_mapping(report),
		.preferred_region = report->preferred_region,
		.latencies = latencies,
		.n_latencies = fill_latencies(report, latencies),
	};
}

bool
netcheck_is_same_place(const struct netcheck_report *a, const struct netcheck_report *b)
{
	return a->mapping_varies == b->mapping_varies && a->ipv6 == b->ipv6 &&
	       a->os_has_ipv6 == b->os_has_ipv6 && a->udp == b->udp && a->icmpv4 == b->icmpv4 &&
	       a->upnp == b->upnp && a->pmp == b->pmp && a->pcp == b->pcp &&
	       has_mapping(a) == has_mapping(b) && a->preferred_region == b->preferred_region;
}

/* --- JSON --- */

static json_t *
endpoint_json(const struct endpoint *e)
{
	char text[ADDR_TEXT_LEN];

	return e->addr.family != ADDR_NONE ? json_string(endpoint_format(e, text)) : json_null();
}

static json_t *
tri_json(enum tri value)
{
	return value == TRI_UNKNOWN ? json_null() : json_boolean(value == TRI_TRUE);
}

static json_t *
ms_json(int64_t us)
{
	return us > 0 ? json_real((double)us / 1000) : json_null();
}

static json_t *
router_json(const struct netcheck_report *report)
{
	json_t *list = json_array();

	if (report->upnp == TRI_TRUE)
		(void)json_array_append_new(list, json_string("UPnP"));
	if (report->pmp == TRI_TRUE)
		(void)json_array_append_new(list, json_string("NAT-PMP"));
	if (report->pcp == TRI_TRUE)
		(void)json_array_append_new(list, json_string("PCP"));
	return list;
}

static json_t *
region_json(const struct netcheck_region *r, const struct derp_map *map)
{
	const struct derp_region *known = map != NULL ? derp_map_find(map, r->region_id) : NULL;
	const char *code = known != NULL && known->code != NULL ? known->code : "";
	const char *name = known != NULL && known->name != NULL ? known->name : "";

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "id", (json_int_t)r->region_id,
		"code", json_string_nocheck(code), "name", json_string_nocheck(name), "latency_ms",
		ms_json(netcheck_latency_us(r)), "latency_v4_ms", ms_json(r->v4_us),
		"latency_v6_ms", ms_json(r->v6_us), "latency_https_ms", ms_json(r->https_us));
}

static json_t *
regions_json(const struct netcheck_report *report, const struct derp_map *map)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->n_regions; i++)
		(void)json_array_append_new(list, region_json(&report->regions[i], map));
	return list;
}

/* --- with the reference's names (its net/netcheck, Report) --- */

enum latency_of {
	LATENCY_BEST,
	LATENCY_V4,
	LATENCY_V6,
};

static json_t *
latencies_named(const struct netcheck_report *report, enum latency_of which)
{
	json_t *o = json_object();
	char name[16];

	for (size_t i = 0; i < report->n_regions; i++) {
		const struct netcheck_region *r = &report->regions[i];
		int64_t us = which == LATENCY_V4   ? r->v4_us
		             : which == LATENCY_V6 ? r->v6_us
		                                   : netcheck_latency_us(r);

		snprintf(name, sizeof(name), "%d", r->region_id);
		if (us > 0)
			(void)json_object_set_new(o, name, json_integer(us * NS_PER_US));
	}
	return o;
}

static json_t *
globals_named(const struct netcheck_global *globals, size_t n)
{
	json_t *o = json_object();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < n; i++)
		(void)json_object_set_new(o, endpoint_format(&globals[i].endpoint, text),
			json_integer(globals[i].n_seen));
	return o;
}

static json_t *
endpoint_named(const struct endpoint *e)
{
	char text[ADDR_TEXT_LEN] = "";

	return json_string(e->addr.family != ADDR_NONE ? endpoint_format(e, text) : text);
}

static json_t *
report_named(const struct netcheck_report *r)
{
	json_t *o = json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "UDP", r->udp,
		"IPv6", r->ipv6, "IPv4", r->ipv4, "IPv6CanSend", r->ipv6_can_send, "IPv4CanSend",
		r->ipv4_can_send, "OSHasIPv6", r->os_has_ipv6, "MappingVariesByDestIP",
		tri_json(r->mapping_varies), "UPnP", tri_json(r->upnp), "PMP", tri_json(r->pmp),
		"PCP", tri_json(r->pcp));
	json_t *more = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "PreferredDERP",
		(json_int_t)r->preferred_region, "RegionLatency", latencies_named(r, LATENCY_BEST),
		"RegionV4Latency", latencies_named(r, LATENCY_V4), "RegionV6Latency",
		latencies_named(r, LATENCY_V6), "GlobalV4Counters",
		globals_named(r->globals_v4, r->n_globals_v4), "GlobalV6Counters",
		globals_named(r->globals_v6, r->n_globals_v6), "GlobalV4",
		endpoint_named(&r->global_v4), "GlobalV6", endpoint_named(&r->global_v6));

	(void)json_object_update(o, more);
	json_decref(more);
	return o;
}

json_t *
netcheck_report_json(const struct netcheck_report *report, const struct derp_map *map)
{
	return json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}",
		"udp", report->udp, "ipv4", report->ipv4, "ipv6", report->ipv6, "ipv4_can_send",
		report->ipv4_can_send, "ipv6_can_send", report->ipv6_can_send, "os_has_ipv6",
		report->os_has_ipv6, "global_v4", endpoint_json(&report->global_v4), "global_v6",
		endpoint_json(&report->global_v6), "mapping_varies",
		tri_json(report->mapping_varies), "port_mapping", router_json(report), "mapped",
		endpoint_json(&report->mapped), "preferred_region",
		(json_int_t)report->preferred_region, "regions", regions_json(report, map),
		"report", report_named(report));
}
