/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Routes of the tailnet beside those of the box: what we offer and whether it leads anywhere, what
 * others offer and whether we take it.
 *
 * Source: ../shared/protocol/control.md 6.2, 6.3; peer.md 10.4.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/kernel/network.h"
#include "controlplane/gateway/surroundings.h"
#include "controlplane/gateway/tailnet/member_state.h"

static void
put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value); // out of memory: a key that is missing
}

static json_t *
prefix_json(const struct prefix *p)
{
	char text[ADDR_TEXT_LEN];

	return json_string(prefix_format(p, text));
}

static bool
has(const struct prefixes *list, const struct prefix *p)
{
	for (size_t i = 0; i < list->n; i++)
		if (prefix_equal(&list->at[i], p))
			return true;
	return false;
}

/* --- our own networks --- */

static bool
is_own(const struct network_route *route)
{
	return route->prefix.len > 0 &&
	       (route->kind == SHM_ROUTE_CONNECTED || route->kind == SHM_ROUTE_LOCAL);
}

static size_t
list_own(const struct member *m, struct prefix *list)
{
	size_t n = 0;

	for (size_t i = 0; i < m->prefs.n_advertise_routes; i++)
		if (m->prefs.advertise_routes[i].len > 0)
			list[n++] = m->prefs.advertise_routes[i];
	for (size_t i = 0; m->network != NULL && i < m->network->n_routes; i++)
		if (is_own(&m->network->routes[i]))
			list[n++] = m->network->routes[i].prefix;
	return n;
}

bool
member_renew_own_nets(struct member *m)
{
	size_t room = m->prefs.n_advertise_routes + (m->network != NULL ? m->network->n_routes : 0);
	struct prefix *list = calloc(room + 1, sizeof(list[0]));
	size_t n;
	bool differs;

	if (list == NULL)
		return false; // the next change brings them
	n = list_own(m, list);
	differs = n != m->n_own_nets;
	for (size_t i = 0; !differs && i < n; i++)
		differs = !prefix_equal(&list[i], &m->own_nets[i]);
	free(m->own_nets);
	m->own_nets = list;
	m->n_own_nets = n;
	return differs;
}

/* --- what we offer --- */

static const struct network_advertised *
find_advertised(const struct member *m, const struct prefix *p)
{
	for (size_t i = 0; m->network != NULL && i < m->network->n_advertised; i++)
		if (prefix_equal(&m->network->advertised[i].prefix, p))
			return &m->network->advertised[i];
	return NULL;
}

// Also before the host was asked: as it has been seen last.
static bool
leads_somewhere(const struct network *network, const struct prefix *p)
{
	const struct network_route *route = network_route_of(network, &p->addr);

	return route != NULL && route->prefix.len > 0 && route->kind != SHM_ROUTE_REFUSE;
}

void
member_warn_unreached(const struct member *m, json_t *warnings)
{
	char line[ADDR_TEXT_LEN + 128], text[ADDR_TEXT_LEN];

	for (size_t i = 0; m->network != NULL && i < m->prefs.n_advertise_routes; i++) {
		const struct prefix *p = &m->prefs.advertise_routes[i];

		if (p->len == 0 || leads_somewhere(m->network, p))
			continue;
		snprintf(line, sizeof(line),
			"%s is advertised, but this machine has no route of its own to it: add "
			"one, or advertise what is there",
			prefix_format(p, text));
		json_array_append_new(warnings, json_string(line));
	}
}

static const char *
mode_name(uint32_t mode)
{
	static const char *const names[] = { NULL, "zero copy", "copy", "generic" };

	return mode <= SHM_PORT_GENERIC ? names[mode] : NULL;
}

static void
put_way(json_t *o, const struct network_advertised *a, const struct surroundings *around)
{
	const struct ports_view *port = a != NULL ? surroundings_port(around, a->ifindex) : NULL;
	bool is_fast = port != NULL && port->is_open;
	const char *mode = is_fast ? mode_name(port->mode) : NULL;

	put(o, "reachable", a != NULL ? json_boolean(a->is_reached) : json_null());
	put(o, "interface", a != NULL && a->name[0] != '\0' ? json_string(a->name) : json_null());
	put(o, "driver",
		a == NULL || !a->is_reached ? json_null()
					    : json_string(is_fast ? "af_xdp" : "kernel"));
	put(o, "mode", mode != NULL ? json_string(mode) : json_null());
}

// Who serves a prefix in our place; NULL: nobody that we see.
static const struct node *
other_primary(const struct member *m, const struct prefix *p)
{
	for (size_t i = 0; i < netmap_n_peers(&m->map); i++)
		if (has(&netmap_peer(&m->map, i)->primary_routes, p))
			return netmap_peer(&m->map, i);
	return NULL;
}

static json_t *
name_json(const struct node *node)
{
	const char *name = node != NULL && node->name != NULL ? node->name : "";
	json_t *text = json_stringn(name, strcspn(name, "."));

	return text != NULL ? text : json_string("?");
}

static json_t *
route_json(const struct member *m,
	const struct surroundings *around,
	const struct prefix *p,
	bool is_advertised)
{
	const struct node *self = m->map.self, *other = other_primary(m, p);
	json_t *o = json_object();

	put(o, "prefix", prefix_json(p));
	put(o, "advertised", json_boolean(is_advertised));
	put(o, "approved", json_boolean(self != NULL && has(&self->allowed_ips, p)));
	put(o, "primary", json_boolean(self != NULL && has(&self->primary_routes, p)));
	put(o, "primary_elsewhere", other != NULL ? name_json(other) : json_null());
	put_way(o, find_advertised(m, p), around);
	return o;
}

static bool
is_advertised(const struct member *m, const struct prefix *p)
{
	for (size_t i = 0; i < m->prefs.n_advertise_routes; i++)
		if (prefix_equal(&m->prefs.advertise_routes[i], p))
			return true;
	return false;
}

json_t *
member_routes_json(const struct member *m, const struct surroundings *around)
{
	const struct node *self = m->map.self;
	json_t *list = json_array();

	for (size_t i = 0; i < m->prefs.n_advertise_routes; i++)
		json_array_append_new(
			list, route_json(m, around, &m->prefs.advertise_routes[i], true));
	for (size_t i = 0; self != NULL && i < self->allowed_ips.n; i++) {
		const struct prefix *p = &self->allowed_ips.at[i];

		if (!has(&self->addresses, p) && !is_advertised(m, p))
			json_array_append_new(list, route_json(m, around, p, false));
	}
	return list;
}

/* --- what others offer --- */

static const char *
fate_text(enum roster_fate fate)
{
	switch (fate) {
	case ROSTER_SUBNET_NOT_WANTED:
		return "routes are not accepted";
	case ROSTER_SUBNET_OWN:
		return "it lies inside a network of our own";
	case ROSTER_SUBNET_ELSEWHERE:
		return "another node that offers it is used";
	case ROSTER_SUBNET_USED:
		break;
	}
	return "";
}

json_t *
member_accepted_json(const struct member *m)
{
	struct roster_view view = member_view(m);
	struct roster_subnet *subnets = NULL;
	json_t *list = json_array();
	size_t n = 0;

	if (roster_subnets(&view, &subnets, &n) < 0)
		return list;
	for (size_t i = 0; i < n; i++) {
		const struct roster_subnet *s = &subnets[i];
		json_t *o = json_object();

		if (s->prefix.len == 0) { // an exit node's
			json_decref(o);
			continue;
		}
		put(o, "prefix", prefix_json(&s->prefix));
		put(o, "from", name_json(s->node));
		put(o, "primary", json_boolean(s->is_primary));
		put(o, "used", json_boolean(s->fate == ROSTER_SUBNET_USED));
		put(o, "note", json_string(fate_text(s->fate)));
		json_array_append_new(list, o);
	}
	free(subnets);
	return list;
}
