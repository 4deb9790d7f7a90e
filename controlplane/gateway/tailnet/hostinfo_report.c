/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/tailnet/hostinfo.h"

#include <assert.h>

#include "controlplane/gateway/traversal/netcheck/netcheck.h"

static_assert(NETCHECK_MAX_LATENCIES <= OWN_FACTS_MAX_LATENCIES, "a report fits");

bool
own_facts_set_report(struct own_facts *own,
	const struct netcheck_report *report,
	int32_t home_region)
{
	struct region_latency latencies[NETCHECK_MAX_LATENCIES];
	struct net_info info;

	if (report == NULL)
		return own_facts_set_net_info(own, NULL);
	netcheck_net_info(report, &info, latencies);
	info.preferred_region = home_region;
	return own_facts_set_net_info(own, &info);
}
