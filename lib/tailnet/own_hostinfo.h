/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a node says of itself: Hostinfo and NetInfo, written.
 *
 * Source: ../shared/protocol/control.md 5.11.
 * Owner:  everything is borrowed for the call.  Zeros and NULL are left out of the text.
 *
 * Servers replace a node's facts as a whole: give all of them, each time.
 */
#ifndef LIB_TAILNET_OWN_HOSTINFO_H
#define LIB_TAILNET_OWN_HOSTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/net/addr.h"
#include "lib/tailnet/json_decode.h"
#include "lib/tailnet/json_writer.h"
#include "lib/tailnet/node.h"

struct region_latency {
	int32_t region_id;
	enum addr_family family;
	int64_t latency_us;
};

struct net_info { /* TRI_UNKNOWN: left out */
	enum tri mapping_varies_by_destination;
	enum tri working_ipv6, os_has_ipv6, working_udp, working_icmpv4;
	enum tri upnp, pmp, pcp;
	bool have_port_map;
	int32_t preferred_region;
	const char *link_type; /* "wired", "wifi", "mobile" */
	const char *firewall_mode;
	const struct region_latency *latencies;
	size_t n_latencies;
};

struct own_service {
	const char *proto; /* "peerapi4" and such */
	uint16_t port;
	const char *description;
};

struct own_hostinfo {
	const char *version;        /* IPNVersion: of our program */
	const char *backend_log_id; /* 64 hex digits, random once; servers want one */
	const char *os, *os_version;
	const char *env, *distro, *distro_version, *distro_code_name;
	const char *package, *device_model, *hostname, *machine, *arch, *cloud;
	enum tri container, desktop;
	bool shields_up;
	bool no_logs_no_support;
	bool allows_update;
	const struct prefix *routable_ips; /* ascending, each once */
	size_t n_routable_ips;
	const char *const *request_tags;
	size_t n_request_tags;
	const struct own_service *services;
	size_t n_services;
	const struct net_info *net_info; /* NULL: the server keeps what it has */
	enum tri userspace, userspace_router, app_connector, state_encrypted;
	const char *services_hash;
	bool peer_relay;
	const char *exit_node_id;
};

/* As a member called `name`, or as the value itself (NULL).  NULL hostinfo: null. */
void own_hostinfo_write(struct json_writer *w, const char *name, const struct own_hostinfo *h);

#endif
