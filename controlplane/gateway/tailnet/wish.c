/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From the map to what shall be: for the data plane, and for the host.
 */

#define LOG_TAG "tailnet"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/gateway/tailnet/filter.h"
#include "controlplane/gateway/tailnet/member_state.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

/* All addresses of a tailnet are in these: two routes in place of one for each peer. */
static const struct prefix tailnet_ranges[] = {
	{ { ADDR_V4, { 100, 64 } }, 10 },
	{ { ADDR_V6, { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 } }, 48 },
};
#define N_RANGES (sizeof(tailnet_ranges) / sizeof(tailnet_ranges[0]))

struct instant
member_wall(const struct member *m)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return instant_from_unix(ts.tv_sec + m->clock_offset_s, (uint32_t)ts.tv_nsec);
}

bool
member_is_running(const struct member *m)
{
	return m->map.self != NULL && !m->self_expired && store_is_wanted(m->store) &&
	       store_has_node_key(m->store);
}

struct roster_view
member_view(const struct member *m)
{
	return (struct roster_view){ .map = &m->map,
		.stamps = m->setup.stamps,
		.node_key = store_node_key(m->store),
		.disco_key = store_disco_key(m->store),
		.filter = m->filter,
		.derp_map_serial = m->derp_map_serial,
		.trust = m->trust,
		.now = member_wall(m),
		.listen_port = m->setup.config->listen_port,
		.peer_api_port4 = peer_api_port(m->peer_api, ADDR_V4),
		.peer_api_port6 = peer_api_port(m->peer_api, ADDR_V6),
		.accept_routes = m->prefs.accept_routes,
		.shields_up = m->prefs.shields_up,
		.own_nets = m->own_nets,
		.n_own_nets = m->n_own_nets };
}

/* --- the filter --- */

void
member_renew_filter(struct member *m)
{
	struct endpoint api[CONFIG_MAX_ADDRESSES];
	struct acl_block *block = NULL;
	size_t n_api = 0;
	int err;

	m->filter_due = false;
	if (m->map.self == NULL)
		return;
	for (size_t i = 0; i < m->map.self->addresses.n && n_api < CONFIG_MAX_ADDRESSES; i++) {
		const struct addr *a = &m->map.self->addresses.at[i].addr;
		uint16_t port = peer_api_port(m->peer_api, a->family);

		if (port != 0)
			api[n_api++] = (struct endpoint){ .addr = *a, .port = port };
	}
	err = tailnet_filter(&m->map, &m->prefs, api, n_api, ++m->filter_generation, &block);
	if (err < 0)
		log_err("the packet filter cannot be used, nothing is let in: %s", err_str(err));
	acl_block_unref(m->filter);
	m->filter = block; // NULL lets nothing in
	m->wish_due = true;
}

/* --- the host --- */

static bool
is_single_of_tailnet(const struct prefix *p)
{
	for (size_t i = 0; i < N_RANGES; i++)
		if (prefix_covers(&tailnet_ranges[i], p))
			return true;
	return false;
}

static size_t
routes_of(const struct desired *d, struct prefix *out)
{
	size_t n = 0;

	for (size_t i = 0; i < N_RANGES; i++)
		out[n++] = tailnet_ranges[i];
	for (size_t i = 0; i < d->n_prefixes; i++)
		if (!is_single_of_tailnet(&d->prefixes[i]))
			out[n++] = d->prefixes[i];
	return n;
}

static bool
same_prefixes(const struct prefix *a, size_t n_a, const struct prefix *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (!prefix_equal(&a[i], &b[i]))
			return false;
	return true;
}

// The host follows what the data plane is told; it is asked only if something is another.
static void
follow_with_host(struct member *m, const struct desired *d)
{
	struct prefix *routes = NULL;
	size_t n = 0;

	if (d != NULL) {
		routes = calloc(d->n_prefixes + N_RANGES, sizeof(routes[0]));
		if (routes == NULL) {
			log_err("out of memory, the routes stay as they were");
			return;
		}
		n = routes_of(d, routes);
	}
	if (same_prefixes(routes, n, m->routes, m->n_routes) &&
		same_prefixes(d != NULL ? d->addresses : NULL, d != NULL ? d->n_addresses : 0,
			m->addresses, m->n_addresses)) {
		free(routes);
		return;
	}
	free(m->routes);
	m->routes = routes;
	m->n_routes = n;
	m->n_addresses = d != NULL ? d->n_addresses : 0;
	if (m->n_addresses > 0)
		memcpy(m->addresses, d->addresses, sizeof(m->addresses));
	m->host_due = true;
}

void
member_host(struct member *m, struct host_desired *ret)
{
	bool forwards = m->prefs.n_advertise_routes > 0 && m->n_addresses > 0;
	bool translates = forwards && m->prefs.snat_subnet_routes;
	const struct config_gateway *config = m->setup.config;

	*ret = (struct host_desired){ .addresses = m->addresses,
		.n_addresses = m->n_addresses,
		.mtu = ROSTER_MTU,
		.prefixes = m->routes,
		.n_prefixes = m->n_routes,
		.forward_v4 = forwards,
		.forward_v6 = forwards,
		.driver = config->driver,
		.port_names = config->ports,
		.n_port_names = config->n_ports,
		.advertised = m->prefs.advertise_routes,
		.n_advertised = forwards ? m->prefs.n_advertise_routes : 0,
		.nat = translates ? SHM_NAT_V4 | SHM_NAT_V6 : 0,
		.nat_port_first = translates ? config->nat_ports.first : 0,
		.nat_port_last = translates ? config->nat_ports.last : 0 };
}

/* --- what shall be --- */

static void
set_peer_api_addresses(struct member *m)
{
	const struct addr *v4 = NULL, *v6 = NULL;

	for (size_t i = m->n_addresses; i-- > 0;) {
		if (m->addresses[i].addr.family == ADDR_V4)
			v4 = &m->addresses[i].addr;
		else
			v6 = &m->addresses[i].addr;
	}
	peer_api_set_addresses(m->peer_api, v4, v6, m->now);
}

// Nobody: as long as we are in no tailnet, or have left it.
static int
nothing_desired(struct desired **ret)
{
	int err = desired_alloc(0, 0, 0, ret);

	if (err == 0) {
		(*ret)->settings.mtu = ROSTER_MTU;
		(*ret)->settings.filter = SHM_FILTER_ENFORCED;
	}
	return err;
}

void
member_wish(struct member *m)
{
	struct roster_view view = member_view(m);
	bool running = member_is_running(m);
	struct desired *d;
	int err = running ? roster_desired(&view, &d) : nothing_desired(&d);

	m->wish_due = false;
	if (err < 0) {
		log_err("the tailnet's map cannot be taken over, what was in force stays: %s",
			err_str(err));
		return;
	}
	m->next_expiry = running ? roster_next_expiry(&view) : (struct instant){};
	follow_with_host(m, running ? d : NULL);
	set_peer_api_addresses(m);
	m->wished = m->setup.calls.wish(m->setup.calls.context, d);
}
