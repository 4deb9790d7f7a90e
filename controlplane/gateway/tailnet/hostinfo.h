/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What we say of this machine to the coordination server, put together from the system, the
 * preferences and what other parts find out.
 *
 * Source: ../shared/protocol/control.md 5.11.
 * Owner:  the member.  Thread: coord.
 *
 * The setters tell whether something is another now: then the server is to be told.
 */
#ifndef CONTROLPLANE_GATEWAY_TAILNET_HOSTINFO_H
#define CONTROLPLANE_GATEWAY_TAILNET_HOSTINFO_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/gateway/tailnet/prefs.h"
#include "lib/tailnet/own_hostinfo.h"

struct own_facts;

/*
 * Look at the system (os-release, uname, signs of a container); to be made before the sandbox is
 * shut.  log_id: 64 hex digits, copied.  0 or -ENOMEM.
 */
[[nodiscard]] int own_facts_create(const char *log_id, struct own_facts **ret_own);
void own_facts_destroy(struct own_facts *own); /* NULL is allowed */

/* Name, advertised routes and tags, shields. */
bool own_facts_set_prefs(struct own_facts *own, const struct tailnet_prefs *prefs);
/* Ports of the peer API; 0: none. */
bool own_facts_set_peer_api(struct own_facts *own, uint16_t port4, uint16_t port6);
/* Copied, with its latencies (at most OWN_FACTS_MAX_LATENCIES of them); NULL: not known. */
#define OWN_FACTS_MAX_LATENCIES 1024
bool own_facts_set_net_info(struct own_facts *own, const struct net_info *info);
/* The same from a report (NULL: none) of the network, with the relay that is our home; 0: none. */
struct netcheck_report;
bool own_facts_set_report(struct own_facts *own,
	const struct netcheck_report *report,
	int32_t home_region);
/*
 * Make the first latency another by a microsecond, which matters to nobody; false: there is none.
 */
bool own_facts_wobble(struct own_facts *own);
/* The host's name may be another: read it again. */
bool own_facts_refresh(struct own_facts *own);

/* Everything, borrowed until the next setter. */
const struct own_hostinfo *own_facts_hostinfo(const struct own_facts *own);

/*
 * A host's name as servers are told it: without its domain; lower-case letters and digits, and '-'
 * for everything else; 63 bytes at most, letters or digits at both ends.  "" if nothing is left.
 */
#define OWN_HOST_NAME_LEN 64
char *own_host_name(const char *name, char text[static OWN_HOST_NAME_LEN]);

#endif
