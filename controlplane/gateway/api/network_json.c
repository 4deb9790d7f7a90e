/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/api/network_json.h"

#include <stdio.h>

static void
put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value); // out of memory: a key that is missing
}

static json_t *
count(uint64_t n)
{
	return json_integer((json_int_t)(n & INT64_MAX)); // whatever another process wrote
}

static json_t *
text_or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static const struct network_port *
find_port(const struct network *network, uint32_t ifindex)
{
	for (size_t i = 0; network != NULL && ifindex != 0 && i < network->n_ports; i++)
		if (network->ports[i].ifindex == ifindex)
			return &network->ports[i];
	return NULL;
}

// Why the interface matters to us, then why its driver is what it is.
static json_t *
reason(const struct network_port *port, const char *of_driver)
{
	const char *of_port = port != NULL ? port->why : "";
	char text[NETWORK_WHY_LEN + PORTS_WHY_LEN + 2];

	snprintf(text, sizeof(text), "%s%s%s", of_port,
		of_port[0] != '\0' && of_driver[0] != '\0' ? "; " : "", of_driver);
	return text_or_null(text);
}

static const struct ports_view *
find_view(const struct status_here *here, uint32_t ifindex)
{
	return here->around != NULL && ifindex != 0 ? surroundings_port(here->around, ifindex)
	                                            : NULL;
}

/* --- ports --- */

static json_t *
mode_or_null(uint32_t mode)
{
	static const char *const names[] = { NULL, "zero copy", "copy", "generic" };

	return mode <= SHM_PORT_GENERIC ? text_or_null(names[mode]) : json_null();
}

static void
put_device(json_t *o, const struct network_port *port)
{
	json_t *roles = json_array();

	if (port != NULL && port->is_wan)
		json_array_append_new(roles, json_string("wan"));
	if (port != NULL && port->is_lan)
		json_array_append_new(roles, json_string("lan"));
	put(o, "roles", roles);
	put(o, "up", port != NULL ? json_boolean(port->up && port->carrier) : json_null());
	put(o, "mtu", port != NULL ? json_integer(port->mtu) : json_null());
	put(o, "device", port != NULL ? text_or_null(port->driver) : json_null());
}

// p NULL: it is the kernel that counts.
static void
put_counters(json_t *o, const struct snapshot_port *p)
{
	if (p == NULL) {
		put(o, "rx_packets", json_null());
		put(o, "tx_packets", json_null());
		return;
	}
	put(o, "rx_packets", count(p->rx_packets));
	put(o, "rx_bytes", count(p->rx_bytes));
	put(o, "tx_packets", count(p->tx_packets));
	put(o, "tx_bytes", count(p->tx_bytes));
	put(o, "rx_calls", count(p->rx_calls));
	put(o, "tx_calls", count(p->tx_calls));
	put(o, "rx_dropped", count(p->rx_dropped));
	put(o, "tx_dropped", count(p->tx_dropped));
	put(o, "steered_out", count(p->steered_out));
	put(o, "handed_over", count(p->handed_over));
}

// A port that the data plane has.
static json_t *
open_port(const struct status_here *here, const struct snapshot_port *p)
{
	const struct ports_view *view = find_view(here, p->ifindex);
	json_t *o = json_object();

	put(o, "name", json_string(p->name));
	put(o, "driver", json_string(p->driver));
	put(o, "mode", mode_or_null(p->mode));
	put(o, "queues", p->n_queues != 0 ? json_integer(p->n_queues) : json_null());
	put_device(o, find_port(here->network, p->ifindex));
	put(o, "why",
		reason(find_port(here->network, p->ifindex),
			view != NULL && view->why[0] != '\0' ? view->why : p->note));
	put_counters(o, p);
	return o;
}

// An interface that packets of ours pass, but by the kernel's hands; it counts them.
static json_t *
kernel_port(const struct status_here *here, const struct network_port *port)
{
	const struct ports_view *view = find_view(here, port->ifindex);
	json_t *o = json_object();

	put(o, "name", json_string(port->name));
	put(o, "driver", json_string("kernel"));
	put(o, "mode", json_null());
	put(o, "queues", json_integer(port->n_queues));
	put_device(o, port);
	put(o, "why", reason(port, view != NULL && view->is_wanted ? view->why : ""));
	put_counters(o, NULL);
	return o;
}

static bool
is_open(const struct snapshot *s, uint32_t ifindex)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].ifindex == ifindex && s->ports[i].name[0] != '\0')
			return true;
	return false;
}

json_t *
ports_json(const struct status_here *here, const struct snapshot *s)
{
	const struct network *network = here->network;
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].name[0] != '\0')
			json_array_append_new(list, open_port(here, &s->ports[i]));
	for (size_t i = 0; network != NULL && i < network->n_ports; i++) {
		const struct network_port *port = &network->ports[i];

		if ((port->is_wan || port->is_lan || port->is_wanted) && !is_open(s, port->ifindex))
			json_array_append_new(list, kernel_port(here, port));
	}
	return list;
}

/* --- next hops --- */

static json_t *
name_of(const struct network *network, uint32_t ifindex)
{
	const struct network_port *port = find_port(network, ifindex);
	char text[24];

	if (port != NULL)
		return json_string(port->name);
	snprintf(text, sizeof(text), "%u", ifindex); // it is gone, or no port any more
	return json_string(text);
}

static json_t *
mac_or_null(const struct snapshot_hop *hop)
{
	const uint8_t *m = hop->mac;
	char text[24];

	if (hop->state != SHM_NEIGHBOUR_REACHABLE)
		return json_null();
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
		m[5]);
	return json_string(text);
}

json_t *
next_hops_json(const struct status_here *here, const struct snapshot *s)
{
	static const char *const states[] = { "none", "asked", "failed", "reachable" };
	json_t *list = json_array();
	char text[ADDR_TEXT_LEN];

	for (size_t i = 0; i < s->n_hops; i++) {
		const struct snapshot_hop *hop = &s->hops[i];
		json_t *o = json_object();

		put(o, "address", json_string(addr_format(&hop->addr, text)));
		put(o, "interface", name_of(here->network, hop->ifindex));
		put(o, "mac", mac_or_null(hop));
		put(o, "state", json_string(states[hop->state]));
		json_array_append_new(list, o);
	}
	return list;
}
