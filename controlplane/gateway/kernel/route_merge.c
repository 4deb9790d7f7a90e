/* SPDX-License-Identifier: BSD-3-Clause */

#include "controlplane/gateway/kernel/route_merge.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/gateway/kernel/network_make.h"

#define KIND_THROW 255 /* while tables are put together; never leaves this file */

struct merge_row {
	struct network_route route; // first: sorted by it
	uint32_t metric;
	bool is_narrowed; // not for all packets of the prefix
};

void
route_merge_begin(struct route_merge *m)
{
	m->n_table = 0;
}

static uint8_t
kind_of(const struct route_row *r)
{
	switch (r->type) {
	case RTN_UNICAST:
		if (r->is_involved || r->ifindex == 0)
			return SHM_ROUTE_KERNEL;
		return r->gateway.family != ADDR_NONE ? SHM_ROUTE_GATEWAY : SHM_ROUTE_CONNECTED;
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_MULTICAST:
		return SHM_ROUTE_LOCAL;
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return SHM_ROUTE_REFUSE;
	case RTN_THROW:
		return KIND_THROW;
	default:
		return SHM_ROUTE_KERNEL;
	}
}

int
route_merge_add(struct route_merge *m, const struct route_row *r)
{
	struct merge_row *row;

	if (r->is_cached || r->is_dead)
		return 0;
	if (m->n_table == m->room) {
		size_t room = m->room > 0 ? 2 * m->room : 64;
		struct merge_row *table = reallocarray(m->table, room, sizeof(*table));

		if (table == NULL)
			return -ENOMEM;
		m->table = table;
		m->room = room;
	}
	row = &m->table[m->n_table++];
	*row = (struct merge_row){ .metric = r->metric, .is_narrowed = r->narrowed };
	row->route = (struct network_route){
		.prefix = prefix_mask(r->prefix),
		.source = r->source,
		.ifindex = r->ifindex,
		.mtu = r->mtu <= UINT16_MAX ? (uint16_t)r->mtu : 0,
		.kind = kind_of(r),
	};
	if (row->route.kind == SHM_ROUTE_GATEWAY)
		row->route.gateway = r->gateway;
	return 0;
}

static int
compare_rows(const void *a, const void *b)
{
	const struct merge_row *x = a, *y = b;
	int order = network_route_compare(&x->route, &y->route);

	return order != 0 ? order : (x->metric > y->metric) - (x->metric < y->metric);
}

static bool
same_way(const struct network_route *a, const struct network_route *b)
{
	return a->kind == b->kind && a->ifindex == b->ifindex &&
	       addr_equal(&a->gateway, &b->gateway);
}

static void
leave_to_kernel(struct network_route *route)
{
	route->kind = SHM_ROUTE_KERNEL;
	route->gateway = (struct addr){};
	route->ifindex = 0;
}

// Of the rows of one prefix, which begin at `first`: the lowest metric, unless that is not all that
// there is to know.  Returns how many there are.
static size_t
choose(const struct merge_row *first, size_t n, struct network_route *ret_route)
{
	size_t same = 1;

	*ret_route = first->route;
	while (same < n && network_route_compare(&first[same].route, &first->route) == 0)
		same++;
	for (size_t i = 0; i < same; i++) {
		bool is_tie = first[i].metric == first->metric &&
		              !same_way(&first[i].route, &first->route);

		if (first[i].is_narrowed || (is_tie && first->route.kind != SHM_ROUTE_LOCAL))
			leave_to_kernel(ret_route);
	}
	return same;
}

static size_t
reduce(const struct merge_row *table, size_t n, struct network_route *rows)
{
	size_t n_rows = 0;

	for (size_t i = 0; i < n;)
		i += choose(&table[i], n - i, &rows[n_rows++]);
	return n_rows;
}

static bool
is_decided_before(const struct route_merge *m, const struct prefix *p)
{
	const struct network_route *row = network_route_covering(m->rows, m->n, p);

	return row != NULL && (row->kind != KIND_THROW || prefix_equal(&row->prefix, p));
}

// What was thrown goes on to this table, which may have an answer, or throw it once more.
static struct network_route
go_on(const struct network_route *thrown, const struct network_route *table, size_t n)
{
	const struct network_route *found = network_route_covering(table, n, &thrown->prefix);
	struct network_route row = found != NULL ? *found : *thrown;

	row.prefix = thrown->prefix;
	return row;
}

static int
put_behind(struct route_merge *m, const struct network_route *table, size_t n)
{
	struct network_route *all = calloc(m->n + n + 1, sizeof(*all));
	size_t n_all = 0;

	if (all == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++)
		all[n_all++] =
			m->rows[i].kind == KIND_THROW ? go_on(&m->rows[i], table, n) : m->rows[i];
	for (size_t i = 0; i < n; i++)
		if (!is_decided_before(m, &table[i].prefix))
			all[n_all++] = table[i];
	qsort(all, n_all, sizeof(*all), network_route_compare);
	free(m->rows);
	m->rows = all;
	m->n = n_all;
	return 0;
}

int
route_merge_end(struct route_merge *m)
{
	struct network_route *table = calloc(m->n_table + 1, sizeof(*table));
	int err;

	if (table == NULL)
		return -ENOMEM;
	if (m->n_table > 0)
		qsort(m->table, m->n_table, sizeof(*m->table), compare_rows);
	err = put_behind(m, table, reduce(m->table, m->n_table, table));
	free(table);
	m->n_table = 0;
	return err;
}

static bool
touches(const struct prefix *p, const struct prefix *keep, size_t n_keep)
{
	for (size_t i = 0; i < n_keep; i++)
		if (prefix_covers(p, &keep[i]) || prefix_covers(&keep[i], p))
			return true;
	return false;
}

static size_t
keep_some(struct route_merge *m, const struct prefix *keep, size_t n_keep)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].prefix.len > 0 && (m->rows[i].kind == SHM_ROUTE_LOCAL ||
							 touches(&m->rows[i].prefix, keep, n_keep)))
			m->rows[n++] = m->rows[i];
	return n;
}

// What no table has an answer for, the kernel says.
static void
settle_thrown(struct route_merge *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->rows[i].kind == KIND_THROW)
			leave_to_kernel(&m->rows[i]);
}

size_t
route_merge_finish(struct route_merge *m, size_t max, const struct prefix *keep, size_t n_keep)
{
	size_t before = m->n, n;

	settle_thrown(m);
	if (m->n <= max)
		return 0;
	n = keep_some(m, keep, n_keep);
	if (n + 2 > max) {
		m->n = n;
		n = keep_some(m, NULL, 0);
	}
	if (n + 2 > max)
		n = max - 2; // that many addresses of its own: the rest is routed, to the same box
	m->rows[n++] =
		(struct network_route){ .prefix.addr.family = ADDR_V4, .kind = SHM_ROUTE_KERNEL };
	m->rows[n++] =
		(struct network_route){ .prefix.addr.family = ADDR_V6, .kind = SHM_ROUTE_KERNEL };
	m->n = n;
	qsort(m->rows, m->n, sizeof(*m->rows), network_route_compare);
	return before - n;
}

void
route_merge_fini(struct route_merge *m)
{
	free(m->rows);
	free(m->table);
	memset(m, 0, sizeof(*m));
}
