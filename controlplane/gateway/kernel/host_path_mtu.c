/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Paths with a smaller MTU than their route, as routers on the way have told the kernel: each
 * becomes a route of its own for the data plane, so that what is too long for it leaves by the
 * kernel's socket, which cuts it.
 *
 * The kernel reports none of these changes, so they are looked at once a second while workers send.
 * Of IPv4 it shows only those that it has used itself; there our packets may be cut on the way, and
 * need no more (docs/packet-path.md).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/kernel/host_state.h"
#include "controlplane/gateway/kernel/network_make.h"

#define MAX_PATHS 4096 /* whoever forges more of these gains nothing */

static int
compare_paths(const void *a, const void *b)
{
	const struct path_mtu *x = a, *y = b;
	int order = addr_compare(&x->to, &y->to);

	return order != 0 ? order : (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

struct reading {
	struct path_mtus paths;
	size_t n_before; // this family
};

static int
take_row(const struct nlmsghdr *row, void *context)
{
	struct reading *r = context;
	struct path_mtus *p = &r->paths;
	struct route_row route;
	struct path_mtu *rows;

	if (row == NULL) {
		p->n = r->n_before;
		return 0;
	}
	if (!message_read_route(row, &route) || !route.is_cached || route.mtu == 0 ||
		route.mtu > UINT16_MAX || p->n == MAX_PATHS ||
		route.prefix.len != addr_bits((enum addr_family)route.prefix.addr.family))
		return 0;
	rows = reallocarray(p->rows, p->n + 1, sizeof(*rows));
	if (rows == NULL)
		return -ENOMEM;
	p->rows = rows;
	p->rows[p->n++] =
		(struct path_mtu){ route.prefix.addr, route.ifindex, (uint16_t)route.mtu };
	return 0;
}

static int
read_paths(struct host *h, struct path_mtus *ret_paths)
{
	struct reading r = {};
	struct message m;
	int err = netlink_dump(&h->nl, message_dump_cached_routes(&m, ADDR_V4), take_row, &r);

	r.n_before = r.paths.n;
	if (err == 0 && h->has_v6)
		err = netlink_dump(&h->nl, message_dump_cached_routes(&m, ADDR_V6), take_row, &r);
	if (err < 0) {
		free(r.paths.rows);
		return err;
	}
	if (r.paths.n > 0)
		qsort(r.paths.rows, r.paths.n, sizeof(*r.paths.rows), compare_paths);
	*ret_paths = r.paths;
	return 0;
}

static bool
same_paths(const struct path_mtus *a, const struct path_mtus *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = compare_paths(&a->rows[i], &b->rows[i]) == 0 &&
		       a->rows[i].mtu == b->rows[i].mtu;
	return same;
}

bool
host_path_mtu_poll(struct host *h)
{
	struct path_mtus paths;
	bool changed;

	if (read_paths(h, &paths) < 0)
		return false; // an older kernel, or a busy one: the next time
	changed = !same_paths(&paths, &h->path_mtus);
	free(h->path_mtus.rows);
	h->path_mtus = paths;
	return changed;
}

// The same way as the route that leads there, but for its MTU.
static bool
make_route(const struct network *n, const struct path_mtu *path, struct network_route *ret_route)
{
	const struct network_route *base = network_route_of(n, &path->to);
	uint8_t bits = (uint8_t)addr_bits((enum addr_family)path->to.family);

	if (base == NULL || base->ifindex != path->ifindex || base->prefix.len == bits ||
		(base->kind != SHM_ROUTE_CONNECTED && base->kind != SHM_ROUTE_GATEWAY) ||
		(base->mtu != 0 && base->mtu <= path->mtu))
		return false;
	*ret_route = *base;
	ret_route->prefix = (struct prefix){ path->to, bits };
	ret_route->mtu = path->mtu;
	return true;
}

int
host_path_mtu_add(const struct host *h, struct network *n)
{
	struct network_route *routes, row;
	size_t n_new = 0;

	if (h->path_mtus.n == 0)
		return 0;
	routes = calloc(n->n_routes + h->path_mtus.n, sizeof(*routes));
	if (routes == NULL)
		return -ENOMEM;
	memcpy(routes, n->routes, n->n_routes * sizeof(*routes));
	for (size_t i = 0; i < h->path_mtus.n && n->n_routes + n_new < SHM_MAX_ROUTES; i++) {
		bool again =
			i > 0 && addr_equal(&h->path_mtus.rows[i].to, &h->path_mtus.rows[i - 1].to);

		if (!again && make_route(n, &h->path_mtus.rows[i], &row))
			routes[n->n_routes + n_new++] = row;
	}
	free(n->routes);
	n->routes = routes;
	n->n_routes += n_new;
	qsort(n->routes, n->n_routes, sizeof(*n->routes), network_route_compare);
	return 0;
}
