/* SPDX-License-Identifier: BSD-3-Clause */

#include "lib/tailnet/own_hostinfo.h"

#include <stdio.h>

static void
write_text(struct json_writer *w, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		json_write_text(w, name, text);
}

static void
write_tri(struct json_writer *w, const char *name, enum tri value)
{
	if (value != TRI_UNKNOWN)
		json_write_bool(w, name, value == TRI_TRUE);
}

static void
write_true(struct json_writer *w, const char *name, bool value)
{
	if (value)
		json_write_bool(w, name, true);
}

// The protocol wants seconds.
static void
write_latencies(struct json_writer *w, const struct net_info *n)
{
	char name[32];

	if (n->n_latencies == 0)
		return;
	json_write_open(w, "DERPLatency", '{');
	for (size_t i = 0; i < n->n_latencies; i++) {
		snprintf(name, sizeof(name), "%d-v%d", (int)n->latencies[i].region_id,
			n->latencies[i].family == ADDR_V6 ? 6 : 4);
		json_write_micros(w, name, n->latencies[i].latency_us);
	}
	json_write_close(w, '}');
}

static void
write_net_info(struct json_writer *w, const struct net_info *n)
{
	if (n == NULL)
		return;
	json_write_open(w, "NetInfo", '{');
	write_tri(w, "MappingVariesByDestIP", n->mapping_varies_by_destination);
	write_tri(w, "WorkingIPv6", n->working_ipv6);
	write_tri(w, "OSHasIPv6", n->os_has_ipv6);
	write_tri(w, "WorkingUDP", n->working_udp);
	write_tri(w, "WorkingICMPv4", n->working_icmpv4);
	write_true(w, "HavePortMap", n->have_port_map);
	write_tri(w, "UPnP", n->upnp);
	write_tri(w, "PMP", n->pmp);
	write_tri(w, "PCP", n->pcp);
	if (n->preferred_region != 0)
		json_write_int(w, "PreferredDERP", n->preferred_region);
	write_text(w, "LinkType", n->link_type);
	write_latencies(w, n);
	write_text(w, "FirewallMode", n->firewall_mode);
	json_write_close(w, '}');
}

static void
write_routes_and_tags(struct json_writer *w, const struct own_hostinfo *h)
{
	char text[ADDR_TEXT_LEN];

	if (h->n_routable_ips > 0) {
		json_write_open(w, "RoutableIPs", '[');
		for (size_t i = 0; i < h->n_routable_ips; i++)
			json_write_text(w, NULL, prefix_format(&h->routable_ips[i], text));
		json_write_close(w, ']');
	}
	if (h->n_request_tags > 0) {
		json_write_open(w, "RequestTags", '[');
		for (size_t i = 0; i < h->n_request_tags; i++)
			json_write_text(w, NULL, h->request_tags[i]);
		json_write_close(w, ']');
	}
}

static void
write_services(struct json_writer *w, const struct own_hostinfo *h)
{
	if (h->n_services == 0)
		return;
	json_write_open(w, "Services", '[');
	for (size_t i = 0; i < h->n_services; i++) {
		json_write_open(w, NULL, '{');
		json_write_text(w, "Proto", h->services[i].proto);
		json_write_int(w, "Port", h->services[i].port);
		write_text(w, "Description", h->services[i].description);
		json_write_close(w, '}');
	}
	json_write_close(w, ']');
}

static void
write_system(struct json_writer *w, const struct own_hostinfo *h)
{
	write_text(w, "IPNVersion", h->version);
	write_text(w, "BackendLogID", h->backend_log_id);
	write_text(w, "OS", h->os);
	write_text(w, "OSVersion", h->os_version);
	write_tri(w, "Container", h->container);
	write_text(w, "Env", h->env);
	write_text(w, "Distro", h->distro);
	write_text(w, "DistroVersion", h->distro_version);
	write_text(w, "DistroCodeName", h->distro_code_name);
	write_tri(w, "Desktop", h->desktop);
	write_text(w, "Package", h->package);
	write_text(w, "DeviceModel", h->device_model);
	write_text(w, "Hostname", h->hostname);
}

void
own_hostinfo_write(struct json_writer *w, const char *name, const struct own_hostinfo *h)
{
	if (h == NULL) {
		json_write_null(w, name);
		return;
	}
	json_write_open(w, name, '{');
	write_system(w, h);
	write_true(w, "ShieldsUp", h->shields_up);
	write_true(w, "NoLogsNoSupport", h->no_logs_no_support);
	write_true(w, "AllowsUpdate", h->allows_update);
	write_text(w, "Machine", h->machine);
	write_text(w, "GoArch", h->arch);
	write_routes_and_tags(w, h);
	write_services(w, h);
	write_net_info(w, h->net_info);
	write_text(w, "Cloud", h->cloud);
	write_tri(w, "Userspace", h->userspace);
	write_tri(w, "UserspaceRouter", h->userspace_router);
	write_tri(w, "AppConnector", h->app_connector);
	write_text(w, "ServicesHash", h->services_hash);
	write_true(w, "PeerRelay", h->peer_relay);
	write_text(w, "ExitNodeID", h->exit_node_id);
	write_tri(w, "StateEncrypted", h->state_encrypted);
	json_write_close(w, '}');
}
